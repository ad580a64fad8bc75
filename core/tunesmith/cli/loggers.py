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
# Which options hold the name of a project and of a run in it, and what Lightning calls every project.
_NAMES = {"MLFlowLogger": ("experiment_name", "run_name"), "WandbLogger": ("project", "name")}
_LIGHTNINGS = "lightning_logs"


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
    """The parsed loggers with the run directory where they write into the run, and with its names.

    Args:
        named: What the parser made of `trainer.logger`: one logger, a list, true, false or nothing.
        directory: The run's, `runs/<recipe>/<time>`: a project is called as the recipe unless it has a name.
    """
    if isinstance(named, list):
        return [filled(one, directory) for one in named]
    if not hasattr(named, "clone"):
        return named
    spec = named.clone()
    options, kind = spec["init_args"], spec["class_path"].rpartition(".")[2]
    project, run = _NAMES.get(kind, ("", ""))
    named_outside = kind == "WandbLogger" and os.environ.get("WANDB_PROJECT")
    if project and options.get(project) in (None, _LIGHTNINGS) and not named_outside:
        options[project] = directory.parent.name
        options[run] = options.get(run) or directory.name
    if options.get("save_dir") != _HERE:
        return spec
    options["save_dir"] = str(directory)
    if kind == "MLFlowLogger":  # its folders of files are refused by MLflow 3
        options["tracking_uri"] = f"sqlite:///{directory.absolute() / 'mlflow.db'}"
        options["artifact_location"] = (directory.absolute() / "mlflow").as_uri()
    return spec
