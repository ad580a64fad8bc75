"""Memory of a training pass, computed: every byte that a pass holds, operation by operation, at any size.

A small pass runs while a dispatch mode sees the result of each operation and the end of each storage. What is held
after the k-th operation grows linearly with the tokens, with the supervised ones, and, where attention writes its
scores out, with the squares of the documents' lengths. So four small passes give what any larger one holds, and where
its peak lies, which may be another place than a small one's. It needs no GPU to say what a pass takes on one.
"""

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Size(NamedTuple):
    """How large a micro-batch is.

    Attributes:
        tokens: Tokens that are computed, padding included.
        supervised: Positions that the head runs at.
        squares: Sum of the squares of the documents' lengths.
    """

    tokens: int
    supervised: int
    squares: int


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of all storages that are made inside and still held.

    Args:
        known: Tensors whose storages are not counted: parameters, buffers, the batch.

    Attributes:
        timeline: What was held after each operation that has tensors for results.
    """

    def __init__(self, known: Iterable[Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.timeline: list[int] = []
        self._known = {tensor.untyped_storage()._cdata for tensor in known}
        self._held: dict[int, int] = {}
        self._live = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run the operation and look at what it gave."""
        result = func(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        for tensor in tensors:
            self._note(tensor)
        if tensors:
            self.timeline.append(self._live)
        return result

    def _note(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._known or key in self._held:
            return
        self._held[key] = storage.nbytes()
        self._live += self._held[key]
        # the wrapper lives as long as the storage itself, however many tensors share it
        weakref.finalize(storage, self._forget, key)

    def _forget(self, key: int) -> None:
        self._live -= self._held.pop(key)


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a pass holds after each of its operations.

    Args:
        held: `[operations, 4]`: bytes, and bytes for each token, supervised position and square of a length.
        most_supervised: Supervised positions whose logits are held together; the others' come after them.
        each_further: Bytes for each supervised position beyond them: its hidden state and that one's gradient.
    """

    held: "np.ndarray[Any, np.dtype[np.float64]]"
    most_supervised: int
    each_further: int

    def peak(self, size: Size) -> float:
        """Bytes at most at any moment of a pass over a micro-batch of this size."""
        together = min(size.supervised, self.most_supervised)
        further = (size.supervised - together) * self.each_further
        return float((self.held @ np.array([1, size.tokens, together, size.squares])).max()) + further

    def slope(self, size: Size) -> tuple[float, float]:
        """Bytes for each token and for each supervised position at the peak of such a pass."""
        together = min(size.supervised, self.most_supervised)
        row = self.held[(self.held @ np.array([1, size.tokens, together, size.squares])).argmax()]
        return float(row[1]), float(row[2])


def footprint(
    run: Callable[[Size], list[int]], sizes: Sequence[Size], most_supervised: int, each_further: int
) -> Footprint:
    """Find a pass's footprint from small passes.

    Args:
        run: Gives the timeline of a pass of this size. The number of documents must be the same in all.
        sizes: At least four, which determine all four numbers.
        most_supervised: As in `Footprint`.
        each_further: As in `Footprint`.
    """
    timelines = [run(size) for size in sizes]
    if len({len(line) for line in timelines}) > 1:
        # another number of operations for another size: the peaks alone are comparable
        timelines = [[max(line)] for line in timelines]
    features = np.array([[1, *size] for size in sizes], dtype=np.float64)
    # scaled, or squares of lengths drown the rest
    scale = features.max(0)
    found, *_ = np.linalg.lstsq(features / scale, np.array(timelines, dtype=np.float64), rcond=None)
    return Footprint((found.T / scale), most_supervised, each_further)


def storages(tensors: Iterable[Tensor]) -> int:
    """Bytes of all storages of these tensors, each counted once."""
    found = {tensor.untyped_storage()._cdata: tensor.untyped_storage().nbytes() for tensor in tensors}
    return sum(found.values())
