"""The stages of curation, one after the other: each is made, or found in the cache.

A stage's key is made of the key of the one before it and of what it depends on itself, so that a change leads to new
keys from there on and to none before. Where a stage cannot be named (a curator asks a server), the next one's key is
made of the rows that it returned.

Rows are kept from the last curator on that anonymises (design, decision 15): what those before it make lies in files
without names.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from tunesmith.data.cache import Cache, Entry
from tunesmith.data.identity import key_of
from tunesmith.data.row_file import RowWriter
from tunesmith.data.store import Store

ALL = "all"


@dataclass(frozen=True)
class State:
    """What there is after a stage.

    Args:
        stores: The rows: under `all` before the split, after it by split.
        told: What is said of all stages until here; JSON-able.
        key: What identifies it.
    """

    stores: dict[str, Store]
    told: dict[str, Any] = field(default_factory=dict)
    key: str = ""


Work = Callable[[State, Callable[[], RowWriter]], tuple[dict[str, Store], dict[str, Any]]]


@dataclass(frozen=True)
class Stage:
    """One step.

    Args:
        name: What it is called where its time is said; empty where it is not.
        identity: Says what it depends on, beside the stage before; None where that cannot be said.
        work: From the state before, and what opens a file for rows, to the rows and what is said of them.
        is_hidden: Whether its rows must not be kept.
    """

    name: str
    identity: Callable[[], str | None]
    work: Work
    is_hidden: bool = False


class Stages:
    """Runs stages.

    Args:
        stages: In order.
        cache: Where they are kept.
        around: What all of them depend on.
    """

    def __init__(self, stages: Sequence[Stage], cache: Cache, around: str) -> None:
        self._stages = stages
        self._cache = cache
        self._around = around
        self.seconds: dict[str, float] = {}

    def last(self) -> State:
        """The state after the last one."""
        keys: list[str | None] = []
        for stage in self._stages:
            before = self._around if not keys else keys[-1]
            keys.append(_joined(before, stage.identity()))
        return self._state(len(keys) - 1, keys)

    def _state(self, at: int, keys: Sequence[str | None]) -> State:
        if found := self._found(keys[at]):
            return found
        stage, before = self._stages[at], self._state(at - 1, keys) if at else State({}, key=self._around)
        if keys[at] is None and (found := self._found(_joined(before.key, stage.identity()))):
            return found
        begin = time.perf_counter()
        stores, told = stage.work(before, lambda: RowWriter(*self._cache.place(not stage.is_hidden)))
        if stage.name:
            self.seconds[stage.name] = self.seconds.get(stage.name, 0.0) + time.perf_counter() - begin
        # What its options name as files may be what it wrote itself, so they are looked at once it has
        key = _joined(before.key, stage.identity())
        whole = before.told | told
        if not stage.is_hidden:
            self._cache.put(key, Entry(whole, stores))
        return State(stores, whole, key or key_of(self._around, _content(stores)))

    def _found(self, key: str | None) -> State | None:
        entry = self._cache.get(key)
        return None if entry is None or key is None else State(entry.stores, entry.told, key)


def _joined(before: str | None, identity: str | None) -> str | None:
    return None if before is None or identity is None else key_of(before, identity)


def _content(stores: dict[str, Store]) -> str:
    total = sha256()
    for name, store in sorted(stores.items()):
        total.update(f"{name} {store.content()}\n".encode())
    return total.hexdigest()
