"""Which kernels a run uses, chosen once by what the recipe says, the device and the run's length."""

from lightning.pytorch import Trainer
from lightning.pytorch.strategies import ModelParallelStrategy

from tunesmith.cli.screen import say
from tunesmith.cli.trainer_cli import Session
from tunesmith.training.attention import kernel
from tunesmith.training.compiling import Choice, Compiling, Setting, choose


def compiling(session: Session, trainer: Trainer) -> Compiling:
    """The callback that compiles the layers, or does not.

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
    return Compiling(choose(model.compiling, setting), strict=model.compiling is True, say=say)


def describe(session: Session, choice: Choice) -> str:
    """Attention and layers, in words."""
    assert session.model.attached is not None
    attention = kernel(session.model.attached.model, session.model.layout)
    return f"attention by {attention}; layers {'' if choice.on else 'not '}compiled ({choice.why})"


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
