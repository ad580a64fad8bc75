"""What people are asked to rate: a sheet of answers that does not say whose they are."""

import csv
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from random import Random

from tunesmith.evaluation.measure import Measure, Sample

_SHOWN = ("answer", "question", "reference", "output")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def rating_key(sample: Sample) -> str:
    """What an answer is called on a sheet for raters: the same for all models that say the same.

    An answer that changes is called otherwise, so that no rating counts for another answer than was rated.

    Since 0.12.
    """
    return sha256(f"{sample.id}\x00{sample.output}".encode(errors="surrogatepass")).hexdigest()[:12]


def write_sheets(
    samples: Sequence[Sequence[Sample]], measures: Sequence[Mapping[str, Measure]], folder: Path, seed: int
) -> list[Path]:
    """Write `to_rate-NAME.csv` for each evaluator that waits for people; returns the files.

    Answers stand in an order that tells nothing of the models; equal answers to one question stand there once. A sheet
    in which somebody has written is left as it is, and the new one gets a number: `to_rate-NAME-2.csv`.

    Args:
        samples: Of each model, the rows in the same order.
        measures: Of each model.
        folder: Where.
        seed: Of the order.
    """
    waiting: dict[str, list[str]] = {}
    for found in measures:
        for name, measure in found.items():
            if measure.pending and not measure.single:  # what is about all answers is no column to fill in
                evaluator, _, criterion = name.partition("/")
                if criterion not in waiting.setdefault(evaluator, []):
                    waiting[evaluator].append(criterion)
    unique = {rating_key(one): one for said in samples for one in said}
    order = sorted(unique)
    Random(seed).shuffle(order)  # noqa: S311  an order, no secret
    paths = []
    for evaluator, criteria in waiting.items():
        path = _unwritten(folder / f"to_rate-{evaluator}.csv")
        # with its mark, so that spreadsheets read it as UTF-8
        with path.open("w", encoding="utf-8-sig", errors="backslashreplace", newline="") as file:
            rows = csv.writer(file)
            rows.writerow([*_SHOWN, *criteria, "rater"])
            for key in order:
                one = unique[key]
                said = [one.prompt[-1].content if one.prompt else "", one.reference, one.output]
                rows.writerow([key, *map(_cell, said), *[""] * len(criteria), ""])
        paths.append(path)
    return paths


def _unwritten(path: Path) -> Path:
    """The path, or one with a number behind its name, at which no ratings would be lost."""
    number, free = 1, path
    while free.exists() and _holds_ratings(free):
        number += 1
        free = path.with_stem(f"{path.stem}-{number}")
    return free


def _holds_ratings(path: Path) -> bool:
    """Whether somebody has written into a sheet; also where it cannot be read any more."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            head, *rows = csv.reader(file)
    except (OSError, ValueError, csv.Error):
        return True
    return head[: len(_SHOWN)] != list(_SHOWN) or any(any(row[len(_SHOWN) :]) for row in rows)


def _cell(text: str) -> str:
    """Text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text
