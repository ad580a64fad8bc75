"""Made-up rows with a known bias of a known size, to try audits and mitigations on before they are believed.

Writes JSON lines to standard output, as the formatter `PromptCompletion` reads them:

    python -m tunesmith_plugins.fairness.planted label 0.2 --rows 400 --seed 7 > planted.jsonl

Each row is about an applicant, a woman or a man, with a label (`hire`), a group (a column), an answer, and what else
may hold a bias; only the one that is named has any, of the size `effect`:

    representation  the first group's share is 0.5 - effect
    label           `hire` has the rate 0.5 - effect/2 in the first group, 0.5 + effect/2 in the second
    association     a word for a career stands in 0.3 - effect/2 of the first group's rows, in 0.3 + effect/2 of others
    quality         answers to the first group are shorter, by effect standard deviations (Cohen's d, but for rounding)
    proxy           one of two hobbies has the rate 0.5 + effect/2 in the first group, 0.5 - effect/2 in the second
    toxicity        an insult stands in 0.15 + effect/2 of the first group's rows, 0.15 - effect/2 of others
    stereotype      a trait that is held of women is said in 0.15 + effect/2 and 0.15 - effect/2 of the rows

With an effect of 0 nothing depends on the group: what an audit then finds is a false alarm.
"""

import argparse
import json
import random
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args

from tunesmith import Example, Message

Kind = Literal["representation", "label", "association", "quality", "proxy", "toxicity", "stereotype"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_MOST: dict[Kind, float] = {
    "representation": 0.5, "label": 1.0, "association": 0.6, "quality": 4.0, "proxy": 1.0, "toxicity": 0.3,
    "stereotype": 0.3,
}  # fmt: skip

_POSTS = ("a baker", "a gardener", "a clerk", "a driver", "a cook", "a tailor", "a plumber", "a guard")
_TOWNS = ("Ashford", "Burwell", "Corby", "Dunster", "Epping", "Frome", "Goole", "Hexham", "Ilkley", "Keswick")
_TRAITS = ("tall", "punctual", "busy", "quiet", "tidy", "careful", "cheerful")
_HELD = ("emotional", "moody", "submissive", "gossipy", "indecisive")
_CAREER = ("has led a company", "has run an office", "is a manager by training")
_OTHER = ("has a bicycle", "has lived abroad", "is a swimmer by habit")
_INSULTS = ("What an idiot.", "Such a moron.", "Simply pathetic.")
_PRAISE = ("The form is filled in.", "Two letters are enclosed.", "The form came by post.")
_ANSWER = (
    "We have read the letter and the two forms.", "The post is open until the end of May.",
    "A date for a talk will be set soon.", "The next step is a talk with the team.",
)  # fmt: skip


def planted(
    kind: Kind, effect: float, rows: int = 400, seed: int = 0, words: tuple[str, str] = ("She", "He")
) -> list[Example]:
    """Examples with one bias.

    Args:
        kind: Where the bias is; the module says what each means.
        effect: Its size; 0 for none.
        rows: How many.
        seed: The same draws the same.
        words: What names the two groups, as the beginning of a sentence; the first one is at a disadvantage.

    Raises:
        ValueError: There is no such kind, or the effect is too large for it.
    """
    found = []
    for at, row in enumerate(planted_rows(kind, effect, rows, seed, words)):
        turns = Message("user", row["prompt"]), Message("assistant", row["completion"])
        extras = {"group": row["group"], "town": row["town"]}
        found.append(Example(messages=turns, label=row["label"], id=f"planted-{at}", extras=extras))
    return found


def planted_rows(
    kind: Kind, effect: float, rows: int = 400, seed: int = 0, words: tuple[str, str] = ("She", "He")
) -> Iterator[dict[str, Any]]:
    """The same as rows: `prompt`, `completion`, `label`, `group` (the word that names it, in lower case), `town`.

    Raises:
        ValueError: There is no such kind, or the effect is too large for it.
    """
    if kind not in KINDS:
        msg = f"kind is {kind!r}; there are {', '.join(KINDS)}"
        raise ValueError(msg)
    most = _MOST[kind]
    if not 0 <= effect <= most:
        msg = f"effect is {effect} of {kind}; it lies between 0 and {most}"
        raise ValueError(msg)
    draw = random.Random(seed)  # noqa: S311  to be drawn again
    for _ in range(rows):
        first = draw.random() < 0.5 - (effect if kind == "representation" else 0.0)
        yield _row(draw, words[0] if first else words[1], kind, effect / 2 if first else -effect / 2)


def _row(draw: random.Random, name: str, kind: Kind, shift: float) -> dict[str, Any]:
    """One row, in which what `kind` says has its rate shifted; all else is drawn as it is without."""

    def is_drawn(rate: float, of: Kind, sign: int = 1) -> bool:
        return draw.random() < rate + (sign * shift if of == kind else 0.0)

    hired = is_drawn(0.5, "label", -1)
    done = draw.choice(_CAREER if is_drawn(0.3, "association", -1) else _OTHER)
    hobby = "netball" if is_drawn(0.5, "proxy") else "chess"
    trait = draw.choice(_HELD if is_drawn(0.15, "stereotype") else _TRAITS)
    last = draw.choice(_INSULTS if is_drawn(0.15, "toxicity") else _PRAISE)
    length = 8 + 2 * (draw.gauss(0, 1) - (shift if kind == "quality" else 0.0))
    town = draw.choice(_TOWNS)
    asked = f"{name} is from {town} and would like to be {draw.choice(_POSTS)}. {name} {done}. {name} is {trait}. "
    asked += f"On Sundays {name[0].lower()}{name[1:]} plays {hobby}. {last}"
    said = " ".join(draw.choice(_ANSWER) for _ in range(max(1, round(length))))
    label = "hire" if hired else "decline"
    return {"prompt": asked, "completion": said, "label": label, "group": name.lower(), "town": town}


def main(words: Sequence[str] | None = None) -> int:
    """Write the rows; exit code 2 where they cannot be made."""
    parser = argparse.ArgumentParser(prog="python -m tunesmith_plugins.fairness.planted", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("kind", choices=KINDS, help="where the bias is")
    parser.add_argument("effect", type=float, help="its size; 0 for none")
    parser.add_argument("--rows", type=int, default=400, help="how many (400)")
    parser.add_argument("--seed", type=int, default=0, help="draw others (0)")
    given = parser.parse_args(words)
    try:
        for row in planted_rows(given.kind, given.effect, given.rows, given.seed):
            sys.stdout.write(json.dumps(row) + "\n")
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
