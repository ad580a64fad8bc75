"""What trains, and towards what. torch is imported where it is used, so that listing plugins stays fast."""

from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith import Adapter, Encoded, Example, Forward, Objective, Regularizer, Renderer, RowError, Term

if TYPE_CHECKING:
    from torch import nn

_FILE = "last_layers.safetensors"


class SmoothedNextToken(Objective):
    """Next-token cross-entropy with label smoothing (Szegedy et al. 2016, arXiv:1512.00567, section 7).

    Args:
        smoothing: Share of each target's probability that is spread over the whole vocabulary.
    """

    def __init__(self, smoothing: float = 0.1) -> None:
        self.smoothing = smoothing

    def encode(self, example: Example, renderer: Renderer) -> list[Encoded]:
        """The conversation, rendered once.

        Raises:
            RowError: The example is no conversation.
        """
        if not example.messages:
            raise RowError("messages", "is empty; this objective learns conversations")
        return [renderer.conversation(example.messages, example.tools)]

    def loss(self, forward: Forward) -> Term:
        """Sum over supervised tokens."""
        from torch.nn.functional import cross_entropy

        total = forward.hidden.new_zeros(())
        for chunk in forward.chunks():
            logits = forward.head(chunk.hidden).float()
            each = cross_entropy(logits, chunk.targets, reduction="none", label_smoothing=self.smoothing)
            total = total + (each * chunk.weights).sum()
        return Term(total, "token")


class LastLayers(Adapter):
    """Trains the last transformer layers whole and leaves everything else as it is.

    Args:
        layers: How many layers train, counted from the end.
    """

    switchable = False

    def __init__(self, layers: int = 1) -> None:
        self.layers = layers

    def attach(self, model: "nn.Module") -> "nn.Module":
        """Freeze all but the last layers."""
        model.requires_grad_(requires_grad=False)
        layers = model.get_submodule("model.layers")
        for layer in list(layers.children())[-self.layers :]:
            layer.requires_grad_(requires_grad=True)
        return model

    def save(self, model: "nn.Module", directory: Path) -> None:
        """Write the layers' weights under their names in the model."""
        from safetensors.torch import save_file

        directory.mkdir(parents=True, exist_ok=True)
        save_file({n: p.detach().contiguous() for n, p in self._trained(model).items()}, directory / _FILE)

    def load(self, model: "nn.Module", directory: Path) -> None:
        """Read them back; refuses other names and shapes."""
        from safetensors.torch import load_file

        found, trained = load_file(directory / _FILE), self._trained(model)
        if found.keys() != trained.keys():
            msg = f"{directory / _FILE} holds other weights: {sorted(found.keys() ^ trained.keys())[:3]}"
            raise ValueError(msg)
        for name, value in found.items():
            if value.shape != trained[name].shape:
                msg = f"{directory / _FILE} holds {name} in another shape: {list(value.shape)}"
                raise ValueError(msg)
            trained[name].data.copy_(value)

    @staticmethod
    def _trained(model: "nn.Module") -> "dict[str, nn.Parameter]":
        return {name: p for name, p in model.named_parameters() if p.requires_grad}


class StayClose(Regularizer):
    """Squared length of the hidden states at supervised positions, which keeps activations small.

    Args:
        weight: What the term is multiplied with.
    """

    def __init__(self, weight: float = 1e-4) -> None:
        self.weight = weight

    def penalty(self, forward: Forward) -> Term:
        """Sum over supervised tokens of the mean square of their hidden state."""
        return Term(self.weight * forward.hidden[forward.supervised].float().square().mean(-1).sum(), "token")
