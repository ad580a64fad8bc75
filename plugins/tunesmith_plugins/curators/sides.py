"""What an example asks and what it teaches, whatever its shape: prompts and answers."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from tunesmith import Example, Message, Segment

Where = Literal["both", "prompts", "answers", "none"]
Change = Callable[[str], str]
_EDGES = " \t\n"


def prompts(example: Example) -> list[str]:
    """Texts that are asked: all turns but the assistant's, and segments of weight 0 as one text."""
    turns = example.messages or example.chosen
    asked = "".join(segment.text for segment in example.segments if segment.weight == 0)
    return [turn.content for turn in turns if turn.role != "assistant"] + ([asked] if asked else [])


def answers(example: Example) -> list[str]:
    """Texts that are to be learnt: the last assistant turn (two in a pair), or segments with a weight as one text.

    Returns:
        None of them where a text has a label instead of an answer.
    """
    ends = [turns[-1] for turns in (example.messages, example.chosen, example.rejected) if turns]
    taught = "".join(segment.text for segment in example.segments if segment.weight > 0)
    return [turn.content for turn in ends if turn.role == "assistant"] + ([taught] if taught else [])


def map_sides(example: Example, prompt: Change, answer: Change, system: Change | None = None) -> Example:
    """The example with each text changed as its side is; itself where none of them is another then.

    What a pair shares stays shared, since a text's change depends on its role and on nothing else. White space at the
    ends of segments joins them with others, and stays.

    Args:
        example: Any.
        prompt: Applied to turns of user, system and tools, and to segments of weight 0.
        answer: Applied to the assistant's turns, and to segments with a weight.
        system: Applied to system turns, where they are not changed as prompts are.
    """
    by_role = {"assistant": answer, "system": system or prompt}

    def turns(messages: tuple[Message, ...]) -> tuple[Message, ...]:
        made = [by_role.get(turn.role, prompt)(turn.content) for turn in messages]
        if all(text == turn.content for text, turn in zip(made, messages, strict=True)):
            return messages
        return tuple(turn.with_content(text) for text, turn in zip(made, messages, strict=True))

    def segment(one: Segment) -> Segment:
        body = one.text.strip(_EDGES)
        made = (answer if one.weight > 0 else prompt)(body)
        if made == body:
            return one
        lead = one.text[: len(one.text) - len(one.text.lstrip(_EDGES))]
        tail = one.text[len(one.text.rstrip(_EDGES)) :]
        return replace(one, text=lead + made + tail)

    parts = {name: getattr(example, name) for name in ("messages", "chosen", "rejected")}
    made = {name: turns(held) for name, held in parts.items()}
    segments = tuple(segment(one) for one in example.segments)
    if all(made[name] is parts[name] for name in parts) and segments == example.segments:
        return example
    return example.with_(**made, segments=segments)


def emptied(before: Example, after: Example) -> str:
    """Which side of an example lost all that it said: `empty prompt`, `empty answer`, or nothing.

    A turn that calls a tool may be silent, and so may a system or tool turn.
    """
    for name in ("messages", "chosen", "rejected"):
        for was, turn in zip(getattr(before, name), getattr(after, name), strict=True):
            if was.content and not turn.content and not turn.fields and turn.role in ("user", "assistant"):
                return "empty answer" if turn.role == "assistant" else "empty prompt"
    for reason, taught in (("empty answer", True), ("empty prompt", False)):
        texts = [
            "".join(s.text for s in one.segments if (s.weight > 0) == taught) for one in (before, after) if one.segments
        ]
        if texts and texts[0] != texts[1] and not texts[1].strip():
            return reason
    return ""
