"""How answers are decoded: the recipe's top-level key `generation`."""

import json
import math
from dataclasses import dataclass, field

from tunesmith.errors import RecipeError


@dataclass
class Generation:
    """How answers are decoded by `test`, `predict` and audits.

    What the base itself ships as sampling defaults (`generation_config.json`) is not applied: a comparison needs one
    rule for both models.

    Args:
        max_new_tokens: Most tokens of an answer; one that is cut there is marked as not stopped by itself.
        temperature: 0 decodes greedily; above it, tokens are sampled, each row with a seed of its own.
        stop: Texts that end an answer, and are not part of it, besides the template's end of turn.
        batch_size: Prompts decoded at once at most, and fewer where they are long; changes speed and memory, never the
            answers.
        cache: Whether answers of `test`, `validate` and audits are kept beside the runs, so that the same weights need
            not answer the same again; those of an endpoint by its address and the model's name. Since 0.12.
    """

    max_new_tokens: int = 256
    temperature: float = 0.0
    stop: list[str] = field(default_factory=list)
    batch_size: int = 64
    cache: bool = True

    @property
    def way(self) -> str:
        """What of it decides an answer."""
        return json.dumps([self.max_new_tokens, self.temperature, self.stop])

    def check(self) -> None:
        """Check the values.

        Raises:
            RecipeError: A value is out of its range; names the key.
        """
        for key in ("max_new_tokens", "batch_size"):
            if getattr(self, key) < 1:
                msg = f"generation.{key} is {getattr(self, key)}; it must be 1 or more"
                raise RecipeError(msg)
        if not (self.temperature >= 0 and math.isfinite(self.temperature)):
            msg = f"generation.temperature is {self.temperature}; it must be 0 (greedy) or more"
            raise RecipeError(msg)
        if "" in self.stop:
            msg = "generation.stop holds an empty text, which would end every answer at once; remove it"
            raise RecipeError(msg)
