"""The loaded model of a recipe as evaluators see it, by what its objective trains: an answer, or a class."""

from collections.abc import Sequence

from tunesmith.cli.screen import warn
from tunesmith.cli.trainer_cli import Session
from tunesmith.data.example import Example
from tunesmith.errors import RecipeError, RowError
from tunesmith.evaluation.class_model import ClassModel, Prior
from tunesmith.evaluation.generation import Generation
from tunesmith.evaluation.language_model import TransformersModel
from tunesmith.plugins.interfaces import Objective
from tunesmith.training.base import own_classes
from tunesmith.training.layouts import positions

Answering = TransformersModel | ClassModel


def answering(session: Session, generation: Generation, seed: int, train: Sequence[Example] | None = None) -> Answering:
    """The model of a recipe, loaded.

    Args:
        session: The recipe.
        generation: How answers are decoded.
        seed: Where tokens are sampled.
        train: Training rows, whose most frequent class stands for a base that has no head of the classes.

    Raises:
        RecipeError: It can neither answer nor name a class.
    """
    model = session.model
    assert model.attached is not None
    if fills_in_alone(session):
        name = type(model.attached.model).__name__
        msg = f"{name} fills in what is masked, and neither answers nor scores texts; val/loss says how well it does"
        raise RecipeError(msg)
    if model.objective.model_class != "classification":
        return TransformersModel(model, generation, seed)
    limits = [limit for limit in (session.data.max_length, positions(model.attached.model)) if limit is not None]
    found = ClassModel(model, generation, min(limits, default=None))
    known = [] if model.from_scratch else own_classes(model.base, model.revision)
    if known != found.names:
        answers = [example.reference for example in asked(session, train or (), quiet=True)]
        found.prior = Prior.of(found.names, found.several, answers)
    return found


def fills_in_alone(session: Session) -> bool:
    """Whether the loaded model has a head for masked tokens, as encoders, and none that says the next one."""
    model = session.model
    return model.objective.model_class == "masked" and model.attached is not None and not model.attached.both_ways


def asked(session: Session, examples: Sequence[Example], *, quiet: bool = False) -> Sequence[Example]:
    """The examples as a model is asked them and judged by; those that cannot be asked are left out, and counted."""
    objective = session.model.objective
    if type(objective).asked is Objective.asked:
        return examples
    found, lost = [], 0
    for example in examples:
        try:
            found.append(objective.asked(example))
        except RowError:
            lost += 1
    if lost and not quiet:
        warn(f"{lost} of {len(examples)} rows hold nothing to ask, and are left out")
    return found
