"""Trained keys and values before each text (Li and Liang 2021, arXiv:2101.00190), by peft."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from tunesmith import RecipeError
from tunesmith_plugins.adapters.prompt_based import PromptBased

if TYPE_CHECKING:
    from peft import PrefixTuningConfig
    from torch import nn

_KEY = "model.adapter.init_args"


class PrefixTuning(PromptBased):
    """Trains keys and values that each layer's attention sees before each text; saved in peft's format.

    Attention reads `[K'; K]` and `[V'; V]` (arXiv:2101.00190); no weight of the base changes. Batches are padded, and
    activations cannot be computed again in backward.

    Since 0.13.

    Args:
        virtual_tokens: How many.
        projection: Whether keys and values are made from embeddings by a network of two layers, which the paper found
            steadier to train; saved is what it makes.
        projection_size: Width between the two layers.
        init: `zero` begins with values that add nothing; `random` as the paper does.
    """

    layout: ClassVar[Literal["ragged", "padded"]] = "padded"
    recomputable = False

    def __init__(
        self,
        virtual_tokens: int = 20,
        projection: bool = False,
        projection_size: int = 512,
        init: Literal["random", "zero"] = "random",
    ) -> None:
        self.virtual_tokens = virtual_tokens
        self.projection = projection
        self.projection_size = projection_size
        self.init = init

    @classmethod
    def trial_instances(cls) -> Sequence[Self]:
        """A few tokens, as a table and made by a network."""
        return [cls(virtual_tokens=4), cls(3, projection=True, projection_size=8)]

    def check(self) -> None:
        """Refuse values out of range.

        Raises:
            RecipeError: Names the option.
        """
        for name in ("virtual_tokens", "projection_size"):
            if getattr(self, name) < 1:
                msg = f"{_KEY}.{name} is {getattr(self, name)}; it must be 1 or more"
                raise RecipeError(msg)

    def config(self, model: "nn.Module") -> "PrefixTuningConfig":
        """As the options say."""
        from peft import PrefixTuningConfig, TaskType

        self.check()
        return PrefixTuningConfig(
            task_type=TaskType.CAUSAL_LM,
            num_virtual_tokens=self.virtual_tokens,
            prefix_projection=self.projection,
            encoder_hidden_size=self.projection_size,
            init_weights="zero" if self.init == "zero" else None,
        )

    def refusal(self, model: "nn.Module", said: str) -> str:
        """What peft refuses, in words of the recipe."""
        return f"model.adapter: {said}"
