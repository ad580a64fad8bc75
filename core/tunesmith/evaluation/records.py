"""Writes what was found, as JSON, in which nan and infinity become null."""

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tunesmith.data.example import Example, Message
from tunesmith.evaluation.before import Before, EvidenceRow, among_all
from tunesmith.evaluation.compare import Comparison
from tunesmith.evaluation.measure import Findings, Mark, Measure, Sample
from tunesmith.evaluation.run_test import Evaluation, Own
from tunesmith.evaluation.success import Verdict

Json = Any


def write_evaluation(evaluation: Evaluation, directory: Path, about: Mapping[str, Json] | None = None) -> None:
    """Write `metrics.json` and `predictions.jsonl`, and `findings.json` where audits ran.

    What an earlier evaluation left there and this one does not have is taken out, its `junit.xml` too.

    Args:
        evaluation: What was found.
        directory: Where.
        about: What was measured (recipe, run, split, seed, step), as `metrics.json` begins.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for left in (directory / "junit.xml", directory / "findings.json", *directory.glob("predictions-*.jsonl")):
        left.unlink(missing_ok=True)
    _write(directory / "metrics.json", plain(about or {}) | evaluation_record(evaluation))
    told = {"tuned": Told(evaluation.tuned, evaluation.tuned_measures, evaluation.tuned_marks)}
    if evaluation.base is not None:
        told = {"base": Told(evaluation.base, evaluation.base_measures or {}, evaluation.base_marks)} | told
    told |= {name: Told(other.samples, other.measures, other.marks) for name, other in evaluation.others.items()}
    rows = prediction_records(evaluation.examples, told, evaluation.columns, evaluation.own)
    write_predictions(rows, directory / "predictions.jsonl")
    for name, own in evaluation.own.items():
        write_predictions(_own_records(evaluation, name, own), directory / f"predictions-{name}.jsonl")
    if evaluation.findings:
        write_findings(evaluation.findings, directory, evaluation.before, evaluation.evidence)


def write_findings(
    findings: Mapping[str, Findings],
    directory: Path,
    before: Mapping[str, Before] | None = None,
    evidence: Mapping[str, Sequence[EvidenceRow]] | None = None,
) -> None:
    """Write `findings.json`: what each audit found, by its name in the recipe.

    Args:
        findings: What.
        directory: Where.
        before: What they found elsewhere.
        evidence: Rows that show it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    _write(directory / "findings.json", findings_record(findings, before, evidence))


def write_verdicts(verdicts: Sequence[Verdict], directory: Path, about: Mapping[str, Json]) -> None:
    """Write `verdicts.json`: what `audit` decided, as `metrics.json` says it of a test.

    Args:
        verdicts: What was decided.
        directory: Where.
        about: What was audited (step), as the file begins.
    """
    directory.mkdir(parents=True, exist_ok=True)
    _write(directory / "verdicts.json", plain(about) | plain({"verdicts": _verdict_records(verdicts)}))


def write_predictions(rows: Iterator[dict[str, Json]], path: Path) -> None:
    """Write one line of JSON a row."""
    # half of a surrogate pair, which JSON can say and UTF-8 cannot, is left as JSON's own escape
    with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
        for row in rows:
            file.write(json.dumps(plain(row), ensure_ascii=False, allow_nan=False) + "\n")


def evaluation_record(evaluation: Evaluation) -> dict[str, Json]:
    """Values, intervals and verdicts as plain data."""
    record = {
        "n": len(evaluation.examples),
        "met": evaluation.met if evaluation.verdicts else None,
        "metrics": comparisons_record(evaluation.comparisons),
        "verdicts": _verdict_records(evaluation.verdicts),
        "baselines": {name: comparisons_record(other.comparisons) for name, other in evaluation.others.items()},
        "slices": [
            {
                "kind": one.part.kind,
                "value": one.part.value,
                "n": len(one.part.rows),
                "metrics": comparisons_record(one.comparisons),
            }
            for one in evaluation.slices
        ],
    }
    plainly: dict[str, Json] = plain(record)
    return plainly


def _verdict_records(verdicts: Sequence[Verdict]) -> list[dict[str, Json]]:
    return [asdict(verdict) | {"met": verdict.met} for verdict in verdicts]


def comparisons_record(comparisons: Mapping[str, Comparison]) -> dict[str, Json]:
    """Comparisons as plain data, by metric."""
    return {
        name: {k: v for k, v in asdict(one).items() if k != "name"} | {"change": one.change}
        for name, one in comparisons.items()
    }


def _own_records(evaluation: Evaluation, name: str, own: Own) -> Iterator[dict[str, Json]]:
    """Records of rows that an evaluator brought along, with its measures alone."""

    def of(measures: Mapping[str, Measure] | None) -> dict[str, Measure]:
        return {key: one for key, one in (measures or {}).items() if key.split("/", 1)[0] == name}

    told = {} if own.base is None else {"base": Told(own.base, of(evaluation.base_measures))}
    told["tuned"] = Told(own.tuned, of(evaluation.tuned_measures))
    told |= {key: Told(other.own[name], of(other.measures)) for key, other in evaluation.others.items()}
    return prediction_records(own.examples, told)


def findings_record(
    findings: Mapping[str, Findings],
    before: Mapping[str, Before] | None = None,
    evidence: Mapping[str, Sequence[EvidenceRow]] | None = None,
) -> dict[str, Json]:
    """Findings as plain data; args as `write_findings`."""
    among = among_all(findings)
    return {
        name: plain(
            asdict(found)
            | ({"p_among_audits": among[name]} if name in among else {})
            | ({"before": asdict(before[name])} if before and name in before else {})
            | ({"rows": [asdict(row) for row in evidence[name]]} if evidence and evidence.get(name) else {})
        )
        for name, found in findings.items()
    }


@dataclass(frozen=True, slots=True)
class Told:
    """What one model said, and what was found in it.

    Args:
        samples: Its samples, in the examples' order.
        measures: Its measures by name, for each row's values.
        marks: What evaluators point at in them, by the evaluator's name.
    """

    samples: Sequence[Sample]
    measures: Mapping[str, Measure] = field(default_factory=dict)
    marks: Mapping[str, Sequence[Sequence[Mark]]] = field(default_factory=dict)


def prediction_records(
    examples: Sequence[Example],
    models: Mapping[str, Told],
    columns: Sequence[str] = (),
    without: Collection[str] = (),
) -> Iterator[dict[str, Json]]:
    """One record a row: what was asked, what was wanted, what each model said, and how good that was.

    Args:
        examples: What was asked.
        models: What each model said, by its name; one at least.
        columns: The rows' columns to write; those that evaluators read.
        without: Evaluators whose measures are of other rows.
    """
    for i, example in enumerate(examples):
        asked = next(iter(models.values())).samples[i]  # of texts that are gone on with, the example has no prompt
        yield {
            "id": example.id,
            "origin": {"source": example.origin.source, "file": example.origin.file, "line": example.origin.line},
            "task": example.task,
            "prompt": [_turn(turn) for turn in asked.prompt],
            "reference": asked.reference,
            **({} if asked.label is None else {"label": asked.label}),
            "columns": {column: example.extras[column] for column in columns if column in example.extras},
            **{
                name: _said(told.samples[i], told.measures, i, without) | _pointed(told.marks, i)
                for name, told in models.items()
            },
        }


def plain(value: Any) -> Json:
    """Copy as JSON has it: lists for tuples, null for numbers that it does not have, text for other objects."""
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)


def _said(sample: Sample, measures: Mapping[str, Measure], row: int, without: Collection[str]) -> dict[str, Json]:
    said: dict[str, Json] = {"output": sample.output, "stopped": sample.stopped}
    if sample.tokens:
        said |= {"logprob": sample.logprob, "tokens": sample.tokens}
    if sample.rejected_tokens:
        said |= {"rejected": sample.rejected, "rejected_tokens": sample.rejected_tokens}
    if sample.answer_tokens:
        said |= {"prompt_tokens": sample.prompt_tokens, "answer_tokens": sample.answer_tokens}
    if sample.probabilities:
        said["probabilities"] = dict(sample.probabilities)
    if sample.timing is not None:
        said["timing"] = asdict(sample.timing)
    of_rows = {name: measure for name, measure in measures.items() if name.split("/", 1)[0] not in without}
    return said | {"measures": {name: float(measure.values[row]) for name, measure in of_rows.items()}}


def _pointed(marks: Mapping[str, Sequence[Sequence[Mark]]], row: int) -> dict[str, Json]:
    found = {name: [asdict(mark) for mark in rows[row]] for name, rows in marks.items() if rows[row]}
    return {"marks": found} if found else {}


def _turn(turn: Message) -> dict[str, Json]:
    return {"role": turn.role, "content": turn.content} | dict(turn.fields)


def _write(path: Path, record: Json) -> None:
    text = json.dumps(record, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    path.write_text(text, encoding="utf-8", errors="backslashreplace")
