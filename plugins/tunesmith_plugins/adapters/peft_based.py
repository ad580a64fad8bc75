"""What all adapters share that peft attaches, saves and merges."""

import warnings
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith import Adapter, RecipeError
from tunesmith_plugins.adapters import files

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import nn

FILE = "adapter_model.safetensors"


class PeftBased(Adapter):
    """An adapter that one of peft's configurations describes; saved in peft's format."""

    @abstractmethod
    def config(self, model: "nn.Module") -> "PeftConfig":
        """The configuration for this base.

        Raises:
            RecipeError: An option does not fit the base.
        """

    @abstractmethod
    def refusal(self, model: "nn.Module", said: str) -> str:
        """What peft refuses, in words of the recipe.

        Args:
            model: The base.
            said: peft's own sentence.
        """

    def attach(self, model: "nn.Module") -> "nn.Module":
        """Freeze the base and add what trains.

        Raises:
            RecipeError: An option does not fit the base.
        """
        from tunesmith_plugins.adapters.late_compile import load_bitsandbytes

        load_bitsandbytes()
        from peft import get_peft_model

        config = self.config(model)
        with quiet():
            try:
                network: nn.Module = get_peft_model(model, config)
            except (ValueError, TypeError) as error:
                raise RecipeError(self.refusal(model, " ".join(str(error).split()))) from error
        return network

    def save(self, model: "nn.Module", directory: Path) -> None:
        """Write `adapter_model.safetensors` and `adapter_config.json`."""
        model.save_pretrained(directory, save_embedding_layers=False)  # type: ignore[operator]

    def load(self, model: "nn.Module", directory: Path) -> None:
        """Read the updates back, name by name."""
        from peft import get_peft_model_state_dict

        files.restore(directory / FILE, get_peft_model_state_dict(model, save_embedding_layers=False))

    def loading(self, base: str) -> str:
        """The base, and peft's updates over it."""
        return f"{base}\nfrom peft import PeftModel\nmodel = PeftModel.from_pretrained(model, directory)"

    def merge(self, model: "nn.Module") -> "nn.Module":
        """Fold the updates into the base's own weights; `model` is used up.

        Raises:
            RecipeError: The base is quantised: its grid would swallow the updates. Or it has one matrix for embeddings
                and head, and an update of one of them: it would be folded into both.
        """
        if getattr(model.get_base_model(), "is_quantized", False):  # type: ignore[operator]
            msg = "the base is quantised: folding the updates into its weights would round them away; keep the adapter"
            raise RecipeError(msg)
        check_ends(model)
        merged: nn.Module = model.merge_and_unload(safe_merge=True)  # type: ignore[operator]
        return merged

    @contextmanager
    def without(self, model: "nn.Module") -> Iterator[None]:
        """Context in which the updates are left out; peft's own switches `requires_grad` on afterwards (trap 45)."""
        trained = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
        model.base_model.disable_adapter_layers()  # type: ignore[union-attr, operator]
        try:
            yield
        finally:
            model.base_model.enable_adapter_layers()  # type: ignore[union-attr, operator]
            for parameter, flag in trained:
                parameter.requires_grad_(flag)


def check_ends(model: Any) -> None:
    """Refuse to fold an update of embeddings or head into the one matrix that both are.

    Raises:
        RecipeError: There is such an update.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    base = model.get_base_model()
    ends = [base.get_input_embeddings(), base.get_output_embeddings()]
    inner = [getattr(end, "base_layer", end) for end in ends]
    tied = None not in ends and inner[0].weight is inner[1].weight
    if tied and any(isinstance(end, BaseTunerLayer) for end in ends):
        msg = (
            f"embeddings and head of {type(base).__name__} are one matrix, into which an update of either would be "
            "folded for both; keep the adapter"
        )
        raise RecipeError(msg)


@contextmanager
def quiet() -> Iterator[None]:
    """Context without what peft warns of and no user could change."""
    with warnings.catch_warnings():
        # it asks transformers by a name that is going to be removed
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        # GPT-2's layers hold their weights transposed; peft sees it and says so
        warnings.filterwarnings("ignore", "fan_in_fan_out is set to False", UserWarning)
        # of a merge, which is refused then
        warnings.filterwarnings("ignore", "Model has `tie_word_embeddings=True` and a tied layer", UserWarning)
        # patterns for fused experts, which is where the updates are not where no target names them
        warnings.filterwarnings("ignore", "The following (rank|alpha)_pattern keys did not match", RuntimeWarning)
        yield
