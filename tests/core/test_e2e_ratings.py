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
