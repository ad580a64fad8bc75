"""What curators keep: nothing lost, made or changed without a record, and the same result each time."""

import copy
from pathlib import Path
from typing import Any

from tunesmith.data.curate import Tally, problem
from tunesmith.data.example import Example
from tunesmith.testing.check import Rule, Trial, fail, quoted
from tunesmith.testing.material import MARK, examples
from tunesmith.testing.same import same

_SEED = 7
_ADVICE = "call record.drop, record.change or record.add for each example, once"


def exercise(trial: Trial, _: Path) -> Any:
    """Curate all examples."""
    kept, tally = _curated(trial, examples())
    return [kept, tally.counts(), tally.dropped, tally.added]


def accounts_for_every_example(trial: Trial) -> None:
    """Each example stays as it is, or its drop, change or addition is recorded once; order, ids and origins are kept.

    Why: rows that vanish without a word are the commonest bug of data code (trap 38). The core counts on every run, and
    stops it where rows in are not rows out plus what is recorded. The order decides which rows a seed trains on first.
    """
    whole = examples()
    for given in (whole, whole[::-1], whole[:1], whole[5:9] + whole[:3]):
        kept, tally = _curated(trial, given)
        if wrong := problem(given, kept, tally):
            fail(f"it {wrong}", "every example accounted for, in order, with id and origin", _ADVICE)


def takes_an_empty_set(trial: Trial) -> None:
    """No examples in, none out, without an exception; a curator that makes examples records them.

    Why: a source may be filtered to nothing by the curator before, and the message about it comes later.
    """
    kept, tally = _curated(trial, [])
    if wrong := problem([], kept, tally):
        fail(f"of no examples it {wrong}", "an empty result", "make nothing of nothing")


def reads_the_stream_once(trial: Trial) -> None:
    """The examples come as an iterator, which can be read through once.

    Why: sources larger than memory are curated row by row. Who needs them all makes a list.
    """

    class Once:
        """Gives its examples to the first who asks."""

        def __init__(self) -> None:
            self.given = iter(examples())

        def __iter__(self) -> Any:
            return self.given

    advice = "examples = list(examples) where all are needed; no len(), index or second pass"
    expected = "the same examples as from a list"
    listed = [e.id for e in trial.plugin.apply(examples(), Tally(_SEED))]
    try:
        streamed = [e.id for e in trial.plugin.apply(Once(), Tally(_SEED))]
    except TypeError as error:
        fail(f"apply fails on an iterator: {error}", expected, advice, error)
    if listed != streamed:
        fail(f"{len(streamed)} examples stay of an iterator, {len(listed)} of a list", expected, advice)


def changes_nothing_in_place(trial: Trial) -> None:
    """A changed example is a new one (`example.with_(...)`); the given one stays as it was, its extras included.

    Why: the core compares before with after to see what was changed. What is changed in place is counted as untouched,
    and other parts of a run may hold the same example.
    """
    given = examples()
    before = copy.deepcopy(given)
    _curated(trial, given)
    changed = next((old for old, new in zip(before, given, strict=True) if not same(old, new)), None)
    if changed is not None:
        advice = "example.with_(extras={**example.extras, ...}), and record.change"
        fail(f"{changed.id} was changed in place", "the given examples as they were", advice)


def reasons_hold_no_text(trial: Trial) -> None:
    """The reasons of a record are a few words that are the same for many examples, never text or ids of one.

    Why: they are counted, printed and written into data cards. One reason for each row counts nothing, and raw text
    does not belong there.
    """
    given = examples()
    _, tally = _curated(trial, given)
    for what, reasons in tally.counts().items():
        for reason in reasons:
            told = next((e.id for e in given if e.id in reason), "") or (MARK if MARK in reason else "")
            told = told or next((text for e in given for text in e.texts() if len(text) > 5 and text in reason), "")
            if told or not reason.strip():
                found = f"a reason of its {what} is {quoted(reason)}"
                fail(found, "a reason without text or id of an example", 'such as "shorter than 8 characters"')


def scope_is_valid(trial: Trial) -> None:
    """A curator that makes examples is of scope `train`: it runs after the split, on training rows only.

    Why: of scope `all` it would make test rows, or training rows out of test rows, and every measure would be too good
    (trap 37).
    """
    _, tally = _curated(trial, examples())
    if trial.plugin.scope == "all" and tally.added:
        found = f"scope is all, and {len(tally.added)} examples are made"
        fail(found, "train where examples are made", 'scope = "train"')


def _curated(trial: Trial, given: list[Example]) -> tuple[list[Example], Tally]:
    tally = Tally(_SEED)
    return list(trial.plugin.apply(given, tally)), tally


CHECKS: list[Rule] = [
    accounts_for_every_example,
    takes_an_empty_set,
    reads_the_stream_once,
    changes_nothing_in_place,
    reasons_hold_no_text,
    scope_is_valid,
]
