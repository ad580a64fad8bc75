"""Length: nothing too short to learn from, nothing too long."""

from collections.abc import Iterable, Iterator
from typing import Literal, Self

from tunesmith import Curator, Example, RecipeError, Record
from tunesmith_plugins.curators.sides import answers, prompts


class Length(Curator):
    """Drops examples of which the prompt or an answer is too short or too long.

    A prompt is all turns but the assistant's together, or the text of weight 0. An answer is the last turn of the
    assistant, both of them in a pair, or the text with a weight. What an example has not (an answer, where it has a
    label) is not measured. For a limit in tokens see `data.max_length`.

    Since 0.9.

    Args:
        unit: `words`, which white space parts, or `characters`, for languages that do not part words.
        prompt_at_least: Of a prompt.
        prompt_at_most: Of a prompt; None sets no limit.
        answer_at_least: Of an answer.
        answer_at_most: Of an answer; None sets no limit.
    """

    by_row = True

    def __init__(
        self,
        unit: Literal["words", "characters"] = "words",
        prompt_at_least: int = 1,
        prompt_at_most: int | None = None,
        answer_at_least: int = 1,
        answer_at_most: int | None = None,
    ) -> None:
        self.unit = unit
        self.prompt_at_least = prompt_at_least
        self.prompt_at_most = prompt_at_most
        self.answer_at_least = answer_at_least
        self.answer_at_most = answer_at_most

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """Only what is empty goes; and all limits."""
        return [cls(), cls("characters", 5, 50, 3, 200)]

    def check(self) -> None:
        """Refuse limits that no text is within.

        Raises:
            RecipeError: They are.
        """
        for side, least, most in self._limits():
            if most is not None and most < max(least, 0):
                msg = f"{side}_at_most is {most}, less than {side}_at_least ({least}); no example could stay"
                raise RecipeError(msg)

    def apply(self, examples: Iterable[Example], record: Record) -> Iterator[Example]:
        """Pass on those within the limits."""
        for example in examples:
            if reason := self._outside(example):
                record.drop(example, reason)
            else:
                yield example

    def _limits(self) -> list[tuple[str, int, int | None]]:
        return [
            ("prompt", self.prompt_at_least, self.prompt_at_most),
            ("answer", self.answer_at_least, self.answer_at_most),
        ]

    def _outside(self, example: Example) -> str:
        sizes = {
            "prompt": [sum(map(self._size, asked))] if (asked := prompts(example)) else [],
            "answer": [self._size(answer) for answer in answers(example)],
        }
        for side, least, most in self._limits():
            if any(size < least for size in sizes[side]):
                return f"{side} shorter than {least} {self.unit}"
            if most is not None and any(size > most for size in sizes[side]):
                return f"{side} longer than {most} {self.unit}"
        return ""

    def _size(self, text: str) -> int:
        return len(text.split()) if self.unit == "words" else len(text.strip())
