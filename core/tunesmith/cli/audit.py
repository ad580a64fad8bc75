"""The verb `audit`: the recipe's audits on data, model or logged outputs, and their thresholds."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tunesmith.cli.audit_outputs import Watched, audit_outputs
from tunesmith.cli.evaluate import MISSED, load_base, load_models, load_rows, open_run
from tunesmith.cli.fit import prepare_data
from tunesmith.cli.models import asked
from tunesmith.cli.progress import Bar
from tunesmith.cli.report import renew_report, renew_report_of_data
from tunesmith.cli.runs import Run, chosen_run, method, read_json, runs_of
from tunesmith.cli.screen import console, fact, muted, say
from tunesmith.cli.trainer_cli import Session
from tunesmith.data.pipeline import Curated, curate
from tunesmith.errors import RecipeError
from tunesmith.evaluation.before import Before, audit_measures, before_of, evidence_of, on_base, recorded
from tunesmith.evaluation.collect import AnsweringModel, collect
from tunesmith.evaluation.finding_tables import show_findings
from tunesmith.evaluation.measure import Measure, Sample
from tunesmith.evaluation.measuring import classes_of, needs_of
from tunesmith.evaluation.records import plain, write_findings, write_verdicts
from tunesmith.evaluation.run_test import audits_of, check_bases, examine
from tunesmith.evaluation.subject import AuditSubject
from tunesmith.evaluation.success import decide
from tunesmith.evaluation.tables import verdict_table
from tunesmith.evaluation.threshold import BASE, Threshold, check_names, produced

RAW = "raw"
"""What `--baseline` calls the rows before curators."""


def audit(session: Session) -> int:
    """Audit; exit code 3 when a threshold on an audit's metric is missed."""
    if not session.audits:
        msg = "the recipe names no audits; add for instance `audits: {balance: Representation}`"
        raise RecipeError(msg)
    known = produced(session.evaluators, session.audits)
    check_names(session.success, known, session.audits, [BASE, *session.baselines])
    bounds = {key: t for key, t in session.success.items() if key.split("/", 1)[0] in session.audits}
    options = session.arguments.options
    if "since" in options and "outputs" not in options:
        msg = f"--since {options['since']} is of logged answers; give them with --outputs FILE"
        raise RecipeError(msg)
    with muted(session.arguments.flag("json")):
        found = audit_outputs(session, bounds, known) if "outputs" in options else _audit(session, bounds, known)
        about: dict[str, Any] = {"step": found.run.kept_step if found.run else None}
        about |= {"looked_at": found.looked_at} if found.looked_at else {}
        write_verdicts(found.verdicts, found.directory, about)
        if found.verdicts:
            console.print(verdict_table(found.verdicts))
        fact("findings", f"{found.directory / 'findings.json'}")
        renew_report(found.run) if found.run is not None else renew_report_of_data(session)
    if session.arguments.flag("json"):
        print(_line(session, found))
    return 0 if all(v.passes for v in found.verdicts) else MISSED


def _audit(session: Session, bounds: Mapping[str, Threshold], known: Mapping[str, Measure]) -> Watched:
    """Audits of data, of the model and of what it says to the test rows, beside the baseline's."""
    check_bases(bounds, session.audits, has_base=not _is_untrained(session))
    given = session.arguments.options.get("baseline")
    before = {} if given in (None, RAW) else _of_run(str(given))
    relative = audits_of({key: t for key, t in bounds.items() if t.baselines}, session.audits)
    subject, directory, run, looked_at = _subjects(session)
    with Bar() as bar:
        findings = examine(session.audits, subject, bar, BASE if run is None else "tuned")
        of_base = {} if subject.base is None else examine(on_base(session.audits, relative), subject.base, bar, BASE)
    if given == RAW:
        before = _of_raw(session)
    before = before_of(BASE, of_base) | before
    evidence = evidence_of(findings, session.audits, subject)
    write_findings(findings, directory, before, evidence)
    show_findings(findings, console, before, evidence)
    verdicts = decide(bounds, audit_measures(findings, known), {BASE: audit_measures(of_base, known)})
    return Watched(verdicts, findings, directory, run, {"baseline": given}, looked_at)


def _of_run(path: str) -> dict[str, Before]:
    """What audits found of another run.

    Raises:
        RecipeError: It is no run, or was not audited.
    """
    run = chosen_run(path, "--baseline").path
    found: dict[str, Before] = {}
    for file in (run.parent / "audit/findings.json", run / "test/findings.json", run / "audit/findings.json"):
        found |= recorded(path, read_json(file))
    if not found:
        msg = f"--baseline {path} was not audited; run first: lightning-cli audit --config {run / 'config.yaml'}"
        raise RecipeError(msg)
    return found


def _of_raw(session: Session) -> dict[str, Before]:
    """What audits of data find in the rows as they were read, before any curator."""
    of_data = {name: audit for name, audit in session.audits.items() if audit.needs <= {"examples"}}
    if not of_data:
        msg = f"--baseline {RAW} is for audits of data; this recipe's ({', '.join(session.audits)}) look at a model"
        raise RecipeError(msg)
    data = session.data
    rows = curate(
        data.sources,
        {},
        replace(data.split, near_duplicates=None),
        seed=session.seed,
        reject_limit=data.reject_limit,
        keep_rejected=False,
        rejected_file=None,
        formatters=data.formatters,
    )
    return before_of("raw rows", examine(of_data, AuditSubject(rows.splits)))


def _line(session: Session, found: Watched) -> str:
    """One line for a machine."""
    record = {
        "recipe": session.name,
        "met": all(verdict.passes for verdict in found.verdicts),
        "verdicts": [
            {"key": v.key, "value": v.value, "state": v.state, "sentence": v.sentence} for v in found.verdicts
        ],
        "findings": {
            name: {"severity": one.severity, "summary": one.summary, "metrics": one.metrics}
            for name, one in found.findings.items()
        },
        **found.about,
        "written": str(found.directory),
    }
    return json.dumps(plain(record), allow_nan=False)


def _subjects(session: Session) -> tuple[AuditSubject, Path, Run | None, dict[str, Any]]:
    """What the audits may look at, tuned beside base, where the findings go, whose they are, and of which rows.

    Audits of data need no trained run; the others look at the base alone where none was begun.
    """
    needs = _needs(session)
    if needs <= {"examples"}:
        curated = prepare_data(session, None)
        looked_at = {"data": dict(curated.hashes), "options": method(session.config)["data"]}
        return AuditSubject(curated.splits), session.root / session.name / "audit", None, looked_at
    if _is_untrained(session):
        say(f"no run of {session.name} yet: its base {session.model.base} is audited alone", style="bold")
        curated = prepare_data(session, None)
        model = load_base(session, curated.splits["train"])
        said = _answers(session, model, curated, needs, BASE)
        subject = AuditSubject(curated.splits, model, said, evaluators=session.evaluators)
        # not where reports of runs look for audits of the data
        return subject, session.root / session.name / "audit-of-base", None, {}
    run = open_run(session)
    curated = load_rows(session, run)
    model, untuned = load_models(session, run, keep=True, train=curated.splits["train"])
    said = _answers(session, untuned, curated, needs, BASE)
    base = AuditSubject(curated.splits, untuned, said, evaluators=session.evaluators)
    outputs = _answers(session, model, curated, needs, "tuned")
    return AuditSubject(curated.splits, model, outputs, base, session.evaluators), run.path / "audit", run, {}


def _needs(session: Session) -> set[Any]:
    return {need for audit in session.audits.values() for need in audit.needs}


def _is_untrained(session: Session) -> bool:
    """Whether audits look at a model of a recipe of which `fit` was never begun."""
    chosen = {"run", "ckpt_path"} & session.arguments.options.keys()
    begun = chosen or session.home is not None or runs_of(session.root, session.name)
    return bool(_needs(session) & {"model", "outputs"}) and not begun


def _answers(
    session: Session, model: AnsweringModel, curated: Curated, needs: set[Any], name: str
) -> list[Sample] | None:
    """Samples of the test rows, with what the recipe's evaluators measure them by; None where no audit reads them."""
    if "outputs" not in needs:
        return None
    rows = asked(session, curated.need("test"))
    evaluators = {key: one for key, one in session.evaluators.items() if one.own_rows() is None}
    wanted = {"output", *needs_of(evaluators, {})} - {"latency"}
    if not all(row.reference or row.segments for row in rows):
        wanted -= {"logprob"}  # an audit of what is said needs no reference, though an evaluator may
    with Bar() as bar:
        return collect(model, rows, wanted, bar, name, classes_of(evaluators))
