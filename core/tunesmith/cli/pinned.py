"""A verb that reads a run loads the commit of a hub's base that the run was made from, not the newest."""

from tunesmith.cli.runs import Run
from tunesmith.cli.trainer_cli import Session
from tunesmith.errors import DataError
from tunesmith.training.hub_commit import locked_commit, why_absent


def pin(session: Session, run: Run, *, or_newest: bool = False) -> None:
    """Have the base loaded at the commit that the run's lock names; nothing where that is no commit of the hub.

    Args:
        session: The opened recipe, whose base is not loaded yet.
        run: The run.
        or_newest: Whether the newest commit will do where that one is absent.

    Raises:
        DataError: It is absent; says how to get it.
    """
    base = session.model.base
    commit = locked_commit(base, (run.lock.get("base") or {}).get(base))
    if commit is None:
        return
    if why := why_absent(base, commit):
        if or_newest:
            return
        msg = f"model.base: {run.path} was made from another commit than the newest: {why}"
        raise DataError(msg)
    session.model.revision = commit
