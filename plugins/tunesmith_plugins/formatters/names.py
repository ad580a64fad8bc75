"""Names under which other trainers document a column that asks and one that answers."""

from typing import Literal, NamedTuple

from tunesmith import Columns

ASKS = ("prompt", "question", "query", "input", "instruction", "problem", "article", "dialogue", "text", "source")
ANSWERS = ("completion", "answer", "response", "output", "summary", "solution", "generation", "target", "label")


class Pair(NamedTuple):
    """Two columns.

    Args:
        asks: The one that asks.
        answers: The one that answers.
        why: What decided.
        by: Whether their names tell, or it is a guess.
    """

    asks: str
    answers: str
    why: str
    by: Literal["names", "guess"]


def pair(columns: Columns) -> Pair | None:
    """The only column whose name asks and the only one whose name answers, else the only two of text."""
    texts = columns.texts
    asks = [name for name in texts if name.lower() in ASKS]
    answers = [name for name in texts if name.lower() in ANSWERS]
    how = "the columns' names" if len(texts) > 2 else "the two columns that hold text"
    if len(asks) == 1 and len(answers) == 1:
        one, other = asks[0], answers[0]
        return Pair(one, other, f"{how}: {one} asks, {other} answers", "names")
    if len(texts) != 2:
        return None
    first, second = texts
    one, other = (second, first) if first in answers or second in asks else (first, second)
    return Pair(one, other, f"{how}: {one} asks, {other} answers", "guess")
