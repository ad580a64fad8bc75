"""The verb `fit`: train, keep the best checkpoint, save the adapter, say how it went."""

import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer

from tunesmith import __version__
from tunesmith.cli.curve import Curve, RunLogger
from tunesmith.cli.runs import Run, announce, digest, find_run, method, new_run, write_json
from tunesmith.cli.screen import fact, is_first_rank, say, warn
from tunesmith.cli.trainer_cli import Session
from tunesmith.data.pipeline import Curated
from tunesmith.errors import RecipeError
from tunesmith.evaluation.success import check_names, produced
from tunesmith.recipe.lock import base_revision, compare, environment
from tunesmith.recipe.package_fs import resolve
from tunesmith.training.checkpoint import StepCheckpoint, StoppedError


def prepare_data(session: Session, directory: Path) -> Curated:
    """Load tokenizer and model, and bring the rows through the data room; what is set aside is written there."""
    session.model.load()
    positions = getattr(session.model.network.config, "max_position_embeddings", None)
    session.data.bind(session.model.renderer, session.model.objective, session.seed, directory, max_positions=positions)
    return session.data.prepare_rows()


def data_lines(session: Session) -> list[str]:
    """How many rows and tokens each split holds, and what was left out and why."""
    lines = []
    curated = session.data.prepare_rows()
    for split in ("train", "validation", "test"):
        counts = session.data.encoded(split).counts if curated.splits[split] else {}  # type: ignore[arg-type]
        if counts:
            cut = f", {counts['truncated']} truncated" if counts["truncated"] else ""
            gone = "".join(f", {n} dropped ({why})" for why, n in counts["dropped"].items())
            lines.append(
                f"{split} {counts['rows']} rows, {counts['tokens']} tokens, {counts['supervised']} trained{cut}{gone}"
            )
    for name, counts in curated.counts["sources"].items():
        if counts["rejected"]:
            lines.append(f"{name}: {counts['rejected']} of {counts['read']} rows set aside, see rejected.jsonl")
    for name, counts in curated.counts["curators"].items():
        told = [f"{n} {what} ({why})" for what in ("drops", "changes", "additions") for why, n in counts[what].items()]
        if told:
            lines.append(f"{name}: {', '.join(told)}")
    return lines


def make_lock(session: Session, curated: Curated) -> dict[str, Any]:
    """What `lock.json` holds."""
    base = resolve(session.model.base)
    commit = getattr(getattr(session.model.network, "config", None), "_commit_hash", None)
    used = {(e.package, e.version) for e in session.catalog.entries if e.path in session.dump}
    return {
        "recipe": session.name,
        "fingerprint": digest(method(session.config)),
        "method": method(session.config),
        "data": dict(curated.hashes),
        "base": {session.model.base: base_revision(base, commit)},
        **environment(used),
        "seed": session.seed,
        "success": session.config.get("success") or {},
        "thresholds": digest(session.config.get("success") or {}),
        "version": __version__,
    }


def fit(session: Session) -> int:
    """Train; exit code 0 when the adapter is saved. Thresholds are `test`'s business."""
    check_names(session.success, produced(session.evaluators, session.audits))
    resumed, checkpoint = _resume(session)
    curated = prepare_data(session, resumed.path if resumed else session.root / session.name)
    lock = make_lock(session, curated)
    _check_lock(session, resumed, lock)
    run = resumed or new_run(session.root, session.name)
    if is_first_rank() and resumed is None:
        (session.root / session.name / "rejected.jsonl").replace(run.path / "rejected.jsonl")
        (run.path / "config.yaml").write_text(session.dump)
        write_json(run.path / "lock.json", lock)
        write_json(run.path / "data.json", dict(curated.counts))
    curve, checkpoints = Curve(), StepCheckpoint(run.path / "checkpoints")
    trainer = make_trainer(session, run, [curve, checkpoints])
    _opening(session, run, trainer, checkpoint)
    begin = time.monotonic()
    try:
        trainer.fit(session.model, datamodule=session.data, ckpt_path=checkpoint, weights_only=True)
    except StoppedError as stop:
        say(f"{stop}\ngo on with: lightning-cli fit {_words(session)} --ckpt_path last")
        return stop.exit_code
    _restore_best(session, checkpoints)
    session.model.save_adapter(run.adapter)
    if is_first_rank():
        result = {"complete": True, "seconds": round(time.monotonic() - begin, 1), **curve.summary(trainer)}
        write_json(run.path / "result.json", result)
        _closing(session, run, curve, result)
    return 0


def make_trainer(session: Session, run: Run, own: list[Callback]) -> Trainer:
    """The Trainer of a run: the recipe's options, the run's own logger and checkpoints beside the recipe's."""
    options = dict(session.trainer_options)
    callbacks: list[Callback] = list(options.pop("callbacks", None) or [])
    named = options.pop("logger", None)
    others = [] if named in (None, True, False) else (list(named) if isinstance(named, list) else [named])
    logger: Any = False if named is False else [RunLogger(run.path), *others]
    return Trainer(**options, callbacks=[*callbacks, *own], logger=logger)


def _resume(session: Session) -> tuple[Run | None, str | None]:
    wanted = session.arguments.options.get("ckpt_path")
    if wanted is None:
        if "run" in session.arguments.options:
            msg = "--run names the run to resume; add --ckpt_path last"
            raise RecipeError(msg)
        return None, None
    if wanted != "last":
        path = Path(wanted)
        if not path.is_file():
            msg = f"--ckpt_path {wanted} is no file; use `last` for the newest checkpoint of the newest run"
            raise RecipeError(msg)
        run = Run(path.absolute().parent.parent)
        if not (run.path / "lock.json").is_file():
            msg = f"--ckpt_path {wanted} does not lie in a run directory (no lock.json in {run.path})"
            raise RecipeError(msg)
        return announce(run), str(path)
    run = find_run(session.root, session.name, session.config, session.arguments.options.get("run"), complete=False)
    last = run.last_checkpoint
    if last is None:
        msg = f"{run.path} holds no checkpoint yet; start again without --ckpt_path"
        raise RecipeError(msg)
    return announce(run), str(last)


def _check_lock(session: Session, resumed: Run | None, lock: dict[str, Any]) -> None:
    if session.arguments.flag("relock"):
        if resumed is not None and is_first_rank():
            write_json(resumed.path / "lock.json", {**lock, "relocked": True})
        return
    if resumed is not None:
        compare(resumed.lock, lock, resumed.path / "lock.json")
    elif session.arguments.flag("locked"):
        run = find_run(session.root, session.name, session.config, None)
        compare(run.lock, lock, run.path / "lock.json")


def _restore_best(session: Session, checkpoints: StepCheckpoint) -> None:
    best = Path(checkpoints.best_model_path)
    if checkpoints.best_model_path and best.is_file():
        content = torch.load(best, map_location="cpu", weights_only=True)
        session.model.restore_trained(content["state_dict"])


def _words(session: Session) -> str:
    """The part of the command line that says which recipe it was."""
    return " ".join([*(f"--config {c}" for c in session.arguments.repeated["config"]), *session.arguments.overrides])


def _opening(session: Session, run: Run, trainer: Trainer, checkpoint: str | None) -> None:
    model, data = session.model, session.data
    say(f"fit {session.name}", style="bold")
    fact("base", f"{model.base}{' (from scratch)' if model.from_scratch else ''}")
    for number, line in enumerate(data_lines(session)):
        fact("" if number else "data", line)
    fact("trains", model.describe())
    fact("layout", f"{model.layout}: {model.layout_reason}")
    fact("precision", model.describe_precision())
    devices = f"{trainer.world_size} x {trainer.strategy.root_device.type}"
    fact("device", f"{devices}, {torch.get_num_threads()} threads" if "cpu" in devices else devices)
    fact("run", f"{run.path}{f', resumed from {Path(checkpoint).name}' if checkpoint else ''}")
    test_rows = len(data.prepare_rows().splits["test"])
    if session.success and 0 < test_rows < 20:
        warn(f"{test_rows} test rows are too few to tell a difference from chance; `test` will show no intervals")


def _closing(session: Session, run: Run, curve: Curve, result: dict[str, Any]) -> None:
    say(curve.sentence())
    say(f"adapter saved in {run.adapter} ({result['seconds']:.0f} s)")
    say(f"next: lightning-cli test {_words(session)}")
