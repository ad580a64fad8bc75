"""Which kernels a run uses, chosen once by what the recipe says and the device."""

from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.strategies import ModelParallelStrategy

from tunesmith.cli.screen import fact
from tunesmith.cli.trainer_cli import Session
from tunesmith.training.attention import kernel
from tunesmith.training.compiling import Choice, Compiling, Setting, choose


def compiling(session: Session, trainer: Trainer) -> Compiling:
    """The callback that compiles the layers, or does not.

    Raises:
        RecipeError: `model.compile` is true, where it cannot be.
    """
    return Compiling(choice_of(session, trainer))


def choice_of(session: Session, trainer: Trainer) -> Choice:
    """Whether the layers are compiled under this Trainer, and why.

    Raises:
        RecipeError: `model.compile` is true, where it cannot be.
    """
    model = session.model
    setting = Setting(
        device=trainer.strategy.root_device,
        recomputed=bool(model.gradient_checkpointing),
        sharded=isinstance(trainer.strategy, ModelParallelStrategy),
    )
    return choose(model.compiling, setting)


def show_kernels(session: Session, choice: Choice | None) -> None:
    """Print number formats, attention and layers as facts.

    Args:
        session: Loaded.
        choice: As `choice_of` gave it; None where another machine decides.
    """
    model: Any = session.model
    attention = kernel(model.attached.model, model.layout)
    layers = f"layers {'' if choice.on else 'not '}compiled ({choice.why})" if choice else ""
    fact("precision", model.describe_precision())
    fact("kernels", f"attention by {attention}; {layers or 'whether layers are compiled is decided there'}")
