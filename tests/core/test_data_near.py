"""Near-duplicates: found wherever signatures agree over the threshold, and nowhere else."""

import random
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith import Example, Message, NearDuplicateIndex, RecipeError, Segment, ngram_hashes, normal_text
from tunesmith.data.near_keys import POSITIONS, lookups, needed
from tunesmith.data.near_sign import sign
from tunesmith.data.words import hashed_words

LONG = "the patient came in with a cough that had lasted for three weeks and would not go away by itself"


def talk(prompt: str, answer: str, **more: object) -> Example:
    return Example(messages=(Message("user", prompt), Message("assistant", answer)), **more)  # type: ignore[arg-type]


def text(*pieces: Segment | str) -> Example:
    return Example(segments=tuple(p if isinstance(p, Segment) else Segment(p) for p in pieces))


def index(*examples: Example, threshold: float = 0.8, prompts_only: bool = False) -> NearDuplicateIndex:
    made = NearDuplicateIndex(threshold, prompts_only)
    for example in examples:
        made.add(example)
    return made


def alike(one: Example, other: Example, threshold: float = 0.8, prompts_only: bool = False) -> bool:
    return index(one, other, threshold=threshold, prompts_only=prompts_only).first_alike() == [-1, 0]


def random_text(draw: random.Random, words: int) -> str:
    return " ".join(f"w{draw.randrange(10**6)}" for _ in range(words))


def changed(draw: random.Random, said: str, words: int) -> str:
    told = said.split()
    for _ in range(words):
        told[draw.randrange(len(told))] = f"v{draw.randrange(10**6)}"
    return " ".join(told)


def jaccard(one: str, other: str) -> float:
    first, second = ({tuple(w[i : i + 3]) for i in range(len(w) - 2)} for w in (one.split(), other.split()))
    return len(first & second) / len(first | second)


def pairs(examples: list[Example], threshold: float) -> set[tuple[int, int]]:
    """All pairs of examples with two long texts that resemble each other, each compared with each."""
    values = sign([("", *(turn.content for turn in example.messages)) for example in examples]).values
    halves = (values[:, None] == values[None]).reshape(len(values), len(values), 2, POSITIONS // 2).sum(axis=-1)
    both = (halves >= threshold * (POSITIONS // 2) - 1e-9).all(axis=-1)
    return {(i, j) for i, j in combinations(range(len(examples)), 2) if both[i, j]}


def family(seed: int, count: int) -> list[Example]:
    """Texts, some of them changed copies of others: a little, much, and copies of copies."""
    draw = random.Random(seed)
    made: list[tuple[str, str]] = []
    for _ in range(count):
        asked, said = random_text(draw, 40), random_text(draw, 30)
        if made and draw.random() < 0.8:
            asked, said = draw.choice(made)
            asked = changed(draw, asked, draw.choice([0, 0, 1, 2, 4]))
            said = changed(draw, said, draw.choice([0, 0, 1, 2]))
        made.append((asked, said))
    return [talk(*pair) for pair in made]


@given(st.sampled_from([0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.99, 1.0]), st.randoms(use_true_random=False))
@settings(max_examples=300)
def test_signatures_over_the_threshold_agree_in_all_positions_of_some_lookup(t: float, draw: random.Random) -> None:
    differ = set(draw.sample(range(POSITIONS), POSITIONS - needed(t, POSITIONS)))
    assert any(differ.isdisjoint(positions) for positions in lookups(t))
    assert 1 <= len(lookups(t)) <= 128


def test_the_default_threshold_is_looked_up_by_pairs_of_bands_of_both_halves() -> None:
    assert len(lookups(0.8)) == 70
    assert {len(set(positions)) for positions in lookups(0.8)} == {8}
    for positions in lookups(0.8):
        assert sum(position < POSITIONS // 2 for position in positions) == 4


@given(st.integers(0, 10**6), st.integers(2, 40), st.sampled_from([0.6, 0.7, 0.8, 0.9]))
@settings(max_examples=40)
def test_the_first_alike_is_the_first_of_all_pairs(seed: int, count: int, threshold: float) -> None:
    examples = family(seed, count)
    similar = pairs(examples, threshold)
    expected = [next((j for j in range(i) if (j, i) in similar), -1) for i in range(count)]
    assert index(*examples, threshold=threshold).first_alike() == expected


@given(st.integers(0, 10**6), st.integers(2, 40), st.randoms(use_true_random=False), st.booleans())
@settings(max_examples=40)
def test_what_repeats_nothing_is_unlike_all_else_that_does_not_and_the_rest_is_like_one_before_it(
    seed: int, count: int, draw: random.Random, coloured: bool
) -> None:
    examples = family(seed, count)
    similar = pairs(examples, 0.8)
    order = draw.sample(range(count), count)
    across = [draw.randrange(2) for _ in range(count)] if coloured else list(range(count))
    found = index(*examples).repeats(order, across if coloured else None)
    stay = [number for number in order if not found[number]]
    for one, other in combinations(stay, 2):
        assert across[one] == across[other] or (min(one, other), max(one, other)) not in similar
    for number in set(order) - set(stay):
        before = [other for other in stay if order.index(other) < order.index(number)]
        assert any(across[o] != across[number] and (min(o, number), max(o, number)) in similar for o in before)


def test_recall_and_precision_against_the_exact_similarity() -> None:
    """What the docstring says of pairs by their similarity: 128 throws that each hit with probability J."""
    draw = random.Random(0)
    examples: list[Example] = []
    names: list[str] = []
    for _ in range(900):
        one = random_text(draw, 120)
        cut = draw.choice([2, 5, 12, 13, 14, 30])
        other = " ".join([*one.split()[:-cut], *random_text(draw, cut).split()])
        j = jaccard(one, other)
        names.append("below 0.7" if j < 0.7 else "over 0.9" if j > 0.9 else "0.79 to 0.81" if 0.79 < j < 0.81 else "")
        examples += [text(one), text(other)]
    hits = [first >= 0 for first in index(*examples).first_alike([at // 2 for at in range(len(examples))])[1::2]]
    found = {name: [hit for hit, its in zip(hits, names, strict=True) if its == name] for name in set(names) - {""}}
    assert min(map(len, found.values())) > 120
    share = {name: sum(its) / len(its) for name, its in found.items()}
    assert share["over 0.9"] > 0.99
    assert 0.35 < share["0.79 to 0.81"] < 0.65
    assert share["below 0.7"] < 0.01


def test_the_estimate_strays_no_more_than_throws_do() -> None:
    draw = random.Random(1)
    estimates, true = [], []
    for _ in range(300):
        one = random_text(draw, 100)
        other = " ".join([*one.split()[:-11], *random_text(draw, 11).split()])
        signed = sign([("", one), ("", other)])
        estimates.append(float((signed.values[0] == signed.values[1]).mean()))
        true.append(jaccard(one, other))
    assert true[0] == pytest.approx(0.8, abs=0.005)
    mean = sum(estimates) / 300
    assert mean == pytest.approx(0.8, abs=0.01)
    assert (sum((e - mean) ** 2 for e in estimates) / 300) ** 0.5 == pytest.approx(0.035, abs=0.006)


def test_signatures_are_the_same_in_every_version() -> None:
    """Rows would move between splits otherwise."""
    signed = sign([("", LONG), ("warm", "ask", LONG), ("", LONG, f"{LONG} あ")])
    assert signed.values[:, ::16].tolist() == GOLDEN_VALUES
    assert [int(number) for number in signed.exact] == GOLDEN_EXACT


def test_answers_are_compared_apart_from_a_long_prompt() -> None:
    assert alike(talk(LONG * 5, "yes"), talk(LONG * 5, "Yes "))
    assert not alike(talk(LONG * 5, "yes"), talk(LONG * 5, "no"))
    assert not alike(talk(LONG * 5, "it is the lamp in the hall"), talk(LONG * 5, "it is the lamp in the mill"))
    assert alike(talk(LONG * 5, "yes"), talk(LONG * 5, "no"), prompts_only=True)
    # a long answer that all prompts share says nothing of them either
    assert not alike(talk("why so", LONG), talk("who then", LONG))
    assert alike(talk("why so", LONG), talk("Why  so", f"{LONG} then"))


def test_labels_and_tools_have_to_be_equal() -> None:
    tool = {"type": "function", "function": {"name": "find"}}
    assert alike(talk(LONG, "a", label="warm"), talk(LONG, "a", label="warm"))
    assert not alike(talk(LONG, "a", label="warm"), talk(LONG, "a", label="cold"))
    assert not alike(talk(LONG, "a", label=1), talk(LONG, "a"))
    assert not alike(talk(LONG, "a", tools=(tool,)), talk(LONG, "a"))
    assert alike(talk(LONG, "a", label="warm"), talk(LONG, "a", label="cold"), prompts_only=True)


def test_system_turns_are_not_compared_and_other_turns_are() -> None:
    turns = talk(LONG, "a").messages
    assert alike(Example(messages=(Message("system", "be short"), *turns)), Example(messages=turns))
    more = (*turns, Message("user", "and then, what came of it in the end, do you still know that now?"))
    assert not alike(Example(messages=(*more, turns[1])), Example(messages=turns))


def test_pairs_and_template_free_texts_and_tool_calls() -> None:
    def pair(better: str, worse: str) -> Example:
        asked = Message("user", LONG)
        return Example(chosen=(asked, Message("assistant", better)), rejected=(asked, Message("assistant", worse)))

    def call(name: str) -> Example:
        turn = Message("assistant", "", fields={"tool_calls": [{"function": {"name": name}}]})
        return Example(messages=(Message("user", LONG), turn))

    assert alike(pair("a", "b"), pair("A", "b"))
    assert not alike(pair("a", "b"), pair("a", "c"))
    assert alike(text(LONG), text(LONG[:40], LONG[40:]))
    assert not alike(text(Segment(LONG, 0.0), "yes"), text(Segment(LONG, 0.0), "no"))
    assert alike(call("find"), call("find"))
    assert not alike(call("find"), call("drop"))


@pytest.mark.parametrize("said", ["", " ", "a", "?!", "one two three four five six seven eight nine ten", "日本語の文"])
def test_short_texts_resemble_their_equals_only(said: str) -> None:
    assert alike(text(said), text(f" {said.upper()}\n"))
    assert not alike(text(said), text(f"{said} x"))
    assert not alike(text(said), text(LONG))


def test_case_space_and_punctuation_make_no_difference_to_a_long_text() -> None:
    other = LONG.upper().replace(" with ", ",\n\nwith ").replace("weeks", "“weeks”") + "!!!"
    assert alike(text(LONG), text(other), threshold=1.0)
    assert not alike(text(LONG), text(LONG.replace("cough", "fever")), threshold=1.0)


def test_scripts_without_spaces_are_compared_by_characters() -> None:
    said = "患者は三週間続く咳で来院した。咳は自然に治まらず、夜間に悪化すると訴えている。喫煙歴はない。" * 2
    assert alike(text(said), text(said.replace("喫煙歴", "喫煙の歴")))
    assert not alike(text(said), text(said[::-1]))
    words, counts = hashed_words(["咳は x1", "नमस्ते दुनिया", "ไทย", ""])
    assert counts.tolist() == [3, 2, 3, 0]
    assert len(set(words.tolist())) == 8


def test_only_the_first_of_a_chain_takes_the_next() -> None:
    """B is like A, and C like B but not like A: C stays, since nothing that stays resembles it."""
    words = [f"w{i}" for i in range(100)]
    chain = [text(" ".join(words[start : start + 60])) for start in range(0, 28, 7)]
    threshold = 0.7
    assert all(alike(one, other, threshold) for one, other in pairwise(chain))
    assert not alike(chain[0], chain[2], threshold)
    assert index(*chain, threshold=threshold).repeats() == [False, True, False, True]
    assert index(*chain, threshold=threshold).repeats([1, 0, 2, 3]) == [True, False, True, False]


def test_many_copies_of_one_example_cost_no_square() -> None:
    examples = [talk(LONG, "yes")] * 30_000
    made = index(*examples, talk(f"{LONG} now", "yes"))
    assert made.first_alike() == [-1] + [0] * 30_000
    assert made.repeats() == [False] + [True] * 30_000
    assert made.repeats(across=[0] * 30_000 + [1]) == [False] * 30_000 + [True]


def test_examples_are_compared_within_their_group_alone() -> None:
    made = index(talk(LONG, "a"), talk(LONG, "a"), talk(f"{LONG} x", "a"), talk(f"{LONG} x", "a"))
    assert made.first_alike() == [-1, 0, 0, 0]
    assert made.first_alike([0, 1, 0, 1]) == [-1, -1, 0, 1]


def test_a_selection_is_numbered_anew_and_can_be_added_to() -> None:
    made = index(talk("a", "x"), talk("b", "x"), talk("a", "x"), talk(LONG, "x"))
    chosen = made.select([3, 2])
    chosen.add(talk("a", "X"))
    assert len(chosen) == 3
    assert chosen.first_alike() == [-1, -1, 1]
    assert made.first_alike() == [-1, -1, 0, -1]
    assert made.select([]).first_alike() == []


@pytest.mark.parametrize("threshold", [0.49, 1.01, float("nan"), -1])
def test_a_threshold_that_is_none_is_refused(threshold: float) -> None:
    with pytest.raises(RecipeError, match=r"it lies between 0\.5 and 1"):
        NearDuplicateIndex(threshold)


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=40), max_size=6), st.integers(1, 5))
@settings(max_examples=30)
def test_runs_of_words_are_those_of_each_text_alone(texts: list[str], n: int) -> None:
    together = [found.tolist() for found in ngram_hashes(texts, n)]
    assert together == [next(ngram_hashes([said], n)).tolist() for said in texts]


@given(st.lists(st.sampled_from(["a", "b", "ab", "ba", "c1"]), max_size=30), st.integers(1, 4))
@settings(max_examples=40)
def test_runs_of_words_are_equal_where_the_words_are(words: list[str], n: int) -> None:
    (found,) = ngram_hashes([" ".join(words)], n)
    runs = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    assert len(found) == len(runs)
    assert len(set(found.tolist())) == len(set(runs))
    assert dict(zip(runs, found.tolist(), strict=True)) == dict(reversed([*zip(runs, found.tolist(), strict=True)]))


def test_normal_text_is_without_case_and_width_and_runs_of_space() -> None:
    assert normal_text(" \ufb01ne\t\uff211\n ß ") == "fine a1 ss"
    assert normal_text("A  b\x1f") == "a b"


GOLDEN_VALUES = [
    [161, 150, 167, 88, 227, 18, 25, 218],
    [161, 150, 167, 88, 227, 18, 25, 218],
    [161, 150, 167, 88, 227, 18, 114, 218],
]
GOLDEN_EXACT = [11015787099082932872, 17635351887923794021, 16811591955155819178]
