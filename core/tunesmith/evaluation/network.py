"""A loaded network as evaluation runs it: in evaluation mode, tuned or as the base, and what it has said before."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol, Self, TypeVar

import torch
from torch import nn

from tunesmith.data.encoded import Encoded
from tunesmith.errors import DataError, RecipeError
from tunesmith.evaluation.generation import Generation
from tunesmith.evaluation.known import Known
from tunesmith.evaluation.scoring import Progress
from tunesmith.plugins.interfaces import Adapter, Renderer
from tunesmith.training.attention import language_model, plain_attention
from tunesmith.training.layouts import positions
from tunesmith.training.modes import evaluating

Made = TypeVar("Made")
_BATCHES_KEPT = 8  # made between two writes: more keep lengths together, fewer lose less to a kill


class Tuned(Protocol):
    """What is needed of a specialist: a loaded network, its tokenizer, and how it was adapted."""

    @property
    def network(self) -> nn.Module:
        """The attached network."""

    @property
    def tokenizer(self) -> Any:
        """Its tokenizer."""

    @property
    def renderer(self) -> Renderer:
        """Turns to ids."""

    @property
    def adapter(self) -> Adapter:
        """What was attached."""

    def autocast(self) -> AbstractContextManager[Any]:
        """The precision of every pass."""

    def compared_network(self) -> nn.Module | None:
        """The network that is the base; None where it is this one with its adapter off."""


@dataclass
class Network:
    """A network of a specialist, tuned or as the base.

    Every pass runs in evaluation mode, without gradients, with plain attention and in the precision of training; each
    module's mode is put back afterwards.

    Args:
        specialist: The loaded model.
        generation: How answers are decoded, and how many rows are run at once.
        seed: Start of every row's seed, where tokens are sampled.
        network: Another network to run than the specialist's (a frozen copy of the base).
        adapted: Whether the adapter is on.
        known: What this model has said before; None keeps nothing.
        known_base: The same of its base.
    """

    specialist: Tuned
    generation: Generation = field(default_factory=Generation)
    seed: int = 0
    network: nn.Module | None = None
    adapted: bool = True
    known: Known | None = None
    known_base: Known | None = None

    def baseline(self, name: str = "base") -> Self:
        """The base: this network with the adapter off, or a frozen copy where it cannot be switched off.

        Raises:
            RecipeError: No baseline has that name.
        """
        if name != "base":
            msg = f"baseline {name!r} is not known; known: base"
            raise RecipeError(msg)
        if not self.adapted or self.network is not None:
            return self
        network = self.specialist.compared_network()
        return replace(self, network=network, adapted=False, known=self.known_base, known_base=None)

    @property
    def running(self) -> nn.Module:
        """The network that runs."""
        return self.network if self.network is not None else self.specialist.network

    @property
    def positions(self) -> int | None:
        """Tokens that the base reads at once; None where nothing says."""
        return positions(language_model(self.running))

    @contextmanager
    def evaluating(self) -> Iterator[nn.Module]:
        """Context in which the network, which it gives, can be run."""
        network = self.running
        with ExitStack() as stack:
            stack.enter_context(evaluating(network))
            if not self.adapted and self.network is None:
                stack.enter_context(self.specialist.adapter.without(network))
            stack.enter_context(plain_attention(network))
            # Not inference_mode: tensors that a layer caches in it cannot take part in a later backward pass.
            stack.enter_context(torch.no_grad())
            stack.enter_context(self.specialist.autocast())
            yield network

    def remembered(
        self,
        way: str,
        keys: Sequence[str],
        order: Sequence[int],
        make: Callable[[Sequence[int], Progress | None], Sequence[Made]],
        plain: Callable[[Made], tuple[Any, ...]],
        progress: Progress | None,
    ) -> list[Sequence[Any]]:
        """Results of rows: what is known, and the rest made and kept; args as the function `remembered`."""
        return remembered(self.known, self.generation.batch_size, way, keys, order, make, plain, progress)

    def check_lengths(self, rows: Sequence[Encoded]) -> None:
        """Refuse rows that the base cannot read at once.

        Raises:
            DataError: One is too long.
        """
        limit = self.positions
        for number, row in enumerate(rows, 1):
            if limit is not None and len(row.ids) > limit:
                msg = (
                    f"text {number} has {len(row.ids)} tokens; the base reads {limit}: "
                    "shorten it or take a base with a longer context"
                )
                raise DataError(msg)


def remembered(
    known: Known | None,
    batch_size: int,
    way: str,
    keys: Sequence[str],
    order: Sequence[int],
    make: Callable[[Sequence[int], Progress | None], Sequence[Made]],
    plain: Callable[[Made], tuple[Any, ...]],
    progress: Progress | None,
) -> list[Sequence[Any]]:
    """Results of rows: what is known, and the rest made and kept, some batches at a time.

    Args:
        known: What was said before; None keeps nothing.
        batch_size: Rows that are made at once.
        way: What decides a result beside the model and the row.
        keys: Of the rows.
        order: In which they are made, rows of similar length together.
        make: Results of rows by their places.
        plain: A result as it is kept.
        progress: Called with the rows done and their number.
    """
    found: dict[int, Sequence[Any]] = {}
    if known is not None:
        found.update(known.get(way, keys))
    rest = [at for at in order if at not in found]
    step = len(rest) if known is None else _BATCHES_KEPT * batch_size
    for start in range(0, len(rest), max(1, step)):
        chosen, before = rest[start : start + step], len(found)
        told = None if progress is None else partial(further, progress, before, len(keys))
        made = [plain(one) for one in make(chosen, told)]
        found.update(zip(chosen, made, strict=True))
        if known is not None:
            known.put(way, {keys[at]: list(one) for at, one in zip(chosen, made, strict=True)})
    return [found[at] for at in range(len(keys))]


def further(progress: Progress, before: int, count: int, done: int, _: int) -> None:
    """Tell how far a part of the rows is, as a part of all; a row may be run in several pieces."""
    progress(min(before + done, count), count)
