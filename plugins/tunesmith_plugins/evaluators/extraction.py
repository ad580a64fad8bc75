"""Extraction: which values of named fields the output gives, in JSON or behind labels."""

import json
import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any, Self

from tunesmith import Evaluator, Measure, RecipeError, Sample, did_you_mean
from tunesmith_plugins.evaluators.stated import NONE, items, label, nothing, objects, read_fields
from tunesmith_plugins.evaluators.summed import Statistics, summed

_NAMES = ("precision", "recall", "f1")
_NUMBER = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?", re.ASCII)
_EDGES = " \t\n.,;:\"'`*()[]"
_Values = Counter[str]


class Extraction(Evaluator):
    """Values of fields that an output extracts, against those of its reference; in [0, 1], higher is better.

    Fields are read from JSON objects, wherever they stand in a text, or else behind labels: `Drug: warfarin`, a list
    below a label, in bold or as a heading, as `CriticalErrors` reads them. `patient.name` is the key `name` within
    `patient`, of each where that is a list; its label is its last part. Text is divided at the letters of `divide`, but
    not within a number (1,000) or a list. A field's values are counted as often as they stand there, in any order.

    Values are compared in lower case, with single spaces, without punctuation and brackets at the ends; numbers by
    value (1,000 is 1000.0); an object by all its keys, in any order. null, an empty text and phrases such as "none" or
    "n/a" are no value.

    Measures `precision` (of the values that outputs give, those that are right), `recall` (of the references' values,
    those that are given) and `f1`, each of all values of all fields and rows together (micro); the same by field,
    `f1/FIELD`; `exact`, the share of rows in which all fields are wholly right; and `unread`, the share of rows in
    whose output no field is found (lower is better). A field without values on both sides is right, and counts in
    `exact` only.

    Since 0.12.

    Args:
        fields: Names of the fields, nested ones with dots.
        of: Column with the right values, as text or nested as JSON is; without it, the reference has them.
        divide: Letters between the values in a text; empty where a text is one value.
    """

    def __init__(self, fields: list[str], of: str | None = None, divide: str = ",;") -> None:
        self.fields = fields
        self.of = of
        self.divide = divide

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """Two fields of the reference; and nested ones, of a column."""
        return [cls(["lamp", "pump"]), cls(["shelf.box", "shelf.key"], of="facts", divide="")]

    def columns(self) -> Sequence[str]:
        """The column with the right values, where there is one."""
        return () if self.of is None else (self.of,)

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        """Right, given and wanted values of each row and field; shares of any rows together.

        Raises:
            RecipeError: No fields are named or one twice, or a row does not have the column.
        """
        import numpy as np

        self._check()
        counts = np.zeros((len(samples), len(self.fields), 3))
        exact: list[float] = []
        unread: list[float] = []
        without = 0
        for row, sample in enumerate(samples):
            wanted, given = self._read(self._gold(sample)), self._read(sample.output)
            without += all(values is None for values in wanted.values())
            for at, name in enumerate(self.fields):
                one, other = given[name] or Counter(), wanted[name] or Counter()
                counts[row, at] = (one & other).total(), one.total(), other.total()
            exact.append(float(all((given[n] or Counter()) == (wanted[n] or Counter()) for n in self.fields)))
            unread.append(float(all(values is None for values in given.values())))
        note = f"{without} of {len(samples)} {self.of or 'references'} hold none of these fields" if without else ""
        found = [summed(name, counts.sum(axis=1), partial(_share, name)) for name in _NAMES]
        found += [Measure("exact", exact), Measure("unread", unread, higher_is_better=False)]
        for at, field in enumerate(self.fields):
            found += [summed(f"{name}/{field}", counts[:, at], partial(_share, name)) for name in _NAMES]
        return [replace(measure, note=note) for measure in found]

    def _check(self) -> None:
        if not self.fields or not all(part.strip() for name in self.fields for part in name.split(".")):
            msg = f"Extraction.fields is {self.fields}; name one or more, nested ones as patient.name"
            raise RecipeError(msg)
        if len({label(name) for name in self.fields}) < len(self.fields):
            msg = f"Extraction.fields is {self.fields}, which names one twice: case, spaces and hyphens do not count"
            raise RecipeError(msg)

    def _gold(self, sample: Sample) -> Any:
        if self.of is None:
            return sample.reference
        if self.of not in sample.extras:
            near = did_you_mean(self.of, list(sample.extras))
            msg = f"Extraction.of is {self.of}, which is no column of row {sample.id}{near}"
            raise RecipeError(msg)
        return sample.extras[self.of]

    def _read(self, given: Any) -> dict[str, _Values | None]:
        """The values of each field; None for one that is not there."""
        records = list(objects(given)) if isinstance(given, str) else [given]
        found: dict[str, _Values | None] = {}
        for name in self.fields:
            path = [label(part) for part in name.split(".")]
            values = [value for record in records for value in _at(record, path)]
            found[name] = Counter(self._values(values, path[-1])) if values else None
        if isinstance(given, str) and all(values is None for values in found.values()):
            labels = {name: name.rpartition(".")[2] for name in self.fields}
            behind = read_fields(given, list(labels.values()), divide=self._between)
            for name, said in labels.items():
                found[name] = None if (texts := behind[said]) is None else Counter(map(_normal, texts))
        return found

    @property
    def _between(self) -> str:
        """What divides a text; never the comma of 1,000."""
        return rf"(?!(?<=\d),\d{{3}}(?!\d))[{re.escape(self.divide)}]" if self.divide else ""

    def _values(self, values: Sequence[Any], name: str) -> Iterator[str]:
        empty = nothing(NONE, name)
        for value in values:
            for part in value if isinstance(value, list | tuple) else [value]:
                if isinstance(part, Mapping | list | tuple):
                    yield json.dumps(_plain(part), sort_keys=True)
                elif isinstance(part, bool):
                    yield str(part).lower()
                else:
                    divide = "" if isinstance(value, list | tuple) else self._between
                    yield from map(_normal, items(part, empty, divide) or ())


def _share(name: str, counts: Statistics) -> float:
    right, given, wanted = (float(count) for count in counts)
    if not given + wanted:
        return math.nan
    of = {"precision": given, "recall": wanted, "f1": (given + wanted) / 2}[name]
    return right / of if of else 0.0


def _at(value: Any, path: Collection[str]) -> Iterator[Any]:
    """What stands under a path of keys, in each of the objects of lists on the way."""
    if isinstance(value, list | tuple) and path:
        for one in value:
            yield from _at(one, path)
    elif not path:
        yield value
    elif isinstance(value, Mapping):
        first, *rest = path
        for key, inner in value.items():
            if label(str(key)) == first:
                yield from _at(inner, rest)


def _plain(value: Any) -> Any:
    """A value with its texts as they are compared."""
    if isinstance(value, Mapping):
        return {label(str(key)): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, bool) else _normal(str(value))


def _normal(text: str) -> str:
    bare = " ".join(text.casefold().split()).strip(_EDGES)
    if not _NUMBER.fullmatch(bare):
        return bare
    return str(Fraction(bare.replace(",", "")))  # exact: account numbers are long
