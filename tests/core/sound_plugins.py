"""Plugins that do what is rarely done and allowed: the kit must pass them."""

import os
import sqlite3
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from tunesmith import AbsentPackageError, Evaluator, Measure, Sample


class KeepsATable(Evaluator):
    """Counts words, by a table that is made once.

    Args:
        limit: The most.
    """

    def __init__(self, limit: int = 9) -> None:
        self.limit = limit
        self._table: dict[int, float] = {}

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        self._table = self._table or {number: float(min(self.limit, number)) for number in range(4000)}
        return [Measure("words", [self._table[len(s.output.split())] for s in samples])]


class GivesOptionsOn(KeepsATable):
    """Counts words, or letters.

    Args:
        letters: Count letters.
    """

    def __init__(self, letters: bool = False, **more: Any) -> None:
        super().__init__(**more)
        self.letters = letters


class WritesForAWhile(Evaluator):
    """Counts words in files of the module tempfile, by another program, and by a database."""

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        texts = sorted({s.output for s in samples})
        with tempfile.TemporaryDirectory() as folder, closing(sqlite3.connect(":memory:")) as database:
            inner = Path(folder) / "inner"
            inner.mkdir()
            (inner / "texts").write_text("\n".join(texts), encoding="utf-8", errors="replace")
            (inner / "texts").rename(inner / "words")
            with closing(sqlite3.connect(inner / "words.db")) as kept:
                kept.execute("create table words (number int)")
            subprocess.run(["touch", "numbers"], cwd=inner, check=True)
            os.utime(inner / "numbers", (0, 0))
            database.execute("create table words (number int)")
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("words")
        return [Measure("words", [float(len(s.output.split())) for s in samples])]


class FillsTheCachesOfLibraries(Evaluator):
    """Counts words, and keeps what libraries would keep where they keep it."""

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        for name in ("HF_HOME", "TORCHINDUCTOR_CACHE_DIR", "MPLCONFIGDIR"):
            with suppress(OSError):  # where there is no such folder yet
                kept = Path(os.environ.get(name, "no folder")) / "tunesmith-tests-this"
                kept.write_text("words", encoding="utf-8")
                kept.unlink()
        return [Measure("words", [float(len(s.output.split())) for s in samples])]


class NeedsAPackage(KeepsATable):
    """Counts words by a package that is not there."""

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        try:
            import a_package_that_is_not_there
        except ImportError as error:
            msg = "limit needs a-package, which is not installed: pip install 'acme[words]'"
            raise AbsentPackageError(msg) from error
        return a_package_that_is_not_there.measure(samples)  # type: ignore[no-any-return]
