"""What the terminal shows: tables, and plain lines on standard output, from rank 0 only.

Names in a recipe, rows and models' answers may hold anything; none of it is markup, and none a command to the terminal.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from tunesmith.printable import message, printable


class Screen(Console):
    """A console that shows text as it stands, also in tables and titles, with control characters as escapes."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """As a console does, but escaped before a table measures it, which would cut it off otherwise."""
        return super().render_str(printable(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As a console does; what rich itself tells the terminal are segments of another kind."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))


console = Screen(soft_wrap=True)
stderr = Screen(stderr=True, soft_wrap=True)


@contextmanager
def muted(on: bool = True) -> Iterator[None]:
    """Print nothing on standard output meanwhile; warnings go on."""
    before, console.quiet = console.quiet, on or console.quiet
    try:
        yield
    finally:
        console.quiet = before


def is_first_rank() -> bool:
    """Whether this process is the one that speaks."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))) == 0


def say(*parts: str, style: str | None = None) -> None:
    """Print a line that is no markup."""
    if is_first_rank():
        console.print(*parts, style=style)
        sys.stdout.flush()


def tell(text: str) -> None:
    """Print what a verb of `recipes` has to say, of a process that is the only one."""
    print(message(text))


def fact(name: str, value: str) -> None:
    """Print one aligned fact of an opening."""
    if is_first_rank():
        console.print(f"  {name:<11} {value}")


def warn(text: str) -> None:
    """Print a line that deserves attention, on standard error."""
    if is_first_rank():
        stderr.print(message(f"warning: {text}"), style="yellow")
