"""Whether the recipe's thresholds were met: by the measured values, or as sure as a threshold asks."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from tunesmith.evaluation.measure import Measure
from tunesmith.evaluation.slices import Slice
from tunesmith.evaluation.statistics import ENOUGH, Floats, resampled, rows_needed
from tunesmith.evaluation.threshold import BASE, Threshold, split_key

State = Literal["met", "missed", "undecided", "pending"]
_EQUAL = 1e-9  # 0.3 meets 1.5 x 0.2, which is 0.30000000000000004
_ROUNDING = 1e-12  # of a difference that is asked for: 0 is 0.3 below 0.29999999999999993


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether one threshold was met.

    Args:
        key: The metric, as `success` names it.
        value: Its value for the tuned model; nan if it could not be measured. Of slices, that of the worst.
        base: Its value for the baseline; nan where there is none.
        low: Lowest value that is a success; -inf where any is low enough.
        high: Highest value that is; inf where any is high enough.
        state: `met` or `missed`; `undecided` where rows are too few to tell; `pending` where people have not said yet.
        sentence: The comparison in words.
        because: The recipe's reason for the threshold.
    """

    key: str
    value: float
    base: float
    low: float
    high: float
    state: State
    sentence: str
    because: str = ""

    @property
    def met(self) -> bool:
        """Whether the threshold was met."""
        return self.state == "met"

    @property
    def passes(self) -> bool:
        """Whether `test` may succeed with it: met, or left to people who have not said yet."""
        return self.state in ("met", "pending")


@dataclass(frozen=True, slots=True)
class _Asked:
    """One thing that a threshold asks for: bounds, or a difference to a baseline."""

    of: str | None
    low: float = -math.inf
    high: float = math.inf
    gain: float | None = None
    confidence: float | None = None

    def limits(self, base: float, higher: bool) -> tuple[float, float]:
        """Lowest and highest value that is a success, given the baseline's."""
        if self.gain is not None:
            return (base + self.gain, math.inf) if higher else (-math.inf, base - self.gain)
        if self.of is None:
            return self.low, self.high
        low, high = (bound if math.isinf(bound) else bound * base for bound in (self.low, self.high))
        return low, high


def decide(
    success: Mapping[str, Threshold],
    tuned: Mapping[str, Measure],
    baselines: Mapping[str, Mapping[str, Measure]],
    slices: Mapping[str, Sequence[Slice]] | None = None,
    smallest: int = ENOUGH,
    seed: int = 0,
) -> list[Verdict]:
    """Compare each metric with its threshold. A value that is nan never meets one.

    Args:
        success: Thresholds by metric; one that asks for two things gives two verdicts.
        tuned: The tuned model's measures; those of audits hold one value.
        baselines: The same of each baseline, by its name, for the same rows.
        slices: Parts of the rows, by kind.
        smallest: Rows that a slice must have to be judged.
        seed: Of resamples.
    """
    found = []
    for key, threshold in success.items():
        metric, kind = split_key(key, tuned)
        mine = tuned.get(metric, Measure(metric, []))
        for asked in _asked(threshold):
            theirs = None if asked.of is None else baselines.get(asked.of, {}).get(metric)
            if not kind or not mine.values:
                found.append(replace(_judge(metric, asked, mine, theirs, seed, threshold.because), key=key))
                continue
            parts = (slices or {}).get(kind, [])
            of_parts = _of_slices(metric, kind, asked, mine, theirs, parts, smallest, seed, threshold.because)
            found.append(replace(of_parts, key=key))
    return found


def _asked(threshold: Threshold) -> Iterator[_Asked]:
    low, high = threshold.bounds
    sure = threshold.confidence
    if threshold.is_bounded:
        yield _Asked(threshold.of, low, high, confidence=sure)
    if threshold.improves_by is not None:
        yield _Asked(threshold.of or BASE, gain=threshold.improves_by, confidence=sure)
    if threshold.not_worse_than is not None:
        yield _Asked(threshold.not_worse_than, gain=-(threshold.by or 0.0), confidence=sure)


def _judge(metric: str, asked: _Asked, tuned: Measure, base: Measure | None, seed: int, because: str) -> Verdict:
    value = tuned.value
    reference = base.value if base is not None else math.nan
    low, high = (math.nan, math.nan)

    def verdict(state: State, sentence: str) -> Verdict:
        return Verdict(metric, value, reference, low, high, state, sentence, because)

    if tuned.pending:
        return verdict("pending", tuned.note or "people have not said yet")
    if base is not None and base.pending:
        return verdict("pending", f"{asked.of}: {base.note or 'people have not said yet'}")
    if asked.of is not None and not math.isfinite(reference):
        has = "has no value" if math.isnan(reference) else f"is {_n(reference)}"
        return verdict("missed", f"{metric} {has} for the {asked.of}")
    if asked.of is not None and asked.gain is None and reference < 0:
        return verdict("missed", f"{metric} is {_n(reference)} for the {asked.of}: a multiple of it is no goal")
    low, high = asked.limits(reference, tuned.higher_is_better)
    if not math.isfinite(value):
        why = "has no value: it applied to no row" if math.isnan(value) else f"is {_n(value)}, which meets nothing"
        return verdict("missed", f"{metric} {why}")
    if asked.of is not None and asked.gain is None and reference == 0 and not math.isinf(asked.low) and value == 0:
        return verdict("missed", f"{metric} is 0 as for the {asked.of}: no improvement")
    near = 0.0 if asked.gain is None else _ROUNDING * max(abs(reference), abs(asked.gain))
    met = low <= value <= high or any(math.isclose(value, b, rel_tol=_EQUAL, abs_tol=near) for b in (low, high))
    sentence = _sentence(asked, value, reference, met, tuned.higher_is_better)
    n = _paired(tuned, base)
    if n is not None and n < ENOUGH and (asked.of is not None or asked.confidence is not None):
        return verdict("undecided", f"{sentence}, but {_rows(n)} decide nothing: {ENOUGH} are needed")
    if not met:
        return verdict("missed", sentence)
    if asked.confidence is None or n is None:
        return verdict("met", sentence)
    share = f"{100 * asked.confidence:g} % confidence"
    margins = _margins(asked, tuned, base, seed)
    if all(_is_sure(m, asked.confidence) for m in margins):
        return verdict("met", f"{sentence}, with {share}")
    more = [_needed(m, min(value - low, high - value), n, asked.confidence) for m in margins]
    known = [rows for rows in more if rows is not None]
    hint = f": about {max(known):,} rows would show it" if known else ""
    return verdict("undecided", f"{sentence}, but not with {share}{hint}")


def _paired(tuned: Measure, base: Measure | None) -> int | None:
    """Rows with values of both; None for one value about all rows, as an audit's."""
    if tuned.single:
        return None
    mine = ~np.isnan(np.asarray(tuned.values, dtype=np.float64))
    if base is not None:
        mine &= ~np.isnan(np.asarray(base.values, dtype=np.float64))
    return int(mine.sum())


def _margins(asked: _Asked, tuned: Measure, base: Measure | None, seed: int) -> list[Floats]:
    """How far each bound is met, on resamples of the rows: 0 or more where it is."""
    measures = [tuned] if base is None else [tuned, base]
    drawn = resampled(measures, seed)
    mine, theirs = drawn[0], drawn[-1]
    if asked.gain is not None:
        return [(mine - theirs if tuned.higher_is_better else theirs - mine) - asked.gain]
    scale = theirs if asked.of is not None else np.ones_like(mine)
    found = []
    if not math.isinf(asked.low):
        found.append(mine - asked.low * scale)
    if not math.isinf(asked.high):
        found.append(asked.high * scale - mine)
    return found


def _is_sure(margins: Floats, confidence: float) -> bool:
    known = margins[np.isfinite(margins)]
    if len(known) < len(margins) / 2 or not len(known):
        return False
    return float(np.quantile(known, 1 - confidence)) >= -_EQUAL


def _needed(margins: Floats, margin: float, n: int, confidence: float) -> int | None:
    spread = float(np.nanstd(margins, ddof=1)) * math.sqrt(n)
    return rows_needed(margin, spread, confidence, sides=1)


def _of_slices(
    metric: str,
    kind: str,
    asked: _Asked,
    tuned: Measure,
    base: Measure | None,
    slices: Sequence[Slice],
    smallest: int,
    seed: int,
    because: str,
) -> Verdict:
    """The verdict of the worst slice, with what became of the others."""
    if tuned.pending or (base is not None and base.pending):
        return _judge(metric, asked, tuned, base, seed, because)
    judged: list[tuple[Slice, Verdict]] = []
    for part in slices:
        mine, theirs = part.of(tuned), None if base is None else part.of(base)
        # a slice whose rows the metric says nothing of has missed nothing
        if (_paired(mine, None) or 0) >= smallest:
            judged.append((part, _judge(metric, asked, mine, theirs, seed, because)))
    left = len(slices) - len(judged)
    small = f"; {left} of fewer than {smallest} rows not judged" if left else ""
    if not judged:
        sentence = f"no {kind} has {smallest} rows, which comparison.smallest asks for: nothing was judged"
        return Verdict(metric, math.nan, math.nan, math.nan, math.nan, "undecided", sentence, because)
    worst, said = min(judged, key=lambda one: (_ORDER.index(one[1].state), _margin(one[1])))
    met = sum(verdict.met for _, verdict in judged)
    sentence = f"{kind} {worst.value} ({_rows(len(worst.rows))}): {said.sentence}; {met} of {len(judged)} met{small}"
    return replace(said, sentence=sentence)


_ORDER = ("missed", "undecided", "pending", "met")


def _margin(verdict: Verdict) -> float:
    """How far the nearer bound is met; a slice without a value comes first."""
    margin = min(verdict.value - verdict.low, verdict.high - verdict.value)
    return -math.inf if math.isnan(margin) else margin


def _sentence(asked: _Asked, value: float, base: float, met: bool, higher: bool) -> str:
    if asked.gain is not None:
        gain = value - base if higher else base - value
        way = "as good as" if gain == 0 else f"{_n(abs(gain))} {'better' if gain > 0 else 'worse'} than"
        wanted = "better" if asked.gain > 0 else "worse" if asked.gain < 0 else ""
        limit = f"at {'most' if asked.gain < 0 else 'least'} {_n(abs(asked.gain))} {wanted}" if wanted else "no worse"
        return f"{_n(value)} is {way} {asked.of} {_n(base)} (asked: {limit})"
    low, high = asked.limits(base, higher)
    share = f" ({_multiple(asked)} {asked.of} {_n(base)})" if asked.of is not None else ""
    return f"{_n(value)} {_relation(low, high, met)}{share}"


def _relation(low: float, high: float, met: bool) -> str:
    if math.isinf(high):
        return f"{'≥' if met else '<'} {_n(low)}"
    if math.isinf(low):
        return f"{'≤' if met else '>'} {_n(high)}"
    return f"{'within' if met else 'outside'} {_n(low)} to {_n(high)}"


def _multiple(asked: _Asked) -> str:
    return " to ".join(f"{b:g} x" for b in (asked.low, asked.high) if not math.isinf(b))


def _rows(n: int) -> str:
    return f"{n:,} row{'' if n == 1 else 's'}"


def _n(value: float) -> str:
    return f"{value:.4g}"
