"""Rows read by formatters that were recognised, each row by the one whose columns it has."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from tunesmith.data.columns import Columns
from tunesmith.data.example import Example
from tunesmith.data.recognise import LOOKED_AT, Choice, Recognised, decide
from tunesmith.data.rows import Reject
from tunesmith.data.sources import Opened, Source, rename
from tunesmith.errors import DataError, RecipeError, RowError
from tunesmith.plugins.interfaces import Formatter


class ReadAs(Formatter):
    """Reads each row by one of some formatters.

    Args:
        choices: They, the most frequent first.
    """

    def __init__(self, choices: Sequence[Choice]) -> None:
        self.choices = list(choices)
        self._formatters = [choice.formatter() for choice in choices]

    def format(self, row: Mapping[str, Any]) -> Example:
        """Read a row by the formatter whose deciding columns it has.

        Raises:
            RowError: It has those of none of several, or the formatter cannot read it.
        """
        return self._formatters[self._at(row, whole=True)].format(row)

    def question(self, row: Mapping[str, Any]) -> Example:
        """Read a row by the formatter of whose deciding columns it has the most.

        Raises:
            RowError: The formatter cannot read it.
        """
        return self._formatters[self._at(row, whole=False)].question(row)

    def gathers(self) -> bool:
        """Whether one of the formatters gathers."""
        return any(formatter.gathers() for formatter in self._formatters)

    def gather(self, rows: Sequence[Mapping[str, Any]]) -> Iterable[Mapping[str, Any] | RowError]:
        """What each row gains by the formatter that reads it."""
        found: list[Mapping[str, Any] | RowError] = [{} for _ in rows]
        groups: dict[int, list[int]] = {}
        for at, row in enumerate(rows):
            try:
                groups.setdefault(self._at(row, whole=True), []).append(at)
            except RowError:
                continue  # `format` says so
        for number, places in groups.items():
            gains = self._formatters[number].gather([rows[at] for at in places])
            for at, gain in zip(places, gains, strict=True):
                found[at] = gain
        return found

    def describe(self) -> list[dict[str, Any]]:
        """What was chosen and why, as JSON: `of` makes the same of it, in another process and without the rows."""
        return [
            {
                "formatter": choice.name,
                "options": dict(choice.found.options),
                "columns": list(choice.found.columns),
                "why": choice.why,
            }
            for choice in self.choices
        ]

    @classmethod
    def of(cls, described: Iterable[Mapping[str, Any]], classes: Iterable[type[Formatter]]) -> "ReadAs":
        """What `describe` described.

        Raises:
            RecipeError: A formatter is not there any more.
        """
        by_name = {each.__name__: each for each in classes}
        choices = []
        for entry in described:
            if entry["formatter"] not in by_name:
                msg = f"the run's rows were read by the formatter {entry['formatter']}, which is not installed any more"
                raise RecipeError(msg)
            found = Recognised(tuple(entry["columns"]), entry["options"], why=entry["why"])
            choices.append(Choice(by_name[entry["formatter"]], found))
        return cls(choices)

    def _at(self, row: Mapping[str, Any], whole: bool) -> int:
        if len(self.choices) == 1:
            return 0
        has = {name for name, value in row.items() if value is not None}
        found = [len(has & set(choice.found.columns)) for choice in self.choices]
        if whole:
            found = [n if n == len(c.found.columns) else 0 for n, c in zip(found, self.choices, strict=True)]
        best = max(found)
        if not best or (whole and found.count(best) > 1):
            names = ", ".join(choice.name for choice in self.choices)
            which = "several" if best else "none"
            field = self.choices[0].found.columns[0]
            raise RowError(field, f"is a column of one schema: the row has those of {which} of {names}", row)
        return found.index(best)


def recognise(rows: Sequence[Mapping[str, Any]], formatters: Sequence[type[Formatter]] | None = None) -> Formatter:
    """The formatter that reads rows like these, as `formatter: Auto` finds it; several for a mixed set.

    Since 0.9.

    Args:
        rows: Rows, as `map` names their columns.
        formatters: The formatters to choose from; None asks all that are installed.

    Raises:
        DataError: None recognises them, or several do; names the columns.
    """
    found = decide(rows, _installed() if formatters is None else formatters)
    if not found:
        columns = Columns.of(rows)
        listed = columns.listed(columns.names) if columns.names else "none"
        msg = (
            f"no formatter recognises the columns: {listed}\nname a formatter and its columns, such as "
            '{class_path: Template, init_args: {prompt: "{COLUMN}", completion: "{COLUMN}"}}'
        )
        raise DataError(msg)
    return ReadAs(found)


def formatters_of(catalog: Any) -> list[type[Formatter]]:
    """The formatters of a catalog."""
    return [entry.cls for entry in catalog.entries if entry.kind == Formatter.kind]


@cache
def _installed() -> Sequence[type[Formatter]]:
    """All that is installed: asked for each row where a formatter is used without a recipe."""
    from tunesmith.plugins.catalog import Catalog

    return formatters_of(Catalog.load())


def settled(opened: Opened, source: Source, formatters: Sequence[type[Formatter]] | None) -> Formatter:
    """The formatter that reads a source, by the first rows of each of its files where the formatter asks for them.

    Args:
        opened: The source's files.
        source: The source.
        formatters: All that the recipe may name; None for all that are installed.

    Raises:
        DataError: The rows do not say which.
    """
    if type(source.formatter).settle is Formatter.settle:
        return source.formatter
    rows, bad = [], []
    for row in opened.first(LOOKED_AT):
        try:
            if isinstance(row, Reject):
                bad.append(row)
            else:
                rows.append(rename(row.values, source.map or {}))
        except RowError as error:
            # it will be set aside, and says nothing of the others
            bad.append(Reject(row.file, row.line, error.field, error.reason, columns=error.columns))
    if not rows:
        if not bad:
            raise opened.no_rows()
        msg = f"{opened.key}: of the first {len(bad)} rows none can be read\n  {bad[0].told()}"
        raise DataError(msg)
    known = _installed() if formatters is None else formatters
    key = opened.key.removesuffix(".path")
    try:
        return source.formatter.settle(rows, known)
    except DataError as error:
        msg = f"{key}.formatter: {type(source.formatter).__name__} looked at {len(rows)} rows: {error}"
        raise DataError(msg) from error


def described(formatter: Formatter) -> dict[str, Any]:
    """What the counts of a source say of a formatter that was chosen for it; nothing of one that the recipe names."""
    return {"read as": formatter.describe()} if isinstance(formatter, ReadAs) else {}
