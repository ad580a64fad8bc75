"""Patterns of files: what `glob` finds, in order, and not without end."""

import glob
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.data import first_rows
from tunesmith.data.matching import EndlessPatternError, matching

names = st.sampled_from(["a", "b", "ab", ".a", "a.b", "[a]", "b*"])
parts = st.sampled_from(["**", "*", "a*", "?", ".*", "[ab]", "[!a]*", "[[]a]", "a", "..", "*b", "b*", "**b", ".a"])


@settings(max_examples=300)
@given(
    files=st.lists(st.lists(names, min_size=1, max_size=4), max_size=12),
    links=st.lists(st.tuples(names, names), max_size=2),
    pattern=st.lists(parts, min_size=1, max_size=4),
    absolute=st.booleans(),
)
def test_what_glob_finds_is_found_each_file_once(
    files: list[list[str]], links: list[tuple[str, str]], pattern: list[str], absolute: bool
) -> None:
    with TemporaryDirectory() as made, pytest.MonkeyPatch.context() as patch:
        folder = Path(made, "deep", "x")
        folder.mkdir(parents=True)
        patch.chdir(folder)
        for file in [Path(*one) for one in files]:
            if not any(parent.is_file() for parent in file.parents) and not file.is_dir():
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch()
        for name, target in links:
            if not os.path.lexists(name) and name != target:
                Path(name).symlink_to(target)
        text = str(Path(folder if absolute else "", *pattern))
        found = matching(text)
        # `glob` gives `.a/` for the file `.a` and the pattern `.a/**`, which it is not below
        given = (one for one in glob.glob(text, recursive=True) if not one.endswith(os.sep))  # noqa: PTH207  with `..`
        known = {path for path in map(Path, given) if path.is_file()}
        assert found == sorted(known, key=str)
        assert not found or matching(text, most=10_000) == found


def test_it_ends_after_as_many_entries_as_it_may_look_at(tmp_path: Path) -> None:
    for n in range(3):
        (tmp_path / f"{n}").mkdir()
        (tmp_path / f"{n}/a.jsonl").touch()
    assert len(matching(f"{tmp_path}/**/*.jsonl", most=12)) == 3
    for pattern in ("**/*.jsonl", "*/*.jsonl"):
        with pytest.raises(EndlessPatternError):
            matching(f"{tmp_path}/{pattern}", most=5)


def test_a_check_says_that_it_did_not_look_through_a_machine(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: looked.append(folder) or scan(folder))
    monkeypatch.setattr(first_rows, "_MOST_ENTRIES", 50)
    bench.write(
        data={"sources": {"notes": {"path": "/**/*.jsonl"}, "more": {"path": "*.jsonl", "formatter": "RawText"}}}
    )
    ran = bench.done("recipes", "check", "tiny.yaml", code=2)
    assert "data.sources.more: RawText can read none" in ran.out, "the other source is looked at"
    bench.write(data={"sources": {"notes": {"path": "/**/*.jsonl"}}})
    assert bench.done("recipes", "check", "tiny.yaml").out == (
        "tiny.yaml: good\n"
        "  note: data.sources.notes.path: /**/*.jsonl was not looked through: more than 50 files and folders lie "
        "there; `fit` looks through them all: name a folder that holds little else\n"
    )
    assert len(looked) < 200
