"""`audit --outputs`: audits of logged answers, compared with a baseline's, for a scheduler to watch."""

import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tunesmith.cli.runs import Run, chosen_run, find_run, write_json
from tunesmith.cli.screen import console, fact, say, warn
from tunesmith.cli.session import Session
from tunesmith.data.rejected import Rejected
from tunesmith.errors import DataError, RecipeError
from tunesmith.evaluation.before import audit_measures, before_of
from tunesmith.evaluation.drift import Drift, drifts
from tunesmith.evaluation.finding_tables import drift_table, show_findings
from tunesmith.evaluation.log_rows import seconds
from tunesmith.evaluation.logs import Logs, parted, read_logs
from tunesmith.evaluation.measure import Findings, Measure
from tunesmith.evaluation.records import plain, write_findings
from tunesmith.evaluation.run_test import check_bases, examine
from tunesmith.evaluation.signs import marks_of, put
from tunesmith.evaluation.success import Verdict, decide
from tunesmith.evaluation.threshold import BASE, Threshold
from tunesmith.plugins.interfaces import Audit

_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([mhdw])")
_NAMED = 4
_UNITS = {"m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}


@dataclass(frozen=True, slots=True)
class Watched:
    """What was found in logged outputs.

    Args:
        verdicts: Thresholds.
        findings: By the audit's name.
        directory: Where all is written.
        run: Whose outputs they are said to be; None where the recipe has no run here.
        about: What else is told: rows, baseline, drift.
        looked_at: What identifies the rows, where the recipe's data alone was audited.
    """

    verdicts: list[Verdict]
    findings: Mapping[str, Findings]
    directory: Path
    run: Run | None
    about: dict[str, Any]
    looked_at: dict[str, Any] = field(default_factory=dict)


def audit_outputs(session: Session, bounds: Mapping[str, Threshold], known: Mapping[str, Measure]) -> Watched:
    """Examine logged outputs, and compare them with a baseline's where there is one.

    Audits of data look at the logged answers as at examples; audits that ask the model are left out, and their
    thresholds are not judged.

    Args:
        session: The recipe.
        bounds: Thresholds on audits.
        known: What audits produce.

    Raises:
        RecipeError: No audit reads outputs, or a threshold is relative to a base that is not there.
        DataError: The log cannot be read, or more rows of it than `data.reject_limit` allows.
    """
    options = session.arguments.options
    path, since = Path(options["outputs"]), _since(options.get("since"))
    audits = {name: audit for name, audit in session.audits.items() if "model" not in audit.needs}
    left = [name for name in session.audits if name not in audits]
    if not audits:
        msg = f"--outputs {path} is read by no audit of this recipe: {', '.join(left)} ask the model; leave it out"
        raise RecipeError(msg)
    judged = {key: threshold for key, threshold in bounds.items() if key.split("/", 1)[0] in audits}
    run = _run(session)
    directory = (run.path if run is not None else session.root / session.name) / "logged"
    logs = _read(session, path, directory)
    period = f" since {options['since']}" if since is not None else ""
    baseline, said = _baseline(session), options.get("baseline", "")
    if since is not None:
        logs, earlier = parted(logs, since)
        if baseline is None and len(earlier):
            baseline, said = earlier, f"rows before {options['since']}"
    if not len(logs):
        msg = f"--outputs {path} holds no row{period}"
        raise DataError(msg)
    check_bases(judged, audits, has_base=baseline is not None)
    say(f"{len(logs):,} logged outputs of {path}{period}")
    if left:
        thresholds = [key for key in bounds if key not in judged]
        more = f"; not judged: {', '.join(thresholds)}" if thresholds else ""
        fact("left out", f"{', '.join(left)}: asks the model, and not what was logged{more}")
    findings = examine(audits, logs.subject)
    old = _of_baseline(audits, baseline, said) if baseline is not None else {}
    moved: list[Drift] = []
    if baseline is not None and old:
        both = {name: audits[name] for name in old}
        sides = [_flat(found) for found in (findings, old)]
        moved = drifts(both, known, (logs, sides[0]), (baseline, sides[1]), session.seed)
    verdicts = decide(judged, audit_measures(findings, known), {BASE: audit_measures(old, known)})
    # what was logged is confidential, and is no run's own: its rows are named by file and line, and not copied
    write_findings(findings, directory, before_of(said, old))
    write_json(directory / "drift.json", _drift_record(moved, said, logs, baseline))
    show_findings(findings, console)
    if moved:
        assert baseline is not None
        put(console, drift_table(moved, (len(logs), len(baseline)), said, marks_of(console)))
        for note, keys in _notes(moved).items():
            more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
            say(f"no interval for {', '.join(keys[:_NAMED])}{more}: {note}")
    about = {"outputs": str(path), "rows": len(logs), "set_aside": len(logs.rejects), "since": options.get("since")}
    return Watched(
        verdicts, findings, directory, run, about | {"left_out": left} | _drift_record(moved, said, logs, baseline)
    )


def _since(said: str | None) -> float | None:
    """`7d` (minutes, hours, days, weeks ago), or a time as logs have it."""
    if said is None:
        return None
    if span := _SPAN.fullmatch(said.strip()):
        return time.time() - float(span[1]) * _UNITS[span[2]]
    if (found := seconds(said)) == found:  # not nan
        return found
    msg = f"--since {said} is no time; write a date (2026-11-29, 2026-11-29T12:00Z) or how long ago (30m, 12h, 7d, 2w)"
    raise RecipeError(msg)


def _run(session: Session) -> Run | None:
    """The run that answered, for where the findings go; logs may be watched where there is none."""
    if chosen := session.arguments.options.get("run"):
        return chosen_run(chosen)
    try:
        return find_run(session.root, session.name, session.config, session.home)
    except RecipeError:
        return None


def _read(session: Session, path: Path, directory: Path) -> Logs:
    logs = read_logs(path, classes=_classes(session), evaluators=session.evaluators)
    rejected = Rejected()
    for reject in logs.rejects:
        rejected.add("outputs", reject)
    rejected.write(directory / "rejected.jsonl")
    bad, total, limit = len(logs.rejects), len(logs) + len(logs.rejects), session.data.reject_limit
    if bad > limit * total:
        first = "\n".join(f"  {reject.told()}" for reject in logs.rejects[:3])
        msg = (
            f"--outputs {path}: {bad} of {total} rows cannot be read; data.reject_limit allows {100 * limit:.3g} %\n"
            f"{first}\nall of them: {directory / 'rejected.jsonl'}"
        )
        raise DataError(msg)
    if bad:
        warn(f"{bad} of {total} rows of {path} cannot be read and are left out, see {directory / 'rejected.jsonl'}")
    return logs


def _classes(session: Session) -> bool:
    return session.model.objective.model_class == "classification"


def _baseline(session: Session) -> Logs | None:
    said = session.arguments.options.get("baseline")
    if said is None:
        return None
    path = Path(said)
    if path.is_dir():
        path = chosen_run(said, "--baseline").path / "test/predictions.jsonl"
        if not path.is_file():
            msg = f"--baseline {said} was not tested, so that it holds no outputs: lightning-cli test --run {said} ..."
            raise RecipeError(msg)
    logs = read_logs(path, classes=_classes(session), evaluators=session.evaluators)
    if not any(sample.output for sample in logs.samples):
        msg = f"--baseline {said} holds no answers; a `test` with an evaluator that reads outputs writes some"
        raise DataError(msg)
    if logs.rejects:
        warn(f"{len(logs.rejects)} rows of {path} cannot be read and are left out")
    return logs


def _of_baseline(audits: Mapping[str, Audit], baseline: Logs, said: str) -> dict[str, Findings]:
    """What audits find in the baseline; one that cannot look at it is not compared."""
    found: dict[str, Findings] = {}
    for name, audit in audits.items():
        try:
            found |= examine({name: audit}, baseline.subject)
        except DataError as error:  # a column that the logs have, and a run's predictions.jsonl has not
            warn(f"audits.{name} cannot be compared with {said}: {error}")
    return found


def _flat(findings: Mapping[str, Findings]) -> dict[str, float]:
    return {f"{name}/{key}": value for name, found in findings.items() for key, value in found.metrics.items()}


def _notes(moved: list[Drift]) -> dict[str, list[str]]:
    notes: dict[str, list[str]] = {}
    for one in moved:
        if one.note:
            notes.setdefault(one.note, []).append(one.key)
    return notes


def _drift_record(moved: list[Drift], said: str, logs: Logs, baseline: Logs | None) -> dict[str, Any]:
    beside = None if baseline is None else {"what": said, "rows": len(baseline)}
    record: dict[str, Any] = plain(
        {
            "baseline": beside,
            "drift": [asdict(one) | {"difference": one.difference, "change": one.change} for one in moved],
        }
    )
    return {"rows": len(logs)} | record
