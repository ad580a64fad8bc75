"""The space of a search: keys of the recipe with the values that they may take, checked before anything runs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tunesmith.errors import RecipeError
from tunesmith.nearest import did_you_mean

Value = str | int | float | bool
LOSS = "val/loss"
# What may be searched over: it leaves validation losses of trials comparable, since they are of the same tokens.
_OPEN = (
    "model.adapter",
    "model.optimizer",
    "model.schedule",
    "model.regularizers",
    "data.batch_size",
    "data.max_tokens",
    "data.mixture",
    "data.curriculum",
    "trainer.max_epochs",
    "trainer.max_steps",
    "trainer.accumulate_grad_batches",
    "trainer.gradient_clip_val",
    "seed_everything",
)
_WEIGHT = ("data", "sources", "*", "weight")


@dataclass
class Range:
    """The values that one key may take: from `low` to `high`, or one of `choices`.

    Args:
        low: Lowest; whole numbers where both bounds are whole.
        high: Highest, which may be taken.
        log: Whether orders of magnitude are alike, as for learning rates.
        step: Least difference of two values.
        choices: Values that are no range, such as names of classes.
    """

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    step: int | float | None = None
    choices: list[Value] | None = None

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return all(isinstance(number, int) for number in (self.low, self.high, self.step) if number is not None)

    def extremes(self) -> list[Value]:
        """The values that a recipe must take, so that it takes all."""
        if self.choices is not None:
            return list(self.choices)
        assert self.low is not None
        assert self.high is not None
        return [self.low, self.high]

    def holds(self, value: Any) -> bool:
        """Whether a value is one of them."""
        if self.choices is not None:
            return value in self.choices
        assert self.low is not None
        assert self.high is not None
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not self.low <= value <= self.high:
            return False
        return self.step is None or math.isclose((value - self.low) / self.step % 1, 0, abs_tol=1e-9)

    def check(self, key: str) -> None:
        """Refuse what is no range.

        Raises:
            RecipeError: A bound is missing, the wrong way round, or mixed with choices.
        """
        bounds = (self.low, self.high)
        if (self.choices is None) == (bounds == (None, None)):
            msg = f"{key} takes low and high, or choices: one of both"
            raise RecipeError(msg)
        if self.choices is not None:
            if len(self.choices) < 2:
                msg = f"{key}.choices names {len(self.choices)}; two or more are a choice"
                raise RecipeError(msg)
            if self.log or self.step is not None:
                msg = f"{key}: log and step belong to a range, not to choices"
                raise RecipeError(msg)
            return
        low, high = bounds
        if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)) or low >= high:
            msg = f"{key} goes from {low} to {high}; give a low and a higher high"
            raise RecipeError(msg)
        if self.log and (low <= 0 or self.step is not None):
            msg = f"{key}.log takes a low above 0, and no step"
            raise RecipeError(msg)
        if self.step is not None and not 0 < self.step <= high - low:
            msg = f"{key}.step is {self.step:g}; above 0, and at most {high - low:g}"
            raise RecipeError(msg)


@dataclass
class Search:
    """What `lightning-cli search` tries.

    Args:
        space: Keys of the recipe, such as `model.optimizer.init_args.lr`, with the values that they may take.
        trials: Trainings.
        startup: Trials that are drawn at random before the search learns from them (tree-structured Parzen estimator,
            Bergstra et al. 2011).
        prune: Whether a trial ends early whose validation loss is above the median of those before it at this point.
        keep: Trials whose runs keep their weights: the best so many.
        by: What decides: a logged value of validation, such as `val/loss/TASK` or what an objective logs, of the
            weights that a run keeps, which are those of the lowest `val/loss`.
        mode: Whether a smaller value of it (`min`) or a larger one (`max`) is better.
    """

    space: dict[str, Range] = field(default_factory=dict)
    trials: int = 20
    startup: int = 8
    prune: bool = True
    keep: int = 1
    by: str = LOSS
    mode: Literal["min", "max"] = "min"

    def check(self, logged: Sequence[str] = (LOSS,)) -> None:
        """Refuse what cannot be searched.

        Args:
            logged: Names of what a validation logs.

        Raises:
            RecipeError: The space is empty, a range is none, a key would change what validation losses are of, or what
                is to decide is not logged.
        """
        if self.by not in logged:
            near = did_you_mean(self.by, logged)
            msg = f"search.by is {self.by}, which no validation logs{near}\nlogged: {', '.join(logged)}"
            raise RecipeError(msg)
        if self.by == LOSS and self.mode == "max":
            msg = f"search.mode is max, but search.by is {LOSS}, of which less is better; leave mode out"
            raise RecipeError(msg)
        if not self.space:
            msg = (
                "the recipe has no search.space; name keys with their values, such as\n"
                "search: {space: {model.optimizer.init_args.lr: {low: 1.0e-4, high: 1.0e-2, log: true}}}"
            )
            raise RecipeError(msg)
        for name, least in (("trials", 1), ("startup", 1), ("keep", 0)):
            if getattr(self, name) < least:
                msg = f"search.{name} is {getattr(self, name)}; {least} or more"
                raise RecipeError(msg)
        for key, values in self.space.items():
            values.check(f"search.space.{key}")
            if not _is_open(key):
                near = did_you_mean(key, _OPEN)
                msg = (
                    f"search.space.{key} cannot be searched: its trials would have validation losses of other tokens, "
                    f"or other runs beside them{near}\nopen: {', '.join(_OPEN)}, data.sources.NAME.weight"
                )
                raise RecipeError(msg)


def overrides(values: Mapping[str, Value]) -> list[str]:
    """Values of keys as a command line gives them."""
    return [f"--{key}={_said(value)}" for key, value in values.items()]


def overlay(values: Mapping[str, Value]) -> dict[str, Any]:
    """Values of keys as nested maps, as an overlay has them."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        *parents, last = key.split(".")
        here = found
        for name in parents:
            here = here.setdefault(name, {})
        here[last] = value
    return found


def _said(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value) if isinstance(value, float) else str(value)


def _is_open(key: str) -> bool:
    parts = key.split(".")
    if len(parts) == len(_WEIGHT) and all(want in ("*", part) for want, part in zip(_WEIGHT, parts, strict=True)):
        return True
    return any(key == one or key.startswith(f"{one}.") for one in _OPEN)
