"""The synthetic intake notes: reproducible, consistent, solvable by reading and not otherwise."""

import json
import os
import random
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunesmith.data.split import Split

DATA = Path(__file__).parents[2] / "recipes" / "data"
sys.path.insert(0, str(DATA))

import medsync  # noqa: E402
import medsync_words as words  # noqa: E402

sys.path.remove(str(DATA))

COMMITTED = DATA / "medsync.jsonl"
RELATIVE = rf"\b({'|'.join(words.RELATIVES)}|family)\b"
NOT_TAKEN = re.compile(rf"{RELATIVE}|\b(stopped|no longer|off|declined|offered|said no|past drugs)\b", re.I)
NOT_ALLERGIC = re.compile(
    rf"{RELATIVE}|\b(tested negative|ruled out|not (allergic|an allergy|allergy)|intolerance|no rash|tolerated)\b",
    re.I,
)
NOT_NOW = re.compile(r"\b(denies|no|negative|last year|past|don't)\b", re.I)


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in COMMITTED.read_text(encoding="utf-8").splitlines()]


def named(vocabulary: Any, text: str) -> list[str]:
    found = [(match.start(), word) for word in vocabulary for match in re.finditer(rf"\b{word}\b", text)]
    return [word for _, word in sorted(found)]


def sentences(prompt: str, but: re.Pattern[str]) -> str:
    return " ".join(part for part in re.split(r"(?<=\.) ", prompt) if not but.search(part))


def share(flags: Any) -> float:
    listed = [bool(flag) for flag in flags]
    return sum(listed) / len(listed)


def errors(answer: dict[str, Any], row: dict[str, Any]) -> list[bool]:
    """Which of alerts, allergies, medications and conflicts `CriticalErrors` finds wrong: whatever the order."""
    pairs = [{frozenset(pair.split(" + ")) for pair in side["conflicts"]} for side in (answer, row)]
    wrong = [set(answer[field]) != set(row[field]) for field in ("alerts", "allergies", "medications")]
    return [*wrong, pairs[0] != pairs[1]]


def rouge_l(reference: str, answer: str) -> float:
    """ROUGE-L F1 as rouge-score computes it without a stemmer."""
    one, two = (re.findall(r"[a-z0-9]+", text.lower()) for text in (reference, answer))
    line = [0] * (len(two) + 1)
    for left in one:
        before = line[:]
        for at, right in enumerate(two):
            line[at + 1] = before[at] + 1 if left == right else max(before[at + 1], line[at])
    return 2 * line[-1] / (len(one) + len(two))


def test_the_command_reproduces_the_committed_file_byte_for_byte(tmp_path: Path) -> None:
    target = tmp_path / "again.jsonl"
    command = [sys.executable, str(DATA / "medsync.py"), "--rows", "2000", "--seed", "7", "--out", str(target)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": "1"})
    assert target.read_bytes() == COMMITTED.read_bytes()


def test_more_rows_append_and_another_seed_changes_everything(rows: list[dict[str, Any]]) -> None:
    assert list(medsync.rows(2100, 7))[:2000] == rows
    prompts = {row["prompt"] for row in rows}
    assert not any(row["prompt"] in prompts for row in medsync.rows(200, 8))


def test_a_knob_changes_what_it_names() -> None:
    knobs = medsync.Difficulty(conflict=0.0, allergy_decoy=0.0)
    made = list(medsync.rows(100, 7, knobs))
    assert not any(row["conflicts"] for row in made)
    assert not any("allergy" in tag for row in made for tag in row["near_misses"])


@pytest.mark.parametrize(
    "knobs", [{}, {"conflict": 1.0, "double": 1.0}, {"conflict": 0.0, "harmless": 1.0}, {"no_allergy": 1.0}]
)
def test_every_knob_setting_ends(knobs: dict[str, float]) -> None:
    assert len(list(medsync.rows(300, 3, medsync.Difficulty(**knobs)))) == 300


def test_no_two_prompts_are_the_same(rows: list[dict[str, Any]]) -> None:
    assert len(rows) == 2000
    assert len({row["prompt"] for row in rows}) == 2000


def test_completion_says_what_the_gold_columns_say(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        first, alerts, allergies, medications, conflicts = row["completion"].split("\n")
        assert re.match(r"(woman|man) \d\d, ", first)
        assert all(alert in first for alert in row["alerts"])
        assert alerts == "Alerts: " + (", ".join(row["alerts"]) or "none")
        assert allergies == "Allergies: " + (", ".join(row["allergies"]) or "none")
        assert medications == "Medications: " + (", ".join(row["medications"]) or "none")
        assert conflicts == "Conflicts: " + (", ".join(row["conflicts"]) or "none")


def test_every_gold_value_stands_in_the_note_in_order_of_mention(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        note = row["prompt"]
        assert named(row["allergies"], note) == row["allergies"]
        assert named(row["alerts"], note) == row["alerts"]
        assert named(row["medications"], note) == row["medications"]
        for conflict in row["conflicts"]:
            pair = conflict.split(" + ")
            assert named(pair, note) == pair
            assert medsync.interact(*pair)
        summary = row["completion"].split("\n")[0]
        assert summary.split(", ")[0].split()[-1] in note
        for part in summary.split(", ")[1:]:
            for word in part.replace(" and ", " ").split():
                assert re.search(rf"\b{word}\b", note)


def test_a_reader_of_the_cue_words_gets_every_critical_field_right(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        taken = named(words.DRUGS, sentences(row["prompt"], NOT_TAKEN))
        assert taken == row["medications"], row["prompt"]
        assert medsync.conflicts_of(taken) == row["conflicts"], row["prompt"]
        allergic = named(words.ALLERGENS, sentences(row["prompt"], NOT_ALLERGIC))
        assert allergic == row["allergies"], row["prompt"]
        now = named(words.RED_FLAGS, sentences(row["prompt"], NOT_NOW))
        assert now == row["alerts"], row["prompt"]


def test_no_note_gives_together_what_a_clinician_would_not(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        taken = named(words.DRUGS, sentences(row["prompt"], NOT_TAKEN))
        for drug in taken:
            assert not set(words.FILLERS.get(drug, ())) & set(taken), row["prompt"]
            assert not any(drug in words.ALLERGENS[allergen] for allergen in row["allergies"]), row["prompt"]
        harmless = {frozenset(pair) for pair in words.HARMLESS + words.LOOKALIKES}
        listed = [drug for drug in taken if drug not in words.FILLERS]
        for at, one in enumerate(listed):
            for two in listed[at + 1 :]:
                known = medsync.interact(one, two) or frozenset((one, two)) in harmless
                assert known or {one, two} < {"warfarin", "ibuprofen", "lithium", "metronidazole"}, row["prompt"]


def test_tables_do_not_contradict_one_another() -> None:
    tables = (words.INTERACTIONS, words.LOOKALIKES, words.HARMLESS)
    pairs = [frozenset(pair) for table in tables for pair in table]
    assert len(pairs) == len(set(pairs))
    interacting = {drug for pair in words.INTERACTIONS for drug in pair}
    assert not interacting & set(words.FILLERS)
    assert 12 <= len(words.INTERACTIONS) <= 16
    for drug in [*words.MIN_AGE, *words.CONDITION_OF, *words.MEN_ONLY, *words.NOT_BEFORE_50_IN_WOMEN]:
        assert drug in words.DRUGS
    slots = {voice: set(templates) for voice, templates in words.TEMPLATES.items()}
    assert len(set(map(frozenset, slots.values()))) == 1


def test_near_misses_come_at_the_stated_rates(rows: list[dict[str, Any]]) -> None:
    assert share(not row["allergies"] for row in rows) == pytest.approx(0.2, abs=0.03)
    assert share(not row["conflicts"] for row in rows) == pytest.approx(0.46, abs=0.03)
    assert share(row["alerts"] for row in rows) == pytest.approx(0.4, abs=0.03)
    assert share(not row["allergies"] and not row["conflicts"] for row in rows) < 0.12
    quiet = [row for row in rows if not row["conflicts"]]
    assert share(any(tag.endswith("_drug") for tag in row["near_misses"]) for row in quiet) > 0.85
    tags = Counter(tag for row in rows for tag in row["near_misses"])
    for tag, least in {
        "lookalike_drug": 250,
        "harmless_drug": 100,
        "stopped_drug": 350,
        "declined_drug": 50,
        "relative_takes_drug": 40,
        "ruled_out_allergy": 200,
        "family_allergy": 200,
        "tolerated_allergy": 80,
        "intolerance": 80,
        "negated_symptom": 350,
        "past_symptom": 90,
        "family_history": 90,
    }.items():
        assert tags[tag] >= least, tag
    assert min(Counter(row["style"] for row in rows).values()) > 400
    pairs = Counter(frozenset(conflict.split(" + ")) for row in rows for conflict in row["conflicts"])
    assert len(pairs) == len(words.INTERACTIONS)
    assert min(pairs.values()) >= 25


def test_a_look_alike_also_stands_beside_conflicts(rows: list[dict[str, Any]]) -> None:
    alike = {drug for pair in words.LOOKALIKES for drug in pair} - {
        drug for pair in words.INTERACTIONS for drug in pair
    }
    assert share(named(alike, row["prompt"]) for row in rows if row["conflicts"]) > 0.1


def test_position_tells_nothing(rows: list[dict[str, Any]]) -> None:
    thirds = Counter(
        3 * row["prompt"].index(row["allergies"][0]) // len(row["prompt"]) for row in rows if row["allergies"]
    )
    assert min(thirds[third] for third in range(3)) > 0.15 * sum(thirds.values())


def test_patients_come_back_with_the_same_allergies(rows: list[dict[str, Any]]) -> None:
    visits = Counter(row["patient_id"] for row in rows)
    assert 1400 <= len(visits) <= 1600
    assert share(visits[row["patient_id"]] > 1 for row in rows) > 0.3
    assert len({(row["patient_id"], *sorted(row["allergies"])) for row in rows}) == len(visits)


def test_notes_are_short_enough_for_the_budget_of_the_main_job(rows: list[dict[str, Any]]) -> None:
    """A 4k vocabulary makes about 0.405 tokens a character of these rows, a chat template 5 more: 127 at most."""
    assert sum(len(row["prompt"]) + len(row["completion"]) for row in rows) / len(rows) < 302


def test_answers_without_reading_fail_clearly(rows: list[dict[str, Any]]) -> None:
    completion, _ = Counter(row["completion"] for row in rows).most_common(1)[0]
    frequent = next(row for row in rows if row["completion"] == completion)
    plain = {
        "alerts": [],
        "allergies": [],
        "medications": [],
        "conflicts": [],
        "completion": "woman 60, cough\nAlerts: none\nAllergies: none\nMedications: none\nConflicts: none",
    }
    permuted = rows[:]
    random.Random(0).shuffle(permuted)
    for answers in ([frequent] * len(rows), [plain] * len(rows), permuted):
        together = list(zip(answers, rows, strict=True))
        assert share(any(errors(answer, row)) for answer, row in together) > 0.9
        assert share(error for answer, row in together for error in errors(answer, row)) > 0.55
        assert sum(rouge_l(row["completion"], answer["completion"]) for answer, row in together) / len(rows) < 0.45


def test_naming_all_that_the_note_names_is_wrong_in_half_of_the_rows(rows: list[dict[str, Any]]) -> None:
    blind = [
        {
            "alerts": named(words.RED_FLAGS, row["prompt"]),
            "allergies": named(words.ALLERGENS, row["prompt"]),
            "medications": named(words.DRUGS, row["prompt"]),
            "conflicts": medsync.conflicts_of(named(words.DRUGS, row["prompt"])),
        }
        for row in rows
    ]
    assert share(any(errors(answer, row)) for answer, row in zip(blind, rows, strict=True)) > 0.5


def bags(rows: list[dict[str, Any]], longest: int, known: dict[str, int] | None = None) -> tuple[Any, dict[str, int]]:
    """Which words, or runs of up to `longest` words, each note holds, and a constant: `[rows, features]`."""
    held = []
    for row in rows:
        told = re.findall(r"[a-z0-9']+", row["prompt"].lower())
        held.append({" ".join(told[i : i + n]) for n in range(1, longest + 1) for i in range(len(told) - n + 1)})
    known = known or {name: place for place, name in enumerate(sorted(set().union(*held)))}
    found = np.zeros((len(rows), len(known) + 1))
    found[:, -1] = 1
    for line, names in zip(found, held, strict=True):
        line[[known[name] for name in names if name in known]] = 1
    return found, known


def gold(row: dict[str, Any]) -> set[tuple[str, str]]:
    pairs = [" + ".join(sorted(pair.split(" + "))) for pair in row["conflicts"]]
    lists = {(field, x) for field in ("alerts", "allergies", "medications") for x in row[field]}
    return lists | {("conflicts", x) for x in pairs}


@pytest.mark.parametrize(("longest", "least", "most"), [(1, 0.55, 0.65), (2, 0.38, 0.48)])
def test_a_linear_model_of_the_words_is_wrong_where_words_alone_do_not_tell(
    rows: list[dict[str, Any]], longest: int, least: float, most: float
) -> None:
    """Ridge regression of every value of the critical fields on the words of the note; patients never seen."""
    split = Split()
    parts: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
    for row in rows:
        parts[split.of(f"group {row['patient_id']}") == "test"].append(row)
    features, known = bags(parts[False], longest)
    labels = sorted(set().union(*map(gold, rows)))
    targets = np.array([[label in gold(row) for label in labels] for row in parts[False]], dtype=float)
    dual = np.linalg.solve(features @ features.T + np.eye(len(features)), targets)
    guesses = (bags(parts[True], longest, known)[0] @ features.T @ dual) > 0.5
    wrong = [
        {label for label, said in zip(labels, line, strict=True) if said} != gold(row)
        for line, row in zip(guesses, parts[True], strict=True)
    ]
    assert len(wrong) > 150
    assert least < share(wrong) < most
