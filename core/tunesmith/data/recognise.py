"""Which formatter reads some rows: each says what it recognises, and the one that reads the most of it is taken.

`formatter: Auto` and `recipes new` decide by it. The same rows give the same decision, in any process.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from tunesmith.data.columns import Columns, one_line
from tunesmith.errors import DataError

if TYPE_CHECKING:
    from tunesmith.plugins.interfaces import Formatter

LOOKED_AT = 1000
_SURENESS = ("schema", "names", "guess")
_MOST = 6


@dataclass(frozen=True, slots=True)
class Recognised:
    """How rows would be read by a formatter that recognises them.

    Since 0.9.

    Args:
        columns: The columns that decide: rows without one of them are of another schema. Of two formatters the one
            that these are more for wins; where neither has all of the other's, the user has to say which.
        options: The formatter's options.
        also: Other columns that it reads, where they are there.
        answer: The text column that is learnt; empty where it is no column of its own.
        why: What decided, in words; by default the columns.
        by: `schema` where these columns are a documented schema, `names` where their names tell what they hold,
            `guess` where they merely may be meant; a guess is for drafts that somebody reads.
    """

    columns: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    also: tuple[str, ...] = ()
    answer: str = ""
    why: str = ""
    by: Literal["schema", "names", "guess"] = "schema"


@dataclass(frozen=True, slots=True)
class Choice:
    """A formatter that reads some rows.

    Args:
        cls: Its class.
        found: How it reads them.
    """

    cls: "type[Formatter]"
    found: Recognised

    @property
    def name(self) -> str:
        """The formatter's name."""
        return self.cls.__name__

    @property
    def why(self) -> str:
        """What decided."""
        named = ", ".join(map(one_line, self.found.columns))
        return self.found.why or f"column{'s' if len(self.found.columns) > 1 else ''} {named}"

    def formatter(self) -> "Formatter":
        """The formatter with its options."""
        return self.cls(**self.found.options)


class AmbiguousError(DataError):
    """Rows that several formatters would read, each in its own way."""


def choices(columns: Columns, classes: Iterable[type["Formatter"]], guess: bool = False) -> list[Choice]:
    """The formatters that may be meant: one, several where the columns do not say which, or none.

    Args:
        columns: The rows.
        classes: The formatters to ask.
        guess: Whether guesses count, where there is nothing better.
    """
    found = [Choice(cls, how) for cls in classes for how in cls.recognises(columns)]
    for sureness in _SURENESS if guess else _SURENESS[:-1]:
        equal = [choice for choice in found if choice.found.by == sureness]
        if equal:
            sets = [set(choice.found.columns) for choice in equal]
            return [c for c, own in zip(equal, sets, strict=True) if not any(own < other for other in sets)]
    return []


def decide(rows: Sequence[Mapping[str, Any]], classes: Sequence[type["Formatter"]]) -> list[Choice]:
    """How rows are read, one choice for each schema that is among them, the most frequent first.

    Rows that have the same columns are looked at together. Of two schemas of which one has all columns of the other,
    the more frequent is taken: the other's rows lack something, or have more than is read.

    Raises:
        AmbiguousError: Several formatters read some of the rows; names them and the columns.
    """
    shapes: dict[frozenset[str], list[Mapping[str, Any]]] = {}
    for row in rows:
        shapes.setdefault(frozenset(name for name, value in row.items() if value is not None), []).append(row)
    counted: dict[tuple[str, frozenset[str]], tuple[int, Choice]] = {}
    for shape in shapes.values():
        columns = Columns.of({n: v for n, v in row.items() if v is not None} for row in shape)
        several = choices(columns, classes)
        if len(several) > 1:
            raise AmbiguousError(_told(several, columns))
        for choice in several:
            key = (choice.name, frozenset(choice.found.columns))
            count, first = counted.get(key, (0, choice))
            counted[key] = (count + len(shape), first)
    found: list[Choice] = []
    for _, choice in sorted(counted.values(), key=lambda pair: (-pair[0], -len(pair[1].found.columns))):
        own = set(choice.found.columns)
        if not any(own <= set(kept.found.columns) or own >= set(kept.found.columns) for kept in found):
            found.append(choice)
    return found


def _told(several: Sequence[Choice], columns: Columns) -> str:
    lines = [f"the columns fit {len(several)} formatters; name the one that is meant (formatter: ...):"]
    lines += [f"  {choice.name}: {choice.why}" for choice in several[:_MOST]]
    return "\n".join([*lines, f"columns: {columns.listed(columns.names)}"])
