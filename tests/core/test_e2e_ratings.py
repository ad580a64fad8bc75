"""People rate answers: pending, a sheet that tells nothing, and then a verdict."""

import csv
import json
from pathlib import Path
from typing import Any

CONFIG = ("--config", "rated.yaml")


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_a_recipe_waits_for_people_and_then_obeys_them(trained: Any) -> None:
    ratings = {"class_path": "Ratings", "init_args": {"file": "mine.csv", "criteria": ["polite", "right"]}}
    trained.write("rated.yaml", evaluators={"people": ratings}, success={"people/polite": {"at_least": 4}})
    run = trained.runs()[0]
    words = (*CONFIG, "--run", str(run))
    try:
        waits = trained.done("test", *words)
        assert "success: 0 of 1 met, 1 pending" in waits.out
        assert "nobody has rated these answers in mine.csv" in " ".join(waits.out.split())
        sheet = run / "test/to_rate-people.csv"
        assert f"to rate     {sheet}" in waits.out
        verdict = json.loads((run / "test/metrics.json").read_text())["verdicts"][0]
        assert (verdict["state"], verdict["met"]) == ("pending", False)
        assert "<skipped" in (run / "test/junit.xml").read_text()
        rows = rows_of(sheet)
        assert list(rows[0]) == ["answer", "question", "reference", "output", "polite", "right", "rater"]
        said = [json.loads(line) for line in (run / "test/predictions.jsonl").read_text().splitlines()]
        outputs = {(row["prompt"][-1]["content"], row[model]["output"]) for row in said for model in ("base", "tuned")}
        assert len(rows) == len(outputs)
        tuned = {row["tuned"]["output"] for row in said}
        with (trained.folder / "mine.csv").open("w", newline="") as file:
            table = csv.DictWriter(file, list(rows[0]))
            table.writeheader()
            table.writerows({**row, "polite": "5" if row["output"].removeprefix("'") in tuned else "1"} for row in rows)
        met = trained.done("test", *words)
        assert "success: all 1 met" in met.out
        missed = trained.done("test", *words, "--success.people/polite.at_least=5.5", code=3)
        assert "success: 1 of 1 not met" in missed.out
    finally:
        (trained.folder / "mine.csv").unlink(missing_ok=True)


def test_no_rating_that_stands_in_a_sheet_is_lost(trained: Any) -> None:
    ratings = {"class_path": "Ratings", "init_args": {"file": "nobodys.csv", "criteria": ["polite", "right"]}}
    whole = {"class_path": "Composite", "init_args": {"weights": {"people/polite": 1}}}
    trained.write("rated.yaml", evaluators={"people": ratings, "whole": whole})
    run = trained.runs()[0]
    words = (*CONFIG, "--run", str(run))
    sheet, second = (run / f"test/to_rate-people{number}.csv" for number in ("", "-2"))
    try:
        assert f"to rate     {sheet}" in trained.done("test", *words).out
        assert f"to rate     {sheet}" in trained.done("test", *words).out  # nobody has written into it
        # what is made of ratings is rated by nobody
        assert [path.name for path in (run / "test").glob("to_rate-*")] == [sheet.name]
        rows = rows_of(sheet)
        with sheet.open("w", encoding="utf-8-sig", newline="") as file:
            table = csv.DictWriter(file, list(rows[0]))
            table.writeheader()
            table.writerows([{**rows[0], "right": "4"}, *rows[1:]])
        filled = sheet.read_bytes()
        assert f"to rate     {second}" in trained.done("test", *words).out
        assert sheet.read_bytes() == filled
        assert rows_of(second) == rows
        second.write_bytes(b"\xff\xfe\x00")  # what cannot be read may be somebody's as well
        assert "to_rate-people-3.csv" in trained.done("test", *words).out
    finally:
        for path in (run / "test").glob("to_rate-*"):
            path.unlink()


def test_what_an_earlier_test_decided_does_not_stay(trained: Any) -> None:
    trained.write("bound.yaml", success={"exact/exact_match": {"at_least": 0}}, audits={"balance": "Representation"})
    words, test = ("test", "--config", "bound.yaml", "--run", str(trained.runs()[0])), trained.runs()[0] / "test"
    for sheet in test.glob("to_rate-*"):  # people's, which stay; another test of the same run may have left some
        sheet.unlink()
    # rows that name no group have no value; audits are run for it all the same
    trained.done(*words, "--success.balance/gender_label_gap.at_most=9", code=3)
    assert (test / "junit.xml").is_file()
    assert (test / "findings.json").is_file()
    (test / "predictions-kept.jsonl").write_text("")
    trained.write("bound.yaml")
    trained.done(*words)
    assert {path.name for path in test.iterdir()} == {"metrics.json", "predictions.jsonl"}
