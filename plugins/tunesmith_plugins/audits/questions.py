"""What a model is asked of an example, and what would be right."""

from collections.abc import Sequence

from tunesmith import Example, Message


def question(example: Example) -> tuple[Message, ...]:
    """The turns before the answer; of a text with a label the text, as a turn of the user; empty where nothing is."""
    if example.prompt:
        return example.prompt
    text = "".join(piece.text for piece in example.segments)
    return (Message("user", text),) if example.label is not None and text.strip() else ()


def right_answer(example: Example) -> str:
    """The reference, or the label as text; empty where there is none."""
    if example.reference or not isinstance(example.label, str | int | float) or isinstance(example.label, bool):
        return example.reference
    return str(example.label)


def answered(turns: Sequence[Message], answer: str) -> list[Message]:
    """A question with an answer, which alone is scored."""
    silent = [Message(turn.role, turn.content, 0.0, turn.fields) for turn in turns]
    return [*silent, Message("assistant", answer, 1.0)]
