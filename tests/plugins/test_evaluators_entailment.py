"""Entailment against transformers run by hand, with a tiny random model; and models that are none."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from tunesmith import Message, RecipeError, Sample
from tunesmith_plugins.evaluators import entailment
from tunesmith_plugins.evaluators.entailment import Entailment

MODEL = Path(entailment.__file__).with_name("entailment_trial")


def sample(prompt: str, output: str, reference: str = "") -> Sample:
    return Sample("r", tuple(Message("user", turn) for turn in prompt.split("|")) if prompt else (), reference, output)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy that may be changed."""
    return Path(shutil.copytree(MODEL, tmp_path / "model"))


def change(folder: Path, **entries: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({k: v for k, v in (json.loads(path.read_text()) | entries).items() if v is not None}))


def by_hand(premise: str, hypothesis: str) -> list[float]:
    """Probabilities of contradiction, entailment and neither."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    with torch.no_grad():
        logits = AutoModelForSequenceClassification.from_pretrained(MODEL)(
            **tokenizer(premise, hypothesis, return_tensors="pt")
        ).logits[0]
    return [float(value) for value in logits.softmax(-1)]


SENTENCES = ["He is hot.", "The cat is 5!", "hjk.", "Dr. A ran"]


def test_each_sentence_is_judged_against_the_turns_before_it() -> None:
    found = {m.name: m for m in Entailment(MODEL).measure([sample("the|lamp", " ".join(SENTENCES))])}
    judged = [by_hand("the lamp", text) for text in SENTENCES]
    assert found["entailment"].value == pytest.approx(sum(row[1] for row in judged) / 4, abs=1e-6)
    most = [row.index(max(row)) for row in judged]
    assert found["entailed"].value == pytest.approx(most.count(1) / 4)
    assert found["contradicted"].value == pytest.approx(most.count(0) / 4)
    assert [m.higher_is_better for m in found.values()] == [True, True, False]


def test_the_random_model_judges_in_more_than_one_way() -> None:
    judged = [by_hand("the lamp", text) for text in SENTENCES]
    assert len({row.index(max(row)) for row in judged}) > 1


def test_the_reference_may_be_the_premise_and_classes_may_be_named() -> None:
    evaluator = Entailment(MODEL, premise="reference", entailment="Neutral", contradiction="entailment")
    found = evaluator.measure([sample("x", "He is hot.", "the lamp"), sample("x", "He is hot.", " ")])
    row = by_hand("the lamp", "He is hot.")
    assert found[0].values[0] == pytest.approx(row[2], abs=1e-6)
    assert [m.values[0] for m in found[1:]] == [float(max(row) == row[2]), float(max(row) == row[1])]
    assert all(math.isnan(m.values[1]) for m in found)


def test_an_output_without_a_sentence_entails_nothing_and_a_row_without_a_premise_is_left_out() -> None:
    found = Entailment(MODEL).measure([sample("the lamp", " ... "), sample("", "He is hot.")])
    assert [m.values[0] for m in found] == [0, 0, 0]
    assert all(math.isnan(m.values[1]) for m in found)


def test_the_window_that_supports_most_counts() -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(MODEL), AutoModelForSequenceClassification.from_pretrained(MODEL)
    premise, hypothesis = "zq 99 " * 20 + "abc def ghi jkl " * 12, "He is hot."
    first, second = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (premise, hypothesis))
    room, overlap, expected = 64 - 3 - len(second), 64 // 4 - len(second), []
    for start in range(0, len(first) - overlap, room - overlap):
        window = first[start : start + room]
        ids = torch.tensor([[2, *window, 3, *second, 3]])  # [CLS] premise [SEP] hypothesis [SEP]
        types = torch.tensor([[0] * (len(window) + 2) + [1] * (len(second) + 1)])
        with torch.no_grad():
            expected.append(float(model(input_ids=ids, token_type_ids=types).logits[0].softmax(-1)[1]))
    assert len(expected) > 3
    [measure, *_] = Entailment(MODEL).measure([sample(premise, hypothesis)])
    assert measure.values[0] == pytest.approx(max(expected), abs=1e-6)
    assert max(expected) > expected[0] + 0.001


def test_long_sentences_are_cut_and_not_refused() -> None:
    [measure, *_] = Entailment(MODEL).measure([sample("the lamp " * 200, "ab " * 3000)])
    assert 0 < measure.values[0] < 1


def test_a_model_of_two_classes_says_nothing_of_contradiction(model: Path) -> None:
    change(model, id2label={"0": "no", "1": "entailment", "2": "maybe"}, label2id=None)
    assert [m.name for m in Entailment(model).produces()] == ["entailment", "entailed"]
    assert len(Entailment(model).measure([sample("x", "He is hot.")])) == 2


@pytest.mark.parametrize(
    ("entries", "options", "says"),
    [
        ({"architectures": ["BertModel"]}, {}, r"Entailment\.model is .*, which holds BertModel; name a folder with a"),
        ({"architectures": None}, {}, "which holds no known model"),
        ({"id2label": None}, {}, "classes label_0, label_1, none of which is called entailment: name the right one"),
        (
            {},
            {"entailment": "entailmant"},
            r"Entailment\.entailment is entailmant, which is no class.*mean entailment\?",
        ),
        ({}, {"contradiction": "entailment"}, "one of which cannot be both"),
    ],
)
def test_models_and_classes_that_cannot_be_are_refused_before_anything_runs(
    model: Path, entries: dict[str, Any], options: dict[str, Any], says: str
) -> None:
    change(model, **entries)
    with pytest.raises(RecipeError, match=says):
        Entailment(model, **options).produces()


def test_a_folder_without_weights_or_with_others_is_refused(model: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    with pytest.raises(RecipeError, match=r"which has no config\.json that can be read"):
        Entailment(tmp_path / "none").produces()
    weights = load_file(model / "model.safetensors")
    headless = {name: value for name, value in weights.items() if not name.startswith("classifier")}
    save_file(headless, model / "model.safetensors", {"format": "pt"})
    with pytest.raises(RecipeError, match=r"whose weights lack classifier\.bias, classifier\.weight"):
        Entailment(model).measure([sample("x", "y")])
    (model / "model.safetensors").unlink()
    with pytest.raises(RecipeError, match=r"which has no model\.safetensors"):
        Entailment(model).produces()
