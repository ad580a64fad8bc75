"""Passes of the model over micro-batches: hidden states first, the head only where a token is learned."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from tunesmith.data.batch import Batch
from tunesmith.data.collate import collate
from tunesmith.data.encoded import Encoded
from tunesmith.data.encoded_rows import EncodedRow
from tunesmith.data.example import Example
from tunesmith.plugins.interfaces import Adapter, Regularizer
from tunesmith.training.attention import looking
from tunesmith.training.chunked import chunked_each, chunked_sum
from tunesmith.training.classes import Pool, pooled
from tunesmith.training.forward import Chunk, Forward, Term
from tunesmith.training.heads import Head
from tunesmith.training.layouts import LAYOUTS, Layout, States
from tunesmith.training.modes import evaluating
from tunesmith.training.perturb import perturbing
from tunesmith.training.router import RouterLoss
from tunesmith.training.sharding import Root

LOGITS_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Passes:
    """How to run a model: everything that stays the same from batch to batch.

    Args:
        network: What the adapter attached.
        model: transformers' model inside it.
        layout: ragged or padded, as the probe found.
        head: From hidden states to logits.
        pool: What of a document the head of a model for classes takes.
        ahead: How far before a token it is predicted: 1 by what says the next one, 0 where it is masked itself.
        both_ways: Whether attention is to look to both sides in a model whose own looks back only.
        encode: Makes rows of examples that are none of a split.
        adapter: Switches itself off for the baseline.
        autocast: Makes the context in which forward passes run.
        perturbations: Regularizers that change input embeddings in training.
        base: Gives passes of a copy of the base, for adapters that cannot be switched off.
        router: The loss that balances experts, where there is one.
        root: Runs the body where weights are sharded.
        logits_bytes: Bound of one chunk's logits in fp32.
    """

    network: nn.Module
    model: PreTrainedModel
    layout: Layout
    head: Head
    adapter: Adapter
    autocast: Callable[[], AbstractContextManager[None]]
    perturbations: tuple[Regularizer, ...] = ()
    base: "Callable[[], Passes] | None" = None
    router: RouterLoss | None = None
    root: Root | None = None
    pool: Pool | None = None
    ahead: int = 1
    both_ways: bool = False
    encode: Callable[[Sequence[Example]], list[EncodedRow]] | None = None
    logits_bytes: int = LOGITS_BYTES

    def __call__(self, batch: Batch, plan: "Supervision | None" = None, perturbed: bool = True) -> "ModelForward":
        """Run the model over one micro-batch."""
        changed = perturbed and self.perturbations and self.network.training
        with self.autocast(), perturbing(self.model, self.perturbations, batch) if changed else nullcontext():
            body = self.model.base_model if self.root is None else self.root
            with looking(self.model, self.both_ways):
                states = LAYOUTS[self.layout](body, batch, router=self.router is not None, both_ways=self.both_ways)
        return ModelForward(self, batch, states, plan or Supervision.of(batch, self.ahead))

    def baseline(self, batch: Batch, plan: "Supervision") -> "ModelForward":
        """Run the base over one micro-batch, in evaluation mode and without gradients."""
        if self.base is not None:
            with torch.no_grad():
                return self.base()(batch, plan, perturbed=False)
        with torch.no_grad(), evaluating(self.network), self.adapter.without(self.network):
            forward = self(batch, plan, perturbed=False)
        return _Baseline(self, batch, States(forward.hidden), plan)

    @property
    def chunk_size(self) -> int:
        """Positions whose logits fit into the bound, at least one."""
        return max(1, self.logits_bytes // (4 * int(self.model.config.get_text_config().vocab_size)))


@dataclass(frozen=True, slots=True)
class Supervision:
    """Where a batch is supervised; computed once for all passes over it.

    Args:
        positions: Positions that predict a token with a loss weight, `[S]`: those before it, or of a masked token its
            own. A document's first token has none, so that no position predicts across documents (trap 9).
        targets: The tokens that they predict, `[S]`.
        weights: Their weights, `[S]`.
        sequence: Index of the document, `[S]`.
    """

    positions: Tensor
    targets: Tensor
    weights: Tensor
    sequence: Tensor

    @classmethod
    def of(cls, batch: Batch, ahead: int = 1) -> "Supervision":
        """Shift weights to the positions that predict (trap 34)."""
        learned = batch.loss_weights.nonzero()[:, 0]
        targets = batch.input_ids if batch.targets is None else batch.targets
        return cls(learned - ahead, targets[learned], batch.loss_weights[learned], batch.sequence[learned])


class ModelForward(Forward):
    """A pass that has run; see `Forward`."""

    def __init__(self, passes: Passes, batch: Batch, states: States, plan: Supervision) -> None:
        self.batch = batch
        self.hidden = states.hidden
        self._router = states.router
        self.supervised = plan.positions
        self.targets = plan.targets
        self.weights = plan.weights
        self._passes = passes
        self._plan = plan
        self._selected: Tensor | None = None
        self._logits: Tensor | None = None

    def router_term(self) -> Term | None:
        """The loss that balances experts, where there is one."""
        router = self._passes.router
        return None if router is None else router.term(self._router, self.batch)

    def head(self, hidden: Tensor) -> Tensor:
        """Logits of hidden states: `[c, width]` to `[c, vocabulary]`, in the model's precision.

        Kept where one chunk holds all supervised positions: loss and regularizers share them. Not to be written into.
        """
        if hidden is not self._selected or len(hidden) > self._passes.chunk_size:
            return self._head(hidden)
        # logits made without a graph do for nobody who needs one
        if self._logits is None or (torch.is_grad_enabled() and not self._logits.requires_grad):
            self._logits = self._head(hidden)
        return self._logits

    def _head(self, hidden: Tensor) -> Tensor:
        with self._passes.autocast():
            return self._passes.head(hidden)

    def pooled(self) -> Tensor:
        """What the head of a model for classes takes of each sequence, `[n, width]`."""
        if self._passes.pool is None:
            msg = f"{type(self._passes.model).__name__} has a head for tokens, none for classes"
            raise RuntimeError(msg)
        return pooled(self.hidden, self.batch, self._passes.pool)

    def chunks(self) -> Iterator[Chunk]:
        """Supervised positions in pieces small enough that their logits fit into memory, in order."""
        return self._cut(self._inputs())

    def total(self, term: Callable[..., Tensor], *others: Forward | Tensor) -> Tensor:
        """Sum `term` over all chunks, with one chunk's logits in memory at a time."""
        hidden, pieces = self._pieces(others)
        if self._too_many(hidden):
            return chunked_sum(term, hidden, list(pieces))
        return torch.stack([term(*piece) for piece in pieces]).sum()

    def each(self, term: Callable[..., Tensor], *others: Forward | Tensor) -> Tensor:
        """Values of `term` at all supervised positions, `[S]`, with one chunk's logits in memory at a time."""
        hidden, pieces = self._pieces(others)
        if self._too_many(hidden):
            return chunked_each(term, hidden, list(pieces))
        return torch.cat([term(*piece) for piece in pieces])

    def _pieces(self, others: tuple[Forward | Tensor, ...]) -> tuple[Tensor, Iterator[tuple[Any, ...]]]:
        hidden = self._inputs()
        return hidden, zip(self._cut(hidden), *map(self._parts, others), strict=True)

    def _too_many(self, hidden: Tensor) -> bool:
        """Whether the logits of all positions would be kept for backward, and are too many for that."""
        return len(hidden) > self._passes.chunk_size and torch.is_grad_enabled()

    def _inputs(self) -> Tensor:
        if self._selected is None or (torch.is_grad_enabled() and not self._selected.requires_grad):
            self._selected = self.hidden.index_select(0, self.supervised)
        return self._selected

    def _cut(self, hidden: Tensor) -> Iterator[Chunk]:
        size, plan = self._passes.chunk_size, self._plan
        if len(hidden) <= size:
            yield Chunk(hidden, plan.targets, plan.weights, plan.sequence)
            return
        parts = (torch.split(part, size) for part in (hidden, plan.targets, plan.weights, plan.sequence))
        yield from (Chunk(*pieces) for pieces in zip(*parts, strict=True))

    def _parts(self, other: Forward | Tensor) -> Iterator[Chunk | Tensor]:
        if isinstance(other, Tensor):
            yield from torch.split(other, max(1, min(len(other), self._passes.chunk_size)))
        else:
            yield from other.chunks()

    def again(self) -> Forward:
        """A second pass over the same batch as training makes it: with fresh dropout (R-Drop)."""
        return self._passes(self.batch, self._plan)

    def over(self, examples: Sequence[Example]) -> "ModelForward | None":
        """A pass of the same model over other rows; None where none is left, unless weights are sharded."""
        assert self._passes.encode is not None
        rows = self._passes.encode(examples)
        if not rows and self._passes.root is None:
            return None
        batch = collate(rows or [self._spare()], ghost=not rows)
        return self._over(batch.to(self.hidden.device))

    def _over(self, batch: Batch) -> "ModelForward":
        return self._passes(batch)

    def _spare(self) -> EncodedRow:
        """A few tokens of the batch, for a pass that only takes part."""
        ids = self.batch.input_ids[: int(self.batch.cu_seqlens[1])][:2].tolist()
        return EncodedRow(self.batch.examples[0], (Encoded(tuple(ids), (0.0,) * len(ids)),))

    def at(self, positions: Tensor) -> "ModelForward":
        """The same pass, supervised at other positions."""
        batch, passes = self.batch, self._passes
        targets = batch.input_ids if batch.targets is None else batch.targets
        weights = torch.ones(len(positions), device=positions.device)
        plan = Supervision(positions, targets[positions + passes.ahead], weights, batch.sequence[positions])
        return type(self)(passes, batch, States(self.hidden, self._router), plan)

    def baseline(self) -> Forward:
        """A pass of the model without the adapter, in evaluation mode and without gradients."""
        return self._passes.baseline(self.batch, self._plan)


class _Baseline(ModelForward):
    """A pass without the adapter: its head leaves the adapter out as well."""

    def _head(self, hidden: Tensor) -> Tensor:
        network = self._passes.network
        with torch.no_grad(), evaluating(network), self._passes.adapter.without(network):
            return super()._head(hidden)

    def again(self) -> Forward:
        return self.baseline()

    def _over(self, batch: Batch) -> ModelForward:
        return self._passes.baseline(batch, Supervision.of(batch, self._passes.ahead))
