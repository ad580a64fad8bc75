"""What training needs of a GPU's memory, part by part, and the largest micro-batch that fits."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from tunesmith.training.footprint import Footprint, Size
from tunesmith.training.optimizer_states import optimizer_bytes
from tunesmith.training.portions import portion
from tunesmith.training.specialist import Specialist

# CUDA's own context, the kernels that were loaded, and the libraries' workspaces: 0.5 to 0.7 GiB on cards of today.
CONTEXT = int(0.65 * 2**30)
# Share of what a pass holds that torch's allocator cannot reuse, because every micro-batch has other shapes.
GAPS = 0.1


@dataclass(frozen=True, slots=True)
class Parts:
    """Bytes by what holds them.

    Args:
        weights: Frozen weights and buffers.
        trained: Trained weights and the optimizer's states.
        step: The most of a pass (activations, logits, gradients, temporaries) and of an optimizer step.
        gaps: What the allocator cannot reuse.
        context: CUDA's own.
        gathered: Weights in shards that are whole at once.
    """

    weights: int
    trained: int
    step: float
    gaps: float
    context: int
    gathered: int = 0

    @property
    def allocated(self) -> float:
        """What `torch.cuda.max_memory_allocated` would say."""
        return self.weights + self.trained + self.gathered + self.step

    @property
    def total(self) -> float:
        """What the card has to have."""
        return self.allocated + self.gaps + self.context


@dataclass(frozen=True, slots=True)
class Needs:
    """What a recipe needs of a GPU, for micro-batches of any size.

    Args:
        weights: As in `Parts`.
        trained: As in `Parts`.
        gradients: Bytes of all gradients.
        stepping: Bytes that an optimizer step holds besides.
        accumulates: Whether gradients are there while a pass runs, beside what it holds.
        footprint: Of a pass.
        gathered: As in `Parts`.
        assumed: Whether the optimizer could not be tried.
    """

    weights: int
    trained: int
    gradients: int
    stepping: int
    accumulates: bool
    footprint: Footprint
    gathered: int = 0
    assumed: bool = False

    @classmethod
    def of(
        cls, model: Specialist, footprint: Footprint, accumulate: int, shards: int = 1, *, averaged: bool = False
    ) -> "Needs":
        """Add up what one process holds of a loaded model and its optimizer.

        Args:
            model: Whole.
            footprint: Of its passes; where weights will be in shards, with gradients held.
            accumulate: Micro-batches a step.
            shards: Among how many processes weights, gradients and the optimizer's states are cut.
            averaged: Whether an average of the trained weights is kept beside them.
        """
        own = portion(model, shards)
        states = optimizer_bytes(model)
        held, beside = int(own.share * states.held), int(own.share * states.beside)
        gradients = own.trained  # of the weights' format
        kept = accumulate > 1 or shards > 1
        trained = own.trained * (2 if averaged else 1) + held
        return cls(own.frozen, trained, gradients, beside, kept, footprint, own.gathered, states.assumed)

    def at(self, size: Size) -> Parts:
        """The parts with micro-batches of this size."""
        held = self.footprint.peak(size) + (self.gradients if self.accumulates else 0)
        step = max(held, self.gradients + self.stepping)
        return Parts(self.weights, self.trained, step, GAPS * step, CONTEXT, self.gathered)

    def worst(self, sizes: Iterable[Size]) -> Size:
        """The size that needs most."""
        return max(sizes, key=lambda size: self.at(size).step)

    def largest(self, capacity: float, size_of: Callable[[int], Size], most: int) -> int:
        """The most tokens a micro-batch for which all fits.

        Args:
            capacity: Bytes of the card.
            size_of: The worst micro-batch of so many tokens; grows with them.
            most: Tokens beyond which nobody asks.

        Returns:
            0 if not even one token fits.
        """
        below, above = 0, most + 1
        while above - below > 1:
            middle = (below + above) // 2
            if self.at(size_of(middle)).total <= capacity:
                below = middle
            else:
                above = middle
        return below

    def with_passes(self, footprint: Footprint) -> "Needs":
        """The same with passes of another kind."""
        return replace(self, footprint=footprint)
