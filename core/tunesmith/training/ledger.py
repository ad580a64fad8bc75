"""What one optimizer step adds up to: exact losses, tokens and time, whatever the accumulation and the ranks."""

import math
import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from tunesmith.data.batch import Batch
from tunesmith.data.encoded import Unit
from tunesmith.errors import RecipeError
from tunesmith.training.forward import Term
from tunesmith.training.randomness import gather
from tunesmith.training.terms import LOSS, beside

_SHOWN = 16


def count(batch: Batch, unit: Unit) -> int:
    """Number of a unit in one micro-batch, for averages outside training."""
    if unit == "token":
        return int(batch.loss_weights.count_nonzero())
    if unit == "pair":
        return int((batch.sequence_example.bincount() == 2).sum())
    return 1 if unit == "step" else len(batch.examples)


def _of(name: str, terms: Mapping[str, Term]) -> str:
    """The term that a value is logged beside, or is."""
    return name if name in terms else next((term for term in terms if name.startswith(f"{term}/")), LOSS)


def summing(device: torch.device) -> torch.device:
    """Where sums are kept in double precision: on the device itself, which need not be waited for, if it has it."""
    return torch.device("cpu") if device.type == "mps" else device


def doubled(value: Tensor) -> Tensor:
    """A number in double precision, where such sums are kept."""
    return value.detach().to(summing(value.device)).double()


class Ledger:
    """Adds up the terms of a window's micro-batches.

    Args:
        names: Names of all terms and of what they log beside themselves, in an order that all ranks share.
    """

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self._sums: dict[str, Tensor] = {}
        self._units: dict[str, Unit] = {}
        self._batches: list[tuple[Batch, Tensor]] = []
        self._tokens = 0
        self._clock = time.perf_counter()

    @property
    def open(self) -> bool:
        """Whether micro-batches wait for their optimizer step."""
        return bool(self._batches)

    def restart_clock(self) -> None:
        """Begin to measure speed anew, after something that is no training."""
        self._clock = time.perf_counter()

    def add(self, batch: Batch, terms: Mapping[str, Term]) -> None:
        """Note the terms of one micro-batch; a ghost's rows count elsewhere."""
        logged = {key: part for name, term in terms.items() for key, part in beside(name, term, self.names).items()}
        for name, term in {**logged, **terms}.items():
            self._units[name] = term.unit
            if batch.beside.get(_of(name, terms), batch).ghost:
                continue
            total = doubled(term.sum)
            self._sums[name] = self._sums[name] + total if name in self._sums else total
        if batch.ghost:
            return
        self._batches.append((batch, terms["loss"].sum.detach()))
        self._tokens += len(batch.input_ids)

    def close(
        self,
        counts: Mapping[str, int],
        reduce: Callable[[Tensor], Tensor],
        device: torch.device,
        norm: float,
        beside: Mapping[str, Mapping[str, int]] = {},
    ) -> dict[str, float]:
        """Return each term's mean over the window and all ranks, tokens a second, the norm; begin the next window.

        Args:
            counts: The window's counts on all ranks.
            reduce: Sums a tensor over all ranks.
            device: Where the sums lie.
            norm: The gradient's; where weights are sharded, ranks may differ in it. Comes back as NaN on all ranks if
                it is no number on any, so that they stop together.
            beside: Counts of rows that regularizers bring along, by the name of their term.
        """
        zero = torch.zeros((), dtype=torch.float64, device=summing(device))
        sums = [self._sums.get(name, zero) for name in self.names]
        seen = [zero + 1 if name in self._sums else zero for name in self.names]
        row = torch.stack([*sums, *seen, zero + self._tokens, zero + (not math.isfinite(norm))])
        *values, tokens, broken = reduce(row).tolist()
        half = len(self.names)
        means = {
            name: value / max(1, beside.get(name, counts)[self._units.get(name, "token")])
            for name, value, present in zip(self.names, values[:half], values[half:], strict=True)
            if present
        }
        means["grad_norm"] = math.nan if broken and math.isfinite(norm) else norm
        now = time.perf_counter()
        means["tokens/s"] = tokens / max(now - self._clock, 1e-9)
        self._clock, self._sums, self._tokens = now, {}, 0
        return means

    def clear(self) -> None:
        """Forget the window's micro-batches once their step is safe."""
        self._batches = []

    def refuse(self, what: str, step: int) -> RecipeError:
        """Make the error for a loss or gradient that is no number, naming the rows that it came from.

        Every rank must call it: the rows may be another's.
        """
        bad = [batch for batch, loss in self._batches if not math.isfinite(float(loss))]
        ranks = gather((_names(bad), _names([batch for batch, _ in self._batches])))
        rows = [row for found, _ in ranks for row in found] or [row for _, every in ranks for row in every]
        shown = ", ".join(rows[:_SHOWN]) + (f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else "")
        advice = "lower model.optimizer's lr, set trainer.gradient_clip_val, or look at these rows"
        return RecipeError(f"{what} at step {step} on rows {shown}\nno weight was changed by it; {advice}")


def refuse_validation(loss: float, step: int) -> RecipeError:
    """Make the error for a validation loss that is no number."""
    advice = "lower model.optimizer's lr or set trainer.gradient_clip_val; earlier checkpoints stay as they are"
    if step == 0:
        advice = "the base gives it before any training; set model.precision to fp32"
    return RecipeError(f"val/loss is {loss} at step {step}: these weights are not saved\n{advice}")


def _names(batches: list[Batch]) -> list[str]:
    """Each row's id, and where it was read if it was read from a file."""
    examples = [example for batch in batches for example in batch.examples]
    return [f"{e.id} ({e.origin})" if e.origin.file else e.id for e in examples]
