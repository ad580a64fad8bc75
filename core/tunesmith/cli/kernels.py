"""Which kernels a run uses, chosen once by what the recipe says and the device."""

from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.strategies import ModelParallelStrategy

from tunesmith.cli.screen import fact
from tunesmith.cli.trainer_cli import Session
from tunesmith.training.attention import kernel
from tunesmith.training.compiling import Choice, Compiling, Setting, choose
from tunesmith.training.replaced import replaced


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


def show_kernels(session: Session, choice: Choice | None, why: str = "") -> None:
    """Print number formats, attention and layers as facts.

    Args:
        session: Loaded.
        choice: As `choice_of` gave it; None where another machine decides.
        why: Said of the number formats, besides.
    """
    model: Any = session.model
    layers = f"layers {'' if choice.on else 'not '}compiled ({choice.why})" if choice else ""
    fact("precision", f"{model.describe_precision()}{why}")
    attention = kernel(model.attached.model, model.layout)
    said = [
        f"attention by {attention}",
        _layers(model, elsewhere=choice is None, compiled=choice is not None and choice.on),
        layers or "whether layers are compiled is decided there",
    ]
    fact("kernels", "; ".join(said))


def _layers(model: Any, *, elsewhere: bool, compiled: bool) -> str:
    """What runs in place of transformers' and peft's own layers, and why or why not."""
    if elsewhere or model.runs_on.type != "cpu":
        return "layers of transformers and peft (ours gain on CPUs)"
    if model.kernels == "plain":
        return "layers of transformers and peft (model.kernels is plain)"
    derives = model.format == "bf16" and kernel(model.attached.model, model.layout).startswith("SDPA")
    found = ["attention's derivative"] * derives
    if not compiled:  # which leaves ours out, but for attention, a kernel of its own
        found += replaced(model.network, type(model.adapter).__name__)
    if not found:
        why = "compiled ones leave ours out" if compiled else "ours replace none of these"
        return f"layers of transformers and peft ({why})"
    return f"ours, for CPUs: {', '.join(found)}"
