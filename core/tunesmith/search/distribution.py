"""The values that a key of a search may take, as Optuna draws them and as people read them."""

from typing import Any

from tunesmith.search.space import Range


def distribution(values: Range) -> Any:
    """What Optuna draws from."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if values.choices is not None:
        return CategoricalDistribution(values.choices)
    assert values.low is not None
    assert values.high is not None
    if values.is_whole:
        step = 1 if values.step is None else int(values.step)
        return IntDistribution(int(values.low), int(values.high), log=values.log, step=step)
    return FloatDistribution(values.low, values.high, log=values.log, step=values.step)


def shown(values: Range) -> str:
    """In words."""
    if values.choices is not None:
        return "one of " + ", ".join(map(str, values.choices))
    by = ", by magnitude" if values.log else f", step {values.step:g}" if values.step is not None else ""
    return f"{values.low:g} to {values.high:g}{by}"
