"""What curators keep: nothing lost, made or changed without a record, and the same result each time."""

import copy
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from tunesmith.data.account import problem
from tunesmith.data.curate import Tally
from tunesmith.data.example import Example
from tunesmith.testing.check import Call, NotApplicableError, Rule, Trial, fail, quoted
from tunesmith.testing.material import examples, unclean
from tunesmith.testing.quotes import quotation
from tunesmith.testing.same import same
from tunesmith.testing.sound import flaw

_SEED = 7
_FEW = 2
_ADVICE = "call record.drop, record.change or record.add for each example, once"


def calls(_: Trial) -> list[Call]:
    """Curate a few examples, all, and others."""
    return [partial(_outcome, part) for part in (slice(5, 8), slice(None), slice(8, None), slice(None, None, -1))]


def accounts_for_every_example(trial: Trial) -> None:
    """Each example stays as it is, or its drop, change or addition is recorded once; order, ids and origins are kept.

    Why: rows that vanish without a word are the commonest bug of data code (trap 38). The core counts on every run, and
    stops it where rows in are not rows out plus what is recorded. The order decides which rows a seed trains on first.
    """
    whole = _given()
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
            self.given = iter(_given())

        def __iter__(self) -> Any:
            return self.given

    advice = "examples = list(examples) where all are needed; no len(), index or second pass"
    expected = "the same examples as from a list"
    listed = [e.id for e in trial.plugin.apply(_given(), _tally(trial))]
    try:
        streamed = [e.id for e in trial.plugin.apply(Once(), _tally(trial))]
    except TypeError as error:
        fail(f"apply fails on an iterator: {error}", expected, advice, error)
    if listed != streamed:
        fail(f"{len(streamed)} examples stay of an iterator, {len(listed)} of a list", expected, advice)


def records_what_it_changes(trial: Trial) -> None:
    """`record.change` is called for the examples that stay and are another then, and for no other; once for a reason.

    Why: the data card says how many rows were changed, and why. A curator that records each row that it looked at says
    of clean data that all of it was dirty, and nobody can tell what it did.
    """
    tally, before = _Changes(_SEED, _held_out(trial)), {example.id: example for example in _given()}
    after = {example.id: example for example in trial.plugin.apply(copy.deepcopy(list(before.values())), tally)}
    advice = "compare before recording, and yield the changed example"
    for name in dict.fromkeys(name for name, _ in tally.noted):
        if name not in before or name not in after:
            what = "was dropped" if name in before else "is none of the given ones"
            fail(f"it records a change of {name}, which {what}", "changes of examples that stay", advice)
        if same(before[name], after[name]):
            fail(f"it records a change of {name}, which is as it was", "a record for what is another", advice)
    for name in before.keys() & after.keys():
        # what is not equal is found by `accounts_for_every_example`; 1 and 1.0 and true are, and written differently
        if name not in tally.changed and before[name] == after[name] and not same(before[name], after[name]):
            fail(f"values of {name} are of another type, without a record", "a record for what is another", _ADVICE)
    twice = next((name for (name, _), number in Counter(tally.noted).items() if number > 1), None)
    if twice is not None:
        fail(f"it records a change of {twice} twice for one reason", "once", "record after the last change of its kind")


def keeps_examples_sound(trial: Trial) -> None:
    """What it returns are sound examples: content in one place, turns with text and a known role, weights of 0 or more.

    Why: nothing looks at them again before they are encoded. One that was emptied is dropped there, without the
    curator's name; one with something else for a text stops the run.
    """
    for example in _curated(trial, _given())[0]:
        if wrong := flaw(example):
            fail(f"an example that it returns {wrong}", "a sound example", "drop what it cannot keep, and record that")


def changes_nothing_in_place(trial: Trial) -> None:
    """A changed example is a new one (`example.with_(...)`); the given one stays as it was, its extras included.

    Why: the core compares before with after to see what was changed. What is changed in place is counted as untouched,
    and other parts of a run may hold the same example.
    """
    given = _given()
    before = copy.deepcopy(given)
    _curated(trial, given)
    changed = next((old for old, new in zip(before, given, strict=True) if not same(old, new)), None)
    if changed is not None:
        advice = "example.with_(extras={**example.extras, ...}), and record.change"
        fail(f"{changed.id} was changed in place", "the given examples as they were", advice)


def reasons_hold_no_text(trial: Trial) -> None:
    """The reasons of a record are a few words for many examples; they hold no id of one, and no piece of its text.

    Why: they are counted, printed and written into data cards. One reason for each row counts nothing, and raw text
    does not belong there: curators run before rows are anonymised.
    """
    given = _given()
    texts = list(dict.fromkeys(text for example in given for text in example.texts()))
    tally, other = _curated(trial, given)[1], _curated(trial, _longer(given))[1]
    for what, reasons in tally.reasons.items():
        for reason in reasons:
            told = next((e.id for e in given if e.id in reason), "") or quotation(reason, texts)
            told = told or next((text for text in texts if len(text) > 5 and text in reason), "")
            if told or not reason.strip():
                found = f"a reason of its {what} is {quoted(reason)}"
                fail(found, "a reason without text or id of an example", 'such as "shorter than 8 characters"')
        if len(new := [reason for reason in other.reasons[what] if reason not in reasons]) > _FEW:
            found = f"examples that are a little longer have {len(new)} other reasons, such as {quoted(new[0])}"
            fail(found, "the same few reasons", "say the rule that applied, not the value that was measured")


def scope_is_valid(trial: Trial) -> None:
    """A curator that makes examples is of scope `train`: it runs after the split, on training rows only.

    Why: of scope `all` it would make test rows, or training rows out of test rows, and every measure would be too good
    (trap 37).
    """
    _, tally = _curated(trial, _given())
    if trial.plugin.scope == "all" and tally.added:
        found = f"scope is all, and {len(tally.added)} examples are made"
        fail(found, "train where examples are made", 'scope = "train"')


def rows_are_independent(trial: Trial) -> None:
    """Where `by_row` is true, an example that is curated alone becomes what it becomes among others.

    Why: such a curator is run on parts of a data set at once, or on appended rows alone. What compares rows with each
    other would then miss what lies in two parts.
    """
    if not trial.plugin.by_row:
        reason = "by_row is false: it may compare rows with each other"
        raise NotApplicableError(reason)
    given = _given()
    kept, tally = _curated(trial, given)
    alone = [_curated(trial, [example]) for example in given]
    advice = "by_row = False where it compares, counts or numbers rows; keep nothing from one example to the next"
    expected = "the same for each example, alone and among others"
    made = [example for part, _ in alone for example in part]
    if not same(kept, made):
        fail("examples that are curated one by one become others than together", expected, advice)
    if tally.reasons != {what: sum((t.reasons[what] for _, t in alone), Counter()) for what in tally.reasons}:
        fail("examples that are curated one by one have other reasons than together", expected, advice)


class _Changes(Tally):
    """Notes each change by itself."""

    def __init__(self, seed: int, held_out: Sequence[Example]) -> None:
        super().__init__(seed, held_out)
        self.noted: list[tuple[str, str]] = []

    def change(self, example: Example, reason: str) -> None:
        """Note that `example` was changed."""
        super().change(example, reason)
        self.noted.append((example.id, reason))


def _given() -> list[Example]:
    """Examples of every shape, clean and unclean."""
    return [*examples(), *unclean()]


def _tally(trial: Trial) -> Tally:
    return Tally(_SEED, _held_out(trial))


def _held_out(trial: Trial) -> list[Example]:
    """What a curator of scope `train` may compare with: some of the given examples under other ids, and longer ones."""
    given = _given()
    if trial.plugin.scope != "train":
        return []
    return [*(example.with_(id=f"held-out-{example.id}") for example in given[::7]), *_longer(given[3::7])]


def _longer(given: list[Example]) -> list[Example]:
    """The same with some letters more in each text, and other ids."""
    made = []
    for at, example in enumerate(given):
        more = "x" * (at % 7 + 1)
        parts: dict[str, Any] = {"segments": tuple(replace(s, text=s.text + more) for s in example.segments)}
        for name in ("messages", "chosen", "rejected"):
            parts[name] = tuple(turn.with_content(turn.content + more) for turn in getattr(example, name))
        made.append(example.with_(**parts, id=f"{example.id}-longer"))
    return made


def _outcome(part: slice, plugin: Any) -> Any:
    kept, tally = _curated(Trial(plugin), _given()[part])
    return [kept, tally.counts(), tally.dropped, tally.added]


def _curated(trial: Trial, given: list[Example]) -> tuple[list[Example], Tally]:
    tally = _tally(trial)
    return list(trial.plugin.apply(given, tally)), tally


CHECKS: list[Rule] = [
    accounts_for_every_example,
    takes_an_empty_set,
    reads_the_stream_once,
    records_what_it_changes,
    keeps_examples_sound,
    changes_nothing_in_place,
    reasons_hold_no_text,
    scope_is_valid,
    rows_are_independent,
]
