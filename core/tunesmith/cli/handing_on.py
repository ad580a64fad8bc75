"""What a stage leaves to the one that follows: whole weights, with the adapter folded in."""

from collections.abc import Sequence
from itertools import pairwise

from tunesmith.cli.runs import MERGED, Run
from tunesmith.cli.trainer_cli import Session
from tunesmith.errors import RecipeError
from tunesmith.training import folder
from tunesmith.training.disk import writing


def check_handing_on(session: Session) -> None:
    """Refuse a stage before it trains whose weights could not be handed on.

    Raises:
        RecipeError: The adapter cannot be merged.
    """
    if session.follows is None:
        return
    if why := session.model.adapter.merge_refusal():
        msg = f"stage {session.stage} is handed on to {session.follows} as whole weights: {why}"
        raise RecipeError(msg)


def check_heads(sessions: Sequence[Session]) -> None:
    """Refuse a stage that needs a head for tokens where the one before leaves a head for classes.

    The head would be drawn anew, and what it knew be lost.

    Args:
        sessions: The first stages of a recipe, in order; or a recipe without stages.

    Raises:
        RecipeError: There is such a stage.
    """
    for before, after in pairwise(sessions):
        one, other = before.model.objective, after.model.objective
        if one.model_class == "classification" != other.model_class:
            msg = (
                f"stages.{after.stage}: model.objective {type(other).__name__} needs a head for tokens, and the stage "
                f"before, {before.stage}, leaves one for classes ({type(one).__name__}); put {before.stage} behind it"
            )
            raise RecipeError(msg)


def hand_on(session: Session, run: Run) -> None:
    """Write the whole weights that the next stage starts from; the model is used up.

    Of weights in shards the first process gets all in its own memory, not in its GPU's.

    Raises:
        UnsavedError: There is no room.
    """
    model = session.model
    assert model.attached is not None
    with model.whole(frozen=True) as first:
        if first:
            with writing(run.path):
                about = {"recipe": session.name, "stage": session.stage}
                folder.save_merged(run.path / MERGED, model.adapter, model.attached, model.pretrained, about)
