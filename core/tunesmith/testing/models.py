"""A tiny random model on the real training path, for plugins that need one. Imports torch: not at import of the kit."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor, nn

from tunesmith.data.batch import Batch, Window
from tunesmith.data.collate import collate
from tunesmith.data.drawing import drawing
from tunesmith.data.encode import encode_split
from tunesmith.data.encoded import Encoded
from tunesmith.data.encoded_rows import EncodedRow
from tunesmith.data.example import Example
from tunesmith.errors import RowError
from tunesmith.plugins.interfaces import Adapter, Objective, Regularizer, Renderer
from tunesmith.testing.base import base_to_train, probed_base, quiet, tiny_base
from tunesmith.testing.material import examples
from tunesmith.training import folder
from tunesmith.training.attach import Attached, Untouched, attach_to
from tunesmith.training.forward import Chunk, Forward, Term
from tunesmith.training.kernels import choosing
from tunesmith.training.optimizer import build, parameter_groups
from tunesmith.training.probing import training_pass
from tunesmith.training.randomness import seeded
from tunesmith.training.specialist import Specialist
from tunesmith.training.with_base import Pretrained

_RATE = 0.02


class NextToken(Objective):
    """Cross-entropy of conversations, texts and both sides of pairs: what adapters and regularizers are tried with."""

    def encode(self, example: Example, renderer: Renderer) -> list[Encoded]:
        """One sequence, or the two of a pair.

        Raises:
            RowError: It has no content.
        """
        if example.chosen:
            return [renderer.conversation(turns, example.tools) for turns in (example.chosen, example.rejected)]
        if example.segments:
            return [renderer.text([(piece.text, piece.weight) for piece in example.segments])]
        if not example.messages:
            field = "messages"
            raise RowError(field, "is empty")
        return [renderer.conversation(example.messages, example.tools)]

    def loss(self, forward: Forward) -> Term:
        """Sum over supervised tokens."""

        def term(chunk: Chunk) -> Tensor:
            losses = F.cross_entropy(forward.head(chunk.hidden).float(), chunk.targets, reduction="none")
            return losses @ chunk.weights

        return Term(forward.total(term), "token")


class AllWeights(Adapter):
    """Every weight trains, and comparisons take a second copy: what objectives and regularizers are tried with."""

    switchable = False

    def attach(self, model: nn.Module) -> nn.Module:
        """Let all train."""
        return model.requires_grad_(True)

    def save(self, model: nn.Module, directory: Path) -> None:
        """Nothing is kept of it."""
        raise NotImplementedError

    def load(self, model: nn.Module, directory: Path) -> None:
        """Nothing is kept of it."""
        raise NotImplementedError


class NoAdapter(AllWeights):
    """The base as an adapter loads it, with nothing attached.

    Args:
        adapter: Says how the base is loaded.
    """

    def __init__(self, adapter: Adapter) -> None:
        self.adapter = adapter

    def load_options(self) -> dict[str, Any]:
        """The other's."""
        return self.adapter.load_options()

    def attach(self, model: nn.Module) -> nn.Module:
        """Freeze all."""
        return model.requires_grad_(False)


@functools.cache
def base_names() -> frozenset[str]:
    """Names of the tiny base's parameters."""
    with safe_open(Path(tiny_base()) / "model.safetensors", framework="pt") as file:
        return frozenset(file.keys())


class _Tried(Specialist):
    """Attaches to a copy of a base that is loaded once; the baseline only for plugins that ask for it, and silently."""

    def _attach(
        self, adapter: Adapter, regularizers: Mapping[str, Regularizer], base: Pretrained | None = None
    ) -> Attached:
        if adapter.load_options() or self.objective.model_class != "causal":
            return super()._attach(adapter, regularizers, base)
        with choosing(self.kernels):
            if not isinstance(adapter, AllWeights | Untouched):
                return attach_to(*base_to_train(), self.objective, adapter, regularizers)
            model, tokenizer, probed = probed_base()
            return attach_to(model, tokenizer, self.objective, adapter, regularizers, probed=probed)

    def load_baseline(self) -> nn.Module:
        """The copy."""
        with seeded(1), quiet():
            return super().load_baseline()


def specialist(
    adapter: Adapter | None = None,
    objective: Objective | None = None,
    regularizers: Mapping[str, Regularizer] | None = None,
    seed: int = 1,
) -> Specialist:
    """The tiny base with a method attached, as a recipe makes it, in fp32."""
    parts = objective or NextToken(), adapter or AllWeights(), dict(regularizers or {})
    module = _Tried(tiny_base(), *parts, precision="fp32")
    with seeded(seed), quiet():
        module.load()
    return module


def encoded(module: Specialist, given: Sequence[Example] | None = None) -> list[EncodedRow]:
    """The rows that the module's objective makes of examples of all shapes."""
    split = encode_split(examples() if given is None else given, module.objective, module.renderer, None)
    return list(split.rows)


def batch_of(module: Specialist, rows: Sequence[EncodedRow]) -> Batch:
    """One micro-batch, which is a whole window; where a regularizer takes rows of its own, these are the same."""
    counts: dict[str, int] = {"step": 1}
    for row in rows:
        for unit, number in row.units.items():
            counts[unit] = counts.get(unit, 0) + number
    own = [f"reg/{name}" for name, one in module.regularizers.items() if one.own_share() > 0]
    draw = drawing(module.objective, module.renderer, 0)
    alone = replace(collate(rows, draw=draw), window=Window(counts, 1))
    window = Window(counts, 1, beside=dict.fromkeys(own, counts))
    batch = replace(alone, window=window, beside=dict.fromkeys(own, alone))
    return batch.to(next(module.network.parameters()).device)


def train(module: Specialist, rows: Sequence[EncodedRow], steps: int = 2) -> set[str]:
    """Take optimizer steps as a run does; returns the names of the parameters that had a gradient other than zero."""
    module.train()
    trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
    groups = parameter_groups(list(trained.values()), module.adapter.groups(module.network))
    optimizer = build(lambda parameters: torch.optim.AdamW(parameters, lr=_RATE), groups)
    moved: set[str] = set()
    batch = batch_of(module, rows)
    module.adapter.start(module.network, steps)
    for step in range(1, steps + 1):
        training_pass(module, batch)
        moved |= {name for name, p in trained.items() if p.grad is not None and bool(p.grad.count_nonzero())}
        optimizer.step()
        module.adapter.after_step(module.network, step)
        optimizer.zero_grad(set_to_none=True)
    return moved


def move(module: Specialist) -> None:
    """Change every trained weight a little, so that tuned and base are two models."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in module.network.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))


@functools.cache
def warm() -> None:
    """Run a method of the kit's own once, so that libraries make their caches before a plugin's writes are watched."""
    module = specialist()
    train(module, encoded(module)[:2])


def save(module: Specialist, directory: Path) -> None:
    """Write the adapter as a run does."""
    assert module.attached is not None
    with quiet():
        folder.save(directory, module.adapter, module.attached)


def load(module: Specialist, directory: Path) -> None:
    """Read what `save` wrote."""
    with quiet():
        module.load_adapter(directory)


@torch.no_grad()
def logits(module: Specialist, batch: Batch) -> Tensor:
    """Logits of all tokens in evaluation, by the real pass."""
    module.eval()
    forward = module.passes(batch)
    return forward.head(forward.hidden).float()


def distance(one: Tensor, two: Tensor) -> float:
    """The largest difference, over the largest value."""
    return float((one - two).abs().max() / two.abs().max().clamp(min=1e-12))
