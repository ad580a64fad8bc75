"""Plots as SVG that stands in a page: no script, colours from the page's style, every value as text for those who ask.

Each function returns markup; text that comes from data is escaped.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

WIDTH = 860


def svg(width: float, height: float, parts: Iterable[str], title: str) -> str:
    """A drawing.

    Args:
        width: In user units, which the page scales to what there is.
        height: Likewise.
        parts: Its elements.
        title: What it shows, for screen readers.
    """
    inner = "".join(parts)
    box = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
    return f'<svg {box} role="img" aria-label="{escape(title)}"><title>{escape(title)}</title>{inner}</svg>'


def rect(x: float, y: float, width: float, height: float, kind: str, tip: str = "") -> str:
    """A bar; `kind` is its class in the page's style, `tip` is said where the pointer rests."""
    box = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}"'
    return f'<rect class="{escape(kind)}" {box} rx="1.5">{f"<title>{escape(tip)}</title>" if tip else ""}</rect>'


def text(x: float, y: float, said: str, kind: str = "", anchor: str = "start") -> str:
    """A line of text whose base line is at `y`."""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(said)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str = "axis") -> str:
    """A line."""
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def number(value: float) -> str:
    """A number as people write it in plots: 950, 1,200, 12k, 3.4M."""
    for limit, unit in ((1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            scaled = value / (1e6 if unit == "M" else 1e3)
            return f"{scaled:.3g}{unit}" if scaled < 1000 else f"{scaled:,.0f}{unit}"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.3g}"


def histogram(
    edges: Sequence[float],
    counts: Mapping[str, Sequence[int]],
    title: str,
    unit: str,
    mark: tuple[float, str] | None = None,
) -> str:
    """Stacked bars of several sets over the same bins.

    Args:
        edges: Of the bins, drawn equally wide; the last may be wider in truth, and its label says so.
        counts: By set: rows in each bin.
        title: What it shows.
        unit: Of the edges.
        mark: A value on the axis with its name, such as a limit.
    """
    left, top, height, bottom = 52.0, 16.0, 190.0, 44.0
    bins = len(edges) - 1
    totals = [sum(counts[name][at] for name in counts) for at in range(bins)]
    most = _round_up(max(totals, default=0))
    step = (WIDTH - left - 12) / bins
    parts = [
        piece
        for share in (0.0, 0.5, 1.0)
        for y in [top + height * (1 - share)]
        for piece in (
            line(left, y, WIDTH - 12, y, "grid"),
            text(left - 8, y + 4, number(round(most * share)), "tick", "end"),
        )
    ]
    for at in range(bins):
        y = top + height
        for name, values in counts.items():
            tall = height * values[at] / most
            y -= tall
            said = f"{name}: {values[at]:,} rows of {number(edges[at])} to {number(edges[at + 1])} {unit}"
            parts += [rect(left + at * step + 1, y, step - 2, tall, f"bar {name}", said)] if values[at] else []
    parts.append(line(left, top + height, WIDTH - 12, top + height))
    every = max(1, bins // 8)
    for at in range(0, bins + 1, every):
        if at == bins or bins - at >= every / 2:
            parts.append(text(left + at * step, top + height + 16, number(edges[at]), "tick", "middle"))
    if mark is not None and edges[0] <= mark[0] <= edges[-1]:
        at = next(at for at in range(bins) if mark[0] <= edges[at + 1])
        x = left + step * (at + (mark[0] - edges[at]) / (edges[at + 1] - edges[at]))
        parts += [line(x, top - 8, x, top + height, "limit"), text(x - 5, top + 2, mark[1], "limit", "end")]
    parts.append(text((left + WIDTH) / 2, top + height + 36, unit, "label", "middle"))
    return svg(WIDTH, top + height + bottom, parts, title)


def bars(values: Mapping[str, Mapping[str, int]], title: str, most: int = 12, shares: bool = True) -> str:
    """One bar a value, stacked by set, the longest first.

    Args:
        values: By value, then by set: rows.
        title: What it shows.
        most: Values that are drawn; the others are one bar.
        shares: Whether each is a share of all, and says which.
    """
    totals = sorted(((sum(sets.values()), value) for value, sets in values.items()), key=lambda t: (-t[0], t[1]))
    drawn = [(value, values[value]) for _, value in totals[:most]]
    if rest := totals[most:]:
        others: dict[str, int] = {}
        for _, value in rest:
            for name, count in values[value].items():
                others[name] = others.get(name, 0) + count
        drawn.append((f"{len(rest)} others", others))
    whole = sum(total for total, _ in totals) or 1
    left, row, right = 190.0, 22.0, 110.0
    scale = (WIDTH - left - right) / (max((sum(sets.values()) for _, sets in drawn), default=1) or 1)
    parts = []
    for at, (value, sets) in enumerate(drawn):
        y, x = at * row + 4, left
        parts.append(text(left - 8, y + 12, value if len(value) < 28 else f"{value[:26]}…", "label", "end"))
        for name, count in sets.items():
            parts.append(rect(x, y, count * scale, row - 7, f"bar {name}", f"{value}, {name}: {count:,} rows"))
            x += count * scale
        total = sum(sets.values())
        parts.append(text(x + 6, y + 12, f"{total:,} ({total / whole:.0%})" if shares else f"{total:,}", "tick"))
    return svg(WIDTH, len(drawn) * row + 8, parts, title)


def scale(value: int, bands: Sequence[tuple[int, int | None, str]], title: str) -> str:
    """A number on a logarithmic scale with bands, from 10 to 100,000."""
    left, right, top = 20.0, 20.0, 34.0
    span = WIDTH - left - right

    def place(at: float) -> float:
        return left + span * min(1.0, max(0.0, (math.log10(max(at, 1)) - 1) / 4))

    parts = [rect(left, top, span, 14, "track")]
    for least, end, what in bands:
        upper = end if end is not None else 100_000
        reach = f"{least:,} to {end:,}" if end is not None else f"{least:,} and more"
        parts.append(rect(place(least), top, place(upper) - place(least), 14, "band", f"{reach}: {what}"))
        parts.append(text((place(least) + place(upper)) / 2, top + 50, what, "note", "middle"))
    parts += [
        piece
        for power in range(1, 6)
        for piece in (
            line(place(10**power), top + 14, place(10**power), top + 19),
            text(place(10**power), top + 32, f"{10**power:,}", "tick", "end" if power == 5 else "middle"),
        )
    ]
    x = place(value)
    anchor = "start" if x < 80 else "end" if x > WIDTH - 80 else "middle"
    parts += [line(x, top - 8, x, top + 14, "limit"), text(x, top - 14, f"{value:,} training rows", "strong", anchor)]
    return svg(WIDTH, top + 60, parts, title)


def _round_up(most: int) -> int:
    """The next even number of one digit and zeros, or one and a half digits (1.5, 2.5): half of it is round too."""
    if most <= 2:
        return 2
    power = 10.0 ** math.floor(math.log10(most))
    return next(top for factor in (1, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10) if (top := round(factor * power)) >= most)
