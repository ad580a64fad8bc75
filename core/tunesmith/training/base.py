"""Loads the base model and its tokenizer: from the hub's cache, a directory, a package, or a GGUF file."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
from tunesmith.training.classes import check_order, known_classes, renew_head
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
    config: Mapping[str, Any] | None = None,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a model and its tokenizer. Weights come from safetensors or GGUF only; no code of the base is run.

    Args:
        base: What `model.base` says.
        options: The adapter's keyword arguments for `from_pretrained` (a quantisation; a `dtype` that wins).
        dtype: Format of the weights, and in which a quantised model computes.
        from_scratch: Take configuration and tokenizer only; weights are random, by torch's seed.
        model_class: Which head of transformers.
        revision: The commit of a hub id; the newest if None.
        config: What the base's config says otherwise (`id2label`). A head for classes that the base does not have, or
            that is of other classes, is drawn by torch's seed.

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
    changed = dict(config or {})
    if model_class == "classification":
        arguments["ignore_mismatched_sizes"] = True
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
            quantization.llm_int8_skip_modules = left_whole(_outline(place, files, model_class, changed))
        with _new_head(model_class):
            if from_scratch:
                model = _random(place, files, arguments["dtype"], model_class, changed)
            elif files.get("gguf_file"):
                model = _from_gguf(place, files, arguments | changed, model_class)
            else:
                model = _loaded(model_class, place, files | arguments | changed)
        if model_class == "classification":
            _fit_head(model, tokenizer, known_classes(_config(place, files)))
    except (OSError, ValueError, ImportError, KeyError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        msg = f"model.base: {base} cannot be loaded: {reason}\n{_advice(place, files)}"
        raise DataError(msg) from error
    for module in model.modules():
        # bitsandbytes repacks 4-bit weights in place in evaluation on some processors; gradients are wrong after it
        if hasattr(module, REPACKS):
            setattr(module, REPACKS, False)
    return model, tokenizer


def own_classes(base: str, revision: str | None = None) -> list[str]:
    """The classes that a base's own head knows, in order; none where it has no such head."""
    from tunesmith.recipe.package_fs import resolve

    return known_classes(_config(*locate(base, resolve(base), revision)))


def has_masked_head(base: str, revision: str | None = None) -> bool:
    """Whether transformers has a head for masked tokens over such a base, as it has over encoders."""
    from tunesmith.recipe.package_fs import resolve

    try:
        config = _config(*locate(base, resolve(base), revision))
    except (OSError, ValueError):  # loading it says what is wrong
        return True
    return type(config) in AutoModelForMaskedLM._model_mapping


@contextmanager
def _new_head(model_class: ModelClass) -> Iterator[None]:
    """Context in which weights that a base lacks are drawn by torch's seed, and not reported at length."""
    if model_class != "classification":
        yield
        return
    loading = logging.getLogger("transformers.modeling_utils")
    loading.addFilter(_is_no_report)
    try:
        with seeded(torch.initial_seed()):
            yield
    finally:
        loading.removeFilter(_is_no_report)


def _is_no_report(record: logging.LogRecord) -> bool:
    return "LOAD REPORT" not in str(record.msg)


def _loaded(model_class: ModelClass, place: str, arguments: dict[str, Any]) -> Any:
    """The model as transformers loads it; where tokens are not generated, the head alone may be new.

    Raises:
        DataError: Other weights are absent, which would be random.
    """
    load = _CLASSES[model_class].from_pretrained
    model, told = load(place, trust_remote_code=False, output_loading_info=True, **arguments)
    # a language model that a classifier's folder lacks the head of would answer at random, and say nothing of it
    body = "" if model_class == "causal" else f"{model.base_model_prefix}."
    if absent := sorted(name for name in told["missing_keys"] if name.startswith(body) and ".pooler." not in name):
        msg = f"model.base: {place} lacks {len(absent)} weights of {type(model).__name__}, first {absent[0]}"
        raise DataError(msg)
    return model


def _fit_head(model: Any, tokenizer: Any, known: list[str]) -> None:
    """Keep the base's own head where it is of these classes; let plain transformers find where padded texts end."""
    check_order(known, model.config.id2label)
    if known and known != [model.config.id2label[at] for at in sorted(model.config.id2label)]:
        with seeded(torch.initial_seed()):
            renew_head(model)
    text = model.config.get_text_config()
    if text.pad_token_id is None:
        text.pad_token_id = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id


def _from_gguf(place: str, files: dict[str, Any], arguments: dict[str, Any], model_class: ModelClass) -> Any:
    """Load a GGUF file as a plain model: its weights are unpacked to the wanted format."""
    if "quantization_config" in arguments:
        msg = "model.adapter: a GGUF base cannot be quantised while it loads; use LoRA, or a base in safetensors"
        raise RecipeError(msg)
    arguments = {key: value for key, value in arguments.items() if key != "use_safetensors"}
    if GgufConfig is not None:
        # newer versions may keep the weights packed, in layers that no adapter knows
        arguments["quantization_config"] = GgufConfig(dequantize=True)
    model = _loaded(model_class, place, files | arguments)
    # the weights are plain from here on; the note that they were GGUF would forbid to save them
    for owner, name in ((model.config, "quantization_config"), (model, "hf_quantizer"), (model, "quantization_method")):
        if hasattr(owner, name):
            delattr(owner, name)
    model.is_quantized = False
    for parameter in model.parameters():
        # not `model.to`, which would round the frequencies of the rotary positions too
        parameter.data = parameter.data.to(arguments["dtype"])
    return model


def _random(
    place: str, files: dict[str, Any], dtype: torch.dtype, model_class: ModelClass, changed: dict[str, Any]
) -> Any:
    with seeded(torch.initial_seed()):
        return _CLASSES[model_class].from_config(_config(place, files, changed), dtype=dtype)


def _outline(place: str, files: dict[str, Any], model_class: ModelClass, changed: dict[str, Any]) -> Any:
    """The model without its weights."""
    with torch.device("meta"):
        return _CLASSES[model_class].from_config(_config(place, files, changed))


def _config(place: str, files: dict[str, Any], changed: dict[str, Any] | None = None) -> Any:
    return AutoConfig.from_pretrained(place, trust_remote_code=False, **files, **(changed or {}))


def _advice(place: str, files: dict[str, Any]) -> str:
    if revision := files.get("revision"):
        return f"commit {revision} is wanted; {how_to_get(place, revision)}"
    if files:
        return f"looked in {place}; weights are read from safetensors or GGUF, never from pickled files"
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        return f"HF_HUB_OFFLINE is set, so that a hub id must be in the cache already; else use {FORMS}"
    return f"check the name and the connection, or use {FORMS}"
