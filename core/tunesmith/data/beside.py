"""Rows of regularizers, beside the training rows: which go with which micro-batch, a pure function of seed and epoch.

An optimizer step takes some of them, in an order of each regularizer's own that is drawn anew in each epoch. They are
dealt over the window's micro-batches, and counted over all of them before the window starts, as training rows are
(traps 1, 2, 6).
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tunesmith.data.batch import Batch, Window
from tunesmith.data.collate import collate
from tunesmith.data.drawing import Drawing
from tunesmith.data.encoded import Unit
from tunesmith.data.encoded_rows import EncodedRow
from tunesmith.data.plan import MicroBatch

EncodedOf = Mapping[str, Sequence[EncodedRow]]


@dataclass(frozen=True)
class Companion:
    """Rows that go beside those of a plan.

    Args:
        name: Of the term that they are for.
        units: Number of each unit in each row.
        costs: What each row costs, in tokens.
        share: Rows for each training row of a window, at least one a window.
        accumulate: Micro-batches a rank and window.
        world: Ranks.
        seed: Seed of the order, with name and epoch.
    """

    name: str
    units: Mapping[Unit, Sequence[int]]
    costs: Sequence[float]
    share: float
    accumulate: int = 1
    world: int = 1
    seed: int = 0

    def join(self, windows: Iterator[list[MicroBatch]], epoch: int) -> Iterator[list[MicroBatch]]:
        """The same windows, all ranks' micro-batches one after the other, with these rows beside theirs."""
        order = self._order(epoch)
        for window in windows:
            rounds = [window[at : at + self.world] for at in range(0, len(window), self.world)]
            examples = [sum(len(micro.rows) for micro in each if not micro.ghost) for each in rounds]
            number = max(1, round(self.share * sum(examples)))
            drawn = [next(order) for _ in range(number)]
            dealt = self._deal(drawn, examples)
            parts = [part for each, rows in zip(rounds, dealt, strict=True) for part in self._ranked(each, rows)]
            yield [self._beside(micro, part, drawn, parts) for micro, part in zip(window, parts, strict=True)]

    def cost(self, micro: MicroBatch) -> float:
        """What these rows cost beside one micro-batch, in tokens."""
        own = micro.beside.get(self.name)
        return sum(self.costs[row] for row in own.rows) if own is not None else 0.0

    def _order(self, epoch: int) -> Iterator[int]:
        """Rows without end: all of them in one order, then in another."""
        turn, name = 0, zlib.crc32(self.name.encode())
        while True:
            generator = np.random.Generator(np.random.PCG64([self.seed, epoch, name, turn]))
            yield from (int(row) for row in generator.permutation(len(self.costs)))
            turn += 1

    def _deal(self, drawn: Sequence[int], examples: Sequence[int]) -> list[list[int]]:
        """Rows for each round of micro-batches, by how many examples it has; as many for each rank as can be."""
        dealt, given, seen = [], 0, 0
        for number in examples:
            seen += number
            due = len(drawn) * seen // sum(examples)
            until = len(drawn) if seen == sum(examples) else max(given, due // self.world * self.world)
            dealt.append(list(drawn[given:until]))
            given = until
        return dealt

    def _ranked(self, each: Sequence[MicroBatch], rows: Sequence[int]) -> list[tuple[int, ...] | None]:
        """Rows of each rank in one round; None where no rank has any. A ghost is given none."""
        if not rows:
            return [None] * len(each)
        real = [rank for rank, micro in enumerate(each) if not micro.ghost]
        by_rank: list[list[int]] = [[] for _ in each]
        for row in sorted(rows, key=lambda row: -self.costs[row]):
            lightest = min(real, key=lambda rank: (sum(self.costs[own] for own in by_rank[rank]), rank))
            by_rank[lightest].append(row)
        return [tuple(own) for own in by_rank]

    def _beside(
        self,
        micro: MicroBatch,
        rows: tuple[int, ...] | None,
        drawn: Sequence[int],
        parts: Sequence[tuple[int, ...] | None],
    ) -> MicroBatch:
        assert micro.window is not None
        counts: dict[str, int] = {unit: sum(values[row] for row in drawn) for unit, values in self.units.items()}
        counts["step"] = sum(bool(part) for part in parts)
        of_window = {**micro.window.beside, self.name: counts}
        window = replace(micro.window, beside=of_window)
        if rows is None:
            return replace(micro, window=window)
        spare = min(drawn, key=lambda row: self.costs[row])
        factor = self.accumulate * self.world if rows else 0
        own = MicroBatch(rows or (spare,), Window(counts, factor, window.index, window.epoch), ghost=not rows)
        return replace(micro, window=window, beside={**micro.beside, self.name: own})


def fetched(micro: MicroBatch, rows: Sequence[EncodedRow], beside: EncodedOf) -> tuple[MicroBatch, list[EncodedRow]]:
    """A micro-batch with its rows, and then those beside it, in the order of their names."""
    found = [rows[row] for row in micro.rows]
    for name, own in micro.beside.items():
        found += [beside[name][row] for row in own.rows]
    return micro, found


def assembled(draw: Drawing | None, item: tuple[MicroBatch, Sequence[EncodedRow]]) -> Batch:
    """The batch of what `fetched` gave; `draw` says what of a training row an epoch learns, None all with a weight."""
    micro, rows = item
    at = len(micro.rows)
    besides = {}
    for name, own in micro.beside.items():
        besides[name] = collate(rows[at : at + len(own.rows)], own.window, own.ghost)
        at += len(own.rows)
    own_rows = collate(rows[: len(micro.rows)], micro.window, micro.ghost, draw, micro.epoch)
    return replace(own_rows, beside=besides)
