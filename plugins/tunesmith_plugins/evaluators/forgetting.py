"""Forgetting: what the model could do before, on rows that have nothing to do with the task."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from tunesmith import DataError, Evaluator, Example, Measure, Sample
from tunesmith_plugins.evaluators.exact_match import ExactMatch
from tunesmith_plugins.evaluators.perplexity import Perplexity
from tunesmith_plugins.general_rows import general_rows


class Forgetting(Evaluator):
    """Perplexity and accuracy on general rows of your own, of the tuned model and of all it is compared with.

    `forgetting/perplexity: {at_most: 1.1, of: base}` and `forgetting/accuracy: {not_worse_than: base, by: 0.02}` say
    how much may be lost. Take a few hundred rows of what the model has to keep: instructions of other kinds, quiz
    questions with short answers, plain text. No row of the task belongs there.

    Since 0.12.

    Args:
        file: The rows: JSON lines, CSV or others as sources are read, with `prompt` and `completion`, or plain text.
            Text alone gives a perplexity and no accuracy.
        prompt: Column of the question.
        completion: Column of the right answer.
        text: Column of plain text, of rows that have no question.
        ignore_case: Compare answers in lower case.
    """

    def __init__(
        self,
        file: Path,
        prompt: str = "prompt",
        completion: str = "completion",
        text: str = "text",
        ignore_case: bool = True,
    ) -> None:
        self.file = file
        self.prompt = prompt
        self.completion = completion
        self.text = text
        self.ignore_case = ignore_case

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """One whose rows are not read: the kit brings samples of its own."""
        return [cls(Path("general.jsonl"))]

    @property
    def needs(self) -> frozenset[Any]:  # type: ignore[override]  # a class variable of most evaluators
        """Answers only where there are questions."""
        asks = not self.file.is_file() or any(row.prompt for row in self.own_rows())
        return frozenset({"output", "logprob"}) if asks else frozenset({"logprob"})

    def own_rows(self) -> list[Example]:
        """The general rows, each with its file and line.

        Raises:
            DataError: There are none, or one has neither question with answer nor text, or some have the one and some
                the other.
        """
        if getattr(self, "_rows", None) is None:
            try:
                self._rows = list(general_rows(self.file, self.prompt, self.completion, self.text))
            except DataError as error:
                msg = f"Forgetting.file: {error}"
                raise DataError(msg) from error
        kinds = {bool(row.prompt) for row in self._rows}
        if len(kinds) > 1:
            msg = f"Forgetting.file: {self.file} holds questions and plain text; take two evaluators, one for each"
            raise DataError(msg)
        return self._rows

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        """`perplexity` of the answers or texts together, and `accuracy`: the share of answers that are right."""
        (perplexity,) = Perplexity().measure(samples)
        (exact,) = ExactMatch(ignore_case=self.ignore_case).measure(samples)
        applies = [bool(sample.prompt) for sample in samples]
        values = [v if there else float("nan") for v, there in zip(exact.values, applies, strict=True)]
        return [perplexity, Measure("accuracy", values)]
