"""What of an example is asked and what is answered, as texts that can be compared."""

from collections.abc import Sequence
from dataclasses import dataclass

from tunesmith.data.example import Example, Message, Segment
from tunesmith.data.rows import canonical


@dataclass(frozen=True, slots=True)
class Parts:
    """An example as two texts.

    Since 0.9.

    Args:
        prompt: The turns before the last assistant turn, or the first pieces of template-free text that weigh nothing;
            without system turns.
        answer: The last assistant turn, those of a pair one after the other, or the rest of a template-free text.
        label: Label and tools, as text.
    """

    prompt: str
    answer: str
    label: str


def parts_of(example: Example) -> Parts:
    """An example as prompt and answer, tool calls and other fields of its turns included.

    Since 0.9.
    """
    label = canonical([example.label, list(example.tools)]) if example.label is not None or example.tools else ""
    if example.segments:
        asked = _leading(example.segments)
        return Parts(_joined(example.segments[:asked]), _joined(example.segments[asked:]), label)
    asked_turns = [turn for turn in example.prompt if turn.role != "system"]
    answers = [turns[-1] for turns in (example.messages, example.chosen, example.rejected) if turns]
    answers = [turn for turn in answers if turn.role == "assistant"]
    return Parts(_said(asked_turns), _said(answers), label)


def _leading(segments: Sequence[Segment]) -> int:
    return next((at for at, segment in enumerate(segments) if segment.weight != 0), len(segments))


def _joined(segments: Sequence[Segment]) -> str:
    return "".join(segment.text for segment in segments)


def _said(turns: Sequence[Message]) -> str:
    return "\n".join(f"{turn.content}\n{canonical(turn.fields)}" if turn.fields else turn.content for turn in turns)
