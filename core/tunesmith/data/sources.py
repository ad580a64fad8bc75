"""Where rows come from: the sources of a recipe, the files behind them, and what identifies their content."""

import glob
import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from tunesmith.data.hub import HUB, Hub
from tunesmith.data.matching import EndlessPatternError, matching
from tunesmith.data.read import Read, endings, file_ending, read_file
from tunesmith.data.rows import Row, canonical
from tunesmith.errors import AbsentDataError, DataError, RecipeError, RowError
from tunesmith.nearest import did_you_mean
from tunesmith.no_file import ABSENT, FOLDER, LINK, why_no_file
from tunesmith.plugins.interfaces import Formatter

PACKAGE = "package://"
SplitName = Literal["train", "validation", "test"]


@dataclass
class Source:
    """One source of rows.

    Args:
        path: A file, a pattern (`notes/*.jsonl`), a list of these, `package://import_name/file`, or a data set of the
            hub (`hf://owner/name?config=...&split=...&revision=...`). Endings: .jsonl, .ndjson, .json, .csv, .tsv, .txt
            (one row `{"text": line}` for each line that is not blank), .md and .html (one row of `text` and `title`),
            each also with .gz or .zst; .parquet, .pdf (a row of `text` and `page` for each page) and .docx (a row of
            `text` and `title` for each heading).
        formatter: Turns its rows into examples.
        map: Columns under the names that the formatter wants: `{prompt: question}` reads column `question` as `prompt`.
        split: All its rows belong to this split; without it they are split as `data.split` says.
        task: Name of the task of its rows, noted on each example and in the predictions that `test` writes.
        weight: How often its rows are trained on, beside those of weight 1: see `data.mixture`.
        about: Where the rows come from; said where a file of theirs is not there.
        licence: Under which licence they are used; for the data card.
        approved_by: Who approved their use for training; for the data card.
    """

    path: str | list[str]
    formatter: Formatter
    map: dict[str, str] | None = None
    split: SplitName | None = None
    task: str = ""
    weight: float = 1.0
    about: str = ""
    licence: str = ""
    approved_by: str = ""


class Opened:
    """A source whose files are known to be there.

    Args:
        name: Its name in the recipe.
        source: The source.
        most: How many entries of folders to look at for a pattern; None for all.

    Raises:
        AbsentDataError: Files are missing; holds all of them.
        EndlessPatternError: There are more entries.
        DataError: A file is a folder, is named twice or has an unknown ending.
    """

    def __init__(self, name: str, source: Source, most: int | None = None) -> None:
        self.name = name
        self._most = most
        self.key = f"data.sources.{name}.path"
        self.about = f"\n{source.about.strip()}" if source.about.strip() else ""
        self.parts: list[Path | Hub] = []
        missing: list[str] = []
        for path in [source.path] if isinstance(source.path, str) else source.path:
            if path.startswith(HUB):
                self.parts.append(Hub.parse(path, self.key, source.split))
                continue
            try:
                self.parts.extend(self._files(path))
            except AbsentDataError as error:
                missing += error.missing
        if missing:
            raise AbsentDataError(missing)
        if not self.parts:
            msg = f"{self.key} is empty; name a file, a pattern or a data set of the hub"
            raise DataError(msg)
        twice = next((part for part in self.parts if self.parts.count(part) > 1), None)
        if twice is not None:
            msg = f"{self.key} names {twice} twice; its rows would count double"
            raise DataError(msg)
        self._rows = hashlib.sha256()

    def read(self) -> Iterator[Read]:
        """All rows, file after file."""
        for part in self.parts:
            if isinstance(part, Path):
                yield from read_file(part)
                continue
            for row in part.read():
                if isinstance(row, Row):
                    self._rows.update(canonical(row.values).encode() + b"\n")
                yield row

    def first(self, most: int) -> Iterator[Read]:
        """The first rows, at most so many, spread evenly over the files and at least one of each."""
        each = max(1, most // len(self.parts))
        for part in self.parts:
            read = read_file(part) if isinstance(part, Path) else part.read()
            yield from islice(read, each)

    def no_rows(self) -> DataError:
        """What is wrong with a source without rows."""
        msg = f"{self.key}: no rows in {', '.join(map(str, self.parts))}"
        return DataError(msg)

    @property
    def is_local(self) -> bool:
        """Whether all its content lies here; a data set of the hub is known once it is read."""
        return all(isinstance(part, Path) for part in self.parts)

    def fingerprint(self) -> str:
        """SHA-256 over the files' bytes in order, wherever they lie; over the rows of a hub data set, once read."""
        total = hashlib.sha256()
        for part in self.parts:
            if isinstance(part, Path):
                with part.open("rb") as file:
                    total.update(hashlib.file_digest(file, "sha256").digest())
        total.update(self._rows.digest())
        return f"sha256:{total.hexdigest()}"

    def _files(self, path: str) -> list[Path]:
        # A name may hold brackets or question marks of its own, so a file that is there is no pattern.
        found = self._resolve(path)
        why = why_no_file(found)
        if not why:
            files = [found]
        elif why == FOLDER:
            msg = f"{self.key}: {found} is a folder; name its files, such as {found / '*.jsonl'}"
            raise DataError(msg)
        elif glob.has_magic(str(found)):
            files = self._matching(found)
            if not files:
                raise AbsentDataError([f"{self.key}: no file matches {found}{self.about}"])
        elif why in (ABSENT, LINK):
            raise AbsentDataError([self._missing(found, why)])
        else:
            msg = f"{self.key}: {found} {why}"
            raise DataError(msg)
        for file in files:
            self._check_ending(file)
        return files

    def _matching(self, pattern: Path) -> list[Path]:
        try:
            return matching(str(pattern), self._most)
        except EndlessPatternError as error:
            msg = f"{self.key}: {pattern} was not looked through: more than {self._most:,} files and folders lie there"
            raise EndlessPatternError(msg) from error

    def _resolve(self, path: str) -> Path:
        if path.startswith(PACKAGE):
            # Imported here: only recipes of installed packages need it.
            from tunesmith.recipe.package_fs import installed

            try:
                return installed(path)
            except RecipeError as error:
                raise AbsentDataError([f"{self.key}: {error}"]) from error
        if "://" in path:
            scheme = path.partition("://")[0]
            msg = f"{self.key}: {path}: {scheme}:// is not read; a file, {PACKAGE} or {HUB} is"
            raise DataError(msg)
        return Path(os.path.expanduser(path))  # noqa: PTH111  Path.expanduser raises where there is no home

    def _missing(self, path: Path, why: str) -> str:
        folder = path.parent
        if not folder.is_dir():
            return f"{self.key}: {path} {why}, nor does the folder {folder}{self.about}"
        names = [p.name for p in folder.iterdir() if p.is_file()]
        return f"{self.key}: {path} {why}{did_you_mean(path.name, names)}{self.about}"

    def _check_ending(self, file: Path) -> None:
        ending = file_ending(file)
        if ending not in endings():
            msg = f"{self.key}: {file} ends in {ending or 'nothing'}; files are read by ending: {', '.join(endings())}"
            raise DataError(msg)


def open_sources(sources: Mapping[str, Source]) -> dict[str, Opened]:
    """Open all sources, and find all files that are missing at once.

    Raises:
        AbsentDataError: Files are missing.
        DataError: A source cannot be used.
    """
    opened: dict[str, Opened] = {}
    missing: list[str] = []
    for name, source in sources.items():
        try:
            opened[name] = Opened(name, source)
        except AbsentDataError as error:
            missing += error.missing
    if missing:
        raise AbsentDataError(missing)
    return opened


def rename(row: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The row under the names that a formatter wants.

    Args:
        row: Columns as they were read.
        names: Wanted name to column (`data.sources.<name>.map`).

    Raises:
        RowError: A column is missing, or a wanted name is one that another column has.
    """
    missing = next((column for column in names.values() if column not in row), None)
    if missing is not None:
        raise RowError(missing, f"map names it, but it is not a column{did_you_mean(missing, row)}", row)
    moved = set(names.values())
    rest = {column: value for column, value in row.items() if column not in moved}
    clash = next((wanted for wanted in names if wanted in rest), None)
    if clash is not None:
        raise RowError(clash, f"is a column of its own, and map gives its name to {names[clash]}; map it elsewhere too")
    return {**{wanted: row[column] for wanted, column in names.items()}, **rest}
