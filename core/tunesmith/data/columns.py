"""What the first rows of a source look like: its columns, and what each holds."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

_MOST_NAMES = 20
_LONGEST = 60
# Names of columns that hold what is learnt, which may be numbers.
_ANSWERS = ("completion", "answer", "response", "output", "summary", "solution", "generation", "target", "label")


@dataclass(frozen=True, slots=True)
class Columns:
    """The first rows of a source.

    Since 0.9.

    Args:
        rows: The rows, as `map` names their columns; not few, since files are often sorted.
        names: All column names, in order of appearance.
        texts: Those that may be a prompt or an answer.
    """

    rows: tuple[Mapping[str, Any], ...]
    names: tuple[str, ...]
    texts: tuple[str, ...]

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]], **more: Any) -> Self:
        """The columns of some rows."""
        rows = tuple(rows)
        names = tuple(dict.fromkeys(name for row in rows for name in row))
        texts = tuple(name for name in names if _is_text(name, [row.get(name) for row in rows]))
        return cls(rows, names, texts, **more)

    def filled(self, name: str) -> list[Any]:
        """The values of a column, but for null, empty text and empty lists."""
        return [row[name] for row in self.rows if row.get(name) not in (None, "", [], {})]

    def mostly(self, name: str, is_so: Callable[[Any], bool]) -> bool:
        """Whether more than half of a column's filled values are so; false where it has none."""
        values = self.filled(name)
        return 2 * sum(map(is_so, values)) > len(values)

    def turns(self, name: str, speaker: str, *said: str) -> bool:
        """Whether most values are lists of turns (JSON text too): maps with `speaker` and one of `said` for keys."""
        return self.mostly(name, lambda value: _are_turns(as_list(value), speaker, said))

    def can_be_said(self, *names: str) -> bool:
        """Whether all of these are columns that hold what a prompt or an answer may be made of."""
        return all(self.holds(name) in ("text", "numbers") for name in names)

    def holds(self, name: str) -> str:
        """What a column holds: `text`, `numbers`, `lists or maps`, `nothing`."""
        said = [row[name] for row in self.rows if row.get(name) is not None]
        if any(isinstance(value, list | dict) for value in said):
            return "lists or maps"
        if not any(str(value).strip() for value in said):
            return "nothing"
        return "text" if name in self.texts or not all(_is_number(str(value)) for value in said) else "numbers"

    def longest(self, name: str) -> int:
        """Characters of the longest value of a column; 0 where it holds lists."""
        values = [row.get(name) for row in self.rows]
        return max((len(str(v)) for v in values if isinstance(v, str | int | float)), default=0)

    def listed(self, names: Iterable[str]) -> str:
        """Some of the columns with what they hold, for a message."""
        told = [f"{one_line(name)} ({self.holds(name)})" for name in names]
        return ", ".join([*told[:_MOST_NAMES], *(["..."] if len(told) > _MOST_NAMES else [])])


def as_list(value: Any) -> list[Any]:
    """A list, also one that is written as JSON text, as tables keep it; empty for anything else."""
    if isinstance(value, str) and value.lstrip()[:1] == "[":
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return []
    return value if isinstance(value, list) else []


def one_line(text: str, most: int = _LONGEST) -> str:
    """A name on one line, short: that of a column may be anything, line breaks and a million letters included."""
    clean = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return clean if len(clean) <= most else f"{clean[:most]}..."


def _are_turns(turns: Sequence[Any], speaker: str, said: Sequence[str]) -> bool:
    return bool(turns) and all(
        isinstance(turn, dict) and turn.get(speaker) is not None and not turn.keys().isdisjoint(said) for turn in turns
    )


def _is_text(name: str, values: Sequence[Any]) -> bool:
    """Whether a column may be a prompt or an answer: text, but no key; numbers only where the name says answer."""
    said = [v for v in values if v is not None]
    if not said or name.lower() == "id" or name.lower().endswith(("_id", " id")):
        return False
    if name.lower() in _ANSWERS:
        return all(isinstance(v, str | int | float) for v in said)
    return all(isinstance(v, str) for v in said) and not all(_is_number(v) for v in said)


def _is_number(text: str) -> bool:
    try:
        float(text or "0")
    except ValueError:
        return False
    return True
