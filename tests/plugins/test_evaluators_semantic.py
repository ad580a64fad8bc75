"""SemanticSimilarity: cosines by hand, of static models and of transformers, and what has none."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from tunesmith import RecipeError, Sample
from tunesmith_plugins.curators.embedding import encode
from tunesmith_plugins.evaluators.semantic_similarity import SemanticSimilarity

Static = Callable[[Mapping[str, Sequence[float]]], Path]
Bert = Callable[[Sequence[str]], Path]
WORDS = {"red": (1.0, 0.0), "crimson": (0.8, 0.6), "car": (0.0, 2.0), "not": (-1.0, 0.0)}


def sample(output: str, reference: str) -> Sample:
    return Sample("r", (), reference, output)


def test_values_are_cosines(static_model: Static) -> None:
    pairs = [("red", "Crimson", 0.8), ("car", "red", 0), ("not", "red", -1), ("red car", "car red", 1)]
    pairs += [("", "red", 0), ("unknown", "red", 0)]
    [measure] = SemanticSimilarity(static_model(WORDS)).measure([sample(one, other) for one, other, _ in pairs])
    assert list(measure.values) == pytest.approx([cosine for *_, cosine in pairs], abs=1e-6)
    assert (measure.name, measure.higher_is_better) == ("similarity", True)


def test_a_row_whose_reference_says_nothing_is_left_out(static_model: Static) -> None:
    rows = [sample("red", " "), sample("red", "unknown"), sample("red", "red")]
    [measure] = SemanticSimilarity(static_model(WORDS)).measure(rows)
    assert [math.isnan(value) for value in measure.values] == [True, True, False]


def test_a_transformer_pools_means(bert_model: Bert) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = bert_model(words := [f"w{at}" for at in range(12)])
    draw = np.random.default_rng(3)
    texts = [" ".join(draw.choice(words, length)) for length in (3, 7, 5, 2, 6, 4)]
    rows = [sample(one, other) for one, other in zip(texts[::2], texts[1::2], strict=True)]
    [measure] = SemanticSimilarity(folder).measure(rows)
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        means = [model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0) for text in texts]
    wanted = [float(torch.cosine_similarity(one, two, dim=0)) for one, two in zip(means[::2], means[1::2], strict=True)]
    assert list(measure.values) == pytest.approx(wanted, abs=1e-5)


def test_texts_go_through_the_model_one_at_a_time(static_model: Static, monkeypatch: pytest.MonkeyPatch) -> None:
    def encoder(folder: Path) -> Callable[[Sequence[str]], np.ndarray]:
        return lambda texts: encode.unit([[place, 1.0] for place in range(len(texts))])  # as if padding counted

    monkeypatch.setattr(encode, "encoder", encoder)
    [measure] = SemanticSimilarity(static_model(WORDS)).measure([sample("red", "car"), sample("car", "crimson")])
    assert measure.values == [1, 1]


def test_a_folder_without_a_model_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"SemanticSimilarity\.model is .*, which is no folder"):
        SemanticSimilarity(tmp_path / "none").produces()


def test_what_is_asked_before_a_run_loads_no_model(bert_model: Bert) -> None:
    folder = bert_model(["a"])
    (folder / "model.safetensors").write_bytes(b"broken")
    assert [m.name for m in SemanticSimilarity(folder).produces()] == ["similarity"]
    with pytest.raises(RecipeError, match=r"SemanticSimilarity\.model is .*, which cannot be loaded"):
        SemanticSimilarity(folder).measure([sample("a", "a")])
