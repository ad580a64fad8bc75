"""The verb `fit`: train, keep the best checkpoint, save the adapter, say how it went."""

import math
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ProgressBar

from tunesmith.cli.curve import Curve
from tunesmith.cli.device import machine
from tunesmith.cli.difficulty import check_difficulty, measure_difficulty
from tunesmith.cli.handing_on import check_handing_on, hand_on
from tunesmith.cli.judgement import check_judgement, check_rows
from tunesmith.cli.kernels import compiling
from tunesmith.cli.metrics_file import MetricsFile
from tunesmith.cli.opening import closing, command, drawn_counts, encoded_counts, opening, why_no_validation
from tunesmith.cli.pinned import pin
from tunesmith.cli.progress import TrainingProgress
from tunesmith.cli.ranks import LostError, SaidError, failing_together
from tunesmith.cli.recipe_lock import hold
from tunesmith.cli.refusals import making, refusals
from tunesmith.cli.report import renew_report
from tunesmith.cli.resume import (
    Resumed,
    check_lock,
    check_position,
    comparable,
    find_obeyed,
    find_resumed,
    make_lock,
    nothing_to_do,
)
from tunesmith.cli.runs import Run, new_run, write_json
from tunesmith.cli.screen import fact, is_first_rank, say
from tunesmith.cli.trainer_checks import (
    check_batches,
    check_length,
    check_regularizers,
    check_strategy,
    checked_callbacks,
    say_warmup,
)
from tunesmith.cli.trainer_cli import Session
from tunesmith.data.pipeline import Curated
from tunesmith.data.read_as import settled
from tunesmith.data.sources import open_sources
from tunesmith.errors import RecipeError
from tunesmith.training.checkpoint import StepCheckpoint, StoppedError
from tunesmith.training.disk import UnsavedError, writing
from tunesmith.training.extent import check_interval, check_least, extent
from tunesmith.training.layouts import positions
from tunesmith.training.optimizer import build, check_steps, parameter_groups, scheduler
from tunesmith.training.stopping import Stopping, why_early


def prepare_data(session: Session, directory: Path | None) -> Curated:
    """Load tokenizer and model, and bring the rows through the data room; what is set aside is written there.

    Raises:
        DataError: Rows or base are missing or cannot be read.
    """
    # missing files, and rows that no formatter is found for, are said before a base of gigabytes is loaded
    for name, opened in open_sources(session.data.sources).items():
        settled(opened, session.data.sources[name], session.data.formatters)
    session.model.load()
    assert session.model.attached is not None
    session.data.bind(
        session.model.renderer,
        session.model.objective,
        session.seed,
        directory,
        max_positions=positions(session.model.attached.model),
        quadratic=session.model.attached.quadratic(),
        padded=session.model.layout == "padded",
        regularizers=session.model.regularizers,
    )
    return session.data.prepare_rows()


def fit(session: Session) -> int:
    """Train; exit code 0 when the adapter is saved. Thresholds are `test`'s business."""
    check_length(session)
    check_judgement(session)
    check_strategy(session)
    check_difficulty(session)
    check_handing_on(session)
    check_regularizers(session)
    resumed, checkpoint = find_resumed(session)
    obeyed = find_obeyed(session, resumed)
    if session.arguments.flag("locked") and session.home is None:
        hold(session)
    elif obeyed is not None:
        pin(session, obeyed, or_newest=session.arguments.flag("relock"))
    curated = prepare_data(session, session.root / session.name)
    curated.need("train")
    check_batches(session)
    check_evidence(session, curated)
    lock = make_lock(session, curated)
    changed = check_lock(session, obeyed, lock, goes_on=resumed is not None)
    if resumed is not None and nothing_to_do(session, resumed, changed):
        further = "raise trainer.max_epochs or max_steps, and name it"
        say(f"{resumed.path} is complete: nothing to do; to train it further, {further} with --run {resumed.path}")
        return 0
    run = resumed or new_run(session.root, session.name)
    measure_difficulty(session, run)
    same = comparable(resumed, lock)
    curve, checkpoints = Curve(same), StepCheckpoint(run.path / "checkpoints", comparable=same)
    kept = [checkpoints] if session.trainer_options.get("enable_checkpointing") is not False else []
    is_other = changed or session.arguments.flag("relock")
    origin = Resumed(lambda: _write_origin(session, run, lock if is_other else None, curated), same)
    try:
        trainer = make_trainer(
            session, run, [curve, *kept, *session.beside, *([origin] if resumed is not None else [])]
        )
        kernels = compiling(session, trainer)
        batches = len(session.data.plan_for(trainer))
        check_interval(trainer, batches)
        check_least(trainer, batches)
    except RecipeError:
        if resumed is None and is_first_rank():
            shutil.rmtree(run.path)
        raise
    if checkpoint is not None:
        check_position(session, checkpoint, trainer)
    if resumed is None:
        for logger in trainer.loggers:  # a tracking server refuses options that differ from those of the run's begin
            logger.log_hyperparams(yaml.safe_load(session.dump))
        if is_first_rank():
            _write_origin(session, run, lock, curated)
    trainer.callbacks.append(kernels)  # type: ignore[attr-defined]
    opening(session, run, trainer, checkpoint, kernels.choice)
    say_warmup(session, extent(trainer, batches)[1])
    begin, busy = time.monotonic(), time.process_time()
    if ended := _train(session, trainer, checkpoint, checkpoints):
        return ended
    beside = _beside(trainer, time.process_time() - busy)
    step = _keep_best(session, run, checkpoints, trainer)
    if session.follows is not None:
        hand_on(session, run)
    if is_first_rank():
        seconds = {
            "seconds": round(time.monotonic() - begin, 1),
            "processor_seconds": round(time.process_time() - busy + beside, 1),
        }
        went = {**curve.summary(trainer), "kept_step": step, "machine": machine(trainer)}
        said = {"said": curve.sentence(step, why_no_validation(session)), "stopped_early": _early(trainer, curve)}
        result = {"complete": True, **seconds, **went, **said}
        write_json(run.result, result)
        _tell(session, run, result, curve.by_task(step))
    return 0


def _train(session: Session, trainer: Trainer, checkpoint: str | None, checkpoints: StepCheckpoint) -> int:
    """Train to the end; the exit code where it ended before, and it was said why.

    Raises:
        LostError: Another process was killed.
        UnsavedError: There is no room.
        RecipeError: Found while training.
        KeyboardInterrupt: Asked to stop twice.
    """
    try:
        with failing_together(), refusals(session.trainer_options):
            trainer.fit(session.model, datamodule=session.data, ckpt_path=checkpoint, weights_only=True)
    except StoppedError as stop:
        say(f"{stop}\ngo on with: {command(session, 'fit', '--ckpt_path', 'last')}")
        return stop.exit_code
    except SaidError as error:
        return error.exit_code
    except LostError as error:
        if checkpoints.last.exists():
            msg = f"{error}\ngo on with: {command(session, 'fit', '--ckpt_path', 'last')}"
            raise LostError(msg) from error
        raise
    except UnsavedError as error:
        raise _with_way_on(error, session, checkpoints) from error
    except SystemExit:  # what Lightning makes of a second signal
        raise KeyboardInterrupt(checkpoints.signal or signal.SIGINT) from None
    return 0


def _beside(trainer: Trainer, own: float) -> float:
    """Processor seconds of the other processes, of which this one has used so many."""
    used = torch.tensor(own, device=trainer.strategy.root_device)
    return float(trainer.strategy.reduce(used.clone(), reduce_op="sum")) - float(used)


def _keep_best(session: Session, run: Run, checkpoints: StepCheckpoint, trainer: Trainer) -> int:
    """Save the adapter of the best weights; returns the step that they are of.

    Raises:
        UnsavedError: There is no room; says what is left of the run.
    """
    step = _restore_best(session, checkpoints, trainer)
    try:
        with writing(run.adapter):
            session.model.save_adapter(run.adapter)
    except UnsavedError as error:
        raise _with_way_on(error, session, checkpoints) from error
    return step


def _early(trainer: Trainer, curve: Curve) -> str:
    """Why the run ended before its end; empty where it did not."""
    why = why_early(trainer, curve.planned)
    of = "" if math.isinf(curve.planned) else f" of {int(curve.planned)}"
    return f"at step {trainer.global_step}{of}: {why}" if why else ""


def _tell(session: Session, run: Run, result: dict[str, Any], by_task: str) -> None:
    """Say how the run went, and why it ended before its end."""
    say(result["said"])
    if by_task:
        fact("by task", by_task)
    if result["stopped_early"]:
        say(f"stopped early {result['stopped_early']}")
    renew_report(run)
    closing(session, run, result)


def _with_way_on(error: UnsavedError, session: Session, checkpoints: StepCheckpoint) -> UnsavedError:
    """Add what is left of the run, and the command that goes on with it."""
    there = checkpoints.last.exists()  # a folder where it is in shards
    kept = f"{checkpoints.last} is whole" if there else "the run has no checkpoint yet"
    go_on = command(session, "fit", *(("--ckpt_path", "last") if there else ()))
    return UnsavedError(f"{error}\n{kept}; make room, then go on with: {go_on}")


def check_evidence(session: Session, curated: Curated) -> None:
    """Find before training what the optimizer or `test` would refuse, now that rows and base are there."""
    model = session.model
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = build(model.optimizer_factory, parameter_groups(trained, model.adapter.groups(model.network)))
    options = session.trainer_options
    check_steps(optimizer, options.get("accumulate_grad_batches") or 1)
    if not options.get("fast_dev_run") and all(options.get(key) in (None, -1) for key in ("max_epochs", "max_steps")):
        scheduler(optimizer, model.schedule, math.inf)
    check_rows(session, curated)


def _write_origin(session: Session, run: Run, lock: dict[str, Any] | None, curated: Curated) -> None:
    """What the run is made from: recipe and lock where they are new, and what happened to the rows."""
    curated.rejected.write(run.path / "rejected.jsonl")
    # `prepare_rows` wrote them where no run directory was yet; another fit may have taken that file away
    (session.root / session.name / "rejected.jsonl").unlink(missing_ok=True)
    run.result.unlink(missing_ok=True)
    if lock is not None:
        (run.path / "config.yaml").write_text(session.dump)
        write_json(run.path / "lock.json", lock)
    write_json(run.path / "data.json", curated.counts | encoded_counts(session) | drawn_counts(session))


def make_trainer(session: Session, run: Run, own: list[Callback]) -> Trainer:
    """The Trainer of a run: the recipe's options, the run's own logger and checkpoints beside the recipe's.

    Raises:
        RecipeError: Lightning refuses the options, or a callback watches a metric that is not logged.
    """
    options = dict(session.trainer_options)
    callbacks = checked_callbacks(session)
    options.pop("callbacks", None)
    named = options.pop("logger", None)
    if options.get("enable_progress_bar") is not False and not any(isinstance(c, ProgressBar) for c in callbacks):
        own = [*own, TrainingProgress()]
    with making(options):
        logger: Any = False if named is False else [MetricsFile(run.path), *session.loggers(run.path)]
        trainer = Trainer(**options, callbacks=[*callbacks, *own], logger=logger)
    trainer.callbacks.append(Stopping())  # type: ignore[attr-defined]  # behind the Timer that `max_time` brings
    return trainer


def _restore_best(session: Session, checkpoints: StepCheckpoint, trainer: Trainer) -> int:
    """Put the best weights back, where a checkpoint holds them; returns the step that the weights are of."""
    best = Path(checkpoints.best_model_path)
    if checkpoints.best_model_path and best.exists():
        content = trainer.strategy.load_checkpoint(best, weights_only=True)
        session.model.restore_trained(content["state_dict"])
        return int(content["global_step"])
    return trainer.global_step
