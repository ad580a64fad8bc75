"""Grounding: facts of an output that neither its input nor a file of known facts supports."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

from tunesmith import Evaluator, Mark, Measure, RecipeError, Sample
from tunesmith_plugins.evaluators.facts.fact import KINDS, Fact, Kind


class Grounding(Evaluator):
    """Facts of an output that its input does not support, and supported facts of the reference that it lacks.

    Facts are found by patterns and lists, in English, and compared however they are written:
    `numbers` with their units, exactly (1,000 mg = 1 g = "one gram"; 5 mg is not 5 g, and "one" alone is no number; a
    number without a unit is supported by the same number with any; an age is a number without one);
    `dates` and days of the week (14 March 2020 = 2020-03-14 supports "March 2020"; 03/04/2020 is either day);
    `names` of persons, places and makers: capitalised words that no sentence, label or common word explains; each of
    them has to stand in the input, in any order;
    `drugs`, by the stems of their international names and a list; a brand does not support its substance;
    `citations`: cases (`v.`, `In re`), reporters, neutral citations, U.S.C. and C.F.R., sections, articles, clauses; §
    12(b) supports § 12; a case, one that names its parties in part;
    `codes` of letters and digits (COVID-19, 316L).
    Whether what is said of a fact is true cannot be told: a dose of another drug of the input is supported.

    Measures, lower is better, equal facts of a text counted once: `invented` and `missed`, facts a row;
    `invented_rate`, of the output's facts (no value where it states none); `any_invented_rate`, 1 where an output
    invents; `missed_rate`, of the reference's facts that the input supports, those that the output lacks (no value
    where there are none); and `invented/KIND` and `missed/KIND`, facts a row, for each kind.

    Since 0.12.

    Args:
        known: A text file of facts that support outputs beside their input (precedents, products), in UTF-8.
        drugs: A text file of further names of drugs, one a line.
        kinds: The kinds of facts that count; all if None.
    """

    def __init__(
        self,
        known: Path | None = None,
        drugs: Path | None = None,
        kinds: list[Kind] | None = None,
    ) -> None:
        self.known = known
        self.drugs = drugs
        self.kinds = kinds

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """All facts, and two kinds of them."""
        return [cls(), cls(kinds=["names", "numbers"])]

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        """Facts of each output against its prompt, and of each reference against both.

        Raises:
            RecipeError: No kind is named, or a file cannot be read.
        """
        rows = [_Counts.of(row, self._kinds()) for row in self._found(samples)]
        names = ["invented", "missed", "invented_rate", "any_invented_rate", "missed_rate"]
        names += [f"{what}/{kind}" for what in ("invented", "missed") for kind in self._kinds()]
        return [Measure(name, [row.value(name) for row in rows], higher_is_better=False) for name in names]

    def marks(self, samples: Sequence[Sample]) -> list[list[Mark]]:
        """For each sample where what is invented stands in its output, and what is missed in its reference.

        Raises:
            RecipeError: No kind is named, or a file cannot be read.
        """
        return [
            [
                *(Mark("invented", fact.kind, fact.start, fact.end) for fact in row.invented),
                *(Mark("missed", fact.kind, fact.start, fact.end, "reference") for fact in row.missed),
            ]
            for row in self._found(samples)
        ]

    def _kinds(self) -> Sequence[Kind]:
        if self.kinds is not None and not self.kinds:
            msg = f"Grounding.kinds is empty; name some of {', '.join(KINDS)}, or leave it out for all"
            raise RecipeError(msg)
        return KINDS if self.kinds is None else list(dict.fromkeys(self.kinds))

    def _found(self, samples: Sequence[Sample]) -> "list[_Found]":
        from tunesmith_plugins.evaluators.facts.source import Source, facts_of

        kinds = self._kinds()
        further = frozenset(line.strip().lower() for line in self._read("drugs").splitlines())
        known = Source([self._read("known")], further)
        found = []
        for sample in samples:
            source = known.joined(Source((turn.content for turn in sample.prompt), further))
            stated, wanted = (
                [fact for fact in facts_of(text, further) if fact.kind in kinds]
                for text in (sample.output, sample.reference)
            )
            wanted = [fact for fact in wanted if source.supports(fact)]
            said = Source([sample.output], further)
            found.append(
                _Found(
                    stated,
                    [fact for fact in stated if not source.supports(fact)],
                    wanted,
                    [fact for fact in wanted if not said.supports(fact)],
                )
            )
        return found

    def _read(self, option: str) -> str:
        path: Path | None = getattr(self, option)
        if path is None:
            return ""
        try:
            return path.read_text(encoding="utf-8-sig")
        except (OSError, ValueError) as error:
            msg = f"Grounding.{option} is {path}, which cannot be read as text: {error}"
            raise RecipeError(msg) from error


class _Found(NamedTuple):
    """Facts of a row: of the output, those of them that are invented; of the reference, those that are missed."""

    stated: list[Fact]
    invented: list[Fact]
    wanted: list[Fact]
    missed: list[Fact]


class _Counts(NamedTuple):
    """How many different facts of a row are of each kind: stated, invented, wanted, missed."""

    counts: dict[str, dict[str, int]]

    @classmethod
    def of(cls, row: _Found, kinds: Sequence[Kind]) -> Self:
        counted: dict[str, dict[str, int]] = {}
        for name, facts in row._asdict().items():
            different = {(fact.kind, fact.key) for fact in facts}
            counted[name] = {kind: sum(one == kind for one, _ in different) for kind in kinds}
        return cls(counted)

    def value(self, name: str) -> float:
        """The value of a measure."""
        what, _, kind = name.partition("/")
        if kind:
            return float(self.counts[what][kind])
        totals = {one: sum(by_kind.values()) for one, by_kind in self.counts.items()}
        if what == "any_invented_rate":
            return float(totals["invented"] > 0)
        if what in totals:
            return float(totals[what])
        part, whole = ("invented", "stated") if what == "invented_rate" else ("missed", "wanted")
        return totals[part] / totals[whole] if totals[whole] else math.nan
