"""CounterfactualAugment and Reweigh: rows made and weighed against bias."""

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith import DataError, Example, Message, RecipeError, Segment
from tunesmith.data.curate import apply_curator, check_curators
from tunesmith_plugins.curators.balance import Balance
from tunesmith_plugins.curators.counterfactual_augment import CounterfactualAugment
from tunesmith_plugins.curators.reweigh import Reweigh


def row(name: str, asked: str, said: str = "Yes.", **rest: Any) -> Example:
    return Example(messages=(Message("user", asked), Message("assistant", said)), id=name, **rest)


def augment(rows: list[Example], seed: int = 3, **options: Any) -> tuple[list[Example], dict[str, Any]]:
    check_curators({"swap": CounterfactualAugment(**options)})
    return apply_curator("swap", CounterfactualAugment(**options), rows, seed)


def reweigh(rows: list[Example], **options: Any) -> tuple[list[Example], dict[str, Any]]:
    check_curators({"weigh": Reweigh(**options)})
    return apply_curator("weigh", Reweigh(**options), rows, 3)


def test_a_row_that_names_a_group_by_a_surname_alone_is_exchanged() -> None:
    """Of several groups the one that a row names is chosen; names count as words do, where there are no words."""
    rows = [row("a", "Jamal Washington asks.", "Ask Ms Washington again."), row("b", "Anna asks.")]
    found, counts = augment(rows, category="ethnicity")
    assert [example.id for example in found] == ["a", "a~ethnicity", "b"]
    asked, answer = said(found[1])
    surname = asked.split()[1]
    assert surname != "Washington"
    assert answer == f"Ask Ms {surname} again."
    assert sum(counts["additions"].values()) == 1
    assert len(augment(rows, category="ethnicity", names=False)[0]) == 2


@pytest.mark.parametrize("mode", ["add", "replace"])
def test_no_row_is_made_that_is_held_out(mode: str) -> None:
    """The split parts what is alike as it stands, and knows nothing of counterparts."""
    rows = [row("a", "The woman knows sales."), row("b", "The woman knows welding.")]
    held_out = [row("t", "the man  knows sales."), row("u", "The man knows welding.", "No.")]
    curator = CounterfactualAugment(mode=mode)  # type: ignore[arg-type]
    found, counts = apply_curator("swap", curator, rows, 3, held_out)
    asked = [example.prompt[0].content for example in found]
    swapped = ["The man knows welding."]
    kept = [turn.prompt[0].content for turn in rows] if mode == "add" else ["The woman knows sales."]
    assert sorted(asked) == sorted(kept + swapped)
    assert counts["remarks"] == ["1 not exchanged: what would be made is a held-out row"]


def said(example: Example) -> list[str]:
    return list(example.texts())


def test_made_rows_stand_behind_their_own_with_its_label_and_a_mark() -> None:
    rows = [
        row("a", "Mary lost her key.", "She did.", label="hire", extras={"gold": "her"}),
        row("b", "It rains."),
        row("c", "She is pregnant."),
    ]
    made, counts = augment(rows, swap_columns=["gold"])
    assert [e.id for e in made] == ["a", "a~gender", "b", "c"]
    assert made[0] == rows[0]
    assert said(made[1]) == ["Michael lost his key.", "He did."]
    assert made[1].label == "hire"
    assert made[1].extras == {"gold": "him", "counterfactual": "female and male exchanged"}
    assert counts["additions"] == {"female and male exchanged": 1}


def test_runs_on_training_rows_only() -> None:
    assert CounterfactualAugment.scope == Reweigh.scope == "train"


def test_rows_are_replaced_by_their_share() -> None:
    rows = [row(str(at), f"She has {at} keys.") for at in range(400)]
    made, counts = augment(rows, mode="replace", share=0.5)
    assert [e.id for e in made] == [e.id for e in rows]
    changed = sum(said(e)[0].startswith("He") for e in made)
    assert counts["changes"] == {"female and male exchanged": changed}
    assert 150 < changed < 250
    assert augment(rows, mode="replace", share=0.5)[0] == made
    assert augment(rows, seed=4, mode="replace", share=0.5)[0] != made


def test_all_groups_are_named_alike_often_afterwards() -> None:
    rows = [row(str(at), "She came." if at % 5 else "He came.") for at in range(50)]
    texts = Counter(said(e)[0] for e in augment(rows)[0])
    assert texts["She came."] == texts["He came."] == 50


def test_of_many_groups_the_one_that_is_named_becomes_another() -> None:
    rows = [row(str(at), "A Muslim met Muslims.") for at in range(60)]
    made = [e for e in augment(rows, category="religion")[0] if "~" in e.id]
    assert len(made) == 60
    seen = {said(e)[0] for e in made}
    assert {"A Christian met Christians.", "A Jew met Jews.", "An atheist met atheists."} <= seen
    assert not any("Muslim" in text for text in seen)
    only = augment(rows, category="religion", groups=["muslim", "hindu"])[0]
    assert {said(e)[0] for e in only if "~" in e.id} == {"A Hindu met Hindus."}


def test_made_rows_take_no_id_that_is_there_and_are_marked_twice_where_two_follow() -> None:
    rows = [row("a", "She is a Muslim."), row("a~gender", "It rains.")]
    once, _ = augment(rows)
    assert [e.id for e in once] == ["a", "a~gender2", "a~gender"]
    twice, _ = augment(once, category="religion", groups=["muslim", "sikh"])
    marks = {e.id: e.extras.get("counterfactual") for e in twice}
    assert marks["a~gender2~religion"] == "female and male exchanged, muslim and sikh exchanged"
    assert said(next(e for e in twice if e.id == "a~gender2~religion"))[0] == "He is a Sikh."


def test_a_column_that_holds_something_else_is_not_written_over() -> None:
    with pytest.raises(DataError, match="column: counterfactual is there already, in row a"):
        augment([row("a", "She", extras={"counterfactual": "x"})])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"share": 0.0}, "share is 0.0"),
        ({"groups": ["female"]}, "groups names female; two different ones"),
        ({"groups": ["femal", "male"]}, "groups: 'femal' has no words to swap in gender; did you mean female"),
        ({"category": "gendr"}, "categories: 'gendr' is not in the lexicon; did you mean gender"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        augment([], **options)


def test_a_lexicon_in_another_language_is_not_swapped(tmp_path: Path) -> None:
    path = tmp_path / "de.json"
    path.write_text('{"language": "de", "categories": {"g": {"groups": {"w": ["Frau"], "m": ["Mann"]}, '
                    '"swaps": [{"w": "Frau", "m": "Mann"}]}}}')  # fmt: skip
    with pytest.raises(RecipeError, match="lexicon is written in 'de'"):
        augment([], category="g", lexicon=path)


def hired() -> list[Example]:
    """Of 6 women 2 are hired, of 4 men 3; two rows name nobody, and both."""
    rows = [row(f"f{at}", "She applies.", label="hire" if at < 2 else "no") for at in range(6)]
    rows += [row(f"m{at}", "He applies.", label="hire" if at < 3 else "no") for at in range(4)]
    return [*rows, row("n", "It rains.", label="no"), row("b", "He and she.", label="hire")]


def test_weights_are_those_of_kamiran_and_calders_by_hand() -> None:
    made, counts = reweigh(hired())
    weights = {e.id: e.messages[1].weight for e in made}
    # P(female) = 6/10, P(hire) = 5/10, P(female, hire) = 2/10: 1.5; and so on
    assert weights["f0"] == pytest.approx(0.6 * 0.5 / 0.2)
    assert weights["f5"] == pytest.approx(0.6 * 0.5 / 0.4)
    assert weights["m0"] == pytest.approx(0.4 * 0.5 / 0.3)
    assert weights["m3"] == pytest.approx(0.4 * 0.5 / 0.1)
    assert (weights["n"], weights["b"]) == (None, None)
    assert counts["changes"] == {"weighed": 10}
    assert [e.id for e in made] == [e.id for e in hired()]
    assert all(e.messages[0].weight is None for e in made)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz")), min_size=1, max_size=40))
def test_weighted_each_group_has_each_label_as_often(pairs: list[tuple[str, str]]) -> None:
    rows = [row(str(at), "?", label=y, extras={"g": g}) for at, (g, y) in enumerate(pairs)]
    made, _ = reweigh(rows, group="g", most=1e9)
    sums: dict[tuple[str, Any], float] = defaultdict(float)
    for example in made:
        weight = example.messages[1].weight
        sums[example.extras["g"], example.label] += 1.0 if weight is None else weight
    number = Counter(pairs)
    groups, labels = Counter(g for g, _ in pairs), Counter(y for _, y in pairs)
    for cell in number:
        assert sums[cell] == pytest.approx(groups[cell[0]] * labels[cell[1]] / len(pairs))


def test_weights_multiply_those_that_are_there_and_pairs_are_left_alone() -> None:
    rows = hired()[:10]
    pieces = Example(segments=(Segment("She", 0.0), Segment(" applies.", 0.5)), id="s", label="hire")
    turns = (Message("user", "She?"), Message("assistant", "a", 2.0), Message("user", "?"), Message("assistant", "b"))
    pair = Example(chosen=turns[:2], rejected=turns[:2], id="p", label="hire")
    made = {e.id: e for e in reweigh([*rows, pieces, Example(messages=turns, id="t", label="hire"), pair])[0]}
    # 8 women, 4 of them hired; 12 rows, 7 hired
    weight = 8 * 7 / (12 * 4)
    assert [piece.weight for piece in made["s"].segments] == pytest.approx([0, 0.5 * weight])
    assert [turn.weight for turn in made["t"].messages] == [
        None,
        pytest.approx(2 * weight),
        None,
        pytest.approx(weight),
    ]
    assert made["p"] == pair


def test_rare_kinds_are_bounded_and_what_is_missing_is_said() -> None:
    rows = [row(str(at), "?", label="x" if at < 30 else "y", extras={"g": "a" if at in (0, *range(30, 60)) else "b"})
            for at in range(60)]  # fmt: skip
    made, counts = reweigh(rows, group="g", most=2.0)
    assert max(e.messages[1].weight or 1.0 for e in made) == 2.0
    assert counts["remarks"] == [
        "1 pairs of g and label have no row: no weight evens them out",
        "1 pairs of g and label would weigh more than 2",
    ]
    assert reweigh([row("a", "?")])[1]["remarks"] == [
        "no training row has both a gender and a label, so none is weighed"
    ]


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"most": 0.5}, RecipeError, "most is 0.5"),
        ({"group": "gruop"}, DataError, "group: gruop is no column of the training rows; did you mean group"),
        ({"label": "lable"}, DataError, "label: lable is no column of the training rows; did you mean label"),
        ({"category": "x"}, RecipeError, "categories: 'x' is not in the lexicon"),
    ],
)
def test_options_of_reweigh_that_cannot_be_used_are_refused(options: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        reweigh([row("a", "?", extras={"group": "x"})], **options)


def test_balance_takes_a_group_of_the_lexicon() -> None:
    rows = [row(str(at), ("He", "She", "It", "He and she")[0 if at < 6 else at % 4]) for at in range(12)]
    kept, _ = apply_curator("even", Balance("lexicon:gender", 1.0), rows, 3)
    texts = Counter(said(e)[0] for e in kept)
    assert texts["He"] == texts["She"] == min(Counter(said(e)[0] for e in rows)[t] for t in ("He", "She"))
    assert (texts["It"], texts["He and she"]) == (2, 2) or texts["It"] + texts["He and she"] == 3
    with pytest.raises(RecipeError, match="categories: 'gendr' is not in the lexicon"):
        check_curators({"even": Balance("lexicon:gendr")})
