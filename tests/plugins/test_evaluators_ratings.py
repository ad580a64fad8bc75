"""Ratings: what people say, by answer, by model, and not yet."""

import csv
import math
from pathlib import Path
from typing import Any

import pytest

from tunesmith import DataError, Message, RecipeError, Sample, rating_key
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
    polite, minutes = Ratings(path, ["politeness", "minutes"], ["minutes"]).measure(samples)
    assert polite.values[:2] == [4.5, 2.0]
    assert math.isnan(polite.values[2])
    assert (polite.higher_is_better, minutes.higher_is_better) == (True, False)
    assert (polite.value, minutes.value) == (3.25, 5.25)
    assert polite.note == "2 of 3 answers are rated"
    assert not polite.pending


def test_an_answer_that_changed_is_not_what_was_rated(tmp_path: Path) -> None:
    path = write(tmp_path / "r.csv", {"answer": rating_key(said("old")), "politeness": 5})
    (waits,) = Ratings(path, ["politeness"]).measure([said("other")])
    assert waits.pending
    assert waits.note == "nobody has rated these answers in r.csv"
    assert rating_key(said("old")) == rating_key(said("old", model="base")) != rating_key(said("old", 1))


def test_no_file_is_pending_and_says_where_ratings_go(tmp_path: Path) -> None:
    found = Ratings(tmp_path / "none.csv", ["a", "b"]).measure([said("x")])
    assert [(one.name, one.pending) for one in found] == [("a", True), ("b", True)]


def test_numbers_of_a_whole_model(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text('{"model": "tuned", "minutes": 3}\n\n{"model": "base", "minutes": 15, "share": 0.2}\n')
    evaluator = Ratings(path, ["minutes", "share"], ["minutes"])
    tuned = evaluator.measure([said("x"), said("y", 1)])
    base = evaluator.measure([said("x", model="base"), said("y", 1, "base")])
    assert (tuned[0].value, base[0].value, base[1].value) == (3.0, 15.0, 0.2)
    assert tuned[0].single
    assert tuned[1].pending


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
    with pytest.raises(
        RecipeError, match=r"Ratings\.lower_is_better names minute, which is no criterion; did you mean minutes"
    ):
        Ratings(Path("r"), ["minutes"], ["minute"]).produces()
