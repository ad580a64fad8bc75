"""What people say of answers, as it stands in a file: CSV, of spreadsheets in any country too, or JSON lines."""

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tunesmith import DataError


class Rated(NamedTuple):
    """What one line says.

    Args:
        answer: What it rates, as `rating_key` calls it; empty where it rates a model as a whole.
        model: The name of that model.
        rater: Who rates; empty where nobody says.
        values: Its ratings by column, those that are there.
    """

    answer: str
    model: str
    rater: str
    values: dict[str, float]


def read_ratings(path: Path, columns: Sequence[str], option: str) -> Iterator[Rated]:
    """The ratings in a file, line by line.

    Args:
        path: The file; it has to be there.
        columns: Where ratings stand.
        option: Whose file it is, for messages: `Ratings.file`.

    Raises:
        DataError: A line rates nothing, a rating is no number, or the file has none of the columns.
    """
    for line, row in _rows(path, columns, option):
        answer, model, rater = (str(row.get(name) or "").strip() for name in ("answer", "model", "rater"))
        if not answer and not model:
            msg = f"{option}: {path}:{line} has neither answer nor model: nobody knows what it rates"
            raise DataError(msg)
        values = {}
        for column in columns:
            said = row.get(column)
            if said is None or str(said).strip() == "":
                continue
            try:
                values[column] = float(str(said).strip())
            except ValueError:
                values[column] = math.nan
            if not math.isfinite(values[column]):
                msg = f"{option}: {path}:{line}: {column} is {said!r}, which is no number"
                raise DataError(msg)
        yield Rated(answer, "" if answer else model, rater, values)


def _rows(path: Path, columns: Sequence[str], option: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        if path.suffix in (".jsonl", ".json"):
            for line, text in enumerate(file, start=1):
                if text.strip():
                    yield line, _object(text, f"{option}: {path}:{line}")
            return
        head = file.readline()
        file.seek(0)
        # what Excel writes where the comma is the decimal sign
        rows = csv.DictReader(file, delimiter=";" if head.count(";") > head.count(",") else ",")
        names = [name for name in rows.fieldnames or () if name]
        if not {"answer", "model"} & set(names) or not set(columns) & set(names):
            wanted = f"answer or model, and {' or '.join(columns)}"
            msg = f"{option}: {path} has the columns {', '.join(names) or 'none'}; it needs {wanted}"
            raise DataError(msg)
        for row in rows:
            yield rows.line_num, row


def _object(text: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(text)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        msg = f"{where} is no JSON object"
        raise DataError(msg)
    return row
