"""Loads the base model and its tokenizer: from the hub's cache, a directory, a package, or a GGUF file."""

import logging
import os
from typing import Any, Literal

import torch
import transformers
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from tunesmith.errors import DataError, RecipeError
from tunesmith.training.base_place import FORMS, locate
from tunesmith.training.hub_commit import how_to_get
from tunesmith.training.packed import left_whole
from tunesmith.training.randomness import seeded

ModelClass = Literal["causal", "masked", "classification"]

_CLASSES: dict[ModelClass, Any] = {
    "causal": AutoModelForCausalLM,
    "masked": AutoModelForMaskedLM,
    "classification": AutoModelForSequenceClassification,
}
# bitsandbytes' switch for repacking 4-bit weights in evaluation, which corrupts later gradients (trap 43)
REPACKS = "support_avx512bf16_for_cpu"
GgufConfig = getattr(transformers, "GgufConfig", None)


def load_base(
    base: str,
    *,
    options: dict[str, Any] | None = None,
    dtype: torch.dtype = torch.float32,
    from_scratch: bool = False,
    model_class: ModelClass = "causal",
    revision: str | None = None,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a model and its tokenizer. Weights come from safetensors or GGUF only; no code of the base is run.

    Args:
        base: What `model.base` says.
        options: The adapter's keyword arguments for `from_pretrained` (a quantisation; a `dtype` that wins).
        dtype: Format of the weights, and in which a quantised model computes.
        from_scratch: Take configuration and tokenizer only; weights are random, by torch's seed.
        model_class: Which head of transformers.
        revision: The commit of a hub id; the newest if None.

    Raises:
        DataError: The base is missing or cannot be read.
        RecipeError: The options do not fit together.
    """
    from tunesmith.recipe.package_fs import resolve

    # it warns at import that an optional kernel, which nobody asked for, is not installed
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    # it warns where nothing is packed, in words of another method; an adapter that packs says so itself
    logging.getLogger("transformers.integrations.bitsandbytes").setLevel(logging.ERROR)
    place, files = locate(base, resolve(base), revision)
    arguments: dict[str, Any] = {"dtype": dtype, "use_safetensors": True} | (options or {})
    quantization = arguments.get("quantization_config")
    if quantization is not None and from_scratch:
        msg = "model.from_scratch: random weights cannot be quantised; use an adapter that trains full weights"
        raise RecipeError(msg)
    if quantization is not None and hasattr(quantization, "bnb_4bit_compute_dtype"):
        quantization.bnb_4bit_compute_dtype = arguments["dtype"]
        device = int(os.environ.get("LOCAL_RANK", "0")) if torch.cuda.is_available() else "cpu"
        arguments["device_map"] = {"": device}
    try:
        tokenizer = AutoTokenizer.from_pretrained(place, trust_remote_code=False, **files)
        if quantization is not None and "device_map" in arguments and not files.get("gguf_file"):
            quantization.llm_int8_skip_modules = left_whole(_outline(place, files, model_class))
        if from_scratch:
            model = _random(place, files, arguments["dtype"], model_class)
        elif files.get("gguf_file"):
            model = _from_gguf(place, files, arguments, model_class)
        else:
            model = _CLASSES[model_class].from_pretrained(place, trust_remote_code=False, **files, **arguments)
    except (OSError, ValueError, ImportError, KeyError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        msg = f"model.base: {base} cannot be loaded: {reason}\n{_advice(place, files)}"
        raise DataError(msg) from error
    for module in model.modules():
        # bitsandbytes repacks 4-bit weights in place in evaluation on some processors; gradients are wrong after it
        if hasattr(module, REPACKS):
            setattr(module, REPACKS, False)
    return model, tokenizer


def _from_gguf(place: str, files: dict[str, Any], arguments: dict[str, Any], model_class: ModelClass) -> Any:
    """Load a GGUF file as a plain model: its weights are unpacked to the wanted format."""
    if "quantization_config" in arguments:
        msg = "model.adapter: a GGUF base cannot be quantised while it loads; use LoRA, or a base in safetensors"
        raise RecipeError(msg)
    arguments = {key: value for key, value in arguments.items() if key != "use_safetensors"}
    if GgufConfig is not None:
        # newer versions may keep the weights packed, in layers that no adapter knows
        arguments["quantization_config"] = GgufConfig(dequantize=True)
    model = _CLASSES[model_class].from_pretrained(place, trust_remote_code=False, **files, **arguments)
    # the weights are plain from here on; the note that they were GGUF would forbid to save them
    for owner, name in ((model.config, "quantization_config"), (model, "hf_quantizer"), (model, "quantization_method")):
        if hasattr(owner, name):
            delattr(owner, name)
    model.is_quantized = False
    for parameter in model.parameters():
        # not `model.to`, which would round the frequencies of the rotary positions too
        parameter.data = parameter.data.to(arguments["dtype"])
    return model


def _random(place: str, files: dict[str, Any], dtype: torch.dtype, model_class: ModelClass) -> Any:
    config = AutoConfig.from_pretrained(place, trust_remote_code=False, **files)
    with seeded(torch.initial_seed()):
        return _CLASSES[model_class].from_config(config, dtype=dtype)


def _outline(place: str, files: dict[str, Any], model_class: ModelClass) -> Any:
    """The model without its weights."""
    config = AutoConfig.from_pretrained(place, trust_remote_code=False, **files)
    with torch.device("meta"):
        return _CLASSES[model_class].from_config(config)


def _advice(place: str, files: dict[str, Any]) -> str:
    if revision := files.get("revision"):
        return f"commit {revision} is wanted; {how_to_get(place, revision)}"
    if files:
        return f"looked in {place}; weights are read from safetensors or GGUF, never from pickled files"
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        return f"HF_HUB_OFFLINE is set, so that a hub id must be in the cache already; else use {FORMS}"
    return f"check the name and the connection, or use {FORMS}"
