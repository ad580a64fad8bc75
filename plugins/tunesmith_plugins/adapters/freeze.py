"""Full fine-tuning of a part of the weights; all else stays as it is in the base."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tunesmith import Adapter, RecipeError, out_of_reach
from tunesmith_plugins.adapters import files
from tunesmith_plugins.adapters.named import check_known, decoder_layers, inside

if TYPE_CHECKING:
    from torch import nn

FILE = "trained.safetensors"
_KEY = "model.adapter.init_args"


class Freeze(Adapter):
    """Trains the last layers, or named parts, with all their weights in fp32; the rest of the base stays frozen.

    Saved are the weights that trained, by their names in the base (`trained.safetensors`). There is nothing to switch
    off: comparisons load the base once more, and share with it what did not train.

    Since 0.13.

    Args:
        last: How many layers train, counted from the last one; 0 for none.
        modules: What trains besides: whole names of modules or weights (`model.layers.3`), their ends (`mlp`,
            `k_proj`), or patterns (`layers.[0-3].self_attn`, `*norm`).
        norms: Whether all norms train.
        embeddings: Whether the input embeddings train, and with them the head where both are one matrix.
        head: Whether the head trains, and with it the embeddings where both are one matrix.
    """

    switchable = False

    def __init__(
        self,
        last: int = 2,
        modules: list[str] | None = None,
        norms: bool = False,
        embeddings: bool = False,
        head: bool = False,
    ) -> None:
        self.last = last
        self.modules = modules
        self.norms = norms
        self.embeddings = embeddings
        self.head = head

    @classmethod
    def trial_instances(cls) -> Sequence[Self]:
        """The last layer; and parts by name with both ends."""
        return [cls(last=1), cls(last=0, modules=["layers.0.mlp"], norms=True, embeddings=True, head=True)]

    def check(self) -> None:
        """Insist on something that trains.

        Raises:
            RecipeError: `last` is negative, or all options say that nothing trains.
        """
        if self.last < 0:
            msg = f"{_KEY}.last is {self.last}; it must be 0 or more, and counts layers from the last one"
            raise RecipeError(msg)
        if not (self.last or self.modules or self.norms or self.embeddings or self.head):
            msg = f"{_KEY}: nothing trains with last 0; give last, modules, norms, embeddings or head"
            raise RecipeError(msg)

    def attach(self, model: "nn.Module") -> "nn.Module":
        """Let train what is named, and nothing else.

        Raises:
            RecipeError: The base has no part of such a name, or not as many layers; or what would train is quantised.
        """
        names = self._names(model)
        for name, parameter in model.requires_grad_(False).named_parameters():
            if name in names:
                if not parameter.is_floating_point():
                    msg = (
                        f"model.adapter: {name} of this base is quantised, so that it cannot train; use LoRA, or name "
                        f"parts that are not ({_KEY}.norms)"
                    )
                    raise RecipeError(msg)
                parameter.requires_grad_(True)
        return model

    def save(self, model: "nn.Module", directory: Path) -> None:
        """Write the weights that trained."""
        files.write(directory / FILE, {name: p for name, p in model.named_parameters() if p.requires_grad})

    def load(self, model: "nn.Module", directory: Path) -> None:
        """Read them back, name by name."""
        files.restore(directory / FILE, {name: p for name, p in model.named_parameters() if p.requires_grad})

    def loading(self, base: str) -> str:
        """The base, and what trained copied into it."""
        return (
            f'{base}\nfrom safetensors.torch import load_file\ntrained = load_file(f"{{directory}}/{FILE}")\n'
            "assert not model.load_state_dict(trained, strict=False).unexpected_keys"
        )

    def _names(self, model: "nn.Module") -> set[str]:
        """Full names of the parameters that train."""
        from torch import nn

        beyond = out_of_reach(model)
        everything = [name for name, _ in model.named_parameters()]
        check_known(f"{_KEY}.modules", self.modules or (), everything, "no module and no weight")
        wanted = [*(self.modules or ()), *self._last(model, beyond)]
        found = {name for name in everything if any(inside(place, name) for place in wanted)}
        for place, module in model.named_modules():
            # families have classes of their own, which all have it in their names
            if self.norms and "norm" in type(module).__name__.lower() and not list(module.children()):
                found |= {f"{place}.{name}" for name, _ in module.named_parameters()}
        ends = [model.get_input_embeddings()] if self.embeddings else []  # type: ignore[operator]
        ends += [model.get_output_embeddings()] if self.head else []  # type: ignore[operator]
        held = {id(parameter) for end in ends if isinstance(end, nn.Module) for parameter in end.parameters()}
        found |= {name for name, parameter in model.named_parameters() if id(parameter) in held}
        reached = {name for name in found if not any(inside(place, name) for place in beyond)}
        if not reached:
            msg = f"{_KEY}: no text reaches what is named there, {min(found, default='no weight')}: it would not train"
            raise RecipeError(msg)
        return reached

    def _last(self, model: "nn.Module", beyond: Sequence[str]) -> list[str]:
        layers = decoder_layers(model, beyond) if self.last else []
        if self.last and not layers:
            msg = f"{_KEY}.last: {type(model).__name__} has no list of its layers; set last to 0 and name modules"
            raise RecipeError(msg)
        if self.last > len(layers):
            msg = f"{_KEY}.last is {self.last}; this base has {len(layers)} layers"
            raise RecipeError(msg)
        return layers[len(layers) - self.last :]
