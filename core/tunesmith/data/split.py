"""Which split a row belongs to: by a keyed hash or by the file that it lies in, and never in two of them.

The rule, in order:

1. A row of a source that declares `split` belongs there.
2. Any other row belongs where the keyed hash of its `keep_together` value says; without a value, where the hash of its
   normalised content says, so that equal rows are never parted. Nothing else decides: neither other rows, nor their
   number or order, nor the curators. Rows that are appended, and curators that change, never move a row.
3. What still lies in two splits is dropped from one of them, and counted: a hashed row that is equal to one of another
   split, or whose `keep_together` value is there (files that declare their split come first, then earlier rows before
   later ones), and a declared row that is equal to one of another file, or shares its `keep_together` value with one,
   from train before validation before test. Rows appended to the last source therefore change nothing for the rows
   before them; appended to an earlier one, they can only push out duplicates.

One question with another answer is another row: a data set may ask one thing of every row. Held-out rows that ask what
a training row asks are counted, since they may flatter; `keep_together` with the prompt's column parts them.

"Normalised" is Unicode NFKC, lower case, white space collapsed.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from tunesmith.data.example import Example, Message
from tunesmith.data.normal import normal_text
from tunesmith.data.rows import canonical, digest
from tunesmith.data.sources import SplitName
from tunesmith.errors import RecipeError

SPLITS: tuple[SplitName, ...] = get_args(SplitName)
# Held-out rows claim first: a leak is mended by training on less, not by testing on less.
_CLAIMS: tuple[SplitName, ...] = ("test", "validation", "train")

SAME_GROUP = "same keep_together value as a row of another split"
SAME_CONTENT = "equal to a row of another split"


@dataclass
class Split:
    """How rows are split that come from sources without a split of their own.

    Args:
        train: Share of the training rows.
        validation: Share of the validation rows.
        test: Share of the test rows; the three sum to 1.
        keep_together: Column whose equal values stay in one split (a patient, a customer, a document).
        key: Key of the hash; another key gives another split.
    """

    train: float = 0.8
    validation: float = 0.1
    test: float = 0.1
    keep_together: str | None = None
    key: str = "tunesmith"

    def check(self) -> None:
        """Raise RecipeError unless the shares are shares."""
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

    def of(self, what: str) -> SplitName:
        """The split of whatever `what` identifies: a pure function of it and the key."""
        point = int.from_bytes(digest(self.key, what)[:8], "big") / 2**64
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
        fixed: Whether its file declared it.
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


def place(example: Example, split: Split, fixed: SplitName | None, group: str | None) -> Place:
    """Where an example belongs by rules 1 and 2: on its text as it was read, before any curator."""
    if fixed is not None:
        return Place(fixed, True, group)
    return Place(split.of(f"group {group}" if group else f"row {content_key(example).hex()}"), False, group)


class _Claims:
    """Which splits hold a key."""

    def __init__(self) -> None:
        self._held: defaultdict[bytes | str, set[SplitName]] = defaultdict(set)

    def elsewhere(self, key: bytes | str, split: SplitName) -> bool:
        return bool(self._held.get(key, set()) - {split})

    def claim(self, key: bytes | str, split: SplitName) -> None:
        self._held[key].add(split)


def settle(
    examples: Sequence[Example], places: Mapping[str, Place]
) -> tuple[dict[SplitName, list[Example]], list[tuple[Example, str]]]:
    """Put examples into their splits by rule 3, on their text as it is now.

    Args:
        examples: All examples, in order.
        places: Place of each, by id.

    Returns:
        The examples of each split, in order; and those that were dropped, each with the reason.
    """
    contents, groups = _Claims(), _Claims()
    dropped: dict[str, tuple[Example, str]] = {}
    for example in _by_claim(examples, places):
        at = places[example.id]
        content = content_key(example)
        reason = ""
        if at.group is not None and groups.elsewhere(at.group, at.split):
            reason = SAME_GROUP
        elif contents.elsewhere(content, at.split):
            reason = SAME_CONTENT
        if reason:
            dropped[example.id] = (example, reason)
            continue
        contents.claim(content, at.split)
        if at.group is not None:
            groups.claim(at.group, at.split)
    splits: dict[SplitName, list[Example]] = {name: [] for name in SPLITS}
    for example in examples:
        if example.id not in dropped:
            splits[places[example.id].split].append(example)
    return splits, list(dropped.values())


def _by_claim(examples: Sequence[Example], places: Mapping[str, Place]) -> Iterable[Example]:
    for split in _CLAIMS:
        yield from (e for e in examples if places[e.id].fixed and places[e.id].split == split)
    yield from (e for e in examples if not places[e.id].fixed)


def asked_in_training(splits: Mapping[SplitName, Sequence[Example]]) -> dict[SplitName, int]:
    """Number of held-out examples whose prompt a training example has as well, with another answer."""
    trained = {prompt_key(example) for example in splits["train"]}
    return {name: sum(prompt_key(e) in trained for e in splits[name]) for name in SPLITS if name != "train"}


def leaked(train: Sequence[Example], splits: Mapping[SplitName, Sequence[Example]]) -> list[Example]:
    """Training examples that a curator has made equal to a held-out one."""
    held_out = {content_key(e) for name in ("validation", "test") for e in splits[name]}
    return [example for example in train if content_key(example) in held_out] if held_out else []
