"""Which group an example is about: by a column of its row, or by the words of a lexicon."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from tunesmith import Example, RecipeError
from tunesmith_plugins.audits.lexicon import Category, read_lexicon
from tunesmith_plugins.fairness.names import told


def named_alone(texts: Iterable[str], category: Category) -> str | None:
    """The group that texts name; None where they name none, or several, so that it is not known who is meant.

    Where no word does, names of persons tell it: given names of gender, surnames of ethnicity, those that are sure.
    """
    held = list(texts)
    found: set[str] = set()
    for text in held:
        found.update(category.mentions(text))
    if not found and category.names is not None:
        found.update(told(category.names, held))
    return next(iter(found & set(category.compared)), None) if len(found) == 1 else None


def refuse_unread(owner: str, because: str, **options: object) -> None:
    """Refuse options that are set and that nothing would read.

    Args:
        owner: Class whose options they are.
        because: Why nothing reads them.
        options: By name; those that are None or empty are not set.

    Raises:
        RecipeError: One is set.
    """
    for name, value in options.items():
        if value:
            msg = f"{owner}.{name} is set, and nothing would read it, since {because}: leave one of the two out"
            raise RecipeError(msg)


class Grouping:
    """Groups of examples by `column`, or, where that is None, by the words of `category`.

    Args:
        owner: Class whose options these are, for messages.
        column: Column of the rows.
        category: Category of the lexicon.
        lexicon: JSON file with categories of one's own.
    """

    def __init__(self, owner: str, column: str | None, category: str, lexicon: Path | None) -> None:
        self.column = column
        self.category = None if column is not None else read_lexicon(owner, lexicon, [category])[0]
        self.name = column or category

    def of(self, example: Example, prompt_only: bool = False) -> str | None:
        """The group of an example; None where it has none.

        Args:
            example: Any.
            prompt_only: Whether only what is asked counts, so that an answer does not say who it is about.
        """
        if self.category is None:
            value = example.extras.get(self.column or "")
            return None if value is None or value == "" else str(value)
        asked = [turn.content for turn in example.prompt] if prompt_only else []
        return named_alone(asked or example.texts(), self.category)


def label_of(example: Example, label: str) -> str | None:
    """An example's label as text.

    Args:
        example: Any.
        label: `label` for its own, `answer` for its reference, else a column.

    Returns:
        None where it has none; the labels in order, joined by a comma, where it has several.
    """
    if label == "answer":
        return example.reference.strip() or None
    value = example.label if label == "label" else example.extras.get(label)
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(sorted(map(str, value))) or None
    return None if value is None or value == "" else str(value)


def columns_of(examples: Sequence[Example]) -> list[str]:
    """All columns that examples have, sorted."""
    return sorted({name for example in examples for name in example.extras})
