"""Toxicity by classifiers with the outputs of the usual public ones, each trained here to tell a few words.

The layouts are those of unitary/toxic-bert and unitary/unbiased-toxic-roberta (several classes that do not exclude each
other), s-nlp/roberta_toxicity_classifier and facebook/roberta-hate-speech-dynabench-r4-target (two classes), and of
models with one output. What a probability is, transformers' own pipeline says.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tunesmith import Example, Findings, Message, RecipeError
from tunesmith.evaluation.subject import AuditSubject
from tunesmith_plugins.audits.toxicity import Toxicity

MILD = ("she sings well", "he sings well", "they walk home", "a good day", "we like rain", "home is good")
TOXIC = ("she is an idiot", "he is a moron", "you idiot", "what a moron", "idiot and moron", "they walk like a moron")
JIGSAW = ["toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate"]
UNBIASED = ["toxicity", "severe_toxicity", "obscene", "identity_attack", "insult", "threat", "sexual_explicit"]
MULTI, SINGLE = "multi_label_classification", "single_label_classification"


def trained(folder: Path, classes: list[str], problem: str, toxic: list[int], written: str | None) -> Path:
    """A model that has learnt the texts: toxic ones have the classes `toxic`, others none, or class 0 of two."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    words = sorted({word for text in (*MILD, *TOXIC) for word in text.split()})
    inner = Tokenizer(models.WordLevel({w: at for at, w in enumerate(["[PAD]", "[UNK]", *words])}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]")
    tokenizer.model_max_length = 32
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        config = BertConfig(
            vocab_size=len(words) + 2, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=16, max_position_embeddings=32, hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0, problem_type=problem, id2label=dict(enumerate(classes)),
        )  # fmt: skip
        model = BertForSequenceClassification(config)
        tokens = tokenizer([*MILD, *TOXIC], padding=True, return_tensors="pt")
        is_toxic = torch.tensor([0.0] * len(MILD) + [1.0] * len(TOXIC))
        marks = torch.zeros(len(is_toxic), len(classes))
        marks[:, toxic] = is_toxic[:, None]
        labels = (
            is_toxic.long() * toxic[0] if problem == SINGLE else marks.squeeze(-1) if problem == "regression" else marks
        )
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        for _ in range(40):
            optimizer.zero_grad()
            model(**tokens, labels=labels).loss.backward()
            optimizer.step()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    made = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**made, "problem_type": written}))
    return folder


def examine(folder: Path, **options: Any) -> Findings:
    texts = [*MILD, *TOXIC]
    examples = [Example(messages=(Message("user", text),), id=text) for text in texts]
    return Toxicity(model=folder, min_examples=1, **options).examine(AuditSubject({"train": examples}))


@pytest.mark.parametrize(
    ("classes", "problem", "toxic", "written"),
    [
        pytest.param(JIGSAW, MULTI, [0, 2, 4], MULTI, id="toxic-bert"),
        pytest.param(JIGSAW, MULTI, [0, 2, 4], None, id="toxic-bert without a problem type"),
        pytest.param(UNBIASED, MULTI, [0, 4], MULTI, id="unbiased-toxic-roberta"),
        pytest.param(["neutral", "toxic"], SINGLE, [1], None, id="roberta_toxicity_classifier"),
        pytest.param(["nothate", "hate"], SINGLE, [1], SINGLE, id="roberta-hate-speech-dynabench-r4-target"),
        pytest.param(["LABEL_0", "LABEL_1"], SINGLE, [1], None, id="two classes without names"),
        pytest.param(["Toxic"], MULTI, [0], None, id="one output"),
        pytest.param(["LABEL_0"], "regression", [0], "regression", id="one number"),
    ],
)
def test_what_is_toxic_is_told_as_the_model_tells_it(
    tmp_path: Path, classes: list[str], problem: str, toxic: list[int], written: str | None
) -> None:
    from transformers import pipeline

    from tunesmith_plugins.evaluators.classifier import Classifier

    folder = trained(tmp_path / "model", classes, problem, toxic, written)
    found = examine(folder)
    assert set(found.evidence) == set(TOXIC)
    assert found.metrics["rate"] == 0.5
    model = Classifier(folder)
    judge = pipeline("text-classification", model=str(folder), device="cpu", top_k=None)
    if classes == JIGSAW:
        judge.model.config.problem_type = MULTI  # where nothing says so, the pipeline takes them for exclusive
    for text in (MILD[0], TOXIC[0]):
        (mine,) = model.of_text(text)
        theirs = {one["label"]: one["score"] for one in judge([text])[0]}
        assert mine == pytest.approx([theirs[name] for name in classes], abs=1e-5)


def test_classes_of_which_none_is_known_have_to_be_named(tmp_path: Path) -> None:
    names = ["LABEL_0", "LABEL_1", "LABEL_2"]
    folder = trained(tmp_path / "model", names, MULTI, [0, 2], MULTI)
    with pytest.raises(RecipeError, match=r"no class that is called toxic: name the right one as toxic.*label_2"):
        examine(folder)
    assert set(examine(folder, toxic="LABEL_2").evidence) == set(TOXIC)
    assert examine(folder, toxic="label_1").metrics["rate"] == 0


def test_a_model_that_is_written_anew_is_read_anew(tmp_path: Path) -> None:
    folder = trained(tmp_path / "model", ["neutral", "toxic"], SINGLE, [1], None)
    assert examine(folder).metrics["rate"] == 0.5
    trained(folder, ["toxic", "neutral"], SINGLE, [1], None)
    assert set(examine(folder).evidence) == set(MILD)
