"""Names under which other trainers document a column that asks and one that answers."""

from typing import Literal, NamedTuple

from tunesmith import Columns

ASKS = ("prompt", "question", "query", "input", "instruction", "problem", "article", "dialogue", "text", "source")
ANSWERS = ("completion", "answer", "response", "output", "summary", "solution", "generation", "target", "label")
SYSTEM = ("system_prompt", "system")
# What a question or an answer has more of than one column: to leave it out would be another task.
MORE = ("choices", "options", "corrected", "critiques")


class Pair(NamedTuple):
    """Two columns.

    Args:
        asks: The one that asks.
        answers: The one that answers.
        why: What decided.
        by: Whether their names tell, or it is a guess.
        system: A column of a system turn, where there is one.
    """

    asks: str
    answers: str
    why: str
    by: Literal["names", "guess"]
    system: str | None = None


def pair(columns: Columns) -> Pair | None:
    """The only column whose name asks and the only one whose name answers, else the only two of text.

    None where a column holds more of them, such as the choices of a question.
    """
    if any(columns.filled(name) for name in MORE):
        return None
    texts = columns.texts
    asks = [name for name in texts if name.lower() in ASKS]
    answers = [name for name in texts if name.lower() in ANSWERS]
    how = "the columns' names" if len(texts) > 2 else "the two columns that hold text"
    if len(asks) == 1 and len(answers) == 1:
        one, other = asks[0], answers[0]
        system = next((name for name in SYSTEM if name in texts), None)
        why = f"{how}: {one} asks, {other} answers{f', {system} comes before' if system else ''}"
        return Pair(one, other, why, "names", system)
    if len(texts) != 2:
        return None
    first, second = texts
    one, other = (second, first) if first in answers or second in asks else (first, second)
    return Pair(one, other, f"{how}: {one} asks, {other} answers", "guess")
