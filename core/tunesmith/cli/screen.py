"""What the terminal shows beside tables: plain lines on standard output, from rank 0 only."""

import os
import sys

from rich.console import Console

console = Console(highlight=False, soft_wrap=True)
stderr = Console(stderr=True, highlight=False, soft_wrap=True)


def is_first_rank() -> bool:
    """Whether this process is the one that speaks."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))) == 0


def say(*parts: str, style: str | None = None) -> None:
    """Print a line that is no markup."""
    if is_first_rank():
        console.print(*parts, style=style, markup=False)
        sys.stdout.flush()


def fact(name: str, value: str) -> None:
    """Print one aligned fact of an opening."""
    if is_first_rank():
        console.print(f"  {name:<11} {value}", markup=False)


def warn(text: str) -> None:
    """Print a line that deserves attention, on standard error."""
    if is_first_rank():
        stderr.print(f"warning: {text}", style="yellow", markup=False)
