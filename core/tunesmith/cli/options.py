"""Command lines of the verbs that need no recipe: argparse, whose mistakes become one short message."""

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from tunesmith.errors import RecipeError
from tunesmith.nearest import did_you_mean


class Parser(argparse.ArgumentParser):
    """An argument parser that raises instead of printing its usage and leaving."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        """Parse a whole command line.

        Raises:
            RecipeError: Something in it is unknown, missing or malformed.
        """
        parsed, unknown = self.parse_known_args(words)
        if unknown:
            # Words that a subcommand does not know come back to the parser above it.
            parser: Parser = getattr(parsed, "parser", self)
            parser.error(parser._unknown(unknown[0].partition("=")[0]))
        return parsed

    def _unknown(self, word: str) -> str:
        if not word.startswith("-"):
            return f"{word!r} is one argument too many"
        options = [option for action in self._actions for option in action.option_strings]
        return f"{word} is not an option{did_you_mean(word, options)}"

    def error(self, message: str) -> NoReturn:
        """Raise what argparse found."""
        usage = " ".join(self.format_usage().removeprefix("usage:").split())
        msg = f"{self.prog}: {message}\nusage: {usage}"
        raise RecipeError(msg)


def choose(prog: str, verbs: Sequence[str], words: Sequence[str]) -> None:
    """Check the first word before argparse does, whose message would offer no nearest match.

    Raises:
        RecipeError: It is not one of `verbs`.
    """
    if words and not words[0].startswith("-") and words[0] not in verbs:
        msg = f"{prog} {words[0]}: no such verb{did_you_mean(words[0], verbs)}\n{prog} has: {', '.join(verbs)}"
        raise RecipeError(msg)
