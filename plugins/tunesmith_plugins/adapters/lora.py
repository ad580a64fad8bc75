"""Low-rank adapters (Hu et al. 2021), by peft, and what was built on them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from tunesmith import RecipeError, fused_kernels
from tunesmith_plugins.adapters import lora_start
from tunesmith_plugins.adapters.ends import tie_saved, token_rows
from tunesmith_plugins.adapters.lora_targets import EXPERTS, KEY, check_left_out, find, linear_names
from tunesmith_plugins.adapters.peft_based import PeftBased
from tunesmith_plugins.adapters.task import task_of

if TYPE_CHECKING:
    from peft import LoraConfig
    from torch import nn

# peft takes what these begin with out of the base's weights.
_FROM_THE_BASE = ("pissa", "olora")


class LoRA(PeftBased):
    """Trains a low-rank update of each targeted matrix; saved in peft's format.

    `W x` becomes `W x + alpha / rank B A x` with `A` of `rank` rows (arXiv:2106.09685). `rslora` divides by the root of
    the rank (arXiv:2312.03732); `dora` learns the length of each row of `W + B A` apart (arXiv:2402.09353); `lr_ratio`
    is LoRA+'s (arXiv:2402.12354); `init: pissa` begins with the largest singular directions of `W` (arXiv:2404.02948),
    `olora` with those of a QR decomposition (arXiv:2406.01775): both leave nothing to switch off, and are saved as
    plain LoRA of twice the rank. EVA, CorDA and LoRA-GA need a pass over data first, and are not offered.

    Since 0.1.

    Args:
        rank: Rank of the updates.
        alpha: The updates are scaled by `alpha / rank`.
        dropout: Dropout on the updates' input while training.
        targets: Linear layers to update, by the ends of their names (`q_proj`, ...), whole names, or patterns
            (`layers.1?.mlp.*`); or `all-linear`: all but the head, and but `out_proj` and `dt_proj` in Mamba's layers,
            which read their weights past the layer. Of Mixtral and of mixtures built like Qwen2-MoE, experts and
            routers too, which are tensors without a layer: with `dropout` 0 only. Never layers that no text reaches
            (a tower for pictures).
        exclude: Names or patterns of what is left out of `targets`. Since 0.13.
        layers: Numbers of the decoder layers that are updated, from 0; negative ones count from the last. Since 0.13.
        rslora: Scale by `alpha / sqrt(rank)` instead. Since 0.13.
        dora: Train the length of each row of the weights as well; half as fast. Since 0.13.
        init: What the updates begin with. Since 0.13.
        pissa_iterations: Of a fast, approximate decomposition for `pissa`; an exact one, which takes minutes for
            billions of weights, without it. Since 0.13.
        lr_ratio: The learning rate of `B` over that of `A`; LoRA+ found 16 good. Since 0.13.
        modules_to_save: Modules that train with all their weights beside the updates (`lm_head`). Since 0.13.
        trainable_tokens: Tokens, or their ids, whose rows of embeddings and head train, as of those that were added to
            the base. Since 0.13.
    """

    def __init__(
        self,
        rank: int = 16,
        alpha: int = 32,
        dropout: float = 0.0,
        targets: list[str] | Literal["all-linear"] = "all-linear",
        exclude: list[str] | None = None,
        layers: list[int] | None = None,
        rslora: bool = False,
        dora: bool = False,
        init: Literal["default", "gaussian", "orthogonal", "pissa", "olora"] = "default",
        pissa_iterations: int | None = None,
        lr_ratio: float | None = None,
        modules_to_save: list[str] | None = None,
        trainable_tokens: list[int | str] | None = None,
    ) -> None:
        self.rank = rank
        self.alpha = alpha
        self.dropout = dropout
        self.targets = targets
        self.exclude = exclude
        self.layers = layers
        self.rslora = rslora
        self.dora = dora
        self.init: str = init
        self.pissa_iterations = pissa_iterations
        self.lr_ratio = lr_ratio
        self.modules_to_save = modules_to_save
        self.trainable_tokens = trainable_tokens

    @classmethod
    def trial_instances(cls) -> Sequence[Self]:
        """A small one, and one with all that goes together."""
        rich = cls(4, exclude=["up_proj"], layers=[-1], rslora=True, dora=True, lr_ratio=4.0, trainable_tokens=[3, 5])
        return [cls(rank=4), rich, cls(rank=4, init="pissa", modules_to_save=["lm_head"])]

    @property
    def switchable(self) -> bool:  # type: ignore[override]
        """Whether the base is whole without the updates."""
        return self.init not in _FROM_THE_BASE

    def check(self) -> None:
        """Refuse values out of range, and what does not go together.

        Raises:
            RecipeError: Names the option, and what to do.
        """
        for name, least in (("rank", 1), ("alpha", 1), ("pissa_iterations", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                why = ", or the updates have no effect" if name == "alpha" else ""
                msg = f"{KEY}.{name} is {value}; it must be {least} or more{why}"
                raise RecipeError(msg)
        if not 0 <= self.dropout < 1:
            msg = f"{KEY}.dropout is {self.dropout}; it must be 0 or more and below 1"
            raise RecipeError(msg)
        if self.lr_ratio is not None and not self.lr_ratio > 0:
            msg = f"{KEY}.lr_ratio is {self.lr_ratio}; it must be above 0: 16 is LoRA+'s own, 1 is plain LoRA"
            raise RecipeError(msg)
        if self.pissa_iterations is not None and self.init != "pissa":
            msg = f"{KEY}.pissa_iterations is {self.pissa_iterations}, but init is {self.init}; set init to pissa"
            raise RecipeError(msg)
        if self.dora and self.init in _FROM_THE_BASE:
            msg = (
                f"{KEY}.dora does not go with init {self.init}, which is saved as a plain update of the untouched "
                "base: the lengths of DoRA's rows are those of a changed one; leave init at default"
            )
            raise RecipeError(msg)
        if self.init == "orthogonal" and self.rank % 2:
            msg = f"{KEY}.rank is {self.rank}; init orthogonal needs an even one"
            raise RecipeError(msg)

    def config(self, model: "nn.Module") -> "LoraConfig":
        """As the options say."""
        from peft import LoraConfig

        self.check()
        targets = find(model, self.targets, self.exclude or (), self.layers)
        return LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=targets.named,
            exclude_modules=targets.left_out,
            use_rslora=self.rslora,
            use_dora=self.dora,
            init_lora_weights=self._begin(),
            task_type=task_of(model),
            trainable_token_indices=token_rows(model, self.trainable_tokens, f"{KEY}.trainable_tokens"),
            **tie_saved(model, self.modules_to_save, f"{KEY}.modules_to_save"),
        )

    def attach(self, model: "nn.Module") -> "nn.Module":
        """Freeze the base and add the updates.

        Raises:
            RecipeError: A target is no linear layer of this model, or none that text could train.
        """
        attached = super().attach(model)  # which loads bitsandbytes, before anything else does
        from tunesmith_plugins.adapters.fused_lora import fuse
        from tunesmith_plugins.adapters.fused_mlp import fuse_mlps
        from tunesmith_plugins.adapters.fused_shared import share

        check_left_out(attached, attached.peft_config["default"].exclude_modules)  # type: ignore[union-attr,index]
        if not self.switchable:
            lora_start.note(attached, f"{KEY}.init", self.init)
        if fused_kernels():
            fuse(attached)
            share(attached)
            fuse_mlps(attached)
        return attached

    def save(self, model: "nn.Module", directory: Path) -> None:
        """Write `adapter_model.safetensors` and `adapter_config.json`."""
        if self.switchable:
            super().save(model, directory)
        else:
            lora_start.save(model, directory)

    def load(self, model: "nn.Module", directory: Path) -> None:
        """Read the updates back, name by name."""
        if self.switchable:
            super().load(model, directory)
        else:
            lora_start.load(model, directory)

    def merge(self, model: "nn.Module") -> "nn.Module":
        """Fold the updates into the base's own weights; `model` is used up.

        Raises:
            RecipeError: The base is quantised: its grid would swallow the updates. Or it has one matrix for embeddings
                and head, and an update of one of them: it would be folded into both.
        """
        from tunesmith_plugins.adapters.fused_lora import unfuse
        from tunesmith_plugins.adapters.fused_mlp import unfuse_mlps

        unfuse_mlps(model)
        unfuse(model)
        return super().merge(model)

    def groups(self, model: "nn.Module") -> list[dict[str, Any]] | None:
        """LoRA+: `B` has a learning rate of its own."""
        if self.lr_ratio is None:
            return None
        ups = [p for name, p in model.named_parameters() if p.requires_grad and ".lora_B." in name]
        return [{"params": ups, "lr_scale": self.lr_ratio}]

    def refusal(self, model: "nn.Module", said: str) -> str:
        """What peft refuses, in words of the recipe."""
        if "lora_dropout" not in said:
            return f"{KEY}.targets: {said}"
        plain = sorted(linear_names(model) - EXPERTS - {"lm_head"})
        return (
            f"{KEY}.dropout is {self.dropout}, but {type(model).__name__} holds its experts in "
            f"tensors without a layer, where peft drops nothing out\nset it to 0.0, or leave the experts out: targets: "
            f"[{', '.join(plain)}]"
        )

    def _begin(self) -> Any:
        """`init` in peft's words."""
        if self.init == "pissa" and self.pissa_iterations is not None:
            return f"pissa_niter_{self.pissa_iterations}"
        return {"default": True, "loftq": True}.get(self.init, self.init)  # LoftQ's is found when all is there
