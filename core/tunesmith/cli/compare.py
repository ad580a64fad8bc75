"""The verb `compare`: runs of a recipe beside each other, by what they answered to the same test rows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tunesmith.cli.arguments import Arguments
from tunesmith.cli.compared import difference_lines, leaderboard, of_seeds, over_seeds, seeds_line
from tunesmith.cli.options import Parser
from tunesmith.cli.quiet import quieten
from tunesmith.cli.runs import Run, write_json
from tunesmith.cli.screen import console, fact, say, warn
from tunesmith.cli.trainer_cli import Session, open_session
from tunesmith.cli.trusted import say_trusted
from tunesmith.errors import DataError, RecipeError
from tunesmith.evaluation.compare import compare_all, corrected
from tunesmith.evaluation.logged import logged_samples
from tunesmith.evaluation.measure import Measure, Sample
from tunesmith.evaluation.measuring import Said, measured, of_other_tokens, own_rows
from tunesmith.evaluation.records import comparisons_record, plain
from tunesmith.evaluation.tables import metrics_table
from tunesmith.evaluation.threshold import split_key
from tunesmith.nearest import nearest, one_of
from tunesmith.plugins.interfaces import Evaluator

ABOUT = """\
Measures what runs answered to the same test rows with the same evaluators, row
by row, and says in what their recipes differ. A folder, such as runs/medsync,
means all runs in it that `test` has measured: the best comes first."""


@dataclass(frozen=True)
class Tested:
    """A run that `test` has measured.

    Args:
        run: The run.
        name: What it is called in tables: its folder, which is its time.
        samples: What it answered.
        record: Its `metrics.json`.
        measures: Its metrics.
    """

    run: Run
    name: str
    samples: list[Sample]
    record: dict[str, Any]
    measures: dict[str, Measure]

    @property
    def success(self) -> str:
        """How many of its thresholds it met."""
        verdicts = self.record.get("verdicts") or []
        return f"{sum(bool(one.get('met')) for one in verdicts)}/{len(verdicts)}" if verdicts else ""


def run(words: list[str]) -> int:
    """Compare; exit code 0."""
    parser = Parser(prog="lightning-cli compare", description=ABOUT)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a run directory, or a folder of runs")
    parser.add_argument(
        "--config", action="append", default=[], metavar="FILE", help="a recipe that measures (else the first run's)"
    )
    parser.add_argument("--by", metavar="METRIC", help="what runs are ordered by (else the first of `success`)")
    parser.add_argument("--output", metavar="FILE", help="write all numbers there, as JSON")
    parser.add_argument("--plugin", action="append", default=[], metavar="FILE", help="plugins that the runs use")
    parser.add_argument("--trust", action="append", default=[], metavar="PREFIX", help="an import prefix they name")
    given = parser.read(words)
    quieten()
    found = _runs([Path(word) for word in given.runs])
    say_trusted(given.plugin, given.trust)
    session = _session(found[0], given)
    evaluators = _evaluators(session, found)
    said = {name: [_samples(one, name) for one in found] for name in ("", *own_rows(evaluators))}
    for samples in said.values():
        _align(found, samples)
    tested, wholes = [], []
    for at, (one, name) in enumerate(zip(found, _names(found), strict=True)):
        whole = Said(said[""][at], {own: samples[at] for own, samples in said.items() if own})
        whole = whole.with_training(one.processor_seconds)
        wholes.append(whole)
        tested.append(Tested(one, name, said[""][at], one.tested, measured(evaluators, whole)))
    for each in tested:
        if checkpoint := each.record.get("checkpoint"):
            warn(f"{each.name} was tested by its checkpoint {checkpoint}, which is not what its training ended with")
    _check_decoding(tested)
    _check_tokens(evaluators, tested, wholes)
    by = _by(given.by, tested[0], session)
    better = tested[0].measures[by].higher_is_better
    ranked = sorted(tested, key=lambda one: _rank(one.measures[by].value, better))
    best, others = ranked[0], ranked[1:]
    beside = {one.name: compare_all(one.measures, best.measures, session.seed) for one in others}
    at_by = {one.name: one for one in corrected([replace(beside[name][by], name=name) for name in beside])}
    say(f"{len(best.samples)} test rows, by {by}: {best.name} is best", style="bold")
    console.print(leaderboard(ranked, by, at_by), soft_wrap=False)
    seeds = of_seeds(ranked)
    for ones in seeds:
        say(seeds_line(ones, by))
    for other in others[:1] if len(others) == 1 else ():
        console.print(metrics_table(beside[other.name], len(best.samples), base="best"), soft_wrap=False)
    for other in others:
        say(f"{other.name} differs from {best.name}:")
        for line in difference_lines(best.run, other.run):
            say(f"  {line}")
    if given.output:
        record = {
            "by": by,
            "best": str(best.run.path),
            "n": len(best.samples),
            "runs": {str(one.run.path): {n: m.value for n, m in one.measures.items()} for one in ranked},
            "beside the best": {name: comparisons_record(found) for name, found in beside.items()},
            "seeds": [{"runs": [str(one.run.path) for one in ones], "metrics": over_seeds(ones)} for ones in seeds],
        }
        write_json(Path(given.output), plain(record))
        fact("numbers", given.output)
    return 0


def _rank(value: float, better: bool) -> tuple[bool, float]:
    return (value != value, -value if better else value)  # nan comes last


def _runs(paths: list[Path]) -> list[Run]:
    """The runs that paths name, each once.

    Raises:
        RecipeError: A path is none, or fewer than two have been tested.
    """
    found: dict[Path, Run] = {}
    skipped = 0
    for path in paths:
        inside = sorted(at.parent for at in path.glob("*/lock.json")) if path.is_dir() else []
        if not inside and not (path / "lock.json").is_file():
            msg = f"{path} is no run directory and holds none; runs lie in runs/RECIPE/TIME"
            raise RecipeError(msg)
        for one in inside or [path]:
            if (one / "test/predictions.jsonl").is_file():
                found[one.resolve()] = run = Run(one)
                step, kept = run.tested.get("step"), run.kept_step
                if step is not None and step != kept:
                    warn(f"{one} was tested at step {step} and trained further since: test it again")
            elif inside:
                skipped += 1
            else:
                msg = f"{one} was not tested: lightning-cli test --config {one / 'config.yaml'}"
                raise RecipeError(msg)
    if skipped:
        warn(f"{skipped} run{'s' if skipped > 1 else ''} without a test left out")
    if len(found) < 2:
        msg = f"{len(found)} tested run{'s are' if len(found) != 1 else ' is'} there; a comparison takes two or more"
        raise RecipeError(msg)
    return list(found.values())


def _names(runs: list[Run]) -> list[str]:
    """What runs are called: their folders, with those above as far as these tell them apart."""
    parts = [run.path.resolve().parts for run in runs]
    for depth in range(1, max(map(len, parts))):
        names = ["/".join(one[-depth:]) for one in parts]
        if len(set(names)) == len(names):
            return names
    return [str(run.path.resolve()) for run in runs]


def _session(first: Run, given: Any) -> Session:
    """The recipe whose evaluators measure all: one that is named, else the first run's as it was trained."""
    config = given.config or [str(first.path / "config.yaml")]
    repeated = {"config": config, "plugin": given.plugin, "trust": given.trust}
    session = open_session(Arguments("test", repeated=repeated))
    if not session.evaluators:
        msg = f"{config[-1]} names no evaluators, so that nothing can be compared"
        raise RecipeError(msg)
    return session


def _evaluators(session: Session, runs: list[Run]) -> dict[str, Evaluator]:
    """The evaluators whose rows all runs have answered; says which are left out."""
    found = dict(session.evaluators)
    for name in own_rows(session.evaluators):
        lacking = [one.path for one in runs if not (one.path / f"test/predictions-{name}.jsonl").is_file()]
        if lacking:
            warn(f"{name} is left out: {lacking[0]} was tested without it")
            del found[name]
    return found


def _samples(run: Run, own: str) -> list[Sample]:
    path = run.path / f"test/predictions{f'-{own}' if own else ''}.jsonl"
    samples = logged_samples(path)
    if not samples:
        msg = f"{path} holds no row"
        raise DataError(msg)
    return samples


def _align(runs: list[Run], samples: list[list[Sample]]) -> None:
    """Insist on the same test rows, and put them in the first run's order.

    Question, reference and the columns that evaluators of both read have to be the same.

    Raises:
        DataError: They differ; says by how many.
    """
    first = {one.id: one for one in samples[0]}
    for run, said in zip(runs[1:], samples[1:], strict=True):
        rows = {one.id: one for one in said}
        gone, new = len(first.keys() - rows.keys()), len(rows.keys() - first.keys())
        shared = first.keys() & rows.keys()
        changed = sum(_reads_otherwise(first[key], rows[key]) for key in shared)
        if gone or new or changed:
            msg = (
                f"{run.path} was tested on other rows than {runs[0].path}: {gone} are not there, {new} are new, "
                f"{changed} read otherwise\nnumbers of different rows cannot be compared; test both on the same: "
                "lightning-cli test --config RECIPE --run RUN"
            )
            raise DataError(msg)
        said[:] = [rows[key] for key in first]


def _reads_otherwise(one: Sample, other: Sample) -> bool:
    columns = one.extras.keys() & other.extras.keys()
    return (one.prompt, one.reference) != (other.prompt, other.reference) or any(
        one.extras[column] != other.extras[column] for column in columns
    )


def _check_decoding(tested: list[Tested]) -> None:
    ways = [one.record.get("generation") for one in tested]
    if any(way != ways[0] for way in ways):
        warn("the runs did not decode alike (`generation`): what differs may lie in that")


def _check_tokens(evaluators: Mapping[str, Evaluator], tested: list[Tested], said: list[Said]) -> None:
    for one, its in zip(tested[1:], said[1:], strict=True):
        if names := of_other_tokens(evaluators, said[0], its):
            told = f"cannot be compared: {one.name} has other tokens than {tested[0].name}"
            warn(f"what {', '.join(names)} measure{'' if len(names) > 1 else 's'} {told}")


def _by(wanted: str | None, first: Tested, session: Session) -> str:
    names = list(first.measures)
    if wanted is None:
        bounded = [split_key(key, names)[0] for key in session.success]
        return next((key for key in bounded if key in names), names[0])
    if wanted not in names:
        near = nearest(wanted, names)
        hint = f"; did you mean {one_of(near)}?" if near else ""
        msg = f"--by {wanted} is not measured{hint}\nmetrics: {', '.join(names)}"
        raise RecipeError(msg)
    return wanted
