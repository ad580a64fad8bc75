"""The secret behind surrogates and shifted dates; it lies in a file or in the environment, never in a recipe."""

import hashlib
import hmac
import os
from pathlib import Path

from tunesmith import RecipeError

_LEAST = 16
_MAKE = 'python -c "import secrets; print(secrets.token_hex(32))" > anonymise.key'


class Key:
    """Numbers that only who has the secret can tell.

    Args:
        secret: It.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def number(self, *parts: str) -> int:
        """A number of 256 bits for some texts; no two lists of texts share one."""
        made = hmac.new(self._secret, digestmod=hashlib.sha256)
        for part in parts:
            data = part.encode("utf-8", "surrogatepass")
            made.update(len(data).to_bytes(8, "big") + data)
        return int.from_bytes(made.digest(), "big")

    def derived(self, purpose: str) -> bytes:
        """32 bytes for another purpose, which do not tell the secret."""
        return self.number(purpose).to_bytes(32, "big")


def find_key(file: Path | None, variable: str) -> Key | None:
    """The key of a file, or of the environment where no file is named; None where there is neither.

    Args:
        file: A file that holds the key and nothing else.
        variable: A variable of the environment that holds it.

    Raises:
        RecipeError: The file cannot be read, or the key is short enough to be guessed.
    """
    if file is not None:
        try:
            secret = file.read_bytes().strip()
        except OSError as error:
            msg = f"key_file: {file} cannot be read ({error.strerror}); make one: {_MAKE}"
            raise RecipeError(msg) from None
        where = f"key_file: {file}"
    else:
        secret, where = os.environ.get(variable, "").strip().encode(), f"key_env: {variable}"
        if not secret:
            return None
    if len(secret) < _LEAST:
        msg = f"{where} holds {len(secret)} characters; a key has at least {_LEAST}, or it can be guessed: {_MAKE}"
        raise RecipeError(msg)
    return Key(secret)


def need_key(file: Path | None, variable: str, why: str) -> Key:
    """The key, where something cannot be without one.

    Raises:
        RecipeError: There is none; says why one is needed, and how to make it.
    """
    key = find_key(file, variable)
    if key is None:
        msg = (
            f"{why} needs a key, or who knows a name could look up what became of it; none is in key_file or in "
            f"${variable}\n"
            f"make one and keep it away from data and recipe: {_MAKE}\n"
            "then set key_file: anonymise.key; replace: placeholders with dates: placeholder or year needs none"
        )
        raise RecipeError(msg)
    return key
