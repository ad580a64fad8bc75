"""Run directories: which one a verb takes, and what it says when there is none."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.cli.runs import Run, chosen_run, differences, digest, find_run, method, new_run, write_json
from tunesmith.errors import RecipeError

CONFIG: dict[str, Any] = {
    "seed_everything": 1,
    "model": {"base": "x"},
    "data": {"batch_size": 8},
    "trainer": {"max_epochs": 1},
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TUNESMITH_RUN_DIRECTORY", raising=False)
    monkeypatch.delenv("LOCAL_RANK", raising=False)


def finished(root: Path, config: dict[str, Any], complete: bool = True) -> Run:
    run = new_run(root, "r")
    write_json(run.path / "lock.json", {"fingerprint": digest(method(config)), "method": method(config)})
    if complete:
        write_json(run.path / "result.json", {"complete": True})
    return run


def test_the_newest_complete_run_of_the_same_method_is_taken(tmp_path: Path) -> None:
    finished(tmp_path, CONFIG)
    newer = finished(tmp_path, CONFIG)
    finished(tmp_path, CONFIG, complete=False)
    finished(tmp_path, {**CONFIG, "seed_everything": 2})
    assert find_run(tmp_path, "r", CONFIG).path == newer.path


def test_evaluators_thresholds_and_progress_bars_do_not_change_the_run(tmp_path: Path) -> None:
    run = finished(tmp_path, CONFIG)
    watched = {**CONFIG, "success": {"a/b": 1}, "trainer": {"max_epochs": 1, "enable_progress_bar": False}}
    assert find_run(tmp_path, "r", watched).path == run.path


def test_without_a_match_the_nearest_run_and_the_first_differing_key_are_named(tmp_path: Path) -> None:
    run = finished(tmp_path, CONFIG)
    with pytest.raises(RecipeError, match=r"model\.base was x there and is y now") as caught:
        find_run(tmp_path, "r", {**CONFIG, "model": {"base": "y"}})
    assert str(run.path) in str(caught.value)


def test_without_any_run_the_way_to_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="train it first"):
        find_run(tmp_path, "r", CONFIG)


def test_a_chosen_directory_must_be_a_run(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="not a run directory"):
        chosen_run(str(tmp_path))


def test_two_runs_in_the_same_second_get_two_directories(tmp_path: Path) -> None:
    assert len({new_run(tmp_path, "r").path for _ in range(3)}) == 3


def test_ranks_that_were_started_by_a_run_use_its_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = new_run(tmp_path, "r")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert new_run(tmp_path, "r").path == run.path.absolute()


NESTED = st.recursive(
    st.integers(0, 3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, min_size=1, max_size=3),
    max_leaves=8,
)


@given(NESTED, NESTED)
def test_differences_are_none_exactly_when_equal(one: Any, other: Any) -> None:
    assert (list(differences(one, other)) == []) == (one == other)


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})


def test_what_is_said_about_a_source_does_not_change_the_run() -> None:
    one = {"data": {"sources": {"a": {"path": "x", "about": "old words"}}}}
    new = {"about": "new words", "licence": "CC0", "approved_by": "the board"}
    assert method(one) == method({"data": {"sources": {"a": {"path": "x", **new}}}})
    assert method(one) != method({"data": {"sources": {"a": {"path": "y", "about": "old words"}}}})
