"""Names of metrics in narrow columns of tables: broken where a reader would."""

import re
from dataclasses import dataclass

from rich.cells import cell_len, chop_cells
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.segment import Segment

from tunesmith.printable import printable


@dataclass(frozen=True, slots=True)
class MetricName:
    """A name such as `ground/invented/citations`: a line where it fits, else broken behind a slash.

    A part that is wider than its column is broken behind `_`, `-` or a space, and anywhere where that is not enough.
    """

    name: str

    def lines(self, width: int) -> list[str]:
        """The name in lines of at most `width`."""
        lines = [""]
        for part in self._parts(width):
            if lines[-1] and cell_len(lines[-1] + part) > width:
                lines.append("")
            *full, rest = chop_cells(part, width) if cell_len(part) > width else [part]
            lines[-1:] = [*full, lines[-1] + rest]
        return lines

    def _parts(self, width: int) -> list[str]:
        parts = re.findall(r"[^/]*/|[^/]+", printable(self.name))
        return [fine for part in parts for fine in ([part] if cell_len(part) <= width else _finer(part))]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self.lines(options.max_width):
            yield Segment(line)
            yield Segment.line()

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        widest = max(map(cell_len, self.lines(options.max_width)))
        return Measurement(widest, widest)


def _finer(part: str) -> list[str]:
    return re.findall(r"[^_\- ]*[_\- ]|[^_\- ]+", part)
