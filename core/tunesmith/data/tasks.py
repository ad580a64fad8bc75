"""Which rows are of which task: that which their source names, or the source itself."""

from collections.abc import Iterable, Mapping

from tunesmith.data.encode import EncodedSplit
from tunesmith.data.encoded_rows import EncodedRows
from tunesmith.data.sources import Source, SplitName
from tunesmith.data.store import Store


def tasks_stated(sources: Mapping[str, Source], split: SplitName) -> dict[str, str]:
    """The task of each source that may have rows of a split, by the source's name."""
    return {name: source.task or name for name, source in sources.items() if source.split in (None, split)}


def tasks_there(sources: Mapping[str, Source], split: SplitName, rows: EncodedSplit) -> dict[str, str]:
    """The same of those sources that have such rows."""
    there = set(_origins(rows))
    return {name: task for name, task in tasks_stated(sources, split).items() if name in there}


def told_apart(tasks: Mapping[str, str]) -> list[str]:
    """The tasks that have losses of their own: all where there are several, else none, as the whole says it."""
    names = list(dict.fromkeys(tasks.values()))
    return names if len(names) > 1 else []


def _origins(split: EncodedSplit) -> Iterable[str]:
    rows = split.rows
    examples = rows.their_examples() if isinstance(rows, EncodedRows) else [row.example for row in rows]
    origins = examples.origins() if isinstance(examples, Store) else (example.origin for example in examples)
    return (origin.source for origin in origins)
