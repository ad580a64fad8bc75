"""`plugins new`: what it takes, what it refuses, and what it writes; that it works is `tests/outside`'s business."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tunesmith import __version__
from tunesmith.cli.main import main
from tunesmith.plugins.draft.names import Names
from tunesmith.plugins.load import BASES


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The message; nothing must have been written."""
    before = sorted(Path().rglob("*"))
    assert main(["plugins", "new", *words]) == 2
    assert sorted(Path().rglob("*")) == before
    said = capsys.readouterr()
    assert (said.out, "Traceback" in said.err) == ("", False)
    return said.err


@pytest.mark.parametrize("kind", BASES)
def test_every_file_is_whole_and_carries_the_name(kind: str) -> None:
    assert main(["plugins", "new", kind, "BlueWhale"]) == 0
    files = {str(path.relative_to("blue-whale")): path.read_text() for path in Path().rglob("*") if path.is_file()}
    assert files.keys() == {
        ".gitignore",
        "pyproject.toml",
        "README.md",
        "recipe.yaml",
        "rows.jsonl",
        "src/blue_whale/__init__.py",
        "src/blue_whale/blue_whale.py",
        "src/blue_whale/py.typed",
        "tests/test_blue_whale.py",
    }
    for path, text in files.items():
        assert not re.search(r"[Mm]y.?[Pp]lugin|THE_[A-Z]|ABOUT|>=0\.0", text), path
    for path in (path for path in files if path.endswith(".py")):
        ast.parse(files[path])
    project = tomllib.loads(files["pyproject.toml"])["project"]
    assert project["name"] == "blue-whale"
    assert project["entry-points"]["tunesmith"] == {"blue-whale": "blue_whale"}
    assert project["dependencies"] == [f"tunesmith>={__version__.rpartition('.')[0]}"]
    assert (
        f"def tunesmith_register_{kind}s() -> Iterable[type[{BASES[kind].__name__}]]"
        in files["src/blue_whale/__init__.py"]
    )
    recipe = yaml.safe_load(files["recipe.yaml"])
    assert recipe["plugins"] == ["blue-whale"]
    assert json.dumps(recipe).count('"BlueWhale"') == 1
    (excerpt,) = re.findall(r"```yaml\n(.*?)```", files["README.md"], re.DOTALL)
    assert json.dumps(yaml.safe_load(excerpt)).count('"BlueWhale"') == 1
    assert all(json.loads(line)["answer"] for line in files["rows.jsonl"].splitlines())


@pytest.mark.parametrize("word", ["evaluator", "evaluators", "Evaluator", "EVALUATORS"])
def test_a_kind_may_be_a_plural_and_written_large(word: str) -> None:
    assert main(["plugins", "new", word, "BlueWhale"]) == 0
    assert "type[Evaluator]" in Path("blue-whale/src/blue_whale/__init__.py").read_text()


def test_an_unknown_kind_gets_the_nearest_and_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, "evalators", "BlueWhale")
    assert said.startswith("evalators is no kind of plugin; did you mean evaluator?\nkinds:\n")
    assert "  curator      Improves a data set" in said
    assert all(f"\n  {kind} " in said for kind in BASES)


def test_a_name_before_its_kind_is_put_right(capsys: pytest.CaptureFixture[str]) -> None:
    assert "lightning-cli plugins new audit BlueWhale" in refused(capsys, "BlueWhale", "audit")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("blue_whale", "'blue_whale' is no class name; did you mean BlueWhale?"),
        ("blue-whale 2", "; did you mean BlueWhale2?"),
        ("2Whales", "is no class name\nit takes letters and digits in CamelCase, such as MyMetric"),
        ("", "'' is no class name\n"),
        ("Bläuwal", "is no class name\n"),
        ("../Whale", "; did you mean Whale?"),
        ("B" * 41, "has 41 letters"),
        ("ROUGE", "ROUGE is a built-in plugin"),
        ("LoRA", "LoRA is a built-in plugin"),
        ("None", "None is a name of Python's own"),
        ("ValueError", "ValueError is a name of Python's own"),
        ("Class", "would lie in a module class, which is Python's own"),
        ("Json", "would lie in a module json, which is Python's own"),
        ("Pytest", "would lie in a module pytest, and there is one already"),
        ("Sample", "Sample is a class that the plugin itself needs; choose another name, such as MySample"),
        ("RecipeRunner", "RecipeRunner is a class that the plugin itself needs"),
    ],
)
def test_a_name_that_would_not_work_is_refused(name: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert says in refused(capsys, "evaluator", name)


def test_a_folder_that_is_there_is_left_alone_unless_forced(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "new", "audit", "BlueWhale", "--into", "deep/er"]) == 0
    capsys.readouterr()
    mine, theirs = Path("deep/er/blue-whale/notes.txt"), Path("deep/er/blue-whale/README.md")
    mine.write_text("mine")
    theirs.write_text("changed")
    said = refused(capsys, "audit", "BlueWhale", "--into", "deep/er")
    assert said.startswith("deep/er/blue-whale is there already; ")
    assert theirs.read_text() == "changed"
    assert main(["plugins", "new", "audit", "BlueWhale", "--into", "deep/er", "--force"]) == 0
    assert mine.read_text() == "mine"
    assert theirs.read_text().startswith("# blue-whale\n")


def test_a_package_that_is_installed_from_its_folder_can_be_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["plugins", "new", "audit", "BlueWhale"]) == 0
    monkeypatch.syspath_prepend(str(Path("blue-whale/src").absolute()))
    assert main(["plugins", "new", "audit", "BlueWhale", "--force"]) == 0
    assert main(["plugins", "new", "audit", "BlueWhale", "--into", "elsewhere"]) == 2


def test_a_place_that_cannot_be_written_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_text("")
    said = refused(capsys, "audit", "BlueWhale", "--into", "file")
    assert "file" in said.splitlines()[0]
    assert "cannot be written" in said


@pytest.mark.parametrize("words", [[], ["audit"], ["audit", "BlueWhale", "more"], ["audit", "BlueWhale", "--forse"]])
def test_a_wrong_command_line_is_refused_with_its_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "usage: lightning-cli plugins new" in refused(capsys, *words)


def test_it_loads_no_torch() -> None:
    code = (
        "import sys; from tunesmith.cli.main import main; main(['plugins', 'new', 'adapter', 'BlueWhale']); "
        "sys.exit('torch' in sys.modules or 'lightning' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
    assert Path("blue-whale/README.md").is_file()


@given(st.from_regex(r"[A-Z][A-Za-z0-9]{0,20}", fullmatch=True))
def test_names_are_good_for_python_and_pip(cls: str) -> None:
    names = Names(cls)
    assert names.module.isidentifier()
    assert names.module == names.module.lower()
    assert names.module.replace("_", "") == cls.lower()
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", names.distribution)


@pytest.mark.parametrize(
    ("cls", "module"),
    [("MyMetric", "my_metric"), ("ROUGE", "rouge"), ("BLEUScore", "bleu_score"), ("F1Score", "f1_score"), ("A", "a")],
)
def test_words_are_parted_where_a_reader_would(cls: str, module: str) -> None:
    assert Names(cls).module == module
