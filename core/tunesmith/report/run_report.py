"""What a report of a run says, out of the run's files alone: the same for HTML and Markdown."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tunesmith.report.audited import Audited, Cells, audited, drift_cells
from tunesmith.report.compared import Compared, SlicesOf, by_slices, compared, important
from tunesmith.report.losses import Points
from tunesmith.report.run_files import RunFiles, read_run
from tunesmith.report.seen_rows import Seen, see_rows
from tunesmith.report.verdict import Decision, Line, decision, lines_of

Json = Any
# Metrics that rows can be chosen by; more would leave each too few rows.
_SELECTABLE = 20


@dataclass(frozen=True)
class RunReport:
    """All that a report says.

    Args:
        files: What it is made from.
        recipe: The recipe's name.
        options: The recipe; empty where it cannot be read.
        decision: The verdict.
        compared: Metrics beside each baseline, by its name; `base` first.
        slices: Metrics of parts of the rows.
        directions: Metrics that rows can be chosen by, those of thresholds first: whether higher is better.
        seen: What the rows hold; None where there are none.
        audits: What audits found.
        judged: What `audit` decided, by what ran it.
        drift: How metrics of logged outputs have moved; None where that was not looked at.
    """

    files: RunFiles
    recipe: str
    options: Mapping[str, Json]
    decision: Decision
    compared: Mapping[str, list[Compared]]
    slices: list[SlicesOf]
    directions: Mapping[str, bool]
    seen: Seen | None
    audits: list[Audited]
    judged: Mapping[str, tuple[Line, ...]]
    drift: Cells | None = None

    @property
    def began(self) -> str:
        """When the run began, as its directory's name says; empty where it has another name."""
        day, _, clock = self.files.path.name.partition("_")
        return f"{day} {clock[:8].replace('-', ':')}" if len(day) == 10 and len(clock) >= 8 else ""

    @property
    def validation(self) -> Points:
        """Validation loss by step, that before the first step included."""
        said = (self.files.result or {}).get("validation_loss")
        if said:
            return [(float(step), float(loss)) for step, loss in said if loss is not None]
        return self.files.losses.validation if self.files.losses else []

    @property
    def tasks(self) -> dict[str, Points]:
        """Validation loss by task, the one whose last is largest first; empty where there are not several."""
        found = self.files.losses.tasks if self.files.losses else {}
        return dict(sorted(found.items(), key=lambda one: -one[1][-1][1])) if len(found) > 1 else {}

    @property
    def kept(self) -> int | None:
        """The step whose weights are kept."""
        return self.files.kept

    @property
    def audited(self) -> bool:
        """Whether the verb `audit` was run."""
        files = self.files
        return any(found is not None for found in (files.audit_findings, files.data_findings, files.logged_findings))

    def names(self, key: str) -> list[str]:
        """What the recipe names under a key."""
        named = self.options.get(key)
        return [str(name) for name in named] if isinstance(named, Mapping) else []

    def command(self, verb: str, *more: str) -> str:
        """The command that runs what is absent."""
        return shlex.join(["lightning-cli", verb, "--config", str(self.files.path / "config.yaml"), *more])


def report_of(path: Path) -> RunReport:
    """Read a run's files and find out what they say.

    Args:
        path: The run's directory, as its commands are to name it.
    """
    files = read_run(path)
    measured = files.measured or {}
    metrics = measured.get("metrics") or {}
    verdict = decision(files.test, files.lock, outdated=files.outdated(files.test) is not None)
    judged = {
        "audit": lines_of(files.audit_verdicts),
        "audit of the data": lines_of(files.data_verdicts),
        "audit of logs": lines_of(files.logged_verdicts),
    }
    order = important(metrics, [line.key for line in verdict.lines])
    chosen = {name: metrics[name].get("higher_is_better") is not False for name in order[:_SELECTABLE]}
    others = {str(name): compared(record) for name, record in (measured.get("baselines") or {}).items()}
    return RunReport(
        files=files,
        recipe=str((files.lock or {}).get("recipe") or path.absolute().parent.name),
        options=_options(files.config),
        decision=verdict,
        compared={"base": compared(metrics), **others} if metrics else {},
        slices=by_slices(measured.get("slices") or [], order),
        directions=chosen,
        seen=see_rows(files.predictions, chosen) if files.predictions.is_file() else None,
        audits=audited(
            {
                _of_step("audit", files.outdated(files.audit_verdicts)): files.audit_findings,
                "audit of the data": files.data_findings,
                _of_step("test", files.outdated(files.test)): files.test_findings,
                "audit of logs": files.logged_findings,
            }
        ),
        judged={where: lines for where, lines in judged.items() if lines},
        drift=drift_cells(files.drift),
    )


def _of_step(what: str, step: int | None) -> str:
    """What found something, with whose weights it is of where these are not the run's any more."""
    return what if step is None else f"{what} of step {step} (trained further since)"


def _options(config: str | None) -> Mapping[str, Json]:
    try:
        content = yaml.safe_load(config or "")
    except yaml.YAMLError:
        return {}
    return content if isinstance(content, dict) else {}
