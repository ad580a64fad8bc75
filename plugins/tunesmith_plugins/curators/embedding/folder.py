"""What lies in the folder of an embedding model, told by its files alone."""

import json
from pathlib import Path
from typing import Any, Literal

from tunesmith import RecipeError

Kind = Literal["static", "transformer"]
_WANTED = (
    "name a folder with a static model of model2vec, or with a transformer for sentence embeddings by mean pooling "
    "(all-MiniLM-L6-v2)"
)
_TOKENIZERS = ("tokenizer.json", "vocab.txt", "tokenizer.model", "sentencepiece.bpe.model")
_POOLING = "pooling_mode"


def kind_of(folder: Path) -> Kind:
    """Which of the two kinds of models a folder holds.

    Raises:
        RecipeError: It is no folder, or holds neither, or a model that pools otherwise.
    """
    if not folder.is_dir():
        raise _refused(folder, "is no folder")
    config = _read(folder / "config.json")
    modules = {Path(str(one.get("path", ""))): str(one.get("type", "")).rpartition(".")[2] for one in _modules(folder)}
    static = config.get("model_type") == "model2vec" or "StaticEmbedding" in modules.values()
    if static:
        if not any(_holds(place) for place in (folder, folder / "0_StaticEmbedding")):
            raise _refused(folder, "lacks model.safetensors or tokenizer.json")
        return "static"
    if "model_type" not in config:
        raise _refused(folder, "has no config.json that names a model")
    if not any(folder.glob("model*.safetensors")):
        raise _refused(folder, "has no model.safetensors (weights in other formats can run code)")
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        raise _refused(folder, "has no tokenizer")
    if not modules:
        names = [str(name) for name in config.get("architectures") or []]
        if not names or not all(name.endswith("Model") for name in names):
            raise _refused(folder, f"holds {' and '.join(names) or config['model_type']}, which makes no embeddings")
    for path, name in modules.items():
        if name not in ("Transformer", "Pooling", "Normalize"):
            raise _refused(folder, f"asks for a layer {name} in its modules.json")
        if name == "Pooling" and (pooling := _pooling(_read(folder / path / "config.json"))) != {"mean"}:
            raise _refused(folder, f"pools by {' and '.join(sorted(pooling)) or 'nothing'}")
    return "transformer"


def most_tokens(folder: Path) -> int | None:
    """Tokens of a text that a transformer reads at most, as its makers say; None where they say nothing."""
    said = _read(folder / "sentence_bert_config.json").get("max_seq_length")
    return said if isinstance(said, int) else None


def _holds(place: Path) -> bool:
    return all((place / name).is_file() for name in ("model.safetensors", "tokenizer.json"))


def _modules(folder: Path) -> list[dict[str, Any]]:
    found = _json(folder / "modules.json")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _pooling(config: dict[str, Any]) -> set[str]:
    """By what a model pools, in either of the ways that this is written."""
    if isinstance(said := config.get(_POOLING), str):
        return {said}
    on = {name.removeprefix(f"{_POOLING}_") for name, value in config.items() if name.startswith(_POOLING) and value}
    return {name.removesuffix("_tokens").removesuffix("_token") for name in on}


def _read(path: Path) -> dict[str, Any]:
    found = _json(path)
    return found if isinstance(found, dict) else {}


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _refused(folder: Path, why: str) -> RecipeError:
    msg = f"model is {folder}, which {why}; {_WANTED}"
    return RecipeError(msg)
