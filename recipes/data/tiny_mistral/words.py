"""Words to build text from: common ones, rare ones, names, and words that nobody has ever seen.

A model copies a long unseen word piece by piece or not at all. So a good part of all names is invented here, anew
for every row, which leaves nothing to learn by heart.
"""

import random
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

HERE = Path(__file__).parent / "words"


def invented(rng: random.Random) -> str:
    """A word that does not exist, of one to four syllables."""
    parts: list[str] = []
    for _ in range(rng.choice((1, 2, 2, 2, 3, 3))):
        onset = rng.choice(pieces()["onsets"]) if rng.random() < 0.85 else ""
        coda = rng.choice(pieces()["codas"]) if rng.random() < 0.3 else ""
        parts.append(onset + rng.choice(pieces()["vowels"]) + coda)
    if rng.random() < 0.5 or len(parts) == 1:
        parts.append(rng.choice(pieces()["codas"])[0] + rng.choice(pieces()["endings"]))
    return "".join(parts)


def read(name: str) -> list[str]:
    """The lines of one of the files in `words/`."""
    return (HERE / name).read_text(encoding="utf-8").split("\n")[:-1]


@cache
def pieces() -> dict[str, list[str]]:
    """Short lists: what syllables consist of, units, months and the like."""
    return {name: parts for name, *parts in map(str.split, read("pieces.txt"))}


@dataclass(frozen=True)
class Words:
    """The material, and draws from it. One generator of random numbers decides everything."""

    rng: random.Random

    @cached_property
    def nouns(self) -> list[str]:
        """Common ones."""
        return read("nouns.txt")

    @cached_property
    def verbs(self) -> list[str]:
        """Common ones, in their plain form."""
        return read("verbs.txt")

    @cached_property
    def adjectives(self) -> list[str]:
        """Common ones."""
        return read("adjectives.txt")

    @cached_property
    def rare(self) -> list[str]:
        """Words of all sorts that one seldom reads."""
        return read("rare.txt")

    @cached_property
    def first_names(self) -> list[str]:
        """Of people in the United States."""
        return read("first_names.txt")

    @cached_property
    def last_names(self) -> list[str]:
        """Of people in the United States."""
        return read("last_names.txt")

    @cached_property
    def glosses(self) -> list[tuple[str, str, str]]:
        """Part of speech, word, and meaning with examples."""
        rows = [line.split("\t") for line in read("glosses.tsv")]
        return [(part, word, gloss) for part, word, gloss in rows]

    def word(self) -> str:
        """One word, more often than not a strange one."""
        kind = self.rng.random()
        if kind < 0.5:
            return invented(self.rng)
        if kind < 0.8:
            return self.rng.choice(self.rare)
        return self.rng.choice(self.nouns)

    def thing(self) -> str:
        """What can be listed: a word, at times with another one before it."""
        kind = self.rng.random()
        if kind < 0.65:
            return self.word()
        if kind < 0.85:
            return f"{self.rng.choice(self.adjectives)} {self.word()}"
        return f"{self.word()} {self.rng.choice(self.nouns)}"

    def things(self, least: int, most: int) -> list[str]:
        """Different things."""
        drawn: dict[str, None] = {}
        wanted = self.rng.randint(least, most)
        while len(drawn) < wanted:
            drawn[self.thing()] = None
        return list(drawn)

    def person(self) -> str:
        """A name, whole or in part."""
        rng = self.rng
        last = rng.choice(self.last_names) if rng.random() < 0.7 else invented(rng).capitalize()
        kind = rng.random()
        if kind < 0.6:
            return f"{rng.choice(self.first_names)} {last}"
        return rng.choice((f"Mr {last}", f"Ms {last}", f"Dr {last}", last, rng.choice(self.first_names)))

    def place(self) -> str:
        """A town, or a street or field in it."""
        name = invented(self.rng) if self.rng.random() < 0.6 else self.rng.choice(self.last_names)
        name = name.capitalize()
        return f"{name} {self.rng.choice(pieces()['places'])}" if self.rng.random() < 0.5 else name

    def number(self) -> str:
        """From 2 to 2000, small ones more often."""
        return str(self.rng.choice((self.rng.randint(2, 20), self.rng.randint(2, 99), self.rng.randint(100, 2000))))

    def amount(self) -> str:
        """A number with its unit."""
        tail = f".{self.rng.randint(1, 9)}" if self.rng.random() < 0.15 else ""
        return f"{self.number()}{tail} {self.rng.choice(pieces()['units'])}"

    def code(self) -> str:
        """Letters and a number, as on a label."""
        letters = "".join(self.rng.choices("ABCDEFGHJKLMNPRSTUVWXYZ", k=self.rng.randint(1, 3)))
        return f"{letters}{self.rng.choice(('-', '', ' '))}{self.rng.randint(10, 9999)}"

    def date(self) -> str:
        """A day, a month or a time."""
        rng = self.rng
        return rng.choice(
            (
                f"{rng.randint(1, 28)} {rng.choice(pieces()['months'])}",
                rng.choice(pieces()["days"]),
                f"{rng.randint(1, 12)}:{rng.randint(0, 59):02d}",
                f"{rng.choice(pieces()['months'])} {rng.randint(1800, 2030)}",
            )
        )

    def value(self, kind: str) -> str:
        """A value of a kind that `scenes.txt` names."""
        if kind == "colour":
            return self.rng.choice(pieces()["colours"])
        draw = {
            "person": self.person,
            "place": self.place,
            "number": self.number,
            "amount": self.amount,
            "code": self.code,
            "date": self.date,
            "thing": self.thing,
        }[kind]
        return draw()

    def anything(self) -> str:
        """A value of any kind."""
        kinds = ("person", "place", "amount", "code", "date", "thing", "thing", "thing", "thing")
        return self.value(self.rng.choice(kinds))


def joined(items: list[str], rng: random.Random, last: str = "and") -> str:
    """A list as a sentence says it."""
    if len(items) == 1:
        return items[0]
    comma = "," if rng.random() < 0.2 and len(items) > 2 else ""
    return f"{', '.join(items[:-1])}{comma} {last} {items[-1]}"


def sentence(text: str) -> str:
    """With a capital letter in front. Invented words take it too, as they would in any text."""
    return text[:1].upper() + text[1:]
