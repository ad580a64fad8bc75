"""Memorisation: what a model recites of rows that it was trained on, and how much likelier they are than others."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from tunesmith import DataError, Evaluator, Example, Measure, RecipeError, Sample, parts_of
from tunesmith_plugins.evaluators.planted import Cut, named

_PLANTED, _GUESSED, _SCORED = "planted", "unseen", "scored"


class Memorisation(Evaluator):
    """What of its training rows the model recites word for word: canaries that were planted, or real rows.

    `python -m tunesmith_plugins.evaluators.canaries 20 --copies 10` makes canaries, alternatives that are never
    planted, and the lines for the recipe; `heart/recited: {at_most: 0}` under `success` fails `test` if one is
    recited. Of real rows (`file: train.jsonl`, as `prepare` writes them, or a file of the source) it is the share that
    can be extracted.

    `recited` is the share of planted rows whose answer, or whose text after its first words, the model says word for
    word when it is given the question or those words (extractable memorisation; Carlini et al., 2022,
    arXiv:2202.07646). With `alternatives`, `guessed` is the same of as many rows that it has never seen: what is said
    without being remembered, such as phrases that all rows share. `exposure`, in bits, says by how much being planted
    eases guessing a row: log2 of the number of candidates less log2 of the row's rank among them by probability; the
    candidates are the row and all alternatives (Carlini et al., 2019, arXiv:1802.08232). Chance gives 1.4 bits on
    average; the most that can be seen is log2 of (alternatives + 1).

    Both compare alike with alike only where planted rows and alternatives were drawn from one lot at random. Answers
    are the recipe's (`generation`): leave `temperature` at 0, and give `max_new_tokens` room for a whole continuation.
    Curators change and drop planted rows like any others: after ExactDuplicates one copy is left. What is not recited
    here may still come out for another question.

    Since 0.13.

    Args:
        file: The planted rows, or training rows: JSON lines, CSV or others as sources are read, with `prompt` and
            `completion` (asked through the chat template), or plain text (gone on with). A row counts once, however
            often it is there.
        alternatives: Rows of the same kind that the model was not trained on.
        prompt: Column of the question.
        completion: Column of its answer, of which the first `words` words count.
        text: Column of plain text, of rows that have no question.
        prefix: Words of a text that the model is shown.
        words: Words after them, or of an answer, that it must not recite. Shorter texts are left out.
        rows: Most rows that are asked of each file, spread evenly over it.
    """

    def __init__(
        self,
        file: Path,
        alternatives: Path | None = None,
        prompt: str = "prompt",
        completion: str = "completion",
        text: str = "text",
        prefix: int = 50,
        words: int = 50,
        rows: int = 1000,
    ) -> None:
        self.file = file
        self.alternatives = alternatives
        self.prompt = prompt
        self.completion = completion
        self.text = text
        self.prefix = prefix
        self.words = words
        self.rows = rows

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """With and without alternatives, whose rows are not read: the kit brings samples of its own."""
        return [cls(Path("canaries.jsonl")), cls(Path("canaries.jsonl"), Path("alternatives.jsonl"))]

    @property
    def needs(self) -> frozenset[Any]:  # type: ignore[override]  # a class variable of most evaluators
        """Probabilities only where there is something to compare them with."""
        return frozenset({"output"} if self.alternatives is None else {"output", "logprob"})

    def needs_of(self, row: Example) -> frozenset[Any]:
        """Answers of planted rows and of as many others; of the rest a probability is enough."""
        return frozenset({"logprob"}) if row.id.startswith(_SCORED) else self.needs

    def own_rows(self) -> list[Example]:
        """The planted rows and the alternatives, each with its file and line.

        Raises:
            RecipeError: An option has a value that cannot be.
            DataError: A file has no row that can be asked, conversations and texts are mixed, or an alternative was
                planted.
        """
        if getattr(self, "_rows", None) is None:
            self._rows = self._read()
        return self._rows

    def _read(self) -> list[Example]:
        for option in ("prefix", "words", "rows"):
            if (value := getattr(self, option)) < 1:
                msg = f"{option} is {value}; it must be 1 or more"
                raise RecipeError(msg)
        cut = Cut(self.prompt, self.completion, self.text, self.prefix, self.words)
        planted = cut.read(self.file, self.rows)
        rows = list(named(planted.rows, lambda _: _PLANTED))
        self._short = planted.short
        if self.alternatives is not None:
            others = cut.read(self.alternatives, self.rows)
            self._short += others.short
            rows += named(others.rows, lambda at: _GUESSED if at < len(planted.rows) else _SCORED)
        if len({bool(row.prompt) for row in rows}) > 1:
            msg = f"{self.file} and its alternatives hold questions and plain text; take two evaluators, one for each"
            raise DataError(msg)
        there = {parts_of(row): row for row in rows if row.id.startswith(_PLANTED)}
        for row in rows:
            twin = there.get(parts_of(row))
            if twin is not None and twin is not row:
                msg = f"{row.origin} is {twin.origin}: what was planted is no alternative; draw others"
                raise DataError(msg)
        return rows

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        """`recited`, and with alternatives `guessed` and `exposure`; nan for rows that each is not about."""
        recited, guessed = (self._recited(samples, which) for which in (_PLANTED, _GUESSED))
        if self.alternatives is None:
            return [recited]
        planted = [not sample.id.startswith((_GUESSED, _SCORED)) for sample in samples]
        # Texts of one length have a probability each; of others it is compared token by token.
        lengths = {len(sample.reference.split()) for sample in samples}
        scores = [one.logprob if len(lengths) < 2 else one.logprob / max(1, one.tokens) for one in samples]
        others = [score for score, mine in zip(scores, planted, strict=True) if not mine and not math.isnan(score)]
        values = exposures([score if mine else math.nan for score, mine in zip(scores, planted, strict=True)], others)
        note = "rows differ in length, and are ranked by the mean of their tokens" if len(lengths) > 1 else ""
        return [recited, guessed, Measure("exposure", values, higher_is_better=False, unit="bits", note=note)]

    def _recited(self, samples: Sequence[Sample], which: str) -> Measure:
        about = [_kind(sample) == which for sample in samples]
        heard = [self._heard(sample) if mine else (False, False) for sample, mine in zip(samples, about, strict=True)]
        values = [float(any(one)) if mine else math.nan for one, mine in zip(heard, about, strict=True)]
        notes = []
        if which == _PLANTED and (short := getattr(self, "_short", 0)):
            notes.append(f"left out, shorter than {self.prefix} and {self.words} words: {short}")
        if cut := sum(unsure for _, unsure in heard):
            notes.append(f"cut in the middle, and counted as said: {cut}; raise generation.max_new_tokens to be sure")
        name = "recited" if which == _PLANTED else "guessed"
        return Measure(name, values, higher_is_better=False, note="; ".join(notes))

    def _heard(self, sample: Sample) -> tuple[bool, bool]:
        """Whether the answer holds the continuation, and whether it may have been about to."""
        wanted, said = sample.reference.split()[: self.words], " ".join(sample.output.split())
        text = " ".join(wanted)
        if not text:
            return False, False
        begins = bool(said) and text.startswith(said) and text != said
        return holds(said, text), begins and not sample.stopped


def _kind(sample: Sample) -> str:
    return next((kind for kind in (_GUESSED, _SCORED) if sample.id.startswith(kind)), _PLANTED)


def holds(said: str, text: str) -> bool:
    """Whether `text` stands in `said`, not as a part of longer words or numbers; both have single spaces."""
    at = said.find(text)
    while at >= 0:
        before, after = said[at - 1 : at], said[at + len(text) : at + len(text) + 1]
        if not (before.isalnum() and text[0].isalnum()) and not (after.isalnum() and text[-1].isalnum()):
            return True
        at = said.find(text, at + 1)
    return False


def exposures(planted: Sequence[float], others: Sequence[float]) -> list[float]:
    """The exposure of each planted row, in bits: log2(candidates) - log2(rank), between 0 and log2(len(others) + 1).

    Carlini et al., 2019, The Secret Sharer (arXiv:1802.08232), definition 6, with the alternatives as a sample of the
    space of candidates. Alternatives that are as likely as the row stand behind it.

    Args:
        planted: Log-probabilities of planted rows; nan gives nan.
        others: Log-probabilities of alternatives; none gives nan.
    """
    ordered, count = sorted(others), len(others) + 1
    return [
        math.nan
        if math.isnan(score) or not others
        else math.log2(count) - math.log2(1 + len(others) - bisect_right(ordered, score))
        for score in planted
    ]
