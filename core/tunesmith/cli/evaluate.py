"""The verbs `test` and `validate`: tuned beside base, and, for `test`, whether success was met."""

from pathlib import Path

import torch
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from tunesmith.cli.device import device
from tunesmith.cli.fit import prepare_data
from tunesmith.cli.runs import Run, digest, find_run
from tunesmith.cli.screen import console, say, stderr, warn
from tunesmith.cli.trainer_cli import Session
from tunesmith.data.pipeline import Curated
from tunesmith.data.sources import SplitName
from tunesmith.errors import RecipeError
from tunesmith.evaluation.language_model import TransformersModel
from tunesmith.evaluation.records import write_evaluation
from tunesmith.evaluation.run_test import Evaluation, audits_of, evaluate
from tunesmith.evaluation.success import check_names, produced
from tunesmith.evaluation.tables import show_evaluation

MISSED = 3


class Bar:
    """Progress on standard error, gone when it is done; silent where nobody watches."""

    def __init__(self) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show that `done` of `total` of `what` is done."""
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total)
        self._progress.update(self._tasks[what], completed=done, total=total)


def open_run(session: Session) -> Run:
    """The run that the verb reads; its path is the first line printed."""
    run = find_run(session.root, session.name, session.config, session.arguments.options.get("run"))
    say(f"run {run.path}", style="bold")
    then, now = run.lock.get("thresholds"), digest(session.config.get("success") or {})
    if then is not None and then != now:
        warn("the thresholds in `success` are not those that stood there when this run was trained")
    return run


def load_run(session: Session, run: Run) -> tuple[TransformersModel, TransformersModel, Curated]:
    """The tuned model and its base, on the device, and the curated rows.

    Raises:
        RecipeError: `--ckpt_path` names no checkpoint.
    """
    curated = prepare_data(session, run.path)
    changed = [name for name, value in curated.hashes.items() if (run.lock.get("data") or {}).get(name) != value]
    if changed:
        warn(
            f"data source {', '.join(changed)} changed since this run was trained; rows keep their split, new ones join"
        )
    checkpoint = session.arguments.options.get("ckpt_path")
    if checkpoint is None:
        session.model.load_adapter(run.adapter)
    else:
        content = torch.load(_checkpoint(run, checkpoint), map_location="cpu", weights_only=True)
        session.model.restore_trained(content["state_dict"])
    session.model.to(device(session.trainer_options))
    session.model.eval()
    tuned = TransformersModel(session.model, session.generation, session.seed)
    return tuned, tuned.baseline("base"), curated


def _checkpoint(run: Run, wanted: str) -> Path:
    if wanted == "last" and run.last_checkpoint is not None:
        return run.last_checkpoint
    if Path(wanted).is_file():
        return Path(wanted)
    there = ", ".join(sorted(p.name for p in (run.path / "checkpoints").glob("*.ckpt"))) or "none"
    msg = f"--ckpt_path {wanted} is no checkpoint; {run.path / 'checkpoints'} holds: {there}"
    raise RecipeError(msg)


def validate(session: Session) -> int:
    """Measure on the validation split; decides nothing."""
    _measure(session, "validation", decide=False)
    return 0


def test(session: Session) -> int:
    """Measure on the test split and decide: exit code 3 when a threshold is missed."""
    found = _measure(session, "test", decide=True)
    return 0 if found.met else MISSED


def _measure(session: Session, split: SplitName, *, decide: bool) -> Evaluation:
    if not session.evaluators and not session.success:
        msg = "the recipe names no evaluators; add for instance `evaluators: {rouge: ROUGE}`"
        raise RecipeError(msg)
    success = session.success if decide else {}
    audits = audits_of(success, session.audits)
    check_names(session.success, produced(session.evaluators, session.audits))
    session.generation.check()
    run = open_run(session)
    tuned, base, curated = load_run(session, run)
    examples = curated.need(split)
    with Bar() as bar:
        found = evaluate(
            tuned,
            base,
            examples,
            session.evaluators,
            success,
            seed=session.seed,
            progress=bar,
            audits=audits,
            splits=curated.splits,
        )
    directory = run.path / ("test" if split == "test" else split)
    write_evaluation(found, directory)
    show_evaluation(found, console, samples=1)
    say(f"all rows side by side: {directory / 'predictions.jsonl'}; all numbers: {directory / 'metrics.json'}")
    if decide and not session.success:
        say("the recipe states no `success`, so nothing was decided")
    return found
