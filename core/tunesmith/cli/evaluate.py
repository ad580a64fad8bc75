"""The verbs `test` and `validate`: tuned beside base, and, for `test`, whether success was met."""

import json
from collections.abc import Mapping, Sequence

import torch

from tunesmith.cli.answers import known_answers, known_of_base
from tunesmith.cli.device import device
from tunesmith.cli.fit import prepare_data
from tunesmith.cli.judgement import check_judgement, check_servers, warn_of_unwanted
from tunesmith.cli.models import Answering, answering, asked
from tunesmith.cli.pinned import pin
from tunesmith.cli.progress import Bar
from tunesmith.cli.report import renew_report
from tunesmith.cli.rivals import Rivals
from tunesmith.cli.runs import Run, checkpoint_of, chosen_run, digest, find_run
from tunesmith.cli.screen import console, fact, say, warn
from tunesmith.cli.trainer_cli import Session
from tunesmith.data.example import Example
from tunesmith.data.pipeline import Curated
from tunesmith.data.sources import SplitName
from tunesmith.errors import RecipeError
from tunesmith.evaluation.class_model import ClassModel
from tunesmith.evaluation.collect import AnsweringModel
from tunesmith.evaluation.junit import write_junit
from tunesmith.evaluation.language_model import TransformersModel
from tunesmith.evaluation.measure import Measure, Sample
from tunesmith.evaluation.measuring import combines
from tunesmith.evaluation.rating import write_sheets
from tunesmith.evaluation.records import write_evaluation
from tunesmith.evaluation.run_test import Evaluation, audits_of, evaluate
from tunesmith.evaluation.tables import show_evaluation
from tunesmith.recipe.lock import template_revision

MISSED = 3


def open_run(session: Session) -> Run:
    """The run that the verb reads; its path is the first line printed, and its base the one that is loaded."""
    chosen = session.arguments.options.get("run")
    run = chosen_run(chosen) if chosen else find_run(session.root, session.name, session.config, session.home)
    say(f"run {run.path}", style="bold")
    pin(session, run)
    then, now = run.lock.get("thresholds"), digest(session.config.get("success") or {})
    if then is not None and then != now:
        warn("the thresholds in `success` are not those that stood there when this run was trained")
    return run


def load_rows(session: Session, run: Run) -> Curated:
    """The curated rows, with a word where they are not those that the run was trained on."""
    curated = prepare_data(session, None)
    then = run.lock.get("data") or {}
    changed = [name for name, value in curated.hashes.items() if then.get(name) != value]
    if changed:
        told = "changed since this run was trained; rows that were there keep their split"
        warn(f"data source {', '.join(changed)} {told}")
    template = template_revision(session.model.template).get("model.template")
    if template != (run.lock.get("base") or {}).get("model.template"):
        warn(
            f"model.template {session.model.template} changed since this run was trained: other tokens than it has seen"
        )
    return curated


def load_models(
    session: Session, run: Run, *, keep: bool = False, train: Sequence[Example] | None = None
) -> tuple[AnsweringModel, AnsweringModel]:
    """The tuned model and its base, on the device.

    Args:
        session: The opened recipe.
        run: Whose model.
        keep: Whether what they say is kept for the next time.
        train: Training rows, whose most frequent class stands for a base without a head for classes.

    Raises:
        RecipeError: `--ckpt_path` names no checkpoint.
        DataError: The base cannot be loaded.
    """
    checkpoint = session.arguments.options.get("ckpt_path")
    path = checkpoint_of(run, checkpoint) if checkpoint is not None else None
    session.model.load()
    if path is None:
        session.model.load_adapter(run.adapter)
    else:
        session.model.restore_trained(torch.load(path, map_location="cpu", weights_only=True)["state_dict"])
    tuned = _answering(session, train)
    if keep and session.generation.cache:
        tuned.known, of_base = known_answers(session, run, path)
        if isinstance(tuned, TransformersModel):
            tuned.known_base = of_base
    return tuned, tuned.baseline("base")


def load_base(session: Session, train: Sequence[Example]) -> AnsweringModel:
    """The base of a recipe of which nothing was trained, on the device; what it says is kept for the next time.

    Args:
        session: The recipe.
        train: Training rows, whose most frequent class stands for a base without a head for classes.

    Raises:
        DataError: The base cannot be loaded.
    """
    session.model.load()
    model = _answering(session, train)
    if session.generation.cache and isinstance(model, TransformersModel):
        model.known_base = known_of_base(session)
    return model.baseline("base")


def _answering(session: Session, train: Sequence[Example] | None) -> Answering:
    """The loaded model on the device, ready to be asked; says what stands for a base that cannot be."""
    session.model.to(device(session.trainer_options))
    session.model.eval()
    model = answering(session, session.generation, session.seed, train)
    if train is not None and isinstance(model, ClassModel) and model.prior is not None:
        said = model.prior.answers([()])[0].text or "none of the classes"
        fact(
            "base", f"the most frequent class of the training rows ({said}), as the base has no head for these classes"
        )
    return model


def validate(session: Session) -> int:
    """Measure on the validation split; decides nothing."""
    _measure(session, "validation", decide=False)
    return 0


def test(session: Session) -> int:
    """Measure on the test split and decide: exit code 3 when a threshold is missed."""
    found = _measure(session, "test", decide=True)
    return 0 if found.met else MISSED


def _measure(session: Session, split: SplitName, *, decide: bool) -> Evaluation:
    if not session.evaluators and not session.success:
        msg = "the recipe names no evaluators; add for instance `evaluators: {rouge: ROUGE}`"
        raise RecipeError(msg)
    success = session.success if decide else {}
    audits = audits_of(success, session.audits)
    check_judgement(session)
    run = open_run(session)
    check_servers(session, baselines=decide)
    curated = load_rows(session, run)
    examples = asked(session, curated.need(split))
    warn_of_unwanted(session, examples)
    rivals = Rivals(session, curated, run) if decide else None
    tuned, base = load_models(session, run, keep=True, train=curated.splits["train"])
    with Bar() as bar:
        found = evaluate(
            tuned,
            base,
            examples,
            session.evaluators,
            success,
            seed=session.seed,
            progress=bar,
            audits=audits,
            splits=curated.splits,
            others=rivals.beside(base) if rivals is not None else {},
            comparing=session.comparison,
            training=run.processor_seconds,
        )
    directory = run.path / ("test" if split == "test" else "validate")
    about = {
        "recipe": session.name,
        "run": str(run.path),
        "split": split,
        "seed": session.seed,
        "checkpoint": session.arguments.options.get("ckpt_path"),
        "step": None if "ckpt_path" in session.arguments.options else run.kept_step,
        "generation": json.loads(session.generation.way),
    }
    write_evaluation(found, directory, about)
    if found.verdicts:
        write_junit(found.verdicts, session.name, directory / "junit.xml")
    show_evaluation(found, console, samples=1)
    for sheet in write_sheets(*_to_rate(found, session), directory, session.seed):
        fact("to rate", f"{sheet} waits for people; its evaluator says how")
    if before := sum(known.found for model in (tuned, base) if (known := getattr(model, "known", None)) is not None):
        fact("answers", f"{before:,} answers and scores of these weights were known from before")
    fact("rows", f"{directory / 'predictions.jsonl'}")
    fact("numbers", f"{directory / 'metrics.json'}")
    renew_report(run)
    if decide and not session.success:
        say("the recipe states no `success`, so nothing was decided")
    return found


def _to_rate(found: Evaluation, session: Session) -> tuple[list[Sequence[Sample]], list[Mapping[str, Measure]]]:
    """Samples of each model, and the measures that may wait for people, not those that are made of them."""
    others = list(found.others.values())
    base = [] if found.base is None else [found.base]
    samples = [found.tuned, *base, *(other.samples for other in others)]
    made = {name for name, evaluator in session.evaluators.items() if combines(evaluator)}
    measures = [found.tuned_measures, found.base_measures or {}, *(other.measures for other in others)]
    return samples, [{k: v for k, v in one.items() if k.split("/", 1)[0] not in made} for one in measures]
