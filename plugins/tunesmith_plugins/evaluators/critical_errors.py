"""Critical errors: facts of an output that must be right, against gold columns of the row."""

import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from tunesmith import Evaluator, Measure, RecipeError, Sample, did_you_mean

_NOTHING = frozenset({"", "-", "none", "nil", "n/a"})
_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)```", re.DOTALL | re.IGNORECASE)


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

    The gold items of a field are in the row's column of the same name: a list, or text split at `,` and `;` (empty
    text or null: no items). Of the output, a field is read from a JSON object with that key, or else from every line
    that begins with its name and a colon (`Allergies: penicillin, latex`); `none`, `nil`, `n/a`, `-` or nothing after
    the colon states that there are no items. Case and white space do not matter, nor the order of items, nor, within
    an item, the order of parts joined by `pair` (`ibuprofen + warfarin` is `warfarin + ibuprofen`).

    Items that only one side has pair up as wrong; what is left over is missed or invented. A field that cannot be read
    counts as all missed, and as an error even where there was nothing to state.

    Measures, each per row in [0, 1]:
    `error_rate`, share of the fields with at least one error;
    `missed_rate` and `wrong_rate`, share of the gold items that are (no value for a row without gold items);
    `invented_rate`, share of the fields with an invented item;
    `unreadable_rate`, share of the fields that cannot be read.

    Args:
        fields: Names of the fields that must be right; each is a column and a label of the output, in which `_` may
            be written as a space or a hyphen.
        pair: Text between the parts of an item whose order does not matter; empty where there is none.
    """

    def __init__(self, fields: list[str], pair: str = "+") -> None:
        self.fields = fields
        self.pair = pair

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        """Compare each output with its row's gold items.

        Raises:
            RecipeError: No fields are named, or a row has no column of a field's name.
        """
        if not self.fields:
            msg = "CriticalErrors.fields is empty; name the columns whose items must be right"
            raise RecipeError(msg)
        rates = [self._rates(sample) for sample in samples]
        names = ("error_rate", "missed_rate", "wrong_rate", "invented_rate", "unreadable_rate")
        return [Measure(n, [r[k] for r in rates], higher_is_better=False) for k, n in enumerate(names)]

    def _rates(self, sample: Sample) -> tuple[float, float, float, float, float]:
        found = read_fields(sample.output, self.fields)
        errors = inventions = unreadable = gold_items = missed = wrong = 0
        for name in self.fields:
            gold = {self._normal(item) for item in _items(self._gold(sample, name))}
            stated = found[name]
            counts = count_items(gold, {self._normal(item) for item in stated or []})
            errors += stated is None or counts.wrong + counts.missed + counts.invented > 0
            inventions += counts.invented > 0
            unreadable += stated is None
            gold_items += len(gold)
            missed += counts.missed
            wrong += counts.wrong
        n = len(self.fields)
        of_gold = (lambda count: count / gold_items) if gold_items else (lambda _: math.nan)
        return errors / n, of_gold(missed), of_gold(wrong), inventions / n, unreadable / n

    def _gold(self, sample: Sample, name: str) -> Any:
        if name in sample.extras:
            return sample.extras[name]
        hint = did_you_mean(name, sample.extras)
        columns = ", ".join(sample.extras) or "none"
        msg = (
            f"CriticalErrors.fields: row {sample.id} has no column {name!r} with gold values{hint} (columns: {columns})"
        )
        raise RecipeError(msg)

    def _normal(self, item: str) -> str:
        parts = item.split(self.pair) if self.pair else [item]
        return f" {self.pair} ".join(sorted(" ".join(part.casefold().split()) for part in parts))


def count_items(gold: Collection[str], stated: Collection[str]) -> Counts:
    """Relate two sets of items: gold = matched + wrong + missed, stated = matched + wrong + invented."""
    matched = len(set(gold) & set(stated))
    missing, extra = len(set(gold)) - matched, len(set(stated)) - matched
    wrong = min(missing, extra)
    return Counts(matched, wrong, missing - wrong, extra - wrong)


def read_fields(output: str, fields: Sequence[str]) -> dict[str, list[str] | None]:
    """Items that an output states for each field; None for a field that cannot be read."""
    record = _json_object(output)
    if record is not None:
        by_label = {_label(str(key)): value for key, value in record.items()}
        return {name: _items(by_label[_label(name)]) if _label(name) in by_label else None for name in fields}
    return {name: _labelled(output, name) for name in fields}


def _json_object(output: str) -> Mapping[str, Any] | None:
    fenced = _FENCE.search(output)
    try:
        value = json.loads(fenced.group(1) if fenced else output)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _labelled(output: str, name: str) -> list[str] | None:
    words = r"[ _-]".join(re.escape(word) for word in _label(name).split())
    # A list mark or emphasis around the label changes nothing: `- **Allergies:** latex`.
    pattern = re.compile(rf"^[ \t]*(?:[-*•][ \t]+)?\**{words}\**[ \t]*:\**(.*)$", re.IGNORECASE | re.MULTILINE)
    lines = pattern.findall(output)
    return [item for line in lines for item in _items(line)] if lines else None


def _label(name: str) -> str:
    return " ".join(re.split(r"[\s_-]+", name.strip().casefold()))


def _items(value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        parts = re.split(r"[,;]", value.strip().removesuffix("."))
    elif isinstance(value, list | tuple | set | frozenset):
        parts = [str(part) for part in value if part is not None]
    else:
        parts = [str(value)]
    return [part.strip() for part in parts if part.strip().casefold() not in _NOTHING]
