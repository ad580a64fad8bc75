"""A table that is read at any width: names are broken where a reader would, or stand above their numbers."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table as RichTable
from rich.text import Text

from tunesmith.evaluation.measure import Table
from tunesmith.evaluation.metric_name import MetricName
from tunesmith.evaluation.signs import Marks, is_probability, number, probability
from tunesmith.printable import printable

_PIECE = re.compile(r"[^_\- /]*[_\- /]|[^_\- /]+")


@dataclass(frozen=True)
class FittingTable:
    """The first rows of a table of findings.

    Where they don't fit the width, headings are folded and names broken behind `_`, `-`, `/` and spaces; where that
    is not enough, a row's names stand on a line of their own above its numbers.

    Args:
        table: What it shows.
        marks: Signs of tables.
        most: Rows that are shown.
    """

    table: Table
    marks: Marks
    most: int

    @property
    def _cells(self) -> list[list[str]]:
        return [
            [self._cell(c, heading) for c, heading in zip(row, self.table.columns, strict=True)]
            for row in self.table.rows[: self.most]
        ]

    def _cell(self, cell: str | float, heading: str) -> str:
        if isinstance(cell, float):
            is_p = is_probability(heading) and not math.isnan(cell)
            return probability(cell) if is_p else number(cell, "", self.marks)
        return printable(str(cell))

    @property
    def _is_text(self) -> list[bool]:
        rows = self.table.rows
        return [any(isinstance(row[k], str) and row[k] != "" for row in rows) for k in range(len(self.table.columns))]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        cells, is_text, width = self._cells, self._is_text, options.max_width
        headings = [printable(heading) for heading in self.table.columns]
        columns = [[heading, *(row[k] for row in cells)] for k, heading in enumerate(headings)]
        room = width - 2 * len(columns) - 1  # a space on both sides of each, and one at the edge
        whole = [max(map(cell_len, column)) for column in columns]
        least = [
            max(map(_longest_piece, column)) if text else max(_longest_piece(column[0]), *map(cell_len, column[1:]), 0)
            for column, text in zip(columns, is_text, strict=True)
        ]
        if sum(least) > room and not all(is_text):
            yield from self._stacked(cells, headings, is_text)
            return
        table = RichTable(title=self.table.title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for heading, text, best in zip(headings, is_text, _widths(whole, least, is_text, room), strict=True):
            table.add_column(heading, justify="left" if text else "right", overflow="fold", width=best)
        for row in cells:
            table.add_row(*(MetricName(cell) if text else Text(cell) for cell, text in zip(row, is_text, strict=True)))
        yield table

    def _stacked(
        self, cells: Sequence[Sequence[str]], headings: Sequence[str], is_text: Sequence[bool]
    ) -> Iterator[Text]:
        """Names above, numbers below, each under its heading."""
        numbers = [k for k, text in enumerate(is_text) if not text]
        widths = {k: max(_longest_piece(headings[k]), *(cell_len(row[k]) for row in cells), 0) for k in numbers}
        folded = {k: MetricName(headings[k]).lines(widths[k]) for k in numbers}
        height = max(map(len, folded.values()))
        heads = [{k: [*[""] * (height - len(folded[k])), *folded[k]][at] for k in numbers} for at in range(height)]
        yield Text(self.table.title, style="table.title")
        yield Text(", ".join(heading for heading, text in zip(headings, is_text, strict=True) if text), style="bold")
        for head in heads:
            yield Text("   " + "  ".join(head[k].strip().rjust(widths[k]) for k in numbers), style="bold")
        for row in cells:
            yield Text(" " + ", ".join(cell for cell, text in zip(row, is_text, strict=True) if text and cell))
            yield Text("   " + "  ".join(row[k].rjust(widths[k]) for k in numbers))
        yield Text("")


def _longest_piece(name: str) -> int:
    return max((cell_len(piece) for piece in _PIECE.findall(name)), default=0)


def _widths(whole: Sequence[int], least: Sequence[int], is_text: Sequence[bool], room: int) -> list[int]:
    """Widths of columns: all that they need where there is room; else names share what is left, then headings."""
    found, left = list(least), room - sum(least)
    for texts in (True, False):
        order = sorted((k for k, text in enumerate(is_text) if text is texts), key=lambda k: whole[k] - least[k])
        for at, k in enumerate(order):
            more = max(0, min(whole[k] - found[k], left // (len(order) - at)))
            found[k] += more
            left -= more
    return found
