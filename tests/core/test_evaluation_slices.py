"""Parts of a test set."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith import Example, Measure, Message, Origin, RecipeError
from tunesmith.evaluation.slices import Comparing, Slice, kinds_asked, slices_of


def rows(values: list[Any], column: str = "group") -> list[Example]:
    return [
        Example(
            messages=(Message("user", "word " * (at + 1)), Message("assistant", "yes")),
            id=str(at),
            origin=Origin("a" if at % 3 else "b", "f", at),
            task="long" if at % 2 else "",
            extras={} if value is None else {column: value},
        )
        for at, value in enumerate(values)
    ]


def cut(values: list[Any], kind: str = "group") -> dict[str, tuple[int, ...]]:
    return {part.value: part.rows for part in slices_of(rows(values), {kind: "comparison.slices"})[kind]}


def test_values_of_a_column_are_slices_the_largest_first() -> None:
    assert cut(["x", "y", "y", None, "", True]) == {"y": (1, 2), "True": (5,), "x": (0,)}
    assert cut([["x", "y"], ["y"], []]) == {"y": (0, 1), "x": (0,)}
    assert list(cut([3, 1, 3, 2.5])) == ["1", "2.5", "3"]


def test_task_source_and_length_are_the_cores_own() -> None:
    assert cut(["x"] * 4, "task") == {"long": (1, 3)}
    assert cut(["x"] * 4, "source") == {"a": (1, 2), "b": (0, 3)}
    # questions of 1 to 8 words
    assert cut(["x"] * 8, "length") == {"1 to 2": (0, 1), "3 to 4": (2, 3), "5 to 6": (4, 5), "7 to 8": (6, 7)}


def test_no_two_slices_have_one_name() -> None:
    large = cut([1234567, 1234568, 1234567.5, 0.25])
    assert large == {"0.25": (3,), "1234567": (0,), "1234567.5": (2,), "1234568": (1,)}
    assert cut([1, "1", True, "a", 1.0]) == {"1": (0, 1, 4), "True": (2,), "a": (3,)}


def test_many_numbers_are_cut_into_quarters() -> None:
    found = cut(list(range(40)))
    assert list(found) == ["0 to 9", "10 to 19", "20 to 29", "30 to 39"]
    assert [len(at) for at in found.values()] == [10] * 4
    assert list(cut([0] * 90 + list(range(1, 31)))) == ["0", "1 to 30"]


@given(st.lists(st.one_of(st.none(), st.integers(-5, 60), st.floats(0, 1)), min_size=1, max_size=80))
def test_every_row_with_a_number_is_in_one_slice(values: list[Any]) -> None:
    if all(value is None for value in values):
        return
    found = sorted(at for part in cut(values).values() for at in part)
    assert found == [at for at, value in enumerate(values) if value is not None]


def test_what_is_no_slice_is_refused_with_what_is() -> None:
    with pytest.raises(
        RecipeError,
        match=r"comparison\.slices: no row .* a column grup; did you mean group\?\nslices can be: task, source, ",
    ):
        cut(["x"], "grup")
    with pytest.raises(RecipeError, match=r"success\.f1/score@task: no row of the test set has a task"):
        slices_of([Example(messages=(Message("user", "a"),))], {"task": "success.f1/score@task"})
    with pytest.raises(RecipeError, match="group has 51 values in the test set; name what has at most 50"):
        cut([f"p{at}" for at in range(51)])
    with pytest.raises(RecipeError, match=r"comparison\.smallest is 0; it must be 1 or more"):
        Comparing(smallest=0).check()


def test_the_key_that_asks_first_for_a_slice_is_known() -> None:
    success = ["f1/score@task", "f1/score", "k/@a@ward", "f1/score@ward"]
    assert kinds_asked(Comparing(["task", "source"]), success, ["f1/score", "k/@a"]) == {
        "task": "comparison.slices",
        "source": "comparison.slices",
        "ward": "success.k/@a@ward",
    }


def test_a_metric_on_a_slice_is_that_of_its_rows() -> None:
    part = Slice("group", "x", (1, 3))
    mean = Measure("m", [1.0, 2.0, math.nan, 4.0], higher_is_better=False, unit="s", note="odd")
    got = part.of(mean)
    assert (got.value, got.higher_is_better, got.unit, got.note) == (3.0, False, "s", "odd")
    corpus = Measure("m", [0.0] * 4, corpus=lambda chosen: float(sum(chosen)))
    assert part.of(corpus).value == 4.0
    assert part.of(corpus).at([1, 1]) == 6.0
