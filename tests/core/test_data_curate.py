"""Curators at work: everything that a curator does is on record, or the run stops and names it (trap 38)."""

from collections.abc import Callable, Iterable, Sequence

import pytest

from tunesmith import Curator, DataError, Example, Message, Origin, RecipeError, Record, TunesmithError
from tunesmith.data.curate import apply_curator, change_questions, check_curators


def example(key: str, text: str = "") -> Example:
    return Example(
        messages=(Message("user", text or key), Message("assistant", "yes")), id=key, origin=Origin("s", "f", 1)
    )


EXAMPLES = [example(key) for key in "abc"]
Act = Callable[[list[Example], Record], Iterable[Example]]


class Acting(Curator):
    """Does what a test says."""

    def __init__(self, act: Act) -> None:
        self.act = act

    def apply(self, examples: Iterable[Example], record: Record) -> Iterable[Example]:
        return self.act(list(examples), record)


def honest(examples: list[Example], record: Record) -> Iterable[Example]:
    first, second, third = examples
    record.drop(first, "short")
    record.change(second, "anonymised")
    record.change(second, "trimmed")
    record.add(example("d"), "paraphrase")
    return [second.with_(messages=third.messages), third, example("d")]


def test_what_a_curator_did_is_counted_by_reason() -> None:
    kept, counts = apply_curator("clean", Acting(honest), EXAMPLES, seed=1)
    assert [e.id for e in kept] == ["b", "c", "d"]
    assert counts == {
        "scope": "all",
        "in": 3,
        "out": 3,
        "drops": {"short": 1},
        "changes": {"anonymised": 1, "trimmed": 1},
        "additions": {"paraphrase": 1},
    }


def recording(what: str, which: Sequence[int], then: Callable[[list[Example]], Iterable[Example]]) -> Act:
    def act(examples: list[Example], record: Record) -> Iterable[Example]:
        for index in which:
            getattr(record, what)(examples[index], "because")
        return then(examples)

    return act


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (recording("drop", [], lambda e: e[1:]), "drops 1 examples without a record (first: a)"),
        (recording("drop", [0], lambda e: e), "records the drop of 1 examples where there was none (first: a)"),
        (recording("drop", [0, 0], lambda e: e[1:]), "records the drop of a twice"),
        (recording("add", [], lambda e: [*e, example("x")]), "makes 1 examples without a record (first: x)"),
        (recording("add", [0], lambda e: e), "records the addition of 1 examples where there was none (first: a)"),
        (recording("add", [], lambda e: [*e, e[0]]), "returns id a twice"),
        (recording("add", [], lambda e: e[::-1]), "changes the order of the examples"),
        (recording("add", [], lambda e: [example("a", "new"), *e[1:]]), "changes a without a record"),
        (recording("change", [0], lambda e: [e[0].with_(origin=Origin()), *e[1:]]), "changes the origin of a"),
        (
            recording("drop", [0], lambda e: [e[0].with_(id="z"), *e[1:]]),
            "makes 1 examples without a record (first: z)",
        ),
    ],
)
def test_trap_38_a_curator_that_hides_what_it_did_is_named(act: Act, said: str) -> None:
    with pytest.raises(DataError) as caught:
        apply_curator("clean", Acting(act), EXAMPLES, seed=1)
    assert str(caught.value) == f"data.curators.clean: Acting {said}; the plugin breaks its contract, remove it"


def test_a_curator_draws_by_the_recipes_seed_and_its_own_name() -> None:
    seen: list[int] = []

    def act(examples: list[Example], record: Record) -> Iterable[Example]:
        seen.append(record.seed)
        return examples

    for name, seed in (("a", 1), ("a", 1), ("b", 1), ("a", 2)):
        apply_curator(name, Acting(act), EXAMPLES, seed)
    assert seen[0] == seen[1]
    assert len(set(seen)) == 3


class Asked(Acting):
    """Does to rows that are to be answered what a test says."""

    def question(self, examples: Iterable[Example], record: Record) -> Iterable[Example]:
        return self.act(list(examples), record)


class OfTraining(Asked):
    """Runs after the split."""

    scope = "train"


def trimmed(examples: list[Example], record: Record) -> Iterable[Example]:
    for one in examples:
        record.change(one, "trimmed")
    return [one.with_(messages=one.messages[:1]) for one in examples]


def test_rows_to_answer_are_changed_by_curators_that_say_how() -> None:
    curators: dict[str, Curator] = {"other": Acting(honest), "trim": Asked(trimmed), "late": OfTraining(honest)}
    changed = change_questions(curators, EXAMPLES, seed=1)
    assert [len(one.messages) for one in changed] == [1, 1, 1]
    assert [one.id for one in changed] == ["a", "b", "c"]


def test_rows_to_answer_are_never_dropped_or_made() -> None:
    with pytest.raises(DataError, match=r"trim: Asked\.question has to keep the rows to answer; 1 dropped, 1 added"):
        change_questions({"trim": Asked(honest)}, EXAMPLES, seed=1)


class Picky(Acting):
    """Refuses its options."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def check(self) -> None:
        raise self.error


def test_a_refused_option_is_named_with_its_place_in_the_recipe() -> None:
    with pytest.raises(RecipeError, match=r"^data\.curators\.private\.key_file: none"):
        check_curators({"private": Picky(RecipeError("key_file: none"))})
    with pytest.raises(TunesmithError, match=r"data\.curators\.private: Picky failed with KeyError"):
        check_curators({"private": Picky(KeyError("x"))})
    check_curators({"other": Acting(honest)})
