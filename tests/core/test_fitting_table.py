"""Tables of findings at the width of a terminal: nothing is cut, and no name is broken by the letter."""

import io

import pytest
from rich.console import Console

from tunesmith.evaluation.fitting_table import FittingTable
from tunesmith.evaluation.measure import Table
from tunesmith.evaluation.signs import Marks

NARROW = Table(
    "origin in 400 examples",
    ("group", "examples", "share", "mentions", "prompts", "references", "by name", "to most"),
    (("latin_american", 120, 0.3, 123, 100, 23, 0, 0.5), ("middle_eastern", 90, 0.2, 95, 90, 5, 0, 0.4)),
)
WIDE = Table(
    "origin: attributes",
    ("group", "attribute", "with it", "of", "others with it", "of others", "difference", "from", "to", "PMI", "p"),
    (("middle_eastern", "unpleasantness", 12, 120, 34, 240, -0.041, -0.1, 0.03, "", 0.01),),
)


def shown(table: Table, width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO())
    console.print(FittingTable(table, Marks(), 12))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_names_are_broken_between_their_words() -> None:
    words = {word for line in shown(NARROW, 72) for word in line.split()}
    assert {"latin_", "american", "middle_", "eastern", "references"} <= words
    assert any("latin_american" in line for line in shown(NARROW, 80))  # headings give way first


def test_names_stand_above_numbers_where_there_is_no_room_beside_them() -> None:
    lines = shown(WIDE, 80)
    at = lines.index(" middle_eastern, unpleasantness")
    assert lines[at + 1].split() == ["12", "120", "34", "240", "-0.041", "-0.100", "0.030", "0.010"]
    assert lines[1] == "group, attribute"
    assert all(len(line) <= 80 for line in lines)
    (beside,) = [line for line in shown(WIDE, 120) if "unpleasantness" in line]
    assert "middle_eastern" in beside


def test_a_probability_is_never_shown_as_nothing() -> None:
    lines = shown(Table("t", ("group", "rate", "p"), (("a", 1e-5, 1e-5), ("b", 0.5, 0.25))), 80)
    assert [line.split() for line in lines[-3:-1]] == [["a", "0.000", "<0.001"], ["b", "0.500", "0.250"]]


def test_long_texts_share_the_room() -> None:
    said = "The old man, and nobody else of all that stood there, forgot where the keys were on that day."
    lines = shown(Table("pairs", ("kind", "one", "other", "nats"), (("age", said, said, 8.0),)), 80)
    (first,) = [line for line in lines if line.split()[:1] == ["age"]]
    assert first.count("The old man, and nobody else") == 2


@pytest.mark.parametrize("width", [60, 80, 100, 200])
@pytest.mark.parametrize("table", [NARROW, WIDE, Table("empty", ("group", "n"), ())])
def test_every_cell_is_there_at_any_width(table: Table, width: int) -> None:
    text = "".join("".join(shown(table, width)).split())
    for cell in ("group", *(str(cell) for row in table.rows for cell in row if isinstance(cell, int))):
        assert cell in text
