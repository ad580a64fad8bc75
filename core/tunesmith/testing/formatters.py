"""What formatters keep: any row becomes an example or a refusal that names a field, and nothing is lost or leaked."""

import copy
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from tunesmith.data.example import Example
from tunesmith.errors import RowError
from tunesmith.testing.check import Call, Rule, Trial, fail, quoted, told
from tunesmith.testing.made_up import EXAMPLES, any_rows, given, hypothesis, json_value, text
from tunesmith.testing.material import MARK
from tunesmith.testing.quotes import quotation
from tunesmith.testing.readable import CANDIDATES, formatted, named_fields, readable_rows, refusal
from tunesmith.testing.same import same
from tunesmith.testing.sound import flaw

_ADVICE = "raise RowError(field, reason, columns) from every place where a value may be missing or of another type"


def calls(trial: Trial) -> list[Call]:
    """Read all that it reads, and refuse what it does not, each row by itself."""
    known = readable_rows(trial.fresh())
    rows = [*known, {}, *(dict.fromkeys(row) for row in known[:2])]
    return [partial(_read, row) for row in rows]


def reads_some_row(trial: Trial) -> None:
    """There is a row that the formatter reads; the kit finds one by giving it the fields that its refusals name.

    Why: a user who guesses at the columns learns them in the same way, from the errors. Rows that no guess can find are
    given by `trial_rows`; what is never read is never checked.
    """
    expected = "an example with messages, segments, or chosen and rejected"
    if trial.rows and all(refusal(lambda row: formatted(trial, row), row) for row in trial.rows):
        cause = refusal(lambda row: formatted(trial, row), trial.rows[0])
        fail(f"not one of {len(trial.rows)} given rows is read: {cause}", expected, "give rows that it is meant for")
    if not readable_rows(trial):
        cause = refusal(lambda row: formatted(trial, row), {})
        said = f"; the empty row: {told(cause)}" if cause else ""
        name = trial.name
        advice = f"name the missing field in RowError, or override {name}.trial_rows to return rows that it reads"
        fail(f"no row was found that {name} reads{said}", expected, advice)


def reads_or_names_the_field(trial: Trial) -> None:
    """Any row of JSON values becomes a sound example, or a RowError that names the field at fault.

    Why: rows of other people hold anything. A RowError sets one row aside, counted and with its line; any other
    exception stops the run, and so does a number for a text later on; an example without content trains nothing (trap
    38). Sound is a tuple of turns with text and a known role, or of segments, weights of 0 or more, extras as in JSON.
    """

    def one(row: dict[str, Any]) -> None:
        for method in (trial.plugin.format, trial.plugin.question):
            found = _outcome(method, row)
            if isinstance(found, Exception) and not isinstance(found, RowError):
                expected = "an Example, or RowError(field, reason)"
                fail(f"{method.__name__} raises {told(found)} for {quoted(row)}", expected, _ADVICE, found)
            if isinstance(found, RowError) and not (found.field and found.reason):
                expected = "the column's name and what is wrong with it"
                fail(f"RowError({found.field!r}, {found.reason!r}) for {quoted(row)}", expected, _ADVICE)
            if not isinstance(found, Exception) and (wrong := flaw(found)):
                advice = f"{_ADVICE}; convert what it reads to the types of Example"
                fail(f"what {method.__name__} makes of {quoted(row)} {wrong}", "a sound example", advice)

    any_rows(trial, one)


def format_is_pure(trial: Trial) -> None:
    """Reading a row changes nothing, and gives the same example each time, whatever was read before.

    Why: rows are read again on resume, in `predict`, and in other processes; ids are made from the row after it was
    formatted. A formatter that pops columns, or counts, gives other examples there.
    """
    advice = "build new objects; copy a list or map of the row before changing it"
    seen: list[tuple[dict[str, Any], Any]] = []

    def one(row: dict[str, Any]) -> None:
        before = copy.deepcopy(row)
        found = [_outcome(trial.plugin.format, row, in_place=True), _outcome(trial.plugin.question, row, in_place=True)]
        if not same(row, before):
            fail(f"the row {quoted(before)} became {quoted(row)}", "the row as it was", advice)
        seen.append((before, found))

    any_rows(trial, one)
    for row in readable_rows(trial):
        one(row)
    for row, found in seen[-EXAMPLES:]:
        again = [_outcome(trial.plugin.format, row), _outcome(trial.plugin.question, row)]
        if not _alike(found, again):
            what = f"{quoted(row)} gives {quoted(found)}, and later {quoted(again)}"
            fail(what, "the same example for the same row", advice)


def keeps_unread_columns(trial: Trial) -> None:
    """Columns that the formatter does not read end in the example's extras, unchanged.

    Why: gold values of evaluators, groups of audits and keys of `keep_together` are read from there. A column that a
    formatter drops is missing at `test`, after the training.
    """
    known = readable_rows(trial)

    def one(names: list[str], value: Any) -> None:
        for row in known[:6]:
            more = {f"unread {name}": value for name in names}
            found = _outcome(trial.plugin.format, {**row, **more})
            if isinstance(found, Exception):
                advice = "ignore columns that it does not know"
                fail(f"{quoted(row)} is read, and with {quoted(more)} refused: {told(found)}", "the example", advice)
            lost = next((n for n in more if n not in found.extras or not same(found.extras[n], value)), None)
            if lost is not None:
                what = f"extras is {quoted(dict(found.extras))}; column {lost!r} was {quoted(value)}"
                advice = "extras={name: value for name, value in row.items() if name not in <the columns it reads>}"
                fail(what, "every column that is not read, as it was", advice)

    st = hypothesis()
    given(one, st.lists(text(), min_size=1, max_size=3, unique=True), json_value())


def refusals_hold_no_text(trial: Trial) -> None:
    """A RowError's field and reason never hold text of the row, or a part of it.

    Why: they end in `rejected.jsonl`, on screens and in logs, where rows before anonymisation must not be. Names of
    other columns are text too: of a file without a header they are its first row. They are given as `columns`, which
    is shown and not stored.
    """
    texts = (MARK, f" {MARK}\n", f'{{"a": "{MARK}"}}', f"[{MARK}")
    marked: list[Any] = [*texts, [MARK], [[MARK]], {"role": MARK, "content": MARK}, [{"role": MARK, "content": MARK}]]
    marked += [[{"from": MARK, "value": MARK}], [{"role": "user", "content": [MARK, 1]}], {"a": {"b": MARK}}]
    known = readable_rows(trial)
    rows: list[dict[str, Any]] = [dict.fromkeys(named_fields(trial), value) for value in marked]
    rows += [{MARK: 1}, *({MARK: 1, name: None} for name in named_fields(trial))]
    for row in known[:8]:
        rows += [{**row, name: value} for name in row for value in marked]
        rows += [{**row, name: broken} for name in row for broken in _broken(row[name])]
    for row in rows:
        for method in (trial.plugin.format, trial.plugin.question):
            found = _outcome(method, row)
            if isinstance(found, RowError) and quotation(f"{found.field} {found.reason}", CANDIDATES[:1]):
                advice = "say what is wrong with the value, not what it is"
                fail(
                    f"{method.__name__} says {told(found)}",
                    f"no text of the row, not a part of {MARK!r} either",
                    advice,
                )


def question_agrees_with_format(trial: Trial) -> None:
    """`question` reads what `format` reads, to the same example; of rows that lack the answer alone, the same prompt.

    Why: `predict` and `test` ask through it. A prompt that differs from the one that was trained on costs quality that
    no loss shows (traps 19, 20).
    """
    for row in readable_rows(trial):
        asked, whole = (_outcome(method, row) for method in (trial.plugin.question, trial.plugin.format))
        if not _alike(asked, whole):
            what = f"question gives {quoted(asked)}, format {quoted(whole)}"
            fail(what, "the same where the row has its answer", "call format where the answer is there")
        for name in row if isinstance(whole, Example) else ():
            for less in ({n: value for n, value in row.items() if n != name}, {**row, name: None}):
                _check_prompt(trial, less, whole)


def _check_prompt(trial: Trial, less: Mapping[str, Any], whole: Example) -> None:
    """Check that a row which only `question` reads is asked as the whole one is."""
    asked = _outcome(trial.plugin.question, less)
    if isinstance(asked, Exception) or not isinstance(_outcome(trial.plugin.format, less), Exception):
        return
    turns = whole.messages or whole.chosen
    if turns[: len(asked.messages)] != asked.messages or whole.segments[: len(asked.segments)] != asked.segments:
        what = f"of {quoted(less)} question makes {quoted(asked)}; with the answer format makes {quoted(whole)}"
        fail(what, "how that begins", "make the prompt in one place for both")


def _read(row: Mapping[str, Any], plugin: Any) -> Any:
    read = [_outcome(method, row) for method in (plugin.format, plugin.question)]
    return [told(found) if isinstance(found, Exception) else found for found in read]


def _outcome(method: Callable[[Mapping[str, Any]], Any], row: Mapping[str, Any], in_place: bool = False) -> Any:
    """The example, or what was raised; of a copy of the row unless it is to be seen what becomes of it."""
    try:
        return method(row if in_place else copy.deepcopy(row))
    except Exception as error:
        return error


def _alike(one: Any, two: Any) -> bool:
    if isinstance(one, Exception) and isinstance(two, Exception):
        return told(one) == told(two)
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(_alike(a, b) for a, b in zip(one, two, strict=True))
    return same(one, two)


def _broken(value: Any) -> list[Any]:
    """A value with marked text in each of its parts, one at a time."""
    if isinstance(value, str):
        return [MARK]
    if isinstance(value, list):
        inner = [(at, part) for at, entry in enumerate(value) for part in [*_broken(entry), MARK, 7, None]]
        return [[*value[:at], part, *value[at + 1 :]] for at, part in inner]
    if isinstance(value, dict):
        inner = [(key, part) for key, entry in value.items() for part in [*_broken(entry), [MARK], 7, None]]
        return [{**value, key: part, "more": MARK} for key, part in inner]
    return [MARK]


CHECKS: list[Rule] = [
    reads_some_row,
    reads_or_names_the_field,
    format_is_pure,
    keeps_unread_columns,
    refusals_hold_no_text,
    question_agrees_with_format,
]
