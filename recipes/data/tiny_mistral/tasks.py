"""Small tasks that can only be solved by reading: each is a chat whose answers stand in its own text."""

import random
from collections.abc import Callable

from scenes import Fact, Passage, from_scene, from_words, labelled, scenes
from words import Words, joined, sentence

Message = dict[str, str]
ASKS = ("Fill in: {}", "Note {}.", "Report: {}", "Labels: {}", "Write down {}.", "{}?", "Extract {}.")
PAIRS = ["{}: {}", "{} = {}", "{} is {}", "{} has {}", "{} - {}", "{} goes with {}", "{} lives with {}", "{} wants {}"]


def chat(*turns: str, system: str = "") -> list[Message]:
    """Turns of user and assistant, one after the other."""
    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": text} for i, text in enumerate(turns)]
    return [{"role": "system", "content": system}, *messages] if system else messages


def record(facts: list[tuple[str, str]], style: int) -> str:
    """Labels and values in one of several layouts."""
    if style == 0:
        return "; ".join(f"{label}: {value}" for label, value in facts)
    if style == 1:
        return "\n".join(f"- {label}: {value}" for label, value in facts)
    if style == 2:
        return "; ".join(f"{label} = {value}" for label, value in facts)
    if style == 3:
        return ". ".join(f"{label}: {value}" for label, value in facts) + "."
    if style == 4:
        return " | ".join(f"{label} {value}" for label, value in facts)
    return "\n".join(f"{label}: {value}" for label, value in facts)


def chosen(passage: Passage, rng: random.Random, none: str = "none") -> list[tuple[str, str]]:
    """Which labels to ask for, and the answers; a label of which nothing is said gets `none`."""
    facts = [(fact.label, fact.value) for fact in passage.facts]
    if rng.random() < 0.4:
        facts = rng.sample(facts, rng.randint(1, len(facts)))
    if passage.silent and rng.random() < 0.4:
        facts.insert(rng.randint(0, len(facts)), (rng.choice(passage.silent), none))
    return facts


def passage_of(words: Words) -> Passage:
    """Either kind of passage."""
    return from_scene(words) if words.rng.random() < 0.6 else from_words(words)


def extract(words: Words) -> list[Message]:
    """A passage and the labels to fill in."""
    rng = words.rng
    passage = passage_of(words)
    facts = chosen(passage, rng)
    labels = ", ".join(label for label, _ in facts)
    answer = record(facts, rng.randint(0, 9))
    ask = rng.choice(ASKS).format(labels)
    if rng.random() < 0.2:
        return chat(passage.text, answer, system=ask)
    return chat(rng.choice((f"{passage.text}\n{ask}", f"{ask}\n{passage.text}")), answer)


def summarise(words: Words) -> list[Message]:
    """A passage alone: which facts to report, and in which order, is always the same for a world."""
    rng = words.rng
    passage = from_scene(words)
    answer = record([(fact.label, fact.value) for fact in passage.facts], 9)
    ask = rng.choice(("Summarise.", "Summary:", "Make a record.", "What does it say?", ""))
    return chat(f"{passage.text}\n{ask}".strip(), answer)


def by_example(words: Words) -> list[Message]:
    """One or two passages with their records, then one without."""
    rng = words.rng
    name = rng.choice(list(scenes()))
    labels, style = labelled(name, rng), rng.randint(0, 9)
    turns: list[str] = []
    for _ in range(2):
        passage = from_scene(words, name, labels)
        turns += [passage.text, record([(fact.label, fact.value) for fact in passage.facts], style)]
    return chat(*turns)


def questions(words: Words) -> list[Message]:
    """One passage, several questions, among them the way back from a value to its label."""
    rng = words.rng
    passage = passage_of(words)
    turns: list[str] = []
    for fact in rng.sample(passage.facts, min(len(passage.facts), rng.randint(2, 5))):
        if rng.random() < 0.25:
            part = rng.choice(fact.values)
            turns += [rng.choice((f"What is {part}?", f"Label of {part}?")), f"{part}: {fact.label}"]
        else:
            ask = rng.choice(("{}?", "And {}?", "What about {}?", "Tell me {}.", "What is the {}?")).format(fact.label)
            turns += [ask, f"{fact.label}: {fact.value}"]
    turns[0] = f"{passage.text}\n{turns[0]}"
    return chat(*turns)


def table(words: Words) -> list[Message]:
    """Keys and values of any sort, then look-ups, forwards or backwards."""
    rng = words.rng
    keys = words.things(3, 9)
    rows = {key: words.anything() for key in keys}
    line = rng.choice(PAIRS)
    text = rng.choice(("\n", ", ", "; ", ". ")).join(line.format(key, value) for key, value in rows.items())
    turns: list[str] = []
    for key in rng.sample(keys, rng.randint(2, len(keys))):
        if rng.random() < 0.25:
            turns += [f"{rows[key]} <", f"{rows[key]} < {key}"]
        else:
            turns += [f"{key}?", line.format(key, rows[key])]
    turns[0] = f"{text}\n{turns[0]}"
    return chat(*turns)


def copies(words: Words) -> list[Message]:
    """A list to repeat whole, or in part."""
    rng = words.rng
    items = words.things(2, 9) if rng.random() < 0.7 else [words.anything() for _ in range(rng.randint(2, 7))]
    text = rng.choice((", ".join(items), "\n".join(items), " ".join(items), joined(items, rng), "; ".join(items)))
    kind = rng.randint(0, 6)
    if kind == 1:
        return chat(f"First of: {text}", f"First: {items[0]}")
    if kind == 2:
        return chat(f"Last of: {text}", f"Last: {items[-1]}")
    if kind == 3:
        at = rng.randrange(len(items) - 1)
        return chat(f"{text}\nWhat follows {items[at]}?", f"After {items[at]}: {items[at + 1]}")
    if kind == 4:
        out = rng.choice(items)
        return chat(f"{text}\nAll but {out}.", "All: " + ", ".join(item for item in items if item != out))
    asked = rng.choice(("Repeat", "Copy", "Say again", "List"))
    return chat(f"{asked}: {text}", rng.choice(("Copy: ", "- ", "I say: ")) + text)


WAYS = {
    "yes": [
        "{w} has {v}",
        "there is {v}",
        "now {v}",
        "we found {v}",
        "{w} still shows {v}",
        "{v} is present",
        "{w} wants {v}",
    ],
    "no": [
        "{w} has no {v}",
        "there is no {v}",
        "not {v}",
        "{w} is without {v}",
        "never {v}",
        "{v} is absent",
        "nobody found {v}",
        "{w} does not want {v}",
        "{v} was refused",
        "neither {v}",
    ],
    "past": [
        "{w} had {v} once",
        "there was {v} before",
        "{w} used to have {v}",
        "formerly {v}",
        "{v} is over",
        "{v} ended long ago",
        "in the past {v}",
        "{w} no longer has {v}",
    ],
}
STATUSES = (
    ("Yes", "No", "Past"),
    ("Present", "Absent", "Former"),
    ("Has", "Lacks", "Had"),
    ("Now", "Not", "Earlier"),
    ("Found", "Excluded", "History"),
)


def status(words: Words) -> list[Message]:
    """What is, what is not, and what once was: sort the items of a few sentences."""
    rng = words.rng
    items = words.things(3, 8)
    who = rng.choice((words.person(), "it", "the " + rng.choice(words.nouns)))
    ways, names = WAYS, rng.choice(STATUSES)
    sorted_: dict[str, list[str]] = {kind: [] for kind in ways}
    clauses: list[str] = []
    rest = list(items)
    while rest:
        kind = rng.choice(list(ways))
        taken = [rest.pop(0) for _ in range(min(len(rest), rng.choice((1, 1, 2, 3))))]
        sorted_[kind] += taken
        last = (
            "nor" if kind == "no" and len(taken) == 2 else rng.choice(("and", "and", "or" if kind == "no" else "and"))
        )
        text = rng.choice(ways[kind]).format(w=who, v=joined(taken, rng, last))
        if kind == "no" and clauses and rng.random() < 0.3:
            clauses[-1] += rng.choice((" but no ", " but not ", ", not ", ", no ", " without ")) + joined(
                taken, rng, "or"
            )
        else:
            clauses.append(text)
    text = " ".join(sentence(clause) + "." for clause in clauses)
    facts = [(name, ", ".join(sorted_[kind]) or "none") for name, kind in zip(names, ways, strict=True)]
    if rng.random() < 0.3:
        facts = facts[:1] if rng.random() < 0.5 else rng.sample(facts, 2)
    ask = " / ".join(name for name, _ in facts)
    return chat(rng.choice((f"{text}\n{ask}", f"{ask}\n{text}")), record(facts, 9 if rng.random() < 0.7 else 0))


def rule(words: Words) -> list[Message]:
    """Pairs that must not meet, and a list in which they may."""
    rng = words.rng
    items = words.things(4, 8)
    half = len(items) // 2
    pairs = list(zip(items[:half], items[half : 2 * half], strict=True))[:3]
    bad = [pair for pair in pairs if rng.random() < 0.5]
    there = [item for pair in bad for item in pair]
    there += [rng.choice(pair) for pair in pairs if pair not in bad]
    there += words.things(1, 2)
    rng.shuffle(there)
    law = rng.choice(("{} clashes with {}", "{} and {} must not meet", "never {} with {}", "keep {} from {}"))
    laws = ". ".join(sentence(law.format(*pair)) for pair in pairs)
    found = "; ".join(f"{a} with {b}" for a, b in bad) or "none"
    here = f"{rng.choice(('Here are', 'On the table:', 'We have'))} {joined(there, rng)}."
    return chat(f"{laws}.\n{here}\nClash?", f"Clash: {found}")


def spotted(words: Words) -> list[Message]:
    """Which of these words does the passage name?"""
    rng = words.rng
    passage = passage_of(words)
    facts: list[Fact] = list(passage.facts)
    named = [rng.choice(fact.values) for fact in rng.sample(facts, rng.randint(1, min(3, len(facts))))]
    asked = named + words.things(1, 3)
    rng.shuffle(asked)
    there = [item for item in asked if item in named]
    return chat(f"{passage.text}\nWhich of these: {', '.join(asked)}?", "Found: " + ", ".join(there))


MIXTURE: dict[Callable[[Words], list[Message]], float] = {
    extract: 0.24,
    summarise: 0.16,
    by_example: 0.08,
    questions: 0.12,
    table: 0.10,
    copies: 0.08,
    status: 0.14,
    rule: 0.05,
    spotted: 0.03,
}


def task(words: Words) -> list[Message]:
    """One task of the mixture."""
    (make,) = words.rng.choices(list(MIXTURE), weights=list(MIXTURE.values()))
    return make(words)
