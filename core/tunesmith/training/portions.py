"""What of a model's weights one process holds where they are sharded (`sharding.py`), computed before they are."""

from dataclasses import dataclass

from torch import Tensor, nn

from tunesmith.training.attention import language_model
from tunesmith.training.footprint import storages
from tunesmith.training.probing import held_tensors, kept_tensors
from tunesmith.training.sharding import layers
from tunesmith.training.specialist import Specialist

# Layers that are whole at once: the one that runs, and the next, which is fetched meanwhile.
_LAYERS = 2


@dataclass(frozen=True, slots=True)
class Portion:
    """Bytes of weights that a process holds.

    Args:
        frozen: Its shards of frozen weights; buffers and scales, which stay whole.
        trained: Its shards of trained weights; those of plugins' modules, which stay whole.
        share: The part of all trained weights that this is; so much of gradients and optimizer states as well.
        gathered: What is whole at once while a pass runs, besides.
    """

    frozen: int
    trained: int
    share: float
    gathered: int


def portion(model: Specialist, processes: int) -> Portion:
    """Find what the first process, which holds most, has of a loaded model.

    Args:
        model: Not sharded.
        processes: Among which it will be; with 1 all of it is held, and nothing is gathered.
    """
    assert model.attached is not None
    bodies = [model.network, *model.copies()]
    alike = [*(parameter for body in bodies for parameter in body.parameters()), *kept_tensors(model)]
    cut = {id(tensor) for tensor in alike if tensor.ndim}
    trained = {id(parameter): parameter for parameter in model.parameters() if parameter.requires_grad}
    held = {tensor.untyped_storage()._cdata: tensor for tensor in held_tensors(model)}
    own = {tensor.untyped_storage()._cdata for tensor in trained.values()}
    if processes == 1:
        frozen, all_trained = storages(t for k, t in held.items() if k not in own), storages(trained.values())
        return Portion(frozen, all_trained, 1.0, 0)
    kept = {key: _kept(tensor, processes) if id(tensor) in cut else _bytes(tensor) for key, tensor in held.items()}
    mine = sum(size for key, size in kept.items() if key in own)
    return Portion(
        frozen=sum(kept.values()) - mine,
        trained=mine,
        share=mine / max(1, storages(trained.values())),
        gathered=sum(_gathered(body) for body in bodies),
    )


def _kept(tensor: Tensor, processes: int) -> int:
    """Bytes of the first shard; all are as long as the longest."""
    return -(-len(tensor) // processes) * (_bytes(tensor) // max(1, len(tensor)))


def _gathered(body: nn.Module) -> int:
    """Bytes of what no layer holds, and of the largest layers."""
    blocks = layers(language_model(body))
    inside = {id(parameter) for block in blocks for parameter in block.parameters()}
    outside = storages(p for p in body.parameters() if id(p) not in inside)
    return outside + _LAYERS * max((storages(block.parameters()) for block in blocks), default=0)


def _bytes(tensor: Tensor) -> int:
    return tensor.untyped_storage().nbytes()
