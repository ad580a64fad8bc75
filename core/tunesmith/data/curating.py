"""The stages of one data set: read, each curator, the split between them, and the last look for leaks."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.cache import Cache, Entry
from tunesmith.data.curate import apply_curator, said
from tunesmith.data.identity import formatters_identity, identity, key_of, surroundings
from tunesmith.data.intake import read_sources
from tunesmith.data.placing import Placing
from tunesmith.data.rejected import Rejected
from tunesmith.data.row_file import RowWriter
from tunesmith.data.sources import Source, open_sources
from tunesmith.data.split import SPLITS, Split, asked_in_training, leaked, settle
from tunesmith.data.stages import ALL, Stage, Stages, State
from tunesmith.data.store import Store, joined
from tunesmith.plugins.interfaces import Curator, Formatter

_SETTLED = "settled"  # training rows as the split left them, until the last look


@dataclass
class Read:
    """What is known of reading, beside the rows.

    Args:
        counts: By source, as in `Intake`.
        hashes: By source.
        rejected: Rows that were set aside.
        placing: Where each row belongs.
        rows: The rows as they were read; None where only their places were found in the cache.
    """

    counts: dict[str, dict[str, Any]]
    hashes: dict[str, str]
    rejected: Rejected
    placing: Placing
    rows: Store | None = None


class Curating:
    """Makes the stages of a recipe's data, and runs them. Args: as `curate`."""

    def __init__(
        self,
        sources: Mapping[str, Source],
        curators: Mapping[str, Curator],
        split: Split,
        *,
        seed: int,
        reject_limit: float,
        keep_rejected: bool,
        rejected_file: Path | None,
        formatters: Sequence[type[Formatter]] | None,
        cache: Cache,
    ) -> None:
        self._sources = sources
        self._split = split
        self._seed = seed
        self._limit = reject_limit
        self._keep_rejected = keep_rejected
        self._rejected_file = rejected_file
        self._formatters = formatters
        self._cache = cache
        self._curators = {
            name: curator for scope in ("all", "train") for name, curator in curators.items() if curator.scope == scope
        }
        self._read: Read | None = None
        self._around = key_of(surroundings()) if cache.folder is not None else ""
        self._key = self._intake_key() if cache.folder is not None else None

    @property
    def is_kept(self) -> bool:
        """Whether all stages can be named, so that a second run finds all of them."""
        return all(stage.identity() is not None for stage in self._stages())

    def run(self) -> tuple[State, Read, dict[str, float]]:
        """The state after the last stage, what is known of reading, and the seconds that stages took."""
        stages = Stages(self._stages(), self._cache, self._around)
        done = stages.last()
        return done, self._reading(), stages.seconds

    def _stages(self) -> list[Stage]:
        names = list(self._curators)
        anonymous = [at for at, name in enumerate(names) if self._curators[name].anonymises]
        # One that anonymises training rows alone leaves the held-out ones as they were
        never = any(self._curators[names[at]].scope == "train" for at in anonymous)
        first = max(anonymous, default=-1)
        stages = [Stage("read", lambda: self._key, self._take_in, is_hidden=never or first >= 0)]
        cut = sum(curator.scope == "all" for curator in self._curators.values())
        for at, name in enumerate(names):
            if at == cut:
                stages.append(self._split_stage(never))
            stages.append(self._stage(name, is_hidden=never or at < first, whole=at == first))
        if cut == len(names):
            stages.append(self._split_stage(never))
        return [*stages, Stage("split", lambda: "last look", self._last_look, never)]

    def _stage(self, name: str, is_hidden: bool, whole: bool) -> Stage:
        curator = self._curators[name]
        which = ALL if curator.scope == "all" else "train"

        def work(before: State, into: Callable[[], RowWriter]) -> tuple[dict[str, Store], dict[str, Any]]:
            stores = before.stores
            held_out = () if which == ALL else joined([stores["validation"], stores["test"]])
            kept, counts = apply_curator(
                name, curator, stores[which], self._seed, held_out, into=into, whole=whole and which == ALL
            )
            return {**stores, which: kept}, {"curators": before.told.get("curators", {}) | {name: counts}}

        def identified() -> str | None:
            with said(name):
                known = identity(curator)
            return None if known is None else key_of(name, self._seed, known)

        return Stage(name, identified, work, is_hidden)

    def _split_stage(self, is_hidden: bool) -> Stage:
        return Stage("split", lambda: key_of(asdict(self._split)), self._settle, is_hidden)

    def _take_in(self, _: State, into: Callable[[], RowWriter]) -> tuple[dict[str, Store], dict[str, Any]]:
        placing = self._placing()
        intake = read_sources(
            self._sources,
            reject_limit=self._limit,
            keep_rejected=self._keep_rejected,
            rejected_file=self._rejected_file,
            note=placing.note,
            formatters=self._formatters,
            into=into,
        )
        if self._rejected_file is not None:
            intake.rejected.write(self._rejected_file)
        placing.finish()
        self._read = Read(intake.counts, intake.hashes, intake.rejected, placing, intake.examples)
        told = {
            "counts": intake.counts,
            "hashes": intake.hashes,
            "rejected": intake.rejected.kept(),
            "moved": placing.moved,
            "timeless": placing.timeless,
        }
        self._cache.put(self._facts_key(), Entry(told, arrays=placing.numbers()))
        return {ALL: intake.examples}, {}

    def _reading(self) -> Read:
        """What is known of reading: from this run, from the cache, or read again."""
        if self._read is None:
            entry = self._cache.get(self._facts_key())
            if entry is None:
                return self._read_again()
            placing = self._placing()
            placing.restore(entry.arrays)
            placing.moved, placing.timeless = entry.told["moved"], entry.told["timeless"]
            rejected = Rejected.of_kept(entry.told["rejected"])
            self._read = Read(entry.told["counts"], entry.told["hashes"], rejected, placing)
        return self._read

    def _read_again(self) -> Read:
        self._take_in(State({}), lambda: RowWriter(*self._cache.place(is_kept=False)))
        assert self._read is not None
        return self._read

    def _settle(self, before: State, _: object) -> tuple[dict[str, Store], dict[str, Any]]:
        rows, read = before.stores[ALL], self._reading()
        numbers = rows.numbers()
        if self._split.keep_together and read.rows is None and (numbers < 0).any():
            read = self._read_again()  # for the groups of rows that were made: the cache has no names of groups
        placing = read.placing
        places = [placing.places[n] if n >= 0 else placing.made(rows[at]) for at, n in enumerate(numbers.tolist())]
        as_read = np.full(len(rows), -1)
        if read.rows is not None:
            same = rows.digests() == read.rows.digests()[numbers] if len(read.rows) else np.zeros(len(rows), bool)
            as_read = np.where(same & (numbers >= 0), numbers, -1)
        splits, dropped = settle(rows, places, placing.index(rows, as_read.tolist()))
        stores: dict[str, Store] = {name: rows.select(at) for name, at in splits.items()}
        alone = sum(at.group is None and not at.fixed for at in places)
        # counted here: what curators left of a column's values may be the same for all
        groups = Counter(group for at in splits.values() for n in at if (group := places[n].group) is not None)
        told = {
            "drops": dict(Counter(dropped.values())),
            "alone": alone,
            "moved": placing.moved,
            "timeless": placing.timeless,
            "groups": {"rows": groups.total(), "groups": len(groups), "largest": max(groups.values(), default=0)},
        }
        return {**stores, _SETTLED: stores["train"]}, told

    def _last_look(self, before: State, _: object) -> tuple[dict[str, Store], dict[str, Any]]:
        """Drop training rows that curators have made equal to held-out ones, and count what is left."""
        stores = {name: before.stores[name] for name in SPLITS}
        train, settled = stores["train"], before.stores[_SETTLED]
        is_made = ~np.isin(train.digests().view("S16"), settled.digests().view("S16"))
        gone = leaked(train.select(np.flatnonzero(is_made)), stores, self._split.near_duplicates)
        if gone:
            stores["train"] = train.select([at for at, key in enumerate(train.ids()) if key not in gone])
        told = {
            "drops": dict(Counter(before.told["drops"]) + Counter(gone.values())),
            "asked in training": asked_in_training(stores),
            "splits": {
                name: dict(Counter(origin.source for origin in rows.origins())) for name, rows in stores.items()
            },
        }
        return {str(name): rows for name, rows in stores.items()}, told

    def _placing(self) -> Placing:
        return Placing(self._split, {name: source.split for name, source in self._sources.items()})

    def _facts_key(self) -> str | None:
        return None if self._key is None else key_of(self._around, self._key, "facts")

    def _intake_key(self) -> str | None:
        """What reading depends on; None where it is only known once the rows are read."""
        if self._keep_rejected:  # raw rows are kept where the recipe says, nowhere else
            return None
        opened = open_sources(self._sources)
        known: list[Any] = [asdict(self._split), self._limit]
        for name, source in self._sources.items():
            formatter = identity(source.formatter)
            if type(source.formatter).settle is not Formatter.settle:
                others = None if self._formatters is None else formatters_identity(self._formatters)
                formatter = None if formatter is None or others is None else key_of(formatter, others)
            if formatter is None or not opened[name].is_local:
                return None
            files = [str(part) for part in opened[name].parts]
            stated = asdict(replace(source, formatter=None, path="", about="", licence="", approved_by=""))  # type: ignore[arg-type]
            known.append([name, files, opened[name].fingerprint(), formatter, stated])
        return key_of(known)
