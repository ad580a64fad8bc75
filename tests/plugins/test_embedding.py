"""Embeddings: a model is known by its files, all of a text counts, and vectors are those of numpy and of the makers."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tunesmith import Example, Message, RecipeError, Segment
from tunesmith_plugins.curators.embedding import encode
from tunesmith_plugins.curators.embedding.encode import check_model, encoder, unit
from tunesmith_plugins.curators.embedding.folder import kind_of, most_tokens
from tunesmith_plugins.curators.embedding.greedy import repeated
from tunesmith_plugins.curators.embedding.rows import distinct, embedded

Static = Callable[[Mapping[str, Sequence[float]]], Path]
Bert = Callable[[Sequence[str]], Path]
WORDS = {"red": (1.0, 0.0, 0.0), "crimson": (0.9, 0.1, 0.0), "car": (0.0, 2.0, 0.0), "moon": (0.0, 0.0, 3.0)}


def change(path: Path, **entries: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def test_a_static_model_gives_the_mean_of_its_words_vectors(static_model: Static) -> None:
    folder = static_model(WORDS)
    texts = ["red car", "Moon", "nothing known", "", "red unknown moon moon", "car " * 900 + "moon " * 900]
    found = encoder(folder)(texts)
    table = {word: np.array(vector) for word, vector in WORDS.items()}
    for text, vector in zip(texts, found, strict=True):
        held = [table[word] for word in text.lower().split() if word in table]
        mean = np.mean(held, axis=0) if held else np.zeros(3)
        wanted = mean / np.linalg.norm(mean) if held else mean
        assert np.allclose(vector, wanted, atol=1e-5)
    assert found.dtype == np.float32


def test_a_static_model_changes_no_environment(static_model: Static, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    encoder(static_model(WORDS))(["red"] * 12_000)
    assert "TOKENIZERS_PARALLELISM" not in os.environ


def test_a_transformer_gives_the_mean_over_tokens_of_all_windows(bert_model: Bert) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    words = [f"w{at}" for at in range(12)]
    folder = bert_model(words)
    assert most_tokens(folder) == 8
    rng = np.random.default_rng(1)
    texts = [" ".join(rng.choice(words, length)) for length in (1, 3, 8, 9, 30, 2, 17, *[5] * 40)]
    state = torch.random.get_rng_state()
    found = encoder(folder)(texts)
    assert torch.equal(torch.random.get_rng_state(), state)
    tokens, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    for text, vector in zip(texts, found, strict=True):
        ids = tokens(text)["input_ids"]
        with torch.no_grad():
            hidden = [model(torch.tensor([ids[at : at + 8]])).last_hidden_state[0] for at in range(0, len(ids), 8)]
        mean = torch.cat(hidden).mean(0).numpy()
        assert np.allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)


def test_embedding_prints_nothing(bert_model: Bert, capfd: pytest.CaptureFixture[str]) -> None:
    folder = bert_model(["a", "b"])
    capfd.readouterr()
    encoder(folder)(["a b"])
    assert capfd.readouterr() == ("", "")


def test_models_are_told_by_their_files(static_model: Static, bert_model: Bert) -> None:
    assert kind_of(static_model(WORDS)) == "static"
    folder = bert_model(["a"])
    assert kind_of(folder) == "transformer"
    (folder / "modules.json").unlink()
    assert kind_of(folder) == "transformer"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: [p.unlink() for p in f.glob("*.safetensors")], r"has no model\.safetensors \(weights in other"),
        (lambda f: [p.unlink() for p in f.glob("tokenizer.json")], "has no tokenizer"),
        (lambda f: (f / "config.json").unlink(), r"has no config\.json that names a model"),
        (lambda f: (f / "config.json").write_text("[]"), r"has no config\.json that names a model"),
        (
            lambda f: [(f / "modules.json").unlink(), change(f / "config.json", architectures=["BertForMaskedLM"])],
            "holds BertForMaskedLM, which makes no embeddings",
        ),
        (
            lambda f: (f / "modules.json").write_text('[{"path": "2", "type": "sentence_transformers.models.Dense"}]'),
            r"asks for a layer Dense in its modules\.json",
        ),
        (
            lambda f: change(f / "1_Pooling" / "config.json", pooling_mode_cls_token=True),
            "pools by cls and mean",
        ),
        (lambda f: (f / "1_Pooling" / "config.json").write_text('{"pooling_mode": "lasttoken"}'), "pools by lasttoken"),
    ],
)
def test_other_folders_are_refused_by_name(bert_model: Bert, spoil: Callable[[Path], object], said: str) -> None:
    folder = bert_model(["a"])
    spoil(folder)
    with pytest.raises(RecipeError, match=f"^model is .*/bert, which {said}.*; name a folder with a static model"):
        check_model(folder)


def test_what_is_no_folder_is_refused_and_nothing_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"^model is minishlab/potion-base-8M, which is no folder"):
        encoder(Path("minishlab/potion-base-8M"))
    (tmp_path / "config.json").write_text('{"model_type": "model2vec"}')
    with pytest.raises(RecipeError, match=r"lacks model\.safetensors or tokenizer\.json"):
        check_model(tmp_path)


def test_weights_that_cannot_be_read_are_a_mistake_of_the_recipe(bert_model: Bert, static_model: Static) -> None:
    for folder in (bert_model(["a"]), static_model(WORDS)):
        (folder / "model.safetensors").write_bytes(b"no weights")
        with pytest.raises(RecipeError, match=rf"^model is .*/{folder.name}, which cannot be loaded: "):
            encoder(folder)


def test_a_missing_extra_is_named(static_model: Static, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = static_model(WORDS)
    monkeypatch.setitem(encode.__builtins__, "__import__", _without("model2vec"))  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match=r"^model is a static one and needs .*: pip install 'tunesmith\[semantic\]'$"):
        check_model(folder)


def _without(package: str) -> Callable[..., Any]:
    real = __import__

    def load(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == package:
            raise ModuleNotFoundError(name=package)
        return real(name, *rest)

    return load


def test_each_distinct_text_is_embedded_once() -> None:
    asked: list[str] = []

    def fake(texts: Sequence[str]) -> encode.Floats:
        asked.extend(texts)
        return np.array([[len(text), 1.0] for text in texts], np.float32)

    texts = ["a", "bb", "a", " ", "\ud800", *(f"x{at}" for at in range(3000)), "bb"]
    vectors, places = distinct(iter(texts), fake)
    assert len(asked) == len(set(asked)) == 3004
    assert places.tolist()[:5] == [0, 1, 0, 2, 3]
    assert places[-1] == 1
    assert vectors[:, 0].tolist() == [len(text) if text.strip() else 0 for text in asked]
    assert not vectors[2].any()  # a blank text


def test_text_that_is_no_unicode_is_embedded_too(static_model: Static, bert_model: Bert) -> None:
    examples = [Example(segments=(Segment(text),)) for text in ("red \ud800", "red ?")]
    for folder in (static_model(WORDS), bert_model(list(WORDS))):
        rows = embedded(iter(examples), folder)
        assert np.allclose(*rows.of(np.arange(2)))


def test_rows_are_their_prompt_beside_their_answer(static_model: Static) -> None:
    examples = [
        Example(messages=(Message("user", "red car"), Message("assistant", "moon"))),
        Example(messages=(Message("system", "moon"), Message("user", "red"))),
        Example(segments=(Segment("car"),)),
        Example(messages=(Message("user", "car red"), Message("assistant", "none of these"))),
    ]
    rows = embedded(iter(examples), static_model(WORDS))
    assert len(rows) == 4
    assert rows.known().tolist() == [[True, True], [True, False], [False, True], [True, False]]
    found = rows.of(np.arange(4))
    assert np.allclose(np.linalg.norm(found, axis=1), 1)
    assert np.allclose(found[0], np.array([1 / 5**0.5, 2 / 5**0.5, 0, 0, 0, 1]) / 2**0.5)
    assert np.allclose(found[1], [1, 0, 0, 0, 0, 0])
    assert np.allclose(found[2], [0, 0, 0, 0, 1, 0])
    assert rows.of(np.array([3, 0])).shape == (2, 6)


VECTORS = arrays.arrays(np.float32, st.tuples(st.integers(1, 12), st.just(3)), elements=st.integers(-3, 3).map(float))


@given(VECTORS)
def test_unit_vectors_have_length_one_or_none(vectors: Any) -> None:
    found = unit(vectors)
    lengths = np.linalg.norm(found.astype(np.float64), axis=1)
    assert np.allclose(lengths, (vectors != 0).any(axis=1), atol=1e-6)
    assert np.allclose(found * np.linalg.norm(vectors, axis=1, keepdims=True), vectors, atol=1e-5)


@given(VECTORS, st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), min_size=1, max_size=25), st.integers(1, 9))
def test_repeats_are_those_of_a_loop_over_pairs(vectors: Any, pairs: list[tuple[int, int]], tenths: int) -> None:
    threshold = tenths / 10 + 0.03  # no cosine of such small numbers lies within rounding of it
    table = unit(vectors)
    sides = [np.array([pair[side] % len(table) for pair in pairs]) for side in (0, 1)]
    double = table.astype(np.float64)
    wanted: list[int] = []
    for at in range(len(pairs)):
        alike = [
            one
            for one in range(at)
            if wanted[one] < 0 and all(double[side[at]] @ double[side[one]] >= threshold for side in sides)
        ]
        wanted.append(alike[0] if alike else -1)
    assert repeated(table, sides, threshold).tolist() == wanted


def test_repeats_across_blocks_are_those_of_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    from tunesmith_plugins.curators.embedding import greedy

    rng = np.random.default_rng(3)
    table = unit(rng.normal(size=(300, 4)))
    sides = [rng.integers(0, 300, 500), rng.integers(0, 300, 500)]
    whole = repeated(table, sides, 0.8)
    assert 50 < (whole >= 0).sum() < 450
    monkeypatch.setattr(greedy, "BLOCK", 7)
    monkeypatch.setattr(greedy, "_CHUNK", 11)
    assert repeated(table, sides, 0.8).tolist() == whole.tolist()


def test_a_text_is_like_itself_at_a_threshold_of_one() -> None:
    table = unit(np.random.default_rng(0).normal(size=(500, 384)))
    at = np.concatenate([np.arange(500), np.arange(500)])
    assert repeated(table, [at], 1.0).tolist() == [-1] * 500 + list(range(500))
