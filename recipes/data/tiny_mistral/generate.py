"""Write the text from which the embedded base learns: `text.jsonl` and `tasks.jsonl`.

    python recipes/data/tiny_mistral/generate.py --texts 10000 --tasks 60000

The same options give the same bytes. `tokenizer.py` reads the result, and so does `recipes/bases/tiny-mistral.yaml`.
"""

import argparse
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

from scenes import from_scene, from_words
from tasks import record, task
from words import Words, sentence

Row = dict[str, object]


def lexicon(words: Words) -> str:
    """Some entries of a dictionary: plain English, with its grammar."""
    rng = words.rng
    entries: list[str] = []
    while sum(map(len, entries)) < 250:
        part, word, gloss = rng.choice(words.glosses)
        entries.append(rng.choice((f"{word}: {gloss}.", f"{sentence(word)} ({part}) means {gloss}.")))
    return rng.choice((" ", "\n")).join(entries)


def account(words: Words) -> str:
    """A passage with its record below it."""
    passage = from_scene(words) if words.rng.random() < 0.6 else from_words(words)
    facts = [(fact.label, fact.value) for fact in passage.facts]
    return f"{passage.text}\n{record(facts, words.rng.randint(0, 9))}"


def echo(words: Words) -> str:
    """A line of strange words, twice or more: the plainest reason to look back."""
    rng = words.rng
    line = rng.choice((" ", ", ")).join(words.anything() for _ in range(rng.randint(2, 10)))
    return rng.choice(("\n", ". ")).join([line] * rng.randint(2, 3))


KINDS: dict[Callable[[Words], str], float] = {lexicon: 0.55, account: 0.2, echo: 0.25}


def texts(words: Words, count: int) -> Iterator[Row]:
    """Rows of `text.jsonl`."""
    for make in words.rng.choices(list(KINDS), weights=list(KINDS.values()), k=count):
        yield {"text": make(words)}


def tasks(words: Words, count: int) -> Iterator[Row]:
    """Rows of `tasks.jsonl`."""
    for _ in range(count):
        yield {"messages": task(words)}


def write(path: Path, rows: Iterator[Row]) -> None:
    """One JSON object a line."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def main() -> None:
    """Read the command line and do the work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--texts", type=int, default=7_000, help="rows of text.jsonl")
    parser.add_argument("--tasks", type=int, default=42_000, help="rows of tasks.jsonl")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    # One stream of random numbers for each file, so that the size of one does not change the other.
    write(arguments.out / "text.jsonl", texts(Words(random.Random(arguments.seed)), arguments.texts))
    write(arguments.out / "tasks.jsonl", tasks(Words(random.Random(arguments.seed + 1)), arguments.tasks))


if __name__ == "__main__":
    main()
