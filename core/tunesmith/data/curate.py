"""Curators at work: what each did, by reason, and the proof that it lost nothing uncounted."""

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from tunesmith.data.account import OUT_OF_ORDER, Account, difference, problem
from tunesmith.data.example import Example
from tunesmith.data.row_file import Packed, RowWriter
from tunesmith.data.rows import digest
from tunesmith.data.store import SHIFT, Store, stored
from tunesmith.errors import DataError, RecipeError
from tunesmith.plugins.blame import blamed
from tunesmith.plugins.interfaces import Curator


class Tally:
    """What one curator did; the core's `Record`.

    Args:
        seed: For curators that draw: differs by curator, and is the same in every run of a recipe.
        held_out: Validation and test examples, for curators that run after the split.
    """

    def __init__(self, seed: int, held_out: Sequence[Example] = ()) -> None:
        self.seed = seed
        self.held_out = held_out
        self.dropped: list[str] = []
        self.added: list[str] = []
        self.changed: set[str] = set()
        self.remarks: list[str] = []
        self.reasons: dict[str, Counter[str]] = {"drops": Counter(), "changes": Counter(), "additions": Counter()}

    def drop(self, example: Example, reason: str) -> None:
        """Note that `example` was left out."""
        self.dropped.append(example.id)
        self.reasons["drops"][reason] += 1

    def change(self, example: Example, reason: str) -> None:
        """Note that `example` was changed."""
        self.changed.add(example.id)
        self.reasons["changes"][reason] += 1

    def add(self, example: Example, reason: str) -> None:
        """Note that `example` was made."""
        self.added.append(example.id)
        self.reasons["additions"][reason] += 1

    def remark(self, said: str) -> None:
        """Keep what was found in the data as a whole."""
        self.remarks.append(said)

    def counts(self) -> dict[str, dict[str, int]]:
        """Drops, changes and additions by reason."""
        return {what: dict(sorted(counter.items())) for what, counter in self.reasons.items()}


def check_curators(curators: Mapping[str, Curator]) -> None:
    """Raise RecipeError where an option of a curator has a value that cannot be."""
    for name, curator in curators.items():
        with said(name), blamed(f"data.curators.{name}", curator):
            curator.check()


def apply_curator(
    name: str,
    curator: Curator,
    examples: Sequence[Example],
    seed: int,
    held_out: Sequence[Example] = (),
    *,
    into: Callable[[], RowWriter] = RowWriter,
    whole: bool = False,
) -> tuple[Store, dict[str, Any]]:
    """Run one curator over the examples.

    Args:
        name: Its name in the recipe.
        curator: The curator.
        examples: What it may look at.
        seed: The recipe's seed.
        held_out: What it may compare with: validation and test examples, where it runs after the split.
        into: Opens the file of the examples that it changes or makes.
        whole: Whether that file takes all examples, so that those before are needed no more.

    Returns:
        The examples that stay or were made; and the counts: scope, rows in and out, drops, changes and additions by
        reason, and `remarks` where the curator made some.

    Raises:
        RecipeError: The curator says that an option of it is wrong.
        DataError: The curator lost, made, changed or reordered examples without a record (trap 38), or there is no room
            for what it made.
    """
    tally = Tally(_seed(seed, name), held_out)
    given = examples if isinstance(examples, Store) else stored(examples)
    kept = _streamed(name, curator, given, tally, into, whole)
    counts = {"scope": curator.scope, "in": len(given), "out": len(kept), **tally.counts()}
    return kept, counts | ({"remarks": tally.remarks} if tally.remarks else {})


def _streamed(
    name: str, curator: Curator, given: Store, tally: Tally, into: Callable[[], RowWriter], whole: bool
) -> Store:
    """One example after the other, so that no more of them are in memory than the curator itself holds."""
    account, digests, numbers = Account(given.ids()), given.digests(), given.numbers()
    places, rewritten = array("q"), array("q")
    fresh = 0 if whole else len(given.files) << SHIFT
    with into() as writer:
        for example, packed in _outcome(name, curator, given, tally):
            at = account.out(example)
            if at is not None and packed.digest == digests[at].tobytes():
                places.append(fresh | writer.add(example, int(numbers[at]), packed) if whole else int(given.places[at]))
            else:
                rewritten.extend(() if at is None else (at, len(places)))
                places.append(fresh | writer.add(example, -1 if at is None else int(numbers[at]), packed))
        file = writer.finish()
    made = Store([file] if whole else [*given.files, file], np.array(places, np.int64))
    wrong = account.wrong(tally) or _rewritten(given, made, rewritten, tally)
    if wrong or not account.in_order:
        raise _broken(name, curator, wrong or OUT_OF_ORDER)
    return made


def _outcome(name: str, curator: Curator, given: Store, tally: Tally) -> Iterator[tuple[Example, Packed]]:
    """What a curator returns, with errors that say whose they are."""
    with said(name), blamed(f"data.curators.{name}", curator):
        found = iter(curator.apply(given, tally))
    while True:
        with said(name), blamed(f"data.curators.{name}", curator):
            example = next(found, None)
            packed = None if example is None else Packed(example)
        if example is None or packed is None:
            return
        yield example, packed


def _rewritten(given: Store, made: Store, pairs: Sequence[int], tally: Tally) -> str:
    """What is wrong with examples whose bytes are others than before."""
    for before, after in zip(pairs[::2], pairs[1::2], strict=True):
        key = next(made[after : after + 1].ids())
        if key in tally.changed:  # as nearly all are: their texts need no look
            if given.origin(before) != made.origin(after):
                return f"changes the origin of {key}"
        elif wrong := difference(given[before], made[after], is_recorded=False):
            return wrong
    return ""


def change_questions(curators: Mapping[str, Curator], examples: Sequence[Example], seed: int) -> list[Example]:
    """Rows that are to be answered, changed as the curators of scope `all` change those that are trained on.

    Args:
        curators: By name; in this order.
        examples: What is to be answered.
        seed: The recipe's seed.

    Raises:
        DataError: A curator lost, made or reordered rows, or changed them without a record.
    """
    changed = list(examples)
    for name, curator in curators.items():
        if curator.scope == "all":
            tally = Tally(_seed(seed, name))
            before = changed
            with said(name), blamed(f"data.curators.{name}", curator):
                changed = list(curator.question(iter(before), tally))
            if wrong := problem(before, changed, tally):
                raise _broken(name, curator, wrong)
            if tally.dropped or tally.added:
                what = f"{len(tally.dropped)} dropped, {len(tally.added)} added"
                msg = f"data.curators.{name}: {type(curator).__name__}.question has to keep the rows to answer; {what}"
                raise DataError(msg)
    return changed


def _seed(seed: int, name: str) -> int:
    return int.from_bytes(digest(str(seed), name)[:4], "big")


@contextmanager
def said(name: str) -> Iterator[None]:
    """Context whose errors say which curator they are of: it does not know its name in the recipe."""
    try:
        yield
    except RecipeError as error:  # which begins with the option at fault
        msg = f"data.curators.{name}.{error}"
        raise RecipeError(msg) from error
    except DataError as error:
        msg = f"data.curators.{name}: {error}"
        raise DataError(msg) from error


def _broken(name: str, curator: Curator, wrong: str) -> DataError:
    msg = f"data.curators.{name}: {type(curator).__name__} {wrong}; the plugin breaks its contract, remove it"
    return DataError(msg)
