"""Which kernels a run uses, chosen once by what the recipe says, the device and the run's length."""

from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.strategies import ModelParallelStrategy

from tunesmith.cli.screen import fact, say
from tunesmith.cli.trainer_cli import Session
from tunesmith.training.attention import kernel
from tunesmith.training.compiling import Choice, Compiling, Setting, choose


def compiling(session: Session, trainer: Trainer) -> Compiling:
    """The callback that compiles the layers, or does not.

    Raises:
        RecipeError: `model.compile` is true, where it cannot be.
    """
    return Compiling(choice_of(session, trainer), strict=session.model.compiling is True, say=say)


def choice_of(session: Session, trainer: Trainer) -> Choice:
    """Whether the layers are compiled under this Trainer, and why.

    Raises:
        RecipeError: `model.compile` is true, where it cannot be.
    """
    model = session.model
    assert model.attached is not None
    setting = Setting(
        device=trainer.strategy.root_device,
        bf16=model.format == "bf16",
        layout=model.layout,
        quantised=bool(model.attached.quantization()),
        recomputed=bool(model.gradient_checkpointing),
        sharded=isinstance(trainer.strategy, ModelParallelStrategy),
        work=_tokens(session, trainer) * model.attached.sizes()[1],
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


def _tokens(session: Session, trainer: Trainer) -> float:
    """Tokens that the whole run trains on at most, on all ranks; 0 where only the clock ends it."""
    if trainer.fast_dev_run:  # type: ignore[attr-defined]
        return 0.0
    options = session.trainer_options
    accumulate, limit = trainer.accumulate_grad_batches, options.get("limit_train_batches")
    plan = session.data.plan("train", accumulate=accumulate, world=trainer.world_size, limit=limit)
    epochs = [float(trainer.max_epochs)] if trainer.max_epochs is not None and trainer.max_epochs >= 0 else []
    steps = [trainer.max_steps * accumulate / len(plan)] if trainer.max_steps > 0 else []
    return min([*epochs, *steps], default=0.0) * sum(plan.lengths) * len(plan) / plan.whole
