"""What each model is asked, for test rows and for those that evaluators bring along, and what evaluators say of it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from tunesmith.data.example import Example
from tunesmith.errors import RecipeError
from tunesmith.evaluation.collect import Asked, Need, Progress, blank, check_examples, collect
from tunesmith.evaluation.measure import Mark, Measure, Sample
from tunesmith.plugins.blame import blamed
from tunesmith.plugins.interfaces import Audit, Evaluator

Rows = Mapping[str, Sequence[Example]]
Collect = Callable[[Sequence[Example], Collection[Need], Progress | None, str, Sequence[str]], list[Sample]]


@dataclass(frozen=True, slots=True)
class Said:
    """What one model said.

    Args:
        samples: Of the test rows.
        own: Of the rows of evaluators that bring some, by the evaluator's name in the recipe.
    """

    samples: Sequence[Sample]
    own: Mapping[str, Sequence[Sample]] = field(default_factory=dict)

    def with_training(self, seconds: float) -> "Said":
        """The same, with what training its model took."""
        own = {name: [replace(one, training=seconds) for one in said] for name, said in self.own.items()}
        return Said([replace(one, training=seconds) for one in self.samples], own)


def own_rows(evaluators: Mapping[str, Evaluator]) -> dict[str, Sequence[Example]]:
    """The rows that evaluators bring along, by their names in the recipe.

    Raises:
        RecipeError: One brings an empty list, or two rows of one id.
        TunesmithError: One cannot read them.
    """
    found: dict[str, Sequence[Example]] = {}
    for name, evaluator in evaluators.items():
        with blamed(f"evaluators.{name}", evaluator):
            rows = evaluator.own_rows()
        if rows is None:
            continue
        if not rows or len({row.id for row in rows}) < len(rows):
            what = "no rows" if not rows else "rows that share an id"
            msg = f"evaluators.{name} brings {what}"
            raise RecipeError(msg)
        found[name] = rows
    return found


def asking(model: Asked) -> Collect:
    """How a model itself is asked."""
    return partial(collect, model)


def ask(
    how: Collect,
    examples: Sequence[Example],
    own: Rows,
    evaluators: Mapping[str, Evaluator],
    audits: Mapping[str, Audit],
    progress: Progress | None,
    name: str,
) -> Said:
    """Ask a model all that evaluators and audits need.

    Args:
        how: Samples of examples.
        examples: The test rows.
        own: Rows of evaluators.
        evaluators: By name.
        audits: By name.
        progress: Told how far it is.
        name: The model's.
    """
    shared = {key: one for key, one in evaluators.items() if key not in own}
    samples = how(examples, needs_of(shared, audits), progress, name, classes_of(shared))
    said = {}
    for key, rows in own.items():
        found: dict[int, Sample] = {}
        for needs, places in by_needs(key, evaluators[key], rows).items():
            some, classes = [rows[at] for at in places], classes_of({key: evaluators[key]})
            found |= zip(places, how(some, needs, progress, f"{name} ({key})", classes), strict=True)
        said[key] = [found[at] for at in range(len(rows))]
    return Said(samples, said)


def by_needs(name: str, evaluator: Evaluator, rows: Sequence[Example]) -> dict[frozenset[Need], list[int]]:
    """The places of an evaluator's own rows by what models have to produce for them.

    Raises:
        TunesmithError: It asks for one row what it does not need.
    """
    found: dict[frozenset[Need], list[int]] = {}
    for at, row in enumerate(rows):
        with blamed(f"evaluators.{name}", evaluator):
            needs = evaluator.needs_of(row)
            if more := needs - evaluator.needs:
                msg = f"needs_of gives {', '.join(sorted(more))} for {row.id}, which `needs` does not hold"
                raise ValueError(msg)
        found.setdefault(needs, []).append(at)
    return found


def needs_of(evaluators: Mapping[str, Evaluator], audits: Mapping[str, Audit]) -> set[Need]:
    """What models have to produce for the test rows."""
    needs: set[Need] = {need for evaluator in evaluators.values() for need in evaluator.needs}
    if any("outputs" in audit.needs for audit in audits.values()):
        needs.add("output")
    return needs


def classes_of(evaluators: Mapping[str, Evaluator]) -> list[str]:
    """The classes whose probabilities evaluators need, of all of them together.

    Raises:
        TunesmithError: One needs them and names none.
    """
    found: dict[str, None] = {}
    for name, evaluator in evaluators.items():
        if "classes" in evaluator.needs:
            with blamed(f"evaluators.{name}", evaluator):
                found |= dict.fromkeys(_named(evaluator))
    return list(found)


def measured(evaluators: Mapping[str, Evaluator], said: Said) -> dict[str, Measure]:
    """The measures of what a model said, by `name in the recipe/name of the measure`.

    Raises:
        TunesmithError: An evaluator failed, or gave another number of values than there are samples, or other metrics
            than it says that it produces: models could not be compared by them.
    """
    found: dict[str, list[Measure]] = {}
    for name, evaluator in evaluators.items():
        if not combines(evaluator):
            samples = said.own.get(name, said.samples)
            with blamed(f"evaluators.{name}", evaluator):
                found[name] = _checked(evaluator, evaluator.measure(samples), len(samples))
    of_rows = {f"{name}/{one.name}": one for name, ones in found.items() if name not in said.own for one in ones}
    for name, evaluator in evaluators.items():
        if name not in found:
            with blamed(f"evaluators.{name}", evaluator):
                found[name] = _checked(evaluator, evaluator.combine(of_rows) or [], len(said.samples))
    # in the recipe's order
    return {f"{name}/{one.name}": one for name in evaluators for one in found[name]}


def of_other_tokens(evaluators: Mapping[str, Evaluator], mine: Said, theirs: Said) -> list[str]:
    """Evaluators whose scores of references are of other tokens in two models, so that they cannot be compared.

    A perplexity is one of tokens: models that cut the same text into fewer have a higher one, and are no worse for it.

    Args:
        evaluators: By name in the recipe.
        mine: What one model said.
        theirs: What the other said, of the same rows.
    """
    found = []
    for name, evaluator in evaluators.items():
        if "logprob" in evaluator.needs:
            pair = (said.own.get(name, said.samples) for said in (mine, theirs))
            counts = ((one.tokens, other.tokens) for one, other in zip(*pair, strict=True))
            if any(one and other and one != other for one, other in counts):
                found.append(name)
    return found


def combines(evaluator: Evaluator) -> bool:
    """Whether an evaluator makes its metrics of those of others, and measures no samples."""
    return type(evaluator).combine is not Evaluator.combine


def marked(evaluators: Mapping[str, Evaluator], said: Said) -> dict[str, list[list[Mark]]]:
    """What evaluators point at in the samples of the test rows, by their names in the recipe.

    Raises:
        TunesmithError: An evaluator failed, or points at other rows than there are.
    """
    found = {}
    for name, evaluator in evaluators.items():
        if name in said.own:
            continue
        with blamed(f"evaluators.{name}", evaluator):
            marks = evaluator.marks(said.samples)
            if marks is not None and len(marks) != len(said.samples):
                msg = f"marks gives {len(marks)} lists for {len(said.samples)} samples; give one each"
                raise ValueError(msg)
        if marks is not None:
            found[name] = marks
    return found


def rehearse(evaluators: Mapping[str, Evaluator], examples: Sequence[Example]) -> None:
    """Measure an empty answer, so that what a row lacks is found before minutes of generation.

    One row is asked for each source and each set of columns in it, and one of those that an evaluator brings along.

    Raises:
        RecipeError: A column that an evaluator needs is not there.
        DataError: An example lacks a prompt or a reference that an evaluator needs.
    """
    own = own_rows(evaluators)
    classes_of(evaluators)
    check_examples(examples, needs_of({k: one for k, one in evaluators.items() if k not in own}, {}))
    for name, rows in own.items():
        for needs, places in by_needs(name, evaluators[name], rows).items():
            check_examples([rows[at] for at in places], needs)
    first = {(example.origin.source, frozenset(example.extras)): example for example in reversed(examples)}
    said = Said(blank(list(first.values())), {name: blank(rows[:1]) for name, rows in own.items()})
    measured(evaluators, said)


def _named(evaluator: Evaluator) -> Sequence[str]:
    if not (named := evaluator.classes()):
        msg = "needs classes, and classes() names none"
        raise ValueError(msg)
    return named


def _checked(evaluator: Evaluator, measures: list[Measure], count: int) -> list[Measure]:
    names, said = [one.name for one in measures], [one.name for one in evaluator.produces()]
    if sorted(names) != sorted(said):
        found = f"measures {', '.join(names) or 'nothing'}, and produces() says {', '.join(said) or 'nothing'}"
        msg = f"{found}: give the same metrics, each once, whatever the samples, with nan where one has none"
        raise ValueError(msg)
    for measure in measures:
        if len(measure.values) != count:
            given = f"{len(measure.values)} values for {count} samples"
            msg = f"{measure.name} has {given}; give one each, nan where it does not apply"
            raise ValueError(msg)
    return measures
