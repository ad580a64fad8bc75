"""Plugins that each break one rule of the kit, and no other: formatters, curators, evaluators, audits.

Loaded as `--plugin FILE` loads a user's own; the name of the rule stands in `breaks`.
"""

import math
import os
import random
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar, Self

from tunesmith import (
    Audit,
    Curator,
    Evaluator,
    Example,
    Findings,
    Formatter,
    Measure,
    Message,
    Record,
    RowError,
    Sample,
    Subject,
    Table,
)


class _Words(Evaluator):
    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        return [Measure("words", [float(len(s.output.split())) for s in samples])]


class _Limited(_Words):
    """Counts words.

    Args:
        limit: The most.
    """

    def __init__(self, limit: int = 9) -> None:
        self.limit = limit


class NeedsAnOption(_Words):
    """Counts words.

    Args:
        limit: The most.
    """

    breaks = "makes_trial_instances"

    def __init__(self, limit: int) -> None:
        self.limit = limit


class ChecksInTheConstructor(_Words):
    """Counts words.

    Args:
        limit: The most.
    """

    breaks = "constructor_only_stores"

    def __init__(self, limit: int = 9) -> None:
        self.limit = max(1, limit)


class FillsADefault(_Words):
    """Counts words.

    Args:
        stop: Words that do not count.
    """

    breaks = "constructor_only_stores"

    def __init__(self, stop: list[str] | None = None) -> None:
        self.stop = ["the"] if stop is None else stop


class ReadsAFile(_Words):
    """Counts words."""

    breaks = "constructor_only_stores"

    def __init__(self) -> None:
        Path(__file__).read_text(encoding="utf-8")


class MakesAnAttribute(_Words):
    """Counts words."""

    breaks = "constructor_only_stores"

    def __init__(self) -> None:
        self.names = ["words"]


class ForgetsAnOption(_Words):
    """Counts words.

    Args:
        limit: The most.
    """

    breaks = "constructor_only_stores"

    def __init__(self, limit: int = 9) -> None:
        self._most = None

    @property
    def limit(self) -> int:
        return 9


class TakesAnything(_Words):
    """Counts words.

    Args:
        how: Anything.
    """

    breaks = "options_are_typed"

    def __init__(self, how: dict[str, Any] | None = None) -> None:
        self.how = how


class HasNoType(_Words):
    """Counts words.

    Args:
        limit: The most.
    """

    breaks = "options_are_typed"

    def __init__(self, limit=9) -> None:
        self.limit = limit


class TakesWhateverComes(_Words):
    """Counts words."""

    breaks = "options_are_typed"

    def __init__(self, **options: Any) -> None:
        self._options = {}


class TakesPlaces(_Words):
    """Counts words."""

    breaks = "options_are_typed"

    def __init__(self, *limits: int) -> None:
        self._limits = ()


class HidesAnOption(_Limited):
    """Counts words.

    Args:
        stem: Count stems.
    """

    breaks = "options_are_typed"

    def __init__(self, stem: bool = False, **more: Any) -> None:
        more.pop("floor", 0)
        super().__init__(**more)
        self.stem = stem


class SaysNothing(_Words):
    breaks = "options_are_documented"


class LeavesAnOptionOut(_Words):
    """Counts words."""

    breaks = "options_are_documented"

    def __init__(self, limit: int = 9) -> None:
        self.limit = limit


class DocumentsWhatIsGone(_Words):
    """Counts words.

    Args:
        limit: The most.
    """

    breaks = "options_are_documented"


class LosesAnOptionInPickle(_Words):
    """Counts words.

    Args:
        limit: The most.
    """

    breaks = "can_be_pickled"

    def __init__(self, limit: int = 9) -> None:
        self.limit = limit

    def __getstate__(self) -> dict[str, Any]:
        return {"limit": 0}


class TakesBytes(_Words):
    """Counts words.

    Args:
        end: What ends an answer.
    """

    breaks = "survives_a_recipe"

    def __init__(self, end: bytes = b"\n") -> None:
        self.end = end


class WritesACache(_Words):
    """Counts words."""

    breaks = "writes_only_where_told"

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        Path("words.cache").write_text("1", encoding="utf-8")
        return super().measure(samples)


class MakesAFolder(_Words):
    """Counts words."""

    breaks = "writes_only_where_told"

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        (Path.cwd() / "cache").mkdir(exist_ok=True)
        return super().measure(samples)


# Where files for a while lie, as the kit sets it; elsewhere the working directory.
PLACE = os.environ.get("TMP", ".")


class KeepsADatabase(_Words):
    """Counts words."""

    breaks = "writes_only_where_told"

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        with closing(sqlite3.connect(f"{PLACE}/words.db")) as database:
            database.execute("create table if not exists words (number int)")
        return super().measure(samples)


class StartsAProgram(_Words):
    """Counts words."""

    breaks = "writes_only_where_told"

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        os.system(f"echo 1 > {PLACE}/words.txt")
        return super().measure(samples)


class FollowsASet(_Words):
    """Length of the first word, of those in an order that is another in each process."""

    breaks = "deterministic"

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        return [Measure("first", [float(len(next(iter(set(s.output.split())), ""))) for s in samples])]


class RemembersForAll(_Words):
    """Words, as a share of the most in the first answers that any of its instances saw."""

    breaks = "deterministic"
    most = 0

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        words = [len(s.output.split()) for s in samples]
        type(self).most = self.most or max(words, default=0)
        return [Measure("words", [w / max(1, self.most) for w in words])]


class FailsOnEmptyAnswers(_Words):
    """First letters."""

    breaks = "measures_odd_samples"

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        return [Measure("capitals", [float(s.output[0].isupper()) for s in samples])]


class GivesOneMean(_Words):
    """Mean number of words."""

    breaks = "gives_one_value_a_sample"

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        words = [len(s.output.split()) for s in samples]
        return [Measure("words", [sum(words) / len(words)] if words else [])]


class NamesWhatItFinds(_Words):
    """Counts words, and letters where there are some."""

    breaks = "names_do_not_depend_on_samples"

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        letters = [Measure("letters", [float(len(s.output)) for s in samples])] if samples else []
        return [*super().measure(samples), *letters]


class ProducesAnother(_Words):
    """Counts words."""

    breaks = "produces_what_it_measures"

    def produces(self) -> list[Measure]:
        return [Measure("words", [], higher_is_better=False)]


class LooksAtNeighbours(_Words):
    """Words, of the most in all answers."""

    breaks = "is_invariant_to_order"

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        words = [len(s.output.split()) for s in samples]
        return [Measure("words", [w / max(1, *words, 1) for w in words])]


class IgnoresRepeats(_Words):
    """Share of words that differ."""

    breaks = "agrees_with_its_corpus"

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        words = [float(len(s.output)) for s in samples]
        return [Measure("letters", words, corpus=lambda indices: math.fsum(words[at] for at in set(indices)))]


class DividesByZero(_Words):
    """Words a digit."""

    breaks = "values_are_numbers"

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        return [Measure("ratio", [math.inf if "7" not in s.output else 1.0 for s in samples])]


class LearnsALimit(_Words):
    """Words, as a share of the most in the first answers that it saw."""

    breaks = "keeps_nothing_between_calls"

    def __init__(self) -> None:
        self._most = 0

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        words = [len(s.output.split()) for s in samples]
        self._most = self._most or max(words, default=0)
        return [Measure("words", [w / max(1, self._most) for w in words])]


class CountsItsCalls(_Words):
    """Words, and how often it was asked."""

    breaks = "keeps_nothing_between_calls"

    def __init__(self) -> None:
        self._calls = 0

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        self._calls += 1
        (words,) = super().measure(samples)
        return [Measure("words", words.values, note="" if self._calls < 5 else f"asked {self._calls} times")]


class RecomputesTheLast(_Words):
    """Words, all together."""

    breaks = "agrees_with_its_corpus"

    def __init__(self) -> None:
        self._values: list[float] = []

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        self._values = [float(len(s.output.split())) for s in samples]
        return [Measure("words", self._values, corpus=lambda indices: math.fsum(self._values[at] for at in indices))]


class ChangesSamples(_Words):
    """Counts words."""

    breaks = "leaves_samples_as_they_are"

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        for sample in samples:
            sample.extras["seen"] = True  # type: ignore[index]
        return super().measure(samples)


class _Text(Formatter):
    def format(self, row: Mapping[str, Any]) -> Example:
        text = row.get("text")
        if not isinstance(text, str) or not text.strip():
            raise RowError("text", "is no text", row)
        return Example(messages=(Message("user", "Say it."), Message("assistant", text)), extras=self.others(row))

    def others(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in row.items() if name != "text"}


class ReadsNothing(_Text):
    """Text."""

    breaks = "reads_some_row"

    def format(self, row: Mapping[str, Any]) -> Example:
        raise RowError("text", "is no text", row)


class FailsOnNumbers(_Text):
    """Text."""

    breaks = "reads_or_names_the_field"

    def format(self, row: Mapping[str, Any]) -> Example:
        if "text" not in row:
            raise RowError("text", "is missing", row)
        return super().format({**row, "text": row["text"].strip()})


class TakesNumbersForText(_Text):
    """Text."""

    breaks = "reads_or_names_the_field"

    def format(self, row: Mapping[str, Any]) -> Example:
        if not row.get("text"):
            raise RowError("text", "is missing", row)
        return Example(
            messages=(Message("user", "Say it."), Message("assistant", row["text"])), extras=self.others(row)
        )


class NamesAnotherRole(_Text):
    """Text."""

    breaks = "reads_or_names_the_field"

    def format(self, row: Mapping[str, Any]) -> Example:
        example = super().format(row)
        return example.with_(messages=(Message("human", "Say it."), *example.messages[1:]))  # type: ignore[arg-type]


class NamesNoField(_Text):
    """Text."""

    breaks = "reads_or_names_the_field"

    def format(self, row: Mapping[str, Any]) -> Example:
        if row.get("text") == 3:
            raise RowError("", "is wrong")
        return super().format(row)


class MakesEmptyExamples(_Text):
    """Text."""

    breaks = "reads_or_names_the_field"

    def format(self, row: Mapping[str, Any]) -> Example:
        return Example(extras=dict(row)) if row.get("text") == 3 else super().format(row)


class PopsColumns(_Text):
    """Text."""

    breaks = "format_is_pure"

    def format(self, row: Mapping[str, Any]) -> Example:
        example = super().format(row)
        row.pop("text")  # type: ignore[attr-defined]
        return example


class DropsColumns(_Text):
    """Text."""

    breaks = "keeps_unread_columns"

    def others(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return {}


class QuotesTheRow(_Text):
    """Text."""

    breaks = "refusals_hold_no_text"

    def format(self, row: Mapping[str, Any]) -> Example:
        if not isinstance(row.get("text", ""), str):
            raise RowError("text", f"is {row['text']!r}", row)
        return super().format(row)


class QuotesTheBeginning(_Text):
    """Text."""

    breaks = "refusals_hold_no_text"

    def format(self, row: Mapping[str, Any]) -> Example:
        if not isinstance(row.get("text", ""), str):
            raise RowError("text", f"begins with {str(row['text'])[:9]!r}", row)
        return super().format(row)


class TellsTheColumns(_Text):
    """Text."""

    breaks = "refusals_hold_no_text"

    def format(self, row: Mapping[str, Any]) -> Example:
        if "text" not in row:
            raise RowError("text", f"is missing; there are {', '.join(row)}")
        return super().format(row)


class AsksOtherwise(_Text):
    """Text."""

    breaks = "question_agrees_with_format"

    def question(self, row: Mapping[str, Any]) -> Example:
        example = self.format(row)
        return example.with_(messages=(Message("user", "Say it, please."), *example.messages[1:]))


class AsksOtherwiseWithoutAnAnswer(_Text):
    """A question and an answer."""

    breaks = "question_agrees_with_format"

    def format(self, row: Mapping[str, Any]) -> Example:
        asked, said = self.question({**row, "said": "?"}), row.get("said")
        if not isinstance(said, str) or not said.strip():
            raise RowError("said", "is no text", row)
        return asked.with_(messages=(*asked.messages, Message("assistant", said)))

    def question(self, row: Mapping[str, Any]) -> Example:
        asked = row.get("text")
        if not isinstance(asked, str) or not asked.strip():
            raise RowError("text", "is no text", row)
        if row.get("said") not in (None, "?"):
            return self.format(row)
        turn = Message("user", asked if row.get("said") else f"Question: {asked}")
        return Example(messages=(turn,), extras={n: value for n, value in row.items() if n not in ("text", "said")})


class _Long(Curator):
    def apply(self, examples: Iterable[Example], record: Record) -> Iterator[Example]:
        for example in examples:
            if sum(map(len, example.texts())) < 60:
                record.drop(example, "short")
            else:
                yield example


class DropsSilently(_Long):
    """Drops short examples."""

    breaks = "accounts_for_every_example"

    def apply(self, examples: Iterable[Example], record: Record) -> Iterator[Example]:
        return (example for example in examples if len(example.texts()[0]) > 40)


class DropsSilentlyWhatIsHeldOut(_Long):
    """Drops training rows that ask what a held-out row asks."""

    breaks = "accounts_for_every_example"
    scope = "train"

    def apply(self, examples: Iterable[Example], record: Record) -> Iterator[Example]:
        asked = [example.prompt for example in record.held_out]
        return (example for example in examples if example.prompt not in asked)


class SortsExamples(_Long):
    """Sorts by length."""

    breaks = "accounts_for_every_example"

    def apply(self, examples: Iterable[Example], record: Record) -> Iterator[Example]:
        return iter(sorted(examples, key=lambda example: len(example.texts()[0])))


class ChangesSilently(_Long):
    """Strips labels."""

    breaks = "accounts_for_every_example"

    def apply(self, examples: Iterable[Example], record: Record) -> Iterator[Example]:
        return (example.with_(label=None) for example in examples)


class NeedsExamples(_Long):
    """Drops the longest."""

    breaks = "takes_an_empty_set"

    def apply(self, examples: Iterable[Example], record: Record) -> Iterator[Example]:
        examples = list(examples)
        longest = max(len(example.texts()[0]) for example in examples)
        for example in examples:
            if len(example.texts()[0]) == longest:
                record.drop(example, "the longest")
            else:
                yield example


class ComparesRows(_Long):
    """Drops what it has seen."""

    breaks = "rows_are_independent"
    by_row = True

    def apply(self, examples: Iterable[Example], record: Record) -> Iterator[Example]:
        seen: set[str] = set()
        for example in examples:
            text = "".join(example.texts())
            if text in seen:
                record.drop(example, "seen before")
            else:
                yield example
            seen.add(text)


class ReadsTwice(_Long):
    """Drops what is shorter than the mean."""

    breaks = "reads_the_stream_once"

    def apply(self, examples: Iterable[Example], record: Record) -> Iterator[Example]:
        number = sum(1 for _ in examples)
        for at, example in enumerate(examples):
            if at == number - 1:
                record.drop(example, "the last")
            else:
                yield example


class MarksInPlace(_Long):
    """Marks short examples."""

    breaks = "changes_nothing_in_place"

    def apply(self, examples: Iterable[Example], record: Record) -> Iterator[Example]:
        for example in examples:
            example.extras["seen"] = True  # type: ignore[index]
            yield example


class TellsTheText(_Long):
    """Drops short examples."""

    breaks = "reasons_hold_no_text"

    def apply(self, examples: Iterable[Example], record: Record) -> Iterator[Example]:
        for example in examples:
            if example.label is None:
                yield example
            else:
                record.drop(example, f"labelled: {example.texts()[0]}")


class EmptiesExamples(_Long):
    """Takes turns away that say little."""

    breaks = "keeps_examples_sound"

    def apply(self, examples: Iterable[Example], record: Record) -> Iterator[Example]:
        for example in examples:
            kept = tuple(turn for turn in example.messages if len(turn.content) > 20)
            if kept != example.messages:
                record.change(example, "short turns")
            yield example.with_(messages=kept)


class TellsTheBeginning(_Long):
    """Drops short examples."""

    breaks = "reasons_hold_no_text"

    def apply(self, examples: Iterable[Example], record: Record) -> Iterator[Example]:
        for example in examples:
            if len(text := example.texts()[0]) < 30:
                record.drop(example, f"short: {text[:12]}")
            else:
                yield example


class TellsTheWords(_Long):
    """Writes in lower case."""

    breaks = "reasons_hold_no_text"

    def apply(self, examples: Iterable[Example], record: Record) -> Iterator[Example]:
        for example in examples:
            turns = example.messages
            if not turns or turns[0].content == turns[0].content.lower():
                yield example
                continue
            words = [word for word in turns[0].content.split() if word != word.lower()]
            record.change(example, f"{' '.join(words)} in lower case")
            lower = Message(turns[0].role, turns[0].content.lower(), turns[0].weight)
            yield example.with_(messages=(lower, *turns[1:]))


class TellsTheLength(_Long):
    """Drops short examples."""

    breaks = "reasons_hold_no_text"

    def apply(self, examples: Iterable[Example], record: Record) -> Iterator[Example]:
        for example in examples:
            if (length := len(example.texts()[0])) < 60:
                record.drop(example, f"{length} characters")
            else:
                yield example


class RecordsEveryExample(_Long):
    """Strips space."""

    breaks = "records_what_it_changes"

    def apply(self, examples: Iterable[Example], record: Record) -> Iterator[Example]:
        for example in examples:
            turns = tuple(Message(m.role, m.content.strip(), m.weight, m.fields) for m in example.messages)
            record.change(example, "stripped")
            yield example.with_(messages=turns)


class RecordsEveryWord(_Long):
    """Ends each turn with a call."""

    breaks = "records_what_it_changes"

    def apply(self, examples: Iterable[Example], record: Record) -> Iterator[Example]:
        for example in examples:
            if example.messages:
                for _ in example.messages:
                    record.change(example, "translated")
                yield example.with_(messages=tuple(Message(m.role, f"{m.content}!") for m in example.messages))
            else:
                yield example


class ChangesAndDrops(_Long):
    """Drops what is labelled, and says that it changed it."""

    breaks = "records_what_it_changes"

    def apply(self, examples: Iterable[Example], record: Record) -> Iterator[Example]:
        for example in examples:
            if example.label is None:
                yield example
            else:
                record.change(example, "label removed")
                record.drop(example, "label removed")


class ChangesTypes(_Long):
    """Writes whole numbers as such."""

    breaks = "records_what_it_changes"

    def apply(self, examples: Iterable[Example], record: Record) -> Iterator[Example]:
        for example in examples:
            yield example.with_(label=float(example.label)) if isinstance(example.label, int) else example


class LearnsALength(_Long):
    """Drops what is shorter than the shortest of the first examples that it saw."""

    breaks = "keeps_nothing_between_calls"

    def __init__(self) -> None:
        self._least = 0

    def apply(self, examples: Iterable[Example], record: Record) -> Iterator[Example]:
        examples = list(examples)
        self._least = self._least or min((sum(map(len, e.texts())) for e in examples), default=0)
        for example in examples:
            if sum(map(len, example.texts())) < self._least:
                record.drop(example, "short")
            else:
                yield example


class RunsNever(_Long):
    """Drops short examples."""

    breaks = "class_attributes_are_known"
    scope = "test"  # type: ignore[assignment]


class MakesTestRows(_Long):
    """Doubles examples, before the split."""

    breaks = "scope_is_valid"

    def apply(self, examples: Iterable[Example], record: Record) -> Iterator[Example]:
        for example in examples:
            yield example
            copy = example.with_(id=f"{example.id}-copy")
            record.add(copy, "doubled")
            yield copy


class _Count(Audit):
    needs: ClassVar[Any] = frozenset({"examples"})

    def examine(self, subject: Subject) -> Findings:
        return Findings("some examples", "none", {"number": float(len(self.all(subject)))})

    def all(self, subject: Subject) -> list[Example]:
        return [example for split in subject.examples.values() for example in split]

    def produces(self) -> list[Measure]:
        return [Measure("number", [])]


class DrawsEvidence(_Count):
    """Counts."""

    breaks = "deterministic"

    def examine(self, subject: Subject) -> Findings:
        drawn = random.sample([e.id for e in self.all(subject)], min(3, len(self.all(subject))))
        return Findings("some", "low" if drawn else "none", {"number": 0.0}, evidence=tuple(drawn))


class NeedsAGroup(_Count):
    """Counts."""

    breaks = "examines_any_subject"

    def examine(self, subject: Subject) -> Findings:
        shares = [1 / len(split) for split in subject.examples.values()]
        return Findings("some", "none", {"number": max(shares)})


class AddsUpSubjects(_Count):
    """Counts, all subjects together."""

    breaks = "keeps_nothing_between_calls"

    def __init__(self) -> None:
        self._number = 0

    def examine(self, subject: Subject) -> Findings:
        self._number += len(self.all(subject))
        return Findings("some examples", "none", {"number": float(self._number)})


class HidesAMetric(_Count):
    """Counts."""

    breaks = "metrics_are_what_it_produces"

    def examine(self, subject: Subject) -> Findings:
        number = len(self.all(subject))
        return Findings("some", "none", {"number": float(number)} if number > 1 else {})


class MeasuresInfinity(_Count):
    """Counts."""

    breaks = "metrics_are_numbers"

    def examine(self, subject: Subject) -> Findings:
        return Findings("some", "none", {"number": math.inf})


class NumbersItsEvidence(_Count):
    """Counts."""

    breaks = "evidence_exists"

    def examine(self, subject: Subject) -> Findings:
        return Findings("some", "low", {"number": 1.0}, evidence=tuple("12"[: len(self.all(subject))]))


class ShowsNoEvidence(_Count):
    """Counts."""

    breaks = "evidence_exists"

    def examine(self, subject: Subject) -> Findings:
        number = len(self.all(subject))
        return Findings("some", "low" if number > 5 else "none", {"number": float(number)})


class InventsASeverity(_Count):
    """Counts."""

    breaks = "findings_are_sound"

    def examine(self, subject: Subject) -> Findings:
        return Findings("some", "severe", {"number": 1.0})  # type: ignore[arg-type]


class BreaksATable(_Count):
    """Counts."""

    breaks = "findings_are_sound"

    def examine(self, subject: Subject) -> Findings:
        return Findings("some", "none", {"number": 1.0}, (Table("number", ("group",), (("a", 1),)),))


class FillsCellsWithLists(_Count):
    """Counts."""

    breaks = "findings_are_sound"

    def examine(self, subject: Subject) -> Findings:
        ids: Any = [example.id for example in self.all(subject)]
        return Findings("some", "none", {"number": 1.0}, (Table("number", ("rows",), ((ids,),)),))


class MarksExamples(_Count):
    """Counts."""

    breaks = "leaves_the_subject_as_it_is"

    def examine(self, subject: Subject) -> Findings:
        for example in self.all(subject):
            example.extras["seen"] = True  # type: ignore[index]
        return super().examine(subject)


class NeedsAMisspeltPart(_Count):
    """Counts."""

    breaks = "class_attributes_are_known"
    needs: ClassVar[Any] = frozenset({"example"})


class MakesNone(_Count):
    """Counts.

    Args:
        limit: The most.
    """

    breaks = "makes_trial_instances"

    def __init__(self, limit: int) -> None:
        self.limit = limit

    @classmethod
    def trial_instances(cls) -> list[Self]:
        return []
