"""From sources to curated splits: every row that was read is in a split, or counted by the reason why it is not."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from tunesmith.data.cache import Cache
from tunesmith.data.curating import Curating
from tunesmith.data.example import Example
from tunesmith.data.identity import key_of
from tunesmith.data.rejected import Rejected
from tunesmith.data.sources import Source, SplitName
from tunesmith.data.split import Split
from tunesmith.data.store import Store
from tunesmith.errors import DataError, RecipeError
from tunesmith.plugins.interfaces import Curator, Formatter


@dataclass(frozen=True)
class Curated:
    """Curated examples by split.

    Args:
        splits: Examples of train, validation and test.
        counts: JSON-able. `sources`: by source, rows read, rejected and formatted; `curators`: by name, rows in and
            out, drops, changes and additions by reason; `split`: drops by reason, rows that went to the split of one
            that they resemble, rows without a `keep_together` or `by_time` value, held-out rows whose prompt is in
            training too, and how rows lie in groups that stay together; `splits`: rows by split and source (empty name:
            made by a curator without an origin).
            read = rejected + drops - additions + rows in the splits (trap 38).
        hashes: By source, what identifies its content; for the lock.
        rejected: Rows that were set aside; `rejected.write(path)` writes them.
        split: The recipe's split.
        seconds: How long reading, each curator and the split took; without those that were found in the cache.
        key: What identifies the rows and their order, and all that they were made by.
    """

    splits: Mapping[str, Sequence[Example]]
    counts: dict[str, Any]
    hashes: dict[str, str]
    rejected: Rejected
    split: Split
    seconds: dict[str, float] = field(default_factory=dict, compare=False)
    key: str = field(default="", compare=False)

    def need(self, name: SplitName) -> Sequence[Example]:
        """The examples of a split that has to have some.

        Raises:
            DataError: It is empty; says why and what to do.
        """
        if self.splits[name]:
            return self.splits[name]
        sizes = ", ".join(f"{split} {len(examples)}" for split, examples in self.splits.items())
        lost = sum(self.counts["split"]["drops"].values())
        dropped = {step: sum(told["drops"].values()) for step, told in self.counts["curators"].items()}
        gone = ", ".join(f"{number:,} by data.curators.{step}" for step, number in dropped.items() if number)
        msg = (
            f"the {name} split is empty: {sizes}{f', {lost} dropped for lying in two splits' if lost else ''}"
            f"{f', dropped {gone}' if gone else ''}\n"
            f"raise data.split.{name} (now {getattr(self.split, name):g}), set another data.split.key, add rows, "
            f"or give a source `split: {name}`; rows with one keep_together value share a split"
        )
        raise DataError(msg)


def curate(
    sources: Mapping[str, Source],
    curators: Mapping[str, Curator],
    split: Split,
    *,
    seed: int,
    reject_limit: float,
    keep_rejected: bool,
    rejected_file: Path | None,
    formatters: Sequence[type[Formatter]] | None = None,
    cache: Cache | None = None,
) -> Curated:
    """Read, format, curate and split. Deterministic: same files and recipe, same result.

    Args:
        sources: By name.
        curators: By name; those of scope `all` run in this order before the split, those of scope `train` after it.
        split: How rows without a declared split are split.
        seed: The recipe's seed, for curators that draw; the split does not depend on it.
        reject_limit: Share of a source's rows that may be unreadable, in [0, 1].
        keep_rejected: Whether rejected rows are kept with their text.
        rejected_file: Where to write rejected rows; None writes none.
        formatters: All that the recipe may name, for those that choose among them; None for all that are installed.
        cache: Where the result of each step is kept; None keeps nothing.

    Raises:
        RecipeError: No source, or a share outside of its bounds.
        DataError: A source cannot be used, or a curator breaks its contract.
    """
    check_options(sources, split, reject_limit)
    cache = Cache() if cache is None else cache
    work = Curating(
        sources,
        curators,
        split,
        seed=seed,
        reject_limit=reject_limit,
        keep_rejected=keep_rejected,
        rejected_file=rejected_file,
        formatters=formatters,
        cache=cache,
    )
    with cache.held() if work.is_kept else nullcontext():
        done, read, seconds = work.run()
    if rejected_file is not None:
        read.rejected.write(rejected_file)
    told = done.told
    counts = {
        "sources": read.counts,
        "curators": {name: told["curators"][name] for name in curators},
        "split": {
            "drops": dict(sorted(Counter(told["drops"]).items())),
            "moved to near-duplicates": told["moved"],
            "without keep_together": told["alone"] if split.keep_together else 0,
            "without by_time": told["timeless"],
            "asked in training": told["asked in training"],
            "groups": told["groups"],
        },
        "splits": told["splits"],
    }
    return Curated(dict(done.stores), counts, read.hashes, read.rejected, split, seconds, done.key)


def part_of(curated: Curated, share: float, draw: int) -> Curated:
    """The same with a part of its training rows: those of the lowest hashes of their ids, in their order.

    Args:
        curated: All rows.
        share: Of the training rows, above 0, at most 1.
        draw: Another number draws others.
    """
    rows = curated.splits["train"]
    ids = rows.ids() if isinstance(rows, Store) else [row.id for row in rows]
    drawn = sorted((sha256(f"{draw} {name}".encode()).digest(), at) for at, name in enumerate(ids))
    chosen = sorted(at for _, at in drawn[: round(share * len(drawn))])
    kept = rows.select(chosen) if isinstance(rows, Store) else [rows[at] for at in chosen]
    key = key_of(curated.key, share, draw) if curated.key else ""
    return replace(curated, splits={**curated.splits, "train": kept}, key=key)


def check_options(sources: Mapping[str, Source], split: Split, reject_limit: float) -> None:
    """Raise RecipeError where there is no source, or a share is none."""
    if not sources:
        msg = "data.sources is empty; name at least one source with a path and a formatter"
        raise RecipeError(msg)
    if not 0 <= reject_limit <= 1:
        msg = f"data.reject_limit is {reject_limit}; a share lies between 0 and 1"
        raise RecipeError(msg)
    split.check()
