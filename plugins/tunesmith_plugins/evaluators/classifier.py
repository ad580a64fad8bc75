"""A transformer that puts texts, or pairs of them, into classes, from a folder on this machine."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tunesmith import RecipeError
from tunesmith_plugins.curators.embedding.encode import quiet, refusing

_WANTED = "name a folder with a sequence-classification model, its tokenizer and model.safetensors"
_HEAD = "ForSequenceClassification"
_OVERLAP = 4
_AT_ONCE = 16


def classes_of(folder: Path) -> list[str]:
    """The classes of a model, in the order of its outputs, in lower case; told by its files, without loading it.

    Raises:
        RecipeError: The folder holds no such model.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"model is {folder}, which has no config.json that can be read ({error}); {_WANTED}"
        raise RecipeError(msg) from error
    names = [str(name) for name in config.get("architectures") or []]
    if not any(name.endswith(_HEAD) for name in names):
        msg = f"model is {folder}, which holds {' and '.join(names) or 'no known model'}; {_WANTED}"
        raise RecipeError(msg)
    if not any(folder.glob("model*.safetensors")):
        msg = f"model is {folder}, which has no model.safetensors (weights in other formats can run code); {_WANTED}"
        raise RecipeError(msg)
    labels = config.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}
    return [str(labels[key]).lower() for key in sorted(labels, key=int)]


class Classifier:
    """The model, loaded. Texts and pairs go through it one at a time, so that a result does not depend on others.

    Args:
        folder: Of the model.

    Raises:
        RecipeError: It cannot be loaded.
    """

    def __init__(self, folder: Path) -> None:
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        where: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        with refusing(folder), quiet(), torch.random.fork_rng(devices=[]):  # weights that are absent are drawn
            self._tokenizer = AutoTokenizer.from_pretrained(folder, **where)
            self._model, told = AutoModelForSequenceClassification.from_pretrained(
                folder, use_safetensors=True, dtype=torch.float32, output_loading_info=True, **where
            )
        if absent := sorted(told["missing_keys"]):
            msg = f"model is {folder}, whose weights lack {', '.join(absent[:3])}; {_WANTED}"
            raise RecipeError(msg)
        self._model.eval()
        places = getattr(self._model.config, "max_position_embeddings", None) or 512
        self._most = min(self._tokenizer.model_max_length, places)

    def probabilities(self, first: str, second: str) -> list[list[float]]:
        """Probability of each class for a pair of texts, for each window of the first that the model can read.

        A second text that takes more than half of what the model reads is cut.
        """
        second = self._cut(second)
        overlap = max(0, self._most // _OVERLAP - len(self._ids(second)))
        tokens = self._tokenizer(
            [first],
            [second],
            truncation="only_first",
            max_length=self._most,
            stride=overlap,
            return_overflowing_tokens=True,
            padding=True,
            return_tensors="pt",
        )
        return self._judged(tokens)

    def of_text(self, text: str) -> list[list[float]]:
        """Probability of each class for a text, for each window of it that the model can read.

        Each for itself where classes do not exclude each other (`multi_label_classification` in the config, or one is
        in another, as `severe_toxic` of Jigsaw's six is in `toxic`), or where there is one output alone; the output as
        it is where the model was trained to give a number (`regression`).
        """
        tokens = self._tokenizer(
            [text],
            truncation=True,
            max_length=self._most,
            stride=self._most // _OVERLAP,
            return_overflowing_tokens=True,
            padding=True,
            return_tensors="pt",
        )
        return self._judged(tokens)

    def _judged(self, tokens: Any) -> list[list[float]]:
        import torch

        tokens.pop("overflow_to_sample_mapping", None)
        config, found = self._model.config, []
        names = {str(name).lower() for name in config.id2label.values()}
        apart = config.problem_type == "multi_label_classification" or config.num_labels == 1
        apart |= config.problem_type is None and any(f"severe_{name}" in names for name in names)
        numbers = config.problem_type == "regression"
        for at in range(0, len(tokens["input_ids"]), _AT_ONCE):
            with torch.inference_mode():
                logits = self._model(**{name: value[at : at + _AT_ONCE] for name, value in tokens.items()}).logits
            scores = logits.double()
            found += (scores if numbers else scores.sigmoid() if apart else scores.softmax(-1)).tolist()
        return found

    def _ids(self, text: str) -> Sequence[int]:
        ids: Sequence[int] = self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return ids

    def _cut(self, text: str) -> str:
        while (number := len(self._ids(text))) > (room := self._most // 2):
            text = text[: min(len(text) - 1, len(text) * room // number)]
        return text
