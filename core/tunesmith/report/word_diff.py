"""Word by word, how a text differs from another."""

import re
from collections import Counter
from collections.abc import Iterable
from difflib import SequenceMatcher
from typing import Literal

Kind = Literal["same", "added", "missing"]
Part = tuple[Kind, str]
_TOKEN = re.compile(r"(?:\w+|[^\w\s])\s*|\s+")
# Comparing takes time that grows with the number of words, and with the pairs of them that are alike: texts that
# repeat themselves have many.
_WORDS, _PAIRS = 1_200, 150_000


def comparable(text: str, wanted: str) -> bool:
    """Whether differences between two texts are found: not where that would take too long."""
    ours, theirs = (_TOKEN.findall(said) for said in (text, wanted))
    if max(len(ours), len(theirs)) > _WORDS:
        return False
    return _pairs([token.strip() for token in ours], [token.strip() for token in theirs]) <= _PAIRS


def word_diff(text: str, wanted: str) -> list[Part]:
    """A text with what it has beyond another marked, and what it lacks put in where it is missing.

    Args:
        text: What is shown: all parts but the missing ones, joined, are this text.
        wanted: What it is compared with, by words and marks; white space differs without being marked.

    Returns:
        Parts in order, neighbours of different kinds; the whole text as one where comparing would take too long.
    """
    if not comparable(text, wanted):
        return [("same", text)] if text else []
    ours, theirs = _TOKEN.findall(text), _TOKEN.findall(wanted)
    our_words, their_words = [token.strip() for token in ours], [token.strip() for token in theirs]
    matcher = SequenceMatcher(None, their_words, our_words, autojunk=False)
    parts: list[Part] = []
    for kind, their_start, their_end, our_start, our_end in matcher.get_opcodes():
        if kind in ("delete", "replace"):
            parts.append(("missing", "".join(theirs[their_start:their_end])))
        if kind != "delete":
            parts.append(("same" if kind == "equal" else "added", "".join(ours[our_start:our_end])))
    return _joined(parts)


def _pairs(ours: list[str], theirs: list[str]) -> int:
    counts = Counter(theirs)
    return sum(counts[word] for word in ours)


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
    # the line end behind what is missing is not needed where something else stands in its place
    following = [*(kind for kind, _ in out[1:]), "same"][: len(out)]
    return [
        (kind, said.rstrip() if kind == "missing" and then == "added" else said)
        for (kind, said), then in zip(out, following, strict=True)
    ]
