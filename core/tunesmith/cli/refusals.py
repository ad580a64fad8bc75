"""What Lightning refuses becomes a message about the recipe; what it merely runs into stays a traceback."""

import re
import traceback
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import PurePath
from typing import Any

from jsonargparse import ArgumentError
from lightning.fabric.utilities.exceptions import MisconfigurationException

from tunesmith.errors import RecipeError, TunesmithError
from tunesmith.recipe.compose import Recipe
from tunesmith.recipe.paths import is_address

# Logger, the packages of which it needs one, and our extra that brings it.
_LOGGERS = {
    "WandbLogger": (("wandb",), "wandb"),
    "MLFlowLogger": (("mlflow", "mlflow_skinny"), "mlflow"),
    "TensorBoardLogger": (("tensorboard", "tensorboardX"), "tensorboard"),
}


@contextmanager
def refusals(options: Collection[str]) -> Iterator[None]:
    """Turn Lightning's own complaints into messages.

    Args:
        options: The Trainer's, one of which is probably the key that is wrong.

    Raises:
        RecipeError: Lightning says that the Trainer is misconfigured; holds its sentence.
    """
    try:
        yield
    except TunesmithError:
        raise
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        if not _is_refusal(error):
            raise
        raise RecipeError(refused(error, options)) from error


@contextmanager
def making(options: Collection[str]) -> Iterator[None]:
    """Turn what a Trainer's constructor complains about into a message.

    Args:
        options: The Trainer's, one of which is probably the key that is wrong.

    Raises:
        RecipeError: Holds Lightning's sentence.
    """
    try:
        yield
    except (ArgumentError, MisconfigurationException, ImportError, ValueError, TypeError) as error:
        raise RecipeError(refused(error, options)) from error


def refused(error: Exception, options: Collection[str]) -> str:
    """Lightning's sentence behind the key that it names, or behind `trainer`."""
    text = " ".join(str(error).split())
    named = [option for option in options if "_" in option and re.search(rf"\b{option}\b", text)]
    return f"trainer{f'.{named[0]}' if len(named) == 1 else ''}: {text}"


def _is_refusal(error: Exception) -> bool:
    """Whether Lightning itself raised it: an error inside of a plugin, torch or Tunesmith is no one's recipe."""
    if isinstance(error, MisconfigurationException):
        return True
    frames = traceback.extract_tb(error.__traceback__)
    folders = PurePath(frames[-1].filename).parts if frames else ()
    # callbacks (EarlyStopping) complain by RuntimeError, which elsewhere is no complaint
    return "lightning" in folders and (isinstance(error, ValueError) or "callbacks" in folders)


def check_loggers(checked: Mapping[str, Any], recipe: Recipe) -> None:
    """Find a logger whose package is absent, which its constructor would say in words of its own.

    Raises:
        RecipeError: Names the logger and what to install.
    """
    named = (checked.get("trainer") or {}).get("logger")
    for logger in named if isinstance(named, list) else [named]:
        path = logger.get("class_path", "") if isinstance(logger, Mapping) else logger
        name = path.rpartition(".")[2] if isinstance(path, str) else ""
        packages, extra = _LOGGERS.get(name, ((), ""))
        if packages and not any(map(find_spec, packages)):
            where = recipe.origin("trainer.logger")
            msg = f'{where}: trainer.logger: {name} needs {packages[0]}: pip install "tunesmith[{extra}]"'
            raise RecipeError(msg)


def check_folder(checked: Mapping[str, Any], recipe: Recipe) -> None:
    """Refuse an address as the place of runs: Lightning would write there, what we write would lie in a folder `file:`.

    Raises:
        RecipeError: `trainer.default_root_dir` is an address, or a text that is no path.
    """
    given = str((checked.get("trainer") or {}).get("default_root_dir") or "")
    if is_address(given) or "\0" in given:
        where = recipe.origin("trainer.default_root_dir")
        msg = f"{where}: trainer.default_root_dir is {given!r}, which is no folder; give one, as runs/mine"
        raise RecipeError(msg)


def check_precision(checked: Mapping[str, Any], recipe: Recipe) -> None:
    """Refuse Lightning's precision: training alone would follow it, while `test` and `predict` follow the model's.

    Raises:
        RecipeError: `trainer.precision` is set.
    """
    given = (checked.get("trainer") or {}).get("precision")
    if given is not None:
        where = recipe.origin("trainer.precision")
        msg = f"{where}: trainer.precision is {given}; say it once for all verbs: model.precision (auto, bf16 or fp32)"
        raise RecipeError(msg)
