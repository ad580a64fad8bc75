"""Rows of what a model has to keep: general questions with answers, or plain text, from a file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tunesmith import DataError, Example, Message, Origin, Segment, read_rows


def general_rows(file: Path, prompt: str, completion: str, text: str) -> Iterator[Example]:
    """The rows of a file as examples, each with its file and line.

    Args:
        file: JSON lines, CSV or others as sources are read.
        prompt: Column of the question.
        completion: Column of the answer.
        text: Column of plain text, of rows that have no question.

    Raises:
        DataError: The file is not there, or a row has neither question with answer nor text.
    """
    for number, row in enumerate(read_rows(file), start=1):
        yield _example(file, number, row, prompt, completion, text)


def _example(file: Path, number: int, row: dict[str, Any], *columns: str) -> Example:
    key, origin = f"{file.name}:{number}", Origin(file.stem, str(file), number)
    question, answer, text = (row.get(name) for name in columns)
    if isinstance(question, str) and isinstance(answer, str) and question and answer:
        turns = (Message("user", question), Message("assistant", answer))
        return Example(messages=turns, id=key, origin=origin)
    if isinstance(text, str) and text:
        return Example(segments=(Segment(text),), id=key, origin=origin)
    asked, answered, plain = columns
    msg = f"{file}: row {number} has neither {asked} with {answered} nor {plain}; its columns are {', '.join(row)}"
    raise DataError(msg)
