"""Plugins at work in another process: what comes out, and what becomes of those that fail."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.plugins.load import classes_of_file
from tunesmith.testing import elsewhere
from tunesmith.testing.check import Trial
from tunesmith.testing.plain import plain
from tunesmith.testing.same import same

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


def test_a_plugin_that_ends_its_process_is_told_of_and_the_next_one_is_tried(home: Path) -> None:
    quits = cls_of(write(home, "Quits", "'tunesmith-testing-' in os.getcwd() and os._exit(3)"))
    report = elsewhere.report_of(Trial(quits()))
    assert report is not None
    assert report.error == "the process ended (3)"
    sound = elsewhere.report_of(Trial(cls_of(write(home, "Sound", "pass"))()))
    assert sound is not None
    assert sound.error == ""
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


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(VALUES, VALUES)
def test_plain_values_are_the_same_where_the_values_are(one: Any, two: Any) -> None:
    for left, right in ((one, two), (one, copy.deepcopy(one))):
        assert same(json.loads(json.dumps(plain(left))), plain(right)) == same(left, right)
