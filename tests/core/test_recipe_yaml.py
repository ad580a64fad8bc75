"""Reading YAML that nobody vouches for."""

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from jsonargparse import get_loader

from tunesmith.errors import RecipeError
from tunesmith.recipe.read_yaml import RecipeLoader, read_tree
from tunesmith.recipe.tree import Leaf, Map, Mark, plain
from tunesmith.recipe.write_yaml import write_yaml

MARK = Mark("r.yaml", Path("/recipes"))


def refusal(text: str) -> str:
    with pytest.raises(RecipeError) as caught:
        read_tree(text, MARK)
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        *("2e-4", "2.0e-4", "1e3", ".5", "1.", "1.e-3", "-1e-5", ".inf", ".nan"),
        *("-3", "+2", "0x1f", "0o17", "017", "1_000", "12:30"),
        *("yes", "no", "on", "off", "true", "null", "~", "2024-01-31", "a:b", "x"),
    ],
)
def test_scalars_mean_what_they_mean_to_jsonargparse(text: str) -> None:
    value, theirs = plain(read_tree(text, MARK)), get_loader("yaml")(text)
    assert (type(value), repr(value)) == (type(theirs), repr(theirs))


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**12), 10**12))
def test_numbers_as_python_prints_them_stay_numbers(number: float) -> None:
    assert plain(read_tree(repr(number), MARK)) == number


def test_a_rate_without_a_dot_is_a_number() -> None:
    assert plain(read_tree("lr: 2e-4", MARK)) == {"lr": 2e-4}


def test_maps_and_leaves_know_their_lines() -> None:
    tree = read_tree("a: 1\nb:\n  c: 2\n", MARK)
    assert isinstance(tree, Map)
    inner = tree.entries["b"]
    assert isinstance(inner, Map)
    assert inner.entries["c"].mark.line == 3
    assert str(tree.entries["a"].mark) == "r.yaml:1"


def test_keys_are_text_even_where_yaml_sees_something_else() -> None:
    assert plain(read_tree("{on: 1, 3: 2, null: 3}", MARK)) == {"on": 1, "3": 2, "null": 3}


def test_a_key_given_twice_is_refused_with_both_lines() -> None:
    assert refusal("model:\n  base: a\n  adapter: x\n  base: b\n") == (
        "r.yaml:4: base is given twice, first in line 2; keep one"
    )


def test_a_key_given_twice_within_a_list_is_refused() -> None:
    assert "given twice" in refusal("a:\n  - {x: 1, x: 2}\n")


def test_aliases_and_merge_keys_are_read() -> None:
    text = "base: &b {rank: 8, alpha: 16}\none: *b\ntwo: {<<: *b, rank: 4}\nthree: {<<: [{x: 1}, *b]}"
    tree = plain(read_tree(text, MARK))
    assert tree["one"] == {"rank": 8, "alpha": 16}
    assert tree["two"] == {"rank": 4, "alpha": 16}
    assert tree["three"] == {"x": 1, "rank": 8, "alpha": 16}


def test_an_alias_bomb_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    assert "aliases make it too large" in refusal("\n".join(lines))


def test_an_alias_bomb_of_maps_is_refused() -> None:
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{i}: &a{i} {{{', '.join(f'k{k}: *a{i - 1}' for k in range(9))}}}" for i in range(1, 12)]
    assert "aliases make it too large" in refusal("\n".join(lines))


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a {b: *a}", "a: &a {<<: *a, b: 1}"])
def test_an_alias_to_itself_is_refused(text: str) -> None:
    assert "aliases make it too large" in refusal(text)


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 50_000, "- " * 5000 + "x", "a: " + "[" * 60 + "]" * 60])
def test_nesting_without_end_is_refused_before_anything_recurses(text: str) -> None:
    # some versions of libyaml have a limit of their own
    assert re.search("nested deeper than 40|exceeded maximum nesting depth", refusal(text))


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:os.system [ls]",
        "!!python/name:os.system x",
        "!thing 1",
        "!!binary aGk=",
        "!!timestamp 2024-01-01",
    ],
)
def test_tags_are_refused(tag: str) -> None:
    assert "r.yaml:2: the tag" in refusal(f"a: 1\nb: {tag}\n")


@pytest.mark.parametrize("text", ["a: [1, 2", "a: b: c", "a: *nowhere", "a: 1\n---\nb: 2\n", "\ta: 1", "a: \x01"])
def test_what_is_not_yaml_is_refused_in_one_line(text: str) -> None:
    message = refusal(text)
    assert message.startswith("r.yaml")
    assert "this is not YAML" in message
    assert "\n" not in message


def test_a_map_as_a_key_is_refused() -> None:
    assert "a key is text" in refusal("{[1]: 2}")


def test_a_number_that_python_cannot_read_is_refused() -> None:
    assert "cannot be read" in refusal(f"a: {'9' * 6000}")


def test_an_empty_document_is_a_leaf_of_none() -> None:
    assert read_tree("# nothing\n", MARK) == Leaf(None, MARK)


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
# YAML has no keys of more than 1,024 characters on a line; an escape takes ten
KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=100)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=5,
)


@given(PLAIN)
@example({"a": "\U0001f600 \x85\u2028\ufeff\x7f \\ud83d\\ude00 \\ 1e5"})
def test_what_is_written_means_the_same_to_all_readers(value: object) -> None:
    written = write_yaml({"a": value})
    assert get_loader("yaml")(written) == {"a": value}
    assert yaml.load(written, Loader=RecipeLoader) == {"a": value}
