"""All that an example holds, as a row of JSON: what `prepare` writes, and what goes through annotators' hands."""

from typing import Any

from tunesmith.data.example import Example, Message
from tunesmith.data.stretches import detail


def as_row(example: Example) -> dict[str, Any]:
    """All that an example holds; what is empty is left out."""
    row = {
        "id": example.id,
        "origin": str(example.origin),
        "task": example.task,
        "messages": [as_turn(turn) for turn in example.messages],
        "segments": [{"text": segment.text, "weight": segment.weight} for segment in example.segments],
        "chosen": [as_turn(turn) for turn in example.chosen],
        "rejected": [as_turn(turn) for turn in example.rejected],
        "tools": list(example.tools),
        "extras": dict(example.extras),
    }
    return {name: value for name, value in row.items() if value} | (
        {"label": example.label} if example.label is not None else {}
    )


def as_turn(turn: Message) -> dict[str, Any]:
    """A turn as the formatter Messages reads it."""
    weight: dict[str, Any] = {"weight": turn.weight} if turn.weight is not None else {}
    if turn.spans:
        weight["train_detail"] = detail(turn.spans)
    return {"role": turn.role, "content": turn.content, **turn.fields, **weight}
