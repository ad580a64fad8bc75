"""What examples are counted by: the words of a category, or the values of a column; where and how often."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tunesmith import DataError, Example, Table
from tunesmith_plugins.audits.lexicon import Category
from tunesmith_plugins.fairness.names import told

_MOST_VALUES = 50


@dataclass
class Tally:
    """Where a group appears."""

    prompts: int = 0
    references: int = 0
    by_name: int = 0
    mentions: Counter[str] = field(default_factory=Counter)  # by example id
    labels: Counter[str] = field(default_factory=Counter)

    @property
    def examples(self) -> int:
        """How many examples name the group."""
        return len(self.mentions)


@dataclass(frozen=True)
class Dimension:
    """Groups, and what is known of each.

    Args:
        name: Of the category or the column.
        compared: The groups that are held against each other; others are shown only.
        tallies: By group.
        alone: By example id, the compared group that it names and no other; examples that name several are left out,
            so that groups divide the rest.
        by_words: Whether words tell the group.
    """

    name: str
    compared: Sequence[str]
    tallies: Mapping[str, Tally]
    alone: Mapping[str, str]
    by_words: bool

    @property
    def named(self) -> int:
        """How many examples name a compared group."""
        return len({i for group in self.compared for i in self.tallies[group].mentions})

    def ordered(self) -> list[str]:
        """The compared groups, the one in the fewest examples first."""
        return sorted(self.compared, key=lambda group: self.tallies[group].examples)


def by_words(category: Category, examples: Sequence[Example], labels: Mapping[str, Sequence[str]]) -> Dimension:
    """Count the groups of a category by their words in prompts and references; by names where there is no word.

    Args:
        category: Of the lexicon.
        examples: All that are counted.
        labels: By example id.
    """
    tallies = {group: Tally() for group in category.words}
    for example in examples:
        asked = _counted(category, [turn.content for turn in example.prompt])
        said = _counted(category, [example.reference, *(segment.text for segment in example.segments)])
        for group in asked.keys() | said.keys():
            tally = tallies[group]
            tally.prompts += group in asked
            tally.references += group in said
            tally.mentions[example.id] = asked[group] + said[group]
            tally.labels.update(labels[example.id])
    _count_names(category, tallies, examples, labels)
    named = Counter(i for tally in tallies.values() for i in tally.mentions)
    alone = {i: group for group in category.compared for i in tallies[group].mentions if named[i] == 1}
    return Dimension(category.name, list(category.compared), tallies, alone, by_words=True)


def by_column(
    column: str, examples: Sequence[Example], labels: Mapping[str, Sequence[str]], groups: Sequence[str] = ()
) -> Dimension:
    """Count the values of a column; examples without one are left out.

    Args:
        column: Its name.
        examples: All that are counted.
        labels: By example id.
        groups: Values that are compared, those that no example has too; if empty all that some have.

    Raises:
        DataError: It has too many values to be groups.
    """
    tallies = {group: Tally() for group in groups}
    alone = {}
    for example in examples:
        value = example.extras.get(column)
        if value is None or value == "":
            continue
        tally = tallies.setdefault(str(value), Tally())
        tally.mentions[example.id] += 1
        tally.labels.update(labels[example.id])
        alone[example.id] = str(value)
    if len(tallies) > _MOST_VALUES:
        msg = f"Representation.columns: {column} has {len(tallies):,} values; groups are {_MOST_VALUES} at most"
        raise DataError(msg)
    compared = list(groups) or sorted(tallies)
    return Dimension(
        column, compared, tallies, {i: group for i, group in alone.items() if group in compared}, by_words=False
    )


def groups_table(dimension: Dimension, n: int) -> Table:
    """Each group's examples, their share of all `n`, mentions, and the ratio to the most frequent group.

    `by name` counts the examples in which no word of the category stands, and names tell the group.
    """
    top = max((dimension.tallies[g].examples for g in dimension.compared), default=0)
    rows: list[tuple[str | float, ...]] = []
    for group, t in sorted(dimension.tallies.items(), key=lambda item: -item[1].examples):
        ratio: float | str = t.examples / top if top and group in dimension.compared else ""
        share = t.examples / n if n else 0.0
        where = (t.mentions.total(), t.prompts, t.references, t.by_name) if dimension.by_words else ()
        rows.append((group, t.examples, share, *where, ratio))
    middle = ("mentions", "prompts", "references", "by name") if dimension.by_words else ()
    columns = ("group", "examples", "share", *middle, "to most")
    return Table(f"{dimension.name} in {n} examples", columns, tuple(rows))


def labels_table(dimension: Dimension, most: int = 5) -> Table:
    """Share of each group's examples that have a label; the most frequent labels."""
    total: Counter[str] = sum((t.labels for t in dimension.tallies.values()), Counter())
    labels = [label for label, _ in total.most_common(most)]
    rows: tuple[tuple[str | float, ...], ...] = tuple(
        (group, t.examples, *(t.labels[label] / t.examples for label in labels))
        for group, t in dimension.tallies.items()
        if t.examples
    )
    more = f", {most} most frequent of {len(total)}" if len(total) > most else ""
    return Table(f"{dimension.name}: share of labels{more}", ("group", "examples", *labels), rows)


def _count_names(
    category: Category,
    tallies: Mapping[str, Tally],
    examples: Sequence[Example],
    labels: Mapping[str, Sequence[str]],
) -> None:
    """Add the examples in which no word of any group stands, and names that are sure."""
    by_words = {i for tally in tallies.values() for i in tally.mentions}
    names = category.names
    if names is None:
        return
    for example in examples:
        if example.id in by_words:
            continue
        asked = told(names, [turn.content for turn in example.prompt])
        said = told(names, [example.reference, *(s.text for s in example.segments)])
        for group, tally in tallies.items():
            if not asked[group] + said[group]:
                continue
            tally.prompts += asked[group] > 0
            tally.references += said[group] > 0
            tally.by_name += 1
            tally.mentions[example.id] = asked[group] + said[group]
            tally.labels.update(labels[example.id])


def _counted(category: Category, texts: Sequence[str]) -> Counter[str]:
    """How many words of each group the texts have; groups without one are left out."""
    found: Counter[str] = Counter()
    for text in texts:
        found.update(category.mentions(text))
    return found
