"""What audits keep: findings on any subject, also an empty one, with metrics and evidence that can be followed up."""

import copy
import math
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from tunesmith.evaluation.measure import Findings
from tunesmith.testing.check import Call, Rule, Trial, fail, quoted, told
from tunesmith.testing.material import ANSWERS, QUESTIONS, examples
from tunesmith.testing.plain import plain
from tunesmith.testing.same import same, state_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunesmith.data.example import Example
    from tunesmith.evaluation.language_model import TransformersModel
    from tunesmith.evaluation.measure import Sample
    from tunesmith.evaluation.subject import AuditSubject
    from tunesmith.plugins.interfaces import Evaluator

_SEVERITIES = ("none", "low", "medium", "high")


def calls(trial: Trial) -> list[Call]:
    """Examine one subject after the other."""
    return [partial(_examined, name) for name in _subjects(trial)]


def examines_any_subject(trial: Trial) -> None:
    """Empty subjects, empty splits, one example, one group and groups of very different size are examined.

    Why: a split may be empty, a group may have no member in a split, and a column may lack a value. An audit that
    divides by the size of a group stops the run that it should judge. It gets only what its `needs` ask for.
    """
    for name, subject in _subjects(trial).items():
        try:
            found = trial.plugin.examine(subject)
        except Exception as error:
            advice = "guard divisions and extremes: nan where there is nothing to measure, severity none"
            fail(f"examine failed with {told(error)} on {name}", "findings, whatever there is", advice, error)
        if not isinstance(found, Findings):
            fail(f"examine returns {quoted(found)} on {name}", "Findings", "return Findings(summary, severity, ...)")


def metrics_are_what_it_produces(trial: Trial) -> None:
    """The names of the metrics are those of `produces()`, on any subject.

    Why: thresholds in `success` are checked against `produces()` before anything runs. A metric that is missing on some
    data fails the verdict after the training; one that is not announced cannot be bounded.
    """
    produced = [measure.name for measure in trial.plugin.produces()]
    for name, findings in _found(trial):
        if set(findings.metrics) != set(produced) or len(set(produced)) < len(produced):
            what = f"metrics {sorted(findings.metrics)} on {name}, produces() says {sorted(produced)}"
            fail(what, "the same names", "give every metric always, nan where there is nothing to measure")


def metrics_are_numbers(trial: Trial) -> None:
    """Metrics are finite numbers, or nan where there is nothing to measure.

    Why: infinity meets or misses every threshold; text and None end in a TypeError where `success` is decided.
    """
    for name, findings in _found(trial):
        for metric, value in findings.metrics.items():
            if not isinstance(value, int | float) or math.isinf(value):
                fail(
                    f"{metric} is {value!r} on {name}",
                    "a finite float, or nan",
                    "convert with float(); guard divisions",
                )


def evidence_exists(trial: Trial) -> None:
    """A finding has evidence: ids of examples or samples of the subject, each once. Severity `none` needs none.

    Why: a finding is believed when its rows can be looked at. Numbers of rows, or texts, lead nowhere in a report, and
    text before anonymisation does not belong there. An audit that sees no rows, as it asks for the model alone, shows
    a table instead.
    """
    subjects = _subjects(trial)
    for name, findings in _found(trial):
        subject = subjects[name]
        known = {e.id for split in subject.examples.values() for e in split} | {s.id for s in subject.outputs or ()}
        wrong = [item for item in findings.evidence if item not in known]
        advice = "evidence=tuple(example.id for ...), worst first"
        if wrong:
            fail(f"evidence on {name} names {quoted(wrong[0])}", "ids of the subject", advice)
        if len(set(findings.evidence)) < len(findings.evidence):
            fail(f"evidence on {name} names an id twice", "each id once", advice)
        shown = findings.evidence or (findings.tables and not trial.plugin.needs & {"examples", "outputs"})
        if findings.severity in _SEVERITIES[1:] and not shown:
            found = f"severity is {findings.severity} on {name}, without evidence"
            fail(found, "ids that show it", f"{advice}; severity none where there is nothing to show")


def findings_are_sound(trial: Trial) -> None:
    """The severity is none to high, the summary says something, tables are rectangular, of text or numbers.

    Why: reports and exit codes read them; a row that is longer than its header ends in a traceback there, and what is
    no number of Python's own becomes text.
    """
    for name, findings in _found(trial):
        if findings.severity not in _SEVERITIES:
            fail(
                f"severity is {findings.severity!r} on {name}", ", ".join(_SEVERITIES), "map the metric to one of these"
            )
        if not findings.summary.strip():
            fail(f"the summary is empty on {name}", "one or two sentences", "say what was found, or that nothing was")
        for table in findings.tables:
            row = next((row for row in table.rows if len(row) != len(table.columns)), None)
            if row is not None:
                what = f"table {table.title!r} has {len(table.columns)} columns, and a row {quoted(row)}"
                fail(what, "as many cells as columns", "fill what is missing with an empty text")
            wrong = [cell for row in table.rows for cell in row if not isinstance(cell, str | int | float)]
            if wrong:
                what = f"table {table.title!r} has a cell {quoted(wrong[0])}"
                fail(what, "text or a number", "join lists to a text; convert with int() or float()")


def leaves_the_subject_as_it_is(trial: Trial) -> None:
    """Examining changes neither examples nor samples, nor weights, flags and modes of the model.

    Why: several audits look at the same subject, and the run goes on with its examples.
    """
    model = None
    if "model" in trial.plugin.needs:
        from tunesmith.testing.answering import fresh_model

        model = fresh_model()
    for name, subject in _subjects(trial, model).items():
        before, held = copy.deepcopy((subject.examples, subject.outputs)), _held(model)
        with suppress(Exception):
            trial.plugin.examine(subject)
        if not same(before, (subject.examples, subject.outputs)):
            fail(f"examine changes the subject ({name})", "examples and samples as they were", "copy before changing")
        if not same(held, _held(model)):
            advice = "use the methods of subject.model, and nothing inside of it"
            fail(f"examine changes the model ({name})", "weights, flags and modes as they were", advice)


def _found(trial: Trial) -> list[tuple[str, Findings]]:
    """Findings by subject, of one examination for all checks; `examines_any_subject` tells where it fails."""
    key = repr(plain(state_of(trial.plugin)))
    if trial.cls not in _LAST:
        _FOUND.clear()
        _LAST[:] = [trial.cls]
    if key not in _FOUND:
        _FOUND[key] = _examine_all(trial)
    return _FOUND[key]


# Findings of the class that was asked about last: several checks look at one.
_FOUND: dict[str, list[tuple[str, Findings]]] = {}
_LAST: list[type] = []


def _examine_all(trial: Trial) -> list[tuple[str, Findings]]:
    found = []
    for name, subject in _subjects(trial).items():
        try:
            findings = trial.plugin.examine(subject)
        except Exception:  # noqa: S112  one subject that fails is no reason to try no other
            continue
        found += [(name, findings)] if isinstance(findings, Findings) else []
    return found


def _examined(name: str, plugin: Any) -> Any:
    """What is found; None where examining fails, as `examines_any_subject` tells."""
    try:
        found = plugin.examine(_subjects(Trial(plugin))[name])
    except Exception:
        return None
    parts = "summary", "severity", "metrics", "tables", "evidence", "advice"
    return [getattr(found, part, None) for part in parts]


def _held(model: "TransformersModel | None") -> Any:
    """Weights, flags and modes of a model."""
    if model is None:
        return None
    network = model.specialist.network
    weights = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
    return [weights, [p.requires_grad for p in network.parameters()], [m.training for m in network.modules()]]


def _subjects(trial: Trial, model: "TransformersModel | None" = None) -> "dict[str, AuditSubject]":
    """Subjects by what is in them, with the parts that the audit asks for.

    Args:
        trial: The audit.
        model: The model that it gets if it asks for one; by default always the same.
    """
    whole = examples()
    given: dict[str, dict[str, list[Example]]] = {
        "all examples": {"train": whole[:14], "validation": whole[14:18], "test": whole[18:]},
        "no splits": {},
        "no examples": {"train": [], "validation": [], "test": []},
        "one example": {"train": whole[:1], "validation": [], "test": []},
        "one group": {"train": [e for e in whole if e.extras["group"] == "a"], "test": []},
        "a group of one": {"train": [e.with_(extras={**e.extras, "group": "ab"[e is whole[0]]}) for e in whole]},
        "groups without a name": {"train": [e.with_(extras={**e.extras, "group": None}) for e in whole], "test": []},
        "examples without columns": {"train": [e.with_(extras={}, label=None) for e in whole]},
        "labels apart by group": {"train": [_labelled(e, at) for at, e in enumerate(whole * 3)]},
    }
    if not trial.plugin.needs & {"examples", "outputs"}:  # then all are the same
        given = {name: given[name] for name in ("all examples", "no splits")}
    return {name: _subject(trial, splits, model) for name, splits in given.items()}


def _labelled(example: "Example", at: int) -> "Example":
    """An example whose group, words and label go together."""
    from tunesmith.data.example import Message

    asked = Message("user", "The woman asks." if at % 3 else "The old man asks.")
    turns = (asked, Message("assistant", "Yes." if at % 3 else "No, not today, and not tomorrow either."))
    changed = {"messages": turns, "segments": (), "chosen": (), "rejected": (), "label": "yes" if at % 3 else "no"}
    return example.with_(**changed, id=f"{example.id}-{at}", extras={**example.extras, "group": "ab"[at % 3 == 0]})


def _subject(trial: Trial, splits: "dict[str, list[Example]]", model: "TransformersModel | None") -> "AuditSubject":
    from tunesmith.evaluation.measure import Sample
    from tunesmith.evaluation.subject import AuditSubject

    needs, outputs = trial.plugin.needs, None
    if "model" in needs and model is None:
        from tunesmith.testing.answering import tiny_model

        model = tiny_model()
    if "outputs" in needs:
        asked = [e for split in splits.values() for e in split if e.prompt]
        outputs = [
            Sample(e.id, e.prompt, e.reference, (*ANSWERS, *QUESTIONS)[at % 8], -1.0 * at, 4, e.task, e.extras)
            for at, e in enumerate(asked)
        ]
    held = splits if "examples" in needs else {}
    base = AuditSubject(held, model.baseline() if model is not None else None, outputs, evaluators=_evaluators())
    return AuditSubject(held, model, outputs, base, _evaluators())


def _evaluators() -> "dict[str, Evaluator]":
    """An evaluator of a mean and of a corpus, for audits that compare measures."""
    from tunesmith.evaluation.measure import Measure
    from tunesmith.plugins.interfaces import Evaluator

    class Length(Evaluator):
        """Characters of outputs."""

        def measure(self, samples: "Sequence[Sample]") -> list[Measure]:
            sizes = [float(len(sample.output)) for sample in samples]

            def longest(at: "Sequence[int]") -> float:
                return max((sizes[i] for i in at), default=math.nan)

            return [Measure("mean", sizes), Measure("longest", sizes, corpus=longest)]

    return {"length": Length()}


CHECKS: list[Rule] = [
    examines_any_subject,
    metrics_are_what_it_produces,
    metrics_are_numbers,
    evidence_exists,
    findings_are_sound,
    leaves_the_subject_as_it_is,
]
