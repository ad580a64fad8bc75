"""What audits found, beside what they found elsewhere (the base, raw rows, another run), and rows that show it."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from tunesmith.data.example import Example
from tunesmith.evaluation.measure import Findings, Measure, Sample
from tunesmith.evaluation.statistics import holm
from tunesmith.plugins.interfaces import Audit
from tunesmith.plugins.subject import Subject

EVIDENCE = 5
"""Rows of each audit that are shown."""
_LONGEST = 240


@dataclass(frozen=True, slots=True)
class Before:
    """What an audit found elsewhere, which its findings are put beside.

    Args:
        what: Where: `base`, `raw rows`, a run's path.
        severity: The worst of what it found there.
        metrics: Its metrics by name.
    """

    what: str
    severity: str
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """A row that shows what an audit found.

    Args:
        id: Its id.
        origin: Where it was read; empty where that is not known.
        text: What it says, in brief; empty where it must not be copied.
    """

    id: str
    origin: str
    text: str


def before_of(what: str, findings: Mapping[str, Findings]) -> dict[str, Before]:
    """Findings as those of before."""
    return {name: Before(what, found.severity, found.metrics) for name, found in findings.items()}


def recorded(what: str, record: Mapping[str, Mapping[str, Any]]) -> dict[str, Before]:
    """The findings of a `findings.json` as those of before."""
    return {
        name: Before(
            what,
            str(found.get("severity") or "none"),
            {key: math.nan if value is None else float(value) for key, value in (found.get("metrics") or {}).items()},
        )
        for name, found in record.items()
    }


def audit_measures(findings: Mapping[str, Findings], known: Mapping[str, Measure]) -> dict[str, Measure]:
    """The metrics of findings, as `success` names them.

    Args:
        findings: By name in the recipe.
        known: What audits produce, with directions and units.
    """
    values = {f"{name}/{key}": value for name, found in findings.items() for key, value in found.metrics.items()}
    return {key: replace(known[key], values=[value], single=True) for key, value in values.items()}


def on_base(audits: Mapping[str, Audit], relative: Collection[str]) -> dict[str, Audit]:
    """The audits that are run on the base too.

    Audits of a model look at the base themselves (`Subject.base`); running them on it once more takes as long again.

    Args:
        audits: By name.
        relative: Those whose thresholds are relative to the base.
    """
    said = {name for name, audit in audits.items() if "outputs" in audit.needs and "model" not in audit.needs}
    return {name: audit for name, audit in audits.items() if name in said or name in relative}


def changes(found: Mapping[str, float], before: Before) -> Iterator[tuple[str, float, float]]:
    """Metrics that have a value on both sides: name, before, now."""
    for name, value in found.items():
        old = before.metrics.get(name, math.nan)
        if not (math.isnan(value) or math.isnan(old)):
            yield name, old, value


def among_all(findings: Mapping[str, Findings]) -> dict[str, float]:
    """The p-value of each audit that has one, corrected by Holm for the number of audits.

    An audit's metric `p` is the smallest of its own p-values, corrected for their number: small by chance alone no more
    often than it says. Of several audits one may be, which this corrects.
    """
    names = [name for name, found in findings.items() if not math.isnan(found.metrics.get("p", math.nan))]
    corrected = holm([findings[name].metrics["p"] for name in names])
    return {name: p for name, p in zip(names, corrected, strict=True) if p is not None}


def evidence_of(
    findings: Mapping[str, Findings], audits: Mapping[str, Audit], subject: Subject
) -> dict[str, list[EvidenceRow]]:
    """The first rows that each audit points at, with what they say.

    Args:
        findings: By name in the recipe.
        audits: By the same names.
        subject: What they looked at.
    """
    wanted = {key for found in findings.values() for key in found.evidence[:EVIDENCE]}
    examples = {e.id: e for e in chain.from_iterable(subject.examples.values()) if e.id in wanted} if wanted else {}
    samples = {sample.id: sample for sample in subject.outputs or () if sample.id in wanted}
    rows: dict[str, list[EvidenceRow]] = {}
    for name, found in findings.items():
        first = {} if "outputs" not in audits[name].needs else samples
        shown = [_row(key, first.get(key), examples.get(key)) for key in found.evidence[:EVIDENCE]]
        rows[name] = [row for row in shown if row is not None]
    return rows


def _row(key: str, sample: Sample | None, example: Example | None) -> EvidenceRow | None:
    origin = ""
    if example is not None and example.origin.file:  # a whole path would tell whose machine it was
        origin = f"{Path(example.origin.file).name}:{example.origin.line}"
    if sample is not None:
        return EvidenceRow(key, origin, _brief([*(turn.content for turn in sample.prompt[-1:]), sample.output]))
    return None if example is None else EvidenceRow(key, origin, _brief(example.texts()))


def _brief(texts: Sequence[str]) -> str:
    """Texts on one line, each with the same share of what fits."""
    lines = [" ".join(text.split()) for text in texts]
    room = max(40, _LONGEST // max(1, len(lines)))
    return " → ".join(line if len(line) <= room else f"{line[: room - 1]}…" for line in lines[:6])
