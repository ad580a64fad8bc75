"""What a base is called by `from_pretrained`: a hub id, a folder, or a GGUF file in one. Loads no torch."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tunesmith.errors import DataError

FORMS = "a hub id, a path that begins with ./ ../ / or ~, or package://import_name/path (a directory or a GGUF file)"


def locate(base: str, found: Path | str, revision: str | None = None) -> tuple[str, dict[str, Any]]:
    """Return what `from_pretrained` calls the base, and the keyword arguments that go with it.

    Args:
        base: What `model.base` says.
        found: What `resolve` makes of it.
        revision: The commit of a hub id; None for the newest.

    Raises:
        DataError: It is there and no base.
    """
    if isinstance(found, str):
        return found, {} if revision is None else {"revision": revision}
    if found.is_file() and found.suffix == ".gguf":
        return str(found.parent), _gguf(base, found.name)
    if not found.is_dir():
        msg = f"model.base: {base} is a file, but no GGUF file ({found})\nuse {FORMS}"
        raise DataError(msg)
    if (found / "config.json").is_file():
        return str(found), {"local_files_only": True}
    names = sorted(path.name for path in found.glob("*.gguf"))
    if len(names) == 1:
        return str(found), _gguf(base, names[0])
    what = f"holds several GGUF files ({', '.join(names)}): name one" if names else "holds neither config.json nor GGUF"
    msg = f"model.base: {base} {what}\nlooked in {found}"
    raise DataError(msg)


def _gguf(base: str, name: str) -> dict[str, Any]:
    if find_spec("gguf") is None:
        msg = f"model.base: {base} is a GGUF file, which needs the package gguf: pip install 'tunesmith[gguf]'"
        raise DataError(msg)
    return {"gguf_file": name, "local_files_only": True}
