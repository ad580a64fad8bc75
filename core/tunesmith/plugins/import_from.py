"""Imports a Python file under a name, whole or not at all."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


class NoPythonFileError(ImportError):
    """The file's name does not end as that of a module."""


def import_from(path: Path, name: str) -> ModuleType:
    """Import a file as the module `name`, which is not imported yet.

    Raises:
        NoPythonFileError: Its name does not end in .py. What the file itself raises comes through.
    """
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        msg = f"{path} is no Python file"
        raise NoPythonFileError(msg)
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
