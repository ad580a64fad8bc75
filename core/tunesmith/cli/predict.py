"""The verb `predict`: answers to one prompt or to a file of rows, base and tuned side by side."""

import copy
from pathlib import Path

from tunesmith.cli.evaluate import Bar, load_run, open_run
from tunesmith.cli.screen import console, say
from tunesmith.cli.trainer_cli import Session
from tunesmith.data.example import Example, Message
from tunesmith.data.pipeline import curate
from tunesmith.data.split import Split
from tunesmith.errors import RecipeError
from tunesmith.evaluation.collect import collect
from tunesmith.evaluation.records import prediction_records, write_predictions
from tunesmith.evaluation.tables import show_samples


def predict(session: Session) -> int:
    """Answer; exit code 0."""
    options = session.arguments.options
    if ("prompt" in options) == ("input" in options):
        msg = 'predict needs one of --prompt "..." and --input FILE (rows as the recipe\'s first source has them)'
        raise RecipeError(msg)
    session.generation.check()
    run = open_run(session)
    tuned, base, _ = load_run(session, run)
    examples = [_asked(options["prompt"])] if "prompt" in options else _rows(session, options["input"], run.path)
    with Bar() as bar:
        theirs = collect(base, examples, {"output"}, bar, "base")
        mine = collect(tuned, examples, {"output"}, bar, "tuned")
    show_samples(mine, theirs, console, limit=1 if "prompt" in options else 3)
    if "input" in options or "output" in options:
        path = Path(options.get("output", run.path / "predictions.jsonl"))
        path.parent.mkdir(parents=True, exist_ok=True)
        write_predictions(prediction_records(examples, mine, theirs), path)
        say(f"{len(examples)} answers: {path}")
    return 0


def _asked(prompt: str) -> Example:
    return Example(messages=(Message("user", prompt),), id="prompt")


def _rows(session: Session, file: str, directory: Path) -> list[Example]:
    """The file's rows, read and formatted as the recipe's first source, without its curators."""
    name, first = next(iter(session.data.sources.items()))
    source = copy.copy(first)
    source.path, source.split = str(Path(file).absolute()), "test"
    read = curate(
        {name: source},
        {},
        Split(),
        seed=session.seed,
        reject_limit=session.data.reject_limit,
        keep_rejected=session.data.keep_rejected,
        rejected_file=directory / "rejected-predict.jsonl",
    )
    return read.need("test")
