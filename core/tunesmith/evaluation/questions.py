"""What a model is asked: the turns before an answer, or the text before its continuation."""

from collections.abc import Mapping, Sequence
from itertools import dropwhile, takewhile
from typing import Any

from tunesmith.data.encoded import Encoded
from tunesmith.data.example import Example, Message, Segment
from tunesmith.plugins.interfaces import Renderer

Question = Sequence[Message] | Sequence[Segment]
"""Turns, or pieces of template-free text: what is read comes first, without a weight; what follows may be there."""
Tools = Sequence[Mapping[str, Any]]


def question_of(example: Example) -> Question:
    """What is asked, with which the continuation of a template-free text comes along: see `prompt_ids`."""
    return example.segments or example.prompt


def shown(example: Example) -> tuple[Message, ...]:
    """What is asked, as turns: text that a model goes on with is one of the user."""
    text = _joined(takewhile(_unlearnt, example.segments))
    return (Message("user", text),) if text.strip() else example.prompt


def reference_of(example: Example) -> str:
    """The answer that is wanted: the last turn, or the first text with a weight behind text without one."""
    behind = list(dropwhile(_unlearnt, example.segments))
    if len(behind) < len(example.segments):
        return _joined(takewhile(lambda piece: not _unlearnt(piece), behind))
    return example.reference


def prompt_ids(renderer: Renderer, question: Question, tools: Tools) -> Sequence[int]:
    """The ids that an answer follows.

    Of template-free text they are those before the first token with a weight, when all of it is tokenised at once: what
    training shows. A text that ends in a space would be another one, since that space belongs to the word after it.
    """
    pieces = [piece for piece in question if isinstance(piece, Segment)]
    if not pieces:
        return renderer.prompt([turn for turn in question if isinstance(turn, Message)], tools).ids
    row = renderer.text([(piece.text, piece.weight) for piece in pieces], end=False)
    return row.ids[: next((at for at, weight in enumerate(row.weights) if weight != 0), len(row.ids))]


def answered(question: Question, answer: str) -> Question:
    """A question with an answer, which alone has a weight."""
    pieces = [piece for piece in question if isinstance(piece, Segment)]
    if pieces:
        return [*takewhile(_unlearnt, pieces), Segment(answer)]
    turns = [turn for turn in question if isinstance(turn, Message)]
    silent = [Message(turn.role, turn.content, 0.0, turn.fields) for turn in turns]
    return [*silent, Message("assistant", answer, 1.0)]


def encoded(renderer: Renderer, conversation: Question, tools: Tools) -> Encoded:
    """A whole conversation, or a whole template-free text, as ids with weights."""
    pieces = [piece for piece in conversation if isinstance(piece, Segment)]
    if pieces:
        return renderer.text([(piece.text, piece.weight) for piece in pieces])
    return renderer.conversation([turn for turn in conversation if isinstance(turn, Message)], tools)


def _unlearnt(piece: Segment) -> bool:
    return piece.weight == 0


def _joined(pieces: Any) -> str:
    return "".join(piece.text for piece in pieces)
