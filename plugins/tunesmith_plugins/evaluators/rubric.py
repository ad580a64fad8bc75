"""Rubric: a judge model grades answers."""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import fmean
from typing import Any, Self

from tunesmith import Evaluator, Measure, RecipeError, Sample, chat, check_host, rating_key
from tunesmith_plugins.evaluators.agreement import rank_correlation
from tunesmith_plugins.evaluators.judging import (
    Kept,
    pair_question,
    question_key,
    read_better,
    read_score,
    score_question,
)
from tunesmith_plugins.evaluators.rated import read_ratings

_AT_ONCE = 8
_TRIES = 3
_FEW = 5


class Rubric(Evaluator):
    """Grades of a judge model behind an OpenAI-compatible endpoint, by a rubric from a file.

    `score` is the grade. `preferred` compares the answer with the reference, asked twice with their places swapped: 1
    where the judge prefers it both times, 0 where it prefers the reference both times, else 0.5; how often it changed
    its mind with the places is said below the table. `agreement` is Spearman's rank correlation of the grades with
    those of `people`: without it, nobody knows what a judge's grade is worth.

    Answers go to this machine only, unless the host of `endpoint` is named in the environment's `TUNESMITH_HOSTS`. An
    empty answer is the worst there is, without asking. What a judge does not say in its form has no value. Whether the
    judge is there at all is asked before any model answers, unless `kept` holds something that it said.

    Since 0.12.

    Args:
        rubric: A text file: what counts, and how much.
        endpoint: Address of the server, to which `/chat/completions` is appended.
        model: Name of the judge there; take another family than the model that is judged.
        scale: Lowest and highest grade.
        reference: Whether the judge sees the right answer where it grades.
        people: Ratings by people, as `Ratings` reads them.
        column: Their column that grades the same.
        kept: A file that keeps what the judge said, so that nothing is asked twice.
        key_variable: Environment variable that holds the server's key, if it wants one.
        timeout: Seconds to wait for an answer.
    """

    def __init__(
        self,
        rubric: Path,
        endpoint: str = "http://localhost:8000/v1",
        model: str = "default",
        scale: list[float] = [1.0, 5.0],  # noqa: B006  jsonargparse shows it; never changed
        reference: bool = True,
        people: Path | None = None,
        column: str = "score",
        kept: Path | None = None,
        key_variable: str = "OPENAI_API_KEY",
        timeout: float = 120.0,
    ) -> None:
        self.rubric = rubric
        self.endpoint = endpoint
        self.model = model
        self.scale = scale
        self.reference = reference
        self.people = people
        self.column = column
        self.kept = kept
        self.key_variable = key_variable
        self.timeout = timeout

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """One whose judge finds everything average, since no server is there."""
        one = cls(Path("rubric.md"))
        one._judge = _average
        return [one]

    _judge: Callable[..., str] = staticmethod(chat)

    def produces(self) -> list[Measure]:
        """Names alone, once options are known to make sense.

        Raises:
            RecipeError: They do not, or the host is not to be spoken to.
        """
        try:
            check_host(self.endpoint)
        except RecipeError as error:
            msg = f"Rubric.{error}"
            raise RecipeError(msg) from error
        if len(self.scale) != 2 or not self.scale[0] < self.scale[1] or not all(map(math.isfinite, self.scale)):
            msg = f"Rubric.scale is {self.scale}; give the lowest and the highest grade"
            raise RecipeError(msg)
        if self._judge is not _average and not self.rubric.is_file():
            msg = f"Rubric.rubric is {self.rubric}, which is no file; write there what counts, and how much"
            raise RecipeError(msg)
        return self._measures([], [], [])

    def ready(self) -> None:
        """Ask the judge for a word, where it has judged nothing yet that is kept.

        Raises:
            RecipeError: It does not answer.
        """
        if self._judge is _average or not Kept(self.kept).is_empty:
            return
        said = self._ask([{"role": "user", "content": "Say yes."}])
        if isinstance(said, RecipeError):
            raise said

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        """`score`, `preferred` and `agreement`."""
        self.produces()
        low, high = self.scale
        text = self.rubric.read_text(encoding="utf-8") if self.rubric.is_file() else ""
        asked = [sample for sample in samples if sample.output.strip()]
        grades = [score_question(one, text, low, high, reference=self.reference) for one in asked]
        pairs = [one for one in asked if one.reference.strip()]
        both = [pair_question(one, text, swapped=swapped) for one in pairs for swapped in (False, True)]
        said = list(self._answers([*grades, *both]))
        scores = {id(one): read_score(text, low, high) for one, text in zip(asked, said, strict=False)}
        better = [read_better(text) for text in said[len(grades) :]]
        votes = {id(one): _vote(better[2 * at], better[2 * at + 1]) for at, one in enumerate(pairs)}
        # the same place twice, whoever stands there
        flipped = sum(one == two and one in ("A", "B") for one, two in zip(better[::2], better[1::2], strict=True))
        worst = [(low, 0.0 if one.reference.strip() else math.nan) for one in samples]
        values = [
            (scores.get(id(one), empty), votes.get(id(one), math.nan if one.output.strip() else lost))
            for one, (empty, lost) in zip(samples, worst, strict=True)
        ]
        notes = self._notes(scores.values(), len(pairs), flipped)
        return self._measures([score for score, _ in values], [vote for _, vote in values], samples, notes)

    def _measures(
        self, scores: list[float], votes: list[float], samples: Sequence[Sample], notes: tuple[str, str] = ("", "")
    ) -> list[Measure]:
        agreement = self._agreement(scores, samples)
        nothing = [math.nan] * len(scores)
        return [
            Measure("score", scores, note=notes[0]),
            Measure("preferred", votes, note=notes[1]),
            Measure("agreement", nothing, corpus=lambda _: agreement, single=True),
        ]

    def _agreement(self, scores: Sequence[float], samples: Sequence[Sample]) -> float:
        if self.people is None or not self.people.is_file() or not samples:
            return math.nan
        said: dict[str, list[float]] = {}
        for one in read_ratings(self.people, [self.column], "Rubric.people"):
            said.setdefault(one.answer, []).extend(one.values.values())
        rated = {key: fmean(given) for key, given in said.items() if given}
        keys = [rating_key(sample) for sample in samples]
        known = [(s, rated[k]) for s, k in zip(scores, keys, strict=True) if k in rated and not math.isnan(s)]
        return rank_correlation(*zip(*known, strict=True)) if len(known) >= _FEW else math.nan

    def _notes(self, scores: Any, pairs: int, flipped: int) -> tuple[str, str]:
        silent = sum(map(math.isnan, scores))
        first = f"the judge gave no grade to {silent} answers" if silent else ""
        second = f"the judge changed its mind with the places in {flipped} of {pairs} pairs" if flipped else ""
        return first, second

    def _answers(self, questions: Sequence[Sequence[dict[str, str]]]) -> Iterator[str]:
        """What the judge says to each; empty where it does not answer though it did before."""
        kept = Kept(self.kept)
        keys = [question_key(self.model, turns) for turns in questions]
        fresh = {key: turns for key, turns in zip(keys, questions, strict=True) if kept.get(key) is None}
        answered = len(fresh) < len(questions)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for key, said in zip(fresh, pool.map(self._ask, fresh.values()), strict=True):
                if isinstance(said, RecipeError):
                    if not answered:
                        raise said
                    continue
                answered = True
                kept.put(key, said)
        return (kept.get(key) or "" for key in keys)

    def _ask(self, turns: Sequence[dict[str, str]]) -> str | RecipeError:
        key = os.environ.get(self.key_variable, "")
        for attempt in range(_TRIES):
            try:
                return self._judge(self.endpoint, key, self.timeout, model=self.model, messages=turns, temperature=0)
            except RecipeError as error:
                if attempt == _TRIES - 1:
                    return RecipeError(f"Rubric.{error}")
        raise AssertionError


def _vote(first: str, second: str) -> float:
    """1 where the output wins in both places (A, then B), 0 where it loses in both, else 0.5; nan without an answer."""
    if not first or not second:
        return math.nan
    return {("A", "B"): 1.0, ("B", "A"): 0.0}.get((first, second), 0.5)


def _average(endpoint: str, key: str, timeout: float, **body: Any) -> str:
    """A judge without an opinion."""
    return '{"score": 3, "better": "tie"}'
