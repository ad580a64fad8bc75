"""The tiny base of the kit: made and loaded once a process, and copied for each model. Imports torch."""

import atexit
import functools
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import transformers
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from tunesmith.recipe.package_fs import installed
from tunesmith.training.base import load_base
from tunesmith.training.fused_norm import fuse_norms
from tunesmith.training.fused_rotary import fuse_rotary
from tunesmith.training.heads import plain_head
from tunesmith.training.probe import Probe, probe
from tunesmith.training.randomness import seeded

_TOKENIZER = "package://tunesmith_plugins/bases/tiny-mistral"
_END_OF_TURN = "<|end|>"


@functools.cache
def tiny_base() -> str:
    """A random Mistral of two layers and 64 wide, with the embedded base's tokenizer and template, in a folder."""
    place = Path(tempfile.mkdtemp(prefix="tunesmith-testing-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    tokenizer = transformers.AutoTokenizer.from_pretrained(installed(_TOKENIZER), local_files_only=True)
    # one token ends turns and texts, as in most bases that chat
    tokenizer.eos_token = _END_OF_TURN
    config = transformers.MistralConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=4096,
        initializer_range=0.1,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    with seeded(0), quiet():
        transformers.MistralForCausalLM(config).save_pretrained(place)
    tokenizer.save_pretrained(place)
    return str(place)


def base_to_train() -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model as transformers loads it, with its tokenizer."""
    return deepcopy(_loaded().model), tokenizer_of_base()


def probed_base() -> tuple[PreTrainedModel, PreTrainedTokenizerBase, Probe]:
    """The same after a probe, and what that found."""
    model, found = deepcopy(_probed())
    return model, tokenizer_of_base(), replace(found, head=plain_head(model))


def tokenizer_of_base() -> PreTrainedTokenizerBase:
    """A tokenizer whose special tokens and template may be changed."""
    tokenizer = _loaded().tokenizer
    backend = tokenizer.backend_tokenizer  # its vocabulary takes ten times as long to copy as all else
    if backend.to_str() != _loaded().vocabulary:  # somebody added tokens to it
        _loaded.cache_clear()
        return tokenizer_of_base()
    copied: PreTrainedTokenizerBase = deepcopy(tokenizer, {id(backend): backend})
    return copied


class _Loaded(NamedTuple):
    model: PreTrainedModel
    tokenizer: Any
    vocabulary: str


@functools.cache
def _loaded() -> _Loaded:
    with quiet():
        model, tokenizer = load_base(tiny_base())
    return _Loaded(model, tokenizer, tokenizer.backend_tokenizer.to_str())


@functools.cache
def _probed() -> tuple[PreTrainedModel, Probe]:
    model = deepcopy(_loaded().model)
    fuse_norms(model)
    fuse_rotary(model)
    return model, probe(model)


@contextmanager
def quiet() -> Iterator[None]:
    """Context without progress bars, and without warnings of libraries about each other."""
    shown, level = transformers_logging.is_progress_bar_enabled(), transformers_logging.get_verbosity()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers_logging.set_verbosity(level)
        if shown:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
