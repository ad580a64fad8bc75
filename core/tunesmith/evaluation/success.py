"""The recipe's manifest: which metrics must reach which values, and whether they did."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from tunesmith.errors import RecipeError
from tunesmith.evaluation.measure import Measure
from tunesmith.nearest import nearest, one_of
from tunesmith.plugins.blame import blamed
from tunesmith.plugins.interfaces import Audit, Evaluator


@dataclass
class Threshold:
    """What one metric must reach. Exactly one of `at_least`, `at_most`, `between`.

    Args:
        at_least: Lowest value that is a success.
        at_most: Highest value that is a success.
        between: Lowest and highest value that are.
        of: `base` makes bounds multiples of the base model's value.
        because: Why this value; shown beside the verdict.
    """

    at_least: float | None = None
    at_most: float | None = None
    between: list[float] | None = None
    of: Literal["base"] | None = None
    because: str = ""

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest value, as written: infinite where there is none."""
        if self.between is not None:
            low, high = self.between
            return low, high
        low = self.at_least if self.at_least is not None else -math.inf
        return low, self.at_most if self.at_most is not None else math.inf


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether one threshold was met.

    Args:
        key: The metric, as `success` names it.
        value: Its value for the tuned model; nan if it could not be measured.
        base: Its value for the base; nan where there is none.
        low: Lowest value that is a success; -inf where any is low enough.
        high: Highest value that is; inf where any is high enough.
        met: Whether the threshold was met.
        sentence: The comparison in words.
        because: The recipe's reason for the threshold.
    """

    key: str
    value: float
    base: float
    low: float
    high: float
    met: bool
    sentence: str
    because: str = ""


def produced(evaluators: Mapping[str, Evaluator], audits: Mapping[str, Audit]) -> dict[str, Measure]:
    """Everything that `success` may bound, as `name in the recipe/name of the measure`, without values.

    Raises:
        RecipeError: An evaluator and an audit have the same name.
    """
    for name in evaluators.keys() & audits.keys():
        msg = f"audits.{name} and evaluators.{name} have the same name; metrics of both are addressed by it: rename one"
        raise RecipeError(msg)
    known: dict[str, Measure] = {}
    kinds: list[tuple[str, Mapping[str, Evaluator | Audit]]] = [("evaluators", evaluators), ("audits", audits)]
    for kind, plugins in kinds:
        for name, plugin in plugins.items():
            with blamed(f"{kind}.{name}", plugin):
                known |= {f"{name}/{measure.name}": measure for measure in plugin.produces()}
    return known


def check_names(success: Mapping[str, Threshold], known: Mapping[str, Measure]) -> None:
    """Check thresholds against what will be measured, before anything runs.

    Args:
        success: Thresholds by metric.
        known: What evaluators and audits produce.

    Raises:
        RecipeError: A metric is unknown, or a threshold makes no sense.
    """
    for key, threshold in success.items():
        if key not in known:
            raise RecipeError(_unknown(key, known))
        _check_values(key, threshold)
        higher = known[key].higher_is_better
        if (threshold.at_most if higher else threshold.at_least) is not None:
            said, better, write = ("at_most", "higher", "at_least") if higher else ("at_least", "lower", "at_most")
            msg = f"success.{key}.{said}: {better} is better for this metric; write {write}, or between"
            raise RecipeError(msg)


def decide(success: Mapping[str, Threshold], tuned: Mapping[str, float], base: Mapping[str, float]) -> list[Verdict]:
    """Compare each metric with its threshold. A value that is nan never meets one.

    Args:
        success: Thresholds by metric.
        tuned: The tuned model's values.
        base: The base's values, for thresholds `of: base`.
    """
    return [_judge(key, t, tuned.get(key, math.nan), base.get(key, math.nan)) for key, t in success.items()]


def _judge(key: str, threshold: Threshold, value: float, base: float) -> Verdict:
    low, high = threshold.bounds
    relative = threshold.of == "base"

    def verdict(met: bool, sentence: str) -> Verdict:
        return Verdict(key, value, base, low, high, met, sentence, threshold.because)

    if relative and math.isnan(base):
        return verdict(False, f"{key} has no value for the base")
    if relative and base < 0:
        return verdict(False, f"{key} is {_n(base)} for the base: a multiple of it is no goal")
    if relative:
        low, high = (bound if math.isinf(bound) else bound * base for bound in (low, high))
    if math.isnan(value):
        return verdict(False, f"{key} has no value: it applied to no row")
    if relative and base == 0 and threshold.at_least is not None and value == 0:
        return verdict(False, f"{key} is 0 as for the base: no improvement")
    # 0.3 meets 1.5 x 0.2, which is 0.30000000000000004
    met = low <= value <= high or math.isclose(value, low, rel_tol=1e-9) or math.isclose(value, high, rel_tol=1e-9)
    share = f" ({_multiple(threshold)} base {_n(base)})" if relative else ""
    return verdict(met, f"{_n(value)} {_relation(low, high, met)}{share}")


def _relation(low: float, high: float, met: bool) -> str:
    if math.isinf(high):
        return f"{'≥' if met else '<'} {_n(low)}"
    if math.isinf(low):
        return f"{'≤' if met else '>'} {_n(high)}"
    return f"{'within' if met else 'outside'} {_n(low)} to {_n(high)}"


def _multiple(threshold: Threshold) -> str:
    return " to ".join(f"{b:g} x" for b in threshold.bounds if not math.isinf(b))


def _n(value: float) -> str:
    return f"{value:.4g}"


def _check_values(key: str, threshold: Threshold) -> None:
    given = [n for n in ("at_least", "at_most", "between") if getattr(threshold, n) is not None]
    if len(given) != 1:
        msg = f"success.{key} holds {' and '.join(given) or 'no bound'}; give exactly one of at_least, at_most, between"
        raise RecipeError(msg)
    if threshold.between is not None and len(threshold.between) != 2:
        msg = f"success.{key}.between holds {len(threshold.between)} numbers; give two, the lowest and the highest"
        raise RecipeError(msg)
    written = [b for b in (threshold.at_least, threshold.at_most, *(threshold.between or [])) if b is not None]
    if not all(map(math.isfinite, written)) or written != sorted(written):
        msg = f"success.{key}.{given[0]} is {getattr(threshold, given[0])}; give finite numbers, the lowest first"
        raise RecipeError(msg)
    if threshold.of == "base" and written[0] < 0:
        msg = f"success.{key}.{given[0]} is {getattr(threshold, given[0])} of base; a multiple must be 0 or more"
        raise RecipeError(msg)


def _unknown(key: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = nearest(key, names) or [name for name in names if name.rpartition("/")[2] == key]
    hint = f"; did you mean {one_of(near)}?" if near else ""
    listing = (
        f"metrics of this recipe: {', '.join(names)}" if names else "this recipe names no evaluators and no audits"
    )
    return f"success.{key} is not measured by any evaluator or audit{hint}\n{listing}"
