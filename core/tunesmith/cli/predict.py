"""The verb `predict`: answers to one prompt or to a file of rows, base and tuned side by side."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tunesmith.cli.evaluate import load_models, open_run
from tunesmith.cli.models import asked
from tunesmith.cli.progress import Bar
from tunesmith.cli.runs import Run
from tunesmith.cli.screen import console, fact, warn
from tunesmith.cli.tasks import stated_tool, write_tasks
from tunesmith.cli.trainer_cli import Session
from tunesmith.data.curate import change_questions
from tunesmith.data.example import Example, Message
from tunesmith.data.pipeline import curate
from tunesmith.data.read_as import ReadAs, formatters_of, settled
from tunesmith.data.sources import Opened, rename
from tunesmith.data.split import Split
from tunesmith.errors import RecipeError, RowError
from tunesmith.evaluation.class_model import ClassModel
from tunesmith.evaluation.collect import collect
from tunesmith.evaluation.records import Told, prediction_records, write_predictions
from tunesmith.evaluation.tables import show_samples
from tunesmith.plugins.interfaces import Formatter

_SHOWN = 3


class _Asking(Formatter):
    """Reads rows by another formatter's `question`; columns that `map` renames may be absent with the answer."""

    def __init__(self, formatter: Formatter, names: Mapping[str, str]) -> None:
        self.formatter = formatter
        self.names = names

    def format(self, row: Mapping[str, Any]) -> Example:
        there = {wanted: column for wanted, column in self.names.items() if column in row}
        return self.formatter.question(rename(row, there))

    def gathers(self) -> bool:
        return self.formatter.gathers()

    def gather(self, rows: Sequence[Mapping[str, Any]]) -> Iterable[Mapping[str, Any] | RowError]:
        known = [{wanted: column for wanted, column in self.names.items() if column in row} for row in rows]
        return self.formatter.gather([rename(row, there) for row, there in zip(rows, known, strict=True)])


def predict(session: Session) -> int:
    """Answer; exit code 0."""
    options = session.arguments.options
    if ("prompt" in options) == ("input" in options):
        msg = 'predict takes one of --prompt "..." and --input FILE (rows as the recipe\'s first source has them)'
        raise RecipeError(msg)
    tool = stated_tool(session.arguments)
    session.generation.check()
    run = open_run(session)
    path = Path(options.get("output", run.path / "predictions.jsonl"))
    if path.is_dir():
        msg = f"--output {path} is a folder; name the file that the answers go to"
        raise RecipeError(msg)
    path.parent.mkdir(parents=True, exist_ok=True)
    examples = [_asked(options["prompt"])] if "prompt" in options else _rows(session, options["input"], run)
    examples = change_questions(session.data.curators, examples, session.seed)
    examples = list(asked(session, examples))
    tuned, base = load_models(session, run)
    with Bar() as bar:
        theirs = collect(base, examples, {"output"}, bar, "base") if not isinstance(tuned, ClassModel) else None
        if isinstance(tuned, ClassModel):
            mine = collect(tuned, examples, {"output", "classes"}, bar, "tuned", tuned.names)
        else:
            mine = collect(tuned, examples, {"output"}, bar, "tuned")
    show_samples(mine, theirs, console, limit=_SHOWN)
    if "input" in options or "output" in options:
        told = {} if theirs is None else {"base": Told(theirs)}
        write_predictions(prediction_records(examples, {**told, "tuned": Told(mine)}), path)
        fact("answers", f"{path} ({len(examples)} rows)")
    if tool is not None:
        answers = {"tuned": [sample.output for sample in mine]}
        answers |= {"base": [sample.output for sample in theirs]} if theirs is not None else {}
        write_tasks(tool, examples, path.with_suffix(""), answers)
    return 0


def _asked(prompt: str) -> Example:
    if not prompt.strip():
        msg = "--prompt is empty; nothing to answer"
        raise RecipeError(msg)
    return Example(messages=(Message("user", prompt),), id="prompt")


def _rows(session: Session, file: str, run: Run) -> list[Example]:
    """The file's rows, read and formatted as the recipe's first source."""
    name, first = next(iter(session.data.sources.items()))
    asking = _Asking(_formatter(session, name, run), first.map or {})
    source = replace(first, path=str(Path(file).absolute()), formatter=asking, map=None, split="test")
    rejected = run.path / "rejected-predict.jsonl"
    read = curate(
        {name: source},
        {},
        Split(),
        seed=session.seed,
        reject_limit=session.data.reject_limit,
        keep_rejected=session.data.keep_rejected,
        rejected_file=rejected,
    )
    if bad := read.counts["sources"][name]["rejected"]:
        warn(f"{bad} rows of {file} cannot be read and are not answered, see {rejected}")
    return list(read.need("test"))


def _formatter(session: Session, name: str, run: Run) -> Formatter:
    """The formatter of a source: where it was chosen by the rows, the one that the run was trained with."""
    counted = (run.data.get("sources") or {}).get(name) or {}
    if found := counted.get("read as"):
        return ReadAs.of(found, formatters_of(session.catalog))
    source = session.data.sources[name]
    if type(source.formatter).settle is Formatter.settle:
        return source.formatter
    return settled(Opened(name, source), source, formatters_of(session.catalog))
