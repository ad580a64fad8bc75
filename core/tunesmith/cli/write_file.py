"""Writes a file that a verb was asked for."""

from pathlib import Path

from tunesmith.errors import RecipeError


def write_new(target: Path, text: str, force: bool) -> None:
    """Write a text where nothing is yet.

    Raises:
        RecipeError: Something is, and `force` is not given; or the place cannot be written to.
    """
    if target.exists() and not force:
        msg = f"{target} is there already; another name, or --force to overwrite it"
        raise RecipeError(msg)
    write_file(target, text)


def write_file(target: Path, text: str) -> None:
    """Write a text, with the folders that it needs.

    Raises:
        RecipeError: The place cannot be written to.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        msg = f"{target} cannot be written: {error.strerror}"
        raise RecipeError(msg) from error
