"""A difference with its interval, drawn on a scale of its own: to the right is better, whatever the metric."""

from tunesmith.report.compared import Compared
from tunesmith.report.numerals import signed, span
from tunesmith.report.svg import line, rect, svg

_WIDTH, _HEIGHT, _MARGIN = 360.0, 26.0, 10.0


def interval(found: Compared) -> str:
    """The difference of a metric as a point, its interval as a line; empty where there is no difference."""
    if found.gain is None:
        return ""
    ends = (found.gain, found.gain)
    if found.interval is not None:
        low, high = found.interval
        ends = (low, high) if found.higher_is_better else (-high, -low)
    reach = max(abs(end) for end in (*ends, found.gain)) or 1.0
    middle, y = _WIDTH / 2, _HEIGHT / 2

    def place(gain: float) -> float:
        return middle + gain / reach * (_WIDTH / 2 - _MARGIN)

    between = span(found.interval) or "no interval"
    said = f"{found.name}: {signed(found.difference, found.unit)} ({between}), {found.change}"
    parts = [
        rect(0, 0, middle, _HEIGHT, "side worse"),
        rect(middle, 0, middle, _HEIGHT, "side better"),
        line(middle, 0, middle, _HEIGHT, "axis"),
    ]
    if found.interval is not None:
        parts += [
            line(place(ends[0]), y, place(ends[1]), y, f"reach {found.change}"),
            *(line(place(end), y - 5, place(end), y + 5, f"reach {found.change}") for end in ends),
        ]
    parts.append(f'<circle class="point {found.change}" cx="{place(found.gain):.1f}" cy="{y:.1f}" r="5"/>')
    return svg(_WIDTH, _HEIGHT, parts, said)
