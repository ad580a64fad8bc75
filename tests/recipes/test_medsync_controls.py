"""The main job's controls: what cannot have been learnt is not called a success."""

import json
import random
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tunesmith.data.example import Message
from tunesmith.evaluation.measure import Measure, Sample
from tunesmith.evaluation.success import Verdict, decide
from tunesmith.evaluation.threshold import Threshold
from tunesmith.plugins.interfaces import Evaluator
from tunesmith_plugins.evaluators.critical_errors import CriticalErrors
from tunesmith_plugins.evaluators.rouge import ROUGE

RECIPE = Path(__file__).parents[2] / "recipes" / "medsync.yaml"
ROWS = RECIPE.parent / "data" / "medsync.jsonl"
sys.path.insert(0, str(ROWS.parent))

import medsync  # noqa: E402
import medsync_words as words  # noqa: E402

sys.path.remove(str(ROWS.parent))

# The answer and all that is said about it.
REFERENCE = ("completion", "alerts", "allergies", "medications", "conflicts")
CLASSES: Mapping[str, type[Evaluator]] = {"ROUGE": ROUGE, "CriticalErrors": CriticalErrors}


def read_rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in ROWS.read_text(encoding="utf-8").splitlines()]


def fit_and_test(apart: Any, root: Path, *changes: str) -> dict[str, Any]:
    """Fit and test the shipped recipe with changes; insists on exit codes 0 and 3 and gives the test's record."""
    place = f"--trainer.default_root_dir={root}"
    changes = ("--config", str(RECIPE), "--trainer.accelerator=cpu", place, *changes)
    fitted = apart.command("fit", *changes)
    assert fitted.returncode == 0, fitted.stdout + fitted.stderr
    tested = apart.command("test", *changes)
    assert tested.returncode == 3, tested.stdout + tested.stderr
    (record,) = root.glob("**/test/metrics.json")
    found: dict[str, Any] = json.loads(record.read_text())
    assert found["met"] is False
    assert found["n"] > 40
    return found


@pytest.mark.slow
def test_what_learns_nothing_fails_and_equals_the_base(apart: Any, tmp_path: Path) -> None:
    record = fit_and_test(
        apart,
        tmp_path,
        "--model.optimizer.lr=0",
        "--data.split.train=0.87",
        "--data.split.test=0.03",
        "--trainer.max_steps=4",
        "--trainer.limit_val_batches=1",
    )
    compared = {
        name: (values["tuned"], values["base"])
        for name, values in record["metrics"].items()
        if values["base"] is not None
    }
    assert {"rouge/rougeL", "critical/error_rate", "perplexity/perplexity"} <= compared.keys()
    for name, (tuned, base) in compared.items():
        assert tuned == pytest.approx(base, rel=1e-4), name
    (of_base,) = [v for v in record["verdicts"] if v["key"] == "critical/error_rate"]
    assert not of_base["met"]


def permuted(rows: Sequence[Mapping[str, Any]], seed: int) -> list[dict[str, Any]]:
    """Rows with the reference of another row each, so that no note tells its answer."""
    order = list(range(len(rows)))
    random.Random(seed).shuffle(order)
    # Each takes from the next along one cycle through all rows: no row keeps its own.
    taken = dict(zip(order, [*order[1:], order[0]], strict=True))
    return [{**row, **{key: rows[taken[at]][key] for key in REFERENCE}} for at, row in enumerate(rows)]


def test_permuting_keeps_notes_and_references_and_gives_no_row_its_own() -> None:
    marked = [{**{key: [at] for key in REFERENCE}, "prompt": str(at)} for at in range(50)]
    moved = permuted(marked, seed=0)
    assert [row["prompt"] for row in moved] == [row["prompt"] for row in marked]
    assert sorted(row["completion"] for row in moved) == [[at] for at in range(50)]
    for before, after in zip(marked, moved, strict=True):
        assert len({json.dumps(after[key]) for key in REFERENCE}) == 1
        assert after["completion"] != before["completion"]


@pytest.mark.slow
def test_permuted_references_fail_every_threshold(apart: Any, tmp_path: Path) -> None:
    rows = tmp_path / "permuted.jsonl"
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in permuted(read_rows(), seed=7))
    rows.write_text("".join(lines), encoding="utf-8")
    record = fit_and_test(
        apart,
        tmp_path,
        f"--data.sources.intake.path={rows}",
        "--data.split.train=0.87",
        "--data.split.test=0.03",
        "--trainer.max_epochs=1",
        "--trainer.limit_train_batches=60",
        "--trainer.limit_val_batches=2",
    )
    # It did learn: the form of an answer, which needs no reading.
    assert record["metrics"]["perplexity/perplexity"]["tuned"] < record["metrics"]["perplexity/perplexity"]["base"]
    verdicts = {verdict["key"]: verdict["met"] for verdict in record["verdicts"]}
    assert verdicts == dict.fromkeys(yaml.safe_load(RECIPE.read_text())["success"], False)


@pytest.fixture(scope="module")
def recipe() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(RECIPE.read_text())
    return loaded


def notes() -> list[dict[str, Any]]:
    """Every fourth: enough for shares that lie far from the thresholds."""
    return read_rows()[::4]


def verdicts_on(recipe: Mapping[str, Any], answers: Sequence[str], base: Sequence[str]) -> list[Verdict]:
    """What the recipe's own evaluators and thresholds say of answers to its notes."""
    rows = notes()

    def values(given: Sequence[str]) -> dict[str, Measure]:
        samples = [
            Sample(str(at), (Message("user", row["prompt"]),), row["completion"], answer, extras=row)
            for at, (row, answer) in enumerate(zip(rows, given, strict=True))
        ]
        found = {}
        for name in {key.partition("/")[0] for key in recipe["success"]}:
            said = recipe["evaluators"][name]
            said = {"class_path": said} if isinstance(said, str) else said
            evaluator = CLASSES[said["class_path"]](**said.get("init_args", {}))
            found.update({f"{name}/{m.name}": m for m in evaluator.measure(samples)})
        return found

    success = {key: Threshold(**bounds) for key, bounds in recipe["success"].items()}
    return decide(success, values(answers), {"base": values(base)})


def test_right_answers_meet_every_threshold_and_answers_without_reading_none(recipe: dict[str, Any]) -> None:
    rows = notes()
    none = ["woman 60, cough\nAlerts: none\nAllergies: none\nMedications: none\nConflicts: none"] * len(rows)
    off_form = ["I am not sure."] * len(rows)
    right = [row["completion"] for row in rows]
    of_others = [row["completion"] for row in permuted(rows, seed=7)]
    assert all(verdict.met for verdict in verdicts_on(recipe, right, off_form))
    assert all(verdict.met for verdict in verdicts_on(recipe, right, none))
    for unread in (none, of_others, off_form):
        assert not any(verdict.met for verdict in verdicts_on(recipe, unread, off_form))
    # names every red flag, allergen and drug of the note, and every pair of the table among them; reads no cue
    blind = [listed(row) for row in rows]
    met = {verdict.key: verdict.met for verdict in verdicts_on(recipe, blind, off_form)}
    assert met == {"rouge/rougeL": True, "critical/error_rate": True, "critical/any_error_rate": False}


def listed(row: Mapping[str, Any]) -> str:
    """The right first line, and below it all that the note names."""

    def named(vocabulary: Iterable[str]) -> list[str]:
        found = [(m.start(), word) for word in vocabulary for m in re.finditer(rf"\b{word}\b", row["prompt"])]
        return [word for _, word in sorted(found)]

    drugs = named(words.DRUGS)
    lists = {
        "Alerts": named(words.RED_FLAGS),
        "Allergies": named(words.ALLERGENS),
        "Medications": drugs,
        "Conflicts": medsync.conflicts_of(drugs),
    }
    lines = [f"{label}: {medsync.joined(items)}" for label, items in lists.items()]
    return "\n".join([row["completion"].split("\n")[0], *lines])
