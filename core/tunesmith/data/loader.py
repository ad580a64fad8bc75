"""A loader whose position is exact: it resumes at the micro-batch after the last one that was handed out.

The state of a checkpoint is the epoch and how many micro-batches were handed out, over a plan that is a pure function
of seed and epoch. No worker holds any of it, so that it is right for any number of workers (traps 26, 47).
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from tunesmith.data.batch import Batch
from tunesmith.data.beside import EncodedOf, assembled, fetched
from tunesmith.data.drawing import Drawing
from tunesmith.data.encoded_rows import EncodedRow
from tunesmith.data.plan import MicroBatch, Plan
from tunesmith.data.workers import leave_signals, unharmed_start
from tunesmith.errors import RecipeError


class PlannedRows(Dataset[Any]):
    """Encoded rows, fetched by micro-batch.

    Args:
        rows: Those that the plan indexes.
        beside: Those of regularizers, by the name of their term.
    """

    def __init__(self, rows: Sequence[EncodedRow], beside: EncodedOf) -> None:
        self.rows = rows
        self.beside = beside

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, micro: MicroBatch) -> tuple[MicroBatch, list[EncodedRow]]:
        """The whole micro-batch at once, so that its window travels with its rows."""
        return fetched(micro, self.rows, self.beside)


class PlanSampler:
    """Micro-batches of one rank, from wherever the last run stopped.

    Args:
        plan: Which rows make which micro-batch.
        rank: This process.
    """

    def __init__(self, plan: Plan, rank: int) -> None:
        self.plan = plan
        self.rank = rank
        self.epoch = 0
        self.done = 0
        self.restored = False
        # Lightning looks for `set_epoch` on a batch sampler's `sampler`, never on the batch sampler
        self.sampler = self

    def set_epoch(self, epoch: int) -> None:
        """Begin `epoch`; the one that a state was loaded for goes on where it stopped."""
        if epoch != self.epoch:
            self.epoch, self.done, self.restored = epoch, 0, False

    def __len__(self) -> int:
        # Lightning takes its own share of this under limit_train_batches, so it must not be cut already
        return self.plan.whole

    def __iter__(self) -> Iterator[MicroBatch]:
        return iter(self.plan.epoch(self.epoch, self.rank)[self.done :])


class PlanLoader(DataLoader[Batch]):
    """Batches of one rank as `plan` says, with an exact state.

    Args:
        rows: Encoded rows that the plan indexes.
        plan: Which rows make which micro-batch.
        rank: This process among `plan.world`.
        workers: Processes that collate; 0 collates in this one.
        beside: Encoded rows of regularizers that the plan indexes, by the name of their term.
        draw: Says what of a row an epoch learns; None learns all that has a weight.
    """

    def __init__(
        self,
        rows: Sequence[EncodedRow],
        plan: Plan,
        rank: int = 0,
        workers: int = 0,
        beside: EncodedOf = {},  # noqa: B006  never changed
        draw: Drawing | None = None,
    ) -> None:
        self.position = PlanSampler(plan, rank)
        # torch gives each worker one thread, so that they don't fight over the processors with training
        self.leaves_cut_epoch = False
        super().__init__(
            PlannedRows(rows, beside),
            batch_sampler=self.position,  # type: ignore[arg-type]  # yields micro-batches, not lists of indices
            num_workers=workers,
            collate_fn=partial(assembled, draw),
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=leave_signals,
        )

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        """Hand out batches, counting them.

        A generator, so that nothing is fetched before the first batch is asked for: Lightning makes iterators before
        it says which epoch it is (trap 47).
        """
        position = self.position
        if not position.restored:
            position.done = 0
        position.restored = False
        with unharmed_start():
            batches = super().__iter__()
        for batch in batches:
            position.done += 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Position after the batches that were handed out; only plain numbers."""
        position = self.position
        layout = position.plan.layout()
        return {"epoch": position.epoch, "done": position.done, "of": len(position.plan), "layout": layout}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on at a position that `state_dict` gave.

        A position within an epoch of another plan means other rows. With `leaves_cut_epoch` that epoch ends there.

        Raises:
            RecipeError: It is such a position, and `leaves_cut_epoch` is not set.
        """
        position = self.position
        differences = layout_differences(state["layout"], position.plan.layout())
        ended = state["done"] >= state["of"]
        if differences and state["done"] and not ended:
            if not self.leaves_cut_epoch:
                said = ", ".join(differences)
                msg = f"the checkpoint stopped within an epoch, which cannot go on with another layout: {said}"
                raise RecipeError(msg)
            ended = True
        position.epoch, position.restored = state["epoch"], True
        position.done = len(position.plan) if ended else state["done"]


_LAYOUT = (
    "training rows",
    "data.batch_size",
    "data.max_tokens",
    "trainer.accumulate_grad_batches",
    "number of processes",
    "seed_everything",
    "padding within data.max_tokens",
    "shuffling (none under trainer.overfit_batches)",
)
# What every layout has; the others came later, padding only where there was some.
_OLDEST = 6
# Told by hashes, the last two since there are mixtures and curricula.
_HASHED = (
    (
        "rows have not as many tokens as before, by which data.max_tokens deals them "
        "(data.max_length, data.truncation, model.objective, model.template or the tokenizer is another)"
    ),
    "rows are drawn otherwise (data.mixture, or the weight of a source)",
    "rows come in another order (data.curriculum, or what makes a row difficult)",
)


def layout_differences(then: Sequence[int], now: Sequence[int]) -> list[str]:
    """What two layouts of a plan do not share, in words; nothing where a position means the same in both.

    Args:
        then: A checkpoint's. One of a release that did not note shuffling and tokens is trusted to have had the same:
            almost all do, and to refuse it would end every epoch that was left by that release.
        now: A plan's own.
    """
    padded = [*then, 0] if len(then) == _OLDEST else then
    named = zip(_LAYOUT, padded, now, strict=False)
    found = [f"{name} was {before} and is {after}" for name, before, after in named if before != after]
    if found:
        return found
    before, after = padded[len(_LAYOUT) :], now[len(_LAYOUT) :]
    before = [*before, *([0, 0] if len(before) == 1 else [])]
    return [why for why, one, other in zip(_HASHED, before, after, strict=False) if one != other]
