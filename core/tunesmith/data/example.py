"""What a row becomes: an example, and where it came from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

from tunesmith.data.stretches import moved

Role = Literal["system", "user", "assistant", "tool"]
Label = str | float | bool | tuple[str | float | bool, ...] | None
_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    Since 0.1.

    Args:
        role: Who speaks.
        content: What is said, as plain text.
        weight: Loss weight of the turn's tokens; None leaves it to the objective (assistant turns 1, all others 0).
        fields: What else a chat template may read (`tool_calls`, `name`, `tool_call_id`, ...).
        spans: Stretches of the content that weigh differently, one behind the other and all of it: the number of
            characters, and what the turn's weight is multiplied by there; not by what the template writes around the
            content, such as the end token. Since 0.11.
    """

    role: Role
    content: str
    weight: float | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    spans: tuple[tuple[int, float], ...] = ()

    def with_content(self, content: str) -> "Message":
        """The turn with another content, in which the words that stay weigh what they did; itself where it is the same.

        Since 0.11.
        """
        if content == self.content:
            return self
        return replace(self, content=content, spans=moved(self.spans, self.content, content))


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of template-free text and the loss weight of its tokens.

    Since 0.1.
    """

    text: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an example was read: the source's name in the recipe, the file, and the line or record (from 1).

    Since 0.1.
    """

    source: str = ""
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Example:
    """What a formatter makes of a row. Exactly one of `messages`, `segments`, `chosen` (with `rejected`) holds content.

    Since 0.1.

    Args:
        messages: A conversation; rendered with the base's chat template.
        segments: Text that takes no template; tokenised whole, closed by EOS.
        chosen: The preferred conversation of a pair; shares its first turns with `rejected`.
        rejected: The other one.
        label: A class name, class names, or a number, with `messages` or `segments` as the text; true or false says
            whether the last answer is wanted.
        tools: JSON schemas of the tools that the conversation may call.
        id: Unique within a run and stable: made from the row by the core where a formatter sets none.
        origin: Where it was read; set by the core.
        task: Name of its task; set by the core from `data.sources.<name>.task`.
        extras: The row's other columns (gold values, groups, keys that are kept together).
    """

    messages: tuple[Message, ...] = ()
    segments: tuple[Segment, ...] = ()
    chosen: tuple[Message, ...] = ()
    rejected: tuple[Message, ...] = ()
    label: Label = None
    tools: tuple[Mapping[str, Any], ...] = ()
    id: str = ""
    origin: Origin = Origin()
    task: str = ""
    extras: Mapping[str, Any] = field(default_factory=dict)

    def with_(self, **changes: Any) -> "Example":
        """Return a copy with the given fields changed."""
        return replace(self, **changes)

    @property
    def prompt(self) -> tuple[Message, ...]:
        """The turns before the last assistant turn: what a model is asked at evaluation."""
        turns = self.messages or self.chosen
        return turns[:-1] if turns and turns[-1].role == "assistant" else turns

    @property
    def reference(self) -> str:
        """The last assistant turn's text, which outputs are compared with; empty where there is none."""
        turns = self.messages or self.chosen
        return turns[-1].content if turns and turns[-1].role == "assistant" else ""

    def texts(self) -> Sequence[str]:
        """All text of the example, turn by turn, for curators and audits."""
        turns = (*self.messages, *self.chosen, *self.rejected)
        return [m.content for m in turns] + [s.text for s in self.segments]

    def map_texts(self, change: Callable[[str], str], everywhere: bool = False) -> "Example":
        """The example with `change` applied to each of its texts; itself where none of them is another then.

        Since 0.9.

        Args:
            change: From a text to what takes its place; the same text must give the same.
            everywhere: Whether other strings are changed too, however deep they lie: values of `extras`, of the
                messages' `fields`, of `tools`, and `label`. Keys, roles, id, origin and task never are.
        """

        def turns(messages: tuple[Message, ...]) -> tuple[Message, ...]:
            return tuple(
                replace(turn.with_content(change(turn.content)), fields=_mapped(turn.fields, change))
                if everywhere
                else turn.with_content(change(turn.content))
                for turn in messages
            )

        changes: dict[str, Any] = {name: turns(getattr(self, name)) for name in ("messages", "chosen", "rejected")}
        changes["segments"] = tuple(replace(segment, text=change(segment.text)) for segment in self.segments)
        if everywhere:
            changes |= {name: _mapped(getattr(self, name), change) for name in ("extras", "tools", "label")}
        made = replace(self, **changes)
        return self if made == self else made


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {key: _mapped(inner, change) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_mapped(inner, change) for inner in value)
    return value
