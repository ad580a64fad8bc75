"""What `test` would refuse or could not tell, found before it costs anything."""

from tunesmith.cli.trainer_cli import Session
from tunesmith.data.pipeline import Curated
from tunesmith.evaluation.measuring import own_rows, rehearse
from tunesmith.evaluation.run_test import audits_of, check_bases
from tunesmith.evaluation.slices import kinds_asked, slices_of
from tunesmith.evaluation.threshold import BASE, check_names, check_slices, produced


def check_judgement(session: Session) -> None:
    """Find before anything runs what `test` would refuse.

    Raises:
        RecipeError: Thresholds, baselines, slices or decoding make no sense.
    """
    for name, baseline in session.baselines.items():
        baseline.check(name)
    session.comparison.check()
    known = produced(session.evaluators, session.audits)
    check_names(session.success, known, session.audits, [BASE, *session.baselines])
    check_bases(session.success, audits_of(session.success, session.audits), has_base=True)
    session.generation.check()


def check_rows(session: Session, curated: Curated) -> None:
    """Find before training what the rows lack that `test` needs.

    Raises:
        RecipeError: A column is not there, or training rows are fewer than a baseline shows.
        DataError: A row lacks a prompt or a reference that an evaluator needs.
    """
    rows = curated.splits["test"] or curated.splits["validation"]
    known = produced(session.evaluators, session.audits)
    check_slices(session.success, known, own_rows(session.evaluators))
    rehearse(session.evaluators, rows)
    for name, baseline in session.baselines.items():
        baseline.asking(curated.splits["train"], session.seed, name)
    if rows:
        slices_of(rows, kinds_asked(session.comparison, session.success, known))
