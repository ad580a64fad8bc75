"""Numbers as reports say them."""

import math

NOTHING = "\N{EN DASH}"
_MINUS = "\N{MINUS SIGN}"


def value(number: float | None, unit: str = "") -> str:
    """A metric's value with its unit; a dash where there is none."""
    if number is None or not math.isfinite(number):
        return NOTHING
    return f"{_figures(number)} {unit}".rstrip()


def signed(number: float | None, unit: str = "") -> str:
    """A difference, with its sign."""
    if number is None or not math.isfinite(number):
        return NOTHING
    sign = "+" if number > 0 else _MINUS if number < 0 else "±"
    return f"{sign}{value(abs(number), unit)}"


def span(interval: tuple[float, float] | list[float] | None) -> str:
    """An interval of differences; empty where there is none."""
    if interval is None or any(end is None for end in interval):
        return ""
    return f"{signed(interval[0])} to {signed(interval[1])}"


def probability(p: float | None) -> str:
    """A p-value."""
    if p is None:
        return NOTHING
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def duration(seconds: float) -> str:
    """A time in the units that people use."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"


def count(number: int, one: str, many: str = "") -> str:
    """A number of things."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def _figures(number: float) -> str:
    if number == 0:
        return "0"
    size = abs(number)
    if size >= 1e6 or size < 1e-3:
        return f"{number:.3g}"
    return f"{number:.3f}" if size < 10 else f"{number:.4g}" if size < 1e4 else f"{number:,.0f}"
