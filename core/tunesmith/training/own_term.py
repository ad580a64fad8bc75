"""The term that an adapter itself adds to the loss, among the regularizers' terms."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tunesmith.plugins.interfaces import Adapter, Regularizer

if TYPE_CHECKING:
    from torch import nn

    from tunesmith.training.forward import Forward, Term

_NAME = "adapter"


class OwnTerm(Regularizer):
    """What `Adapter.penalty` gives.

    Args:
        adapter: It has one.
    """

    def __init__(self, adapter: Adapter) -> None:
        self.adapter = adapter
        self._network: nn.Module | None = None

    def setup(self, model: "nn.Module") -> None:
        """Remember the model."""
        self._network = model

    def penalty(self, forward: "Forward") -> "Term | None":
        """The adapter's term, which is of its weights alone."""
        assert self._network is not None
        return self.adapter.penalty(self._network)


def with_own_term(adapter: Adapter, regularizers: Mapping[str, Regularizer]) -> dict[str, Regularizer]:
    """A recipe's regularizers, and the adapter's term where it has one, by the names that they are logged under."""
    if type(adapter).penalty is Adapter.penalty:
        return dict(regularizers)
    name = _NAME
    while name in regularizers:
        name += "_"
    return {**regularizers, name: OwnTerm(adapter)}
