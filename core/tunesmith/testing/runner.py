"""Runs the real command in this process, in a folder with rows and a recipe."""

import importlib
import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import yaml

from tunesmith.cli.main import TRAINER_VERBS, main
from tunesmith.testing.outcome import Outcome, look
from tunesmith.testing.tiny import merged, write_rows

if TYPE_CHECKING:
    import pytest

_NAME = "recipe"
_RUN = re.compile(r"^run (.+)$", re.MULTILINE)


class Said(Protocol):
    """What was printed, as pytest's `capsys.readouterr()` gives it."""

    @property
    def out(self) -> str:
        """Standard output."""

    @property
    def err(self) -> str:
        """Standard error."""


@contextmanager
def isolated(folder: Path, patch: "pytest.MonkeyPatch") -> Iterator[None]:
    """Let commands run in a folder, at 80 columns, and leave the process as it was before.

    A command sets variables for the processes that it starts, and seals jsonargparse, which then imports nothing more:
    both would hold for all tests that come after it.

    Args:
        folder: The working directory.
        patch: The test's own, which must change back last where the test changes the directory too.
    """
    environment = dict(os.environ)
    settings = importlib.import_module("jsonargparse._common").parsing_settings
    patch.setitem(settings, "import_path_verdicts", dict(settings["import_path_verdicts"]))
    patch.chdir(folder)
    os.environ["COLUMNS"] = "80"
    os.environ.pop("TUNESMITH_RUN_DIRECTORY", None)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(environment)


@dataclass
class RecipeRunner:
    """A folder with rows and a recipe, in which the command runs.

    Since 0.7.

    Args:
        folder: The folder, which is the working directory.
        default: The recipe that `recipe` changes.
        read: Gives what was printed since it was last asked.
    """

    folder: Path
    default: Mapping[str, Any]
    read: Callable[[], Said]

    def rows(self, rows: Iterable[Mapping[str, Any]]) -> Path:
        """Write the rows that the recipe reads, `rows.jsonl`; returns the file."""
        return write_rows(self.folder / "rows.jsonl", rows)

    def recipe(self, **changes: Any) -> Path:
        """Write `recipe.yaml`: the tiny default with these changes; returns the file.

        Args:
            **changes: Top-level keys. Maps are merged key by key, all else is replaced, None removes; a class that is
                named replaces the former one with its options.
        """
        path = self.folder / f"{_NAME}.yaml"
        path.write_text(yaml.safe_dump(merged(self.default, changes), sort_keys=False), encoding="utf-8")
        return path

    def run(self, verb: str, *words: str) -> Outcome:
        """Run `lightning-cli VERB --config recipe.yaml ...` here, whatever its exit code.

        Args:
            verb: `fit`, `test`, `prepare`, `audit`, ...; `plugins` and `recipes` take no `--config`.
            *words: Further words of the command line; with a `--config` of yours, none is added.
        """
        given = _configs(words)
        config = ["--config", f"{_NAME}.yaml"] if verb in TRAINER_VERBS and not given else []
        before = self._runs()
        with warnings.catch_warnings():
            # bitsandbytes has torch load its compiler, which uses what torch itself is giving up
            warnings.filterwarnings("ignore", message=r"`torch\.jit\.", category=DeprecationWarning)
            code = main([verb, *config, *words])
        said = self.read()
        made = [run for run in self._runs() if run not in before]
        run = made[-1] if made else self._named(said.out)
        return look(Outcome(code, said.out, said.err, run), verb, self.folder / "runs" / Path([*given, _NAME][0]).stem)

    def done(self, verb: str, *words: str, code: int = 0) -> Outcome:
        """As `run`, and insist on the exit code; where it is another, what was printed is shown."""
        outcome = self.run(verb, *words)
        assert outcome.code == code, f"exit {outcome.code}, not {code}\n{outcome.out}\n{outcome.err}"
        return outcome

    def _runs(self) -> list[Path]:
        return sorted(lock.parent for lock in self.folder.glob("runs/*/*/lock.json"))

    def _named(self, out: str) -> Path | None:
        """The run that the verbs which judge print first."""
        named = _RUN.search(out)
        return self.folder / named[1].strip() if named else None


def _configs(words: Sequence[str]) -> list[str]:
    """The recipes that a command line names."""
    after = [word for option, word in pairwise(words) if option == "--config"]
    return after + [word.partition("=")[2] for word in words if word.startswith("--config=")]
