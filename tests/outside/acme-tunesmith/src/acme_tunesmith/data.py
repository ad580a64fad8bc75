"""From rows to examples."""

from collections.abc import Iterable, Mapping
from typing import Any

from tunesmith import Curator, Example, Formatter, Message, Record, RowError


class Ticket(Formatter):
    """A support ticket: subject and body ask, the resolution answers.

    Args:
        greeting: A line put before the subject; empty for none.
    """

    def __init__(self, greeting: str = "") -> None:
        self.greeting = greeting

    def format(self, row: Mapping[str, Any]) -> Example:
        """Read one ticket.

        Raises:
            RowError: A column is missing.
        """
        for field in ("subject", "body", "resolution"):
            if not isinstance(row.get(field), str):
                raise RowError(field, "is no text", row)
        asked = "\n".join(part for part in (self.greeting, row["subject"], row["body"]) if part)
        extras = {k: v for k, v in row.items() if k not in ("subject", "body", "resolution")}
        return Example(messages=(Message("user", asked), Message("assistant", row["resolution"])), extras=extras)


class Shortest(Curator):
    """Drops examples with fewer characters than a limit.

    Args:
        characters: The fewest characters, all turns together.
    """

    by_row = True

    def __init__(self, characters: int = 8) -> None:
        self.characters = characters

    def apply(self, examples: Iterable[Example], record: Record) -> Iterable[Example]:
        """Keep what is long enough."""
        for example in examples:
            if sum(map(len, example.texts())) < self.characters:
                record.drop(example, f"shorter than {self.characters} characters")
            else:
                yield example
