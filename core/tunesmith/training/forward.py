"""What objectives and regularizers see of one micro-batch, and what they return."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from tunesmith.data.encoded import Unit

if TYPE_CHECKING:
    from torch import Tensor

    from tunesmith.data.batch import Batch
    from tunesmith.data.example import Example


@dataclass(frozen=True, slots=True)
class Term:
    """A part of the loss: a sum and its unit, never a mean.

    The core divides `sum` by the number of `unit`s in the whole accumulation window on all ranks (trap 1); a `step`
    term counts once per optimizer step, however many micro-batches the window has (trap 4).

    Since 0.1.

    Args:
        sum: Scalar tensor, summed over the micro-batch's units.
        unit: token, example, pair or step.
        logged: What is logged beside it, and trains nothing: sums over the same units, by the names that the plugin's
            `logs` says. Their means over the window are logged, and for objectives those over the validation rows.
            Since 0.13.
    """

    sum: "Tensor"
    unit: Unit
    logged: Mapping[str, "Tensor"] = field(default_factory=dict)


class Chunk(NamedTuple):
    """Some supervised positions of a micro-batch.

    Since 0.1.

    Attributes:
        hidden: Input of the head, `[c, width]`.
        targets: The token ids to predict there, `[c]`.
        weights: Their loss weights, `[c]`.
        sequence: Index of the sequence in the batch that each belongs to, `[c]`.
    """

    hidden: "Tensor"
    targets: "Tensor"
    weights: "Tensor"
    sequence: "Tensor"


class Forward(ABC):
    """One pass of the model over one micro-batch; the head has not run yet.

    Since 0.1.

    Attributes:
        batch: The micro-batch, with its examples' metadata.
        hidden: Last hidden states of all T tokens, `[T, width]`, the documents one after the other.
        supervised: Positions in `[0, T)` whose next token has a loss weight, `[S]`; of an encoder's masked tokens their
            own.
        targets: The next tokens there, or what was masked, `[S]`.
        weights: Their loss weights, `[S]`.
    """

    batch: "Batch"
    hidden: "Tensor"
    supervised: "Tensor"
    targets: "Tensor"
    weights: "Tensor"

    @abstractmethod
    def head(self, hidden: "Tensor") -> "Tensor":
        """Logits of hidden states: `[c, width]` to `[c, vocabulary or classes]`, in the model's precision."""

    def pooled(self) -> "Tensor":
        """What the head of a model for classes takes of each sequence, `[n, width]`; `head` gives `[n, classes]` of it.

        The hidden state of its last token, or of its first, or the mean of all: as the model's own forward does.
        Since 0.13.
        """
        raise NotImplementedError

    @abstractmethod
    def chunks(self) -> Iterator[Chunk]:
        """Supervised positions in pieces small enough that their logits fit into memory, in order."""

    @abstractmethod
    def total(self, term: "Callable[..., Tensor]", *others: "Forward | Tensor") -> "Tensor":
        """Sum `term(chunk, *chunks of others)` over all chunks, with one chunk's logits in memory at a time.

        Args:
            term: Gets one `Chunk` of this pass, and of each of `others` at the same positions; returns a scalar. Where
                there are several chunks it may run once more in backward.
            others: Passes over the same batch; since 0.13 also tensors without gradient, `[S, ...]`, of which `term`
                gets the part at these positions.
        """

    @abstractmethod
    def each(self, term: "Callable[..., Tensor]", *others: "Forward | Tensor") -> "Tensor":
        """Values of `term(chunk, *chunks of others)` at all supervised positions, `[S]`: for what is no plain sum.

        With one chunk's logits in memory at a time, as `total`. Since 0.13.

        Args:
            term: Gets chunks as in `total`; returns a value for each position, `[c]`, which depends on no other
                position of the chunk.
            others: Passes over the same batch.
        """

    @abstractmethod
    def again(self) -> "Forward":
        """A second pass over the same batch, with fresh dropout (R-Drop)."""

    def over(self, examples: "Sequence[Example]") -> "Forward | None":
        """A pass of the same model over other rows: they are encoded by the recipe's objective and cut as its rows are.

        Every process has to call it in each pass that calls it at all, with nothing where it has no rows: where weights
        are sharded, all take part in gathering them. Since 0.13.

        Args:
            examples: The rows. Those that cannot be encoded, or are cut into pieces, are left out:
                `batch.examples` of the pass holds the others, in order.

        Returns:
            None where no row is left; with shards a pass whose batch is a `ghost` in that case.
        """
        raise NotImplementedError

    def at(self, positions: "Tensor") -> "Forward":
        """The same pass, supervised elsewhere: by each of `positions` the token behind it is predicted, of weight 1.

        So passes over different rows are held against each other: `one.at(here).total(term, other.at(there))`.
        Since 0.13.

        Args:
            positions: In `[0, T)`, `[S]`; none that ends a document.
        """
        raise NotImplementedError

    @abstractmethod
    def baseline(self) -> "Forward":
        """A pass of the model without the adapter, in evaluation mode and without gradients."""
