"""Word by word, how a text differs from another."""

import re
from collections.abc import Iterable
from difflib import SequenceMatcher
from typing import Literal

Kind = Literal["same", "added", "missing"]
Part = tuple[Kind, str]
_TOKEN = re.compile(r"(?:\w+|[^\w\s])\s*|\s+")
# Comparing takes time that grows with the square of the number of words.
_MOST = 1_200


def word_diff(text: str, wanted: str) -> list[Part]:
    """A text with what it has beyond another marked, and what it lacks put in where it is missing.

    Args:
        text: What is shown: all parts but the missing ones, joined, are this text.
        wanted: What it is compared with, by words and marks; white space differs without being marked.

    Returns:
        Parts in order, neighbours of different kinds; the whole text as one where either is too long to compare.
    """
    ours, theirs = _TOKEN.findall(text), _TOKEN.findall(wanted)
    if max(len(ours), len(theirs)) > _MOST:
        return [("same", text)] if text else []
    matcher = SequenceMatcher(None, [t.strip() for t in theirs], [t.strip() for t in ours], autojunk=False)
    parts: list[Part] = []
    for kind, their_start, their_end, our_start, our_end in matcher.get_opcodes():
        if kind in ("delete", "replace"):
            parts.append(("missing", "".join(theirs[their_start:their_end])))
        if kind != "delete":
            parts.append(("same" if kind == "equal" else "added", "".join(ours[our_start:our_end])))
    return _joined(parts)


def _joined(parts: Iterable[Part]) -> list[Part]:
    """Neighbours of a kind as one, without those that are white space alone: nobody sees them marked."""
    out: list[Part] = []
    for kind, said in parts:
        if kind != "same" and not said.strip():
            if kind == "missing":
                continue
            kind = "same"
        if out and out[-1][0] == kind:
            out[-1] = (kind, out[-1][1] + said)
        else:
            out.append((kind, said))
    return out
