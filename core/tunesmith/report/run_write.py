"""Writes a run's report, card and profile, from the run's files alone, as often as one likes."""

from pathlib import Path

from tunesmith.report.model_card import write_card
from tunesmith.report.nist import FILE, profile
from tunesmith.report.run_markdown import run_markdown
from tunesmith.report.run_page import run_page
from tunesmith.report.run_report import report_of


def write_report(run: Path) -> Path:
    """Write `report.html`, `report.md`, the model's card and the profile by NIST's framework, in place of the former.

    Args:
        run: The directory, as the report's commands are to name it.

    Returns:
        The page.
    """
    report = report_of(run)
    write_card(report)
    for name, content in (
        (FILE, profile(report)),
        ("report.md", run_markdown(report)),
        ("report.html", run_page(report)),
    ):
        part = run / f"{name}.part"  # a reader never sees half of it
        part.write_text(content, encoding="utf-8", errors="backslashreplace")
        part.replace(run / name)
    return run / "report.html"
