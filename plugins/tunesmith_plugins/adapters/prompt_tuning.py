"""Trained embeddings before each text (Lester, Al-Rfou and Constant 2021, arXiv:2104.08691), by peft."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Self

from tunesmith import RecipeError
from tunesmith_plugins.adapters.prompt_based import PromptBased

if TYPE_CHECKING:
    from peft import PromptTuningConfig
    from torch import nn

_KEY = "model.adapter.init_args"


class PromptTuning(PromptBased):
    """Trains the embeddings of a few virtual tokens that stand before each text; saved in peft's format.

    The model reads `[P; x]` where it read `x` (arXiv:2104.08691); no weight of the base changes. The virtual tokens
    take places of the base's context, and what they say is as slow to learn as it is small: rates of 0.01 to 0.3.

    Since 0.13.

    Args:
        virtual_tokens: How many.
        init: What they begin as: `vocabulary` takes embeddings of tokens by chance, `text` those of `text`, `random`
            draws numbers.
        text: Words to begin with; they are repeated, or cut, to the number of virtual tokens.
    """

    def __init__(
        self,
        virtual_tokens: int = 20,
        init: Literal["vocabulary", "text", "random"] = "vocabulary",
        text: str | None = None,
    ) -> None:
        self.virtual_tokens = virtual_tokens
        self.init = init
        self.text = text

    @classmethod
    def trial_instances(cls) -> Sequence[Self]:
        """A few tokens, from the vocabulary and from a text."""
        return [cls(virtual_tokens=4), cls(5, init="text", text="Answer in few words.")]

    def check(self) -> None:
        """Refuse values out of range, and a text that nothing reads.

        Raises:
            RecipeError: Names the option.
        """
        if self.virtual_tokens < 1:
            msg = f"{_KEY}.virtual_tokens is {self.virtual_tokens}; it must be 1 or more"
            raise RecipeError(msg)
        if (self.text is not None) != (self.init == "text"):
            given = "is given, but init is" if self.text is not None else "is missing, which init needs:"
            msg = f"{_KEY}.text {given} {self.init}; {'set init to text' if self.text is not None else 'give a text'}"
            raise RecipeError(msg)

    def config(self, model: "nn.Module") -> "PromptTuningConfig":
        """As the options say."""
        from peft import PromptTuningConfig, PromptTuningInit, TaskType

        self.check()
        kinds = {
            "vocabulary": PromptTuningInit.SAMPLE_VOCAB,
            "text": PromptTuningInit.TEXT,
            "random": PromptTuningInit.RANDOM,
        }
        place: str = model.config._name_or_path  # type: ignore[assignment, union-attr]
        return PromptTuningConfig(
            task_type=TaskType.CAUSAL_LM,
            num_virtual_tokens=self.virtual_tokens,
            prompt_tuning_init=kinds[self.init],
            prompt_tuning_init_text=self.text,
            tokenizer_name_or_path=place if self.init == "text" else None,
        )

    def refusal(self, model: "nn.Module", said: str) -> str:
        """What peft refuses, in words of the recipe."""
        return f"{_KEY}.init is {self.init}: {said}"
