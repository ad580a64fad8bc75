"""What `test` would refuse or could not tell, found before it costs anything."""

from collections.abc import Sequence

from tunesmith.cli.models import asked, fills_in_alone
from tunesmith.cli.screen import warn
from tunesmith.cli.trainer_cli import Session
from tunesmith.data.example import Example
from tunesmith.data.pipeline import Curated
from tunesmith.errors import RecipeError
from tunesmith.evaluation.baseline import Endpoint
from tunesmith.evaluation.measuring import own_rows, rehearse
from tunesmith.evaluation.run_test import audits_of, check_bases
from tunesmith.evaluation.slices import Comparing, kinds_asked, slices_of
from tunesmith.evaluation.statistics import ENOUGH
from tunesmith.evaluation.threshold import BASE, check_names, check_slices, produced, split_key
from tunesmith.plugins.blame import blamed


def check_judgement(session: Session) -> None:
    """Find before anything runs what `test` would refuse.

    Raises:
        RecipeError: Thresholds, baselines, slices or decoding make no sense.
    """
    for name, baseline in session.baselines.items():
        baseline.check(name)
        if session.model.objective.model_class == "classification" and baseline.asks_the_base:
            msg = f"baselines.{name} asks the base, whose head for classes is random; give run, checkpoint or endpoint"
            raise RecipeError(msg)
    session.comparison.check()
    known = produced(session.evaluators, session.audits)
    check_names(session.success, known, session.audits, [BASE, *session.baselines])
    check_bases(session.success, audits_of(session.success, session.audits), has_base=True)
    session.generation.check()


def check_servers(session: Session, *, baselines: bool) -> None:
    """Ask servers that answers or judgements come from, before models answer for minutes.

    Args:
        session: The recipe.
        baselines: Whether baselines are asked as well as evaluators.

    Raises:
        RecipeError: One cannot be reached, or does not answer.
    """
    for name, evaluator in session.evaluators.items():
        with blamed(f"evaluators.{name}", evaluator):
            evaluator.ready()
    for name, baseline in session.baselines.items() if baselines else ():
        if baseline.endpoint is not None:
            Endpoint(baseline, name, session.generation, session.seed).ready()


def check_rows(session: Session, curated: Curated) -> None:
    """Find before training what the rows lack that `test` needs.

    Raises:
        RecipeError: A column is not there, or training rows are fewer than a baseline shows.
        DataError: A row lacks a prompt or a reference that an evaluator needs.
    """
    if fills_in_alone(session) and (asking := [*session.evaluators, *_of_models(session)]):
        name = type(session.model.passes.model).__name__
        key = f"{'evaluators' if asking[0] in session.evaluators else 'audits'}.{asking[0]}"
        msg = f"{key} asks the model, but {name} fills in what is masked, and neither answers nor scores texts"
        raise RecipeError(msg)
    rows = asked(session, curated.splits["test"] or curated.splits["validation"], quiet=True)
    known = produced(session.evaluators, session.audits)
    check_slices(session.success, known, own_rows(session.evaluators))
    rehearse(session.evaluators, rows)
    for name, baseline in session.baselines.items():
        baseline.asking(asked(session, curated.splits["train"], quiet=True), session.seed, name)
    if rows:
        slices_of(rows, kinds_asked(session.comparison, session.success, known))


def _of_models(session: Session) -> list[str]:
    """The audits that ask a model."""
    return [name for name, audit in session.audits.items() if audit.needs & {"model", "outputs"}]


def warn_of_few(session: Session) -> None:
    """Say before training which thresholds too few test rows will leave undecided."""
    rows = session.data.prepare_rows().splits["test"]
    if not session.success:
        return
    if len(rows) < ENOUGH:
        said = f"{len(rows)} test row{' is' if len(rows) == 1 else 's are'} too few to tell a difference from chance"
        warn(f"{said}: below {ENOUGH}, what rests on a comparison with the base will be undecided")
    if not rows:
        return
    known, least = produced(session.evaluators, session.audits), session.comparison.smallest
    cut = slices_of(asked(session, rows, quiet=True), kinds_asked(Comparing(), session.success, known))
    for key in session.success:
        if (kind := split_key(key, known)[1]) and (largest := max(len(one.rows) for one in cut[kind])) < least:
            told = f"no {kind} has the {least} test rows that comparison.smallest asks for (the largest has {largest})"
            warn(f"success.{key} will be undecided: {told}")


def warn_of_unwanted(session: Session, examples: Sequence[Example]) -> None:
    """Say so where evaluators compare outputs with answers that nobody wants."""
    number = sum(example.label is False for example in examples)
    comparing = [name for name, evaluator in session.evaluators.items() if "rejected" not in evaluator.needs]
    if number and comparing:
        them = f"{', '.join(comparing)} compare{'s' if len(comparing) == 1 else ''}"
        said = (
            f"{number} of {len(examples)} rows hold an answer that is not wanted, and {them} with it as with any other"
        )
        warn(f"{said}; give wanted rows alone to test, by a source with split: test")
