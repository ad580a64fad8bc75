"""A customer's own patterns: refused where they are broken, match nothing, or could take time without end."""

import importlib
import re
from collections.abc import Mapping
from typing import Any

from tunesmith import RecipeError, did_you_mean
from tunesmith_plugins.curators.pii.found import KINDS

# The parser of `re`, which has no public name.
_PARSER: Any = importlib.import_module("re._parser")
_MOST_WAYS = 2000
_KIND = re.compile(r"[A-Z][A-Z0-9_]*")


def compiled(patterns: Mapping[str, str]) -> dict[str, "re.Pattern[str]"]:
    """The patterns, ready for use.

    Args:
        patterns: Regular expressions of `re`, by the kind that placeholders show.

    Raises:
        RecipeError: A kind or a pattern that cannot be.
    """
    made = {}
    for kind, pattern in patterns.items():
        if not _KIND.fullmatch(kind):
            msg = f"patterns.{kind}: a kind is written in capitals, digits and underscores, such as BADGE"
            raise RecipeError(msg)
        try:
            made[kind] = re.compile(pattern)
            ways = _ways(_PARSER.parse(pattern))
        except re.error as error:
            msg = f"patterns.{kind}: {pattern} is no regular expression: {error}"
            raise RecipeError(msg) from None
        if wrong := _problem(made[kind], ways):
            msg = f"patterns.{kind}: {pattern} {wrong}"
            raise RecipeError(msg)
    return made


def check_kinds(option: str, kinds: Mapping[str, str] | list[str], patterns: Mapping[str, str]) -> None:
    """Raise RecipeError where an option names a kind that there is not."""
    known = [*KINDS, *patterns]
    named = kinds.items() if isinstance(kinds, Mapping) else enumerate(kinds)
    for key, kind in named:
        if kind not in known:
            msg = f"{option}.{key}: {kind} is no kind{did_you_mean(kind, known)}; kinds: {', '.join(known)}"
            raise RecipeError(msg)


def _problem(pattern: "re.Pattern[str]", ways: float) -> str:
    if pattern.search("") is not None:
        return "matches the empty text, so everywhere; let it need at least one character"
    if ways == float("inf"):
        return (
            "repeats without end or refers back, which may take time without end; bound it: {1,40} for +, {0,40} for *"
        )
    if ways > _MOST_WAYS:
        return (
            f"can match in more than {_MOST_WAYS:,} ways from one place, which takes too long; narrow what is repeated"
        )
    return ""


def _ways(items: Any) -> float:
    """The most ways to go through a parsed pattern from one place: what `re` tries at worst, as it goes back."""
    ways = 1.0
    for code, argument in items:
        ways *= _ways_of(str(code), argument)
    return ways


def _ways_of(code: str, argument: Any) -> float:
    if code in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        least, most, inner = argument
        if most == _PARSER.MAXREPEAT:
            return float("inf")
        once = _ways(inner)
        return sum(once**count for count in range(least, most + 1)) if once < _MOST_WAYS else once
    if code == "BRANCH":
        return sum(_ways(branch) for branch in argument[1])
    if code == "SUBPATTERN":
        return _ways(argument[3])
    if code in ("ASSERT", "ASSERT_NOT"):
        return _ways(argument[1])
    if code == "ATOMIC_GROUP":
        return _ways(argument)
    return float("inf") if code in ("GROUPREF", "GROUPREF_EXISTS") else 1.0
