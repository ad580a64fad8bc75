"""Tables of train.py: what each side took, and how tunesmith stands to it."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from machine import against, table
from train_meter import Weights

OVERHEAD = 1.03
MEMORY = 0.45
LEAK = 1e-3  # of the largest state; rounding changes far less where documents do not see each other
# Of whose processor time (on a GPU: time) a useful token may take how much.
TIME: dict[tuple[str, str], dict[str, float]] = {
    ("cpu", "fp32"): {"trl": 0.28, "trl-grouped": 0.65},
    ("cpu", "bf16"): {"trl": 0.24, "trl-grouped": 0.45},
    ("cuda", "bf16"): {"trl-flash": 1 / 1.2, "trl-flash-liger": 1 / 1.2, "trl-grouped": 1 / 1.2, "trl": 1 / 1.2},
}


@dataclass(frozen=True)
class Result:
    """What one run of a side took: times in seconds, memory in bytes, numbers of tokens."""

    processor: float
    wall: float
    peak: float
    useful: float
    computed: float
    supervised: float
    loss: float
    leak: float = 0.0

    def seconds(self, device: str) -> float:
        """Processor seconds a useful token; on a GPU, which the processor waits for, seconds."""
        return (self.processor if device == "cpu" else self.wall) / self.useful


Found = Mapping[str, Sequence[Result]]


def report(found: Found, device: str, precision: str, weights: Weights, peak: float) -> None:
    """Print one line a side, medians over the repeats, and the ratios of `tunesmith` to each other side."""
    columns = (
        f"{device} {precision}",
        "useful tokens",
        "tokens / s",
        "tokens / processor s",
        "peak GB",
        "useful of computed",
        "mean loss",
        "of peak FLOP/s",
        "",
    )
    table(columns, [line(side, runs, weights, peak) for side, runs in found.items()])
    rows = ratios(found, device, precision)
    if rows:
        table((f"tunesmith / side, {device} {precision}", "ratio", "min to max", "target", "verdict"), rows)


def line(side: str, runs: Sequence[Result], weights: Weights, peak: float) -> tuple[str, ...]:
    """A side's medians."""

    def middle(value: Callable[[Result], float]) -> float:
        return statistics.median(value(run) for run in runs)

    used = middle(lambda r: weights.operations(int(r.useful), int(r.supervised)) / r.wall / peak)
    return (
        side,
        f"{middle(lambda r: r.useful):,.0f}",
        f"{middle(lambda r: r.useful / r.wall):,.0f}",
        f"{middle(lambda r: r.useful / r.processor):,.0f}",
        f"{middle(lambda r: r.peak) / 1e9:.2f}",
        f"{middle(lambda r: r.useful / r.computed):.1%}",
        f"{middle(lambda r: r.loss):.4f}",
        f"{used:.1%}",
        "WRONG RESULT: attends across documents" if middle(lambda r: r.leak) > LEAK else "",
    )


def ratios(found: Found, device: str, precision: str) -> list[tuple[str, ...]]:
    """Time and memory of `tunesmith` over those of each other side: medians of the ratios within a repeat."""
    if "tunesmith" not in found:
        return []
    limits, rows = TIME.get((device, precision), {}), []
    for side, runs in found.items():
        if side == "tunesmith":
            continue
        pairs = list(zip(found["tunesmith"], runs, strict=True))
        times = [ours.seconds(device) / theirs.seconds(device) for ours, theirs in pairs]
        memory = [ours.peak / theirs.peak for ours, theirs in pairs]
        limit = OVERHEAD if side == "loop" else limits.get(side)
        what = "processor time" if device == "cpu" else "time"
        rows.append(_ratio(f"{what} / {side}", times, limit))
        rows.append(_ratio(f"peak memory / {side}", memory, MEMORY if side in limits and device == "cpu" else None))
    return rows


def _ratio(name: str, values: Sequence[float], limit: float | None) -> tuple[str, ...]:
    middle = statistics.median(values)
    spread = f"{min(values):.3f} to {max(values):.3f}"
    if limit is None:
        return name, f"{middle:.3f}", spread, "", ""
    return name, f"{middle:.3f}", spread, f"{limit:.2f}", against(middle, limit)
