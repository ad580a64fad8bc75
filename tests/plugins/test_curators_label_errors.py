"""LabelErrors: planted mistakes are found, against confident learning computed by numpy, and the list is ranked."""

import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunesmith import Example, Message, Origin, RecipeError, Segment
from tunesmith_plugins.curators.label_errors import LabelErrors

pytest.importorskip("sklearn", exc_type=ImportError)
pytest.importorskip("cleanlab", exc_type=ImportError)
from tunesmith_plugins.curators.labels.out_of_fold import folds_of, probabilities

WORDS = {
    "refund": "money back refund charge card paid bill return",
    "delivery": "parcel courier late address arrived shipping track box",
    "account": "password login email profile locked username reset code",
}
COMMON = ["please", "today", "the", "my", "is", "a", "help", "with", "not", "it", "was"]


@dataclass
class Notes:
    seed: int = 0
    held_out: tuple[Example, ...] = ()
    dropped: list[str] = field(default_factory=list)

    def drop(self, example: Example, reason: str) -> None:
        assert reason == "likely wrong label"
        self.dropped.append(example.id)

    def change(self, example: Example, reason: str) -> None:
        raise AssertionError

    def add(self, example: Example, reason: str) -> None:
        raise AssertionError


def rows(number: int = 300, flipped: int = 15) -> tuple[list[Example], set[str]]:
    """Texts of three classes; some of them with another label than their words say."""
    drawn = random.Random(5)
    made, wrong = [], set()
    for at in range(number):
        name = drawn.choice(sorted(WORDS))
        words = drawn.choices(WORDS[name].split(), k=5) + drawn.choices(COMMON, k=5)
        label = name
        if at % (number // flipped) == 0:
            label = drawn.choice(sorted(WORDS.keys() - {name}))
            wrong.add(f"row-{at}")
        text = " ".join(drawn.sample(words, len(words)))
        made.append(
            Example(segments=(Segment(text),), label=label, id=f"row-{at}", origin=Origin("mail", "mail.csv", at + 1))
        )
    return made, wrong


def run(curator: LabelErrors, examples: list[Example]) -> tuple[list[Example], list[str]]:
    notes = Notes()
    return list(curator.apply(iter(examples), notes)), notes.dropped


def test_planted_mistakes_are_found_and_little_else() -> None:
    examples, wrong = rows()
    kept, dropped = run(LabelErrors(), examples)
    assert len(wrong & set(dropped)) >= 0.5 * len(wrong)
    assert len(set(dropped) - wrong) <= 1
    assert kept == [example for example in examples if example.id not in set(dropped)]


def test_clean_labels_stay() -> None:
    examples = [example for (example,) in zip(rows()[0], strict=True)]
    right = [
        e.with_(label=next(n for n, w in WORDS.items() if set(w.split()) & set(e.texts()[0].split()))) for e in examples
    ]
    assert len(run(LabelErrors(), right)[1]) <= 2


def test_the_list_is_ranked_and_holds_no_text(tmp_path: Path) -> None:
    examples, wrong = rows()
    kept, dropped = run(LabelErrors(action="keep", ranked=tmp_path / "out/ranked.jsonl"), examples)
    assert (kept, dropped) == (examples, [])
    lines = [json.loads(line) for line in (tmp_path / "out/ranked.jsonl").read_text().splitlines()]
    assert [line["probability"] for line in lines] == sorted(line["probability"] for line in lines)
    assert all(line["likely"] != line["label"] for line in lines)
    worst = lines[0]
    assert worst["id"] in wrong
    assert worst["origin"] == f"mail.csv:{int(worst['id'][4:]) + 1}"
    assert set(worst) == {"by", "id", "origin", "label", "likely", "probability", "probability of likely", "pruned"}
    assert {line["id"] for line in lines} == wrong
    assert [line["id"] for line in lines if line["pruned"]] != []
    dropped = run(LabelErrors(), examples)[1]
    assert set(dropped) == {line["id"] for line in lines if line["pruned"]}


@pytest.mark.parametrize("of", ["answer", "topic"])
def test_labels_may_be_answers_or_a_column(of: str) -> None:
    examples, wrong = rows()

    def other(example: Example) -> Example:
        asked = Message("user", example.texts()[0])
        said = Message("assistant", str(example.label) if of == "answer" else "ok")
        extras = {"topic": example.label} if of == "topic" else {}
        return Example(messages=(asked, said), id=example.id, extras=extras)

    dropped = run(LabelErrors(of=of), [other(example) for example in examples])[1]
    assert len(wrong & set(dropped)) >= 0.5 * len(wrong)
    assert len(set(dropped) - wrong) <= 1


def test_what_is_pruned_is_what_confident_learning_says() -> None:
    # prune by noise rate: counts[given][true] of confident disagreement, calibrated to the classes' sizes
    examples, _ = rows()
    names = sorted(WORDS)
    labels = np.array([names.index(str(e.label)) for e in examples])
    said = probabilities([e.texts()[0] for e in examples], labels, 3, 5)
    thresholds = [said[labels == k, k].mean() for k in range(3)]
    joint = np.zeros((3, 3))
    for given, row in zip(labels, said, strict=True):
        above = [k for k in range(3) if row[k] >= thresholds[k] - 1e-6]
        if above:
            joint[given, max(above, key=lambda k: row[k])] += 1
    joint = joint / joint.sum(axis=1, keepdims=True) * np.bincount(labels)[:, None]
    pruned = int(np.rint(joint).sum() - np.rint(np.trace(joint)))
    assert abs(len(run(LabelErrors(), examples)[1]) - pruned) <= 3


def test_probabilities_come_from_other_folds() -> None:
    texts = [f"only{at} word" for at in range(40)]
    labels = np.array([at % 2 for at in range(40)])
    said = probabilities(texts, labels, 2, 4)
    assert np.allclose(said.sum(axis=1), 1)
    # nothing but a word of its own tells a row's class, so whoever has seen it would be sure
    assert np.abs(said - 0.5).max() < 0.3


def test_equal_texts_share_a_fold_and_appended_ones_move_none() -> None:
    texts = [f"text {at}" for at in range(50)]
    fold = folds_of(texts, 5)
    assert set(fold.tolist()) == set(range(5))
    assert folds_of([*texts, "more"], 5)[:50].tolist() == fold.tolist()
    assert folds_of(["Text  7"], 5)[0] == fold[7]


def test_rare_classes_and_rows_without_a_label_are_not_judged() -> None:
    examples, _ = rows()
    rare = [examples[0].with_(id=f"rare-{n}", label="rare") for n in range(3)]
    none = [examples[0].with_(id="none", label=None), examples[0].with_(id="two", label=("a", "b"))]
    assert not {"rare-0", "rare-1", "rare-2", "none", "two"} & set(run(LabelErrors(), [*examples, *rare, *none])[1])
    assert run(LabelErrors(), [example.with_(label="one") for example in examples])[1] == []


@pytest.mark.parametrize(
    ("options", "said"),
    [({"folds": 1}, "folds is 1"), ({"action": "keep"}, "action is keep, and ranked names no file")],
)
def test_options_that_find_nothing_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        LabelErrors(**options).check()


@pytest.mark.parametrize("held", ['{"id": "1", "origin": "a:1"}\n', "id,text\n", '{"by": "Outliers"}\n', "[1]\n"])
def test_no_file_of_somebody_else_is_written_over(tmp_path: Path, held: str) -> None:
    ranked = tmp_path / "rows.jsonl"
    ranked.write_text(held)
    curator = LabelErrors(ranked=ranked)
    for act in (curator.check, lambda: run(curator, rows()[0])):
        with pytest.raises(RecipeError, match=r"ranked is .*rows\.jsonl, which LabelErrors has not written"):
            act()
    assert ranked.read_text() == held
    ranked.write_text("")
    for _ in range(2):  # an empty file, then its own
        curator.check()
        run(curator, rows()[0])
    assert json.loads(ranked.read_text().splitlines()[0])["by"] == "LabelErrors"
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_a_list_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecipeError, match=r"ranked is .*rows\.jsonl, which cannot be written: "):
        run(LabelErrors(ranked=tmp_path / "file" / "rows.jsonl"), rows()[0])
    with pytest.raises(RecipeError, match="which LabelErrors has not written"):
        LabelErrors(ranked=tmp_path).check()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"of": "topic"}, "of is topic, and no training row has one"),
        ({"most": 2}, "have 3 different ones; most allows 2"),
    ],
)
def test_sets_without_labels_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        run(LabelErrors(**options), rows()[0])
