"""What a recipe's `success` says: which metrics must reach which values; checked before anything runs."""

import math
from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass

from tunesmith.errors import RecipeError
from tunesmith.evaluation.measure import Measure
from tunesmith.nearest import nearest, one_of
from tunesmith.plugins.blame import blamed
from tunesmith.plugins.interfaces import Audit, Evaluator

BASE = "base"
_BOUNDS = ("at_least", "at_most", "between")
_CHANGES = ("improves_by", "not_worse_than")


@dataclass
class Threshold:
    """What one metric must reach: one of `at_least`, `at_most`, `between`, or one of `improves_by`, `not_worse_than`.

    One of each asks for both. `metric@slice` asks it of each slice: `rouge/rougeL@task` of every task that has
    `comparison.smallest` rows.

    Args:
        at_least: Lowest value that is a success.
        at_most: Highest value that is a success.
        between: Lowest and highest value that are.
        of: A baseline. It makes bounds multiples of its value; `improves_by` is counted from it.
        improves_by: Least difference to the baseline, in the metric's unit, towards what is better. Since 0.12.
        not_worse_than: A baseline that must not be better by more than `by`. Since 0.12.
        by: The regression that `not_worse_than` allows, in the metric's unit. Since 0.12.
        confidence: How sure it must be, such as 0.95: by the bootstrap's one-sided bound on resampled rows. Where it is
            not given, the measured value counts. Since 0.12.
        because: Why this value; shown beside the verdict.
    """

    at_least: float | None = None
    at_most: float | None = None
    between: list[float] | None = None
    of: str | None = None
    improves_by: float | None = None
    not_worse_than: str | None = None
    by: float | None = None
    confidence: float | None = None
    because: str = ""

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest value, as written: infinite where there is none."""
        if self.between is not None:
            low, high = self.between
            return low, high
        low = self.at_least if self.at_least is not None else -math.inf
        return low, self.at_most if self.at_most is not None else math.inf

    @property
    def is_bounded(self) -> bool:
        """Whether it bounds the value, and not only what it is compared with."""
        return any(getattr(self, name) is not None for name in _BOUNDS)

    @property
    def baselines(self) -> list[str]:
        """The baselines that it speaks of."""
        found = [self.of, self.not_worse_than, BASE if self.improves_by is not None and self.of is None else None]
        return [name for name in found if name is not None]


def split_key(key: str, known: Container[str]) -> tuple[str, str]:
    """The metric of a key of `success`, and the kind of slices that it speaks of, which may be empty.

    Metrics may hold `@` too, as those of a class `@urgent` do: the longest one that is known is meant.

    Args:
        key: `metric` or `metric@slice`.
        known: Names of metrics.
    """
    parts = key.split("@")
    for count in range(len(parts), 0, -1):
        if (metric := "@".join(parts[:count])) in known:
            return metric, "@".join(parts[count:])
    metric, _, kind = key.partition("@")
    return metric, kind


def produced(evaluators: Mapping[str, Evaluator], audits: Mapping[str, Audit]) -> dict[str, Measure]:
    """Everything that `success` may bound, as `name in the recipe/name of the measure`, without values.

    Raises:
        RecipeError: An evaluator and an audit have the same name, or a name cannot be said in `success`.
    """
    for name in evaluators.keys() & audits.keys():
        msg = f"audits.{name} and evaluators.{name} have the same name; metrics of both are addressed by it: rename one"
        raise RecipeError(msg)
    known: dict[str, Measure] = {}
    kinds: list[tuple[str, Mapping[str, Evaluator | Audit]]] = [("evaluators", evaluators), ("audits", audits)]
    for kind, plugins in kinds:
        for name, plugin in plugins.items():
            _check_name(kind, name)
            with blamed(f"{kind}.{name}", plugin):
                # evaluators come first, so that audits know what they measure
                found = plugin.produces_beside(known) if isinstance(plugin, Audit) else plugin.produces()
                known |= {f"{name}/{measure.name}": measure for measure in found}
    return known


def _check_name(kind: str, name: str) -> None:
    """Refuse a name by which keys of `success` (`name/metric@slice`) and files would say something else."""
    if not name.strip():
        msg = f"{kind} has an entry whose name is empty; name it, as in `{kind}: {{mine: ...}}`"
        raise RecipeError(msg)
    if found := [sign for sign in "/@" if sign in name]:
        better = name.replace("/", "_").replace("@", "_")
        what = f"holds {' and '.join(found)}, which part name, metric and slice in `success`"
        msg = f"{kind}.{name}: the name {what}; rename it, for instance {better}"
        raise RecipeError(msg)


def check_names(
    success: Mapping[str, Threshold],
    known: Mapping[str, Measure],
    audits: Collection[str] = (),
    baselines: Collection[str] = (BASE,),
) -> None:
    """Check thresholds against what will be measured, before anything runs.

    Args:
        success: Thresholds by metric.
        known: What evaluators and audits produce.
        audits: Names of the audits among them, which give one value and no rows.
        baselines: Names of what is compared with.

    Raises:
        RecipeError: A metric is unknown, or a threshold makes no sense.
    """
    for key, threshold in success.items():
        metric, kind = split_key(key, known)
        if metric not in known:
            raise RecipeError(_unknown(key, metric, known))
        if metric != key and not kind:
            msg = f"success.{key} names no slice behind the @; write for instance {metric}@task"
            raise RecipeError(msg)
        _check_values(key, threshold)
        _check_baselines(key, threshold, baselines)
        if metric.split("/", 1)[0] in audits and (kind or threshold.confidence is not None):
            what = "a slice" if kind else "confidence"
            msg = f"success.{key} asks for {what}, and {metric} is one value of an audit, without rows; leave it out"
            raise RecipeError(msg)
        higher = known[metric].higher_is_better
        if (threshold.at_most if higher else threshold.at_least) is not None:
            said, better, write = ("at_most", "higher", "at_least") if higher else ("at_least", "lower", "at_most")
            msg = f"success.{key}.{said}: {better} is better for this metric; write {write}, or between"
            raise RecipeError(msg)


def check_slices(success: Iterable[str], known: Container[str], own: Collection[str]) -> None:
    """Refuse slices of evaluators that bring rows along, which are in none.

    Args:
        success: Keys of thresholds.
        known: What evaluators and audits produce.
        own: Names of those evaluators.

    Raises:
        RecipeError: A threshold asks for one.
    """
    for key in success:
        name = key.split("/", 1)[0]
        if name in own and split_key(key, known)[1]:
            msg = f"success.{key} asks for a slice, and {name} brings rows of its own, which are in none; leave it out"
            raise RecipeError(msg)


def _check_baselines(key: str, threshold: Threshold, baselines: Collection[str]) -> None:
    for name in ("of", "not_worse_than"):
        value = getattr(threshold, name)
        if value is not None and value not in baselines:
            near = nearest(value, baselines)
            hint = f"; did you mean {one_of(near)}?" if near else ""
            msg = f"success.{key}.{name} is {value}, which is no baseline{hint}\nbaselines: {', '.join(baselines)}"
            raise RecipeError(msg)


def _check_values(key: str, threshold: Threshold) -> None:
    given = [n for n in _BOUNDS if getattr(threshold, n) is not None]
    changes = [n for n in _CHANGES if getattr(threshold, n) is not None]
    if len(given) > 1 or not (given or changes):
        msg = f"success.{key} holds {' and '.join(given) or 'no bound'}; give exactly one of {', '.join(_BOUNDS)}"
        raise RecipeError(msg + ("" if given else f"; or {' or '.join(_CHANGES)}"))
    if len(changes) > 1:
        msg = f"success.{key} holds {' and '.join(changes)}; what improves is not worse: give one"
        raise RecipeError(msg)
    for name, needs in (("by", "not_worse_than"), ("of", "improves_by")):
        if getattr(threshold, name) is not None and needs not in changes and not (name == "of" and given):
            msg = f"success.{key}.{name} is {getattr(threshold, name)}, and nothing reads it; it goes with {needs}"
            raise RecipeError(msg)
    for name in ("improves_by", "by"):
        value = getattr(threshold, name)
        if value is not None and not (math.isfinite(value) and value >= 0):
            msg = f"success.{key}.{name} is {value}; give a difference of 0 or more: the direction is the metric's own"
            raise RecipeError(msg)
    if threshold.confidence is not None and not 0.5 < threshold.confidence < 1:
        msg = f"success.{key}.confidence is {threshold.confidence}; give a share above 0.5 and below 1, such as 0.95"
        raise RecipeError(msg)
    if given:
        _check_bounds(key, threshold, given[0])


def _check_bounds(key: str, threshold: Threshold, given: str) -> None:
    if threshold.between is not None and len(threshold.between) != 2:
        msg = f"success.{key}.between holds {len(threshold.between)} numbers; give two, the lowest and the highest"
        raise RecipeError(msg)
    written = [b for b in (threshold.at_least, threshold.at_most, *(threshold.between or [])) if b is not None]
    if not all(map(math.isfinite, written)) or written != sorted(written):
        msg = f"success.{key}.{given} is {getattr(threshold, given)}; give finite numbers, the lowest first"
        raise RecipeError(msg)
    if threshold.of is not None and written[0] < 0:
        value = getattr(threshold, given)
        msg = f"success.{key}.{given} is {value} of {threshold.of}; a multiple must be 0 or more"
        raise RecipeError(msg)


def _unknown(key: str, metric: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = nearest(metric, names) or [name for name in names if name.rpartition("/")[2] == metric]
    hint = f"; did you mean {one_of(near)}?" if near else ""
    listing = (
        f"metrics of this recipe: {', '.join(names)}" if names else "this recipe names no evaluators and no audits"
    )
    return f"success.{key} is not measured by any evaluator or audit{hint}\n{listing}"
