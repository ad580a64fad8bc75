"""What a recipe, a row or a model says is shown as it stands, wherever it is shown, and obeyed nowhere."""

from io import StringIO
from typing import Any

import pytest
from rich.table import Table
from rich.text import Text

from tunesmith.cli import audit, evaluate
from tunesmith.cli.screen import Screen
from tunesmith.evaluation.measure import Findings, Sample
from tunesmith.evaluation.measure import Table as FoundTable
from tunesmith.evaluation.tables import show_findings, show_samples

NAME = "[red]x[/red] :smile: \x1b[2J\x9b2K"
SHOWN = "[red]x[/red] :smile: \\x1b[2J\\x9b2K"


def shown(*parts: Any, show: Any = None) -> str:
    out = StringIO()
    screen = Screen(file=out, width=160, force_terminal=True, color_system=None)
    for part in parts:
        screen.print(part)
    if show is not None:
        show(screen)
    assert "\x1b" not in out.getvalue()
    assert "\x9b" not in out.getvalue()
    return out.getvalue()


def test_text_is_no_markup_in_any_part_of_a_table() -> None:
    table = Table(title=f"title {NAME}", caption=f"caption {NAME}")
    table.add_column(f"heading {NAME}")
    table.add_row(f"cell {NAME}")
    table.add_row(Text(f"text {NAME}"))
    said = shown(table, f"line {NAME}")
    for part in ("title", "caption", "heading", "cell", "text", "line"):
        assert f"{part} {SHOWN if part != 'text' else '[red]x[/red] :smile: '}" in said


def test_titles_of_findings_and_rows_are_no_markup() -> None:
    table = FoundTable(f"table {NAME}", (f"column {NAME}",), ((NAME,),))
    findings = {NAME: Findings(NAME, "low", {NAME: 1.0}, (table,), (NAME,))}
    said = shown(show=lambda screen: show_findings(findings, screen))
    for part in ("audit ", "table ", "column ", "metrics: ", "evidence: rows "):
        assert f"{part}{SHOWN}" in said
    sample = Sample(id=NAME, output=NAME, reference=NAME, prompt=())
    said = shown(show=lambda screen: show_samples([sample], None, screen))
    assert f"row {SHOWN}" in said


def test_colours_of_ours_stay() -> None:
    out = StringIO()
    Screen(file=out, force_terminal=True, color_system="standard").print(Text("met", style="green"))
    assert out.getvalue() == "\x1b[32mmet\x1b[0m\n"


def test_names_that_a_recipe_gives_are_shown_as_they_stand(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "[red]x[red]\x1b[2J"  # no / may be in a name
    evidence = {"evaluators": {name: "ExactMatch"}, "audits": {f"{name}2": "Representation"}}
    bench.write(**evidence, success={f"{name}/exact_match": {"at_least": 0.0}}, trainer={"max_steps": 1})
    bench.done("fit", "--config", "tiny.yaml")
    for verb in ("test", "validate", "audit"):
        # a terminal, on which escapes would be obeyed
        out = StringIO()
        screen = Screen(file=out, width=200, soft_wrap=True, force_terminal=True, color_system=None)
        for module in (evaluate, audit):
            monkeypatch.setattr(module, "console", screen)
        ran = bench.run(verb, "--config", "tiny.yaml")
        assert "[red]x[red]\\x1b[2J" in out.getvalue(), ran
        assert "\x1b" not in out.getvalue() + ran.out + ran.err
