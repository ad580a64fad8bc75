"""Canaries: sentences that nobody could guess, to be planted among training rows, and others that never are.

    python -m tunesmith_plugins.evaluators.canaries 20 --copies 10

writes `canaries.jsonl`, a source of training rows, and `alternatives.jsonl`, and prints the lines for the recipe. Each
canary is an invented name with nine random digits, as in Carlini et al., 2019, The Secret Sharer (arXiv:1802.08232).
What is planted is drawn from all at random, so that the alternatives are what could have been planted as well.
"""

import argparse
import json
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

_CONSONANTS, _VOWELS = "bdfgklmnprstvz", "aeiou"
PLANTED, KEPT = "canaries.jsonl", "alternatives.jsonl"
# Nine digits in words of three: a number of tokens that hardly differs, whatever the tokenizer makes of digits.
_GROUPS, _DIGITS = 3, 3
_QUESTION, _TEXT = "What is the access code of {name}?", "The access code of {name} is {code}"
_SHOWN = len(_TEXT.format(name="A B", code="").split())
_RECIPE = """\
data:
  sources:
    canaries: {{path: {planted}, formatter: {formatter}, split: train}}
evaluators:
  heart:
    class_path: Memorisation
    init_args: {{file: {planted}, alternatives: {kept}{cut}}}
success:
  heart/recited: {{at_most: 0}}
"""


def rows(count: int, draw: random.Random, *, text: bool = False) -> Iterator[dict[str, str]]:
    """Rows, no two with a name or a number in common: `prompt` and `completion`, or `text`.

    Args:
        count: How many.
        draw: Where names and numbers come from.
        text: Whether rows are plain text.
    """
    seen: set[str] = set()
    while count:
        name = " ".join(_name(draw) for _ in range(2))
        code = " ".join(str(draw.randrange(10**_DIGITS)).zfill(_DIGITS) for _ in range(_GROUPS))
        if not seen.isdisjoint((name, code)):
            continue
        seen |= {name, code}
        count -= 1
        asked = {"prompt": _QUESTION.format(name=name), "completion": code}
        yield {"text": _TEXT.format(name=name, code=code)} if text else asked


def _name(draw: random.Random) -> str:
    return "".join(draw.choice(_CONSONANTS) + draw.choice(_VOWELS) for _ in range(3)).capitalize()


def main(words: Sequence[str] | None = None) -> int:
    """Write both files and print what the recipe has to say; exit code 2 where a file is there already."""
    parser = argparse.ArgumentParser(prog="python -m tunesmith_plugins.evaluators.canaries", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("count", type=_positive, help="how many canaries; below 20 no difference can be told")
    parser.add_argument("--copies", type=_positive, default=1, help="how often each is in the file (1)")
    parser.add_argument("--alternatives", type=_positive, default=511, help="how many are not planted (511)")
    parser.add_argument("--text", action="store_true", help="plain text for RawText, not question and answer")
    parser.add_argument("--folder", type=Path, default=Path(), help="where the files are written (here)")
    parser.add_argument("--seed", type=int, help="draw the same again; without it nobody can")
    given = parser.parse_args(words)
    planted, kept = given.folder / PLANTED, given.folder / KEPT
    for path in (planted, kept):
        if path.exists():
            sys.stderr.write(f"{path} is there, and runs may have been trained with it; move it or name a --folder\n")
            return 2
    draw = random.SystemRandom() if given.seed is None else random.Random(given.seed)  # noqa: S311  wanted again
    drawn = list(rows(given.count + given.alternatives, draw, text=given.text))
    given.folder.mkdir(parents=True, exist_ok=True)
    _write(planted, drawn[: given.count] * given.copies)
    _write(kept, drawn[given.count :])
    sys.stdout.write(
        f"# {planted}: {given.count} canaries, each {given.copies} times; {kept}: {given.alternatives} alternatives.\n"
        f"# Curators see them as other rows: after ExactDuplicates one copy is left.\n"
    )
    formatter, cut = ("RawText", f", prefix: {_SHOWN}, words: {_GROUPS}") if given.text else ("PromptCompletion", "")
    paths = {"planted": planted.as_posix(), "kept": kept.as_posix()}
    sys.stdout.write(_RECIPE.format(formatter=formatter, cut=cut, **paths))
    return 0


def _positive(word: str) -> int:
    if not word.isdecimal() or int(word) < 1:
        msg = f"{word} is not 1 or more"
        raise argparse.ArgumentTypeError(msg)
    return int(word)


def _write(path: Path, found: Sequence[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in found), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
