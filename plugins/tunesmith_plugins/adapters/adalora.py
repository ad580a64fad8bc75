"""Low-rank updates that share out their ranks while they train (Zhang et al. 2023, arXiv:2303.10512), by peft."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from tunesmith import RecipeError, Term
from tunesmith_plugins.adapters.lora_targets import KEY, find
from tunesmith_plugins.adapters.peft_based import PeftBased

if TYPE_CHECKING:
    from peft import AdaLoraConfig
    from torch import Tensor, nn

_NAME = "default"
_KINDS = ("exp_avg_ipt", "exp_avg_unc")
_LEFT = "tunesmith_left"  # 1 for each rank that is left, 0 for one that is taken


class AdaLoRA(PeftBased):
    """Trains updates in the form of a singular value decomposition, and takes ranks from matrices that need few.

    `W x` becomes `W x + alpha / start_rank P E Q x` with a diagonal `E`, of which the entries that matter least over
    all matrices become zero (arXiv:2303.10512, peft's AdaLoRA): none in the first steps, then more by a cubic schedule,
    until `rank` are left of each on average. `orthogonality` times the mean of `||P'P - I||` and `||QQ' - I||` is a
    part of the loss, logged as `reg/adapter`.

    Since 0.13.

    Args:
        rank: Ranks that are left at the end, a matrix on average.
        start_rank: Ranks of each matrix at the start.
        alpha: The updates are scaled by `alpha / start_rank`.
        dropout: Dropout on the updates' input while training.
        targets: Linear layers to update, by the ends of their names (`q_proj`, ...), whole names, or patterns
            (`layers.1?.mlp.*`); or `all-linear`: all but the head.
        warmup: Share of the run's steps before ranks are taken.
        final: Share of the run's steps after all are taken.
        interval: Steps from one taking to the next.
        orthogonality: Weight of the term that keeps `P` and `Q` orthogonal.
        smoothing: How much of the importance and of its uncertainty is kept from step to step.
    """

    def __init__(
        self,
        rank: int = 8,
        start_rank: int = 12,
        alpha: int = 32,
        dropout: float = 0.0,
        targets: list[str] | Literal["all-linear"] = "all-linear",
        warmup: float = 0.1,
        final: float = 0.3,
        interval: int = 1,
        orthogonality: float = 0.5,
        smoothing: float = 0.85,
    ) -> None:
        self.rank = rank
        self.start_rank = start_rank
        self.alpha = alpha
        self.dropout = dropout
        self.targets = targets
        self.warmup = warmup
        self.final = final
        self.interval = interval
        self.orthogonality = orthogonality
        self.smoothing = smoothing

    @classmethod
    def trial_instances(cls) -> Sequence[Self]:
        """A small one, which takes ranks in its second step."""
        return [cls(rank=2, start_rank=4, final=0.0)]

    def check(self) -> None:
        """Refuse values out of range.

        Raises:
            RecipeError: Names the option.
        """
        for name in ("rank", "alpha", "interval"):
            if getattr(self, name) < 1:
                msg = f"{KEY}.{name} is {getattr(self, name)}; it must be 1 or more"
                raise RecipeError(msg)
        if self.start_rank <= self.rank:
            msg = f"{KEY}.start_rank is {self.start_rank}, rank {self.rank}: there is nothing to take; give more"
            raise RecipeError(msg)
        for name, least, most in (("dropout", 0, 1), ("warmup", 0, 1), ("final", 0, 1), ("smoothing", 1e-9, 1)):
            if not least <= getattr(self, name) < most:
                low = "0 or more" if least == 0 else "above 0"
                msg = f"{KEY}.{name} is {getattr(self, name)}; it must be {low} and below 1"
                raise RecipeError(msg)
        if self.warmup + self.final >= 1:
            msg = f"{KEY}: warmup {self.warmup} and final {self.final} leave no steps to take ranks in; give less"
            raise RecipeError(msg)
        if self.orthogonality < 0:
            msg = f"{KEY}.orthogonality is {self.orthogonality}; it must be 0 or more"
            raise RecipeError(msg)

    def config(self, model: "nn.Module") -> "AdaLoraConfig":
        """As the options say; the steps are not known yet."""
        from peft import AdaLoraConfig, TaskType

        self.check()
        targets = find(model, self.targets)
        return AdaLoraConfig(
            init_r=self.start_rank,
            target_r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=targets.named,
            exclude_modules=targets.left_out,
            deltaT=self.interval,
            beta1=self.smoothing,
            beta2=self.smoothing,
            orth_reg_weight=self.orthogonality,
            total_step=1,
            task_type=TaskType.CAUSAL_LM,
        )

    def attach(self, model: "nn.Module") -> "nn.Module":
        """Freeze the base and add the updates, zero at the start.

        Raises:
            RecipeError: A target is no linear layer of this model, or none that text could train.
        """
        import torch

        network: Any = super().attach(model)
        _forget(network)
        entries = {n: p for n, p in network.base_model.model.named_parameters() if ".lora_E." in n}
        left = {name: torch.ones_like(entry, requires_grad=False) for name, entry in entries.items()}
        setattr(network.base_model.rankallocator, _LEFT, left)
        return network  # type: ignore[no-any-return]

    def refusal(self, model: "nn.Module", said: str) -> str:
        """What peft refuses, in words of the recipe."""
        return f"{KEY}.targets: {said}"

    def start(self, model: Any, steps: int | None) -> None:
        """Lay the schedule over the run's steps.

        Raises:
            RecipeError: The run has no known end, or weights lie in shards.
        """
        from torch.distributed.tensor import DTensor

        if steps is None:
            msg = "model.adapter: AdaLoRA shares ranks out over the run's steps; set trainer.max_epochs or max_steps"
            raise RecipeError(msg)
        if any(isinstance(parameter, DTensor) for parameter in model.parameters()):
            msg = "model.adapter: AdaLoRA compares ranks of whole matrices; weights in shards need another, as LoRA"
            raise RecipeError(msg)
        config = model.peft_config[_NAME]
        config.total_step = max(1, steps)
        config.tinit, config.tfinal = int(self.warmup * steps), int(self.final * steps)
        allocator = model.base_model.rankallocator
        for kind in ("ipt", *_KINDS, _LEFT):
            held = getattr(allocator, kind)
            setattr(allocator, kind, {name: tensor.to(model.device) for name, tensor in held.items()})

    def penalty(self, model: "nn.Module") -> Term | None:
        """How far the updates' two sides are from orthogonal."""
        import torch

        norms = []
        for name, side in model.named_parameters():
            if ".lora_A." in name or ".lora_B." in name:
                products = side @ side.T if ".lora_A." in name else side.T @ side
                norms.append(torch.linalg.norm(products - torch.eye(len(products), device=side.device)))
        return Term(self.orthogonality * torch.stack(norms).mean(), "step")

    def after_step(self, model: Any, step: int) -> None:
        """Note which entries matter, and take ranks where it is due."""
        config, left = model.peft_config[_NAME], getattr(model.base_model.rankallocator, _LEFT)
        if config.rank_pattern is None:  # before the first taking, or resumed after it
            config.rank_pattern = {name: entries.view(-1).bool().tolist() for name, entries in left.items()}
        model.base_model.update_and_allocate(step)
        for name, entries in config.rank_pattern.items():
            left[name].copy_(left[name].new_tensor(entries).view(-1, 1))

    def kept(self, model: Any) -> "Mapping[str, Tensor]":
        """Importance of each weight so far, its uncertainty, and which ranks are left."""
        allocator = model.base_model.rankallocator
        if not allocator.ipt:  # after the last taking nobody asks for them
            _forget(model)
        return {f"{kind}.{n}": t for kind in (*_KINDS, _LEFT) for n, t in sorted(getattr(allocator, kind).items())}

    def save(self, model: "nn.Module", directory: Path) -> None:
        """Write `adapter_model.safetensors` and `adapter_config.json`; ranks that were taken are zeros."""
        with _whole(model):
            super().save(model, directory)

    def load(self, model: "nn.Module", directory: Path) -> None:
        """Read the updates back, name by name."""
        with _whole(model):
            super().load(model, directory)


@contextmanager
def _whole(model: Any) -> Iterator[None]:
    """Context in which peft leaves the tensors as wide as they are; it would cut what was taken off, in place."""
    config = model.peft_config[_NAME]
    pattern, config.rank_pattern = config.rank_pattern, None
    try:
        yield
    finally:
        config.rank_pattern = pattern


def _forget(model: Any) -> None:
    """Begin to note importance, on the weights' device; peft would begin at the first step."""
    import torch

    allocator = model.base_model.rankallocator
    sides = {n: p for n, p in model.base_model.model.named_parameters() if "lora_" in n and f".{_NAME}" in n}
    for kind in ("ipt", *_KINDS):
        setattr(allocator, kind, {name: torch.zeros_like(side, requires_grad=False) for name, side in sides.items()})
