"""What a model has answered and scored before: kept by weights, prompt and decoding, so that it is not made again.

A file holds what one model said under one way of decoding, a line of JSON each; prompts are there as hashes only. It is
written batch by batch, so that a killed `test` goes on where it was, and may be deleted at any time.
"""

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunesmith.data.identity import key_of

KEPT_DAYS = 30
_Said = list[Any]


@dataclass
class Known:
    """One such file.

    Args:
        folder: Where such files lie.
        model: What identifies the model: weights, precision, code.
        found: How much of what was asked for was there.
    """

    folder: Path
    model: str
    found: int = 0
    _files: dict[str, dict[str, _Said]] = field(default_factory=dict, init=False)

    def get(self, way: str, keys: Sequence[str]) -> dict[int, _Said]:
        """What is known of some inputs, by their places.

        Args:
            way: What else decides the result: how it is decoded.
            keys: Of the inputs, see `key_of`.
        """
        known = self._read(way)
        found = {at: known[key] for at, key in enumerate(keys) if key in known}
        self.found += len(found)
        return found

    def put(self, way: str, said: dict[str, _Said]) -> None:
        """Keep results by their keys; where nothing can be written, nothing is kept."""
        self._read(way).update(said)
        lines = "".join(json.dumps([key, value], ensure_ascii=True) + "\n" for key, value in said.items())
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._path(way).open("a", encoding="utf-8") as file:  # one write a batch: others may append too
                file.write(lines)

    def _read(self, way: str) -> dict[str, _Said]:
        if way not in self._files:
            found: dict[str, _Said] = {}
            with suppress(OSError):
                self._tidy()
                path = self._path(way)
                lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
                for line in lines:
                    with suppress(ValueError, TypeError):  # the last one of a killed process
                        key, value = json.loads(line)
                        found[key] = value
                if lines:
                    path.touch()
            self._files[way] = found
        return self._files[way]

    def _path(self, way: str) -> Path:
        return self.folder / f"{key_of(self.model, way)}.jsonl"

    def _tidy(self) -> None:
        """Take out what no run has read for some time."""
        for path in self.folder.glob("*.jsonl") if self.folder.is_dir() else ():
            if time.time() - path.stat().st_mtime > KEPT_DAYS * 86400:
                path.unlink(missing_ok=True)
