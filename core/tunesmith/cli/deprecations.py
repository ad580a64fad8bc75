"""What is deprecated, said as the command says things: once, in one line on standard error."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from tunesmith.deprecation import DeprecatedWarning


@contextmanager
def said_once() -> Iterator[None]:
    """Context in which `DeprecatedWarning`s are lines; other warnings stay as they are."""
    said: set[str] = set()
    others = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if not issubclass(category, DeprecatedWarning):
            others(message, category, filename, lineno, file, line)
        elif (text := str(message)) not in said:
            from tunesmith.cli.screen import is_first_rank  # brings rich, which `--help` does without

            said.add(text)
            if is_first_rank():
                print(f"warning: {text}", file=sys.stderr)

    # not `catch_warnings`: what a verb silences stays silent for whoever goes on in this process
    warnings.showwarning = show
    warnings.filterwarnings("always", category=DeprecatedWarning)
    try:
        yield
    finally:
        warnings.showwarning = others
