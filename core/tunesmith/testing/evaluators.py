"""What evaluators keep: samples to measures that the core can pair, resample and bound."""

import copy
import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from tunesmith.evaluation.measure import Measure, Sample
from tunesmith.testing import material
from tunesmith.testing.check import Call, Rule, Trial, fail, quoted, told
from tunesmith.testing.same import same, state_of

# Gold values to try where an evaluator reads columns; the first that it takes are used.
_GOLD: tuple[Sequence[Any], ...] = (
    ("red", "", "blue; green", "The lamp is hot."),
    (["red"], [], ["blue", "green"]),
    (3, 0, 7),
    (0.5, 0.0, 2.25),
    (True, False),
)
_SMALL = 12


def calls(trial: Trial) -> list[Call]:
    """Measure a few samples, all, and others; each gives values and whole metrics."""
    given = _samples(trial.fresh())
    return [partial(_measured, part) for part in (given[:3], given, given[8:])]


def measures_odd_samples(trial: Trial) -> None:
    """Empty outputs, empty references, odd characters, broken JSON and very long answers are measured, not refused.

    Why: models answer such things, a base model above all. An exception at the last of 5,000 answers costs the hour
    that it took to generate them.
    """
    plugin, last = trial.plugin, ""
    for gold in _GOLD if plugin.columns() else ((),):
        try:
            for sample in (given := material.samples(plugin.columns(), gold or ("",), True, _classes(plugin))):
                last = f"reference {quoted(sample.reference, 60)}, output {quoted(sample.output, 60)}"
                plugin.measure([sample])
            last = f"all {len(given)} samples together"
            plugin.measure(given)
        except Exception as error:
            cause = error
        else:
            return
    advice = "give such a sample its worst value, or nan where the metric does not apply"
    fail(f"measure failed with {told(cause)} on {last}", "a value for any text, nan included", advice, cause)


def gives_one_value_a_sample(trial: Trial) -> None:
    """Each measure holds one value for each sample, in the samples' order.

    Why: the core pairs tuned with base row by row, and writes each row's values beside its answers. One number for the
    whole set has no interval and no p-value; a metric that is no mean says how to recompute itself: `corpus`.
    """
    for given in _sets(trial):
        for measure in trial.plugin.measure(given):
            if len(measure.values) != len(given):
                fail(
                    f"{measure.name} has {len(measure.values)} values for {len(given)} samples",
                    "len(values) == len(samples)",
                    "append nan where the metric does not apply to a sample",
                )


def names_do_not_depend_on_samples(trial: Trial) -> None:
    """The same measures come out for any samples, also for none: names, units, directions, in one order.

    Why: a recipe's `success` is checked against them before anything runs, and tuned and base are compared by name. A
    metric that appears only where it applies makes `test` fail after it generated all answers.
    """
    expected = _described(trial.plugin.measure([]))
    for given in _sets(trial):
        if _described(trial.plugin.measure(given)) != expected:
            fail(
                f"{_described(trial.plugin.measure(given))} for {len(given)} samples, {expected} for none",
                "the same names, units and directions in the same order",
                "return every measure always, with nan where it does not apply",
            )
    names = [name for name, _, _ in expected]
    if not names or len(set(names)) < len(names) or not all(names):
        fail(f"the measures are called {names}", "one name for each, at least one", "give each measure its own name")


def produces_what_it_measures(trial: Trial) -> None:
    """`produces()` says the names, units and directions that `measure` gives.

    Why: thresholds are checked against it before a run; a name that only one of the two knows can be bounded and never
    met, or be met and never bounded.
    """
    produced, measured = (_described(m) for m in (trial.plugin.produces(), trial.plugin.measure([])))
    if produced != measured:
        advice = "leave produces() to the base class, or bring the two in step"
        fail(f"produces() says {produced}, measure gives {measured}", "the same", advice)


def is_invariant_to_order(trial: Trial) -> None:
    """A sample's values do not depend on the samples around it, nor on their order.

    Why: values are paired and resampled row by row. A value that depends on its neighbours makes the interval wrong,
    and another batch size another result (trap 31).
    """
    given = _samples(trial)
    whole = {m.name: m.values for m in _aligned(trial, given)}
    order = [*range(1, len(given), 2), *range(0, len(given), 2)][::-1]
    for indices in (order, order[: len(order) // 2]):
        for measure in _aligned(trial, [given[at] for at in indices]):
            if measure.name not in whole:
                continue
            wanted = [float(whole[measure.name][at]) for at in indices]
            at = next((i for i, v in enumerate(measure.values) if not same(float(v), wanted[i])), None)
            if at is not None:
                fail(
                    f"{measure.name} of {given[indices[at]].id} is {wanted[at]}, and {measure.values[at]} among others",
                    "one value a sample, whatever stands beside it",
                    "measure each sample alone; what needs all of them belongs into `corpus`",
                )


def agrees_with_its_corpus(trial: Trial) -> None:
    """A metric that is recomputed by `corpus` on some of the samples is what measuring those samples anew gives.

    Why: the interval of a difference comes from resamples, in which rows repeat; `corpus` gets their indices in any
    order, and after other samples were measured. If it computes something else, the interval is one of another metric.
    """
    given = _samples(trial)
    size = len(given)
    measured = _aligned(trial, given)  # before all others, as the tuned model's are before the base's
    for indices in (range(size), list(range(size))[::-1], [0, 0, 1, 5, 5, 5], list(range(3, size, 4)), [2], []):
        anew = {m.name: m for m in _aligned(trial, [given[at] for at in indices])}
        for measure in measured:
            if measure.corpus is None or measure.name not in anew:
                continue  # a mean is what it is where `is_invariant_to_order` holds
            found, wanted = measure.at(indices), anew[measure.name].value
            if not _near(found, wanted):
                fail(
                    f"{measure.name} at {quoted(list(indices), 60)} is {found}, measured anew {wanted}",
                    "corpus(indices) computes the metric on samples[i] for i in indices, repeats included",
                    "keep what each sample contributes, and combine the contributions at `indices`",
                )


def values_are_numbers(trial: Trial) -> None:
    """Values are finite numbers, or nan where the metric does not apply to a sample.

    Why: one infinite value makes the mean, the interval and the verdict infinite or nan; text and None end in a
    TypeError far from the evaluator.
    """
    for measure in _aligned(trial, _samples(trial)):
        wrong = [v for v in measure.values if not isinstance(v, int | float) or math.isinf(v)]
        if wrong or not isinstance(measure.value, int | float) or math.isinf(measure.value):
            what = quoted(wrong[0] if wrong else measure.value)
            advice = "bound it, or give nan; convert numpy's numbers with float()"
            fail(f"{measure.name} holds {what}", "finite floats, or nan", advice)


def leaves_samples_as_they_are(trial: Trial) -> None:
    """Measuring changes no sample, nor the evaluator's own options; private attributes may keep what is costly to make.

    Why: all evaluators of a recipe see the same samples, and the base's are measured after the tuned model's.
    """
    given = _samples(trial)
    before, options = copy.deepcopy(given), copy.deepcopy(_open(trial))
    trial.plugin.measure(given)
    changed = next((a for a, b in zip(before, given, strict=True) if not same(a, b)), None)
    if changed is not None:
        fail(f"measure changes {changed.id}", "samples as they were", "copy `extras` before changing it")
    if not same(options, _open(trial)):
        fail("measure changes the evaluator's attributes", "options as they were", "keep results in local variables")


def _open(trial: Trial) -> dict[str, Any]:
    """The attributes that are not private."""
    return {name: value for name, value in state_of(trial.plugin).items() if not name.startswith("_")}


def _samples(trial: Trial) -> list[Sample]:
    """Samples with gold values that the evaluator takes."""
    columns = trial.plugin.columns()
    for gold in _GOLD if columns else ():
        given = material.samples(columns, gold, classes=_classes(trial.plugin))
        try:
            trial.plugin.measure(given)
        except Exception:  # noqa: S112  the next may do
            continue
        return given
    return material.samples(columns, _GOLD[0], classes=_classes(trial.plugin))


def _classes(plugin: Any) -> Sequence[str]:
    return plugin.classes() if "classes" in plugin.needs else ()


def _sets(trial: Trial) -> list[list[Sample]]:
    given = _samples(trial)
    return [given, given[:_SMALL], given[:1], given[-2:]]


def _aligned(trial: Trial, given: Sequence[Sample]) -> list[Measure]:
    """The measures with one value a sample; `gives_one_value_a_sample` tells of the others."""
    return [m for m in trial.plugin.measure(given) if len(m.values) == len(given)]


def _measured(given: Sequence[Sample], plugin: Any) -> Any:
    measures = _aligned(Trial(plugin), copy.deepcopy(given))
    return [(m.name, list(m.values), m.value, m.note) for m in measures]


def _described(measures: Sequence[Measure]) -> list[tuple[str, str, bool]]:
    return [(m.name, m.unit, m.higher_is_better) for m in measures]


def _near(one: float, two: float) -> bool:
    return same(float(one), float(two)) or math.isclose(one, two, rel_tol=1e-9, abs_tol=1e-12)


CHECKS: list[Rule] = [
    measures_odd_samples,
    gives_one_value_a_sample,
    names_do_not_depend_on_samples,
    produces_what_it_measures,
    is_invariant_to_order,
    agrees_with_its_corpus,
    values_are_numbers,
    leaves_samples_as_they_are,
]
