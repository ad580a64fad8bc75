"""The numbers of a data card, against counts by hand and against numpy and scipy."""

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy

from tunesmith import Example, Message, Origin
from tunesmith.report.balance import balances
from tunesmith.report.lengths import lengths, round_edges
from tunesmith.report.quality import Dimension, Judged, accuracy, consistency, quality, relevance, variety, volume
from tunesmith.report.repeats import Repeats, repeats
from tunesmith.report.shapes import odd, shape
from tunesmith.report.words import SAMPLE, covered, diversity, words_of

TEXTS = ["The pump is hot. The pump is old.", "the PUMP hums", ""]


def talk(prompt: str, answer: str, key: str = "", **more: Any) -> Example:
    turns = (Message("user", prompt), Message("assistant", answer))
    return Example(messages=turns, id=key or f"{prompt}/{answer}", **more)


def test_diversity_is_that_counted_by_hand() -> None:
    found = diversity(TEXTS)
    # the x3 pump x3 is x2 hot old hums
    assert (found.texts, found.words, found.vocabulary) == (3, 11, 6)
    assert found.once == 3 / 6
    # 7 + 2 pairs: the-pump x3, pump-is x2, is-hot, hot-the, is-old, pump-hums
    assert found.distinct == pytest.approx({1: 6 / 11, 2: 6 / 9, 3: 6 / 7})
    assert found.entropy == pytest.approx(entropy([3, 3, 2, 1, 1, 1], base=2))
    assert found.openings == [("the pump is", 1 / 3), ("the pump hums", 1 / 3)]


def test_diversity_looks_at_a_sample_of_stated_size() -> None:
    found = diversity([f"word{n}" for n in range(SAMPLE + 500)])
    assert (found.words, found.vocabulary, found.texts) == (SAMPLE, SAMPLE, SAMPLE + 500)


@given(st.lists(st.text(alphabet="ab ’'", max_size=12), max_size=8))  # noqa: RUF001
def test_diversity_is_bounded(texts: list[str]) -> None:
    found = diversity(texts)
    words = [word for text in texts for word in words_of(text)]
    assert found.words == len(words)
    assert all(0 <= share <= 1 for share in (found.once, *found.distinct.values()))
    assert 0 <= found.entropy <= math.log2(max(1, found.vocabulary)) + 1e-9


def test_coverage_counts_occurrences() -> None:
    assert covered(["pump pump Valve gate"], ["The PUMP"]) == 0.5
    assert covered(["", "..."], ["x"]) is None


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=200))
def test_histograms_hold_every_row(values: list[int]) -> None:
    found = lengths(values)
    assert sum(found.counts) == len(values) == found.rows
    assert found.counts == np.histogram(values, found.edges)[0].tolist()
    assert found.total == sum(values)
    assert found.percentiles[50] == pytest.approx(np.median(values))
    assert (found.percentiles[0], found.percentiles[100]) == (min(values), max(values))


def test_edges_are_round_and_a_few_long_rows_share_the_last_bin() -> None:
    assert round_edges([3, 48]) == [float(2 * n) for n in range(25)]
    edges = round_edges([*[100] * 99, 50_000])
    assert edges[-1] == 50_000
    assert edges[-2] < 450
    assert round_edges([]) == [0.0, 1.0]


def test_balance_counts_labels_and_columns_with_few_values() -> None:
    rows = [talk("q", str(at), str(at), label="warm" if at < 9 else "cold", origin=Origin("notes")) for at in range(10)]
    rows = [
        row.with_(extras={"group": "ab"[at % 2], "tags": ["x", "y"][: at % 3], "id": f"P{at}", "who": "p1"})
        for at, row in enumerate(rows)
    ]
    found = {b.of: b for b in balances({"train": rows[:8], "test": rows[8:]}, ["who"])}
    assert list(found) == ["label", "group", "tags"]
    assert found["label"].counts == {"train": {"warm": 8}, "test": {"warm": 1, "cold": 1}}
    assert found["label"].total == Counter(warm=9, cold=1)
    assert not found["label"].skewed
    assert found["label"].effective == pytest.approx(math.exp(entropy([9, 1])))
    assert found["group"].effective == pytest.approx(2)
    # rows 1, 4, 7 have x; 2, 5, 8 have x and y; 0, 3, 6, 9 nothing
    assert found["tags"].total == Counter(x=6, y=3)
    assert found["tags"].missing == 4


def test_ten_to_one_is_skewed() -> None:
    rows = [talk("q", str(at), label="warm" if at else "cold") for at in range(11)]
    assert balances({"train": rows})[0].skewed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" ", "empty"),
        ('{"b": 1, "a": [2]}', "JSON object with a, b"),
        ("[1, 2]", "JSON list"),
        ("{not json", "one to three words"),
        ("Alerts: none\nAllergies: bees\n", "sections Alerts, Allergies"),
        ("## Findings\nfine\n## Plan\nrest", "sections Findings, Plan"),
        ("- one\n- two", "list"),
        ("1. one\n2) two", "list"),
        ("yes", "one to three words"),
        ("At 10:30 he came: he left.", "one line"),
        ("one\ntwo three four five", "several lines"),
    ],
)
def test_shapes(text: str, expected: str) -> None:
    assert shape(text) == expected


def test_a_rare_shape_is_odd_only_where_another_is_usual() -> None:
    assert odd(["a"] * 97 + ["b"] * 3)[1] == {"b"}
    assert odd(["a"] * 94 + ["b"] * 6)[1] == set()
    assert odd([str(at) for at in range(100)])[1] == set()


def test_relevance_is_the_share_of_held_out_words_that_training_knows() -> None:
    found = relevance([talk("hot pump", "stop")], [talk("pump valve", "stop it")])
    assert found.score == 50
    assert found.grade == "poor"
    assert found.advice
    assert relevance([talk("a", "b")], []).score is None


def test_rows_that_differ_in_numbers_only_are_alike() -> None:
    rows = [talk("Report 7", "at 9:15"), talk("report  12", "At 10:01"), talk("Report 7", "other")]
    found = variety(rows, repeats(rows))
    assert found.score == pytest.approx(100 * 2 / 3)
    assert found.found == ["1 rows say what another row says, but for numbers"]


def test_near_duplicates_are_alike() -> None:
    words = [f"word{at}" for at in range(60)]
    asked = [" ".join(words), " ".join([*words[:-1], "other"]), "something else that is asked here now and then"]
    said = [" ".join(reversed(words)), " ".join(reversed(words)), "no"]
    rows = [talk(one, other) for one, other in zip(asked, said, strict=True)]
    found = variety(rows, repeats(rows))
    assert found.score == pytest.approx(100 * 2 / 3)
    assert found.found[0] == "1 rows repeat another row, or nearly"


def test_each_row_that_repeats_another_is_counted_once_as_the_closest_kind() -> None:
    words = [f"word{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"] * 2
    long, nearly = " ".join(words), " ".join([*words[:-1], "other"])
    rows = [
        talk(long, "stop"),
        talk(long.upper(), "Stop"),  # word for word, case aside
        talk(nearly, "stop"),
        talk(nearly, "stop "),  # word for word what the row before says
        talk("Report 7", "at 9"),
        talk("Report 8", "at 10"),
        talk("Report 8", "at noon"),
    ]
    found = repeats(rows)
    assert found == Repeats(rows=7, exact=2, near=1, numbers=1)
    assert found.rate == pytest.approx(3 / 7)
    assert repeats([]) == Repeats(0, 0, 0, 0)
    assert repeats([]).rate is None


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([talk("q", "yes"), talk("Q ", "no")], "2 rows give one question different answers"),
        (
            [talk("q", "yes", "1", label=1), talk("q", "yes", "2", label=2)],
            "2 rows give one question different answers",
        ),
        ([talk("q", "caf\ufffd"), talk("b", "fine")], "1 rows hold damaged characters"),
        ([talk("q", "cafÃ©"), talk("b", "fine")], "1 rows hold damaged characters"),
        ([talk("q", "Dear [insert name]"), talk("b", "fine")], "1 rows hold blanks that nobody filled in"),
        ([talk("q", " "), talk("b", "fine")], "1 rows have an empty answer"),
        ([talk("The same", "the  same"), talk("b", "fine")], "1 rows repeat the question as the answer"),
    ],
)
def test_signs_of_mistakes(rows: list[Example], said: str) -> None:
    found = accuracy(rows, set())
    assert found.found == [said]
    assert found.score == pytest.approx(100 * (2 - int(said.split()[0])) / 2)
    assert len(found.advice) == 1


def test_what_is_no_mistake_is_none() -> None:
    system = (Message("system", "Answer in German."), Message("user", "q"), Message("assistant", "ja"))
    rows = [
        talk("q", "yes"),
        talk("q", "yes", "again"),
        Example(messages=system, id="s"),
        talk("q", "no", task="other"),
    ]
    assert accuracy(rows, {"of another split"}) == Dimension(
        "accuracy (proxies)", 100, "training rows without a sign of a mistake", [], []
    )
    assert accuracy(rows, {"again"}).found == ["1 rows are cut by data.max_length"]


def test_answers_of_an_odd_shape_are_counted() -> None:
    rows = [talk(str(at), '{"a": 1}') for at in range(30)] + [talk("x", "a whole sentence of words")]
    found = consistency(rows)
    assert found.score == pytest.approx(100 * 30 / 31)
    assert found.found == ["97% of the answers are: JSON object with a", "1 x one line"]
    assert consistency([Example(id="1")]).score is None


@pytest.mark.parametrize(
    ("rows", "score"), [(0, 0), (10, 0), (100, 70), (316, 80), (1000, 90), (10_000, 100), (10**6, 100)]
)
def test_volume_is_on_a_logarithmic_scale(rows: int, score: float) -> None:
    assert volume(rows).score == pytest.approx(score, abs=0.01)
    assert bool(volume(rows).advice) == (rows < 10_000)


def test_of_very_many_rows_some_are_judged_and_the_card_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [talk(f"question {at}", f"answer {at}" if at % 2 else "") for at in range(40)]
    monkeypatch.setattr("tunesmith.report.quality._JUDGED", 20)
    few = {one.name: one for one in quality(Judged.of({"train": rows, "validation": [], "test": []}))}
    assert few["accuracy (proxies)"].found == ["20 rows have an empty answer"]  # every second row, from the first on
    assert few["accuracy (proxies)"].means.endswith("; of 20 rows at even distances")
    assert few["volume"].found[0].startswith("40 training rows")
