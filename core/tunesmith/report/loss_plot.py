"""Loss by step as a plot: training, validation, and the step whose weights are kept."""

import math
from collections.abc import Mapping, Sequence

from tunesmith.report.losses import Points
from tunesmith.report.svg import line, number, svg, text

TASKS = 6
"""Tasks whose losses are drawn: more colours are not told apart."""
_WIDTH, _HEIGHT = 600.0, 300.0
# A curve that falls to this share of its start, or further, says nothing of its end on a scale of equal steps.
_FAR = 0.2
# Beyond these a loss says that something broke, and no scale shows it beside others.
_SMALLEST, _LARGEST = 1e-30, 1e12
_LEFT, _RIGHT, _TOP, _BOTTOM = 58.0, 16.0, 30.0, 44.0


def loss_plot(train: Points, validation: Points, kept: float | None, title: str) -> str:
    """The curves; empty where there is no point.

    Args:
        train: Training loss by step.
        validation: Validation loss by step.
        kept: The step that is kept; None where it is unknown.
        title: What it shows.
    """
    return _plot([("train", train), ("validation", validation)], kept, title)


def task_plot(tasks: Mapping[str, Points], kept: float | None, title: str) -> str:
    """Validation losses by task, each with a colour of its own; empty where there is no point.

    Args:
        tasks: Losses by step, by the task's name; those of the first `TASKS` are drawn.
        kept: The step that is kept; None where it is unknown.
        title: What it shows.
    """
    return _plot([(f"validation task{at}", of) for at, of in enumerate(list(tasks.values())[:TASKS])], kept, title)


def _plot(given: Sequence[tuple[str, Points]], kept: float | None, title: str) -> str:
    curves = [(kind, _drawn(points)) for kind, points in given]
    points = [point for _, curve in curves for point in curve]
    losses = [loss for _, loss in points]
    if not losses:
        return ""
    most_x = max(1.0, max(step for step, _ in points), kept or 0.0)
    scaled = math.log if is_logarithmic(points, []) else float
    ticks = (_powers if scaled is math.log else _ticks)(min(losses), max(losses))
    low, high = scaled(ticks[0]), scaled(ticks[-1])

    def x_of(step: float) -> float:
        return _LEFT + step / most_x * (_WIDTH - _LEFT - _RIGHT)

    def y_of(loss: float) -> float:
        return _TOP + (high - scaled(loss)) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    parts = []
    for tick in ticks:
        parts += [line(_LEFT, y_of(tick), _WIDTH - _RIGHT, y_of(tick), "grid")]
        parts += [text(_LEFT - 8, y_of(tick) + 5, f"{tick:.4g}", "tick", "end")]
    bottom = _HEIGHT - _BOTTOM
    parts.append(line(_LEFT, bottom, _WIDTH - _RIGHT, bottom))
    for share, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        parts.append(text(x_of(share * most_x), bottom + 20, number(round(share * most_x)), "tick", anchor))
    parts.append(text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 4, "step", "tick", "middle"))
    if kept is not None:
        anchor = "start" if x_of(kept) < _WIDTH / 2 else "end"
        parts += [line(x_of(kept), _TOP - 8, x_of(kept), bottom, "limit")]
        parts += [text(x_of(kept), _TOP - 14, f"step {kept:,.0f} kept", "strong", anchor)]
    for kind, curve in curves:
        shown = [(x_of(x), y_of(y)) for x, y in curve]
        parts.append(_path(shown, kind))
        if kind != "train" or len(shown) == 1:
            parts += [f'<circle class="dot {kind}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in shown[:100]]
    return svg(_WIDTH, _HEIGHT, parts, title)


def is_logarithmic(train: Points, validation: Points) -> bool:
    """Whether losses are drawn on a logarithmic scale: where they fall far, and none is 0 or less."""
    losses = [loss for _, loss in _drawn([*train, *validation])]
    return bool(losses) and _SMALLEST < min(losses) < _FAR * max(losses)


def _drawn(points: Points) -> Points:
    return [(step, loss) for step, loss in points if abs(loss) < _LARGEST]  # false for nan


def _path(points: Sequence[tuple[float, float]], kind: str) -> str:
    if len(points) < 2:
        return ""
    way = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline class="curve {kind}" points="{way}"/>'


def _powers(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten from at most the lowest to at least the highest; of many powers a few."""
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    if last - first > 3:
        step = -(-(last - first) // 6)
        return [10.0**power for power in range(first, last + step, step)]
    ticks = [factor * 10.0**power for power in range(first, last + 1) for factor in (1, 2, 5)]
    below = max(tick for tick in ticks if tick <= low * (1 + 1e-9))
    above = min(tick for tick in ticks if tick >= high * (1 - 1e-9))
    return [tick for tick in ticks if below <= tick <= above]


def _ticks(low: float, high: float) -> list[float]:
    """Round values from at most the lowest to at least the highest."""
    if high - low <= max(1e-12 * max(abs(high), abs(low)), _SMALLEST):
        low, high = low - max(abs(low), 1.0) / 10, high + max(abs(high), 1.0) / 10
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [at * step for at in range(first, last + 1)]
