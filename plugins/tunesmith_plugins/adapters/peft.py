"""Every other method of peft, by its name."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from tunesmith import RecipeError
from tunesmith_plugins.adapters import files, peft_options, prompt_based
from tunesmith_plugins.adapters.peft_based import FILE, PeftBased
from tunesmith_plugins.adapters.prompt_based import NO_MERGE

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import nn

_KEY = "model.adapter.init_args"
_PROMPTS = ("PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING")
_REFUSED = {
    "ADALORA": "take the adapter AdaLoRA, which follows the run's steps and adds its term to the loss",
    "CARTRIDGE": "it begins with keys and values of a text that is read first, which nobody gives it here",
    "CPT": "it learns by a loss of its own, on tokens of the prompt too",
    "LILY": "its routers take a mean over all tokens of a batch, so that texts would change each other's answers",
    "LORA": "take the adapter LoRA, which runs it in fewer passes over memory",
    "MULTITASK_PROMPT_TUNING": "it asks for the number of a task with every row",
    "POLY": "it asks for the number of a task with every row",
    "SHADOW": "it runs a second model beside the base, with a cache and a loss of its own",
    "XLORA": "it mixes adapters that are trained already",
}
_NEVER_FOLDED = ("ADAPTION_PROMPT", "BEFT")
_Value = bool | int | float | str | list[int] | list[str] | dict[str, int] | dict[str, float] | None


class Peft(PeftBased):
    """Any other method of peft, by the name and with the options that peft documents; saved in peft's format.

    `{method: IA3}`, `{method: VERA, options: {r: 64}}`, `{method: P_TUNING, options: {num_virtual_tokens: 20}}`. Tried
    with every base of the tests are ADAMSS, ADAPTION_PROMPT, BEFT, BOFT, C3A, DEFT, DELORA, FOURIERFT, FROD, GLORA,
    GRALORA, HIRA, HRA, IA3, LN_TUNING, LOHA, LOKR, MISS, OFT, OSF, P_TUNING, PEANUT, PREFIX_TUNING, PROMPT_TUNING,
    PSOFT, PVERA, RANDLORA, ROAD, SHIRA, SUPERTUNING, TINYLORA, TRAINABLE_TOKENS, UNILORA, VBLORA, VERA and WAVEFT.
    Refused, with the reason, are ADALORA and LORA, which are adapters of their own, CARTRIDGE, CPT, LILY,
    MULTITASK_PROMPT_TUNING, POLY, SHADOW and XLORA.

    Since 0.13.

    Args:
        method: Its name in peft, in any case.
        options: Fields of its configuration class in peft, by name. Without `target_modules` peft takes what its
            authors took for the base's family.
    """

    def __init__(self, method: str, options: dict[str, _Value] | None = None) -> None:
        self.method = method
        self.options = options

    @classmethod
    def trial_instances(cls) -> Sequence[Self]:
        """One that scales, one whose layers share tables, and one with virtual tokens."""
        shared: dict[str, _Value] = {"r": 8, "target_modules": ["q_proj", "v_proj"]}
        tokens: dict[str, _Value] = {"num_virtual_tokens": 3, "encoder_hidden_size": 8}
        return [cls("IA3"), cls("VERA", shared), cls("P_TUNING", tokens)]

    @property
    def layout(self) -> Literal["ragged", "padded"]:  # type: ignore[override]
        """Prefixes run padded."""
        return "ragged" if self.recomputable else "padded"

    @property
    def recomputable(self) -> bool:  # type: ignore[override]
        """Whether activations may be computed again."""
        return self.method.upper() != "PREFIX_TUNING"

    @property
    def virtual_tokens(self) -> int:  # type: ignore[override]
        """How many virtual tokens stand before each document."""
        count = (self.options or {}).get("num_virtual_tokens")
        return count if self._prompts and isinstance(count, int) else 0

    def check(self) -> None:
        """Refuse methods that cannot train here, and options that peft does not have.

        Raises:
            RecipeError: Names the option, and what peft takes.
        """
        self._made()

    def config(self, model: "nn.Module") -> "PeftConfig":
        """As the options say."""
        return self._made()

    def attach(self, model: "nn.Module") -> "nn.Module":
        """Freeze the base and add what trains.

        Raises:
            RecipeError: An option does not fit the base.
        """
        return prompt_based.add_prompt(self, model) if self._prompts else super().attach(model)

    def save(self, model: "nn.Module", directory: Path) -> None:
        """Write `adapter_model.safetensors` and `adapter_config.json`."""
        if self._prompts:
            prompt_based.save_prompt(model, directory)
        else:
            super().save(model, directory)

    def load(self, model: "nn.Module", directory: Path) -> None:
        """Read back what was trained, name by name."""
        if self._prompts:
            prompt_based.load_prompt(model, directory)
            return
        from peft import get_peft_model_state_dict, set_peft_model_state_dict

        own = get_peft_model_state_dict(model, save_embedding_layers=False)
        set_peft_model_state_dict(model, files.read(directory / FILE, own))

    def loading(self, base: str) -> str:
        """The base, and peft's updates over it."""
        lines = super().loading(base)
        return f"{lines}\n{prompt_based.GENERATES}" if self._prompts else lines

    def merge_refusal(self) -> str:
        """Of virtual tokens, and of methods that peft cannot fold into the base's weights."""
        if self._prompts:
            return NO_MERGE
        if self.method.upper() in _NEVER_FOLDED:
            return f"{_KEY}.method is {self.method}, which peft cannot fold into the base; keep the adapter"
        return ""

    def merge(self, model: "nn.Module") -> "nn.Module":
        """Fold what was trained into the base's own weights; `model` is used up.

        Raises:
            RecipeError: The method has nothing that a plain model could hold; or as other adapters' over a packed base.
        """
        if self._prompts:
            raise RecipeError(NO_MERGE)
        try:
            return super().merge(model)
        except (ValueError, NotImplementedError, AttributeError, TypeError) as error:
            msg = f"peft cannot fold {self.method} into the base: {' '.join(str(error).split())}; keep the adapter"
            raise RecipeError(msg) from error

    @contextmanager
    def without(self, model: "nn.Module") -> Iterator[None]:
        """Context in which the base alone is computed."""
        with prompt_based.without_prompt(model) if self._prompts else super().without(model):
            yield

    def refusal(self, model: "nn.Module", said: str) -> str:
        """What peft refuses, in words of the recipe."""
        if "specify `target_modules`" in said:
            said = f"peft has no targets for {type(model).__name__}; give target_modules, or all-linear as them"
        return f"{_KEY}.options: {said}"

    @property
    def _prompts(self) -> bool:
        """Whether it puts virtual tokens before texts."""
        return self.method.upper() in _PROMPTS

    def _made(self) -> "PeftConfig":
        key = f"{_KEY}.options"
        if why := _REFUSED.get(self.method.upper()):
            msg = f"{_KEY}.method is {self.method}, which cannot be trained by this adapter: {why}"
            raise RecipeError(msg)
        cls = peft_options.find_class(self.method, f"{_KEY}.method")
        options: dict[str, Any] = dict(self.options or {})
        made = peft_options.make(cls, options, key)
        if options.get("bias", "none") != "none":
            msg = (
                f"{key}.bias is {options['bias']}: biases of the base would train, and stay where the rest is switched "
                "off for a comparison with it; leave it out, or take the adapter BitFit"
            )
            raise RecipeError(msg)
        if options.get("use_asa"):
            msg = f"{key}.use_asa is true, which asks for a callback of peft's trainer; leave it out"
            raise RecipeError(msg)
        if self._prompts and not self.virtual_tokens:
            msg = f"{key}.num_virtual_tokens is missing; give a number, 20 is a common start"
            raise RecipeError(msg)
        return made
