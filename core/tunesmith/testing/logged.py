"""What a term logs beside itself. Imports torch."""

from collections.abc import Sequence

from tunesmith.data.encoded_rows import EncodedRow
from tunesmith.testing.check import fail, quoted
from tunesmith.testing.models import batch_of
from tunesmith.testing.sums import Make
from tunesmith.training.specialist import Specialist

_TAKEN = {"loss", "router", "lr", "grad_norm", "tokens/s"}


def check_logged(
    module: Specialist, make: Make, rows: Sequence[EncodedRow], said: Sequence[str], modes: Sequence[bool]
) -> None:
    """Check that a term logs what `logs` says.

    Args:
        module: The model.
        make: Gives the term.
        rows: Of one micro-batch.
        said: What `logs` says.
        modes: Whether it is asked in training; each.

    Raises:
        CheckFailedError: It does not, or under a name that the core uses.
    """
    if taken := sorted(_TAKEN.intersection(said)):
        fail(f"logs() says {taken[0]}", "names that the core does not log itself", "put a word before it: rewards/...")
    advice = 'give logs() and Term(sum, unit, {"name": sum of it over the same units}) the same names'
    for training in modes:
        module.train(training)
        logged = make(module.passes(batch_of(module, rows))).logged
        if sorted(logged) != sorted(said):
            fail(f"it logs {', '.join(logged) or 'nothing'}", f"{', '.join(said) or 'nothing'}, as logs() says", advice)
        wrong = next((name for name, total in logged.items() if total.ndim or not bool(total.isfinite())), None)
        if wrong is not None:
            fail(f"{wrong} is {quoted(logged[wrong])}", "a finite scalar tensor", advice)
