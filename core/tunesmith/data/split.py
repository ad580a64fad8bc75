"""Which split a row belongs to: by its file, its time or a keyed hash, and never in two of them.

The rule, in order:

1. A row of a source that declares `split` belongs there. With `by_time`, any other row belongs where its time says:
   from `test_from` on to test, from `validation_from` on to validation, else to train, as a row without a time does.
2. Any other row is hashed: it belongs where the keyed hash of its `keep_together` value says; without a value, where
   the hash of its normalised content says, so that equal rows are never parted. With `stratify` it belongs where its
   number among the rows of its source and stratum says: the numbers go through the splits by their shares, from a start
   that is hashed, so that among the first n rows of a stratum each split has its share of n, give or take 3.
   A hashed row without a `keep_together` value that resembles an earlier row of its source (`near_duplicates`; as the
   rows were read, before any curator) belongs where the first such row does.
   Nothing else decides: neither rows of other sources, nor later rows, nor the curators. Rows that are appended to
   their sources, and curators that change, never move a row. (Rows that are taken out, or put before others, may: their
   near-duplicates in the same source, and with `stratify` all rows of their stratum after them.)
3. What still lies in two splits is dropped from one of them, and counted: a hashed row that is equal to one of another
   split or resembles it, or whose `keep_together` value is there (rows of rule 1 come first, then earlier rows before
   later ones), and a row of rule 1 that is equal to another such row, resembles it or shares its `keep_together` value,
   from train before validation before test. Rows appended to the last source therefore change nothing for the rows
   before them; appended to an earlier one, or as held-out rows of rule 1, they can only push out duplicates.

"Resembles" is what `NearDuplicateIndex` says: prompts and answers both alike, labels equal. Points of time are written
down, not computed from shares: shares of a growing set would move rows from test to train in the next cycle.

One question with another answer is another row: a data set may ask one thing of every row. Held-out rows that ask what
a training row asks are counted, since they may flatter; `keep_together` with the prompt's column parts them.

"Normalised" is Unicode NFKC, lower case, white space collapsed.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import get_args

from tunesmith.data.example import Example, Message
from tunesmith.data.moments import moment
from tunesmith.data.near import NearDuplicateIndex
from tunesmith.data.normal import normal_text
from tunesmith.data.rows import canonical, digest
from tunesmith.data.sources import SplitName
from tunesmith.errors import RecipeError

SPLITS: tuple[SplitName, ...] = get_args(SplitName)
# Held-out rows claim first: a leak is mended by training on less, not by testing on less.
_CLAIMS: tuple[SplitName, ...] = ("test", "validation", "train")

_NOWHERE: frozenset[SplitName] = frozenset()
_HOLDERS = {held: held for count in range(1, 4) for held in map(frozenset[SplitName], combinations(SPLITS, count))}

SAME_GROUP = "same keep_together value as a row of another split"
SAME_CONTENT = "equal to a row of another split"
ALIKE = "near-duplicate of a row of another split"


@dataclass
class Split:
    """How rows are split that come from sources without a split of their own.

    Args:
        train: Share of the training rows.
        validation: Share of the validation rows.
        test: Share of the test rows; the three sum to 1.
        keep_together: Column whose equal values stay in one split (a patient, a customer, a document).
        key: Key of the hash; another key gives another split.
        near_duplicates: Least similarity of rows that are kept in one split, 0.5 to 1; null looks for equal rows only.
        by_time: Column of dates, times (ISO 8601) or numbers; the latest rows are held out, whatever the shares are.
        validation_from: First value of `by_time` of the validation rows.
        test_from: First value of `by_time` of the test rows.
        stratify: Column, `label` or `task` of whose every value each split gets its share, to a few rows.
    """

    train: float = 0.8
    validation: float = 0.1
    test: float = 0.1
    keep_together: str | None = None
    key: str = "tunesmith"
    near_duplicates: float | None = 0.8
    by_time: str | None = None
    validation_from: str | float | None = None
    test_from: str | float | None = None
    stratify: str | None = None

    def check(self) -> None:
        """Raise RecipeError unless the shares are shares, and the other options go together."""
        shares = {name: float(getattr(self, name)) for name in SPLITS}
        for name, share in shares.items():
            if not 0 <= share <= 1:
                msg = f"data.split.{name} is {share}; a share lies between 0 and 1"
                raise RecipeError(msg)
        total = math.fsum(shares.values())
        if abs(total - 1) > 1e-6:
            said = ", ".join(f"{name} {share:g}" for name, share in shares.items())
            msg = f"data.split: the shares sum to {total:.6g}, not to 1: {said}"
            raise RecipeError(msg)
        if self.near_duplicates is not None and not 0.5 <= self.near_duplicates <= 1:
            msg = f"data.split.near_duplicates is {self.near_duplicates}; it lies between 0.5 and 1, or is null"
            raise RecipeError(msg)
        self._check_times()
        if self.stratify and (self.by_time or self.keep_together):
            other = "by_time" if self.by_time else "keep_together"
            msg = f"data.split.stratify and {other} cannot both decide where a row belongs; leave one out"
            raise RecipeError(msg)

    def _check_times(self) -> None:
        begins = {name: getattr(self, name) for name in ("validation_from", "test_from")}
        given = {name: value for name, value in begins.items() if value is not None}
        if given and not self.by_time:
            msg = f"data.split.{min(given)} is set without by_time, the column that it is a value of"
            raise RecipeError(msg)
        for name, value in given.items():
            if moment(value) is None:
                msg = f"data.split.{name} is {value!r}; it is a number, or a date or time in ISO 8601 (2026-11-28)"
                raise RecipeError(msg)
        if len(given) == 2:
            validation, test = (moment(value) or ("", 0.0) for value in begins.values())
            if validation[0] != test[0] or validation > test:
                msg = (
                    f"data.split.validation_from is {self.validation_from} and test_from {self.test_from}; the test "
                    "rows are the latest, so test_from comes after"
                )
                raise RecipeError(msg)

    def of(self, what: str) -> SplitName:
        """The split of whatever `what` identifies: a pure function of it and the key."""
        return self._at(self._number(what))

    def nth(self, stratum: str, number: int) -> SplitName:
        """The split of the row with a number in its stratum, from 0: multiples of the golden ratio lie evenly."""
        return self._at((self._number(f"stratum {stratum}") + number * 0x9E3779B97F4A7C15) % 2**64)

    def _number(self, what: str) -> int:
        return int.from_bytes(digest(self.key, what)[:8], "big")

    def _at(self, number: int) -> SplitName:
        point = number / 2**64
        end, last = 0.0, SPLITS[0]
        for name in SPLITS:
            share = getattr(self, name)
            end += share
            if point < end:
                return name
            last = name if share else last
        # Shares that sum to a little less than 1: a share of 0 stays empty all the same.
        return last


@dataclass(frozen=True, slots=True)
class Place:
    """Where an example belongs.

    Args:
        split: Its split.
        fixed: Whether its file declared it, or its time did.
        group: Its `keep_together` value, if it has one.
    """

    split: SplitName
    fixed: bool
    group: str | None


def prompt_key(example: Example) -> bytes:
    """Identifies what a model is asked: system turns and the answer left out; the whole where nothing is asked."""
    if example.segments:
        asked = ""
        for segment in example.segments:
            if segment.weight != 0:
                break
            asked += segment.text
        text = asked if asked.strip() else "".join(segment.text for segment in example.segments)
        return digest("text", normal_text(text))
    turns = [turn for turn in example.prompt if turn.role != "system"]
    if not any(turn.content.strip() or turn.fields for turn in turns):
        return content_key(example)
    return digest("turns", *_said(turns))


def content_key(example: Example) -> bytes:
    """Identifies all that is trained on: every turn, segment and label, normalised."""
    parts = [_said(example.messages), _said(example.chosen), _said(example.rejected)]
    text = normal_text("".join(segment.text for segment in example.segments))
    return digest(canonical(parts), text, canonical(example.label))


def _said(turns: Sequence[Message]) -> list[str]:
    return [part for m in turns for part in (m.role, normal_text(m.content), canonical(m.fields) if m.fields else "")]


def group_of(value: object) -> str | None:
    """A `keep_together` value as text, so that 7 in JSON and "7" in CSV are one; None where there is none."""
    text = value.strip() if isinstance(value, str) else "" if value is None else canonical(value)
    return text or None


class _Claims:
    """Which splits hold a key."""

    def __init__(self) -> None:
        self._held: dict[bytes | str, frozenset[SplitName]] = {}

    def elsewhere(self, key: bytes | str, split: SplitName) -> bool:
        return bool(self._held.get(key, _NOWHERE) - {split})

    def claim(self, key: bytes | str, split: SplitName) -> None:
        # one object for all keys of the same splits: a million sets take hundreds of megabytes
        self._held[key] = _HOLDERS[self._held.get(key, _NOWHERE) | {split}]


def settle(
    examples: Sequence[Example], places: Sequence[Place], index: NearDuplicateIndex | None = None
) -> tuple[dict[SplitName, list[int]], dict[int, str]]:
    """Put examples into their splits by rule 3, on their text as it is now.

    Args:
        examples: All examples, in order.
        places: Place of each.
        index: Signatures of the examples, in order; without it near-duplicates are not looked for.

    Returns:
        The indices of the examples of each split, in order; and of those that were dropped, each with the reason.
    """
    contents, groups = _Claims(), _Claims()
    dropped: dict[int, str] = {}
    keys = [content_key(example) for example in examples]
    claims = list(_by_claim(places))
    for number in claims:
        at, content = places[number], keys[number]
        if at.group is not None and groups.elsewhere(at.group, at.split):
            dropped[number] = SAME_GROUP
        elif contents.elsewhere(content, at.split):
            dropped[number] = SAME_CONTENT
        else:
            contents.claim(content, at.split)
            if at.group is not None:
                groups.claim(at.group, at.split)
    if index is not None:
        claims = [number for number in claims if number not in dropped]
        repeated = index.select(claims).repeats(across=[SPLITS.index(places[number].split) for number in claims])
        dropped |= {number: ALIKE for number, repeats in zip(claims, repeated, strict=True) if repeats}
    splits: dict[SplitName, list[int]] = {name: [] for name in SPLITS}
    for number, at in enumerate(places):
        if number not in dropped:
            splits[at.split].append(number)
    return splits, dropped


def _by_claim(places: Sequence[Place]) -> Iterable[int]:
    for split in _CLAIMS:
        yield from (number for number, at in enumerate(places) if at.fixed and at.split == split)
    yield from (number for number, at in enumerate(places) if not at.fixed)


def asked_in_training(splits: Mapping[SplitName, Sequence[Example]]) -> dict[SplitName, int]:
    """Number of held-out examples whose prompt a training example has as well, with another answer."""
    trained = {prompt_key(example) for example in splits["train"]}
    return {name: sum(prompt_key(e) in trained for e in splits[name]) for name in SPLITS if name != "train"}


def leaked(
    train: Sequence[Example], splits: Mapping[SplitName, Sequence[Example]], threshold: float | None = None
) -> dict[str, str]:
    """Training examples that a curator has made equal to a held-out one, or a near-duplicate of it.

    Args:
        train: Those that it made or changed.
        splits: The held-out examples, by split.
        threshold: As `data.split.near_duplicates`.

    Returns:
        The reason for each, by id.
    """
    held_out = [*splits["validation"], *splits["test"]]
    if not held_out or not train:
        return {}
    contents = {content_key(example) for example in held_out}
    found = {example.id: SAME_CONTENT for example in train if content_key(example) in contents}
    if threshold is not None:
        index = NearDuplicateIndex(threshold)
        for example in [*held_out, *train]:
            index.add(example)
        repeated = index.repeats(across=[0] * len(held_out) + [1] * len(train))[len(held_out) :]
        found = {e.id: ALIKE for e, repeats in zip(train, repeated, strict=True) if repeats} | found
    return found
