"""The models that an audit asks: the tuned one, and the base beside it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tunesmith import LanguageModel, Segment, Subject

BASE, TUNED, ALONE = "base", "tuned", "model"


@dataclass(frozen=True)
class Side:
    """A model, and what tables call it."""

    name: str
    model: LanguageModel


def sides(subject: Subject) -> list[Side]:
    """The models of a subject, the one under audit last: `base` and `tuned`, or `model` alone, or none."""
    if subject.model is None:
        return []
    if subject.base is None or subject.base.model is None:
        return [Side(ALONE, subject.model)]
    return [Side(BASE, subject.base.model), Side(TUNED, subject.model)]


def plain(text: str) -> list[Segment]:
    """A text as `LanguageModel.logprob` scores it whole, without a chat template.

    It stands behind a line break, so that the first word is predicted too where a tokenizer writes no token before it;
    neither that nor the end of the text counts.
    """
    return [Segment("\n", 0.0), Segment(text), Segment("", 0.0)]


def number(value: float) -> str:
    """A number as summaries say it."""
    return f"{value:.2f}"


def mean(values: Sequence[float]) -> float:
    """The mean of the values that are numbers; nan without any."""
    held = [value for value in values if not math.isnan(value)]
    return math.fsum(held) / len(held) if held else math.nan
