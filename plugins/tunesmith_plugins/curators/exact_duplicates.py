"""ExactDuplicates: one of each, the first."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Self

from tunesmith import Curator, Example, Message, Record


class ExactDuplicates(Curator):
    """Drops examples whose whole text, prompt and completion, is that of an earlier one; keeps the first.

    The same prompt with another answer, label or tool call is no duplicate. Other columns are not compared.

    Since 0.1.

    Args:
        ignore_case: Compare in lower case.
        ignore_space: Collapse runs of white space and strip both ends.
    """

    def __init__(self, ignore_case: bool = False, ignore_space: bool = True) -> None:
        self.ignore_case = ignore_case
        self.ignore_space = ignore_space

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """The strictest and the loosest comparison."""
        return [cls(ignore_space=False), cls(ignore_case=True)]

    def apply(self, examples: Iterable[Example], record: Record) -> Iterator[Example]:
        """Pass on the first of each."""
        seen: set[bytes] = set()
        for example in examples:
            key = self._key(example)
            if key in seen:
                record.drop(example, "exact duplicate")
                continue
            seen.add(key)
            yield example

    def _key(self, example: Example) -> bytes:
        conversations = [[self._turn(m) for m in part] for part in (example.messages, example.chosen, example.rejected)]
        segments = self._normal("".join(s.text for s in example.segments))
        whole = json.dumps([conversations, segments, example.label, list(example.tools)], sort_keys=True, default=str)
        return hashlib.sha256(whole.encode()).digest()

    def _turn(self, message: Message) -> tuple[str, str, dict[str, object]]:
        return message.role, self._normal(message.content), dict(message.fields)

    def _normal(self, text: str) -> str:
        if self.ignore_case:
            text = text.casefold()
        return " ".join(text.split()) if self.ignore_space else text
