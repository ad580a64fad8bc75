"""What of a recipe's Trainer is refused before anything costs time, by `fit` and `preview` alike."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lightning.pytorch import Callback

from tunesmith.cli.opening import NO_BATCHES, why_no_validation
from tunesmith.cli.screen import warn
from tunesmith.cli.trainer_cli import Session
from tunesmith.data.example import Example
from tunesmith.data.own_rows import own_rows
from tunesmith.data.tasks import tasks_stated, told_apart
from tunesmith.errors import RecipeError
from tunesmith.evaluation.measuring import own_rows as rows_of_evaluators
from tunesmith.nearest import did_you_mean
from tunesmith.training.averaging import averaging
from tunesmith.training.fsdp2 import chosen
from tunesmith.training.stopping import check_after_validation

if TYPE_CHECKING:
    from tunesmith.data.sources import SplitName

# What each may be at least; -1 is Lightning's word for no limit.
_LEAST = {
    "max_epochs": -1,
    "max_steps": -1,
    "min_epochs": 0,
    "min_steps": 0,
    "accumulate_grad_batches": 1,
    "gradient_clip_val": 0,
}


def check_length(session: Session) -> None:
    """Insist on an end: Lightning would train 1,000 epochs.

    Raises:
        RecipeError: The recipe states none, or trains nothing, or validates between two optimizer steps.
    """
    for key, least in _LEAST.items():
        value = session.trainer_options.get(key)
        if value is not None and (value < least or (value == 0 and least)):
            msg = f"trainer.{key} is {value}; give {'0 for none, or ' if not least else ''}a number above 0"
            raise RecipeError(msg)
    if session.trainer_options.get("barebones"):
        msg = "trainer.barebones is true, but a run is logged and keeps checkpoints; leave it out"
        raise RecipeError(msg)
    interval, accumulate = (session.trainer_options.get(k) for k in ("val_check_interval", "accumulate_grad_batches"))
    if not isinstance(interval, int | float | None) and (accumulate or 1) > 1:
        msg = (
            f"trainer.val_check_interval is {interval}: a time may fall between two optimizer steps; give a number of "
            f"batches, a multiple of trainer.accumulate_grad_batches ({accumulate})"
        )
        raise RecipeError(msg)
    if all(session.trainer_options.get(key) in (None, -1) for key in ("max_epochs", "max_steps", "max_time")):
        if session.trainer_options.get("fast_dev_run"):
            return
        msg = "trainer says no end; set trainer.max_epochs (3 is a common start), or max_steps, or max_time"
        raise RecipeError(msg)


def check_strategy(session: Session) -> None:
    """Put the strategy that `trainer.strategy` means in its place.

    Raises:
        RecipeError: There is none such, or it cannot train exactly, or rows are to be dealt by Lightning.
    """
    if session.trainer_options.get("use_distributed_sampler"):
        msg = (
            "trainer.use_distributed_sampler is true, but rows are dealt to processes by window, which Lightning's "
            "sampler would undo; leave it out"
        )
        raise RecipeError(msg)
    session.trainer_options["strategy"] = chosen(session.trainer_options.get("strategy") or "auto")


def check_regularizers(session: Session) -> None:
    """Ask regularizers, and read the rows that they bring along, before a base is loaded; see that none is measured.

    Raises:
        RecipeError: One refuses the rest of the recipe, brings no rows, or trains on those that an evaluator measures.
        TunesmithError: One cannot read them.
    """
    session.model.check_regularizers()
    regularizers = session.model.regularizers
    trained = {name: rows for name, rows in own_rows(regularizers).items() if regularizers[name].own_share() > 0}
    if not trained:
        return
    for evaluator, measured in rows_of_evaluators(session.evaluators).items():
        known = set(map(_texts, measured))
        for name, rows in trained.items():
            if same := sum(_texts(row) in known for row in rows):
                msg = (
                    f"model.regularizers.{name} trains on {same} of the {len(measured)} rows that evaluators."
                    f"{evaluator} measures, which would tell nothing; give them different rows"
                )
                raise RecipeError(msg)


def _texts(example: Example) -> tuple[str, ...]:
    return (*(turn.content for turn in example.messages), *(piece.text for piece in example.segments))


def checked_callbacks(session: Session) -> list[Callback]:
    """The recipe's own callbacks.

    Raises:
        RecipeError: One watches a metric that is not logged, or needs a validation that does not come.
    """
    options, callbacks = session.trainer_options, session.callbacks
    averaging(callbacks)
    without = why_no_validation(session)
    _check_monitors(callbacks, validated(session, told_apart(session.data.tasks("validation"))), session, without)
    check_after_validation(
        callbacks,
        validates=not why_no_validation(session),
        once_an_epoch=options.get("val_check_interval") in (None, 1.0) and options.get("check_val_every_n_epoch") == 1,
    )
    return callbacks


def validated(session: Session, tasks: Sequence[str]) -> list[str]:
    """Names of what a validation logs.

    Args:
        session: With the recipe's objective.
        tasks: That have losses of their own.
    """
    of_all = ["val/loss", *(f"val/{name}" for name in session.model.objective.logs())]
    return [*of_all, *(f"{name}/{task}" for task in tasks for name in of_all)]


def check_stated_monitors(session: Session) -> None:
    """Refuse names that are never logged, before any row is read: what there will be to validate by is not known yet.

    Raises:
        RecipeError: A callback watches such a name.
    """
    tasks = told_apart(tasks_stated(session.data.sources, "validation"))
    without = NO_BATCHES if session.trainer_options.get("limit_val_batches") == 0 else ""
    _check_monitors(session.callbacks, validated(session, tasks), session, without)


def _check_monitors(callbacks: list[Callback], validation: list[str], session: Session, without: str) -> None:
    """Refuse names that are never logged; Lightning would notice after the first epoch only."""
    logged = [*([] if without else validation), *session.model.term_names(), "lr", "grad_norm", "tokens/s"]
    for callback in callbacks:
        monitor = getattr(callback, "monitor", None)
        if monitor is not None and monitor not in logged:
            why = f": {without}" if monitor.startswith("val/") and without else did_you_mean(monitor, logged)
            name = type(callback).__name__
            msg = f"trainer.callbacks: {name} monitors {monitor}, which is not logged{why}\nlogged: {', '.join(logged)}"
            raise RecipeError(msg)


def say_warmup(session: Session, steps: int | None) -> None:
    """Warn of a warm-up that the run ends in; no refusal, as a trial of a few steps has nothing else.

    Args:
        session: With the recipe's schedule.
        steps: That the run makes; None where only the clock ends it.
    """
    if steps is None or session.trainer_options.get("fast_dev_run"):
        return
    if remark := session.model.schedule.remark(steps):
        warn(remark)


def check_batches(session: Session) -> None:
    """Insist on something to train on: Lightning would save an adapter that saw nothing.

    Raises:
        RecipeError: `trainer.limit_train_batches`, or a share of the validation batches, leaves no micro-batch.
    """
    options, splits = session.trainer_options, session.data.prepare_rows().splits
    asked: list[tuple[SplitName, str, str]] = [("train", "limit_train_batches", "train")]
    if splits["validation"] and options.get("limit_val_batches"):
        asked.append(("validation", "limit_val_batches", "validate"))
    for split, key, verb in asked:
        limit = options.get(key)
        if limit is None:
            continue
        there, left = len(session.data.plan(split)), len(session.data.plan(split, limit=limit))
        if left == 0:
            msg = f"trainer.{key} is {limit:g}, which leaves none of {there} micro-batches to {verb} on; raise it"
            raise RecipeError(msg)
