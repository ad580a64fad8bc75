"""Measures the tuned model beside its base, runs audits, decides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tunesmith.data.example import Example
from tunesmith.errors import DataError, RecipeError
from tunesmith.evaluation.collect import AnsweringModel, Need, Progress, blank, check_examples, collect
from tunesmith.evaluation.compare import Comparison, compare_all
from tunesmith.evaluation.measure import Findings, Measure, Sample
from tunesmith.evaluation.subject import AuditSubject
from tunesmith.evaluation.success import Threshold, Verdict, check_names, decide, produced
from tunesmith.plugins.blame import blamed
from tunesmith.plugins.interfaces import Audit, Evaluator
from tunesmith.plugins.subject import Subject


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All that one evaluation found.

    Args:
        examples: What was asked.
        tuned: The tuned model's samples, in the examples' order.
        base: The base's; None where there was no baseline.
        tuned_measures: Measures of the tuned model by `name in the recipe/name of the measure`.
        base_measures: The base's.
        comparisons: Tuned beside base, by the same names.
        findings: What audits found, by their names in the recipe.
        verdicts: The thresholds, each met or not.
        columns: The rows' columns that evaluators read.
    """

    examples: Sequence[Example]
    tuned: Sequence[Sample]
    base: Sequence[Sample] | None
    tuned_measures: Mapping[str, Measure]
    base_measures: Mapping[str, Measure] | None
    comparisons: Mapping[str, Comparison]
    findings: Mapping[str, Findings] = field(default_factory=dict)
    verdicts: Sequence[Verdict] = ()
    columns: Sequence[str] = ()

    @property
    def met(self) -> bool:
        """Whether every threshold was met."""
        return all(verdict.met for verdict in self.verdicts)


def evaluate(
    model: AnsweringModel,
    baseline: AnsweringModel | None,
    examples: Sequence[Example],
    evaluators: Mapping[str, Evaluator],
    success: Mapping[str, Threshold],
    seed: int = 0,
    progress: Progress | None = None,
    audits: Mapping[str, Audit] | None = None,
    splits: Mapping[str, Sequence[Example]] | None = None,
) -> Evaluation:
    """Measure both models on the same examples, compare them row by row, run audits, and decide.

    Thresholds and gold columns are checked before a model runs.

    Args:
        model: The tuned model.
        baseline: What it is compared with; None measures the tuned model alone.
        examples: What is asked.
        evaluators: By name in the recipe.
        success: Thresholds by metric; empty decides nothing.
        seed: Of the comparison's resamples.
        progress: Told how far it is.
        audits: Those to run, by name in the recipe (for `test`: `audits_of(success, audits)`).
        splits: Examples by split, for audits of the data; `examples` as `test` if None.

    Raises:
        RecipeError: A threshold is wrong, or a column that an evaluator needs is not there.
        DataError: There are no examples, or one lacks a prompt or a reference that an evaluator needs.
    """
    audits = audits or {}
    check_names(success, produced(evaluators, audits))
    check_bases(success, audits, has_base=baseline is not None)
    if not examples:
        msg = "no examples to measure: the split is empty; give it a share in data.split or a source of its own"
        raise DataError(msg)
    rehearse(evaluators, examples)
    needs = _needs(evaluators, audits)
    base = collect(baseline, examples, needs, progress, "base") if baseline is not None else None
    tuned = collect(model, examples, needs, progress, "tuned")
    tuned_measures = _measure(evaluators, tuned)
    base_measures = _measure(evaluators, base) if base is not None else None
    data = splits if splits is not None else {"test": examples}
    findings = examine(audits, AuditSubject(data, model, tuned))
    of_base = examine(_comparable(audits), AuditSubject(data, baseline, base)) if baseline is not None else {}
    comparisons = compare_all(tuned_measures, base_measures, seed)
    verdicts = decide(
        success,
        {name: c.tuned for name, c in comparisons.items()} | audit_metrics(findings),
        {name: c.base for name, c in comparisons.items()} | audit_metrics(of_base),
    )
    columns = tuple(dict.fromkeys(column for evaluator in evaluators.values() for column in evaluator.columns()))
    return Evaluation(examples, tuned, base, tuned_measures, base_measures, comparisons, findings, verdicts, columns)


def examine(audits: Mapping[str, Audit], subject: Subject) -> dict[str, Findings]:
    """Run audits, in the recipe's order.

    Raises:
        TunesmithError: An audit failed, or returned other metrics than it says that it produces.
    """
    found = {}
    for name, audit in audits.items():
        with blamed(f"audits.{name}", audit):
            found[name] = audit.examine(subject)
            if unsaid := found[name].metrics.keys() - {m.name for m in audit.produces()}:
                msg = f"produces() does not say that it measures {', '.join(sorted(unsaid))}"
                raise ValueError(msg)
    return found


def audits_of(success: Mapping[str, Threshold], audits: Mapping[str, Audit]) -> dict[str, Audit]:
    """The audits that thresholds name: those that `test` runs."""
    named = {key.split("/", 1)[0] for key in success}
    return {name: audit for name, audit in audits.items() if name in named}


def audit_metrics(findings: Mapping[str, Findings]) -> dict[str, float]:
    """The metrics of findings, as `success` names them."""
    return {f"{name}/{key}": value for name, found in findings.items() for key, value in found.metrics.items()}


def check_bases(success: Mapping[str, Threshold], audits: Mapping[str, Audit], *, has_base: bool) -> None:
    """Check thresholds that are relative to the base, before anything runs.

    Raises:
        RecipeError: There is no value of the base that one could be relative to.
    """
    comparable = _comparable(audits)
    for key, threshold in success.items():
        name = key.split("/", 1)[0]
        if threshold.of is None or (has_base and (name not in audits or name in comparable)):
            continue
        why = f"{name} audits the data, which is the same for both models" if has_base else "no base is measured here"
        msg = f"success.{key}.of is {threshold.of}, but {why}: leave `of` out and write a plain value"
        raise RecipeError(msg)


def _comparable(audits: Mapping[str, Audit]) -> dict[str, Audit]:
    """Audits of a model or its outputs; those of the data would find the same for any model."""
    return {name: audit for name, audit in audits.items() if audit.needs & {"model", "outputs"}}


def _needs(evaluators: Mapping[str, Evaluator], audits: Mapping[str, Audit]) -> set[Need]:
    needs: set[Need] = {need for evaluator in evaluators.values() for need in evaluator.needs}
    if any("outputs" in audit.needs for audit in audits.values()):
        needs.add("output")
    return needs


def _measure(evaluators: Mapping[str, Evaluator], samples: Sequence[Sample]) -> dict[str, Measure]:
    measures: dict[str, Measure] = {}
    for name, evaluator in evaluators.items():
        with blamed(f"evaluators.{name}", evaluator):
            for measure in evaluator.measure(samples):
                if len(measure.values) != len(samples):
                    given = f"{len(measure.values)} values for {len(samples)} samples"
                    msg = f"{measure.name} has {given}; give one each, nan where it does not apply"
                    raise ValueError(msg)
                measures[f"{name}/{measure.name}"] = measure
    return measures


def rehearse(evaluators: Mapping[str, Evaluator], examples: Sequence[Example]) -> None:
    """Measure an empty answer, so that what a row lacks is found before minutes of generation.

    One row is asked for each source and each set of columns in it.

    Raises:
        RecipeError: A column that an evaluator needs is not there.
        DataError: An example lacks a prompt or a reference that an evaluator needs.
    """
    check_examples(examples, _needs(evaluators, {}))
    first = {(example.origin.source, frozenset(example.extras)): example for example in reversed(examples)}
    _measure(evaluators, blank(list(first.values())))
