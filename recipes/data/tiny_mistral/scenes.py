"""Passages with facts in them, from the little worlds of `scenes.txt` or from words put together at random."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from words import Words, joined, sentence

BUT = (" but no ", " but not ", ", not ", ", without ", " rather than ", ", no ")
LISTS = ("has", "lacks", "had")


@dataclass(frozen=True)
class Line:
    """One line of `scenes.txt`."""

    labels: tuple[str, ...]
    kind: str
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Fact:
    """What a passage says under one label."""

    label: str
    values: tuple[str, ...]
    text: str

    @property
    def value(self) -> str:
        """What a record shows: a list with commas."""
        return ", ".join(self.values)


@dataclass(frozen=True)
class Passage:
    """A text, the facts in the order of their labels, and labels about which it says nothing."""

    text: str
    facts: tuple[Fact, ...]
    silent: tuple[str, ...]


@cache
def scenes() -> dict[str, tuple[Line, ...]]:
    """The worlds of `scenes.txt` by name."""
    found: dict[str, list[Line]] = {}
    here: list[Line] = []
    for raw in (Path(__file__).parent / "scenes.txt").read_text(encoding="utf-8").splitlines():
        if raw.startswith("["):
            here = found.setdefault(raw.strip("[]"), [])
        elif raw and not raw.startswith("#"):
            labels, kind, texts = (part.strip() for part in raw.split("|"))
            sentences = tuple(text.strip() for text in texts.split(";"))
            here.append(Line(tuple(labels.split("/")), kind, sentences))
    return {name: tuple(lines) for name, lines in found.items()}


def prose(texts: list[str], rng: random.Random) -> str:
    """Clauses to sentences: most stand alone, some are joined, some end in a new line."""
    parts: list[str] = []
    rest = list(texts)
    while rest:
        text = rest.pop(0)
        if rest and rng.random() < 0.3:
            text += rng.choice((", and ", "; ", ", ", " and ", ", but ")) + rest.pop(0)
        parts.append(sentence(text) + ".")
    return rng.choice((" ", " ", " ", "\n")).join(parts)


def written(line: Line, label: str, words: Words) -> Fact:
    """One fact with drawn values, put into a sentence."""
    rng = words.rng
    template = rng.choice(line.sentences)
    if line.kind not in LISTS:
        value = words.value(line.kind)
        return Fact(label, (value,), template.replace("{v}", value))
    values = words.things(1, 3)
    last = "or" if line.kind == "lacks" and rng.random() < 0.7 else "and"
    return Fact(label, tuple(values), template.replace("{v}", joined(values, rng, last)))


def contrast(facts: list[Fact], kinds: list[str], rng: random.Random) -> list[str]:
    """The facts as clauses; what is there and what is not may share one: `A but not B`."""
    texts = [fact.text for fact in facts]
    if "has" in kinds and "lacks" in kinds and rng.random() < 0.35:
        there, absent = kinds.index("has"), kinds.index("lacks")
        missing = joined(list(facts[absent].values), rng, "or")
        texts[there] += rng.choice(BUT) + missing
        texts[absent] = ""
    return texts


def labelled(name: str, rng: random.Random) -> list[str]:
    """One of the names that each fact of a world may go by."""
    return [rng.choice(line.labels) for line in scenes()[name]]


def from_scene(words: Words, name: str = "", labels: list[str] | None = None) -> Passage:
    """A passage of one of the worlds. Some of its labels stay silent."""
    rng = words.rng
    name = name or rng.choice(list(scenes()))
    lines = scenes()[name]
    labels = labels or labelled(name, rng)
    told = rng.sample(range(len(lines)), rng.randint(3, min(6, len(lines))))
    told.sort()
    facts = [written(lines[i], labels[i], words) for i in told]
    clauses = [text for text in contrast(facts, [lines[i].kind for i in told], rng) if text]
    if rng.random() < 0.6:
        rng.shuffle(clauses)
    silent = tuple(labels[i] for i in range(len(lines)) if i not in told)
    return Passage(prose(clauses, rng), tuple(facts), silent)


def random_clauses(words: Words) -> Iterator[tuple[str, str]]:
    """Endless pairs of a label and a sentence around {v}, of random words: no two worlds are alike."""
    rng = words.rng
    while True:
        noun, other, verb = rng.choice(words.nouns), rng.choice(words.nouns), rng.choice(words.verbs)
        adjective = rng.choice(words.adjectives)
        yield rng.choice(
            (
                (noun, f"the {noun} is {{v}}"),
                (noun, f"for the {noun} we take {{v}}"),
                (f"{noun} {other}", f"the {other} of the {noun} is {{v}}"),
                (noun, f"{{v}} is the {noun}"),
                (noun, f"{{v}} was made the {adjective} {noun}"),
                (f"{adjective} {noun}", f"as {adjective} {noun} they chose {{v}}"),
                (noun, f"the {adjective} {noun} is called {{v}}"),
                (noun, f"its {noun} has been {{v}} for a long time"),
                (verb, f"they {verb} {{v}}"),
                (verb, f"we want to {verb} {{v}} in the {noun}"),
                (noun, f"{noun}: {{v}}"),
                (noun, f"the {noun} and {{v}} belong together"),
                (f"{noun}", f"under {noun} the {other} lists {{v}}"),
                (noun, f"{{v}} will {verb} the {noun}"),
            )
        )


def from_words(words: Words) -> Passage:
    """A passage about random nouns, so that look-up cannot lean on known sentences."""
    rng = words.rng
    facts: dict[str, Fact] = {}
    wanted = rng.randint(2, 7)
    for raw, template in random_clauses(words):
        label = sentence(raw) if rng.random() < 0.7 else raw
        if label.lower() not in {seen.lower() for seen in facts}:
            values = words.things(1, 3) if rng.random() < 0.25 else [words.anything()]
            facts[label] = Fact(label, tuple(values), template.replace("{v}", joined(values, rng)))
        if len(facts) == wanted:
            break
    clauses = [fact.text for fact in facts.values()]
    return Passage(prose(clauses, rng), tuple(facts.values()), (sentence(rng.choice(words.nouns)),))
