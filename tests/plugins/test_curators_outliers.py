"""Outliers: rows that stand out by length, words or meaning are ranked; each number is that of a plain loop."""

import json
import math
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith import Example, Message, Origin, RecipeError
from tunesmith.data.curate import apply_curator, check_curators
from tunesmith_plugins.curators.embedding import neighbours
from tunesmith_plugins.curators.embedding.encode import unit
from tunesmith_plugins.curators.embedding.neighbours import mean_distances
from tunesmith_plugins.curators.embedding.robust import rarities, robust_z
from tunesmith_plugins.curators.embedding.rows import Rows
from tunesmith_plugins.curators.outliers import Outliers

Static = Callable[[Mapping[str, Sequence[float]]], Path]
THINGS = ["lamp", "door", "pump", "fan", "gate", "belt", "valve", "bell"]
FAR, RARE, LONG = "far from all others", "rare words", "unusual length"


def talk(at: int, prompt: str, answer: str) -> Example:
    turns = (Message("system", f"turn {at} of many"), Message("user", prompt), Message("assistant", answer))
    return Example(messages=turns, id=str(at), origin=Origin("mail", "mail.jsonl", at + 1))


def usual(count: int = 120) -> list[Example]:
    """Rows of about one length and of the same words."""
    drawn = np.random.default_rng(0)
    pairs = [drawn.choice(THINGS, 2) for _ in range(count)]
    return [talk(at, f"the {one} and the {two} are hot", f"stop the {one}") for at, (one, two) in enumerate(pairs)]


def run(curator: Outliers, examples: list[Example]) -> tuple[list[str], dict[str, int], list[str]]:
    check_curators({"odd": curator})
    kept, counts = apply_curator("odd", curator, examples, 7)
    gone = {example.id for example in examples} - {example.id for example in kept}
    return sorted(gone), counts["drops"], counts.get("remarks", [])


def test_rows_stand_out_by_length_and_by_rare_words() -> None:
    examples = usual()
    examples[17] = talk(17, "the lamp and the door are hot " * 40, "stop the lamp")
    examples[33] = talk(33, "hot", "hot")
    examples[50] = talk(50, "zorvik palunte bredmoq trelsk quimbal", "fostrine glyphor")
    assert run(Outliers(action="drop"), examples)[:2] == (["17", "33", "50"], {LONG: 2, RARE: 1})


def test_rows_are_kept_and_counted_unless_they_are_to_be_dropped() -> None:
    examples = usual()
    assert run(Outliers(), examples) == ([], {}, [])
    examples[17] = talk(17, "the lamp and the door are hot " * 40, "stop the lamp")
    assert run(Outliers(), examples) == ([], {}, [f"1 of 120 rows stand out: {LONG} 1"])


def test_a_row_of_another_meaning_stands_out_where_a_model_is_named(static_model: Static) -> None:
    drawn = np.random.default_rng(1)
    vectors = {word: (1.0, *(drawn.normal(size=2) * 0.3), 0.0) for word in [*THINGS, "hot", "stop"]}
    model = static_model(vectors | {"moon": (0.0, 0.0, 0.0, 1.0)})
    examples = usual()
    examples[20] = talk(20, "the moon and the moon are hot", "stop the moon")
    examples[21] = talk(21, "the lamp and the door are hot", "moon moon moon")
    common = {"threshold": 6.0, "action": "drop"}
    # the word alone is rare too, though not so rare as its meaning is far
    assert run(Outliers(model, **common), examples)[:2] == (["20", "21"], {FAR: 2})
    assert run(Outliers(model, sample=60, **common), examples)[0] == ["20", "21"]
    assert FAR not in run(Outliers(**common), examples)[1]


def test_no_more_than_a_share_goes_and_those_that_stand_out_most(tmp_path: Path) -> None:
    examples = usual()
    for at, times in ((3, 20), (40, 60), (77, 40)):
        examples[at] = talk(at, "the lamp and the door are hot " * times, "stop the lamp")
    ranked = tmp_path / "odd" / "rows.jsonl"
    gone, drops, remarks = run(Outliers(most=2 / 120, action="drop", ranked=ranked), examples)
    assert (gone, drops) == (["40", "77"], {LONG: 2})
    assert remarks == [f"3 of 120 rows stand out: {LONG} 3"]
    lines = [json.loads(line) for line in ranked.read_text().splitlines()]
    assert [(line["id"], line["within most"]) for line in lines] == [("40", True), ("77", True), ("3", False)]
    assert lines[0]["origin"] == "mail.jsonl:41"
    assert set(lines[0]) == {"by", "id", "origin", "reason", LONG, RARE, "within most"}
    assert lines[0][LONG] > lines[1][LONG] > lines[2][LONG] > 3.5
    assert run(Outliers(ranked=ranked), examples)[:2] == ([], {})
    assert len(ranked.read_text().splitlines()) == 3
    ranked.write_text("id,text\n")
    with pytest.raises(RecipeError, match="which Outliers has not written"):
        Outliers(ranked=ranked).check()


def test_what_is_drawn_hangs_on_the_seed_alone(static_model: Static) -> None:
    model = static_model({word: (1.0, at / 8) for at, word in enumerate(THINGS)})
    curator = Outliers(model, threshold=1.0, sample=20, action="drop", most=0.5)

    def gone(seed: int) -> list[str]:
        return [example.id for example in apply_curator("odd", curator, usual(), seed)[0]]

    assert gone(3) == gone(3)
    assert gone(3) != gone(4)


def test_training_rows_alone_are_judged() -> None:
    assert Outliers.scope == "train"


@given(st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=40))
def test_robust_z_is_that_of_the_statistics_module(values: list[float]) -> None:
    middle = statistics.median(values)
    apart = [abs(value - middle) for value in values]
    mad, mean = statistics.median(apart), statistics.fmean(apart)
    scale = mad / statistics.NormalDist().inv_cdf(0.75) if mad else mean * math.sqrt(math.pi / 2)
    wanted = [(value - middle) / scale if scale else 0.0 for value in values]
    assert robust_z(np.array(values)).tolist() == pytest.approx(wanted, rel=1e-3)


def test_a_deviation_may_count_as_more_than_it_is() -> None:
    values = np.array([1.0, 1.0, 1.0, 1.1, 0.9])
    assert robust_z(values, 0.5).tolist() == pytest.approx([0, 0, 0, 0.2, -0.2])


def test_robust_z_of_normal_values_counts_standard_deviations() -> None:
    drawn = np.random.default_rng(0).normal(3, 2, 100_000)
    assert robust_z(drawn).std() == pytest.approx(1, abs=0.02)
    assert robust_z(np.zeros(0)).tolist() == []


@given(st.lists(st.lists(st.sampled_from("abcdef"), max_size=6), min_size=1, max_size=12))
def test_rarity_is_the_mean_inverse_document_frequency(texts: list[list[str]]) -> None:
    frequency = Counter(word for words in texts for word in set(words))
    wanted = [
        statistics.fmean(math.log(len(texts) / frequency[word]) for word in words) if words else math.nan
        for words in texts
    ]
    assert rarities(map(" ".join, texts)).tolist() == pytest.approx(wanted, nan_ok=True)


@given(st.integers(2, 40), st.integers(1, 6), st.integers(1, 40), st.integers(0, 1000))
def test_distances_are_those_of_a_sort_over_all_pairs(count: int, nearest: int, others: int, seed: int) -> None:
    drawn = np.random.default_rng(seed)
    vectors = unit(drawn.normal(size=(count, 5)))
    vectors[0] = 0
    rows = Rows(vectors, np.stack([np.arange(count), drawn.integers(0, count, count)], axis=1))
    some = np.sort(drawn.choice(count, min(max(others, 2), count), replace=False))
    double = rows.of(np.arange(count)).astype(np.float64)
    wanted = []
    for at in range(count):
        distances = sorted(1 - double[at] @ double[one] for one in some if one != at)
        wanted.append(statistics.fmean(distances[:nearest]))
    assert mean_distances(rows, some, nearest).tolist() == pytest.approx(wanted, abs=1e-5)


def test_distances_do_not_hang_on_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = np.random.default_rng(2)
    rows = Rows(unit(drawn.normal(size=(200, 6))), drawn.integers(0, 200, (150, 2)))
    whole = mean_distances(rows, np.arange(150), 4)
    monkeypatch.setattr(neighbours, "BLOCK", 7)
    monkeypatch.setattr(neighbours, "_CHUNK", 11)
    assert np.allclose(mean_distances(rows, np.arange(150), 4), whole, atol=1e-6)


def test_one_row_is_far_from_nothing() -> None:
    rows = Rows(np.eye(2, dtype=np.float32), np.array([[0, 1]]))
    assert mean_distances(rows, np.array([0]), 3).tolist() == [0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"threshold": 0.0}, r"threshold is 0\.0; it lies above 0"),
        ({"most": 0.0}, r"most is 0\.0; a share lies above 0 and is at most 1"),
        ({"nearest": 0}, "nearest is 0 and sample 20000; nearest is 1 or more"),
        ({"nearest": 5, "sample": 5}, "nearest is 5 and sample 5; .*, sample more than it"),
        ({"model": Path("nowhere")}, "model is nowhere, which is no folder"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=rf"^data\.curators\.odd\.{said}"):
        check_curators({"odd": Outliers(**options)})
