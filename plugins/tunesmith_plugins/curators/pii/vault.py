"""The vault: what each replacement stands for, encrypted, to turn answers about placeholders back.

    python -m tunesmith_plugins.curators.pii.vault VAULT --key-file KEY FILE.jsonl > restored.jsonl

restores every text of each line of JSON whose `id` the vault knows (`predictions.jsonl`, what `prepare` writes). One
line of the vault is one row. A name comes back in its fullest form.
"""

import argparse
import base64
import importlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tunesmith import DataError, RecipeError, TunesmithError
from tunesmith_plugins.curators.pii.key import Key, need_key

_EXTRA = "vault: needs cryptography; pip install 'tunesmith[pii]'"
_FIRST = b"gAAAA"  # what each token of Fernet begins with: its version, and the first bytes of a time before 2106
VARIABLE = "TUNESMITH_ANONYMISE_KEY"


class Vault:
    """Writes a vault: as a context, which puts it in its place when all rows are in.

    Args:
        path: Where; one that is there is replaced.
        key: What it is encrypted with.
    """

    def __init__(self, path: Path, key: Key) -> None:
        self.path = path
        self._box = _box(key)
        # Every process of a run curates the same rows; each writes its own file, and the last stays.
        self._part = path.with_name(f".{path.name}.{os.getpid()}")

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.fdopen(os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
        if kind is None:
            self._part.replace(self.path)
        else:
            self._part.unlink(missing_ok=True)

    def add(self, row: str, replaced: Mapping[str, str]) -> None:
        """Note what the replacements of a row stand for."""
        self._file.write(self._box.encrypt(json.dumps([row, replaced]).encode("utf-8", "surrogatepass")) + b"\n")


def check_vault(path: Path) -> None:
    """Refuse to write over a file that is no vault.

    Raises:
        RecipeError: It is there, and something else.
    """
    if not path.exists():
        return
    first = None
    if path.is_file():
        with path.open("rb") as file:
            first = file.read(len(_FIRST))
    if first not in (_FIRST, b""):
        msg = f"vault is {path}, which is no vault and would be written over; name another file, or move it"
        raise RecipeError(msg)


def read_vault(path: Path, key: Key) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows' ids, each with what its replacements stand for.

    Raises:
        DataError: There is no vault, or it was made with another key.
    """
    box = _box(key)
    invalid = importlib.import_module("cryptography.fernet").InvalidToken
    try:
        with path.open("rb") as file:
            for line in file:
                row, replaced = json.loads(box.decrypt(line.strip()))
                yield row, replaced
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}"
        raise DataError(msg) from None
    except invalid:
        msg = f"{path} was made with another key, or is no vault"
        raise DataError(msg) from None


def restored(value: Any, replaced: Mapping[str, str]) -> Any:
    """A value with all its texts turned back.

    Args:
        value: A text, or lists and objects of texts.
        replaced: What each replacement stands for, as `read_vault` gives it for the row.
    """
    if isinstance(value, str):
        for new in sorted(replaced, key=len, reverse=True):
            value = value.replace(new, replaced[new])
        return value
    if isinstance(value, dict):
        return {key: restored(inner, replaced) for key, inner in value.items()}
    if isinstance(value, list):
        return [restored(inner, replaced) for inner in value]
    return value


def need_cryptography() -> None:
    """Raise RecipeError where the package is not installed."""
    if find_spec("cryptography") is None:
        raise RecipeError(_EXTRA)


def _box(key: Key) -> Any:
    need_cryptography()
    fernet = importlib.import_module("cryptography.fernet").Fernet
    return fernet(base64.urlsafe_b64encode(key.derived("vault")))


def main(words: list[str] | None = None) -> int:
    """Restore a file of JSON lines; exit code 0, or 2 where vault, key or file cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m tunesmith_plugins.curators.pii.vault", description="Turn replacements back."
    )
    parser.add_argument("vault", type=Path, help="the vault that Anonymise wrote")
    parser.add_argument("file", type=Path, help="JSON lines with an id each; what is restored goes to standard output")
    parser.add_argument("--key-file", type=Path, help=f"the key's file; without it, the variable {VARIABLE}")
    given = parser.parse_args(words)
    try:
        known = dict(read_vault(given.vault, need_key(given.key_file, VARIABLE, "a vault")))
        with given.file.open(encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                replaced = known.get(row.get("id"), {})
                body = {k: v if k in ("id", "origin") else restored(v, replaced) for k, v in row.items()}
                sys.stdout.write(json.dumps(body, ensure_ascii=False) + "\n")
    except (TunesmithError, OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
