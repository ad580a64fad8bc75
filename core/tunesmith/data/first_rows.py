"""Whether sources are what their formatters read, by their first rows: found before a base is loaded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from tunesmith.data.gather import gathered
from tunesmith.data.hub import Hub
from tunesmith.data.intake import to_example
from tunesmith.data.matching import EndlessPatternError
from tunesmith.data.read import Read, file_ending, read_file
from tunesmith.data.read_as import settled
from tunesmith.data.rows import Reject
from tunesmith.data.sources import Opened, Source
from tunesmith.errors import AbsentDataError, listed
from tunesmith.nearest import did_you_mean
from tunesmith.plugins.interfaces import Formatter

# Their header, or schema, says all columns that there are.
_TABLES = frozenset({".csv", ".tsv", ".parquet"})
# A second or two, where a pattern begins at a root that holds millions.
_MOST_ENTRIES = 50_000


@dataclass
class FirstRows:
    """What the first rows of all sources show.

    Args:
        absent: One message for each file that is not there.
        remarks: What `fit` may stumble over.
        wrong: What `fit` refuses.
        columns: All columns that were seen, as they were read and as `map` names them.
        partial: Whether rows that were not read may have other columns.
    """

    absent: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    columns: set[str] = field(default_factory=set)
    partial: bool = False

    def check_column(self, key: str, name: str | None) -> None:
        """Look for the column that an option of `data.split` names."""
        if name is None or name in self.columns or self.absent or (key == "stratify" and name in ("label", "task")):
            return
        where = " of the first rows" if self.partial else ""
        near, known = did_you_mean(name, self.columns), listed(sorted(self.columns))
        told = f"data.split.{key}: {name} is not a column{where or ' of any source'}{near}{known}"
        (self.remarks if self.partial else self.wrong).append(told)


def look(
    sources: Mapping[str, Source],
    most: int,
    reject_limit: float,
    formatters: Sequence[type[Formatter]] | None = None,
) -> FirstRows:
    """Read and format the first rows of each source; nothing is written.

    Args:
        sources: By name.
        most: Rows of a source at most, spread evenly over its files, and at least one of each. 0 reads none.
        reject_limit: The share of a source's rows that may be unreadable; applied where all rows were read.
        formatters: All that the recipe may name, for those that choose among them; None for all that are installed.

    Raises:
        DataError: A source names something that is no file of rows, or a file that cannot be read at all.
        TunesmithError: A formatter failed with anything but RowError.
    """
    found = FirstRows(partial=most == 0)
    for name, source in sources.items():
        try:
            opened = Opened(name, source, _MOST_ENTRIES)
        except AbsentDataError as error:
            found.absent += error.missing
        except EndlessPatternError as error:
            found.partial = True
            found.remarks.append(f"{error}; `fit` looks through them all: name a folder that holds little else")
        else:
            _look_at(found, opened, source, most, reject_limit, formatters)
    return found


def _look_at(
    found: FirstRows,
    opened: Opened,
    source: Source,
    most: int,
    reject_limit: float,
    formatters: Sequence[type[Formatter]] | None,
) -> None:
    key = opened.key.removesuffix(".path")
    for part in opened.parts:
        if isinstance(part, Hub):
            found.partial = True
            found.remarks.append(f"{opened.key}: {part} is not read here, as it may have to be fetched; `prepare` does")
    if not most or not any(isinstance(part, Path) for part in opened.parts):
        return
    if opened.is_local:
        source = replace(source, formatter=settled(opened, source, formatters))
    read, bad = 0, []
    rows, whole = _first(found, opened, most)
    for row in gathered(rows, source):
        read += 1
        made = row if isinstance(row, Reject) else to_example(opened.name, source, row)
        if isinstance(made, Reject):
            bad.append(made)
            found.columns.update(made.row if isinstance(made.row, Mapping) else ())
        else:
            found.columns.update(made[1])
    if not read:
        raise opened.no_rows()
    if not bad:
        return
    formatter, first = type(source.formatter).__name__, _place(bad[0])
    if len(bad) == read:
        found.wrong.append(f"{key}: {formatter} can read none of the first {read} rows\n  {first}")
    else:
        allows = f"data.reject_limit allows {100 * reject_limit:.3g} % of all"
        which = f"its {read}" if whole else f"the first {read}"
        said = f"{key}: {formatter} cannot read {len(bad)} of {which} rows; {allows}\n  {first}"
        # of a part nobody knows whether the rest is better
        (found.wrong if whole and len(bad) > reject_limit * read else found.remarks).append(said)


def _first(found: FirstRows, opened: Opened, most: int) -> tuple[list[Read], bool]:
    """The first rows, and whether they are all."""
    files = [part for part in opened.parts if isinstance(part, Path)]
    each, first = max(1, most // len(files)), []
    whole = len(files) == len(opened.parts)
    for file in files:
        rows = read_file(file)
        first += list(islice(rows, each))
        if next(rows, None) is not None:
            whole = False
            found.partial = found.partial or file_ending(file) not in _TABLES
    return first, whole


def _place(reject: Reject) -> str:
    """Where the row is and what is wrong; with all columns, since a wrong formatter shows in them."""
    columns = reject.columns or (tuple(reject.row) if isinstance(reject.row, Mapping) else ())
    return f"{reject.told()}{listed(columns)}"
