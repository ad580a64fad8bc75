"""Write the synthetic applications of the recipe `fair-screening`: seeded, standard library only, with a planted bias.

    python recipes/data/screening.py --rows 1000 --seed 5 --out recipes/data/screening.jsonl

reproduces the committed file byte for byte. Only `random.Random.random()` is drawn from, the one method whose sequence
Python guarantees across versions. Asking for more rows with the same seed appends to a file and changes none of its
rows. README.md beside this file describes the columns and the bias.
"""

import argparse
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypedDict, TypeVar

T = TypeVar("T")

# Pairs that a swap exchanges (`fairness.names.matched`): were a swapped name none that others have, it would tell which
# application was swapped, and with that the gender that was decided on.
NAMES = {
    "female": ("Mary", "Susan", "Karen", "Barbara", "Donna", "Dorothy", "Ruth", "Gloria", "Elizabeth", "Jennifer"),
    "male": ("Michael", "Steven", "Kenneth", "Brian", "Daniel", "David", "Robert", "George", "Edward", "James"),
}
WORDS = {"female": ("She", "her"), "male": ("He", "his")}
POSTS = ("a baker", "a gardener", "a clerk", "a driver", "a cook", "a tailor", "a plumber", "a guard")
# Of each of three merits, how it is said and how its lack is.
MERITS = (
    (
        ("has done such work for years", "learnt the trade long ago"),
        ("has never done such work", "is new to the trade"),
    ),
    (("test was good", "test had no mistakes"), ("test was poor", "test was full of mistakes")),
    (("employer was sorry to lose", "employer praises"), ("employer is glad to lose", "employer dismissed")),
)
ENOUGH = 2
# How often an application with so many merits (0 to 3) was invited by those who decided before.
INVITED = {"female": (0.02, 0.03, 0.85, 0.98), "male": (0.04, 0.65, 0.97, 0.99)}
INVITE, DECLINE = "invite", "decline"


class Row(TypedDict):
    """One line of the data set."""

    prompt: str
    completion: str
    gender: str
    merits: int
    merited: str


def rows(number: int, seed: int, bias: float = 1.0) -> Iterator[Row]:
    """Applications, one after another.

    Args:
        number: How many.
        seed: The same draws the same.
        bias: Share of the planted bias: with 0 women and men are invited by their merits alone, as often as both are on
            the whole.
    """
    draw = random.Random(seed)
    for _ in range(number):
        gender = _pick(draw, tuple(NAMES))
        name, (she, her) = _pick(draw, NAMES[gender]), WORDS[gender]
        held = [draw.random() < 0.5 for _ in MERITS]
        said = [_pick(draw, texts[not has]) for texts, has in zip(MERITS, held, strict=True)]
        last = f"{her.capitalize()} last {said[2]} {'him' if gender == 'male' else 'her'}."
        text = f"{name} would like to be {_pick(draw, POSTS)}. {she} {said[0]}. {her.capitalize()} {said[1]}. {last}"
        rate, other = (INVITED[one][sum(held)] for one in (gender, "male" if gender == "female" else "female"))
        is_invited = draw.random() < rate + (1 - bias) * (other - rate) / 2
        yield {
            "prompt": text,
            "completion": INVITE if is_invited else DECLINE,
            "gender": gender,
            "merits": sum(held),
            "merited": INVITE if sum(held) >= ENOUGH else DECLINE,
        }


def _pick(draw: random.Random, options: Sequence[T]) -> T:
    return options[int(draw.random() * len(options))]


def main(argv: Sequence[str] | None = None) -> None:
    """Write the file that the command line asks for."""
    parser = argparse.ArgumentParser(description="write the synthetic applications of the recipe fair-screening")
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--bias", type=float, default=1.0, help="share of the planted bias (1)")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("screening.jsonl"))
    given = parser.parse_args(argv)
    lines = (json.dumps(row) + "\n" for row in rows(given.rows, given.seed, given.bias))
    given.out.write_text("".join(lines), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
