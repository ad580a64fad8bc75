"""How later files change earlier ones."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.recipe.merge import merge, same_class
from tunesmith.recipe.tree import Leaf, Map, Mark, Tree, plain, removed

MARK = Mark("r.yaml", Path("/recipes"))
ROUGE = {"class_path": "ROUGE", "init_args": {"stem": True, "words": 3}}

KEYS = st.sampled_from(["a", "b", "c"])
DATA = st.dictionaries(
    KEYS,
    st.recursive(
        st.integers() | st.lists(st.integers(), max_size=2) | st.none(),
        lambda inner: st.dictionaries(KEYS, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=3,
)


def tree(value: Any) -> Tree:
    if isinstance(value, dict):
        return Map({k: tree(v) for k, v in value.items()}, MARK)
    return Leaf(value, MARK)


def merged(below: Any, above: Any) -> Any:
    return plain(merge(tree(below), tree(above)))


def reference(below: Any, above: Any) -> Any:
    """Plain maps only: key by key, everything else replaced."""
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return {
        k: reference(below[k], above[k]) if k in below and k in above else {**below, **above}[k]
        for k in {**below, **above}
    }


def without_none(value: Any) -> Any:
    return {k: without_none(v) for k, v in value.items() if v is not None} if isinstance(value, dict) else value


@given(DATA, DATA)
def test_plain_maps_merge_key_by_key_and_null_removes(below: Any, above: Any) -> None:
    assert merged(below, above) == without_none(reference(below, above))


@given(DATA)
def test_nothing_changes_nothing(data: Any) -> None:
    assert merged(data, {}) == without_none(data)
    assert merged(data, data) == without_none(data)


def test_what_null_removed_is_known() -> None:
    assert removed(tree({"a": None, "b": {"c": None, "d": 1}})) == {("a",), ("b", "c")}


def test_lists_are_replaced() -> None:
    assert merged({"a": [1, 2, 3]}, {"a": [4]}) == {"a": [4]}


def test_one_source_more_keeps_the_others() -> None:
    assert merged({"sources": {"x": {"path": "1"}}}, {"sources": {"y": {"path": "2"}}}) == {
        "sources": {"x": {"path": "1"}, "y": {"path": "2"}}
    }


@pytest.mark.parametrize("options", [{"stem": True}, {"init_args": {"stem": True}}])
def test_options_over_a_name_become_its_options(options: Any) -> None:
    assert merged({"r": "ROUGE"}, {"r": options}) == {"r": {"class_path": "ROUGE", "init_args": {"stem": True}}}


@pytest.mark.parametrize("options", [{"stem": False}, {"init_args": {"stem": False}}])
def test_options_over_a_class_change_its_options(options: Any) -> None:
    assert merged({"r": ROUGE}, {"r": options}) == {
        "r": {"class_path": "ROUGE", "init_args": {"stem": False, "words": 3}}
    }


def test_another_class_drops_the_options_of_the_former() -> None:
    assert merged({"r": ROUGE}, {"r": "ExactMatch"}) == {"r": "ExactMatch"}
    other = {"class_path": "ExactMatch", "init_args": {"ignore_case": True}}
    assert merged({"r": ROUGE}, {"r": other}) == {"r": other}


@pytest.mark.parametrize("name", ["ROUGE", "acme.metrics.ROUGE"])
def test_the_same_class_keeps_its_options(name: str) -> None:
    assert merged({"r": ROUGE}, {"r": name}) == {"r": {**ROUGE, "class_path": name}}
    assert merged({"r": ROUGE}, {"r": {"class_path": name, "init_args": {"words": 5}}}) == {
        "r": {"class_path": name, "init_args": {"stem": True, "words": 5}}
    }


def test_two_dotted_names_are_two_classes() -> None:
    assert not same_class("a.ROUGE", "b.ROUGE")
    assert same_class("a.ROUGE", "ROUGE")
    assert not same_class("GE", "ROUGE")


def test_null_removes_an_option_and_a_class() -> None:
    assert merged({"r": ROUGE}, {"r": {"stem": None}}) == {"r": {"class_path": "ROUGE", "init_args": {"words": 3}}}
    assert merged({"m": {"r": ROUGE, "s": "X"}}, {"m": {"r": None}}) == {"m": {"s": "X"}}


def test_an_option_beside_class_path_is_left_there_to_be_refused() -> None:
    wrong = {"class_path": "ROUGE", "stem": True}
    assert merged({"r": "ROUGE"}, {"r": wrong}) == {"r": wrong}


def test_a_text_that_names_no_class_gives_way_to_a_map() -> None:
    assert merged({"a": "some text, no name"}, {"a": {"x": 1}}) == {"a": {"x": 1}}


def test_trees_are_not_changed_by_merging() -> None:
    below, above = tree({"r": ROUGE}), tree({"r": {"stem": False}})
    merge(below, above)
    assert (plain(below), plain(above)) == ({"r": ROUGE}, {"r": {"stem": False}})
