"""Write the synthetic intake notes of the recipe `medsync`: seeded, standard library only, not medical advice.

    python recipes/data/medsync.py --rows 2000 --seed 7 --out recipes/data/medsync.jsonl

reproduces the committed file byte for byte. Only `random.Random.random()` is drawn from, the one method whose
sequence Python guarantees across versions. Rows are made one after another, so that asking for more rows with the
same seed appends to a file and changes none of its rows. README.md beside this file describes the columns and knobs.
"""

import argparse
import dataclasses
import json
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypedDict, TypeVar

from medsync_words import (
    ALLERGENS,
    CONDITION_OF,
    DRUGS,
    FAMILY_CONDITIONS,
    FILLERS,
    HARMLESS,
    INTERACTIONS,
    LONG_TIMES,
    LOOKALIKES,
    MEN_ONLY,
    MIN_AGE,
    NOT_BEFORE_50_IN_WOMEN,
    RED_FLAGS,
    RELATIVES,
    SHORT_TIMES,
    SWALLOWED,
    SYMPTOMS,
    TEMPLATES,
    TRIPLES,
)

T = TypeVar("T")


class Row(TypedDict):
    """One line of the data set; `alerts` to `conflicts` are the critical fields, in order of mention."""

    prompt: str
    completion: str
    patient_id: str
    alerts: list[str]
    allergies: list[str]
    medications: list[str]
    conflicts: list[str]
    style: str
    near_misses: list[str]


@dataclasses.dataclass(frozen=True)
class Difficulty:
    """The knobs: each a probability, each an option of the command line (`--conflict 0.6`)."""

    conflict: float = 0.53  # the note holds an interacting pair
    double: float = 0.04  # of those, a third drug that interacts with one of the pair
    lookalike: float = 0.36  # without a conflict: a pair that differs by a similar name
    stopped: float = 0.24  # without a conflict: one of an interacting pair was stopped
    declined: float = 0.08  # without a conflict: ... was offered and declined
    relative_takes: float = 0.06  # without a conflict: ... is taken by a relative
    harmless: float = 0.16  # without a conflict: two drugs that interact, but not with each other
    stopped_decoy: float = 0.2  # beside a conflict: some other drug, stopped
    filler: float = 0.25  # one more drug that interacts with none of the others
    newly: float = 0.3  # one of the pair is only being started
    no_allergy: float = 0.2
    two_allergies: float = 0.25  # of the patients with an allergy
    allergy_decoy: float = 0.4  # ruled out, tolerated, intolerance only, or a relative's
    red_flag: float = 0.4  # a symptom that must be alerted
    two_symptoms: float = 0.2
    negated: float = 0.3  # a symptom denied, or past; as often a red flag as `red_flag` says
    history: float = 0.25
    family_history: float = 0.08
    follow_up: float = 0.25  # the row belongs to a patient seen before


class Draw:
    """Chances and choices from `random()` alone."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed).random

    def chance(self, probability: float) -> bool:
        """Whether something of this probability happens."""
        return self._random() < probability

    def pick(self, options: Sequence[T]) -> T:
        """One of the options, each as likely."""
        return options[int(self._random() * len(options))]

    def shuffled(self, items: Iterable[T]) -> list[T]:
        """The items in any order."""
        left, out = list(items), []
        while left:
            out.append(left.pop(int(self._random() * len(left))))
        return out

    def kind(self, weights: dict[str, float], otherwise: str) -> str:
        """One of the names by its weight, or `otherwise` for what the weights leave of 1."""
        point = self._random()
        for name, weight in weights.items():
            point -= weight
            if point < 0:
                return name
        return otherwise


@dataclasses.dataclass(frozen=True)
class Patient:
    """What stays the same from visit to visit."""

    patient_id: str
    age: int
    sex: str
    allergies: tuple[str, ...]

    def may_take(self, drug: str) -> bool:
        """Whether age, sex and allergies allow the drug."""
        return (
            self.age >= MIN_AGE.get(drug, 21)
            and not (self.sex == "woman" and drug in MEN_ONLY)
            and not (self.sex == "woman" and self.age < 50 and drug in NOT_BEFORE_50_IN_WOMEN)
            and not any(drug in ALLERGENS[allergen] for allergen in self.allergies)
        )


@dataclasses.dataclass(frozen=True)
class Medication:
    """The drugs of a visit: taken, about to be started, and `other` mentioned but not taken (`role` says why)."""

    taken: tuple[str, ...]
    started: tuple[str, ...] = ()
    other: tuple[str, ...] = ()
    role: str = ""
    tags: tuple[str, ...] = ()


def interact(one: str, two: str) -> bool:
    """Whether the pair stands in the table, in either order."""
    return (one, two) in INTERACTIONS or (two, one) in INTERACTIONS


def mentioned(items: Iterable[str], text: str) -> list[str]:
    """The items in the order in which the text names them; each must stand in it exactly once."""
    places: list[tuple[int, str]] = []
    for item in items:
        found = [match.start() for match in re.finditer(rf"\b{re.escape(item)}\b", text)]
        if len(found) != 1:
            msg = f"{item!r} stands {len(found)} times in {text!r}"
            raise ValueError(msg)
        places.append((found[0], item))
    return [item for _, item in sorted(places)]


def conflicts_of(drugs: Sequence[str]) -> list[str]:
    """Every interacting pair of the drugs, `first + second`, in order of the first drug and then of the second."""
    return [f"{one} + {two}" for at, one in enumerate(drugs) for two in drugs[at + 1 :] if interact(one, two)]


def joined(items: Sequence[str]) -> str:
    """The items as a list of the house format."""
    return ", ".join(items) if items else "none"


def _new_patient(draw: Draw, knobs: Difficulty, number: int) -> Patient:
    names = draw.shuffled(ALLERGENS)
    count = 0 if draw.chance(knobs.no_allergy) else 1 + draw.chance(knobs.two_allergies)
    return Patient(f"MS-{number:05d}", draw.pick(range(30, 89)), draw.pick(("woman", "man")), tuple(names[:count]))


def _fillers(draw: Draw, patient: Patient, beside: Sequence[str], count: int) -> tuple[str, ...]:
    chosen: list[str] = []
    for name in draw.shuffled(FILLERS):
        others = [*beside, *chosen]
        clash = name in others or any(other in FILLERS[name] or name in FILLERS.get(other, ()) for other in others)
        if len(chosen) < count and not clash and patient.may_take(name):
            chosen.append(name)
    return tuple(chosen)


def _open_to(patient: Patient, options: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The options of which the patient may take every drug."""
    return [option for option in options if all(patient.may_take(drug) for drug in option)]


def _medication(draw: Draw, knobs: Difficulty, patient: Patient) -> Medication:
    """The drugs of one visit: a conflict, or one of the near-misses that must not be taken for one."""
    if draw.chance(knobs.conflict):
        kind = "double" if draw.chance(knobs.double) else "conflict"
    else:
        kinds = ("lookalike", "stopped", "declined", "relative_takes", "harmless")
        kind = draw.kind({name: getattr(knobs, name) for name in kinds}, "plain")
    if kind == "double" and not _open_to(patient, TRIPLES):
        kind = "conflict"
    options = {"double": TRIPLES, "lookalike": LOOKALIKES, "harmless": HARMLESS}.get(kind, INTERACTIONS)
    drugs = draw.shuffled(draw.pick(_open_to(patient, options)))
    tags = (f"{kind}_drug",) if kind in ("lookalike", "stopped", "declined", "relative_takes", "harmless") else ()
    other: tuple[str, ...] = ()
    role = ""
    if kind in ("stopped", "declined", "relative_takes"):
        other, role = (drugs.pop(),), kind
    elif kind == "plain":
        drugs.pop()
    elif kind == "conflict" and draw.chance(knobs.stopped_decoy):
        decoys = [drug for drug in DRUGS if drug not in drugs and patient.may_take(drug)]
        other, role, tags = (draw.pick(decoys),), "stopped", ("stopped_drug",)
    started = (drugs.pop(),) if len(drugs) > 1 and draw.chance(knobs.newly) else ()
    alone = len(drugs) == 1 and not started
    filled = alone or (kind != "double" and not other and draw.chance(knobs.filler))
    filler = _fillers(draw, patient, [*drugs, *started, *other], int(filled))
    return Medication(tuple(draw.shuffled([*drugs, *filler])), started, other, role, tags)


class _Note:
    """The sentences of one note in one voice; it names the same relative all through."""

    def __init__(self, draw: Draw, patient: Patient) -> None:
        self.draw, self.patient = draw, patient
        self.style = draw.pick(tuple(TEMPLATES))
        older, younger = RELATIVES[:4], RELATIVES[2:]
        self.relative = draw.pick(older if patient.age < 55 else younger)
        self.sentences: list[str] = []

    def say(self, slot: str, items: Sequence[str] = (), when: str = "") -> None:
        """Append a sentence of the slot; the subject of the third person is left for `text`."""
        both = "," if self.style in ("chart", "fields") and self.draw.chance(0.5) else " and"
        spoken = (", ".join(items[:-1]) + both + " " if len(items) > 1 else "") + "".join(items[-1:])
        template = self.draw.pick(TEMPLATES[self.style][slot])
        self.sentences.append(
            template.replace("{x}", spoken)
            .replace("{t}", when)
            .replace("{age}", str(self.patient.age))
            .replace("{sex}", self.patient.sex)
            .replace("{initial}", "F" if self.patient.sex == "woman" else "M")
            .replace("{r}", self.relative)
            .replace("{R}", self.relative.capitalize())
        )

    def text(self) -> str:
        """The note: the opener first in half of them, else anywhere; then who is spoken of is named at first."""
        opener, *rest = self.sentences
        order = [opener, *self.draw.shuffled(rest)] if self.draw.chance(0.5) else self.draw.shuffled(self.sentences)
        she, her = ("She", "Her") if self.patient.sex == "woman" else ("He", "His")
        named = False
        for at, sentence in enumerate(order):
            named = named or (sentence == opener and "{Subj}" not in sentence)
            subject, possessive = (she, her) if named else ("The patient", "The patient's")
            order[at] = sentence.replace("{Subj}", subject).replace("{Poss}", possessive)
            named = named or order[at] != sentence
        return re.sub(r"\b([Aa]) (?=8\d-)", r"\1n ", " ".join(order))


def _akin(one: str, two: str) -> bool:
    """Whether two allergens are the same, or of one class of drugs."""
    return one == two or bool(set(ALLERGENS[one]) & set(ALLERGENS[two]))


def _row(draw: Draw, knobs: Difficulty, patient: Patient) -> Row:
    """One visit, its note and its summary."""
    drugs = _medication(draw, knobs, patient)
    note = _Note(draw, patient)
    tags = list(drugs.tags)

    flagged = draw.chance(knobs.red_flag)
    plain, red = draw.shuffled(SYMPTOMS), draw.shuffled(RED_FLAGS)
    symptoms = [red.pop() if flagged else plain.pop()]
    if draw.chance(knobs.two_symptoms):
        symptoms = draw.shuffled([*symptoms, plain.pop()])
    when = draw.pick(SHORT_TIMES if flagged or draw.chance(0.5) else LONG_TIMES)
    note.say("opener", symptoms, when)
    note.say("meds", drugs.taken)
    if drugs.started:
        note.say("new", drugs.started)
    if drugs.other:
        note.say(drugs.role, drugs.other)

    allergies = draw.shuffled(patient.allergies)
    decoy = draw.chance(knobs.allergy_decoy)
    if allergies:
        note.say("allergy", allergies)
    elif not decoy or draw.chance(0.6):
        note.say("no_allergy")
    if decoy:
        slot = draw.pick(("ruled_out", "ruled_out", "family_allergy", "family_allergy", "tolerated", "intolerance"))
        pool = SWALLOWED if slot in ("tolerated", "intolerance") else tuple(ALLERGENS)
        note.say(slot, [draw.pick([name for name in pool if not any(_akin(name, own) for own in allergies)])])
        tags.append(f"{slot}_allergy" if slot in ("ruled_out", "tolerated") else slot)
    if draw.chance(knobs.negated):
        slot = draw.pick(("denial", "denial", "denial", "past_symptom"))
        note.say(slot, [(red if draw.chance(knobs.red_flag) else plain).pop()])
        tags.append("negated_symptom" if slot == "denial" else slot)
    known = [CONDITION_OF[drug] for drug in drugs.taken if drug in CONDITION_OF]
    condition = [draw.pick(known)] if known and draw.chance(knobs.history) else []
    if condition:
        note.say("history", condition)
    if draw.chance(knobs.family_history):
        note.say("family_history", [draw.pick([name for name in FAMILY_CONDITIONS if name not in condition])])
        tags.append("family_history")

    prompt = note.text()
    allergies = mentioned(allergies, prompt)
    medications = mentioned([*drugs.taken, *drugs.started], prompt)
    conflicts = conflicts_of(medications)
    alerts = [symptom for symptom in mentioned(symptoms, prompt) if symptom in RED_FLAGS]
    summary = [f"{patient.sex} {patient.age}", f"{' and '.join(symptoms)} {when}", *mentioned(condition, prompt)]
    completion = (
        f"{', '.join(summary)}\n"
        f"Alerts: {joined(alerts)}\nAllergies: {joined(allergies)}\n"
        f"Medications: {joined(medications)}\nConflicts: {joined(conflicts)}"
    )
    return {
        "prompt": prompt,
        "completion": completion,
        "patient_id": patient.patient_id,
        "alerts": alerts,
        "allergies": allergies,
        "medications": medications,
        "conflicts": conflicts,
        "style": note.style,
        "near_misses": tags,
    }


def rows(count: int, seed: int, knobs: Difficulty | None = None) -> Iterator[Row]:
    """Rows with distinct prompts; the first rows of a longer run are those of a shorter one."""
    draw, knobs = Draw(seed), knobs or Difficulty()
    patients: list[Patient] = []
    seen: set[str] = set()
    while len(seen) < count:
        again = bool(patients) and draw.chance(knobs.follow_up)
        patient = draw.pick(patients) if again else _new_patient(draw, knobs, len(patients) + 1)
        row = _row(draw, knobs, patient)
        if row["prompt"] in seen:
            continue
        seen.add(row["prompt"])
        if not again:
            patients.append(patient)
        yield row


def main(argv: Sequence[str] | None = None) -> None:
    """Write the file that the command line asks for."""
    parser = argparse.ArgumentParser(description="write the synthetic intake notes of the recipe medsync")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("medsync.jsonl"))
    for field in dataclasses.fields(Difficulty):
        flag = "--" + field.name.replace("_", "-")
        parser.add_argument(flag, type=float, default=field.default, metavar="P", help="default: %(default)s")
    given = vars(parser.parse_args(argv))
    knobs = Difficulty(**{field.name: given[field.name] for field in dataclasses.fields(Difficulty)})
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows(given["rows"], given["seed"], knobs))
    given["out"].write_text("".join(lines), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
