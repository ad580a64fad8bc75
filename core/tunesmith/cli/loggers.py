"""Lightning's loggers, as a recipe names them: where it does not say where they write, they write into the run."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Which option says where a logger writes; an empty text there means the run directory, which only `fit` knows.
_PLACE = {
    "CSVLogger": ("save_dir",),
    "TensorBoardLogger": ("save_dir",),
    "WandbLogger": ("save_dir", "dir"),
    "MLFlowLogger": ("save_dir", "tracking_uri"),
}
_HERE = ""


def place(trainer: Any) -> None:
    """Let the loggers of a recipe that name no place of their own write into the run; changes the recipe's map.

    Args:
        trainer: The recipe's `trainer`, before it is checked.
    """
    if isinstance(trainer, dict) and (named := trainer.get("logger")) is not None:
        trainer["logger"] = [_placed(one) for one in named] if isinstance(named, list) else _placed(named)


def _placed(named: Any) -> Any:
    spec = {"class_path": named} if isinstance(named, str) else named
    path = spec.get("class_path") if isinstance(spec, Mapping) else None
    name = path.rpartition(".")[2] if isinstance(path, str) else ""
    options = spec.get("init_args", {}) if name in _PLACE else None
    if not isinstance(options, Mapping) or any(key in options for key in _PLACE[name]):
        return named
    if name == "MLFlowLogger" and os.environ.get("MLFLOW_TRACKING_URI"):
        return named
    return {**spec, "init_args": {**options, "save_dir": _HERE}}


def filled(named: Any, directory: Path) -> Any:
    """The parsed loggers with the run directory where they write into the run.

    Args:
        named: What the parser made of `trainer.logger`: one logger, a list, true, false or nothing.
        directory: The run's.
    """
    if isinstance(named, list):
        return [filled(one, directory) for one in named]
    if not hasattr(named, "clone") or named["init_args"].get("save_dir") != _HERE:
        return named
    spec = named.clone()
    spec["init_args"]["save_dir"] = str(directory)
    if spec["class_path"].endswith(".MLFlowLogger"):  # its folders of files are refused by MLflow 3
        spec["init_args"]["tracking_uri"] = f"sqlite:///{directory.absolute() / 'mlflow.db'}"
        spec["init_args"]["artifact_location"] = (directory.absolute() / "mlflow").as_uri()
    return spec
