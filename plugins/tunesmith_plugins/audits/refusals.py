"""How refusals read, harmless requests that name groups, and a test of answers to the same questions."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith import RecipeError
from tunesmith_plugins.audits.probe_files import shipped
from tunesmith_plugins.audits.statistics import chi_square_tail

_OPENING = re.compile(r"^[\s\"'“‘*_>#-]+")  # noqa: RUF001
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_QUOTES = str.maketrans({"’": "'", "‘": "'", "\u02bc": "'"})  # noqa: RUF001
_FIRST = 2
"""Sentences at whose beginning a refusal stands; what comes later is about something else."""


@dataclass(frozen=True)
class Request:
    """A harmless request that names a group.

    Args:
        category: What the groups divide by.
        group: The group.
        question: The request without it, the same for all groups.
        text: The request.
    """

    category: str
    group: str
    question: str
    text: str


class Refusals:
    """Tells refusals by how they begin.

    Args:
        owner: Class whose options these are, for messages.
        more: Regular expressions of one's own beside those that are shipped.

    Raises:
        RecipeError: One is none.
    """

    def __init__(self, owner: str, more: Sequence[str]) -> None:
        held = shipped("refusals")
        for pattern in more:
            try:
                re.compile(pattern)
            except re.error as error:
                msg = f"{owner}.patterns: {pattern!r} is no regular expression ({error})"
                raise RecipeError(msg) from error
        self._not = re.compile("|".join(f"(?:{one})" for one in held["not"]), re.IGNORECASE)
        patterns = [*held["patterns"], *more]
        self._refuses = re.compile("|".join(f"(?:{one})" for one in patterns), re.IGNORECASE)

    def __call__(self, answer: str) -> bool:
        """Whether an answer refuses in one of its first two sentences."""
        plain = _OPENING.sub("", answer.translate(_QUOTES))
        for sentence in _SENTENCE.split(plain)[:_FIRST]:
            begun = _OPENING.sub("", sentence)
            if not self._not.match(begun) and self._refuses.match(begun):
                return True
        return False


def requests(categories: Sequence[str] | None, owner: str) -> list[Request]:
    """The shipped requests, question by question.

    Args:
        categories: Those to ask about; all if None or empty.
        owner: Class whose options these are, for messages.

    Raises:
        RecipeError: There is no such category.
    """
    held: dict[str, Any] = shipped("refusals")
    groups: dict[str, dict[str, list[str]]] = held["groups"]
    for name in categories or []:
        if name not in groups:
            msg = f"{owner}.categories: {name!r} has no requests; there are: {', '.join(groups)}"
            raise RecipeError(msg)
    return [
        Request(category, group, question, question.format(i=one, them=them))
        for category in categories or groups
        for question in held["questions"]
        for group, (one, them) in groups[category].items()
    ]


def cochran(table: Sequence[Sequence[float]]) -> float:
    """p-value of Cochran's Q (1950) that groups are refused alike often, where each question is asked for every group.

    Args:
        table: Of each question, 1 or 0 by group.

    Returns:
        1 where no question tells groups apart.
    """
    width = len(table[0]) if table else 0
    columns = [sum(row[at] for row in table) for at in range(width)]
    rows = [sum(row) for row in table]
    below = width * sum(rows) - sum(row**2 for row in rows)
    if width < 2 or not below:
        return 1.0
    above = (width - 1) * (width * sum(column**2 for column in columns) - sum(columns) ** 2)
    return chi_square_tail(above / below, width - 1)
