"""Curators at work: what each did, by reason, and the proof that it lost nothing uncounted."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tunesmith.data.example import Example
from tunesmith.data.rows import digest
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
        with _said(name), blamed(f"data.curators.{name}", curator):
            curator.check()


def apply_curator(
    name: str, curator: Curator, examples: Sequence[Example], seed: int, held_out: Sequence[Example] = ()
) -> tuple[list[Example], dict[str, Any]]:
    """Run one curator over the examples.

    Args:
        name: Its name in the recipe.
        curator: The curator.
        examples: What it may look at.
        seed: The recipe's seed.
        held_out: What it may compare with: validation and test examples, where it runs after the split.

    Returns:
        The examples that stay or were made; and the counts: scope, rows in and out, drops, changes and additions by
        reason, and `remarks` where the curator made some.

    Raises:
        RecipeError: The curator says that an option of it is wrong.
        DataError: The curator lost, made, changed or reordered examples without a record (trap 38).
    """
    tally = Tally(_seed(seed, name), held_out)
    kept = _run(name, curator, curator.apply, examples, tally)
    counts = {"scope": curator.scope, "in": len(examples), "out": len(kept), **tally.counts()}
    return kept, counts | ({"remarks": tally.remarks} if tally.remarks else {})


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
            changed = _run(name, curator, curator.question, changed, tally)
            if tally.dropped or tally.added:
                what = f"{len(tally.dropped)} dropped, {len(tally.added)} added"
                msg = f"data.curators.{name}: {type(curator).__name__}.question has to keep the rows to answer; {what}"
                raise DataError(msg)
    return changed


def _seed(seed: int, name: str) -> int:
    return int.from_bytes(digest(str(seed), name)[:4], "big")


@contextmanager
def _said(name: str) -> Iterator[None]:
    """Context whose errors say which curator they are of: it does not know its name in the recipe."""
    try:
        yield
    except RecipeError as error:  # which begins with the option at fault
        msg = f"data.curators.{name}.{error}"
        raise RecipeError(msg) from error
    except DataError as error:
        msg = f"data.curators.{name}: {error}"
        raise DataError(msg) from error


def _run(
    name: str,
    curator: Curator,
    work: Callable[[Iterable[Example], Tally], Iterable[Example]],
    examples: Sequence[Example],
    tally: Tally,
) -> list[Example]:
    with _said(name), blamed(f"data.curators.{name}", curator):
        kept = list(work(iter(examples), tally))
    wrong = problem(examples, kept, tally)
    if wrong:
        msg = f"data.curators.{name}: {type(curator).__name__} {wrong}; the plugin breaks its contract, remove it"
        raise DataError(msg)
    return kept


def problem(before: Sequence[Example], after: Sequence[Example], tally: Tally) -> str:
    """What a curator did without a record, as the rest of a sentence about it; empty where all is accounted for."""
    old = {example.id: example for example in before}
    new = {example.id: example for example in after}
    if len(new) < len(after):
        return f"returns id {_twice([e.id for e in after])} twice"
    if len(set(tally.dropped)) < len(tally.dropped):
        return f"records the drop of {_twice(tally.dropped)} twice"
    if set(tally.dropped) != old.keys() - new.keys():
        return _mismatch("drop", "drops", old.keys() - new.keys(), set(tally.dropped))
    if set(tally.added) != new.keys() - old.keys() or len(tally.added) != len(set(tally.added)):
        return _mismatch("addition", "makes", new.keys() - old.keys(), set(tally.added))
    stayed = [example for example in after if example.id in old]
    for example in stayed:
        if example.origin != old[example.id].origin:
            return f"changes the origin of {example.id}"
        if example.id not in tally.changed and example is not old[example.id] and example != old[example.id]:
            return f"changes {example.id} without a record"
    if [example.id for example in stayed] != [key for key in old if key in new]:
        return "changes the order of the examples"
    return ""


def _twice(ids: Sequence[str]) -> str:
    return next(key for key, count in Counter(ids).items() if count > 1)


def _mismatch(what: str, does: str, real: set[str], recorded: set[str]) -> str:
    if real - recorded:
        return f"{does} {len(real - recorded)} examples without a record (first: {min(real - recorded)})"
    wrong = recorded - real
    if wrong:
        return f"records the {what} of {len(wrong)} examples where there was none (first: {min(wrong)})"
    return f"records the {what} of one example twice"
