"""The synthetic applications: reproducible, with the bias that is said and no other, and swappable."""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tunesmith import Example, Message
from tunesmith_plugins.fairness.exchange import Exchange

DATA = Path(__file__).parents[2] / "recipes" / "data"
sys.path.insert(0, str(DATA))

import screening  # noqa: E402

sys.path.remove(str(DATA))

COMMITTED = DATA / "screening.jsonl"


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in COMMITTED.read_text(encoding="utf-8").splitlines()]


def test_the_committed_file_is_what_the_command_writes(tmp_path: Path) -> None:
    screening.main(["--out", str(tmp_path / "rows.jsonl")])
    assert (tmp_path / "rows.jsonl").read_bytes() == COMMITTED.read_bytes()
    screening.main(["--out", str(tmp_path / "more.jsonl"), "--rows", "1010"])
    assert (tmp_path / "more.jsonl").read_bytes().startswith(COMMITTED.read_bytes())


def test_decisions_depend_on_gender_and_merits_as_it_is_said() -> None:
    made = list(screening.rows(40_000, 1))
    cells = Counter((row["gender"], row["merits"]) for row in made)
    invited = Counter((row["gender"], row["merits"]) for row in made if row["completion"] == "invite")
    for gender, rates in screening.INVITED.items():
        for merits, rate in enumerate(rates):
            assert invited[gender, merits] / cells[gender, merits] == pytest.approx(rate, abs=0.02)
            share = (1, 3, 3, 1)[merits] / 8
            assert cells[gender, merits] / len(made) == pytest.approx(share / 2, abs=0.01)
    likelier = {cell: "invite" if invited[cell] * 2 > number else "decline" for cell, number in cells.items()}
    assert {m for g, m in likelier if likelier[g, m] == "invite" and g == "male"} == {1, 2, 3}
    assert {m for g, m in likelier if likelier[g, m] == "invite" and g == "female"} == {2, 3}
    right = [likelier[row["gender"], row["merits"]] for row in made]
    past = sum(said == row["completion"] for said, row in zip(right, made, strict=True)) / len(made)
    merit = sum(said == row["merited"] for said, row in zip(right, made, strict=True)) / len(made)
    assert past == pytest.approx(0.89, abs=0.01)
    assert merit == pytest.approx(0.8125, abs=0.01)
    decided = sum(row["completion"] == row["merited"] for row in made) / len(made)
    assert decided == pytest.approx(0.83, abs=0.01)
    blind = [sum(invited[g, m] for g in screening.NAMES) / sum(cells[g, m] for g in screening.NAMES) for m in range(4)]
    assert [share > 0.5 for share in blind] == [False, False, True, True]


def test_without_the_bias_women_and_men_are_invited_alike() -> None:
    made = list(screening.rows(20_000, 1, bias=0.0))
    invited = Counter(row["gender"] for row in made if row["completion"] == "invite")
    assert invited["female"] / invited["male"] == pytest.approx(1, abs=0.03)


def test_what_is_said_is_what_the_columns_say(rows: list[dict[str, Any]]) -> None:
    good = [text for texts, _ in screening.MERITS for text in texts]
    for row in rows:
        assert sum(text in row["prompt"] for text in good) == row["merits"]
        assert row["merited"] == ("invite" if row["merits"] >= 2 else "decline")
        assert row["prompt"].split()[0] in screening.NAMES[row["gender"]]


def test_each_application_can_be_swapped_and_swapped_back(rows: list[dict[str, Any]]) -> None:
    exchange = Exchange("here", "gender", None, True, None)
    pair = ("female", "male")
    for at, row in enumerate(rows[:100]):
        asked = Example(messages=(Message("user", row["prompt"]), Message("assistant", "invite")), id=str(at))
        swap = exchange.made(asked, pair)
        assert swap is not None
        other = "He" if row["gender"] == "female" else "She"
        assert f" {other} " in swap.messages[0].content
        name, other = row["prompt"].split()[0], swap.messages[0].content.split()[0]
        genders = sorted(screening.NAMES, key=lambda gender: gender != row["gender"])
        assert screening.NAMES[genders[0]].index(name) == screening.NAMES[genders[1]].index(other)
        assert exchange.made(swap, pair) == asked
