"""What a stage leaves to the one that follows: whole weights, with the adapter folded in."""

from tunesmith.cli.runs import MERGED, Run
from tunesmith.cli.screen import is_first_rank
from tunesmith.cli.trainer_cli import Session
from tunesmith.errors import RecipeError
from tunesmith.training import folder
from tunesmith.training.disk import writing
from tunesmith.training.fsdp2 import FSDP2


def check_handing_on(session: Session) -> None:
    """Refuse a stage before it trains whose weights could not be handed on.

    Raises:
        RecipeError: The adapter cannot be merged, or weights lie in shards.
    """
    if session.follows is None:
        return
    why = session.model.adapter.merge_refusal()
    if isinstance(session.trainer_options.get("strategy"), FSDP2):
        why = "weights lie in shards under trainer.strategy fsdp2, where no adapter is merged; use ddp"
    if why:
        msg = f"stage {session.stage} is handed on to {session.follows} as whole weights: {why}"
        raise RecipeError(msg)


def hand_on(session: Session, run: Run) -> None:
    """Write the whole weights that the next stage starts from; the model is used up.

    Raises:
        UnsavedError: There is no room.
    """
    model = session.model
    assert model.attached is not None
    if is_first_rank():
        with writing(run.path):
            about = {"recipe": session.name, "stage": session.stage}
            folder.save_merged(run.path / MERGED, model.adapter, model.attached, model.pretrained, about)
