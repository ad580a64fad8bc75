"""What goes wrong in answers of language models whatever the task is, found without a reference or a model."""

from collections.abc import Sequence

CUT, EMPTY, LOOP, COPY = "cut", "empty", "loop", "copy"
MEANINGS = {
    CUT: "cut: did not end by itself before generation.max_new_tokens",
    EMPTY: "empty",
    LOOP: "repeats itself: the same words at least four times in a row",
    COPY: "copies its prompt word for word, which the reference does not",
}
_PERIOD = 12
_TIMES = 4
_LOOP_WORDS = 8
_LOOKED_AT = 2_000
_PIECE = 8
_PIECES = 12
_COPIED = 0.8


def mishaps(output: str, prompt: str, reference: str, *, stopped: bool = True) -> list[str]:
    """The kinds of mishap that an answer shows, as `MEANINGS` names them.

    Args:
        output: The answer.
        prompt: What was asked.
        reference: What was wanted; empty where nobody said.
        stopped: Whether the answer ended by itself.
    """
    is_copy = copied(output, prompt) >= _COPIED and copied(reference, prompt) < 0.5
    shows = {CUT: not stopped, EMPTY: not output.strip(), LOOP: is_loop(output), COPY: is_copy}
    return [kind for kind, there in shows.items() if there]


def is_loop(text: str) -> bool:
    """Whether some words (1 to 12) stand four times in a row or more; of a long text its end is looked at."""
    words = text.split()[-_LOOKED_AT:]
    if not _returns(words):
        return False
    for period in range(1, min(_PERIOD, len(words) // _TIMES) + 1):
        least, run = max(_LOOP_WORDS, _TIMES * period) - period, 0
        for one, other in zip(words, words[period:], strict=False):
            run = run + 1 if one == other else 0
            if run >= least:
                return True
    return False


def _returns(words: Sequence[str]) -> bool:
    """Whether a few words in a row have all been said within a period's length before, as in any loop: a quick look."""
    seen: dict[str, int] = {}
    run = 0
    for at, word in enumerate(words):
        run = run + 1 if at - seen.get(word, -_LOOKED_AT) <= _PERIOD else 0
        if run >= _LOOP_WORDS - 2:
            return True
        seen[word] = at
    return False


def copied(text: str, prompt: str) -> float:
    """The share of a text, in at most twelve pieces of eight words, that stands in the prompt; 0 for fewer words."""
    words = text.casefold().split()[:_LOOKED_AT]
    there = f" {' '.join(prompt.casefold().split())} "
    starts = range(0, len(words) - _PIECE + 1, _PIECE)
    pieces = [f" {' '.join(words[at : at + _PIECE])} " for at in starts[:: -(-len(starts) // _PIECES) or 1]]
    return sum(piece in there for piece in pieces) / len(pieces) if pieces else 0.0
