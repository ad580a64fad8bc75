"""Tiny embedding models, written file by file: CI downloads none."""

import importlib.util
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers


def tokenizer(words: Sequence[str]) -> Tokenizer:
    """Of whole words; what is none of them is unknown."""
    names = ["[UNK]", "[PAD]", *words]
    made = Tokenizer(models.WordLevel({name: at for at, name in enumerate(names)}, unk_token="[UNK]"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return made


@pytest.fixture
def static_model(tmp_path: Path) -> Callable[[Mapping[str, Sequence[float]]], Path]:
    """Writes a model as model2vec saves it, which gives words the vectors that it is called with."""
    pytest.importorskip("model2vec", exc_type=ImportError)

    def write(vectors: Mapping[str, Sequence[float]]) -> Path:
        folder = tmp_path / "static"
        folder.mkdir()
        tokenizer(list(vectors)).save(str(folder / "tokenizer.json"))
        width = len(next(iter(vectors.values())))
        table = np.array([[0.0] * width] * 2 + [list(vector) for vector in vectors.values()], np.float32)
        save_file({"embeddings": table}, folder / "model.safetensors")
        config = {"model_type": "model2vec", "architectures": ["StaticModel"], "normalize": True}
        (folder / "config.json").write_text(json.dumps(config))
        return folder

    return write


@pytest.fixture
def bert_model(tmp_path: Path) -> Callable[[Sequence[str]], Path]:
    """Writes a random transformer in the files of all-MiniLM-L6-v2, which knows the words that it is called with."""

    def write(words: Sequence[str]) -> Path:
        import torch
        from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

        folder = tmp_path / "bert"
        (folder / "1_Pooling").mkdir(parents=True)
        fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer(words), unk_token="[UNK]", pad_token="[PAD]")
        fast.save_pretrained(folder)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
            config = BertConfig(vocab_size=len(words) + 2, max_position_embeddings=16, **sizes)
            BertModel(config, add_pooling_layer=False).save_pretrained(folder)
        modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
        listed = [{"path": path, "type": f"sentence_transformers.models.{name}"} for path, name in modules]
        (folder / "modules.json").write_text(json.dumps(listed))
        pooling = {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
        (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 8}))
        return folder

    return write


@pytest.fixture(scope="session")
def tiny() -> Any:
    """The functions of `tiny_models.py`."""
    spec = importlib.util.spec_from_file_location("tiny_models", Path(__file__).with_name("tiny_models.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
