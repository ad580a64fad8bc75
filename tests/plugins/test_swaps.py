"""Swaps of groups: English grammar, names, what is left alone, whole examples, and back again."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith import Example, Message, Segment
from tunesmith_plugins.audits.lexicon import Names, read_lexicon
from tunesmith_plugins.fairness.english import article, is_determiner
from tunesmith_plugins.fairness.names import matched
from tunesmith_plugins.fairness.swaps import Swapper

LEXICON = {category.name: category for category in read_lexicon("Test", None, None)}
GENDER = Swapper(LEXICON["gender"], "female", "male")
LINES = Path(__file__).with_name("swapped_sentences.txt").read_text(encoding="utf-8").splitlines()
SENTENCES = [tuple(line.split(" | ")) for line in LINES if not line.startswith("#")]


def swapped(text: str, category: str = "gender", first: str = "female", second: str = "male", **options: Any) -> Any:
    return Swapper(LEXICON[category], first, second, **options).text(text)


def test_there_are_more_than_a_hundred_sentences() -> None:
    assert len(SENTENCES) == len(set(SENTENCES)) == 119


@pytest.mark.parametrize(("one", "other"), SENTENCES)
def test_sentences_are_swapped_both_ways(one: str, other: str) -> None:
    assert GENDER.text(one) == other
    assert GENDER.text(other) == one


# What rules cannot tell; here so that it is known, and that a better rule is noticed.
@pytest.mark.parametrize(
    ("text", "made"),
    [("A friend of his came.", "A friend of her came."), ("I found her unconscious.", "I found his unconscious.")],
)
def test_known_mistakes(text: str, made: str) -> None:
    assert GENDER.text(text) == made


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("Mrs. Palmer met my mum and a hostess.", "Mr. Palmer met my dad and a host."),
        ("Miss Palmer will miss it.", "Mr Palmer will miss it."),
        ("Yes, ma'am.", "Yes, sir."),
        ("Dame Irma rose.", "Sir Isaac rose."),
    ],
)
def test_words_that_several_become_one_are_swapped_one_way(text: str, made: str) -> None:
    assert GENDER.text(text) == made
    assert GENDER.text(made) != text or text.startswith("Dame")


@pytest.mark.parametrize(
    "text",
    [
        "He or she may bring his or her mother tongue, dear Sir or Madam.",
        "Ladies and gentlemen, Mr. and Mrs. Smith!",
        "The man-made lake and the she-wolf",
        "sheet there other history",
        "See https://she.org/his/her, his@her.org, `her`, #her, {his}, <her>, user.her.name and her_id, her2.",
        '```\nher = his\n``` {"her": 1}',
        "They are nurses.",
        "",
        "St. Louis, Henry Street and Dr James",  # a place, a street, a surname
        "mary and frank words",
        "Jamie and Kelly called.",  # names of both
    ],
)
def test_what_names_no_group_is_left_alone(text: str) -> None:
    assert GENDER.text(text) is None


@pytest.mark.parametrize(
    "text", ["She is pregnant.", "Her Majesty asked her sister.", "His prostate is large.", "Her ovarian cysts"]
)
def test_what_holds_of_one_group_alone_is_not_swapped(text: str) -> None:
    assert GENDER.text(text) is None
    asked = Example(messages=(Message("user", "She came."), Message("assistant", text)), id="a")
    assert GENDER.example(asked) is None


def test_a_name_becomes_the_same_name_everywhere_and_other_names_others() -> None:
    made = GENDER.text("Mary met Patricia. MARY said that Mary's son knows Patricia Smith and Mary Elizabeth Jones.")
    assert made == ("Michael met Paul. MICHAEL said that Michael's daughter knows Paul Smith and Michael Edward Jones.")


def test_surnames_are_left_where_given_names_are_swapped() -> None:
    assert GENDER.text("Henry James and Dr. James met.") == "Hazel James and Dr. James met."
    assert GENDER.text("James came. He met James' wife.") == "Jennifer came. She met Jennifer's husband."


@given(st.lists(st.sampled_from(sorted(GENDER._pairs)), min_size=1, max_size=8))
def test_names_are_exchanged_one_to_one(names: list[str]) -> None:
    pairs = GENDER._pairs
    assert all(pairs[pairs[name]] == name != pairs[name] for name in names)
    assert len({pairs[name] for name in names}) == len(set(names))
    held = LEXICON["gender"].names
    assert held is not None
    assert all({held.group(n, 0.98), held.group(pairs[n], 0.98)} == {"female", "male"} for n in names)


def test_names_are_matched_by_letter_and_then_by_frequency() -> None:
    names = Names("given", ["f", "m"], {"ann": [9, 0], "abe": [0, 5], "bea": [7, 0], "al": [0, 8], "cy": [0, 3]})
    # the two most frequent of each: al and abe; ann goes with al, and bea, of another letter, with abe
    assert matched(names, "f", "m", 0.9) == {"ann": "al", "al": "ann", "bea": "abe", "abe": "bea"}


def test_names_may_be_left_alone() -> None:
    assert swapped("Mary lost her key.", names=False) == "Mary lost his key."


PARTS = st.sampled_from(
    [
        "she lost her red key",
        "he saw him",
        "we told her that it rains",
        "the book is hers",
        "his two sons, an actress and an heir",
        "Ms. Palmer's wives",
        "Mary's aunt",
        "Isaac and Irma",
        "HER MOTHER",
        "`her`",
        "he or she",
        "an uncle",
        "a woman",
    ]
)


@given(st.lists(PARTS, min_size=1, max_size=6), st.sampled_from([". ", "; ", "\n", ", and "]))
def test_a_swap_of_a_swap_is_what_was_there(parts: list[str], between: str) -> None:
    text = between.join(parts) + "."
    made = GENDER.text(text)
    assert made is None or GENDER.text(made) == text


@given(st.text(max_size=60))
def test_any_text_is_read(text: str) -> None:
    assert GENDER.text(text) != text


@pytest.mark.parametrize(
    ("category", "first", "second", "one", "other"),
    [
        (
            "religion", "christian", "jewish",
            "A Christian woman met a Jew. Christians read the Bible; CHRISTIANITY.",
            "A Jewish woman met a Christian. Jews read the Torah; JUDAISM.",
        ),
        ("religion", "christian", "not_religious", "Christians met an atheist.", "Atheists met a Christian."),
        ("origin", "european", "north_american", "An Italian, a German", "A Canadian, an American"),
        ("age", "older", "young", "An old man, a 44-year-old man", "A young man, a 44-year-old man"),
        ("ethnicity", "white", "black", "A white woman saw a white wall.", "A black woman saw a white wall."),
        ("ethnicity", "black", "asian", "Black patients, an African-American", "Asian patients, an Asian-American"),
        ("ethnicity", "black", "white", "Mr Washington met him.", None),
        ("disability", "disabled", "not_disabled", "blind users, a blind trial", "sighted users, a blind trial"),
        ("socioeconomic", "low", "high", "A low-income area, poor families", "A high-income area, rich families"),
    ],
)  # fmt: skip
def test_other_categories_are_swapped_by_their_pairs(
    category: str, first: str, second: str, one: str, other: str | None
) -> None:
    made = swapped(one, category, first, second)
    if other is None:  # by a surname
        assert made is not None
        assert made.endswith("met him.")
        assert swapped(made, category, first, second) == one
    else:
        assert made == other
        assert swapped(other, category, first, second) == one


def test_examples_are_swapped_whole() -> None:
    asked = (Message("user", "Mary lost her key. Who is she?"), Message("assistant", "Mary, a woman.", 0.5))
    row = Example(messages=asked, id="a", label="x", extras={"gold": ["Mary", {"of": "her"}], "note": "her"})
    made = GENDER.example(row, columns=["gold"])
    assert made is not None
    assert [turn.content for turn in made.messages] == ["Michael lost his key. Who is he?", "Michael, a man."]
    assert made.messages[1].weight == 0.5
    assert (made.id, made.label) == ("a", "x")
    assert made.extras == {"gold": ["Michael", {"of": "him"}], "note": "her"}
    assert GENDER.example(made, columns=["gold"]) == row
    assert GENDER.example(Example(messages=(Message("user", "It rains."),), id="b", extras={"gold": "she"})) is None


def test_pairs_stay_pairs_and_pieces_are_read_as_one_text() -> None:
    first = Message("user", "She?")
    pair = Example(chosen=(first, Message("assistant", "her")), rejected=(first, Message("assistant", "it")), id="p")
    made = GENDER.example(pair)
    assert made is not None
    assert made.chosen[0] == made.rejected[0] == Message("user", "He?")
    pieces = Example(segments=(Segment("I saw her", 0.0), Segment(" book. A"), Segment("n actress")), id="s")
    found = GENDER.example(pieces)
    assert found is not None
    assert [piece.text for piece in found.segments] == ["I saw his", " book. A", "n actor"]
    assert [piece.weight for piece in found.segments] == [0.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("word", "said"),
    [("actor", "an"), ("heir", "an"), ("hero", "a"), ("uncle", "an"), ("European", "a"), ("union", "a"), ("old", "an"),
     ("unemployed", "an"), ("one", "a"), ("Ukrainian", "a"), ("Ugandan", "a"), ("upper-class", "an"), ("user", "a"),
     ("honest", "an"), ("youth", "a"), ("Italian", "an"), ("hour", "an"), ("uninsured", "an")],
)  # fmt: skip
def test_articles(word: str, said: str) -> None:
    assert article(word) == said


def test_the_word_behind_her_decides() -> None:
    for text, is_one in [("her book", True), ("her", False), ("her, book", False), ("her the book", False)]:
        assert is_determiner(text, 0, 3) is is_one
