"""Whether a term of the loss is a sum that splits over micro-batches as its unit says. Imports torch."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, get_args

import torch
from torch import Tensor

from tunesmith.data.batch import Batch
from tunesmith.data.encoded import Unit
from tunesmith.data.encoded_rows import EncodedRow
from tunesmith.testing.check import fail, quoted
from tunesmith.testing.models import batch_of
from tunesmith.training.forward import Forward, Term
from tunesmith.training.passes import Passes
from tunesmith.training.specialist import Specialist

WITHIN = 1e-4
"""How far a sum of parts may be from the whole, relative, in fp32."""

_CHUNK = 16

Make = Callable[[Forward], Term]


class Value(NamedTuple):
    """A term over one micro-batch: its sum, the gradient in one vector, and the unit."""

    number: float
    gradient: Tensor
    unit: str


def check_term(module: Specialist, make: Make, rows: Sequence[EncodedRow]) -> None:
    """Check that one micro-batch gives a term: a finite scalar with a gradient, and a unit.

    Raises:
        CheckFailedError: It does not.
    """
    advice = "return Term(<sum over the micro-batch's units>, 'token'), never a float and never detached"
    module.train()
    term = make(module.passes(batch_of(module, rows)))
    if not isinstance(term, Term) or not isinstance(term.sum, Tensor):
        fail(f"it returns {quoted(term)}", "a Term with a tensor", advice)
    if term.unit not in get_args(Unit):
        fail(f"its unit is {term.unit!r}", f"one of {', '.join(get_args(Unit))}", advice)
    if term.sum.ndim or not term.sum.requires_grad:
        what = f"its sum has shape {list(term.sum.shape)}{'' if term.sum.requires_grad else ' and no gradient'}"
        fail(what, "a scalar tensor with a gradient", advice)
    if not math.isfinite(float(term.sum.detach())):
        fail(
            f"its sum is {float(term.sum.detach())}",
            "a finite number",
            "work in fp32, and guard logarithms and divisions",
        )


def check_without_targets(module: Specialist, make: Make, rows: Sequence[EncodedRow]) -> None:
    """Check that a micro-batch with no supervised position gives a finite sum and finite gradients.

    Raises:
        CheckFailedError: It gives nan or inf, or fails.
    """
    from tunesmith.data.collate import collate

    advice = "sum, do not average: the sum over nothing is 0, its mean is nan"
    module.train()
    module.zero_grad(set_to_none=True)
    device = next(module.network.parameters()).device
    term = make(module.passes(collate(rows, ghost=True).to(device)))
    if term.sum.requires_grad:
        term.sum.backward()  # type: ignore[no-untyped-call]
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    finite = math.isfinite(float(term.sum.detach())) and all(bool(g.isfinite().all()) for g in gradients)
    module.zero_grad(set_to_none=True)
    if not finite:
        fail(f"without targets it is {float(term.sum.detach())}", "a finite sum with finite gradients", advice)


def check_splits(module: Specialist, make: Make, rows: Sequence[EncodedRow]) -> None:
    """Check that values and gradients are the same however rows are cut into micro-batches, and tokens into chunks.

    A term of unit `step` has the same value in each micro-batch instead: the core takes their mean.

    Raises:
        CheckFailedError: They are not.
    """
    module.train()
    half = len(rows) // 2
    cuts: list[tuple[str, list[Sequence[EncodedRow]]]] = [
        ("two micro-batches", [rows[:half], rows[half:]]),
        ("micro-batches of one row", [[row] for row in rows]),
        ("two micro-batches in another order", [rows[1::2][::-1], rows[::2]]),
    ]
    whole = value_of(module, make, batch_of(module, rows))
    advice = "return the sum over the micro-batch's units, never a mean; the core divides by their number in the window"
    for what, cut in cuts:
        parts = [value_of(module, make, batch_of(module, part)) for part in cut if part]
        _compare(whole, parts, f"{len(rows)} rows together", what, advice)
    chunked = value_of(module, make, batch_of(module, rows), _in_chunks(module.passes))
    advice = "return a plain sum over the chunk's tokens; what needs a whole row adds up over chunks by chunk.sequence"
    _compare(whole, [chunked], "one chunk", f"chunks of {_CHUNK} tokens", advice)


def value_of(module: Specialist, make: Make, batch: Batch, passes: Passes | None = None) -> Value:
    """What the term is over one micro-batch, with its gradient."""
    module.zero_grad(set_to_none=True)
    term = make((passes or module.passes)(batch, perturbed=False))
    if term.sum.requires_grad:
        term.sum.backward()  # type: ignore[no-untyped-call]
    parts: list[Any] = []
    for parameter in module.parameters():
        if parameter.requires_grad:
            parts.append((torch.zeros_like(parameter) if parameter.grad is None else parameter.grad).flatten())
    module.zero_grad(set_to_none=True)
    return Value(float(term.sum.detach()), torch.cat(parts).double(), term.unit)


def _compare(whole: Value, parts: Sequence[Value], one: str, other: str, advice: str) -> None:
    share = len(parts) if whole.unit == "step" else 1
    value = sum(part.number for part in parts) / share
    # parts may be large where their sum is not: what is rounded there stays
    largest = max(abs(part.number) for part in (whole, *parts))
    if not math.isclose(value, whole.number, rel_tol=WITHIN, abs_tol=WITHIN * largest):
        fail(f"it is {whole.number:.6g} for {one}, and {value:.6g} in {other}", "the same", advice)
    gradient = torch.stack([part.gradient for part in parts]).sum(0) / share
    norm = max(float(part.gradient.norm()) for part in (whole, *parts))
    gap = float((gradient - whole.gradient).norm())
    if gap > WITHIN * norm:
        fail(f"in {other} its gradient differs by {gap / max(norm, 1e-12):.2g} of its norm", "the same", advice)


def _in_chunks(passes: Passes) -> Passes:
    """The same passes, in which logits of a few tokens only are in memory at a time."""
    bound = _CHUNK * 4 * int(passes.model.config.get_text_config().vocab_size)
    base = passes.base
    return replace(passes, logits_bytes=bound, base=None if base is None else lambda: _in_chunks(base()))
