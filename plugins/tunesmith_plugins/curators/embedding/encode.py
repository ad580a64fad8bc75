"""From texts to vectors of unit length, by either kind of model."""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith import AbsentPackageError, RecipeError
from tunesmith_plugins.curators.embedding.folder import kind_of, most_tokens

Floats = NDArray[np.float32]
Encoder = Callable[[Sequence[str]], Floats]
_AT_ONCE = 32


def encoder(folder: Path) -> Encoder:
    """What makes vectors of texts: one a text, of unit length, or of zeros where the model knows nothing of a text.

    Raises:
        RecipeError: The folder holds no model that can be used.
        AbsentPackageError: It is a static model, and the extra `semantic` is not installed.
    """
    return _static(folder) if kind_of(folder) == "static" else _transformer(folder)


def check_model(folder: Path) -> None:
    """Refuse a model before any row is read, without loading it.

    Raises:
        RecipeError: The folder holds no model that can be used.
        AbsentPackageError: It is a static model, and the extra `semantic` is not installed.
    """
    if kind_of(folder) == "static":
        _static_model()


def unit(vectors: Any) -> Floats:
    """Vectors in float32, each divided by its length; zeros stay zeros."""
    found = np.asarray(vectors, np.float32)
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    made: Floats = np.divide(found, lengths, out=np.zeros_like(found), where=lengths > 0)
    return made


def _static(folder: Path) -> Encoder:
    cls = _static_model()
    with refusing(folder):
        model = cls.from_pretrained(folder)
    # all of a long text; by no threads, which would set a variable of the environment for everybody
    return lambda texts: unit(model.encode(list(texts), max_length=None, use_multiprocessing=False))


def _static_model() -> Any:
    state = random.getstate()  # which importing may move
    try:
        from model2vec import StaticModel
    except ImportError as error:
        msg = f"model is a static one and needs {error.name}, which is absent: pip install 'tunesmith[semantic]'"
        raise AbsentPackageError(msg) from error
    finally:
        random.setstate(state)
    return StaticModel


def _transformer(folder: Path) -> Encoder:
    """The mean of the last hidden states over a text's tokens, as all-MiniLM-L6-v2 pools them.

    A text longer than the model reads goes through it in windows, so that all of it counts.
    """
    import torch
    from transformers import AutoModel, AutoTokenizer

    where: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    with refusing(folder), quiet(), torch.random.fork_rng(devices=[]):  # weights that are absent are drawn
        tokenizer = AutoTokenizer.from_pretrained(folder, **where)
        model = AutoModel.from_pretrained(folder, use_safetensors=True, dtype=torch.float32, **where).eval()
    places = getattr(model.config, "max_position_embeddings", None) or 512
    most = most_tokens(folder) or min(tokenizer.model_max_length, places)
    cut = {"padding": True, "truncation": True, "max_length": most, "return_overflowing_tokens": True}

    def encode(texts: Sequence[str]) -> Floats:
        found = np.zeros((len(texts), model.config.hidden_size), np.float32)
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))  # little padding
        for start in range(0, len(order), _AT_ONCE):
            part = order[start : start + _AT_ONCE]
            tokens = tokenizer([texts[at] for at in part], return_tensors="pt", **cut)
            owner = tokens.pop("overflow_to_sample_mapping")
            # what is divided by its length at the end need not be divided by its tokens
            sums = torch.zeros(len(part), model.config.hidden_size)
            for at in range(0, len(owner), _AT_ONCE):
                windows = {name: value[at : at + _AT_ONCE] for name, value in tokens.items()}
                with torch.inference_mode():
                    hidden = model(**windows).last_hidden_state
                mask = windows["attention_mask"].unsqueeze(-1).to(hidden.dtype)
                sums.index_add_(0, owner[at : at + _AT_ONCE], (hidden * mask).sum(1))
            found[part] = sums.numpy()
        return unit(found)

    return encode


@contextmanager
def refusing(folder: Path) -> Iterator[None]:
    """Context in which what loading raises is an error of the recipe.

    Raises:
        RecipeError: The folder holds no model that can be loaded.
    """
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, KeyError, ImportError, SafetensorError) as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        msg = f"model is {folder}, which cannot be loaded: {said[0]}"
        raise RecipeError(msg) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Context without the bars and the table of unused weights that transformers prints."""
    from transformers.utils import logging

    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
