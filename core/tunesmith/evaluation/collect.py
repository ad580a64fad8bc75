"""Samples of one model for a list of examples."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, Protocol, runtime_checkable

from tunesmith.data.example import Example, Message
from tunesmith.errors import DataError
from tunesmith.evaluation.decoding import Answer
from tunesmith.evaluation.measure import Sample, Timing
from tunesmith.evaluation.questions import Question, question_of, reference_of, shown
from tunesmith.plugins.subject import LanguageModel

Need = Literal["output", "logprob", "latency", "classes", "rejected"]
TIMED = 20
"""Rows that are asked alone where an evaluator needs the time that an answer takes."""
Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


class Asked(Protocol):
    """Who can be asked for samples; says how answers ended, and how far it has come."""

    def answers(
        self,
        prompts: Sequence[Question],
        tools: Sequence[Sequence[Mapping[str, Any]]] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Answer]:
        """Answers to prompts, in order."""

    def logprob(
        self,
        conversations: Sequence[Question],
        tools: Sequence[Sequence[Mapping[str, Any]]] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[tuple[float, int]]:
        """Sum of log-probabilities (nats) of what has a weight, and the number of its tokens."""


@runtime_checkable
class Timed(Protocol):
    """Who can say how long an answer takes."""

    def timed(
        self,
        prompts: Sequence[Question],
        tools: Sequence[Sequence[Mapping[str, Any]]] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Timing]:
        """How long answers take, each prompt asked alone."""


@runtime_checkable
class Classifying(Protocol):
    """Who can say how likely classes are as answers."""

    def classify(
        self,
        prompts: Sequence[Question],
        labels: Sequence[str],
        tools: Sequence[Sequence[Mapping[str, Any]]] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[list[float]]:
        """Probability of each label as the whole answer, normalised over the labels."""


@runtime_checkable
class Loaded(Protocol):
    """Who has loaded a model to answer, and can do without until it is asked again."""

    def release(self) -> None:
        """Let go of it."""


class AnsweringModel(Asked, LanguageModel, Protocol):
    """A language model that can be asked for samples."""


def collect(
    model: Asked,
    examples: Sequence[Example],
    needs: Collection[Need],
    progress: Progress | None = None,
    name: str = "tuned",
    classes: Sequence[str] = (),
) -> list[Sample]:
    """One sample an example, in order.

    Args:
        model: Who answers.
        examples: What is asked, and what would be right.
        needs: `output` generates an answer, `logprob` scores the reference, `latency` times the first rows alone,
            `classes` scores each of them, `rejected` the worse answers of pairs; what is not needed is not computed.
        progress: Told how far it is.
        name: The model's name, as samples and progress say it.
        classes: Whose probabilities are needed.

    Raises:
        DataError: An example has no prompt to answer, or no reference to score.
    """
    check_examples(examples, needs)
    samples = blank(examples, name)
    if "output" in needs and examples:
        told = _telling(progress, f"{name} answers")
        answers = model.answers([question_of(e) for e in examples], [e.tools for e in examples], told)
        samples = [
            _with(s, output=a.text, stopped=a.stopped, prompt_tokens=a.prompt, answer_tokens=a.tokens)
            for s, a in zip(samples, answers, strict=True)
        ]
    if "latency" in needs and examples and isinstance(model, Timed):
        told, some = _telling(progress, f"{name} answers one by one"), examples[:TIMED]
        times = model.timed([question_of(e) for e in some], [e.tools for e in some], told)
        samples[: len(some)] = [_with(s, timing=t) for s, t in zip(samples, times, strict=False)]
    if "logprob" in needs and examples:
        told = _telling(progress, f"{name} scores references")
        scores = model.logprob([_scored(e) for e in examples], [e.tools for e in examples], told)
        samples = [_with(s, logprob=total, tokens=n) for s, (total, n) in zip(samples, scores, strict=True)]
    if "rejected" in needs and (pairs := [at for at, example in enumerate(examples) if example.rejected]):
        told = _telling(progress, f"{name} scores worse answers")
        worse = [_last_weighs(examples[at].rejected) for at in pairs]
        scores = model.logprob(worse, [examples[at].tools for at in pairs], told)
        for at, (total, n) in zip(pairs, scores, strict=True):
            samples[at] = _with(samples[at], rejected=total, rejected_tokens=n)
    if "classes" in needs and examples and isinstance(model, Classifying):
        told = _telling(progress, f"{name} weighs classes")
        found = model.classify([question_of(e) for e in examples], classes, [e.tools for e in examples], told)
        weighed = [dict(zip(classes, row, strict=True)) for row in found]
        samples = [_with(s, probabilities=row) for s, row in zip(samples, weighed, strict=True)]
    return samples


def check_examples(examples: Sequence[Example], needs: Collection[Need]) -> None:
    """Check that examples hold what they are needed for.

    Raises:
        DataError: One has no prompt to answer, or no reference to score.
    """
    if {"output", "latency", "classes"} & set(needs):
        _require(examples, lambda e: bool(shown(e)), "prompt to answer", "evaluators that read outputs")
    if "logprob" in needs:
        who = "evaluators such as Perplexity"
        _require(examples, lambda e: bool(e.reference or e.segments), "reference to score", who)


def blank(examples: Sequence[Example], model: str = "tuned") -> list[Sample]:
    """Samples of a model that hold no answer yet."""
    return [
        Sample(e.id, shown(e), reference_of(e), "", task=e.task, extras=e.extras, model=model, label=e.label)
        for e in examples
    ]


def _scored(example: Example) -> Question:
    """The conversation with a weight on its last turn only: that is the reference."""
    if example.segments:
        return example.segments
    return _last_weighs(example.messages or example.chosen)


def _last_weighs(turns: Sequence[Message]) -> list[Message]:
    return [Message(turn.role, turn.content, 1.0 if turn is turns[-1] else 0.0, turn.fields) for turn in turns]


def _require(examples: Sequence[Example], has: Callable[[Example], bool], what: str, who: str) -> None:
    lacking = [e for e in examples if not has(e)]
    if lacking:
        first = lacking[0]
        where = f" ({first.origin})" if first.origin.file else ""
        msg = (
            f"{len(lacking)} of {len(examples)} examples have no {what}, first {first.id}{where}: "
            f"{who} need one; leave those evaluators or those rows out"
        )
        raise DataError(msg)


def _with(sample: Sample, **changes: Any) -> Sample:
    return replace(sample, **changes)


def _telling(progress: Progress | None, what: str) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    return lambda done, total: progress(what, done, total)
