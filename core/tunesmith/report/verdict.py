"""Whether a run met its thresholds, as its files say it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tunesmith.report.numerals import count, value

Json = Any
STATES = ("missed", "undecided", "pending", "met")


@dataclass(frozen=True)
class Line:
    """One threshold.

    Args:
        state: `met`, `missed`, `undecided`, `pending`, or `untested` where nothing was measured.
        key: The metric, as `success` names it.
        sentence: The comparison in words.
        because: The recipe's reason for it.
    """

    state: str
    key: str
    sentence: str
    because: str


@dataclass(frozen=True)
class Decision:
    """The verdict over all thresholds.

    Args:
        state: The worst of the lines'; `untested`, or `undecided` where there are no thresholds.
        headline: It in words.
        lines: One a threshold.
    """

    state: str
    headline: str
    lines: tuple[Line, ...]


def decision(test: Mapping[str, Json] | None, lock: Mapping[str, Json] | None, *, outdated: bool = False) -> Decision:
    """The verdict of a run.

    Args:
        test: `metrics.json`; None where the run was not tested.
        lock: `lock.json`, which holds the thresholds of a run that was not tested.
        outdated: Whether the run was trained further since it was tested.
    """
    if outdated:
        before = decision(test, lock)
        headline = f"Not tested since it was trained further. Before: {before.headline}"
        return Decision("untested", headline, before.lines)
    if test is None:
        asked = (lock or {}).get("success") or {}
        lines = tuple(Line("untested", key, *_asked(threshold)) for key, threshold in asked.items())
        return Decision("untested", "Not tested yet: nothing is known of how good this model is", lines)
    lines = lines_of(test)
    if not lines:
        return Decision("undecided", "Nothing was decided: the recipe states no success", ())
    counts = Counter(line.state for line in lines)
    state = next((state for state in STATES if counts[state]), "undecided")
    met = f"{counts['met']} of {count(len(lines), 'threshold')} met"
    more = [f"{counts[other]} {other}" for other in STATES[:3] if counts[other]]
    said = {"met": "Met", "missed": "Missed", "undecided": "Undecided", "pending": "Pending"}[state]
    return Decision(state, f"{said}: {', '.join([met, *more])}", lines)


def lines_of(judged: Mapping[str, Json] | None) -> tuple[Line, ...]:
    """The thresholds of a record that holds `verdicts`."""
    return tuple(_line(verdict) for verdict in (judged or {}).get("verdicts") or ())


def _line(verdict: Mapping[str, Json]) -> Line:
    state = verdict.get("state") or ("met" if verdict.get("met") else "missed")
    return Line(
        str(state), str(verdict.get("key")), str(verdict.get("sentence") or ""), str(verdict.get("because") or "")
    )


def _asked(threshold: Mapping[str, Json]) -> tuple[str, str]:
    """What a threshold asks for, and why, of a run that was not tested."""
    parts = []
    for key, asked in threshold.items():
        if key != "because" and asked is not None:
            said = " to ".join(value(end) for end in asked) if isinstance(asked, list) else asked
            parts.append(f"{key.replace('_', ' ')} {value(said) if isinstance(said, float) else said}")
    return ", ".join(parts), str(threshold.get("because") or "")
