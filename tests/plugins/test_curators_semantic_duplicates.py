"""SemanticDuplicates: of those that say the same in other words the first stays; numbers and labels keep rows apart."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunesmith import Example, Message, Origin, RecipeError, Segment
from tunesmith.data.curate import apply_curator, check_curators
from tunesmith_plugins.curators.semantic_duplicates import SemanticDuplicates

Static = Callable[[Mapping[str, Sequence[float]]], Path]
# two words for each thing, at a cosine of 0.99 or so
WORDS = {
    "refund": (1.0, 0.0, 0.0, 0.0),
    "repayment": (1.0, 0.1, 0.0, 0.0),
    "parcel": (0.0, 1.0, 0.0, 0.0),
    "package": (0.0, 1.0, 0.1, 0.0),
    "invoice": (0.0, 0.0, 1.0, 0.0),
    "bill": (0.1, 0.0, 1.0, 0.0),
    "yes": (0.0, 0.0, 0.0, 1.0),
}


@pytest.fixture
def model(static_model: Static) -> Path:
    return static_model(WORDS)


def talk(prompt: str, answer: str, **more: Any) -> Example:
    return Example(messages=(Message("user", prompt), Message("assistant", answer)), **more)


def kept(model: Path, *examples: Example, **options: Any) -> list[int]:
    named = [
        example.with_(id=str(at), origin=Origin("mail", "mail.jsonl", at + 1)) for at, example in enumerate(examples)
    ]
    curator = SemanticDuplicates(model, **options)
    check_curators({"same": curator})
    left, counts = apply_curator("same", curator, named, 0)
    dropped = len(named) - len(left)
    assert counts["drops"] == ({"semantic duplicate": dropped} if dropped else {})
    return [int(example.id) for example in left]


def test_the_first_of_those_that_mean_the_same_stays(model: Path) -> None:
    examples = [
        talk("parcel", "refund"),
        talk("package", "repayment"),
        talk("package", "invoice"),
        talk("refund", "repayment"),
        talk("PARCEL parcel", "bill"),
        talk("repayment", "refund"),
    ]
    assert kept(model, *examples) == [0, 2, 3]
    assert kept(model, *examples[::-1]) == [0, 1, 4]
    assert kept(model, *examples, threshold=0.999) == [0, 1, 2, 3, 4, 5]


def test_both_sides_have_to_be_alike(model: Path) -> None:
    assert kept(model, talk("parcel", "yes"), talk("parcel", "refund"), talk("invoice", "yes")) == [0, 1, 2]


def test_numbers_labels_and_tools_keep_rows_apart(model: Path) -> None:
    assert kept(model, talk("refund 5", "yes"), talk("refund 50", "yes"), talk("repayment 5", "yes")) == [0, 1]
    assert kept(model, talk("refund", "yes 1 2"), talk("refund", "yes 2 1"), talk("refund", "yes")) == [0, 1, 2]
    labelled = [Example(segments=(Segment(text),), label=name) for text, name in (("bill", "a"), ("bill", "b"))]
    assert kept(model, *labelled, labelled[0].with_(segments=(Segment("invoice"),))) == [0, 1]
    tools = talk("refund", "yes", tools=({"name": "find"},))
    assert kept(model, talk("refund", "yes"), tools, tools) == [0, 1]


def test_system_turns_are_not_compared(model: Path) -> None:
    system = Message("system", "invoice")
    plain = talk("refund", "yes")
    assert kept(model, plain, plain.with_(messages=(system, *plain.messages))) == [0]


def test_texts_that_the_model_does_not_know_are_like_their_equals_alone(model: Path) -> None:
    examples = [talk("zorvik", "yes"), talk("palunte", "yes"), talk("Zorvik ", "yes"), talk("", "yes"), talk("", "yes")]
    assert kept(model, *examples) == [0, 1, 3]
    assert kept(model, talk("zorvik", "trelsk"), talk("zorvik", "trelsk"), talk("zorvik", "brem")) == [0, 2]


def test_chains_are_not_followed(static_model: Static) -> None:
    angles = {"north": 0.0, "middle": 0.3, "east": 0.6}
    model = static_model({name: (np.cos(angle), np.sin(angle)) for name, angle in angles.items()})
    north, middle, east = (talk(name, name) for name in angles)
    assert kept(model, north, middle, east, threshold=0.9) == [0, 2]
    assert kept(model, middle, north, east, threshold=0.9) == [0]


def test_the_list_begins_with_the_least_alike_and_holds_no_text(model: Path, tmp_path: Path) -> None:
    examples = [talk("parcel", "refund"), talk("parcel", "refund"), talk("package", "repayment"), talk("bill", "yes")]
    ranked = tmp_path / "to look at" / "same.jsonl"
    assert kept(model, *examples, action="keep", ranked=ranked) == [0, 1, 2, 3]
    lines = [json.loads(line) for line in ranked.read_text().splitlines()]
    assert [line["id"] for line in lines] == ["2", "1"]
    cosine = 1 / 1.01**0.5
    assert lines[0] == {
        "by": "SemanticDuplicates",
        "id": "2",
        "origin": "mail.jsonl:3",
        "like": "0",
        "origin of like": "mail.jsonl:1",
        "cosine": pytest.approx(cosine, abs=1e-3),
    }
    assert lines[1]["cosine"] == 1.0
    assert kept(model, *examples, ranked=ranked) == [0, 3]
    assert len(ranked.read_text().splitlines()) == 2
    ranked.write_text("id,text\n")
    with pytest.raises(RecipeError, match="which SemanticDuplicates has not written"):
        SemanticDuplicates(model, ranked=ranked).check()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([*WORDS, "zorvik", "7"]), st.sampled_from([*WORDS, ""])), max_size=30))
def test_whatever_goes_is_like_one_that_stays_and_no_two_that_stay_are_alike(
    model: Path, texts: list[tuple[str, str]]
) -> None:
    def same(one: str, other: str) -> bool:
        if one not in WORDS or other not in WORDS:
            return one == other
        first, second = np.array(WORDS[one]), np.array(WORDS[other])
        return bool(first @ second / np.linalg.norm(first) / np.linalg.norm(second) >= 0.9)

    def alike(one: int, other: int) -> bool:
        return all(same(*pair) for pair in zip(texts[one], texts[other], strict=True))

    stay = kept(model, *(talk(*pair) for pair in texts), threshold=0.9)
    for at in range(len(texts)):
        assert any(alike(at, one) for one in stay if one < at) != (at in stay)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"threshold": 0.0}, r"^data\.curators\.same\.threshold is 0\.0; it lies above 0 and is at most 1$"),
        ({"threshold": 1.5}, r"^data\.curators\.same\.threshold is 1\.5; "),
        ({"action": "keep"}, r"^data\.curators\.same\.action is keep, and ranked names no file"),
    ],
)
def test_options_that_cannot_be_are_refused(model: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        check_curators({"same": SemanticDuplicates(model, **options)})


def test_a_folder_without_a_model_is_refused_before_rows_are_read(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"^data\.curators\.same\.model is .*, which is no folder; name a folder"):
        check_curators({"same": SemanticDuplicates(tmp_path / "none")})


def test_a_transformer_finds_rows_of_the_same_words(bert_model: Callable[[Sequence[str]], Path]) -> None:
    model = bert_model(["refund", "parcel", "late"])
    examples = [talk("refund", "parcel"), talk("parcel late", "refund"), talk("Refund", "PARCEL")]
    assert kept(model, *examples, threshold=1.0) == [0, 1]
