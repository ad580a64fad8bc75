"""What one command did: its exit code, what it printed, and what it wrote, read back."""

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

_SPLITS = ("train", "validation", "test")
_WRITES = {"test": "test", "validate": "validate"}


@dataclass(frozen=True)
class Outcome:
    """What one command did.

    Since 0.7.

    Args:
        code: Its exit code: 0 done, 1 our fault, 2 the user's mistake, 3 success was not met.
        out: Standard output.
        err: Standard error: warnings, and the message where the code is 1 or 2.
        run: The run directory that it made (`fit`) or used; None where there is none.
        losses: The training loss of each logged step, of `fit`.
        logged: Each column of `metrics.csv`, of `fit`, its empty cells left out; a regularizer's is `reg/<name>`.
        measures: What was measured, of `test` and `validate`: `{"exact/exact_match": {"base": 0.0, "tuned": 0.5}}`;
            nan where there is no value.
        verdict: Whether success was met, of `test`; None where nothing was decided.
        findings: What each audit found, of `audit` and `test`, as in `findings.json`.
        counts: What happened to the rows, of `prepare`, as in `counts.json`.
        examples: The examples of each split, of `prepare`.
    """

    code: int
    out: str
    err: str
    run: Path | None = None
    losses: list[float] = field(default_factory=list)
    logged: dict[str, list[float]] = field(default_factory=dict)
    measures: dict[str, dict[str, float]] = field(default_factory=dict)
    verdict: bool | None = None
    findings: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, Any] = field(default_factory=dict)
    examples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


def look(outcome: Outcome, verb: str, runs: Path) -> Outcome:
    """Add what the verb wrote.

    Args:
        outcome: Exit code, output and run directory.
        verb: What was run.
        runs: The folder of the recipe's runs, where data and audits of data alone lie.
    """
    if outcome.code not in (0, 3):  # what lies there is of an earlier command
        return outcome
    run = outcome.run or runs
    if verb == "fit":
        logged = _curve(run / "metrics.csv")
        return replace(outcome, logged=logged, losses=logged.get("loss", []))
    if verb in _WRITES:
        record = _read(run / _WRITES[verb] / "metrics.json")
        measures = {name: _models(values) for name, values in record.get("metrics", {}).items()}
        findings = _read(run / _WRITES[verb] / "findings.json")
        return replace(outcome, measures=measures, verdict=record.get("met"), findings=findings)
    if verb == "audit":
        return replace(outcome, findings=_read(run / "audit" / "findings.json"))
    if verb == "prepare":
        examples = {split: _lines(runs / "data" / f"{split}.jsonl") for split in _SPLITS}
        return replace(outcome, counts=_read(runs / "data" / "counts.json"), examples=examples)
    return outcome


def _curve(path: Path) -> dict[str, list[float]]:
    if not path.is_file():
        return {}
    columns: dict[str, list[float]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            for name, cell in row.items():
                columns.setdefault(name, []).extend([float(cell)] if cell else [])
    return columns


def _models(values: Mapping[str, Any]) -> dict[str, float]:
    """The value of each model; JSON has no nan."""
    return {name: math.nan if values[name] is None else values[name] for name in ("base", "tuned") if name in values}


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
