"""Measures the tuned model beside its base, runs audits, decides."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from tunesmith.data.example import Example
from tunesmith.errors import DataError, RecipeError
from tunesmith.evaluation.baseline import Rival
from tunesmith.evaluation.before import Before, EvidenceRow, audit_measures, before_of, evidence_of, on_base
from tunesmith.evaluation.collect import AnsweringModel, Progress
from tunesmith.evaluation.compare import Comparison, compare_all, noted
from tunesmith.evaluation.measure import Findings, Mark, Measure, Sample
from tunesmith.evaluation.measuring import (
    Collect,
    Said,
    ask,
    asking,
    marked,
    measured,
    needs_of,
    of_other_tokens,
    own_rows,
    rehearse,
)
from tunesmith.evaluation.slices import Comparing, Slice, columns_of, kinds_asked, slices_of
from tunesmith.evaluation.subject import AuditSubject
from tunesmith.evaluation.success import Verdict, decide
from tunesmith.evaluation.threshold import BASE, Threshold, check_names, check_slices, produced
from tunesmith.evaluation.watched import watched
from tunesmith.plugins.blame import blamed
from tunesmith.plugins.interfaces import Audit, Evaluator

OTHER_TOKENS = "of other tokens than the tuned model's: cannot be compared"


@dataclass(frozen=True, slots=True)
class Beside:
    """A baseline besides the base: what it said, and the tuned model against it.

    Args:
        samples: Its samples, in the examples' order.
        measures: Its measures, by the names of `Evaluation.tuned_measures`.
        comparisons: The tuned model beside it; `base` in them is this baseline.
        own: Its samples of rows that evaluators brought along.
        marks: What evaluators point at in its samples, by the evaluator's name.
    """

    samples: Sequence[Sample]
    measures: Mapping[str, Measure]
    comparisons: Mapping[str, Comparison]
    own: Mapping[str, Sequence[Sample]] = field(default_factory=dict)
    marks: Mapping[str, Sequence[Sequence[Mark]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Own:
    """Rows that an evaluator brought along, and what tuned model and base said of them."""

    examples: Sequence[Example]
    tuned: Sequence[Sample]
    base: Sequence[Sample] | None


@dataclass(frozen=True, slots=True)
class Sliced:
    """The metrics of a part of the rows, tuned beside base."""

    part: Slice
    comparisons: Mapping[str, Comparison]


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
        columns: The rows' columns that evaluators read, and those that slices are cut by.
        others: Baselines besides the base, by their names in the recipe.
        slices: The metrics of parts of the rows.
        own: Rows that evaluators brought along, by the evaluator's name.
        tuned_marks: What evaluators point at in the tuned model's samples, by the evaluator's name.
        base_marks: The same in the base's.
        before: What audits found of the base, by their names.
        evidence: Rows that show what audits found, by their names.
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
    others: Mapping[str, Beside] = field(default_factory=dict)
    slices: Sequence[Sliced] = ()
    own: Mapping[str, Own] = field(default_factory=dict)
    tuned_marks: Mapping[str, Sequence[Sequence[Mark]]] = field(default_factory=dict)
    base_marks: Mapping[str, Sequence[Sequence[Mark]]] = field(default_factory=dict)
    before: Mapping[str, Before] = field(default_factory=dict)
    evidence: Mapping[str, Sequence[EvidenceRow]] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        """Whether every threshold was met, but for those that people have yet to rate."""
        return all(verdict.passes for verdict in self.verdicts)


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
    others: Mapping[str, Rival] | None = None,
    comparing: Comparing | None = None,
    training: float = math.nan,
) -> Evaluation:
    """Measure all models on the same examples, compare them row by row, run audits, and decide.

    Thresholds, slices and gold columns are checked before a model runs.

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
        others: Baselines besides, by name in the recipe.
        comparing: Which slices are looked at.
        training: Processor seconds that training the tuned model took.

    Raises:
        RecipeError: A threshold is wrong, or a column that an evaluator or a slice needs is not there.
        DataError: There are no examples, or one lacks a prompt or a reference that an evaluator needs.
    """
    audits, others, comparing = audits or {}, others or {}, comparing or Comparing()
    known = produced(evaluators, audits)
    check_names(success, known, audits, [BASE, *others])
    check_bases(success, audits, has_base=baseline is not None)
    if not examples:
        msg = "no examples to measure: the split is empty; give it a share in data.split or a source of its own"
        raise DataError(msg)
    parts = slices_of(examples, kinds_asked(comparing, success, known))
    own = own_rows(evaluators)
    check_slices(success, known, own)
    rehearse(evaluators, examples)
    for rival in others.values():
        rival.check(examples, needs_of({key: one for key, one in evaluators.items() if key not in own}, audits))
        for key, rows in own.items():
            rival.check(rows, evaluators[key].needs)

    def asked(how: Collect, name: str, training: float) -> Said:
        said = ask(how, examples, own, evaluators, audits, progress, name)
        return said.with_training(training)

    base_said = asked(asking(baseline), BASE, 0.0) if baseline is not None else None
    tuned_said = asked(asking(model), "tuned", training)
    base, tuned = base_said.samples if base_said is not None else None, tuned_said.samples
    tuned_measures = measured(evaluators, tuned_said)
    base_measures = measured(evaluators, base_said) if base_said is not None else None
    beside = {}
    for name, other in others.items():
        said = asked(other.collect, name, other.training)
        other.release()
        measures = measured(evaluators, said)
        other_tokens = of_other_tokens(evaluators, tuned_said, said)
        compared = noted(compare_all(tuned_measures, measures, seed), other_tokens, OTHER_TOKENS)
        beside[name] = Beside(said.samples, measures, compared, said.own, marked(evaluators, said))
    data = splits if splits is not None else {"test": examples}
    untuned = AuditSubject(data, baseline, base, evaluators=evaluators) if baseline is not None else None
    subject = AuditSubject(data, model, tuned, untuned, evaluators)
    findings = examine(audits, subject, progress)
    relative = audits_of({key: t for key, t in success.items() if t.baselines}, _comparable(audits))
    of_base = examine(on_base(audits, relative), untuned, progress, BASE) if untuned is not None else {}
    verdicts = decide(
        success,
        {**tuned_measures, **audit_measures(findings, known)},
        {
            BASE: {**(base_measures or {}), **audit_measures(of_base, known)},
            **{name: other.measures for name, other in beside.items()},
        },
        parts,
        comparing.smallest,
        seed,
    )
    return Evaluation(
        examples,
        tuned,
        base,
        tuned_measures,
        base_measures,
        compare_all(tuned_measures, base_measures, seed),
        findings,
        verdicts,
        tuple(dict.fromkeys([column for one in evaluators.values() for column in one.columns()] + columns_of(parts))),
        beside,
        [_sliced(part, tuned_measures, base_measures, own, seed) for kind in parts.values() for part in kind],
        {
            name: Own(rows, tuned_said.own[name], base_said.own[name] if base_said is not None else None)
            for name, rows in own.items()
        },
        marked(evaluators, tuned_said),
        marked(evaluators, base_said) if base_said is not None else {},
        before_of(BASE, of_base),
        evidence_of(findings, audits, subject),
    )


def _sliced(
    part: Slice,
    tuned: Mapping[str, Measure],
    base: Mapping[str, Measure] | None,
    own: Collection[str],
    seed: int,
) -> Sliced:
    mine = {
        name: part.of(measure)
        for name, measure in tuned.items()
        if not measure.single and name.split("/", 1)[0] not in own
    }
    theirs = None if base is None else {name: part.of(base[name]) for name in mine}
    return Sliced(part, compare_all(mine, theirs, seed))


def examine(
    audits: Mapping[str, Audit], subject: AuditSubject, progress: Progress | None = None, model: str = "tuned"
) -> dict[str, Findings]:
    """Run audits, in the recipe's order.

    Args:
        audits: By name in the recipe.
        subject: What they look at.
        progress: Told how far they are with a model, which can then be asked for samples.
        model: What progress calls the subject's model.

    Raises:
        TunesmithError: An audit failed, or returned other metrics than it says that it produces.
    """
    found = {}
    for name, audit in audits.items():
        with blamed(f"audits.{name}", audit):
            seen = subject if progress is None else watched(subject, name, progress, model)
            found[name] = audit.examine(seen)
            if unsaid := found[name].metrics.keys() - {m.name for m in audit.produces()}:
                msg = f"produces() does not say that it measures {', '.join(sorted(unsaid))}"
                raise ValueError(msg)
    return found


def audits_of(success: Mapping[str, Threshold], audits: Mapping[str, Audit]) -> dict[str, Audit]:
    """The audits that thresholds name: those that `test` runs."""
    named = {key.split("/", 1)[0] for key in success}
    return {name: audit for name, audit in audits.items() if name in named}


def check_bases(success: Mapping[str, Threshold], audits: Mapping[str, Audit], *, has_base: bool) -> None:
    """Check thresholds that are relative to a baseline, before anything runs.

    Raises:
        RecipeError: There is no value of a baseline that one could be relative to.
    """
    comparable = _comparable(audits)
    for key, threshold in success.items():
        name = key.split("/", 1)[0]
        for baseline in threshold.baselines:
            if baseline == BASE and not has_base:
                why = "no base is measured here"
            elif name in audits and name not in comparable:
                why = f"{name} audits the data, which is the same for both models"
            elif name in audits and baseline != BASE:
                why = f"audits are run on the tuned model and on {BASE} alone"
            else:
                continue
            said = f"of is {threshold.of}" if threshold.of else f"compares with {baseline}"
            msg = f"success.{key}{'.' if threshold.of else ' '}{said}, but {why}: leave it out and write a plain value"
            raise RecipeError(msg)


def _comparable(audits: Mapping[str, Audit]) -> dict[str, Audit]:
    """Audits of a model or its outputs; those of the data would find the same for any model."""
    return {name: audit for name, audit in audits.items() if audit.needs & {"model", "outputs"}}
