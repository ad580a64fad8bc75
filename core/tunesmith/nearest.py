"""Which known word a misspelt one was meant to be.

Distance is optimal string alignment (Damerau-Levenshtein without repeated edits; Boytsov 2011, "Indexing methods for
approximate dictionary searching", section 2.1), so that every single slip of the finger is found, also in words of two
letters, where ratios of similarity fail.
"""

from collections.abc import Iterable

_MOST = 3


def distance(left: str, right: str) -> int:
    """Number of insertions, deletions, substitutions and swaps of neighbours between two words."""
    before: list[int] = []
    last = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        row = [i]
        for j, b in enumerate(right, 1):
            best = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                best = min(best, before[j - 2] + 1)
            row.append(best)
        before, last = last, row
    return last[-1]


def nearest(word: str, known: Iterable[str]) -> list[str]:
    """The known words closest to `word`, at most three, none where nothing is close.

    All words at the smallest distance are given, because a slip can lie between two of them. Case and the choice
    between dash and underscore do not count.
    """
    limit = max(1, len(word) // 3)
    folded = _fold(word)
    near = [(distance(folded, _fold(k)), k) for k in dict.fromkeys(known) if abs(len(k) - len(word)) <= limit]
    near = [(d, k) for d, k in near if d <= limit]
    best = min((d for d, _ in near), default=0)
    return [k for d, k in near if d == best][:_MOST]


def one_of(words: Iterable[str]) -> str:
    """`a`, `a or b`, `a, b or c`."""
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?`, or nothing where no known word is close.

    Since 0.1.
    """
    near = nearest(word, known)
    return f"; did you mean {one_of(near)}?" if near else ""


def _fold(word: str) -> str:
    return word.casefold().replace("-", "_")
