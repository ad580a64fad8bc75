"""The verb `audit`: the recipe's audits on data, model or logged outputs, and their thresholds."""

from pathlib import Path
from typing import Any

from tunesmith.cli.evaluate import MISSED, load_models, load_rows, open_run
from tunesmith.cli.fit import prepare_data
from tunesmith.cli.models import asked
from tunesmith.cli.progress import Bar
from tunesmith.cli.report import renew_report, renew_report_of_data
from tunesmith.cli.runs import Run
from tunesmith.cli.screen import console, fact
from tunesmith.cli.trainer_cli import Session
from tunesmith.data.pipeline import Curated
from tunesmith.errors import RecipeError
from tunesmith.evaluation.collect import AnsweringModel, collect
from tunesmith.evaluation.logged import logged_samples
from tunesmith.evaluation.measure import Sample
from tunesmith.evaluation.measuring import classes_of, needs_of
from tunesmith.evaluation.records import write_findings, write_verdicts
from tunesmith.evaluation.run_test import audit_measures, audits_of, check_bases, examine
from tunesmith.evaluation.subject import AuditSubject
from tunesmith.evaluation.success import decide
from tunesmith.evaluation.tables import show_findings, verdict_table
from tunesmith.evaluation.threshold import BASE, check_names, produced


def audit(session: Session) -> int:
    """Audit; exit code 3 when a threshold on an audit's metric is missed."""
    if not session.audits:
        msg = "the recipe names no audits; add for instance `audits: {balance: Representation}`"
        raise RecipeError(msg)
    known = produced(session.evaluators, session.audits)
    check_names(session.success, known, session.audits, [BASE, *session.baselines])
    bounds = {key: t for key, t in session.success.items() if key.split("/", 1)[0] in session.audits}
    check_bases(bounds, session.audits, has_base="outputs" not in session.arguments.options)
    relative = audits_of({key: t for key, t in bounds.items() if t.baselines}, session.audits)
    subject, directory, run = _subjects(session)
    findings = examine(session.audits, subject)
    write_findings(findings, directory)
    show_findings(findings, console)
    of_base = {} if subject.base is None else examine(relative, subject.base)
    verdicts = decide(bounds, audit_measures(findings, known), {BASE: audit_measures(of_base, known)})
    write_verdicts(verdicts, directory, {"step": run.kept_step if run is not None else None})
    if verdicts:
        console.print(verdict_table(verdicts))
    fact("findings", f"{directory / 'findings.json'}")
    renew_report(run) if run is not None else renew_report_of_data(session)
    return 0 if all(v.passes for v in verdicts) else MISSED


def _subjects(session: Session) -> tuple[AuditSubject, Path, Run | None]:
    """What the audits may look at, tuned beside base, where the findings go, and whose they are.

    Audits of data need no trained run; the others do. Logged outputs have no base beside them.

    Raises:
        RecipeError: `--outputs` is given, and no audit reads outputs.
    """
    logged = session.arguments.options.get("outputs")
    if logged is not None and not Path(logged).is_file():
        msg = f"--outputs {logged} is no file"
        raise RecipeError(msg)
    needs = {need for audit in session.audits.values() for need in audit.needs}
    if logged is not None and "outputs" not in needs:
        read = ", ".join(f"{name} reads {' and '.join(sorted(a.needs))}" for name, a in session.audits.items())
        msg = (
            f"--outputs {logged} is read by no audit of this recipe: {read}\n"
            "leave --outputs out, or name an audit that reads outputs"
        )
        raise RecipeError(msg)
    if logged is None and needs <= {"examples"}:
        directory = session.root / session.name / "audit"
        curated = prepare_data(session, None)
        return AuditSubject(curated.splits), directory, None
    run = open_run(session)
    curated = load_rows(session, run)
    model: AnsweringModel | None = None
    base: AuditSubject | None = None
    if logged is None or "model" in needs:
        model, untuned = load_models(session, run, keep=True, train=curated.splits["train"])
        if logged is None:
            said = _answers(session, untuned, curated, needs, "base")
            base = AuditSubject(curated.splits, untuned, said, evaluators=session.evaluators)
    outputs = logged_samples(Path(logged)) if logged is not None else _answers(session, model, curated, needs, "tuned")
    return AuditSubject(curated.splits, model, outputs, base, session.evaluators), run.path / "audit", run


def _answers(
    session: Session, model: AnsweringModel | None, curated: Curated, needs: set[Any], name: str
) -> list[Sample] | None:
    """Samples of the test rows, with what the recipe's evaluators measure them by; None where no audit reads them."""
    if model is None or "outputs" not in needs:
        return None
    rows = asked(session, curated.need("test"))
    evaluators = {key: one for key, one in session.evaluators.items() if one.own_rows() is None}
    wanted = {"output", *needs_of(evaluators, {})} - {"latency"}
    if not all(row.reference or row.segments for row in rows):
        wanted -= {"logprob"}  # an audit of what is said needs no reference, though an evaluator may
    with Bar() as bar:
        return collect(model, rows, wanted, bar, name, classes_of(evaluators))
