"""Rows that nobody has written: any columns with any values, and readable ones with something changed."""

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

from tunesmith.testing.check import CheckFailedError, MissingExtraError, Trial
from tunesmith.testing.material import ODD_TEXTS
from tunesmith.testing.readable import CANDIDATES, named_fields, readable_rows

EXAMPLES = 60
"""How many of them a rule is tried on."""

# Rows made up last, and the rows and names that they are made of: two checks try them, and they take longest to make.
_MADE: list[Any] = []


def any_rows(trial: Trial, one: Callable[[dict[str, Any]], None]) -> None:
    """Try rows: any columns with any values, and readable ones with columns changed, lost and added."""
    st = hypothesis()
    known = readable_rows(trial)
    names = sorted({name for row in known for name in row} | named_fields(trial))
    columns = st.one_of(text(), *([st.sampled_from(names)] if names else []))
    values = st.one_of(json_value(), st.sampled_from(CANDIDATES))
    rows = st.dictionaries(columns, values, max_size=6)
    if known:
        changed = st.builds(lambda row, more: {**row, **more}, st.sampled_from(known), rows)
        fewer = st.builds(
            lambda row, lost: {name: value for name, value in row.items() if name not in lost},
            st.sampled_from(known),
            st.sets(st.sampled_from(names), max_size=2),
        )
        rows = st.one_of(rows, changed, fewer)
    for row in _plainly_wrong(known, names):
        one(row)
    if _MADE[:2] != [known, names]:
        made: list[dict[str, Any]] = []
        given(made.append, rows)
        _MADE[:] = [known, names, made]
    try:
        for row in _MADE[2]:
            one(copy.deepcopy(row))
    except CheckFailedError:
        given(lambda row: one(copy.deepcopy(row)), rows)  # finds a smaller row that fails
        raise


def _plainly_wrong(known: list[dict[str, Any]], names: list[str]) -> Iterator[dict[str, Any]]:
    """Readable rows with one column lost, or with what columns often hold instead; and a column alone."""
    values = (*CANDIDATES, None, "", " ", 0, False, [], {}, [None])
    for name in names:
        for row in [{}, *(row for row in known[:3] if name in row)]:
            yield {other: copy.deepcopy(value) for other, value in row.items() if other != name}
            for value in values:
                yield copy.deepcopy({**row, name: value})


def hypothesis() -> Any:
    """Its strategies.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        from hypothesis import strategies
    except ImportError as error:
        msg = "formatters are tried on made-up rows, which needs hypothesis: pip install 'tunesmith[testing]'"
        raise MissingExtraError(msg) from error
    return strategies


def given(function: Callable[..., None], *strategies: Any) -> None:
    """Call it with made-up values: the same ones each time, the smallest that fails last."""
    from hypothesis import HealthCheck, Phase, settings
    from hypothesis import given as tried

    phases = (Phase.generate, Phase.shrink)
    how = settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=phases,
        suppress_health_check=list(HealthCheck),
    )
    strategy = strategies[0] if len(strategies) == 1 else hypothesis().tuples(*strategies)
    made: Any = tried(strategy)
    how(made(lambda values: function(*values) if len(strategies) > 1 else function(values)))()


def text() -> Any:
    """Short texts of any characters."""
    st = hypothesis()
    # what readers refuse before a formatter sees it
    letters = st.characters(exclude_categories=("Cs",), exclude_characters="\x00")
    odd = [text for text in ODD_TEXTS if "\x00" not in text and len(text) < 1000]
    return st.one_of(st.text(letters, max_size=12), st.sampled_from(odd))


def json_value() -> Any:
    """Whatever JSON can hold."""
    st = hypothesis()
    numbers = st.one_of(st.integers(-(10**20), 10**20), st.floats(allow_nan=False, allow_infinity=False))
    plain = st.one_of(st.none(), st.booleans(), numbers, text(), st.sampled_from(["{}", "[]", "[1", json.dumps("x")]))
    keys = st.one_of(text(), st.sampled_from(["role", "content", "from", "value", "text", "type", "function"]))
    return st.recursive(plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3))
