"""What is kept of a model's proposals before a person sees them."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import tee

from tunesmith import ngram_hashes, normal_text
from tunesmith_plugins.curators.json_text import is_json
from tunesmith_plugins.curators.synthesis.queue import Proposal

_REFUSAL = re.compile(
    r"\b(?:as an ai\b|as a language model|i(?:'m| am) (?:sorry|unable)|i can(?:'|no)t (?:help|assist|provide|create))",
    re.IGNORECASE,
)
_SHINGLE = 3
_TIMES = 3


def why_not(proposal: Proposal, seeds: Sequence[Proposal]) -> str:
    """Why a proposal is of no use by itself; empty where it may be of some.

    Args:
        proposal: The row.
        seeds: The rows that it was to be like.
    """
    if not proposal.completion.strip() or (bool(seeds[0].prompt) and not proposal.prompt.strip()):
        return "a part is empty"
    if _REFUSAL.search(proposal.completion) and not any(_REFUSAL.search(seed.completion) for seed in seeds):
        return "the model refuses or speaks of itself"
    if all(map(is_json, (seed.completion for seed in seeds))) and not is_json(proposal.completion):
        return "the answer is not JSON, as those of the seeds are"
    lengths = [len(seed.completion) for seed in seeds]
    if not min(lengths) / _TIMES <= len(proposal.completion) <= max(lengths) * _TIMES:
        return "the answer is three times longer or shorter than those of the seeds"
    return ""


def alike(proposals: Sequence[str], others: Iterable[str], threshold: float) -> list[bool]:
    """Which of some texts are nearly those of another text, or of an earlier one of their own.

    Args:
        proposals: A few texts.
        others: Any number of texts; read once.
        threshold: Jaccard similarity of the sets of three successive words from which on two texts are alike.
    """
    sets = list(shingles(proposals))
    holders: defaultdict[int | str, list[int]] = defaultdict(list)
    for at, held in enumerate(sets):
        for shingle in held:
            holders[shingle].append(at)
    found = [False] * len(sets)
    for other in shingles(others):
        shared = Counter(at for shingle in other for at in holders.get(shingle, ()))
        for at, number in shared.items():
            found[at] = found[at] or number >= threshold * (len(sets[at]) + len(other) - number)
    for at, held in enumerate(sets):
        earlier = (sets[before] for before in range(at) if not found[before])
        found[at] = found[at] or any(len(held & e) >= threshold * len(held | e) for e in earlier)
    return found


def shingles(texts: Iterable[str]) -> Iterator[frozenset[int | str]]:
    """The sets that are compared, of each text: its runs of three words; of a shorter text all of it."""
    texts, again = tee(texts)
    for text, runs in zip(again, ngram_hashes(texts, _SHINGLE), strict=True):
        yield frozenset(runs.tolist()) or frozenset([normal_text(text)])
