"""The decoder layers as compiled kernels (torch.compile), whatever the lengths of a batch, compiled once.

Norms, rotations, activations and the casts of a mixed-precision pass are fused; attention stays outside, a kernel of
its own. On a CPU that takes minutes and gains nothing over the derivatives that are written out (SmolLM2-135M in bf16:
2.84 ms of processor time a token, 2.82 without), so that `auto` does not. It happens before the first step, from two
batches of fixed shapes: after them nothing is compiled any more, and what the kernels do not cover (validation, a pass
without the adapter) runs as if there were none. A resumed run thus compiles the same kernels, and goes on bit by bit.
"""

import os
import shutil
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch._dynamo import config as dynamo
from transformers import AttentionInterface, PreTrainedModel

from tunesmith.data.batch import Batch
from tunesmith.errors import RecipeError
from tunesmith.training.attention import FUNCTIONS
from tunesmith.training.probe import documents_of
from tunesmith.training.randomness import seeded
from tunesmith.training.sharding import layers

Compile = Literal["auto"] | bool

# Variants of a layer at most: with and without gradients of its input, dropout, ...
_KINDS = 8
# Documents of the batches that are compiled from: no two sizes in them are equal, or they would be taken for one.
_SHAPES = ((61, 47), (83, 41, 29))


class Choice(NamedTuple):
    """Whether layers are compiled, and the reason in a few words."""

    on: bool
    why: str


class Setting(NamedTuple):
    """What the choice depends on.

    Attributes:
        device: Where the model runs.
        recomputed: Whether activations are computed again in backward.
        sharded: Whether weights are sharded over ranks.
    """

    device: torch.device
    recomputed: bool
    sharded: bool


def choose(wanted: Compile, at: Setting) -> Choice:
    """Decide what `auto` means here, and refuse what cannot be.

    Raises:
        RecipeError: `true`, where it cannot be done.
    """
    against = _hindrance(at)
    if wanted is True:
        if against:
            msg = f"model.compile is true, but {against}; leave it to auto, which compiles only where it can"
            raise RecipeError(msg)
        return Choice(True, "asked for")
    if wanted is False:
        return Choice(False, "asked for")
    if against:
        return Choice(False, against)
    if at.device.type == "cpu":
        return Choice(False, "it gains nothing on a CPU")
    return Choice(False, "its gain here was never measured")


def _hindrance(at: Setting) -> str:
    if at.sharded:
        return "weights are sharded"
    if at.recomputed:
        return "activations are computed again in backward (model.gradient_checkpointing)"
    if at.device.type == "cpu" and not any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "clang++")):
        return "there is no C++ compiler (g++ or clang++)"
    if at.device.type == "cuda" and find_spec("triton") is None:
        return "the package triton is missing"
    return ""


class Compiling(Callback):
    """Compiles a Specialist's decoder layers before the first step, and takes the kernels away after the last.

    Args:
        choice: Whether, and why.
    """

    def __init__(self, choice: Choice) -> None:
        self.choice = choice
        self._layers: list[nn.Module] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compile.

        Raises:
            RecipeError: It fails.
        """
        if not self.choice.on:
            return
        try:
            self._layers = compile_layers(pl_module.passes.model, lambda batch: trial(pl_module, batch))  # type: ignore[arg-type,union-attr]
        except (torch._dynamo.exc.TorchDynamoException, RuntimeError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
            msg = f"model.compile is true, but the layers cannot be compiled: {reason}; leave it to auto"
            raise RecipeError(msg) from error

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the kernels away: what follows runs as it always does."""
        release(self._layers)
        self._layers = []

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Take the kernels away."""
        self.on_train_end(trainer, pl_module)


def compile_layers(model: PreTrainedModel, run: Callable[[Batch], Any]) -> list[nn.Module]:
    """Compile the decoder layers for all lengths; from now on nothing else is compiled.

    Args:
        model: Its layers are compiled in place.
        run: A forward and backward pass over a micro-batch, which leaves no trace.

    Returns:
        The layers, for `release`.

    Raises:
        RuntimeError: There is nothing to compile, or it fails; the layers are as before.
    """
    found = layers(model)[1:]  # the first one's input has no gradient: it would have to be compiled apart
    if not found:
        msg = f"{type(model).__name__} has no second layer, or does not say which of its modules are layers"
        raise RuntimeError(msg)
    vocabulary = int(model.config.get_text_config().vocab_size)
    # traced, the loop over documents would be unrolled for one number of them
    for name, function in FUNCTIONS.items():
        AttentionInterface.register(name, torch.compiler.disable(function))  # type: ignore[no-untyped-call]
    try:
        # each layer is compiled for itself; beyond torch's limit, 8, the others would stay as they are, silently
        with (
            warnings.catch_warnings(),
            dynamo.patch(recompile_limit=_KINDS * len(found), accumulated_recompile_limit=2**20),
        ):
            warnings.simplefilter("ignore")  # torch's own modules use what torch deprecates
            for layer in found:
                layer.compile(dynamic=True)
            for lengths in _SHAPES:
                run(documents_of(lengths, vocabulary).to(model.device))
    except BaseException:
        release(found)
        raise
    torch.compiler.set_stance("eager_on_recompile")
    return found


def release(compiled: Sequence[nn.Module]) -> None:
    """Give the layers back as they were."""
    if not compiled:
        return
    for layer in compiled:
        layer._compiled_call_impl = None
    torch.compiler.set_stance("default")
    for name, function in FUNCTIONS.items():
        AttentionInterface.register(name, function)


def trial(module: Any, batch: Batch) -> None:
    """Run a Specialist in training mode forward and backward: no trace in gradients or random state, unseen by DDP."""
    trained = [parameter for parameter in module.network.parameters() if parameter.requires_grad]
    with seeded(0):
        hidden: Tensor = module.passes(batch, perturbed=False).hidden
        torch.autograd.grad(hidden.float().sum(), trained, allow_unused=True)
