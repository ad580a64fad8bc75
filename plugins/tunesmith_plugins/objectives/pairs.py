"""Losses of preference pairs, one value a pair, from what the two answers' log-probabilities are."""

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor

SMALLEST = 1e-6
"""Least number of tokens that a mean is taken over: a batch without weights has none."""


def sides(batch: Any) -> "tuple[Tensor, Tensor]":
    """Places of the better and of the worse answers among the batch's sequences, of rows that have two; `[pairs]`."""
    owner = batch.sequence_example
    better = (owner[:-1] == owner[1:]).nonzero()[:, 0]
    return better, better + 1


def dpo(chosen: "Tensor", rejected: "Tensor", beta: float, smoothing: float) -> "Tensor":
    """-log s(h), and the smoothed share of the other way round."""
    h = beta * (chosen - rejected)
    return -(1 - smoothing) * F.logsigmoid(h) - smoothing * F.logsigmoid(-h)


def ipo(chosen: "Tensor", rejected: "Tensor", beta: float) -> "Tensor":
    """(h - 1 / (2 beta))^2."""
    return (chosen - rejected - 1 / (2 * beta)).square()


def simpo(chosen: "Tensor", rejected: "Tensor", beta: float, gamma: float) -> "Tensor":
    """-log s(beta * h - gamma), of means."""
    return -F.logsigmoid(beta * (chosen - rejected) - gamma)


def orpo(chosen: "Tensor", rejected: "Tensor", beta: float) -> "Tensor":
    """Likelihood of the better answer, and the log odds ratio, of means."""
    return -chosen - beta * F.logsigmoid(_log_odds(chosen) - _log_odds(rejected))


def _log_odds(mean: "Tensor") -> "Tensor":
    """log(p / (1 - p)) of p = exp(mean); finite also where p is rounded to 1.

    log(1 - exp x) by log(-expm1 x), which keeps what is left of 1 where x is small (Maechler 2012).
    """
    least = torch.finfo(mean.dtype).tiny
    return mean - (-torch.expm1(mean)).clamp(min=least).log()
