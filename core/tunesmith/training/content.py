"""What a checkpoint holds of the model: the trained tensors by name, and nothing that is code (traps 24, 28)."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from tunesmith.errors import RecipeError
from tunesmith.nearest import nearest
from tunesmith.training.sharding import put


def compare_names(found: Sequence[str], expected: Sequence[str], what: str) -> None:
    """Refuse a file whose tensors are not exactly the ones that train; order counts, for the optimizer's sake.

    Raises:
        RecipeError: Names are missing or unexpected.
    """
    if list(found) == list(expected):
        return
    missing = [name for name in expected if name not in set(found)]
    extra = [name for name in found if name not in set(expected)]
    if not missing and not extra:
        msg = f"{what} lists its tensors in another order than this model; it was made by other versions"
        raise RecipeError(msg)
    parts = []
    if missing:
        near = nearest(missing[0], extra)
        parts.append(f"lacks {len(missing)} of {len(expected)} trained tensors, first {missing[0]}")
        parts += [f"nearest in it: {near[0]}"] if near else []
    if extra:
        parts.append(f"holds {len(extra)} that this recipe does not train, first {extra[0]}")
    msg = f"{what} does not fit model.adapter: it {'; '.join(parts)}\nuse the recipe that made it"
    raise RecipeError(msg)


@torch.no_grad()
def restore(state: Mapping[str, Tensor], into: Mapping[str, Tensor], what: str) -> None:
    """Copy saved tensors into the model's own, which keep their place in optimizer and device.

    Raises:
        RecipeError: Names or shapes differ.
    """
    compare_names(list(state), list(into), what)
    for name, tensor in into.items():
        if tensor.shape != state[name].shape:
            shapes = f"{list(state[name].shape)}, this recipe's is {list(tensor.shape)}"
            msg = f"{what}: {name} is {shapes}; look at model.adapter's rank and at model.base"
            raise RecipeError(msg)
    for name, tensor in into.items():
        put(tensor, state[name])
