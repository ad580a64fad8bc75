"""What `recipes check` finds: all that is wrong in a recipe and shows before data or base are read."""

from collections.abc import Sequence

from tunesmith.cli.arguments import Arguments
from tunesmith.cli.fit import check_judgement, check_length
from tunesmith.cli.quiet import quieten
from tunesmith.cli.trainer_cli import open_session
from tunesmith.data.sources import open_sources
from tunesmith.errors import AbsentDataError


def check_recipe(configs: Sequence[str], plugins: Sequence[str] = (), trust: Sequence[str] = ()) -> list[str]:
    """Check a recipe as `fit` would, up to where it opens files.

    Args:
        configs: The recipe and what is laid over it.
        plugins: Files with plugins of the user's own.
        trust: Prefixes of `--trust`.

    Returns:
        Data that is not here: a recipe may be good where its data is not.

    Raises:
        RecipeError: Anything in the recipe is wrong.
        DataError: A source names something that is no file of rows.
    """
    quieten()
    named = {"config": list(configs), "plugin": list(plugins), "trust": list(trust)}
    session = open_session(Arguments("recipes check", repeated=named))
    check_length(session)
    check_judgement(session)
    session.model.schedule.check()
    session.data.split.check()
    try:
        open_sources(session.data.sources)
    except AbsentDataError as error:
        return list(error.missing)
    return []
