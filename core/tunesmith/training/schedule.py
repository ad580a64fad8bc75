"""Learning rates over the optimizer steps of a run."""

import math
from dataclasses import dataclass
from typing import Literal

from tunesmith.errors import RecipeError


@dataclass(frozen=True)
class Schedule:
    """Warm-up, then decay, counted in optimizer steps (trap 30: never in micro-batches, never once a process).

    Args:
        name: Shape after the warm-up: `cosine` and `linear` fall to the floor at the last step, `constant` stays.
        warmup: A share of all steps if below 1, else a number of steps; the rate rises linearly from `1 / steps`.
        floor: What the rate falls to, as a share of the peak.
    """

    name: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: float = 0.03
    floor: float = 0.0

    def check(self) -> None:
        """Raise RecipeError for values out of range."""
        if self.warmup < 0:
            msg = f"model.schedule.warmup is {self.warmup}; give a share below 1, or a number of steps"
            raise RecipeError(msg)
        if not 0 <= self.floor <= 1:
            msg = f"model.schedule.floor is {self.floor}; give a share of the peak rate from 0 to 1"
            raise RecipeError(msg)

    def remark(self, total: int) -> str:
        """What is to be said of a warm-up that is longer than a run of `total` steps; empty where it is not."""
        rising = self._rising(total)
        if rising <= total:
            return ""
        reached = f"the rate rises to {total / rising:.0%} of its peak and never falls"
        allowed = f"give at most {total}, or a share below 1"
        return f"model.schedule.warmup is {rising} steps, but the run makes {total}: {reached}; {allowed}"

    def factor(self, step: int, total: int) -> float:
        """Share of the peak rate at optimizer step `step`, counted from 0, of `total` steps."""
        rising = min(self._rising(total), total)
        if step < rising:
            return (step + 1) / rising
        if self.name == "constant" or total <= rising:
            return 1.0
        done = min(1.0, (step - rising) / (total - rising))
        left = 1.0 - done if self.name == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))
        return self.floor + (1.0 - self.floor) * left

    def _rising(self, total: int) -> int:
        return math.ceil(self.warmup * total) if self.warmup < 1 else round(self.warmup)
