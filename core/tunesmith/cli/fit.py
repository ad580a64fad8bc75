"""The verb `fit`: train, keep the best checkpoint, save the adapter, say how it went."""

import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ProgressBar

from tunesmith.cli.curve import Curve
from tunesmith.cli.metrics_file import MetricsFile
from tunesmith.cli.opening import closing, command, opening
from tunesmith.cli.progress import TrainingProgress
from tunesmith.cli.resume import check_lock, find_resumed, make_lock
from tunesmith.cli.runs import Run, new_run, write_json
from tunesmith.cli.screen import is_first_rank, say
from tunesmith.cli.trainer_cli import Session
from tunesmith.data.pipeline import Curated
from tunesmith.data.sources import Opened
from tunesmith.errors import RecipeError
from tunesmith.evaluation.success import check_names, produced
from tunesmith.training.checkpoint import StepCheckpoint, StoppedError


def prepare_data(session: Session, directory: Path | None) -> Curated:
    """Load tokenizer and model, and bring the rows through the data room; what is set aside is written there.

    Raises:
        DataError: Rows or base are missing or cannot be read.
    """
    for name, source in session.data.sources.items():
        Opened(name, source)  # a missing file is said before a base of gigabytes is loaded
    session.model.load()
    positions = getattr(session.model.network.config, "max_position_embeddings", None)
    session.data.bind(session.model.renderer, session.model.objective, session.seed, directory, max_positions=positions)
    return session.data.prepare_rows()


def fit(session: Session) -> int:
    """Train; exit code 0 when the adapter is saved. Thresholds are `test`'s business."""
    check_names(session.success, produced(session.evaluators, session.audits))
    check_length(session)
    resumed, checkpoint = find_resumed(session)
    curated = prepare_data(session, session.root / session.name)
    curated.need("train")
    lock = make_lock(session, curated)
    check_lock(session, resumed, lock)
    run = resumed or new_run(session.root, session.name)
    if is_first_rank():
        (session.root / session.name / "rejected.jsonl").replace(run.path / "rejected.jsonl")
        if resumed is None:
            (run.path / "config.yaml").write_text(session.dump)
            write_json(run.path / "lock.json", lock)
        write_json(run.path / "data.json", dict(curated.counts))
    curve, checkpoints = Curve(), StepCheckpoint(run.path / "checkpoints")
    trainer = make_trainer(session, run, [curve, checkpoints], resumes=checkpoint is not None)
    opening(session, run, trainer, checkpoint)
    begin = time.monotonic()
    try:
        trainer.fit(session.model, datamodule=session.data, ckpt_path=checkpoint, weights_only=True)
    except StoppedError as stop:
        say(f"{stop}\ngo on with: {command(session, 'fit', '--ckpt_path', 'last')}")
        return stop.exit_code
    _restore_best(session, checkpoints)
    session.model.save_adapter(run.adapter)
    if is_first_rank():
        result = {"complete": True, "seconds": round(time.monotonic() - begin, 1), **curve.summary(trainer)}
        write_json(run.path / "result.json", result)
        closing(session, run, curve, result)
    return 0


def check_length(session: Session) -> None:
    """Insist on an end: Lightning would train 1,000 epochs.

    Raises:
        RecipeError: The recipe states none.
    """
    if all(session.trainer_options.get(key) in (None, -1) for key in ("max_epochs", "max_steps", "max_time")):
        if session.trainer_options.get("fast_dev_run"):
            return
        msg = "trainer says no end; set trainer.max_epochs (3 is a common start), or max_steps, or max_time"
        raise RecipeError(msg)


def make_trainer(session: Session, run: Run, own: list[Callback], *, resumes: bool) -> Trainer:
    """The Trainer of a run: the recipe's options, the run's own logger and checkpoints beside the recipe's."""
    options = dict(session.trainer_options)
    callbacks: list[Callback] = list(options.pop("callbacks", None) or [])
    named = options.pop("logger", None)
    others = [] if named in (None, True, False) else (list(named) if isinstance(named, list) else [named])
    logger: Any = False if named is False else [MetricsFile(run.path), *others]
    if resumes:
        options["num_sanity_val_steps"] = 0  # the loss before the first step was measured by the first process
    if options.get("enable_progress_bar") is not False and not any(isinstance(c, ProgressBar) for c in callbacks):
        own = [*own, TrainingProgress()]
    return Trainer(**options, callbacks=[*callbacks, *own], logger=logger)


def _restore_best(session: Session, checkpoints: StepCheckpoint) -> None:
    best = Path(checkpoints.best_model_path)
    if checkpoints.best_model_path and best.is_file():
        content = torch.load(best, map_location="cpu", weights_only=True)
        session.model.restore_trained(content["state_dict"])
