"""Data sets of the hub, through `datasets`, which the extra `hub` installs."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from tunesmith.data.rows import Reject, Row, plain
from tunesmith.errors import DataError, RowError
from tunesmith.nearest import did_you_mean

HUB = "hf://"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)
_OPTIONS = ("config", "split", "revision")


@dataclass(frozen=True)
class Hub:
    """A data set of the hub: `hf://owner/name`, with `?config=`, `&split=`, `&revision=` where needed.

    Args:
        name: Owner and name.
        key: The recipe's key, for messages.
        split: Which of its splits is read.
        config: Its configuration (subset), where it has several.
        revision: Branch, tag or commit.
    """

    name: str
    key: str
    split: str
    config: str | None = None
    revision: str | None = None

    @classmethod
    def parse(cls, path: str, key: str, split: str | None) -> "Hub":
        """Read a path; the hub's split is the one it names, else the source's own, else `train`.

        Raises:
            DataError: No name, an unknown option, or the package `datasets` is not installed.
        """
        name, _, query = path.removeprefix(HUB).partition("?")
        name = name.removeprefix("datasets/")
        options = dict(parse_qsl(query))
        unknown = next((option for option in options if option not in _OPTIONS), None)
        if unknown is not None:
            msg = (
                f"{key}: {path}: {unknown} is not an option of {HUB}{did_you_mean(unknown, _OPTIONS)}; "
                f"options are {', '.join(_OPTIONS)}"
            )
            raise DataError(msg)
        if not name:
            msg = f"{key}: {path} names no data set; wanted: {HUB}owner/name"
            raise DataError(msg)
        if not _NAME.fullmatch(name) or Path(name).exists():
            # `datasets` would read a folder of that name in its place.
            why = "a folder or file here has that name" if Path(name).exists() else "it is no name of a data set"
            msg = f"{key}: {path}: {why}; wanted: {HUB}owner/name"
            raise DataError(msg)
        if find_spec("datasets") is None:
            msg = f'{key}: {path} needs the package datasets: pip install "tunesmith[hub]"'
            raise DataError(msg)
        return cls(name, key, options.get("split") or split or "train", options.get("config"), options.get("revision"))

    def __str__(self) -> str:
        options = [f"{name}={value}" for name in _OPTIONS if (value := getattr(self, name)) is not None]
        return f"{HUB}{self.name}?{'&'.join(options)}"

    def read(self) -> Iterator[Row | Reject]:
        """Rows, numbered from 1 in the data set's order.

        Raises:
            DataError: The data set cannot be had (unknown, no access, offline and not in the cache).
        """
        for number, values in enumerate(self._load(), 1):
            try:
                yield Row(str(self), number, plain(values, missing_nan=True))
            except RowError as error:
                yield Reject(str(self), number, error.field, error.reason, dict(values))

    def _load(self) -> Any:
        import datasets

        try:
            return datasets.load_dataset(self.name, name=self.config, split=self.split, revision=self.revision)
        except Exception as error:
            # datasets raises many classes for one thing: it is not to be had. Its first line says which.
            reason = (str(error) or type(error).__name__).partition("\n")[0]
            msg = (
                f"{self.key}: {self} cannot be loaded: {reason}\n"
                "check name, config and split; a gated one needs `hf auth login`; offline it must be in the cache"
            )
            raise DataError(msg) from error
