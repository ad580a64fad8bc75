"""Samples out of a `predictions.jsonl`, as `test` and `predict` write it."""

import json
import math
from pathlib import Path
from typing import Any

from tunesmith.data.example import Message
from tunesmith.errors import DataError
from tunesmith.evaluation.measure import Sample, Timing


def logged_samples(path: Path, model: str = "tuned") -> list[Sample]:
    """What a model said, row by row.

    Args:
        path: The file.
        model: Whose answers: `tuned`, `base`, or the name of another baseline.

    Raises:
        DataError: A line is something else.
    """
    samples = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                samples.append(_sample(json.loads(line), model))
            except (ValueError, KeyError, TypeError) as error:
                msg = f"{path}:{number} is not a line of a predictions.jsonl (id, prompt, {model}.output): {error!r}"
                raise DataError(msg) from error
    return samples


def _sample(row: dict[str, Any], model: str) -> Sample:
    said = row[model]
    prompt = tuple(
        Message(turn["role"], turn["content"], fields={k: v for k, v in turn.items() if k not in ("role", "content")})
        for turn in row["prompt"]
    )
    logprob, rejected, timing = said.get("logprob"), said.get("rejected"), said.get("timing")
    label = row.get("label")
    return Sample(
        str(row["id"]),
        prompt,
        row.get("reference") or "",
        said["output"],
        math.nan if logprob is None else float(logprob),
        int(said.get("tokens") or 0),
        str(row.get("task") or ""),
        row.get("columns") or {},
        bool(said.get("stopped", True)),
        model,
        int(said.get("prompt_tokens") or 0),
        int(said.get("answer_tokens") or 0),
        None if timing is None else Timing(**timing),
        probabilities={str(name): float(share) for name, share in (said.get("probabilities") or {}).items()},
        label=tuple(label) if isinstance(label, list) else label,
        rejected=math.nan if rejected is None else float(rejected),
        rejected_tokens=int(said.get("rejected_tokens") or 0),
    )
