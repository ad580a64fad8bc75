"""ExactDuplicates: one of each, the first, and only where all that is trained on is equal."""

from dataclasses import dataclass, field

import pytest

from tunesmith import Example, Message, Segment
from tunesmith_plugins.curators.exact_duplicates import ExactDuplicates


@dataclass
class Notes:
    seed: int = 0
    held_out: tuple[Example, ...] = ()
    dropped: list[tuple[str, str]] = field(default_factory=list)

    def drop(self, example: Example, reason: str) -> None:
        self.dropped.append((example.id, reason))

    def change(self, example: Example, reason: str) -> None:
        raise AssertionError

    def add(self, example: Example, reason: str) -> None:
        raise AssertionError


def talk(prompt: str, completion: str, **changes: object) -> Example:
    return Example(messages=(Message("user", prompt), Message("assistant", completion)), **changes)  # type: ignore[arg-type]


def kept(*examples: Example, **options: bool) -> list[int]:
    named = [example.with_(id=str(index)) for index, example in enumerate(examples)]
    notes = Notes()
    left = [int(e.id) for e in ExactDuplicates(**options).apply(named, notes)]
    assert notes.dropped == [(e.id, "exact duplicate") for e in named if int(e.id) not in left]
    return left


def test_the_first_of_each_stays_in_order() -> None:
    assert kept(talk("b", "x"), talk("a", "x"), talk("b", "x"), talk("a", "x"), talk("c", "x")) == [0, 1, 4]


def test_other_columns_do_not_make_a_difference() -> None:
    assert kept(talk("a", "x", extras={"n": 1}), talk("a", "x", extras={"n": 2}, task="t")) == [0]


@pytest.mark.parametrize(
    "other",
    [
        talk("a", "y"),
        talk("b", "x"),
        talk("a", "x", label=1),
        talk("a", "x", tools=({"name": "t"},)),
        Example(messages=(Message("system", "a"), Message("assistant", "x"))),
        Example(messages=(Message("user", "a"), Message("assistant", "x", fields={"tool_calls": [1]}))),
        Example(chosen=talk("a", "x").messages, rejected=talk("a", "y").messages),
        Example(messages=(Message("user", "ax"), Message("assistant", ""))),
        Example(segments=(Segment("ax"),)),
    ],
)
def test_what_differs_in_anything_that_is_trained_on_stays(other: Example) -> None:
    assert kept(talk("a", "x"), other) == [0, 1]


def test_case_and_space_count_as_asked() -> None:
    examples = (talk("A  b", "x"), talk("a b", "x"), talk(" A b\n", "x"))
    assert kept(*examples) == [0, 1]
    assert kept(*examples, ignore_case=True) == [0]
    assert kept(*examples, ignore_space=False) == [0, 1, 2]
    assert kept(*examples, ignore_case=True, ignore_space=False) == [0, 1, 2]


def test_segments_are_compared_as_one_text() -> None:
    assert kept(Example(segments=(Segment("a b"),)), Example(segments=(Segment("a "), Segment("b")))) == [0]
