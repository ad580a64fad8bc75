"""What a run's directory holds, as its report reads it; what is absent or cannot be read is None."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.report.losses import Losses, read_losses

Json = Any


@dataclass(frozen=True)
class RunFiles:
    """The files of a run.

    Args:
        path: Its directory.
        config: `config.yaml`, as it stands.
        lock: `lock.json`.
        result: `result.json`: how training went.
        losses: Of `metrics.csv`.
        data: `data.json`: what became of the rows.
        card: `card.json` of the recipe's data card, which may be of other rows than the run's.
        test: `test/metrics.json`.
        validation: `validate/metrics.json`.
        test_findings: `test/findings.json`: of audits that `success` names.
        audit_findings: `audit/findings.json`.
        audit_verdicts: `audit/verdicts.json`.
        data_findings: That beside the runs: of audits that looked at the recipe's data alone.
        data_verdicts: `verdicts.json` there.
        logged_findings: `logged/findings.json`: of audits of logged outputs.
        logged_verdicts: `logged/verdicts.json`.
        drift: `logged/drift.json`: how their metrics have moved.
        audited_others: Whether the newest audit of the recipe's data looked at other rows than the run's: then its
            findings and verdicts are left out here.
        troubles: Files that are there and cannot be read, with the reason.
    """

    path: Path
    config: str | None
    lock: dict[str, Json] | None
    result: dict[str, Json] | None
    losses: Losses | None
    data: dict[str, Json] | None
    card: dict[str, Json] | None
    test: dict[str, Json] | None
    validation: dict[str, Json] | None
    test_findings: dict[str, Json] | None
    audit_findings: dict[str, Json] | None
    audit_verdicts: dict[str, Json] | None
    data_findings: dict[str, Json] | None
    data_verdicts: dict[str, Json] | None
    logged_findings: dict[str, Json] | None = None
    logged_verdicts: dict[str, Json] | None = None
    drift: dict[str, Json] | None = None
    audited_others: bool = False
    troubles: tuple[str, ...] = ()

    @property
    def is_validation(self) -> bool:
        """Whether validation rows alone were measured: what stands in for a test then, and decides nothing."""
        return self.test is None and self.validation is not None

    @property
    def measured(self) -> dict[str, Json] | None:
        """What was measured: in the test, or on validation rows where there was none."""
        return self.validation if self.is_validation else self.test

    @property
    def folder(self) -> str:
        """Where that lies."""
        return "validate" if self.is_validation else "test"

    @property
    def kept(self) -> int | None:
        """The step whose weights are kept; None while the run is trained, or where nothing says it."""
        step = (self.result or {}).get("kept_step")
        return step if isinstance(step, int) else None

    def outdated(self, record: dict[str, Json] | None) -> int | None:
        """The step whose weights a record is of, where the run was trained further since; else None."""
        step = (record or {}).get("step")
        return step if isinstance(step, int) and step != self.kept else None

    @property
    def predictions(self) -> Path:
        """The rows that were measured; may be absent."""
        return self.path / self.folder / "predictions.jsonl"


def read_run(path: Path) -> RunFiles:
    """Read a run's files, as far as they are there."""
    troubles: list[str] = []

    def read(name: str, parse: Callable[[Path], Json]) -> Json:
        try:
            return parse(path / name)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            troubles.append(f"{name}: {error}")
            return None

    found = {
        "config": read("config.yaml", lambda file: file.read_text(encoding="utf-8", errors="replace")),
        "lock": read("lock.json", _object),
        "result": read("result.json", _object),
        "losses": read("metrics.csv", read_losses),
        "data": read("data.json", _object),
        "card": read("../data/card.json", _object),
        "test": read("test/metrics.json", _object),
        "validation": read("validate/metrics.json", _object),
        "test_findings": read("test/findings.json", _object),
        "audit_findings": read("audit/findings.json", _object),
        "audit_verdicts": read("audit/verdicts.json", _object),
        "data_findings": read("../audit/findings.json", _object),
        "data_verdicts": read("../audit/verdicts.json", _object),
        "logged_findings": read("logged/findings.json", _object),
        "logged_verdicts": read("logged/verdicts.json", _object),
        "drift": read("logged/drift.json", _object),
    }
    if audited_others := _is_of_other_rows(found["data_verdicts"], found["lock"]):
        found |= {"data_findings": None, "data_verdicts": None}
    return RunFiles(path, **found, audited_others=audited_others, troubles=tuple(troubles))


def _is_of_other_rows(audit: dict[str, Json] | None, lock: dict[str, Json] | None) -> bool:
    """Whether an audit of data says what it looked at, and that is not what the run was trained on."""
    looked, made = (audit or {}).get("looked_at"), lock or {}
    if not looked or "data" not in made:
        return False
    return bool(looked != {"data": made["data"], "options": (made.get("method") or {}).get("data")})


def _object(path: Path) -> dict[str, Json]:
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        msg = "not a map"
        raise ValueError(msg)  # noqa: TRY004  a file's content, not an argument
    return content
