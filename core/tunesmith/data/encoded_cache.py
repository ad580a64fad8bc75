"""Encoded rows in the cache: a file of their own, their sizes, and the rows that were left out."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import fields

from tunesmith.data.cache import Cache, Entry
from tunesmith.data.encode import Drop, EncodedSplit, encode_split
from tunesmith.data.encoded_rows import EncodedRows, EncodedWriter, Sizes
from tunesmith.data.example import Example, Origin
from tunesmith.data.identity import identity, key_of
from tunesmith.data.render import ChatRenderer
from tunesmith.data.truncate import Truncation
from tunesmith.plugins.interfaces import Objective


def encode_kept(
    cache: Cache,
    rows: Sequence[str],
    examples: Sequence[Example],
    objective: Objective,
    renderer: ChatRenderer,
    max_length: int | None,
    truncation: Truncation,
) -> EncodedSplit:
    """Encode examples, or find what was made of them before.

    Args:
        cache: Where encoded rows are kept.
        rows: What identifies the examples.
        examples: As `encode_split`, as all that follow.
        objective: Says how an example becomes sequences.
        renderer: Text to token ids.
        max_length: Tokens a sequence at most; None for no limit.
        truncation: What to do with a longer sequence.

    Raises:
        DataError: There are examples, and not one can be trained on.
    """
    known = identity(objective) if cache.folder is not None else None
    closing = None if objective.model_class == "causal" else renderer.closing_id
    limits = [max_length, truncation, renderer.bos_id, closing]
    key = None if known is None else key_of(list(rows), known, renderer.identity(), limits)
    with nullcontext() if key is None else cache.held():
        found = _find(cache, key, examples)
        if found is None:
            found = encode_split(
                examples,
                objective,
                renderer,
                max_length,
                truncation,
                bos=renderer.bos_id,
                closing=closing,
                into=lambda: EncodedWriter(*cache.place(key is not None)),
            )
            _keep(cache, key, found)
    return found


def _find(cache: Cache, key: str | None, examples: Sequence[Example]) -> EncodedSplit | None:
    entry = cache.get(key)
    if entry is None or cache.folder is None:
        return None
    try:
        sizes = Sizes(**{part.name: entry.arrays[part.name] for part in fields(Sizes)})
        rows = EncodedRows((cache.folder / entry.files[0]).open("rb"), examples, sizes, entry.files[0])
    except (OSError, ValueError, KeyError):  # Arrow's errors are among them
        return None
    drops = [Drop(name, Origin(*origin), reason) for name, origin, reason in entry.told["drops"]]
    return EncodedSplit(rows, drops, entry.told["pieces"])


def _keep(cache: Cache, key: str | None, split: EncodedSplit) -> None:
    if not isinstance(split.rows, EncodedRows) or not split.rows.name:
        return
    drops = [[d.id, [d.origin.source, d.origin.file, d.origin.line], d.reason] for d in split.drops]
    arrays = {part.name: getattr(split.sizes, part.name) for part in fields(Sizes)}
    cache.put(key, Entry({"drops": drops, "pieces": split.pieces}, arrays=arrays, files=[split.rows.name]))
