"""Rows that a model may know by heart: what it is shown of each, and what it must not go on with."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith import DataError, Example, Message, Origin, Parts, Segment, parts_of, read_rows

_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class Planted:
    """The rows of a file.

    Args:
        rows: Those that can be asked, each content once, in the file's order.
        short: How many were too short.
    """

    rows: Sequence[Example]
    short: int


@dataclass(frozen=True, slots=True)
class Cut:
    """Where rows are cut: questions before their answers, texts by words.

    Args:
        prompt: Column of the question; `messages`, as `prepare` writes them, are read as well.
        completion: Column of the answer.
        text: Column of plain text; `segments` are read as well.
        prefix: Words of a text that are shown.
        words: Words after them that are listened for.
    """

    prompt: str
    completion: str
    text: str
    prefix: int
    words: int

    def read(self, path: Path, most: int) -> Planted:
        """Rows of a file, at most so many, spread evenly over it.

        Raises:
            DataError: It cannot be read, a row has neither question with answer nor text, or all are too short.
        """
        found: dict[Parts, Example] = {}
        short = 0
        for number, row in enumerate(read_rows(path), start=1):
            example = self._example(path, number, row)
            if example is None:
                short += 1
            else:
                found.setdefault(parts_of(example), example)
        rows = list(found.values())
        if not rows:
            wanted = f"{self.prefix} words and {self.words} more: take fewer (prefix, words)"
            msg = f"{path}: {f'none of {short} texts has {wanted}' if short else 'there are no rows'}"
            raise DataError(msg)
        if len(rows) > most:
            rows = [rows[at * len(rows) // most] for at in range(most)]
        return Planted(rows, short)

    def _example(self, path: Path, number: int, row: dict[str, Any]) -> Example | None:
        origin = Origin(path.stem, str(path), number)
        if turns := self._turns(row):
            return Example(messages=turns, id=str(number), origin=origin)
        if text := self._text(row):
            pieces = self._pieces(text)
            return None if pieces is None else Example(segments=pieces, id=str(number), origin=origin)
        wanted = f"{self.prompt} with {self.completion} nor {self.text}"
        msg = f"{path}: row {number} has neither {wanted}; its columns are {', '.join(row)}"
        raise DataError(msg)

    def _turns(self, row: dict[str, Any]) -> tuple[Message, ...]:
        question, answer, turns = row.get(self.prompt), row.get(self.completion), row.get("messages")
        if isinstance(question, str) and isinstance(answer, str) and question.strip() and answer.strip():
            return (Message("user", question), Message("assistant", answer))
        if not isinstance(turns, list) or not all(isinstance(turn, dict) and _says(turn) for turn in turns):
            return ()
        made = tuple(Message(turn["role"], turn["content"], fields=_fields(turn)) for turn in turns)
        return made if len(made) > 1 and made[-1].role == "assistant" and made[-1].content.strip() else ()

    def _text(self, row: dict[str, Any]) -> str:
        text, pieces = row.get(self.text), row.get("segments")
        if isinstance(pieces, list) and all(isinstance(piece, dict) for piece in pieces):
            text = "".join(str(piece.get("text", "")) for piece in pieces)
        return text if isinstance(text, str) and text.strip() else ""

    def _pieces(self, text: str) -> tuple[Segment, ...] | None:
        """What is shown, what is listened for, and the rest; the space between words belongs to the second one's."""
        ends = [word.end() for word in _WORD.finditer(text)]
        if len(ends) < self.prefix + self.words:
            return None
        begin, end = ends[self.prefix - 1], ends[self.prefix + self.words - 1]
        # The rest, empty or not, keeps the end-of-text token out of the continuation's probability.
        return Segment(text[:begin], 0.0), Segment(text[begin:end]), Segment(text[end:], 0.0)


def named(rows: Sequence[Example], name: Callable[[int], str]) -> Iterator[Example]:
    """Rows with ids that say which they are: a word for the row's place, and its number in the file."""
    for at, row in enumerate(rows):
        yield row.with_(id=f"{name(at)} {row.id}")


def _says(turn: dict[str, Any]) -> bool:
    return isinstance(turn.get("role"), str) and isinstance(turn.get("content"), str)


def _fields(turn: dict[str, Any]) -> dict[str, Any]:
    own = ("role", "content", "weight", "train_detail")
    return {name: value for name, value in turn.items() if name not in own}
