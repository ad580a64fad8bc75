"""Biases alone (Ben Zaken, Ravfogel and Goldberg 2022, arXiv:2106.10199)."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tunesmith import Adapter, RecipeError, out_of_reach
from tunesmith_plugins.adapters import files
from tunesmith_plugins.adapters.named import check_known, inside

if TYPE_CHECKING:
    from torch import nn

FILE = "biases.safetensors"
_KEY = "model.adapter.init_args"


class BitFit(Adapter):
    """Trains the bias vectors of linear layers and norms, under 0.1 % of most bases; all matrices stay frozen.

    A layer computes `x W^T + b`, of which `b` trains (arXiv:2106.10199). Llama, Mistral and their like have no biases:
    there `add` gives each linear layer one, zero at the start. Saved are the biases (`biases.safetensors`). There is
    nothing to switch off: comparisons load the base once more, and share with it what did not train.

    Since 0.13.

    Args:
        modules: Where biases train: ends of names (`q_proj`), whole names or patterns (`layers.1?.*`); everywhere
            without it.
        add: Whether linear layers without a bias get one; the head does not.
    """

    switchable = False

    def __init__(self, modules: list[str] | None = None, add: bool = False) -> None:
        self.modules = modules
        self.add = add

    @classmethod
    def trial_instances(cls) -> Sequence[Self]:
        """One for any base, and one that says where."""
        return [cls(add=True), cls(["q_proj", "layers.1.mlp"], add=True)]

    def attach(self, model: "nn.Module") -> "nn.Module":
        """Let biases train, and nothing else; add those that are missing, if asked to.

        Raises:
            RecipeError: The base has no biases, or none where they are wanted.
        """
        model.requires_grad_(False)
        beyond = out_of_reach(model)
        check_known(f"{_KEY}.modules", self.modules or (), dict(model.named_modules()), "no module")
        if self.add:
            self._add(model, beyond)
        there = [name for name, _ in model.named_parameters() if self._chosen(name, beyond)]
        if not there:
            where = f" in {', '.join(self.modules)}" if self.modules else ""
            msg = (
                f"model.adapter: {type(model).__name__} of this base has no biases{where}\n"
                f"set {_KEY}.add to true, which gives linear layers biases of zero; or train norms: "
                "{class_path: Freeze, init_args: {last: 0, norms: true}}"
            )
            raise RecipeError(msg)
        for name in there:
            model.get_parameter(name).requires_grad_(True)
        return model

    def save(self, model: "nn.Module", directory: Path) -> None:
        """Write the biases that trained."""
        files.write(directory / FILE, {name: p for name, p in model.named_parameters() if p.requires_grad})

    def load(self, model: "nn.Module", directory: Path) -> None:
        """Read them back, name by name."""
        files.restore(directory / FILE, {name: p for name, p in model.named_parameters() if p.requires_grad})

    def loading(self, base: str) -> str:
        """The base, and biases in its layers, also in those that had none."""
        return (
            f"{base}\nfrom safetensors.torch import load_file\n"
            f'for name, bias in load_file(f"{{directory}}/{FILE}").items():\n'
            "    layer = model.get_submodule(name.removesuffix('.bias'))\n"
            "    layer.bias = torch.nn.Parameter(bias.to(model.device))"
        )

    def merge(self, model: "nn.Module") -> "nn.Module":
        """Return the model itself: its biases are where they were.

        Raises:
            RecipeError: Biases were added, for which the family has no place: plain libraries would leave them out.
        """
        if self.add:
            msg = (
                f"{type(model).__name__} has no place for biases that were added to it: a plain model would be loaded "
                "without them; keep the adapter"
            )
            raise RecipeError(msg)
        return model

    def _chosen(self, name: str, beyond: Sequence[str]) -> bool:
        """Whether a parameter of this name is a bias that trains."""
        place, _, last = name.rpartition(".")
        wanted = self.modules is None or any(inside(module, place) for module in self.modules)
        return last == "bias" and wanted and not any(inside(outer, name) for outer in beyond)

    def _add(self, model: "nn.Module", beyond: Sequence[str]) -> None:
        """Biases of zero for linear layers that have none."""
        import torch
        from torch import nn

        head = model.get_output_embeddings()  # type: ignore[operator]
        layer: Any
        for place, layer in model.named_modules():
            linear = isinstance(layer, nn.Linear) and layer is not head
            if linear and layer.bias is None and self._chosen(f"{place}.bias", beyond):
                device = layer.weight.device
                layer.bias = nn.Parameter(torch.zeros(layer.out_features, device=device), requires_grad=False)
