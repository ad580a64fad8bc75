"""Sources: files found, refused with the nearest name, and identified by their content."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import pytest

from tunesmith import DataError
from tunesmith.data.hub import Hub
from tunesmith.data.rows import Reject, Row
from tunesmith.data.sources import Opened, Source
from tunesmith_plugins.formatters.raw_text import RawText


def opened(path: str | list[str], split: Any = None) -> Opened:
    return Opened("notes", Source(path, RawText(), split=split))


def texts(source: Opened) -> list[str]:
    return [row.values["text"] for row in source.read() if isinstance(row, Row)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b", "a"):
        (tmp_path / f"{name}.txt").write_text(f"{name}1\n{name}2\n")
    (tmp_path / "odd[1].txt").write_text("odd\n")
    return tmp_path


def test_patterns_and_lists_give_files_in_order(folder: Path) -> None:
    assert texts(opened(str(folder / "?.txt"))) == ["a1", "a2", "b1", "b2"]
    assert texts(opened([str(folder / "b.txt"), str(folder / "a.txt")])) == ["b1", "b2", "a1", "a2"]


def test_a_file_that_is_there_is_no_pattern(folder: Path) -> None:
    assert texts(opened(str(folder / "odd[1].txt"))) == ["odd"]


def test_a_home_folder_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    assert texts(opened("~/a.txt")) == ["a1", "a2"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("aa.txt", "aa.txt does not exist; did you mean a.txt?"),
        ("zzzzz.jsonl", "zzzzz.jsonl does not exist"),
        ("none/a.txt", "does not exist, nor does the folder"),
        ("", "is a folder; name its files"),
        ("*.jsonl", "no file matches"),
        ("notes.odt", "notes.odt ends in .odt; files are read by ending: .jsonl"),
        ("link.txt", "link.txt is a link that leads to no file"),
        ("/dev/null", "/dev/null is no regular file"),
    ],
)
def test_a_wrong_path_is_refused_before_anything_is_read(folder: Path, path: str, said: str) -> None:
    (folder / "notes.odt").write_text("x")
    (folder / "link.txt").symlink_to("gone.txt")
    with pytest.raises(DataError) as caught:
        opened(str(folder / path))
    assert str(caught.value).startswith("data.sources.notes.path: ")
    assert said in str(caught.value)


@pytest.mark.parametrize("path", ["aa.txt", "none/a.txt", "*.jsonl"])
def test_absent_rows_say_where_they_come_from(folder: Path, path: str) -> None:
    about = "Ward notes, CC BY 4.0: example.org/notes"
    with pytest.raises(DataError) as caught:
        Opened("notes", Source(str(folder / path), RawText(), about=f"{about}\n"))
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("data.sources.notes.path: ")
    assert lines[1:] == [about]


def test_rows_that_are_there_need_no_word_about_them(folder: Path) -> None:
    with pytest.raises(DataError) as caught:
        opened(str(folder / "aa.txt"))
    assert "\n" not in str(caught.value)
    assert texts(Opened("notes", Source(str(folder / "a.txt"), RawText(), about="somewhere"))) == ["a1", "a2"]


def test_other_schemes_and_files_named_twice_are_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="s3:// is not read"):
        opened("s3://bucket/a.jsonl")
    with pytest.raises(DataError, match=r"names .*a.txt twice"):
        opened([str(folder / "a.txt"), str(folder / "?.txt")])
    with pytest.raises(DataError, match=r"data\.sources\.notes\.path is empty"):
        opened([])


def test_the_fingerprint_is_of_the_content_and_not_of_the_place(folder: Path, tmp_path: Path) -> None:
    first = opened(str(folder / "a.txt")).fingerprint()
    (tmp_path / "copy.txt").write_bytes((folder / "a.txt").read_bytes())
    assert opened(str(tmp_path / "copy.txt")).fingerprint() == first
    assert opened(str(folder / "b.txt")).fingerprint() != first
    both = [str(folder / "a.txt"), str(folder / "b.txt")]
    assert opened(both).fingerprint() != opened(both[::-1]).fingerprint()


def hub(monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    asked: list[tuple[Any, ...]] = []

    def load(path: str, name: str | None = None, split: str | None = None, revision: str | None = None) -> Any:
        asked.append((path, name, split, revision))
        return datasets.Dataset.from_list(rows)

    monkeypatch.setattr(datasets, "load_dataset", load)
    return asked


def test_a_hub_data_set_is_read_by_name_config_split_and_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = hub(monkeypatch, [{"text": "a"}, {"text": "b\x00"}])
    source = opened("hf://acme/notes?config=en&split=dev&revision=v2")
    good, bad = source.read()
    assert (good.file, good.line) == ("hf://acme/notes?config=en&split=dev&revision=v2", 1)
    assert isinstance(bad, Reject)
    assert (bad.line, bad.field) == (2, "text")
    list(opened("hf://datasets/acme/notes").read())
    list(opened("hf://acme/notes", "validation").read())
    assert asked == [
        ("acme/notes", "en", "dev", "v2"),
        ("acme/notes", None, "train", None),
        ("acme/notes", None, "validation", None),
    ]


def test_the_fingerprint_of_a_hub_data_set_is_of_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    prints = set()
    for text in ("a", "b", "a"):
        hub(monkeypatch, [{"text": text}])
        source = opened("hf://acme/notes")
        list(source.read())
        prints.add(source.fingerprint())
    assert len(prints) == 2


def test_a_hub_data_set_that_is_not_to_be_had_says_what_to_do() -> None:
    with pytest.raises(DataError) as caught:
        list(opened("hf://acme/notes?split=train").read())
    said = str(caught.value)
    assert said.startswith("data.sources.notes.path: hf://acme/notes?split=train cannot be loaded: ")
    assert "offline it must be in the cache" in said


def test_a_hub_data_set_without_its_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunesmith.data.hub.find_spec", lambda name: None)
    said = r'data\.sources\.notes\.path: hf://acme/notes needs .* datasets: pip install "tunesmith\[hub\]"$'
    with pytest.raises(DataError, match=said):
        opened("hf://acme/notes")


def test_files_are_read_without_the_hubs_library(folder: Path) -> None:
    program = (
        "import sys; sys.modules['datasets'] = None\n"
        "from tunesmith.data.sources import Opened, Source\n"
        "from tunesmith_plugins.formatters.raw_text import RawText\n"
        "print(len(list(Opened('notes', Source(sys.argv[1], RawText())).read())))"
    )
    done = subprocess.run([sys.executable, "-c", program, str(folder / "a.txt")], capture_output=True, check=True)
    assert done.stdout == b"2\n"


def test_a_folder_of_files_is_read_as_the_hub_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in "ab"))
    rows = list(Hub(str(tmp_path / "set"), "data.sources.notes.path", "train").read())
    assert [row.values["text"] for row in rows if isinstance(row, Row)] == ["a", "b"]


@pytest.mark.parametrize("name", ["/etc", "./set", "../set", "set", "a/../../b", "~", "http://127.0.0.1/a", "a//b"])
def test_a_name_of_the_hub_is_no_place_of_the_disk(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "set").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"wanted: hf://owner/name"):
        opened(f"hf://{name}")


def test_wrong_options_of_a_hub_path_are_refused() -> None:
    with pytest.raises(DataError, match=r"splt is not an option of hf://; did you mean split\?"):
        opened("hf://acme/notes?splt=dev")
    with pytest.raises(DataError, match="names no data set"):
        opened("hf://?split=dev")


def test_a_file_of_an_installed_package_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notes_package").mkdir()
    (tmp_path / "notes_package" / "__init__.py").write_text("raise RuntimeError('never imported')")
    (tmp_path / "notes_package" / "a.txt").write_text("packed\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert texts(opened("package://notes_package/a.txt")) == ["packed"]
