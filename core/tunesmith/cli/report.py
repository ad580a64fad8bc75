"""The report of a run, renewed by the verbs that find something out about it."""

from tunesmith.cli.runs import Run, find_run
from tunesmith.cli.screen import fact, is_first_rank, warn
from tunesmith.cli.trainer_cli import Session
from tunesmith.errors import RecipeError
from tunesmith.report.run_write import write_report


def renew_report(run: Run) -> None:
    """Write `report.html` and `report.md`, and say where; a verb that has done its work does not fail by them."""
    if not is_first_rank():
        return
    try:
        fact("report", f"{write_report(run.path)}")
    except Exception as error:  # hours of training must not end as a failure because of a page that can be made again
        warn(f"report.html could not be written ({type(error).__name__}: {error}); all else of {run.path} is whole")


def renew_report_of_data(session: Session) -> None:
    """Renew the report of the newest run of a recipe whose data was audited, where there is a run."""
    try:
        run = find_run(session.root, session.name, session.config, session.home)
    except RecipeError:
        return
    renew_report(run)
