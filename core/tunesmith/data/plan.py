"""Which rows make which micro-batch: a pure function of seed and epoch, for any layout of ranks and accumulation.

An epoch's permuted rows are cut into windows, one for each optimizer step, before they are dealt to micro-batches, so
that the same rows meet in a window however `accumulate * world` micro-batches are laid out, and so that a window's
counts are known before it starts (traps 1, 2, 6). The number of micro-batches is the same in every epoch, because
Lightning reads it once.
"""

import hashlib
import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np

from tunesmith.data.balancing import Rows, balance, exchange, share
from tunesmith.data.batch import Window
from tunesmith.data.curriculum import Order
from tunesmith.data.encoded import Unit
from tunesmith.data.mixture import Draws
from tunesmith.data.packing import Shape, Shapes, area, best_fit, bins_needed, pack


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Rows that one rank takes through the model at once.

    Args:
        rows: Indices of the encoded rows.
        window: The optimizer step that it is part of; None outside training.
        ghost: Whether it repeats a row only to keep this rank in step with the others; not counted.
        beside: Rows that regularizers bring along, by the name of their term: those of `Companion`.
        epoch: Of training; 0 in evaluation, which is the same each time.
    """

    rows: Rows
    window: Window | None = None
    ghost: bool = False
    epoch: int = 0
    beside: Mapping[str, "MicroBatch"] = field(default_factory=dict)


class Joining(Protocol):
    """Puts further rows beside micro-batches; `Companion` does."""

    def join(self, windows: Iterator[list[MicroBatch]], epoch: int) -> Iterator[list[MicroBatch]]:
        """The same windows with them."""

    def cost(self, micro: MicroBatch) -> float:
        """What they cost, in tokens."""


@dataclass(frozen=True)
class Plan:
    """Micro-batches and windows of every epoch, for every rank.

    Args:
        lengths: Tokens of each row; a pair's two sequences are one row and stay together.
        units: Number of each unit in each row; None outside training, where there are no windows.
        batch_size: Rows a micro-batch; unused where `max_tokens` is set.
        max_tokens: Tokens a micro-batch at most; a longer row is alone in its own.
        accumulate: Micro-batches a rank and window.
        world: Ranks.
        seed: Seed of the permutation, with the epoch.
        shuffle: Whether rows are permuted in every epoch.
        limit: Micro-batches a rank and epoch at most, as Trainer's limits ask (trap 46).
        quadratic: What a token costs more for each token of its row, against 1 for all that is linear: attention.
        shapes: Of each row where documents are padded and `max_tokens` bounds padding too; None where they are not.
        draws: Which rows an epoch draws, and how often; None for each once.
        order: Which come first; None for any.
        beside: What rows of others go with each window.
    """

    lengths: Sequence[int]
    units: Mapping[Unit, Sequence[int]] | None = None
    batch_size: int = 8
    max_tokens: int | None = None
    accumulate: int = 1
    world: int = 1
    seed: int = 0
    shuffle: bool = True
    limit: int | None = None
    quadratic: float = 0.0
    shapes: Shapes | None = None
    draws: Draws | None = None
    order: Order | None = None
    beside: Sequence[Joining] = ()

    def __len__(self) -> int:
        """Micro-batches a rank that are run, in every epoch."""
        return self.whole if self.limit is None else min(self.whole, self.limit)

    @cached_property
    def whole(self) -> int:
        """Micro-batches a rank and epoch without the limit."""
        if self.max_tokens is None:
            return self._rounds(self.size, self.batch_size)
        return self._rounds(self._bins, 1)

    @property
    def size(self) -> int:
        """Rows an epoch, the same in each."""
        return len(self.lengths) if self.draws is None else self.draws.size

    @cached_property
    def _heaviest(self) -> Sequence[int]:
        """The rows of the epoch that needs most micro-batches."""
        if self.draws is None:
            return range(len(self.lengths))
        return self.draws.heaviest(self.lengths if self.shapes is None else [shape.longest for shape in self.shapes])

    @cached_property
    def _bins(self) -> int:
        assert self.max_tokens is not None
        lengths, shapes = self._measured(self._heaviest)
        if shapes and self.draws is not None:  # larger than any other epoch's rows, one by one
            documents = max(shape.documents for shape in shapes)
            shapes = [Shape(documents, shape.longest) for shape in shapes]
        return bins_needed(lengths, self.max_tokens, shapes)

    def _measured(self, rows: Sequence[int]) -> tuple[list[int], list[Shape] | None]:
        """Tokens and shapes of rows."""
        shapes = self.shapes
        return [self.lengths[row] for row in rows], None if shapes is None else [shapes[row] for row in rows]

    @property
    def used(self) -> float | None:
        """Mean share of `max_tokens` that rows fill (padding is none of them); None without it.

        Longer rows, which are alone, are left out.
        """
        if self.max_tokens is None:
            return None
        lengths, shapes = self._measured(self._heaviest)
        sizes = lengths if shapes is None else [shape.documents * shape.longest for shape in shapes]
        short = [length for length, size in zip(lengths, sizes, strict=True) if size <= self.max_tokens]
        return sum(short) / (self.max_tokens * (self._bins - len(lengths) + len(short))) if short else None

    @cached_property
    def costs(self) -> Sequence[float]:
        """What each row costs, in tokens."""
        return [length + self.quadratic * length * length for length in self.lengths]

    def epoch(self, epoch: int, rank: int) -> list[MicroBatch]:
        """Micro-batches of one rank, in order."""
        return [micro for window in self._dealt(epoch) for micro in window[rank :: self.world]]

    def everywhere(self, epoch: int) -> list[MicroBatch]:
        """Micro-batches of all ranks, window by window."""
        return [micro for window in self._dealt(epoch) for micro in window]

    def _dealt(self, epoch: int) -> Iterator[list[MicroBatch]]:
        dealt: Iterator[list[MicroBatch]]
        dealt = (self._deal(window, index, epoch) for index, window in enumerate(self.windows(epoch)))
        for companion in self.beside:
            dealt = companion.join(dealt, epoch)
        return dealt

    def windows(self, epoch: int) -> Iterator[list[Rows]]:
        """Rows of each window, as micro-batches over all ranks, which take turns; an empty one stands for a ghost."""
        order, ordered = self._order(epoch)
        if self.max_tokens is None:
            yield from self._by_rows(order)
        else:
            yield from self._by_tokens(order, self.max_tokens, ordered)

    def layout(self) -> list[int]:
        """What two plans must share for a position in the one to mean the same in the other.

        `limit` and `quadratic` are no part of it: a position lies between two windows, and neither moves a row from one
        window to another before the end.
        """
        sizes = [len(self.lengths), self.batch_size, self.max_tokens or 0, self.accumulate, self.world, self.seed]
        drawn = 0 if self.draws is None else self.draws.digest
        ordered = 0 if self.order is None else self.order.digest
        return [*sizes, int(self.shapes is not None), int(self.shuffle), self._digest, drawn, ordered]

    @cached_property
    def _digest(self) -> int:
        """Of the tokens of each row, where they decide in which window it is; 0 where they don't."""
        if self.max_tokens is None:
            return 0
        sizes = self.lengths if self.shapes is None else self.shapes
        found = hashlib.sha256(np.asarray(sizes, dtype="<i8").tobytes()).digest()
        return int.from_bytes(found[:7], "big")

    def _rounds(self, pieces: int, size: int) -> int:
        full, rest = divmod(pieces, size * self.accumulate * self.world)
        return full * self.accumulate + -(-rest // (size * self.world))

    def _order(self, epoch: int) -> tuple[list[int], bool]:
        """The rows of an epoch, and whether a curriculum orders them."""
        if not self.shuffle:
            return list(range(len(self.lengths))) if self.draws is None else self.draws.of(0), False
        generator = np.random.Generator(np.random.PCG64([self.seed, epoch]))
        drawn = None if self.draws is None else self.draws.of(epoch)
        places = generator.permutation(self.size)
        rows = [int(place) if drawn is None else drawn[int(place)] for place in places]
        if self.order is None or not self.order.active(epoch):
            return rows, False
        return self.order.of(rows, epoch, generator), True

    def _by_rows(self, order: list[int]) -> Iterator[list[Rows]]:
        each = self.batch_size * self.world
        kept = order[: len(self) * each]
        for start in range(0, len(kept), each * self.accumulate):
            rows = kept[start : start + each * self.accumulate]
            yield share(balance(rows, self.costs, -(-len(rows) // each) * self.world), self.world, self.cost)

    def _by_tokens(self, order: list[int], budget: int, ordered: bool) -> Iterator[list[Rows]]:
        # by places in the order: a row may be drawn twice
        lengths, shapes = self._measured(order)
        costs = [self.costs[row] for row in order]
        bins = pack(range(len(order)), lengths, budget, self._bins, shapes, near=ordered)
        if len(bins) > self._bins:
            bins = self._as_the_heaviest(order, budget)
        bins = split(bins, lengths, self._bins)[: len(self) * self.world]
        factor = self.accumulate * self.world
        for start in range(0, len(bins), factor):
            window = bins[start : start + factor]
            even = -(-len(window) // self.world) * self.world
            window = split(window, lengths, even)
            parts = [tuple(places) for places in window] + [()] * (even - len(window))
            if shapes is None:
                dealt = exchange(parts, self.world, budget, lengths, costs)
            else:  # a row in the place of another would pad others, or be padded
                dealt = share(parts, self.world, lambda places: self.cost([order[place] for place in places]))
            yield [tuple(order[place] for place in places) for places in dealt]

    def _as_the_heaviest(self, order: Sequence[int], budget: int) -> list[list[int]]:
        """Places of an epoch's rows, packed as the heaviest rows are: each in the place of one that is no shorter."""
        heavy, _ = self._measured(self._heaviest)
        bins = best_fit(range(len(heavy)), sorted(heavy, reverse=True), budget)
        ours = sorted(range(len(order)), key=lambda place: -self.lengths[order[place]])
        return sorted(([ours[rank] for rank in ranks] for ranks in bins), key=min)

    def cost(self, rows: Sequence[int]) -> float:
        """What a micro-batch of these rows costs, in tokens."""
        if self.shapes is None or not rows:
            return sum(self.costs[row] for row in rows)
        return area(rows, self.shapes) * (1 + self.quadratic * max(self.shapes[row].longest for row in rows))

    def cost_of(self, micro: MicroBatch) -> float:
        """What a micro-batch costs with the rows beside it, in tokens."""
        return self.cost(micro.rows) + sum(companion.cost(micro) for companion in self.beside)

    def _deal(self, window: list[Rows], index: int, epoch: int) -> list[MicroBatch]:
        spare = min((row for rows in window for row in rows), key=lambda row: self.lengths[row])
        if self.units is None:
            return [MicroBatch(rows or (spare,), None, ghost=not rows) for rows in window]
        counts: dict[str, int] = {
            unit: sum(values[row] for rows in window for row in rows) for unit, values in self.units.items()
        }
        counts["step"] = sum(bool(rows) for rows in window)
        real = Window(counts, self.accumulate * self.world, index, epoch)
        ghost = MicroBatch((spare,), Window(counts, 0, index, epoch), ghost=True, epoch=epoch)
        return [MicroBatch(rows, real, epoch=epoch) if rows else ghost for rows in window]


def split(bins: Sequence[Sequence[int]], lengths: Sequence[int], number: int) -> list[list[int]]:
    """Halve the heaviest micro-batches of two rows or more until there are `number`, or none is left to halve."""
    loads = [[lengths[row] for row in rows] for rows in bins]
    heap = [(-sum(load), place, 0, len(load)) for place, load in enumerate(loads)]
    heapq.heapify(heap)
    whole: list[tuple[int, int, int]] = []
    while heap and len(heap) + len(whole) < number:
        load, place, start, stop = heapq.heappop(heap)
        if stop - start == 1:
            whole.append((place, start, stop))
            continue
        middle, first = start + 1, loads[place][start]
        while middle < stop - 1 and 2 * first < -load:
            first += loads[place][middle]
            middle += 1
        heapq.heappush(heap, (-first, place, start, middle))
        heapq.heappush(heap, (load + first, place, middle, stop))
    pieces = sorted(whole + [entry[1:] for entry in heap])
    return [list(bins[place][start:stop]) for place, start, stop in pieces]
