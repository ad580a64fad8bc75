"""What a term leaves behind, and what it trains beside the model. Imports torch."""

from collections.abc import Sequence

from tunesmith.data.encoded_rows import EncodedRow
from tunesmith.testing.check import fail
from tunesmith.testing.models import batch_of, train
from tunesmith.testing.randomness import drawn, random_states
from tunesmith.testing.sums import Make
from tunesmith.training.specialist import Specialist


def check_no_trace(module: Specialist, make: Make, rows: Sequence[EncodedRow], method: str) -> None:
    """Check that modes, flags, weights, gradients and random states are afterwards what they were before.

    Raises:
        CheckFailedError: They are not.
    """
    module.train()
    forward = module.passes(batch_of(module, rows))
    weights = {name: p.detach().clone() for name, p in module.named_parameters()}
    flags, modes = _flags(module), [m.training for m in module.network.modules()]
    make(forward)  # the first may make what it needs, by random numbers
    states = random_states()
    make(forward)
    found = {
        "the random state of " + " and ".join(drawn(states)): bool(drawn(states)),
        "the mode of modules": modes != [m.training for m in module.network.modules()],
        "requires_grad flags": flags != _flags(module),
        "weights": any(not bool((p == weights[n]).all()) for n, p in module.named_parameters()),
        "gradients": any(p.grad is not None for p in module.parameters()),
    }
    for what, changed in found.items():
        if changed:
            advice = "use forward.baseline() and forward.again(); draw from a generator of your own; call no backward()"
            fail(f"{method} changes {what}", "the model as it was", advice)


def check_own_module(module: Specialist, rows: Sequence[EncodedRow], owner: str) -> None:
    """Check that each parameter of a plugin's own module has a gradient within two steps.

    Raises:
        CheckFailedError: One has none.
    """
    prefix = f"extras.{owner}."
    own = {name for name, p in module.named_parameters() if name.startswith(prefix) and p.requires_grad}
    still = sorted(own - train(module, rows))
    if still:
        found = (
            f"{len(still)} of {len(own)} tensors of module() have no gradient, first {still[0].removeprefix(prefix)}"
        )
        fail(found, "a gradient for each", "return what the term is computed by, and keep it as an attribute")


def _flags(module: Specialist) -> dict[str, bool]:
    return {name: p.requires_grad for name, p in module.named_parameters()}
