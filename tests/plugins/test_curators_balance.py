"""Balance: groups of alike size, drawn by seed and id."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import example as tried
from hypothesis import given
from hypothesis import strategies as st

from tunesmith import DataError, Example, Message, RecipeError
from tunesmith.data.curate import apply_curator, check_curators
from tunesmith_plugins.curators.balance import Balance

SIZES = st.lists(st.integers(1, 25), min_size=1, max_size=4)


def rows(*sizes: int) -> list[Example]:
    """Rows of groups of these sizes, mixed."""
    made = [(group, at) for group, size in enumerate(sizes) for at in range(size)]
    return [
        Example(messages=(Message("user", f"{key}"),), label=group, id=f"{group}-{at}", extras={"site": f"s{group}"})
        for group, at in sorted(made, key=lambda pair: (pair[1], pair[0]))
        for key in [(group, at)]
    ]


def curate(examples: list[Example], seed: int = 7, **options: Any) -> tuple[list[Example], dict[str, Any]]:
    check_curators({"balance": Balance(**options)})
    return apply_curator("balance", Balance(**options), examples, seed)


def sizes(examples: list[Example]) -> dict[Any, int]:
    return dict(Counter(example.label for example in examples))


@given(SIZES, st.floats(1, 4), st.integers(0, 3))
def test_capped_groups_are_within_the_ratio_and_no_smaller_than_they_have_to_be(
    groups: list[int], ratio: float, seed: int
) -> None:
    kept, counts = curate(rows(*groups), seed, ratio=ratio)
    most = int(ratio * min(groups))
    assert sizes(kept) == {at: min(size, most) for at, size in enumerate(groups)}
    assert counts["drops"].get("of a large group", 0) == sum(max(0, size - most) for size in groups)


@given(SIZES, st.floats(1, 4), st.integers(1, 5))
@tried([6, 19], 1.9, 1)
def test_repeated_groups_are_within_the_ratio_as_far_as_copies_are_allowed(
    groups: list[int], ratio: float, most: int
) -> None:
    kept, counts = curate(rows(*groups), ratio=ratio, method="repeat", most_copies=most)
    for at, size in enumerate(groups):
        number = sizes(kept)[at]
        assert number == size * (1 + most) or number * ratio >= max(groups)
        assert size <= number <= size * (1 + most)
        assert number == size or (number - 1) * ratio < max(groups)
        copies = Counter(example.messages[0].content for example in kept if example.label == at)
        assert max(copies.values()) - min(copies.values()) <= 1
    assert counts["additions"].get("repeated for a small group", 0) == len(kept) - sum(groups)


def test_the_draw_is_by_seed_and_a_row_more_changes_little() -> None:
    given = rows(60, 20)
    once, again = ({e.id for e in curate(given, ratio=1.0)[0]} for _ in range(2))
    assert once == again
    assert once != {e.id for e in curate(given, seed=8, ratio=1.0)[0]}
    more = {e.id for e in curate(rows(61, 20), ratio=1.0)[0]}
    assert len(once - more) <= 1


def test_copies_stand_behind_their_row_and_take_no_id_that_is_there() -> None:
    given = [*rows(4), *(e.with_(label="b", id=name) for e, name in zip(rows(2), ("x", "x+1"), strict=True))]
    kept, _ = curate(given, ratio=1.0, method="repeat")
    assert [e.id for e in kept] == ["0-0", "0-1", "0-2", "0-3", "x", "x+2", "x+1", "x+1+1"]
    assert [e.messages for e in kept][4:] == [given[4].messages] * 2 + [given[5].messages] * 2


def test_groups_are_made_by_task_or_column_too_and_rows_without_a_value_are_left_alone() -> None:
    given = [e.with_(task="a" if e.label else "") for e in rows(9, 3)]
    assert sizes(curate(given, by="task", ratio=1.0)[0]) == {0: 9, 1: 3}
    assert sizes(curate(given, by="site", ratio=1.0)[0]) == {0: 3, 1: 3}
    bare = [e.with_(extras={}, label=None) if e.label == 0 else e for e in given]
    assert sizes(curate(bare, by="site", ratio=1.0)[0]) == {None: 9, 1: 3}


def test_it_is_said_where_no_row_has_a_label() -> None:
    given = [example.with_(label=None) for example in rows(3)]
    kept, counts = curate(given)
    assert kept == given
    assert counts["remarks"] == ["no training row has a label, so none is balanced"]


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"ratio": 0.5}, RecipeError, r"data\.curators\.balance\.ratio is 0\.5"),
        ({"most_copies": 0}, RecipeError, r"data\.curators\.balance\.most_copies is 0"),
        (
            {"by": "sites"},
            DataError,
            r"data\.curators\.balance: by: sites is no column .*; did you mean site\?; one of label, task, site",
        ),
    ],
)
def test_options_that_cannot_be_used_are_refused(options: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        curate(rows(2), **options)
