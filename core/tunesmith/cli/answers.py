"""Where answers are kept beside the runs, and what identifies the models that gave them."""

from pathlib import Path

from tunesmith.cli.runs import Run
from tunesmith.cli.trainer_cli import Session
from tunesmith.data.identity import key_of
from tunesmith.evaluation.known import Known
from tunesmith.recipe.code_identity import class_code, file_hash, frame
from tunesmith.recipe.lock import base_revision, environment, folder_hash, template_revision
from tunesmith.recipe.package_fs import resolve


def known_answers(session: Session, run: Run, checkpoint: Path | None) -> tuple[Known, Known]:
    """What the tuned model and its base have said before.

    Args:
        session: The recipe, whose base is loaded.
        run: Whose adapter is measured.
        checkpoint: A checkpoint that is measured in its place.
    """
    base = _base_key(session)
    weights = folder_hash(run.adapter) if checkpoint is None else file_hash(checkpoint)
    folder = answers_folder(session)
    return Known(folder, key_of(base, weights)), Known(folder, base)


def known_of_base(session: Session) -> Known:
    """What the base of a recipe, which is loaded, has said before."""
    return Known(answers_folder(session), _base_key(session))


def _base_key(session: Session) -> str:
    model = session.model
    return key_of(
        base_revision(resolve(model.base), model.revision),
        template_revision(model.template),
        model.template,
        # how the base is loaded is the adapter's business: QLoRA has it in four bits
        session.config["model"].get("adapter"),
        class_code(type(model.adapter)),
        session.seed if model.from_scratch else None,
        model.format,
        model.runs_on.type,
        frame(),
        environment(),
    )


def answers_folder(session: Session) -> Path:
    """Where the answers lie that the models of a recipe gave."""
    return session.root / session.name / "answers"
