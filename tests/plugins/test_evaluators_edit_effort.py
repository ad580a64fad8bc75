"""EditEffort against a plain table of distances, and against counts by hand."""

import math
import time
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith import RecipeError, Sample
from tunesmith_plugins.evaluators.edit_effort import EditEffort
from tunesmith_plugins.evaluators.edits import distance


def sample(output: str, reference: str) -> Sample:
    return Sample("r", (), reference, output)


def table(one: Sequence[object], other: Sequence[object]) -> int:
    """Wagner and Fischer 1974."""
    cells = np.zeros((len(one) + 1, len(other) + 1), dtype=int)
    cells[:, 0], cells[0] = range(len(one) + 1), range(len(other) + 1)
    for i, a in enumerate(one):
        for j, b in enumerate(other):
            cells[i + 1, j + 1] = min(cells[i, j] + (a != b), cells[i, j + 1] + 1, cells[i + 1, j] + 1)
    return int(cells[-1, -1])


items = st.lists(st.integers(0, 3), max_size=12)


@given(items, items)
def test_the_distance_is_that_of_the_whole_table(one: list[int], other: list[int]) -> None:
    assert distance(one, other) == distance(other, one) == table(one, other)


@pytest.mark.parametrize("size", [63, 64, 65, 200])
def test_long_sequences_are_no_other_case(size: int) -> None:
    draw = np.random.default_rng(size)
    one, other = (draw.integers(0, 5, size + extra).tolist() for extra in (0, 17))
    assert distance(one, other) == table(one, other)


def test_edits_are_counted_by_hand() -> None:
    rows = [
        sample("the cat sat on the mat", "the cat lay on a mat now"),  # two replaced, one added, of 7
        sample("stop the pump", "stop the pump"),
        sample("", "say so"),  # two added
        sample("a b c d e f g h i j.", "a b c d e f g h i j"),  # one of ten: a full stop is edited too
        sample("whatever", "  "),
    ]
    found = {m.name: m for m in EditEffort(light=0.3).measure(rows)}
    assert list(found["word_rate"].values[:4]) == pytest.approx([3 / 7, 0, 1, 0.1])
    assert found["word_rate"].value == pytest.approx((3 + 0 + 2 + 1) / (7 + 3 + 2 + 10))
    assert found["word_rate"].at([0, 0, 3]) == pytest.approx(7 / 24)
    assert [found[name].value for name in ("no_edits", "at_most_light_edits", "heavy_edits")] == [0.25, 0.5, 0.5]
    assert all(math.isnan(m.values[4]) for m in found.values())
    assert [name for name, m in found.items() if m.higher_is_better] == ["no_edits", "at_most_light_edits"]


def test_bounds_belong_to_the_lighter_kind() -> None:
    rows = [sample("a b c x", "a b c d"), sample("a b x y", "a b c d"), sample("a x y z", "a b c d")]
    found = {m.name: list(m.values) for m in EditEffort(none=0.25, light=0.5).measure(rows)}
    assert [found[name] for name in ("no_edits", "at_most_light_edits", "heavy_edits")] == [
        [1, 0, 0],
        [1, 1, 0],
        [0, 0, 1],
    ]


def test_letters_are_counted_where_they_are_asked_for() -> None:
    [*_, letters] = EditEffort(characters=True).measure([sample("kitten", "sitting"), sample("x", " ")])
    assert (letters.name, letters.values[0], letters.higher_is_better) == ("character_rate", 3 / 7, False)
    assert math.isnan(letters.values[1])
    assert "character_rate" not in {m.name for m in EditEffort().produces()}


@pytest.mark.parametrize(("none", "light"), [(0.5, 0.3), (-0.1, 0.3), (0, math.inf), (math.nan, 1)])
def test_bounds_that_are_none_are_refused(none: float, light: float) -> None:
    with pytest.raises(RecipeError, match=r"EditEffort\.none is"):
        EditEffort(none=none, light=light).produces()


def test_long_answers_take_no_time() -> None:
    before = time.process_time()
    assert distance("ab" * 5000, "ba" * 6000) == 2000
    assert time.process_time() - before < 5
