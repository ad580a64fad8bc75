"""The terms of a step's loss, and the names under which they and what goes with them are logged."""

from collections.abc import Mapping, Sequence

from tunesmith.plugins.interfaces import Objective, Regularizer
from tunesmith.training.forward import Term
from tunesmith.training.router import NAME as ROUTER

LOSS = "loss"


def names_of(objective: Objective, regularizers: Mapping[str, Regularizer], *, router: bool) -> list[str]:
    """Names of all that a step may log of its terms, in an order that all ranks share.

    Args:
        objective: The loss is its.
        regularizers: By name.
        router: Whether experts are balanced.
    """
    names = [LOSS, *objective.logs(), *([ROUTER] if router else [])]
    for name, regularizer in regularizers.items():
        if type(regularizer).penalty is not Regularizer.penalty:
            names += [f"reg/{name}", *(f"reg/{name}/{own}" for own in regularizer.logs())]
    return names


def beside(name: str, term: Term, known: Sequence[str]) -> dict[str, Term]:
    """What a term logs beside itself, as terms by the names under which they are logged.

    Raises:
        ValueError: It logs what the plugin's `logs` does not say.
    """
    prefix = "" if name == LOSS else f"{name}/"
    found = {f"{prefix}{own}": Term(total, term.unit) for own, total in term.logged.items()}
    if unsaid := found.keys() - set(known):
        msg = f"{name} logs {min(unsaid)}, which logs() of its class does not say"
        raise ValueError(msg)
    return found
