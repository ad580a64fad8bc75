"""What a fact is, and where a text still has room for one."""

from typing import Any, Literal, NamedTuple, get_args

Kind = Literal["numbers", "dates", "names", "drugs", "citations", "codes"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class Fact(NamedTuple):
    """A fact in a text: from `start` to before `end`.

    Args:
        start: Where its first letter stands.
        end: Behind its last one.
        kind: What it is.
        key: What it says, however it is written.
    """

    start: int
    end: int
    kind: Kind
    key: Any


class Taken:
    """The parts of a text that facts have taken; a fact of a later kind finds none in them."""

    def __init__(self, length: int) -> None:
        self._letters = bytearray(length)

    def free(self, start: int, end: int) -> bool:
        """Whether nothing of a part is taken."""
        return not any(self._letters[start:end])

    def take(self, start: int, end: int) -> None:
        """Take a part."""
        self._letters[start:end] = b"\x01" * (end - start)
