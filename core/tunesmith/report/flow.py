"""The way of the rows from what was read to what is trained on, as a picture: each step narrows it, and says why."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from tunesmith.report.svg import WIDTH, line, rect, svg, text

_LEFT, _BAND = 178.0, 330.0
_BAR, _GAP, _REASON = 26.0, 22.0, 15.0
_SHOWN = 4


def flow(steps: Sequence[Mapping[str, Any]], splits: Mapping[str, int], title: str) -> str:
    """Draw steps from top to bottom.

    Args:
        steps: Each with `name`, `what`, `in`, `out`, and `drops`, `changes`, `additions` by reason; and `beside`, rows
            that the step does not touch, where there are some.
        splits: Rows of each split at the end.
        title: What it shows.
    """
    most = max([max(_ends(step)) for step in steps] + [1])
    scale = _BAND / most
    parts: list[str] = []
    y = 10.0
    before = None
    for step in steps:
        went, out = _ends(step)
        if before is not None:
            parts.append(_funnel(before, went * scale, y - _GAP, y))
        parts.append(_bar(step, scale, y))
        parts.append(text(_LEFT - 12, y + 12, step["name"], "strong", "end"))
        parts.append(text(_LEFT - 12, y + 25, step["what"][:30], "tick", "end"))
        notes = _notes(step)
        for at, (kind, note) in enumerate(notes):
            parts.append(text(_LEFT + _BAND + 20, y + 12 + at * _REASON, note, kind))
        tall = max(_BAR, len(notes) * _REASON)
        if tall > _BAR:
            parts.append(_funnel(out * scale, out * scale, y + _BAR, y + tall))
        before = out * scale
        y += tall + _GAP
    parts.append(_funnel(before or 0.0, sum(splits.values()) * scale, y - _GAP, y))
    x = _LEFT
    parts.append(text(_LEFT - 12, y + 17, "splits", "strong", "end"))
    for name, rows in splits.items():
        parts.append(rect(x, y, rows * scale, _BAR, f"bar {name}", f"{name}: {rows:,} rows"))
        x += rows * scale
    said = ", ".join(f"{name} {rows:,}" for name, rows in splits.items())
    parts.append(text(_LEFT + _BAND + 20, y + 17, said, "label"))
    return svg(WIDTH, y + _BAR + 12, parts, title)


def _ends(step: Mapping[str, Any]) -> tuple[int, int]:
    """All rows before and after a step."""
    beside = step.get("beside", 0)
    return step["in"] + beside, step["out"] + beside


def _bar(step: Mapping[str, Any], scale: float, y: float) -> str:
    went, out = _ends(step)
    kept = out - sum(step.get("additions", {}).values())
    parts = [rect(_LEFT, y, kept * scale, _BAR, "kept", f"{kept:,} rows stay")]
    if went > kept:
        parts.append(rect(_LEFT + kept * scale, y, (went - kept) * scale, _BAR, "gone", f"{went - kept:,} rows go"))
    if out > kept:
        parts.append(rect(_LEFT + kept * scale, y, (out - kept) * scale, _BAR, "made", f"{out - kept:,} rows made"))
    inside = kept * scale > 70
    parts.append(
        text(_LEFT + 8, y + 17, f"{out:,} rows", "inside")
        if inside
        else line(_LEFT, y, _LEFT, y + _BAR) + text(_LEFT + max(went, out) * scale + 6, y + 17, f"{out:,} rows", "tick")
    )
    return "".join(parts)


def _funnel(above: float, below: float, top: float, bottom: float) -> str:
    points = (
        f"{_LEFT:.1f},{top:.1f} {_LEFT + above:.1f},{top:.1f} {_LEFT + below:.1f},{bottom:.1f} {_LEFT:.1f},{bottom:.1f}"
    )
    return f'<polygon class="flow" points="{escape(points)}"/>'


def _notes(step: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is said beside a bar: drops, additions, changes by reason, the most frequent first."""
    notes: list[tuple[int, str, str]] = []
    for what, sign, kind in (("drops", "−", "drop"), ("additions", "+", "made-note"), ("changes", "~", "note")):  # noqa: RUF001
        notes += [(count, kind, f"{sign}{count:,} {reason}") for reason, count in step.get(what, {}).items() if count]
    order = {"drop": 0, "made-note": 1, "note": 2}
    notes.sort(key=lambda note: (order[note[1]], -note[0], note[2]))
    shown = [(kind, said if len(said) <= 52 else f"{said[:50]}…") for _, kind, said in notes[:_SHOWN]]
    if len(notes) > _SHOWN:
        shown.append(("note", f"and {len(notes) - _SHOWN} more reasons: card.json"))
    return shown
