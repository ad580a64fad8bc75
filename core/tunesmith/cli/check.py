"""What `recipes check` finds: all that is wrong in a recipe and shows before a base is loaded."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tunesmith.cli.arguments import Arguments
from tunesmith.cli.handing_on import check_handing_on, check_heads
from tunesmith.cli.judgement import check_judgement
from tunesmith.cli.place import place_of
from tunesmith.cli.quiet import quieten
from tunesmith.cli.trainer_checks import check_length, check_stated_monitors, check_strategy
from tunesmith.cli.trainer_cli import Session, open_session
from tunesmith.data.first_rows import look
from tunesmith.data.pipeline import check_options
from tunesmith.errors import DataError
from tunesmith.recipe.compose import compose
from tunesmith.training.averaging import averaging
from tunesmith.training.base_address import check_address


@dataclass(frozen=True)
class Checked:
    """What is to be said about a recipe that is good.

    Args:
        absent: Data that is not here: a recipe may be good where its data is not.
        remarks: What `fit` may stumble over.
    """

    absent: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def open_unrun(
    verb: str, configs: Sequence[str], plugins: Sequence[str], trust: Sequence[str], stage: str | None = None
) -> Session:
    """Open a recipe, or a stage of it, for a verb of `recipes`, checked as `fit` would up to where it opens files.

    Raises:
        RecipeError: Anything in the recipe is wrong.
    """
    quieten()
    named = {"config": list(configs), "plugin": list(plugins), "trust": list(trust)}
    options = {} if stage is None else {"stage": stage}
    session = open_session(Arguments(verb, options, repeated=named), resolve=False)
    check_length(session)
    check_handing_on(session)
    check_judgement(session)
    check_strategy(session)
    place_of(session.trainer_options)  # a Trainer that never runs: it refuses what it would refuse
    session.model.schedule.check()
    session.model.check_regularizers()
    averaging(session.callbacks)
    check_stated_monitors(session)
    session.data.check()
    check_options(session.data.sources, session.data.split, session.data.reject_limit)
    return session


def open_stages(verb: str, configs: Sequence[str], plugins: Sequence[str], trust: Sequence[str]) -> list[Session]:
    """The same of each stage of a recipe, in order; of a recipe without stages, of the recipe.

    Raises:
        RecipeError: Anything in the recipe is wrong.
    """
    stages: list[str | None] = [*compose(configs).stages] or [None]
    sessions = [open_unrun(verb, configs, plugins, trust, stage) for stage in stages]
    check_heads(sessions)
    return sessions


def check_recipe(
    configs: Sequence[str], plugins: Sequence[str] = (), trust: Sequence[str] = (), rows: int = 100
) -> Checked:
    """Check a recipe, the first rows of its data and the address of its base. Loads no base and writes nothing.

    Args:
        configs: The recipe and what is laid over it.
        plugins: Files with plugins of the user's own.
        trust: Prefixes of `--trust`.
        rows: Rows of each source that are read and formatted; 0 opens no file.

    Raises:
        RecipeError: Anything in the recipe is wrong.
        DataError: A source names something that is no file of rows, no first row of a source can be read, or the base
            is not there.
    """
    parts = [_check_one(session, rows) for session in open_stages("recipes check", configs, plugins, trust)]
    absent = dict.fromkeys(text for part in parts for text in part.absent)
    return Checked(list(absent), list(dict.fromkeys(text for part in parts for text in part.remarks)))


def _check_one(session: Session, rows: int) -> Checked:
    """The same of a recipe without stages, or of one of them."""
    found = look(session.data.sources, rows, session.data.reject_limit, session.data.formatters)
    for key in ("keep_together", "by_time", "stratify"):
        found.check_column(key, getattr(session.data.split, key))
    if found.wrong:
        raise DataError("\n".join(found.wrong))
    untold = check_address(session.model.base)
    return Checked(found.absent, [*found.remarks, *([untold] if untold else [])])
