"""Plugins at work in another process: what is seen of their writes, and what becomes of those that fail."""

import copy
import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.cli.main import main
from tunesmith.plugins.load import classes_of_file
from tunesmith.testing import elsewhere
from tunesmith.testing.check import Trial
from tunesmith.testing.plain import plain
from tunesmith.testing.same import same
from tunesmith.testing.tree import Root
from tunesmith.testing.watch import written

PLUGIN = """
import os
from pathlib import Path
from tunesmith import Evaluator, Measure


class {name}(Evaluator):
    \"\"\"Counts words.\"\"\"

    def measure(self, samples):
        {does}
        return [Measure("words", [float(len(s.output.split())) for s in samples])]
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is home, and the working directory, of the process that checks."""
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def write(folder: Path, name: str, does: str) -> Path:
    file = folder / f"{name.lower()}_{folder.name}.py"
    file.write_text(PLUGIN.format(name=name, does=does))
    return file


def cls_of(file: Path) -> Any:
    ((_, cls),) = classes_of_file(file)
    return cls


@pytest.mark.parametrize(
    ("does", "told"),
    [
        ("os.system('echo 1 > ~/words.txt')", "it writes ~/words.txt"),
        ("os.system('mkdir -p $XDG_CACHE_HOME/words')", "it writes ~/.cache"),
        ("os.system('echo 1 > words.txt')", "it writes ./words.txt"),
        ("os.system('echo 1 > ${TMPDIR:-.}/words.txt')", "it writes $TMPDIR/words.txt"),
        ("os.system(f'echo 1 > {Path(__file__).parent}/words.txt')", "it writes {folder}/words.txt"),
        ("os.system(f'echo 1 >> {Path(__file__).parent}/kept.txt')", "it writes {folder}/kept.txt"),
        ("Path(__file__).with_name('kept.txt').touch()", "it writes {folder}/kept.txt"),
        ("os.system(f'rm -f {Path(__file__).parent}/kept.txt')", "it writes {folder}/kept.txt"),
    ],
)
def test_what_other_programs_write_is_found_where_it_lies(
    home: Path, does: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "kept.txt").write_text("kept")
    file = write(home, "Writer", does)
    assert main(["plugins", "check", "--plugin", str(file)]) == 2
    said = " ".join(capsys.readouterr().out.split())
    assert f"found {told.format(folder=home)} expected" in said
    assert "1 failed, of Writer" in said


def test_a_plugin_that_ends_its_process_is_told_of_and_the_next_one_is_tried(home: Path) -> None:
    quits = cls_of(write(home, "Quits", "'tunesmith-testing-' in os.getcwd() and os._exit(3)"))
    report = elsewhere.report_of(Trial(quits()))
    assert report is not None
    assert report.error == "the process ended (3)"
    sound = elsewhere.report_of(Trial(cls_of(write(home, "Sound", "pass"))()))
    assert sound is not None
    assert (sound.error, sound.writes) == ("", ())
    assert len(sound.result) == 3


def test_a_plugin_that_cannot_be_taken_elsewhere_has_no_report(home: Path) -> None:
    cls = cls_of(write(home, "Held", "pass"))
    held = cls()
    held.file = (home / "work").open  # a method of a path can be pickled, a lambda cannot
    assert elsewhere.report_of(Trial(held)) is not None
    held.file = lambda: None
    assert elsewhere.report_of(Trial(held)) is None


def test_all_light_plugins_are_served_by_one_process(home: Path) -> None:
    for name in ("One", "Two", "Three"):
        elsewhere.report_of(Trial(cls_of(write(home, name, "pass"))()))
    assert [heavy for _, heavy in elsewhere._PEERS].count(False) == 1


def test_nothing_of_the_other_processes_stays(home: Path) -> None:
    peer = elsewhere._Peer()
    assert peer.ask(do="imports", fork=True, heavy=("json", "torch"), module="tunesmith", file="") == {
        "loaded": ["json"]
    }
    assert peer.folder.is_dir()
    peer.remove()
    assert not peer.folder.exists()
    assert peer.process.poll() is not None


def test_the_other_process_ends_with_this_one_however_that_ends(home: Path) -> None:
    peer = elsewhere._Peer()
    peer.process.communicate()  # closes its input, as the end of this process does
    assert peer.process.returncode == 0
    assert not peer.folder.exists()


def test_databases_are_seen_wherever_they_are_written(tmp_path: Path) -> None:
    known = tmp_path / "known.db"
    with closing(sqlite3.connect(known)) as database:
        database.execute("create table words (number int)")
    with written([], []) as paths:
        for name in (str(known), ":memory:", f"file:{known}?mode=ro", tmp_path / "new.db"):
            with closing(sqlite3.connect(name, uri=str(name).startswith("file:"))) as database:
                database.execute("pragma user_version")
    assert paths == [str(tmp_path / "new.db")]
    with written([], []) as paths, closing(sqlite3.connect(known)) as database, database:
        database.execute("insert into words values (1)")
    assert paths == [str(known)]
    with written([tmp_path], []) as paths, closing(sqlite3.connect(known)) as database, database:
        database.execute("insert into words values (1)")
    assert paths == []


def test_paths_that_are_relative_to_an_open_folder_are_told_whole(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    with written([], []) as paths:
        os.mkdir("inner", dir_fd=folder)
        os.rmdir("inner", dir_fd=folder)
    os.close(folder)
    assert set(paths) == {str(tmp_path / "inner")}


def test_hidden_names_and_bytecode_do_not_count_where_code_lies(tmp_path: Path) -> None:
    (tmp_path / "__pycache__").mkdir()
    with written([tmp_path], [Root(tmp_path, hidden=False)]) as paths:
        os.system(f"cd {tmp_path} && touch .hidden __pycache__/module.pyc")
    assert paths == []
    with written([], [Root(tmp_path, deep=False)]) as paths:
        os.system(f"cd {tmp_path} && touch .seen __pycache__/other.pyc && mkdir folder && touch folder/file")
    assert paths == [str(tmp_path / ".seen"), str(tmp_path / "folder")]


def test_a_folder_with_too_many_names_is_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = tmp_path / "few", tmp_path / "many"
    monkeypatch.setattr("tunesmith.testing.tree._MOST", 3)
    for folder, number in ((few, 2), (many, 3)):
        folder.mkdir()
        for at in range(number):
            (folder / str(at)).touch()
    with written([], [Root(few), Root(many)]) as paths:
        os.system(f"touch {few}/new {many}/new")
    assert paths == [str(few / "new")]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(VALUES, VALUES)
def test_plain_values_are_the_same_where_the_values_are(one: Any, two: Any) -> None:
    for left, right in ((one, two), (one, copy.deepcopy(one))):
        assert same(json.loads(json.dumps(plain(left))), plain(right)) == same(left, right)
