"""From sources to curated splits: every row that was read is in a split, or counted by the reason why it is not."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tunesmith.data.curate import apply_curator
from tunesmith.data.example import Example
from tunesmith.data.intake import Intake, read_sources
from tunesmith.data.placing import Placing
from tunesmith.data.rejected import Rejected
from tunesmith.data.sources import Source, SplitName
from tunesmith.data.split import Split, asked_in_training, leaked, settle
from tunesmith.errors import DataError, RecipeError
from tunesmith.plugins.interfaces import Curator, Formatter


@dataclass(frozen=True)
class Curated:
    """Curated examples by split.

    Args:
        splits: Examples of train, validation and test.
        counts: JSON-able. `sources`: by source, rows read, rejected and formatted; `curators`: by name, rows in and
            out, drops, changes and additions by reason; `split`: drops by reason, rows that went to the split of one
            that they resemble, rows without a `keep_together` or `by_time` value, and held-out rows whose prompt is in
            training too; `splits`: rows by split and source (empty name: made by a curator without an origin).
            read = rejected + drops - additions + rows in the splits (trap 38).
        hashes: By source, what identifies its content; for the lock.
        rejected: Rows that were set aside; `rejected.write(path)` writes them.
        split: The recipe's split.
    """

    splits: dict[str, list[Example]]
    counts: dict[str, Any]
    hashes: dict[str, str]
    rejected: Rejected
    split: Split

    def need(self, name: SplitName) -> list[Example]:
        """The examples of a split that has to have some.

        Raises:
            DataError: It is empty; says why and what to do.
        """
        if self.splits[name]:
            return self.splits[name]
        sizes = ", ".join(f"{split} {len(examples)}" for split, examples in self.splits.items())
        lost = sum(self.counts["split"]["drops"].values())
        msg = (
            f"the {name} split is empty: {sizes}{f', {lost} dropped for lying in two splits' if lost else ''}\n"
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

    Raises:
        RecipeError: No source, or a share outside of its bounds.
        DataError: A source cannot be used, or a curator breaks its contract.
    """
    check_options(sources, split, reject_limit)
    placing = Placing(split, {name: source.split for name, source in sources.items()})
    intake = read_sources(
        sources,
        reject_limit=reject_limit,
        keep_rejected=keep_rejected,
        rejected_file=rejected_file,
        note=placing.note,
        formatters=formatters,
    )
    if rejected_file is not None:
        intake.rejected.write(rejected_file)
    placing.finish()
    return _curate(intake, placing, curators, seed)


def _curate(intake: Intake, placing: Placing, curators: Mapping[str, Curator], seed: int) -> Curated:
    split, places = placing.split, placing.places
    done: dict[str, Any] = {}
    examples = _run("all", curators, intake.examples, seed, done)
    for example in examples:
        if example.id not in places:
            placing.note_made(example)
    splits, dropped = settle(examples, places, placing.index(examples))
    drops = Counter(reason for _, reason in dropped)
    before = {id(example) for example in splits["train"]}
    held_out = [*splits["validation"], *splits["test"]]
    splits["train"] = _run("train", curators, splits["train"], seed, done, held_out)
    made = [example for example in splits["train"] if id(example) not in before]
    gone = leaked(made, splits, split.near_duplicates)
    splits["train"] = [example for example in splits["train"] if example.id not in gone]
    drops.update(gone.values())
    alone = sum(at.group is None and not at.fixed for at in places.values()) if split.keep_together else 0
    counts = {
        "sources": intake.counts,
        "curators": {name: done[name] for name in curators},
        "split": {
            "drops": dict(sorted(drops.items())),
            "moved to near-duplicates": placing.moved,
            "without keep_together": alone,
            "without by_time": placing.timeless,
            "asked in training": asked_in_training(splits),
        },
        "splits": {name: dict(Counter(e.origin.source for e in examples)) for name, examples in splits.items()},
    }
    return Curated({str(k): v for k, v in splits.items()}, counts, intake.hashes, intake.rejected, split)


def _run(
    scope: Literal["all", "train"],
    curators: Mapping[str, Curator],
    examples: Sequence[Example],
    seed: int,
    done: dict[str, Any],
    held_out: Sequence[Example] = (),
) -> list[Example]:
    current = list(examples)
    for name, curator in curators.items():
        if curator.scope == scope:
            current, done[name] = apply_curator(name, curator, current, seed, held_out)
    return current


def check_options(sources: Mapping[str, Source], split: Split, reject_limit: float) -> None:
    """Raise RecipeError where there is no source, or a share is none."""
    if not sources:
        msg = "data.sources is empty; name at least one source with a path and a formatter"
        raise RecipeError(msg)
    if not 0 <= reject_limit <= 1:
        msg = f"data.reject_limit is {reject_limit}; a share lies between 0 and 1"
        raise RecipeError(msg)
    split.check()
