"""What a search found as a page that stands alone: the best options, what mattered, and learning curves."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tunesmith.report.page import render
from tunesmith.report.svg import line, number, rect, svg, text

_WIDTH, _HEIGHT = 420.0, 230.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 16.0, 14.0, 40.0


def search_page(found: Mapping[str, Any]) -> str:
    """The page of a search over options: a pure function of what `search.json` holds."""
    ended = [one for one in found["trials"] if one["state"] == "complete"]
    by, sign = found["by"], -1 if found["mode"] == "max" else 1
    best = min(ended, key=lambda one: sign * one["value"], default=None)
    order = sorted(
        found["trials"],
        key=lambda one: (one["state"] != "complete", math.inf if one["value"] is None else sign * one["value"]),
    )
    importance = sorted(found["importance"].items(), key=lambda pair: -pair[1])
    keys = [key for key, _ in importance] or list(found["space"])
    return render(
        "search.html.jinja",
        found=found,
        best=best,
        trials=order,
        keys=keys,
        importance=_importance(importance),
        plots=[(key, _slice(ended, key, by, log=key in found["log"], best=best)) for key in keys],
    )


def data_page(found: Mapping[str, Any]) -> str:
    """The page of a search over data."""
    return render("search_data.html.jinja", found=found, plot=_learning(found))


def _importance(shares: Sequence[tuple[str, float]]) -> str:
    if not shares:
        return ""
    left, row, width = 300.0, 24.0, 760.0
    scale = (width - left - 70) / max(1e-9, max(share for _, share in shares))
    parts = []
    for at, (key, share) in enumerate(shares):
        y = at * row + 4
        parts += [
            text(left - 8, y + 13, key if len(key) < 44 else f"…{key[-42:]}", "label", "end"),
            rect(left, y, share * scale, row - 8, "train", f"{key}: {share:.0%}"),
            text(left + share * scale + 6, y + 13, f"{share:.0%}", "tick"),
        ]
    return svg(width, len(shares) * row + 8, parts, "What mattered")


def _slice(trials: Sequence[Mapping[str, Any]], key: str, by: str, *, log: bool, best: Mapping[str, Any] | None) -> str:
    """What decides against the values of one option, a dot a trial."""
    points = [(one["values"][key], one["value"], one["number"]) for one in trials if key in one["values"]]
    if not points:
        return ""
    named = any(isinstance(value, str | bool) for value, _, _ in points)
    names = sorted({str(value) for value, _, _ in points}) if named else []
    xs = [float(names.index(str(value))) if named else float(value) for value, _, _ in points]
    x_of = _axis(xs, _LEFT, _WIDTH - _RIGHT, log=log and not named)
    found = [decides for _, decides, _ in points]
    y_of = _axis(found, _HEIGHT - _BOTTOM, _TOP)
    parts = _y_ticks(found, y_of, _WIDTH)
    ticks: list[tuple[float, str]] = (
        list(enumerate(names)) if named else [(x, _plain(x)) for x in dict.fromkeys((min(xs), max(xs)))]
    )
    parts += [text(x_of(x), _HEIGHT - _BOTTOM + 16, said, "tick", "middle") for x, said in ticks]
    parts.append(text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 6, key.rpartition(".")[2], "label", "middle"))
    for x, (value, decides, trial) in zip(xs, points, strict=True):
        kind = "made" if best is not None and trial == best["number"] else "train"
        parts.append(_dot(x_of(x), y_of(decides), kind, f"trial {trial}: {value}, {by} {decides:.4f}"))
    return svg(_WIDTH, _HEIGHT, parts, f"{by} by {key}")


def _learning(found: Mapping[str, Any]) -> str:
    """The curve with its interval over rows, by magnitude, and the losses that were measured."""
    width, height = 760.0, 340.0
    points, trained = found["points"], found["trained"]
    x_of = _axis([float(one["rows"]) for one in points], _LEFT, width - _RIGHT, log=True)
    shown = [one["loss"] for one in (*points, *trained)]
    low, high = min(shown), max(shown)
    # an interval that is very wide somewhere must not flatten all else
    room = high - low or abs(high) or 1.0
    bounds = [min(max(bound, low - room / 2), high + room / 2) for one in points for bound in one["interval"]]
    y_of = _axis([*shown, *bounds], height - _BOTTOM, _TOP)
    band = [(x_of(one["rows"]), [min(max(b, min(bounds)), max(bounds)) for b in one["interval"]]) for one in points]
    way = [*((x, y_of(ends[0])) for x, ends in band), *((x, y_of(ends[1])) for x, ends in reversed(band))]
    outline = " ".join(f"{x:.1f},{y:.1f}" for x, y in way)
    curve = " ".join(f"{x_of(one['rows']):.1f},{y_of(one['loss']):.1f}" for one in points)
    parts = [
        *_y_ticks([*shown, *bounds], y_of, width),
        f'<polygon class="band" points="{outline}"/>',
        f'<polyline class="curve train" fill="none" points="{curve}"/>',
        *_marks(found["rows"], x_of, height),
        *(_dot(x_of(one["rows"]), y_of(one["loss"]), "validation", _said(one)) for one in trained),
        text((_LEFT + width - _RIGHT) / 2, height - 6, "training rows", "label", "middle"),
    ]
    return svg(width, height, parts, "Validation loss by number of training rows")


def _marks(rows: int, x_of: Callable[[float], float], height: float) -> list[str]:
    parts = []
    for times, name in ((1, "all rows"), (2, "twice"), (4, "four times")):
        x = x_of(float(times * rows))
        parts += [line(x, _TOP, x, height - _BOTTOM, "limit" if times == 1 else "grid")]
        parts += [text(x, height - _BOTTOM + 16, f"{name} ({number(times * rows)})", "tick", "end")]
    return parts


def _said(one: Mapping[str, Any]) -> str:
    return f"{one['rows']:,} rows: val/loss {one['loss']:.4f}"


def _dot(x: float, y: float, kind: str, tip: str) -> str:
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="4.5"><title>{_escaped(tip)}</title></circle>'


def _escaped(said: str) -> str:
    from html import escape

    return escape(said)


def _axis(values: Sequence[float], start: float, end: float, *, log: bool = False) -> Callable[[float], float]:
    scale = math.log if log and min(values) > 0 else float
    low, high = scale(min(values)), scale(max(values))
    span = high - low or 1.0
    return lambda value: start + (end - start) * (0.04 + 0.92 * (scale(value) - low) / span)


def _y_ticks(values: Sequence[float], y_of: Callable[[float], float], width: float) -> list[str]:
    low, high = min(values), max(values)
    parts = []
    for value in dict.fromkeys((low, (low + high) / 2, high)):
        y = y_of(value)
        parts += [line(_LEFT, y, width - _RIGHT, y, "grid"), text(_LEFT - 6, y + 4, f"{value:.3g}", "tick", "end")]
    return parts


def _plain(value: float) -> str:
    return f"{value:.3g}"
