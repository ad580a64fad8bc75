"""Critical errors: facts of an output that must be right, against gold columns of the row."""

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import NamedTuple, Self

from tunesmith import Evaluator, Measure, RecipeError, Sample, did_you_mean
from tunesmith_plugins.evaluators.stated import NONE, holds, items, nothing, read_fields

_NAMES = ("error_rate", "any_error_rate", "missed_rate", "wrong_rate", "invented_rate", "unreadable_rate")
_UNREAD = "mostly unreadable, so hardly ever wrong"
_SEVERITY = "severity_rate"
_Rates = tuple[float, float, float, float, float, float, float]


class Counts(NamedTuple):
    """How the items that an output states relate to the gold items.

    Attributes:
        matched: Items that both have.
        wrong: Gold items with another item in their place.
        missed: Gold items with none.
        invented: Stated items that no gold item stands for.
    """

    matched: int
    wrong: int
    missed: int
    invented: int


class CriticalErrors(Evaluator):
    """How often fields that must be right are not: missed, wrong, invented or unreadable items. Lower is better.

    The gold items of a field are in the row's column of the same name: a list, text with a JSON list in it
    (`["latex"]`, as CSV files hold it), or text split at `,` and `;`; empty text or null: no items.

    Of the output, a field is read from JSON objects with that key, wherever they stand, or else from every line with
    its name and a colon (`Allergies: penicillin, latex`; also in bold, as a heading or as a list item). With nothing
    behind the colon its items are the list below it; where that is neither a list nor another label, the field cannot
    be read. `-`, or one of the phrases of `none`, states that there are no items. Case and white space do not matter,
    nor the order of items, nor, within an item, the order of parts joined by `pair` (`ibuprofen + warfarin` is
    `warfarin + ibuprofen`).

    Items that only one side has pair up as wrong; what is left over is missed or invented. A field that cannot be read
    counts as all missed, and as an error even where there was nothing to state.

    Measures, each per row in [0, 1]:
    `error_rate`, share of the fields with at least one error;
    `any_error_rate`, 1 if any field has one: on average the share of the rows that are not wholly right;
    `missed_rate` and `wrong_rate`, share of the gold items that are (no value for a row without gold items);
    `invented_rate`, share of the fields with an invented item;
    `unreadable_rate`, share of the fields that cannot be read;
    `severity_rate`, where `severity` is given: the weight of the fields with at least one error, of the weight of all.

    Since 0.1.

    Args:
        fields: Names of the fields that must be right; each is a column and a label of the output, in which `_` may
            be written as a space or a hyphen.
        pair: Text between the parts of an item whose order does not matter; empty where there is none.
        rows: Column that says which rows count: those where it holds something (a list with items, text that is
            neither `false`, `0` nor a phrase of `none`, a number other than 0, true). Others get no value; all rows
            count if None.
        none: Phrases that state that there are no items, `{field}` for the field's name; in any case, punctuation
            around them does not matter. If None: none, none known, none reported, none noted, none found, no,
            no {field}, no known {field}, no known drug {field}, NKA, NKDA, nil, nothing, n/a, not applicable.
        severity: How much an error in a field weighs (`dose: 10`), 0 or more; 1 for those that are not named.
    """

    def __init__(
        self,
        fields: list[str],
        pair: str = "+",
        rows: str | None = None,
        none: list[str] | None = None,
        severity: dict[str, float] | None = None,
    ) -> None:
        self.fields = fields
        self.pair = pair
        self.rows = rows
        self.none = none
        self.severity = severity

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """Two fields; one, of the rows that have something in a column, with phrases of one's own; and weights."""
        return [
            cls(["allergies", "drug_conflicts"]),
            cls(["allergies"], pair="", rows="urgent", none=["all clear"]),
            cls(["allergies", "dose"], severity={"dose": 10.0}),
        ]

    def columns(self) -> Sequence[str]:
        """The gold columns, and the one that says which rows count."""
        return [*self.fields, *([self.rows] if self.rows is not None else [])]

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        """Compare each output with its row's gold items.

        Raises:
            RecipeError: No fields are named, a row has no column of a field's name or holds no items in it, no row
                has the column `rows`, or a weight cannot be.
        """
        if not self.fields:
            msg = "CriticalErrors.fields is empty; name the columns whose items must be right"
            raise RecipeError(msg)
        if self.rows is not None and samples and not any(self.rows in sample.extras for sample in samples):
            columns = list(dict.fromkeys(name for sample in samples for name in sample.extras))
            msg = f"CriticalErrors.rows is {self.rows!r}, a column of no row{_known(self.rows, columns)}"
            raise RecipeError(msg)
        self._check_severity()
        names = (*_NAMES, _SEVERITY)
        values = list(zip(*(self._rates(sample) for sample in samples), strict=True)) or [()] * len(names)
        measures = [Measure(n, list(v), higher_is_better=False) for n, v in zip(names, values, strict=True)]
        if self.severity is None:
            measures.pop()
        if not measures[len(_NAMES) - 1].value >= 0.5:  # also where there is none
            return measures
        return [replace(m, note=_UNREAD) if m.name in ("wrong_rate", "invented_rate") else m for m in measures]

    def _check_severity(self) -> None:
        for name, weight in (self.severity or {}).items():
            if name not in self.fields:
                there = f"{did_you_mean(name, self.fields)} (fields: {', '.join(self.fields)})"
                msg = f"CriticalErrors.severity names {name!r}, which is none of the fields{there}"
                raise RecipeError(msg)
            if not 0 <= weight < math.inf:
                msg = f"CriticalErrors.severity.{name} is {weight}; give a number, 0 or more"
                raise RecipeError(msg)
        if not math.fsum(map(self._weight, self.fields)):
            msg = "CriticalErrors.severity gives every field a weight of 0; give one of them more"
            raise RecipeError(msg)

    def _weight(self, field: str) -> float:
        return (self.severity or {}).get(field, 1.0)

    def _rates(self, sample: Sample) -> _Rates:
        golds = [self._gold(sample, name) for name in self.fields]
        if not self._counts(sample):
            return (math.nan,) * 7
        found = read_fields(sample.output, self.fields, self._none)
        errors = inventions = unreadable = gold_items = missed = wrong = 0
        severity = 0.0
        for name, gold in zip(self.fields, golds, strict=True):
            stated = found[name]
            counts = count_items(gold, {self._normal(item) for item in stated or []})
            is_wrong = stated is None or counts.wrong + counts.missed + counts.invented > 0
            errors += is_wrong
            severity += is_wrong * self._weight(name)
            inventions += counts.invented > 0
            unreadable += stated is None
            gold_items += len(gold)
            missed += counts.missed
            wrong += counts.wrong
        n = len(self.fields)
        of_gold = (lambda count: count / gold_items) if gold_items else (lambda _: math.nan)
        severity /= math.fsum(map(self._weight, self.fields))
        return errors / n, float(errors > 0), of_gold(missed), of_gold(wrong), inventions / n, unreadable / n, severity

    @property
    def _none(self) -> Collection[str]:
        return NONE if self.none is None else self.none

    def _counts(self, sample: Sample) -> bool:
        return self.rows is None or holds(sample.extras.get(self.rows), nothing(self._none, self.rows))

    def _gold(self, sample: Sample, name: str) -> set[str]:
        if name not in sample.extras:
            known = _known(name, list(sample.extras))
            msg = f"CriticalErrors.fields: row {sample.id} has no column {name!r} with gold values{known}"
            raise RecipeError(msg)
        value = sample.extras[name]
        gold = items(value, nothing(self._none, name))
        if gold is None:
            msg = (
                f"CriticalErrors.fields: column {name!r} of row {sample.id} holds {value!r:.60}, "
                "which states no items; give a list of texts, or text"
            )
            raise RecipeError(msg)
        return {self._normal(item) for item in gold}

    def _normal(self, item: str) -> str:
        parts = item.split(self.pair) if self.pair else [item]
        return f" {self.pair} ".join(sorted(" ".join(part.casefold().split()) for part in parts))


def _known(name: str, columns: Sequence[str]) -> str:
    return f"{did_you_mean(name, columns)} (columns: {', '.join(columns) or 'none'})"


def count_items(gold: Collection[str], stated: Collection[str]) -> Counts:
    """Relate two sets of items: gold = matched + wrong + missed, stated = matched + wrong + invented."""
    matched = len(set(gold) & set(stated))
    missing, extra = len(set(gold)) - matched, len(set(stated)) - matched
    wrong = min(missing, extra)
    return Counts(matched, wrong, missing - wrong, extra - wrong)
