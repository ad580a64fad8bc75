"""Whether a term is summed over what its unit says, and follows the tokens' loss weights. Imports torch."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from tunesmith.data.batch import Batch
from tunesmith.data.encoded_rows import EncodedRow
from tunesmith.testing.check import NotApplicableError, fail
from tunesmith.testing.models import batch_of
from tunesmith.testing.sums import WITHIN, Make, value_of
from tunesmith.training.forward import Term
from tunesmith.training.specialist import Specialist

# Weights as small as this show what bends (a sigmoid, a hinge), which far out is as straight as a sum over tokens.
_SMALL = 1 / 64


def check_unit(module: Specialist, make: Make, rows: Sequence[EncodedRow]) -> None:
    """Check that what is summed is what the core counts: tokens with a weight, one example a row, or its pair.

    Of a sum over tokens, and of no other, the values for two halves of the tokens add up to that for both.

    Raises:
        CheckFailedError: It is not.
        NotApplicableError: No row has tokens enough to tell.
    """
    module.train()
    term, half = _term(module, make, batch_of(module, rows)), len(rows) // 2
    total, unit = _sum(term), term.unit
    apart = sum(_sum(_term(module, make, batch_of(module, part))) for part in (rows[:half], rows[half:]) if part)
    if unit not in ("token", "example", "pair") or not _near(apart, total, total):
        return  # whether a sum splits, and what has unit `step`, is the subject of `check_splits`
    if unit == "pair":
        _check_others(module, make, [row for row in rows if not row.units["pair"]])
    enough = [row for row in rows if all(s.supervised > 1 for s in row.sequences)]
    enough = [row for row in enough if unit != "pair" or row.units["pair"]]
    if not enough:
        msg = "no row has two tokens with a weight in each of its sequences: a token could not be told from an example"
        raise NotApplicableError(msg)
    factor = 1.0 if unit == "token" else _SMALL
    one, two, both = (_sum(_term(module, make, part)) for part in _parts(batch_of(module, enough), factor))
    adds = _near(one + two, both, max(abs(one), abs(two), abs(both)))
    said = f"it is {one:.6g} for every second token with a weight, {two:.6g} for the others, {both:.6g} for all"
    if unit == "token" and not adds:
        advice = "sum over forward.supervised (forward.total does), or name what it is summed over: example, pair, step"
        fail(f"its unit is token; {said}", f"{one + two:.6g}, as each token with a weight counts as one", advice)
    if unit != "token" and adds and both:
        advice = f'Term(sum, "token"), or one value for each {unit}, such as the mean over its tokens'
        what = f"its unit is {unit}; with weights of 1/64 {said}"
        fail(what, f"one value for each {unit}, not a sum over its tokens", advice)


def check_weights(module: Specialist, make: Make, rows: Sequence[EncodedRow]) -> None:
    """Check that a token of half the weight counts half, or where the sum is not over tokens, that it counts less.

    Raises:
        CheckFailedError: It counts as one of the whole weight, or as something else.
    """
    module.train()
    batch = batch_of(module, rows)
    weights, first = batch.loss_weights, _every_second(batch.loss_weights)
    whole, gradient, unit = value_of(module, make, batch)
    half, changed, _ = value_of(module, make, replace(batch, loss_weights=torch.where(first, weights / 2, weights)))
    advice = "multiply each token's loss by chunk.weights, whatever the weight is"
    if unit != "token":
        if _near(half, whole, whole) and float((changed - gradient).norm()) <= WITHIN * float(gradient.norm()):
            found = f"it is {half:.6g} with half the weight on every second token, and {whole:.6g} with the whole"
            fail(f"{found}, and so is its gradient", "another loss, in which these tokens count less", advice)
        return
    one, two, _ = (_sum(_term(module, make, part)) for part in _parts(batch, 1.0))
    if not _near(one + two, whole, whole):
        return  # `check_unit` says why
    if not _near(half, one / 2 + two, whole):
        found = f"it is {half:.6g} with half the weight on every second token, and {whole:.6g} with the whole"
        fail(found, f"{one / 2 + two:.6g}, as these tokens alone are {one:.6g}", advice)


def _check_others(module: Specialist, make: Make, rows: Sequence[EncodedRow]) -> None:
    """Check that rows of one sequence, in which no pair is counted, add nothing to a sum over pairs."""
    value = _sum(_term(module, make, batch_of(module, rows))) if rows else 0.0
    if value:
        advice = 'name what it is summed over, "token" or "example"; or leave rows of one sequence out'
        what = f"its unit is pair, and it is {value:.6g} for {len(rows)} rows of one sequence"
        fail(what, "0, as the core counts a pair where a row has two sequences", advice)


def _parts(batch: Batch, factor: float) -> Iterator[Batch]:
    """The batch with weights on every second token that has one, on the others, and on all."""
    weights, first = batch.loss_weights * factor, _every_second(batch.loss_weights)
    nothing = torch.zeros_like(weights)
    yield replace(batch, loss_weights=torch.where(first, weights, nothing))
    yield replace(batch, loss_weights=torch.where(first, nothing, weights))
    yield replace(batch, loss_weights=weights)


def _term(module: Specialist, make: Make, batch: Batch) -> Term:
    return make(module.passes(batch, perturbed=False))


def _sum(term: Term) -> float:
    return float(term.sum.detach())


def _every_second(weights: Tensor) -> Tensor:
    """Where every second token with a weight stands."""
    learned = weights != 0
    return learned & (learned.cumsum(0) % 2 == 1)


def _near(one: float, two: float, size: float) -> bool:
    return abs(one - two) <= WITHIN * abs(size)
