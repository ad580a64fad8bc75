"""Ratings: what people say, by answer, by model, and not yet."""

import csv
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith import DataError, Message, RecipeError, Sample, rating_key
from tunesmith_plugins.evaluators.agreement import krippendorff
from tunesmith_plugins.evaluators.ratings import Ratings


def said(output: str, at: int = 0, model: str = "tuned") -> Sample:
    return Sample(f"r{at}", (Message("user", f"question {at}"),), "ref", output, model=model)


def write(path: Path, *rows: dict[str, Any]) -> Path:
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        table = csv.DictWriter(file, names)
        table.writeheader()
        table.writerows(rows)
    return path


def test_the_mean_of_an_answers_ratings_is_its_value(tmp_path: Path) -> None:
    samples = [said("good"), said("bad", 1), said("new", 2)]
    key = [rating_key(sample) for sample in samples]
    path = write(
        tmp_path / "r.csv",
        {"answer": key[0], "politeness": 5, "minutes": 3},
        {"answer": key[0], "politeness": 4, "minutes": ""},
        {"answer": key[1], "politeness": " 2 ", "minutes": 7.5},
        {"answer": "0123456789ab", "politeness": 1, "minutes": 1},
    )
    polite, minutes, _ = Ratings(path, ["politeness", "minutes"], ["minutes"]).measure(samples)
    assert polite.values[:2] == [4.5, 2.0]
    assert math.isnan(polite.values[2])
    assert (polite.higher_is_better, minutes.higher_is_better) == (True, False)
    assert (polite.value, minutes.value) == (3.25, 5.25)
    assert polite.note == "2 of 3 answers are rated"
    assert not polite.pending


def test_an_answer_that_changed_is_not_what_was_rated(tmp_path: Path) -> None:
    path = write(tmp_path / "r.csv", {"answer": rating_key(said("old")), "politeness": 5})
    (waits, _) = Ratings(path, ["politeness"]).measure([said("other")])
    assert waits.pending
    assert waits.note == "nobody has rated these answers in r.csv"
    assert rating_key(said("old")) == rating_key(said("old", model="base")) != rating_key(said("old", 1))


def test_no_file_is_pending_and_says_where_ratings_go(tmp_path: Path) -> None:
    found = Ratings(tmp_path / "none.csv", ["a", "b"]).measure([said("x")])
    assert [(one.name, one.pending) for one in found] == [("a", True), ("b", True), ("agreement", True)]


def test_numbers_of_a_whole_model(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text('{"model": "tuned", "minutes": 3}\n\n{"model": "base", "minutes": 15, "share": 0.2}\n')
    evaluator = Ratings(path, ["minutes", "share"], ["minutes"])
    tuned = evaluator.measure([said("x"), said("y", 1)])
    base = evaluator.measure([said("x", model="base"), said("y", 1, "base")])
    assert (tuned[0].value, base[0].value, base[1].value) == (3.0, 15.0, 0.2)
    assert tuned[0].single
    assert tuned[1].pending


# Four raters of twelve things, some of whom have left some out: K. Krippendorff, "Computing Krippendorff's
# Alpha-Reliability" (2011), whose results these are.
PUBLISHED = ["123321412---", "1233224125-3", "-3332342251-", "12332441251-"]


def test_alpha_is_the_published_one() -> None:
    units = [[float(row[at]) for row in PUBLISHED if row[at] != "-"] for at in range(12)]
    assert krippendorff(units) == pytest.approx(0.815, abs=5e-4)
    assert krippendorff(units, interval=True) == pytest.approx(0.849, abs=5e-4)


@given(st.lists(st.lists(st.integers(1, 5).map(float), min_size=1, max_size=4), min_size=1, max_size=8))
def test_alpha_is_that_of_its_coincidences(units: list[list[float]]) -> None:
    """By the definition: a matrix of coincidences, and the difference function of each scale."""
    grades = [float(grade) for grade in range(1, 6)]
    pairs = {(c, k): 0.0 for c in grades for k in grades}
    for unit in units:
        for i, c in enumerate(unit):
            for j, k in enumerate(unit):
                if i != j:
                    pairs[c, k] += 1 / (len(unit) - 1)
    counts = {c: sum(pairs[c, k] for k in grades) for c in grades}
    n = sum(counts.values())

    def ordinal(c: float, k: float) -> float:
        between = sum(counts[g] for g in grades if min(c, k) <= g <= max(c, k))
        return float((between - (counts[c] + counts[k]) / 2) ** 2)

    def by_hand(difference: Any) -> float:
        observed = sum(pairs[c, k] * difference(c, k) for c in grades for k in grades)
        expected = sum(counts[c] * counts[k] * difference(c, k) for c in grades for k in grades)
        return 1 - (n - 1) * observed / expected if expected > 1e-9 else math.nan

    assert krippendorff(units) == pytest.approx(by_hand(ordinal), nan_ok=True)
    assert krippendorff(units, interval=True) == pytest.approx(by_hand(lambda c, k: (c - k) ** 2), nan_ok=True)


def test_agreement_is_the_lowest_alpha_and_of_two_raters_at_least(tmp_path: Path) -> None:
    rows = [{"answer": f"a{at}", "rater": "ann", "polite": at, "right": at % 3} for at in range(6)]
    path = write(tmp_path / "r.csv", *rows, *({**row, "polite": row["right"]} for row in rows))
    evaluator = Ratings(path, ["polite", "right"])
    (_, _, alone) = evaluator.measure([said("x")])
    assert (alone.pending, alone.single) == (True, True)
    assert alone.note == "no answer in r.csv has been rated by two"
    bob = [{**row, "rater": "bob", "polite": 5 - row["polite"]} for row in rows]
    write(path, *rows, *bob, {"model": "base", "polite": 1}, {"model": "base", "polite": 5})
    (*_, found) = evaluator.measure([said("x")])
    # pairs 5, 3, 1, 1, 3, 5 apart: 2 * 70 / 12 observed; 2 * (12 * 110 - 30 ** 2) / (12 * 11) expected
    assert found.value == pytest.approx(1 - (140 / 12) / (840 / 132))
    note = "Krippendorff's alpha of 6 answers that several have rated: polite -0.83, right 1.00"
    assert (found.pending, found.note) == (False, note)
    # one that is far off: 9 in place of 5 is as far by rank, and farther by amount
    write(path, *rows, *({**row, "rater": "bob", "polite": 9 if row["polite"] == 5 else row["polite"]} for row in rows))
    by_rank = evaluator.measure([said("x")])[2].value
    evaluator.interval = ["polite"]
    assert evaluator.measure([said("x")])[2].value < by_rank < 1
    alike = write(path, *({"answer": "a", "rater": who, "polite": 4} for who in "ab"))
    (_, same) = Ratings(alike, ["polite"]).measure([said("x")])
    assert math.isnan(same.value)
    assert same.note.endswith("1 answers that several have rated: polite alike")


def test_what_excel_writes_in_other_countries_is_read(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text(f"answer;question;score\n{rating_key(said('x'))};a, b, c;4\n")
    assert Ratings(path, ["score"]).measure([said("x")])[0].value == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("answer,score\nabc,good\n", r"r\.csv:2: score is 'good', which is no number"),
        ("answer,score\nabc,nan\n", r"r\.csv:2: score is 'nan', which is no number"),
        ("answer,score\n,4\n", r"r\.csv:2 has neither answer nor model"),
        ("id,score\n1,4\n", r"r\.csv has the columns id, score; it needs answer or model, and score"),
        ("answer,scor\n1,4\n", r"r\.csv has the columns answer, scor; it needs answer or model, and score"),
    ],
)
def test_ratings_that_cannot_be_read_are_named(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        Ratings(tmp_path / "r.csv", ["score"]).measure([said("x")])
    (tmp_path / "r.jsonl").write_text("[1]\n")
    with pytest.raises(DataError, match=r"r\.jsonl:1 is no JSON object"):
        Ratings(tmp_path / "r.jsonl", ["score"]).measure([said("x")])


def test_criteria_that_cannot_be_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"Ratings\.criteria is empty"):
        Ratings(Path("r"), []).produces()
    with pytest.raises(RecipeError, match=r"Ratings\.criteria names agreement, which is what raters' agreement"):
        Ratings(Path("r"), ["agreement"]).produces()
    with pytest.raises(RecipeError, match=r"Ratings\.interval names minute, which is .* did you mean minutes"):
        Ratings(Path("r"), ["minutes"], interval=["minute"]).produces()
    with pytest.raises(
        RecipeError, match=r"Ratings\.lower_is_better names minute, which is no criterion; did you mean minutes"
    ):
        Ratings(Path("r"), ["minutes"], ["minute"]).produces()
