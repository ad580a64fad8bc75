"""What evaluators and audits take and give."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tunesmith.data.example import Label, Message


@dataclass(frozen=True, slots=True)
class Timing:
    """How long an answer takes, asked alone.

    Since 0.12.

    Args:
        first: Seconds until the first token is there.
        seconds: Seconds until the last one is.
        processor: Processor seconds of that.
        tokens: Tokens of it.
    """

    first: float
    seconds: float
    processor: float
    tokens: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One prompt with its reference and one model's output.

    Since 0.1.

    Args:
        id: The example's id.
        prompt: The turns that the model was given.
        reference: The answer that was wanted.
        output: The answer that the model gave, without special tokens; empty where no evaluator asked to generate.
        logprob: Sum of the log-probabilities (natural logarithm) of the reference's tokens; nan where not asked for.
        tokens: Number of tokens that `logprob` sums over.
        task: The example's task.
        extras: The row's other columns (gold values, groups).
        stopped: Whether the output ended by itself, rather than at `generation.max_new_tokens`.
        model: Who answered: `tuned`, `base`, or the name of another baseline. Since 0.12.
        prompt_tokens: Tokens of the prompt as the model read it; 0 where it does not say. Since 0.12.
        answer_tokens: Tokens that it generated, the end of the turn included; 0 where it does not say. Since 0.12.
        timing: How long the answer takes alone; None for rows that were not timed. Since 0.12.
        training: Processor seconds (of a GPU's host: with what waits for it) that training this model took; nan where
            nobody knows, 0 for the base. Since 0.12.
        probabilities: Of the classes that evaluators name (`Evaluator.classes`) as the whole answer, normalised over
            all of them; empty where not asked for, or the model does not say. Since 0.12.
        label: The example's: a class, classes, a number; of an answer, whether it is wanted. Since 0.13.
        rejected: As `logprob`, of the worse answer of a pair; nan where there is none, or not asked for. Since 0.13.
        rejected_tokens: Number of tokens that `rejected` sums over. Since 0.13.
    """

    id: str
    prompt: tuple[Message, ...]
    reference: str
    output: str
    logprob: float = math.nan
    tokens: int = 0
    task: str = ""
    extras: Mapping[str, Any] = field(default_factory=dict)
    stopped: bool = True
    model: str = "tuned"
    prompt_tokens: int = 0
    answer_tokens: int = 0
    timing: Timing | None = None
    training: float = math.nan
    probabilities: Mapping[str, float] = field(default_factory=dict)
    label: Label = None
    rejected: float = math.nan
    rejected_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Measure:
    """The values of one metric, one per sample.

    Since 0.1.

    Args:
        name: Name within its evaluator, as a recipe's `success` says it after the slash.
        values: One value per sample, in the samples' order; nan where the metric does not apply to one.
        higher_is_better: The direction in which an improvement lies.
        unit: What it is counted in, for tables ("%", "tokens", "grade"); empty for plain numbers and shares.
        corpus: For a metric that is no mean of per-sample values: recomputes it on the samples at the given indices
            (which may repeat, as in a bootstrap resample).
        note: What a reader of these values must know; shown below the table. Empty where all is well.
        pending: Whether people have yet to say the values; thresholds then wait instead of being missed. Since 0.12.
        single: Whether it is one value about all samples, as an audit's, rather than one a sample. Since 0.12.
    """

    name: str
    values: Sequence[float]
    higher_is_better: bool = True
    unit: str = ""
    corpus: Callable[[Sequence[int]], float] | None = None
    note: str = ""
    pending: bool = False
    single: bool = False

    @property
    def value(self) -> float:
        """The metric over all samples: the mean of the values that apply, or `corpus` of all; nan without samples."""
        return self.at(range(len(self.values)))

    def at(self, indices: Sequence[int]) -> float:
        """The metric over the samples at `indices`, which may repeat."""
        if self.corpus is not None:
            return self.corpus(indices)
        applying = [v for i in indices if not math.isnan(v := self.values[i])]
        return math.fsum(applying) / len(applying) if applying else math.nan


@dataclass(frozen=True, slots=True)
class Mark:
    """A stretch of an answer, or of its reference, that an evaluator points at.

    Since 0.12.

    Args:
        what: What is there, in a word: `invented`, `missed`.
        kind: Of which kind; may be empty.
        start: Where it begins in that text.
        end: Behind its last letter.
        where: Which text.
    """

    what: str
    kind: str
    start: int
    end: int
    where: Literal["output", "reference"] = "output"


Severity = Literal["none", "low", "medium", "high"]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of an audit: a title, column names, and rows of cells (text or numbers).

    Since 0.1.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | int, ...], ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """What an audit found.

    Since 0.1.

    Args:
        summary: One or two sentences that say what was found and how bad it is.
        severity: The worst of what was found.
        metrics: Scalars by name, which `success` can bound as `<name in the recipe>/<metric>`. One called `p` is the
            smallest p-value of what the audit tests, corrected for their number (Holm): reports correct it once more
            for the number of audits. Those called `p` or ending in `_p` are not compared between logs.
        tables: Group-wise tables.
        evidence: Ids of examples that show the finding, worst first.
        advice: What to do about it.
    """

    summary: str
    severity: Severity
    metrics: Mapping[str, float] = field(default_factory=dict)
    tables: tuple[Table, ...] = ()
    evidence: tuple[str, ...] = ()
    advice: str = ""
