"""What curation made is found again where nothing has changed, made anew where something has, and never raw."""

import json
import os
import sys
import threading
import time
import types
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunesmith import Curator, DataError, Example, Record
from tunesmith.data.cache import KEPT_DAYS, Cache, Entry
from tunesmith.data.identity import identity
from tunesmith.data.pipeline import Curated, curate
from tunesmith.data.sources import Source
from tunesmith.data.split import Split
from tunesmith.data.store import stored
from tunesmith_plugins.curators.exact_duplicates import ExactDuplicates
from tunesmith_plugins.formatters.auto import Auto
from tunesmith_plugins.formatters.prompt_completion import PromptCompletion

SECRET = "Ines Duarte"
ran: list[str] = []


class Mark(Curator):
    """Writes a word behind each answer; drops and doubles rows by their number."""

    def __init__(self, word: str = "", drop: int = 0, double: int = 0, out: Path | None = None) -> None:
        self.word = word
        self.drop = drop
        self.double = double
        self.out = out

    def apply(self, examples: Iterable[Example], record: Record) -> Iterable[Example]:
        ran.append(type(self).__name__)
        for at, example in enumerate(examples, 1):
            if self.drop and at % self.drop == 0:
                record.drop(example, "number")
                continue
            if self.word:
                record.change(example, "marked")
            made = example.map_texts(lambda text: text + self.word)
            yield made
            if self.double and at % self.double == 0:
                again = made.with_(id=f"{made.id}+{record.seed}")
                record.add(again, "doubled")
                yield again
        if self.out is not None:
            self.out.write_text("said")


class Late(Mark):
    """The same on training rows."""

    scope = "train"


class Private(Mark):
    """Takes the secret out."""

    anonymises = True

    def apply(self, examples: Iterable[Example], record: Record) -> Iterable[Example]:
        ran.append("Private")
        for example in examples:
            made = example.map_texts(lambda text: text.replace(SECRET, "[NAME]"), everywhere=True)
            if made is not example:
                record.change(example, "name")
            yield made


class Asks(Mark):
    """Depends on what nobody can name."""

    def fingerprint(self) -> str | None:
        return None


@pytest.fixture(autouse=True)
def fresh() -> None:
    ran.clear()


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    rows = [{"prompt": f"ask {at} of {SECRET}", "completion": f"say {at}", "ward": at % 5} for at in range(30)]
    path = tmp_path / "notes.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows) + "broken\n")
    return path


def run(
    notes: Path, curators: Mapping[str, Curator] | None = None, cache: Cache | None = None, **options: Any
) -> Curated:
    fixed: dict[str, Any] = {"seed": 1, "reject_limit": 0.5, "keep_rejected": False, "rejected_file": None}
    split = options.pop("split", Split())
    cache = Cache(notes.parent / "cache") if cache is None else cache
    source = Source(str(notes), options.pop("formatter", PromptCompletion()))
    return curate({"notes": source}, curators or {}, split, cache=cache, **{**fixed, **options})


def same(one: Curated, other: Curated) -> bool:
    rejected = [each.rejected.of("notes") for each in (one, other)]
    told = [(each.splits, each.counts, each.hashes) for each in (one, other)]
    return told[0] == told[1] and rejected[0] == rejected[1]


def test_what_has_not_changed_is_not_made_again(notes: Path) -> None:
    curators: dict[str, Curator] = {"mark": Mark("!", drop=7), "late": Late(double=3), "exact": ExactDuplicates()}
    first = run(notes, curators)
    assert list(first.seconds) == ["read", "mark", "exact", "split", "late"]
    file = notes.parent / "rejected.jsonl"
    again = run(notes, curators, rejected_file=file)
    assert again.seconds == {}
    assert ran == ["Mark", "Late"]
    assert same(again, first)
    assert same(first, run(notes, curators, Cache()))
    assert json.loads(file.read_text())["line"] == 31  # what was set aside is written for each run


@pytest.mark.parametrize(
    ("change", "anew"),
    [
        ({"late": Late("?")}, ["late", "split"]),
        ({"mark": Mark("?")}, ["mark", "exact", "split", "late"]),
        ({"seed": 2}, ["mark", "exact", "split", "late"]),
        ({"split": Split(0.5, 0.25, 0.25)}, ["read", "mark", "exact", "split", "late"]),
        ({"reject_limit": 0.6}, ["read", "mark", "exact", "split", "late"]),
        ({"formatter": PromptCompletion(prompt="completion", completion="prompt")}, None),
        ({"new row": True}, ["read", "mark", "exact", "split", "late"]),
    ],
)
def test_what_follows_a_change_is_made_anew_and_nothing_before(
    notes: Path, change: dict[str, Any], anew: list[str] | None
) -> None:
    curators: dict[str, Curator] = {"mark": Mark("!", drop=7), "exact": ExactDuplicates(), "late": Late(double=3)}
    run(notes, curators)
    change = dict(change)
    if change.pop("new row", False):
        with notes.open("a") as file:
            file.write(json.dumps({"prompt": "new", "completion": "row"}) + "\n")
    curators |= {name: change.pop(name) for name in list(change) if name in curators}
    changed = run(notes, curators, **change)
    assert list(changed.seconds) == (anew or ["read", "mark", "exact", "split", "late"])
    assert same(changed, run(notes, curators, Cache(), **change))


def test_rows_before_the_last_anonymiser_are_never_on_the_disk(notes: Path) -> None:
    curators: dict[str, Curator] = {"mark": Mark("!"), "private": Private(), "after": Mark("?")}
    folder = notes.parent / "cache"
    written: list[bytes] = []

    class Looks(Mark):
        """Reads all files while the run goes on."""

        def apply(self, examples: Iterable[Example], record: Record) -> Iterable[Example]:
            written.extend(path.read_bytes() for path in folder.iterdir())
            return examples

    run(notes, {"looks": Looks(), **curators})
    run(notes, curators)
    written += [path.read_bytes() for path in folder.iterdir()]
    assert written
    assert not [data for data in written if SECRET.encode() in data]
    ran.clear()
    again = run(notes, curators)
    assert (again.seconds, ran) == ({}, [])
    after = run(notes, {**curators, "after": Mark("#")})
    assert list(after.seconds) == ["after", "split"]
    assert same(after, run(notes, {**curators, "after": Mark("#")}, Cache()))


def test_an_anonymiser_of_training_rows_leaves_raw_ones_so_none_are_kept(notes: Path) -> None:
    class OfTraining(Private):
        scope = "train"

    run(notes, {"private": OfTraining()})
    assert not [path for path in (notes.parent / "cache").iterdir() if SECRET.encode() in path.read_bytes()]


def test_groups_are_kept_without_their_names(notes: Path) -> None:
    split = Split(0.4, 0.3, 0.3, keep_together="ward")
    text = notes.read_text().replace('"ward": 0', f'"ward": "{SECRET}"')
    notes.write_text(text)
    curators: dict[str, Curator] = {"private": Private(), "double": Mark(double=2)}
    first = run(notes, curators, split=split)
    assert not [path for path in (notes.parent / "cache").iterdir() if SECRET.encode() in path.read_bytes()]
    assert run(notes, curators, split=split).seconds == {}
    changed: dict[str, Curator] = {**curators, "double": Mark(double=3)}
    assert same(run(notes, changed, split=split), run(notes, changed, Cache(), split=split))
    assert same(first, run(notes, curators, Cache(), split=split))


def test_a_curator_that_cannot_be_named_runs_each_time_and_what_follows_only_where_rows_differ(notes: Path) -> None:
    curators: dict[str, Curator] = {"asks": Asks("!"), "mark": Mark("?")}
    run(notes, curators)
    again = run(notes, curators)
    assert ran == ["Asks", "Mark", "Asks"]
    assert list(again.seconds) == ["asks"]
    assert list(run(notes, {**curators, "asks": Asks("#")}).seconds) == ["asks", "mark", "split"]


def test_a_file_that_a_curator_writes_is_written_again_where_it_is_gone(notes: Path) -> None:
    out = notes.parent / "out.txt"
    curators: dict[str, Curator] = {"mark": Mark(out=out)}
    run(notes, curators)
    assert run(notes, curators).seconds == {}
    out.unlink()
    assert list(run(notes, curators).seconds) == ["mark", "split"]
    assert out.read_text() == "said"
    out.write_text("changed by hand")
    assert "mark" in run(notes, curators).seconds


def test_raw_rows_that_the_recipe_keeps_are_kept_there_alone(notes: Path) -> None:
    for _ in range(2):
        kept = run(notes, {"private": Private()}, keep_rejected=True)
        assert "read" in kept.seconds
        assert kept.rejected.of("notes")[0].row is not None
    assert "broken" not in "".join(path.read_text("latin-1") for path in (notes.parent / "cache").iterdir())


def test_a_formatter_that_chooses_depends_on_those_it_chooses_among(notes: Path) -> None:
    options: dict[str, Any] = {"formatter": Auto(), "formatters": [PromptCompletion, Auto]}
    run(notes, **options)
    assert run(notes, **options).seconds == {}
    assert "read" in run(notes, **{**options, "formatters": [PromptCompletion]}).seconds


@pytest.mark.parametrize("kind", ["*.arrow", "*.json", "*.npz"])
@pytest.mark.parametrize("broken", [b"", b"PK\x03\x04", b"{}", None])
def test_what_is_not_whole_is_made_again(notes: Path, kind: str, broken: bytes | None) -> None:
    curators = {"mark": Mark("!", double=2)}
    first = run(notes, curators)
    for path in (notes.parent / "cache").glob(kind):
        path.unlink()  # and a file of its own in its place: the first run goes on reading what it has
        if broken is not None:
            path.write_bytes(broken)
    assert same(run(notes, curators), first)
    assert run(notes, curators).seconds == {}


def test_rows_that_the_disk_has_damaged_are_never_trained_on(notes: Path) -> None:
    run(notes, {"mark": Mark("!")})
    for path in (notes.parent / "cache").glob("*.arrow"):
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data.replace(b"say 7", b"say 8"))  # still JSON
    damaged = run(notes, {"mark": Mark("!")})
    with pytest.raises(DataError, match=r"cache/\w+\.arrow is damaged, .*; delete .*/cache$"):
        [*damaged.splits["train"], *damaged.splits["validation"], *damaged.splits["test"]]


def test_what_a_killed_run_has_left_goes_a_day_later(notes: Path) -> None:
    run(notes)
    folder = notes.parent / "cache"
    (folder / "4321.arrow").write_bytes(b"in the making by another process")
    (folder / "1234.arrow.part").write_bytes(b"half")
    (folder / "1234.arrow").write_bytes(b"of no entry")
    (folder / "1234.json").write_bytes(b"half of o")
    for name in ("1234.arrow.part", "1234.arrow"):
        os.utime(folder / name, (time.time() - 90000,) * 2)
    there = {path.name for path in folder.iterdir()}
    run(notes)
    assert there - {path.name for path in folder.iterdir()} == {"1234.arrow.part", "1234.arrow"}
    assert run(notes).seconds == {}


def test_what_no_run_has_used_for_days_goes_with_its_files(notes: Path) -> None:
    run(notes, {"mark": Mark("!")})
    folder = notes.parent / "cache"
    old = time.time() - (KEPT_DAYS + 1) * 86400
    first = {path for path in folder.iterdir() if path.name != "lock"}
    for path in first:
        os.utime(path, (old, old))
    run(notes, {"mark": Mark("?")})  # uses what was read
    left = first & set(folder.iterdir())
    assert left
    assert {path.suffix for path in left} == {".json", ".npz", ".arrow"}
    assert "mark" in run(notes, {"mark": Mark("!")}).seconds
    assert "read" not in run(notes, {"mark": Mark("!")}).seconds


@pytest.mark.parametrize("curator", [Mark("!"), Asks("!")])
def test_other_code_or_packages_make_all_anew(notes: Path, curator: Curator, monkeypatch: pytest.MonkeyPatch) -> None:
    before = run(notes, {"mark": curator, "after": Mark("?")})
    monkeypatch.setattr("tunesmith.data.curating.surroundings", lambda: {"packages": ["numpy-3.0"]})
    after = run(notes, {"mark": curator, "after": Mark("?")})
    assert list(after.seconds) == list(before.seconds)
    assert after.key != before.key  # by which encoded rows are found


def test_a_module_that_a_plugins_file_imports_counts(
    notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper = tmp_path / "words_beside.py"
    helper.write_text("WORD = '!'")
    module = types.ModuleType("words_beside")
    module.__file__ = str(helper)
    monkeypatch.setitem(sys.modules, "words_beside", module)
    run(notes)
    assert run(notes).seconds == {}
    helper.write_text("WORD = '?'")
    assert "read" in run(notes).seconds


def test_nobody_waits_for_what_is_not_kept(notes: Path) -> None:
    cache = Cache(notes.parent / "cache")
    with cache.held():
        assert "asks" in run(notes, {"asks": Asks("!")}).seconds


def test_a_second_process_waits_and_finds_what_the_first_has_made(notes: Path) -> None:
    done: list[Curated] = []
    cache = Cache(notes.parent / "cache")
    with cache.held():
        other = threading.Thread(target=lambda: done.append(run(notes, {"mark": Mark("!")})))
        other.start()
        other.join(0.3)
        assert not done
    other.join()
    assert run(notes, {"mark": Mark("!")}).seconds == {}
    assert ran == ["Mark"]


def test_where_nothing_can_be_written_nothing_is_kept(notes: Path) -> None:
    (notes.parent / "cache").write_text("a file")
    assert "read" in run(notes).seconds
    assert "read" in run(notes).seconds


def test_entries_with_rows_in_files_without_names_are_not_kept(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.put("key", Entry({}, {"all": stored([Example(id="1")])}))
    assert cache.get("key") is None
    cache.put("key", Entry({"a": 1}))
    entry = cache.get("key")
    assert entry is not None
    assert entry.told == {"a": 1}


marks = st.tuples(
    st.sampled_from([Mark, Late, Private]), st.sampled_from(["", "!"]), st.integers(0, 4), st.integers(0, 4)
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(marks, max_size=3), st.lists(marks, max_size=3))
def test_with_the_cache_or_without_the_result_is_the_same(
    notes: Path, before: Sequence[Any], after: Sequence[Any]
) -> None:
    for drawn in (before, after, before):
        curators: dict[str, Curator] = {
            f"{at}": kind(word, drop, double) for at, (kind, word, drop, double) in enumerate(drawn)
        }
        doubled = {f"{at}": Mark(f"{at}") for at in range(3) if f"{at}" in curators}
        for kept in (curators, doubled):
            assert same(run(notes, kept), run(notes, kept, Cache()))


def test_a_plugin_is_named_by_class_options_and_what_its_files_hold(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one")
    seen = {identity(Mark("a", out=path)), identity(Mark("b", out=path)), identity(Late("a", out=path))}
    path.write_text("two")
    seen.add(identity(Mark("a", out=path)))
    assert len(seen - {None}) == 4
    assert identity(Mark("a", out=path)) in seen
    assert identity(Asks()) is None
    assert identity(Mark(print)) is None  # type: ignore[arg-type]
    folder = tmp_path / "model"
    folder.mkdir()
    before = identity(Mark(out=folder))
    (folder / "weights").write_text("x")
    assert identity(Mark(out=folder)) != before


@pytest.mark.parametrize("word", ["./model", "down/../model", "model/weights"])
def test_a_text_that_leads_to_a_file_from_the_working_directory_on_counts_with_what_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "down").mkdir()
    (tmp_path / "model/weights").write_text("x")
    before, bare = identity(Mark(word)), identity(Mark("model"))
    (tmp_path / "model/weights").write_text("other")
    assert identity(Mark(word)) != before
    assert identity(Mark("model")) == bare
