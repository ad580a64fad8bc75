"""The logger behind a run's `metrics.csv`."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only


class MetricsFile(Logger):
    """Writes `metrics.csv`, one row a logged step; a resumed run goes on with the file of before.

    Lightning's own CSVLogger deletes the file of an earlier process, and with it the first half of the curve. What was
    written after the checkpoint that a run resumes from is written again, once.

    Args:
        directory: The run's.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._file = directory / "metrics.csv"
        self._columns: list[str] | None = None

    @property
    def name(self) -> str:
        """None: the run directory says it."""
        return ""

    @property
    def version(self) -> str:
        """None: the run directory says it."""
        return ""

    @property
    def save_dir(self) -> str:
        """The run directory, where callbacks put what they write."""
        return str(self._file.parent)

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: `config.yaml` holds the recipe."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Write one row, at once: a killed run keeps what it logged."""
        row = {"step": step or 0, **{name: _number(value) for name, value in metrics.items()}}
        if self._columns is None:
            self._begin([*row], int(row["step"]))
        assert self._columns is not None
        new = [name for name in row if name not in self._columns]
        if new:
            self._rewrite(self._rows(), [*self._columns, *new])
        with self._file.open("a", newline="") as file:
            csv.DictWriter(file, self._columns).writerow(row)

    def _begin(self, columns: list[str], step: int) -> None:
        """Keep what an earlier process wrote before this step."""
        earlier = [row for row in self._rows() if int(row["step"]) < step] if self._file.is_file() else []
        known = [*earlier[0]] if earlier else []
        self._rewrite(earlier, [*known, *(name for name in columns if name not in known)])

    def _rows(self) -> list[dict[str, str]]:
        with self._file.open(newline="") as file:
            return [row for row in csv.DictReader(file) if (row.get("step") or "").isdigit()]

    def _rewrite(self, rows: list[dict[str, str]], columns: list[str]) -> None:
        part = self._file.with_suffix(".csv.part")
        with part.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)
        part.replace(self._file)
        self._columns = columns


def _number(value: Any) -> float | int:
    number: float | int = value.item() if hasattr(value, "item") else value
    return number
