"""Logged outputs as audits see them: samples, and examples that hold what was said."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tunesmith.data.example import Example, Message, Origin
from tunesmith.data.read import read_file
from tunesmith.data.rows import Reject
from tunesmith.errors import DataError, RowError
from tunesmith.evaluation.log_rows import LogRow, log_row
from tunesmith.evaluation.measure import Sample
from tunesmith.evaluation.subject import AuditSubject
from tunesmith.plugins.interfaces import Evaluator

SPLIT = "logged"
"""The name of the split that logged outputs are examples of."""


@dataclass(frozen=True, slots=True)
class Logs:
    """What was logged, in the file's order.

    Args:
        samples: What was answered.
        examples: The same as examples: the answer is their last turn. One for each sample.
        times: When, in seconds since 1970; nan where a row does not say.
        rejects: Rows that could not be read.
        evaluators: The recipe's, for audits that compare what they measure; asked where all rows have a reference.
    """

    samples: Sequence[Sample]
    examples: Sequence[Example]
    times: Sequence[float]
    rejects: Sequence[Reject] = ()
    evaluators: Mapping[str, Evaluator] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.samples)

    def at(self, rows: Iterable[int]) -> Self:
        """Some of the rows, in that order; none of them was set aside."""
        held = list(rows)
        return type(self)(
            [self.samples[i] for i in held],
            [self.examples[i] for i in held],
            [self.times[i] for i in held],
            evaluators=self.evaluators,
        )

    @property
    def subject(self) -> AuditSubject:
        """What audits look at: their examples are what was logged."""
        judged = self.evaluators if all(sample.reference for sample in self.samples) else {}
        return AuditSubject({SPLIT: self.examples}, None, self.samples, evaluators=judged)


def read_logs(
    path: Path, model: str = "tuned", *, classes: bool = False, evaluators: Mapping[str, Evaluator] | None = None
) -> Logs:
    """Read a log in any format that rows are read from (JSONL, JSON, CSV, Parquet, also packed).

    Rows that cannot be read are set aside with file, line, field and reason.

    Args:
        path: The file.
        model: Whose answer is taken where a row holds several models'.
        classes: Whether answers are classes: they then are the labels of the examples too.
        evaluators: The recipe's.

    Raises:
        DataError: The file is not there or cannot be read, or no row of it.
    """
    if not path.is_file():
        msg = f"{path} is no file"
        raise DataError(msg)
    samples: list[Sample] = []
    examples: list[Example] = []
    times: list[float] = []
    rejects: list[Reject] = []
    taken: set[str] = set()
    for read in read_file(path):
        if isinstance(read, Reject):
            rejects.append(read)
            continue
        try:
            row = log_row(read.values, model)
        except RowError as error:
            rejects.append(Reject(read.file, read.line, error.field, error.reason, columns=error.columns))
            continue
        origin = Origin("outputs", path.name, read.line)
        name = row.id if row.id and row.id not in taken else f"{path.name}:{read.line}"
        taken.add(name)
        samples.append(_sample(row, name, model))
        examples.append(_example(row, name, origin, classes))
        times.append(row.time)
    if rejects and not samples:
        first = "\n".join(f"  {reject.told()}" for reject in rejects[:3])
        msg = f"no row of {path} can be read as a logged answer:\n{first}"
        raise DataError(msg)
    return Logs(samples, examples, times, rejects, evaluators or {})


def parted(logs: Logs, since: float) -> tuple[Logs, Logs]:
    """What was logged at a time or later, and what before.

    Args:
        logs: All.
        since: Seconds since 1970.

    Raises:
        DataError: A row does not say when.
    """
    timeless = [at for at, time in enumerate(logs.times) if math.isnan(time)]
    if timeless:
        first = logs.examples[timeless[0]].origin
        msg = f"--since needs the time of each row, and {len(timeless)} of {len(logs)} say none, first {first}"
        raise DataError(msg)
    late = [at for at, time in enumerate(logs.times) if time >= since]
    early = [at for at, time in enumerate(logs.times) if time < since]
    return logs.at(late), logs.at(early)


def _sample(row: LogRow, name: str, model: str) -> Sample:
    return Sample(
        name, row.prompt, row.reference, row.output, task=row.task, extras=row.columns, model=model, label=row.label
    )


def _example(row: LogRow, name: str, origin: Origin, classes: bool) -> Example:
    turns = (*row.prompt, Message("assistant", row.output))
    label = row.output if classes else row.label
    return Example(turns, id=name, origin=origin, task=row.task, label=label, extras=row.columns)
