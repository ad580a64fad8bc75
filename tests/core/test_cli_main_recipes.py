"""The verb `recipes`: what comes along, copies that still run, and recipes drafted for a data file."""

import importlib
import json
import os
import subprocess
import sys
import types
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.cli.main import main
from tunesmith.data.read_as import formatters_of
from tunesmith.errors import RecipeError
from tunesmith.plugins.catalog import Catalog
from tunesmith.recipe import packages, shipped
from tunesmith.recipe.code_identity import Code
from tunesmith.recipe.columns import FileColumns, choose
from tunesmith.recipe.compose import compose
from tunesmith.recipe.draft import draft
from tunesmith.recipe.package_fs import installed
from tunesmith.recipe.relocate import quoted, relocate
from tunesmith.recipe.schema import check

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "80")
    return folder


def rows(path: Path, *records: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(r) + "\n" for r in records))
    return path


def failure(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["recipes", *words]) == 2
    return capsys.readouterr().err


# What comes along, and where it lies.


def test_an_editable_install_takes_the_recipes_of_the_checkout() -> None:
    assert shipped.folder() == CHECKOUT / "recipes"


def test_a_packaged_copy_is_taken_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packaged = tmp_path / "site" / "tunesmith_plugins" / "recipes"
    packaged.mkdir(parents=True)
    (packaged.parent / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delitem(sys.modules, "tunesmith_plugins", raising=False)
    assert shipped.folder() == packaged
    (packaged / "own.yaml").touch()
    assert installed("package://tunesmith_plugins/recipes/own.yaml") == packaged / "own.yaml"


def test_the_list_shows_recipes_overlays_and_those_of_this_folder(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "mine.yaml").write_text("# Of my own.\nmodel: {}\ndata: {sources: {a: {}}}\n")
    (here / "docker-compose.yaml").write_text("services: {}\n")
    (here / "torn.yaml").write_text("model: {")
    assert main(["recipes", "ls"]) == 0
    said = capsys.readouterr().out
    recipes, overlays = said.index("recipes that come along"), said.index("overlays that come along")
    mine = said.index("in this folder")
    assert recipes < said.index("  medsync  ") < overlays < said.index("  bases/mistral-7b  ") < mine
    assert said.index("  mine ") > mine
    assert "Of my own." in said
    assert "docker" not in said
    assert "torn" not in said
    assert max(len(line.rstrip()) for line in said.splitlines()) <= 80


def test_every_shipped_recipe_says_in_its_first_line_what_it_is() -> None:
    assert all(listed.summary for listed in shipped.shipped())


@pytest.mark.slow
def test_a_wheel_carries_the_recipes_and_finds_them(tmp_path: Path) -> None:
    command = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "-w"]
    subprocess.run([sys.executable, "-m", "pip", *command, tmp_path, CHECKOUT], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("tunesmith-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
        names = archive.namelist()
    assert {"tunesmith/py.typed", "tunesmith_plugins/py.typed"} <= set(names)
    scripts = (tmp_path / "site" / next(n for n in names if n.endswith("entry_points.txt"))).read_text()
    for script in ("lightning-cli", "tunesmith"):
        assert f"\n{script} = tunesmith.cli.main:main\n" in scripts
    assert "tunesmith_plugins/recipes/medsync.yaml" in names
    assert "tunesmith_plugins/recipes/bases/mistral-7b.yaml" in names
    assert "tunesmith_plugins/recipes/data/medsync.jsonl" in names
    assert "tunesmith/plugins/draft/templates/evaluator/plugin.py.txt" in names
    assert not [name for name in names if "__pycache__" in name or "/runs/" in name]
    code = (
        "import json, sys; from tunesmith.recipe.shipped import folder, shipped; from tunesmith.cli.main import main; "
        "from tunesmith.recipe.code_identity import Code; import tunesmith_plugins; "
        "code = main(['recipes', 'cp', 'medsync']); print(folder()); print([r.name for r in shipped()]); "
        "print(Code('', frozenset({'tunesmith', 'tunesmith_plugins'})).identity()); sys.exit(code)"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    packaged = tmp_path / "site" / "tunesmith_plugins" / "recipes"
    assert str(packaged) in ran.stdout.splitlines()
    importlib.import_module("tunesmith_plugins")
    here = Code("", frozenset({"tunesmith", "tunesmith_plugins"})).identity()
    assert ran.stdout.splitlines()[-1] == here, "a lock holds under both"
    assert "'medsync'" in ran.stdout
    copied = yaml.safe_load((tmp_path / "medsync.yaml").read_text())
    assert copied["data"]["sources"]["intake"]["path"] == "package://tunesmith_plugins/recipes/data/medsync.jsonl"


# Copies.


SHIPPED = "package://tunesmith_plugins/recipes/"


def found(value: Any) -> Any:
    """The data of a recipe, with the files that its addresses mean."""
    if isinstance(value, dict):
        return {key: found(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [found(inner) for inner in value]
    if isinstance(value, str) and value.startswith(SHIPPED):
        return str(shipped.folder() / value.removeprefix(SHIPPED))  # it may have to be made first
    return str(installed(value)) if isinstance(value, str) and value.startswith("package://") else value


def test_a_copy_elsewhere_names_what_comes_along_by_addresses_that_hold_on_any_machine(here: Path) -> None:
    assert main(["recipes", "cp", "medsync"]) == 0
    text = (here / "medsync.yaml").read_text()
    assert "path: package://tunesmith_plugins/recipes/data/medsync.jsonl" in text
    assert str(CHECKOUT) not in text


def test_what_an_editable_install_has_in_the_checkout_is_found_by_its_address_in_the_package() -> None:
    assert installed("package://tunesmith_plugins/recipes/medsync.yaml") == CHECKOUT / "recipes/medsync.yaml"
    assert compose(["package://tunesmith_plugins/recipes/medsync.yaml"]).name == "medsync"
    with pytest.raises(RecipeError, match=r"there is no medsinc\.yaml in .*; did you mean medsync\.yaml"):
        installed("package://tunesmith_plugins/recipes/medsinc.yaml")


@pytest.mark.parametrize("name", [listed.name for listed in shipped.shipped()])
def test_a_copy_of_any_shipped_recipe_means_the_same(name: str, here: Path) -> None:
    assert main(["recipes", "cp", name, "copies/mine.yaml"]) == 0
    original = packages.find(name)
    assert found(compose(["copies/mine.yaml"]).data) == found(compose([str(original)]).data)
    comments = [line for line in original.read_text().splitlines() if "#" in line]
    copied = [line for line in (here / "copies/mine.yaml").read_text().splitlines() if "#" in line]
    assert len(copied) == len(comments)


def test_the_commands_in_a_copys_comments_can_be_typed(here: Path) -> None:
    assert main(["recipes", "cp", "recipes/medsync.yaml"]) == 0
    text = (here / "medsync.yaml").read_text()
    overlay = "package://tunesmith_plugins/recipes/bases/mistral-7b.yaml"
    assert f"fit --config medsync.yaml --config {overlay}" in text
    assert compose([overlay]).data["model"]
    assert "recipes/medsync.yaml" not in text


def test_a_copy_never_overwrites_unless_told_to(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "medsync.yaml").write_text("precious")
    assert "medsync.yaml is there already" in failure(capsys, "cp", "medsync")
    assert (here / "medsync.yaml").read_text() == "precious"
    assert main(["recipes", "cp", "medsync", "--force"]) == 0
    assert (here / "medsync.yaml").read_text() != "precious"


def test_a_copy_into_a_folder_keeps_its_name(here: Path) -> None:
    assert main(["recipes", "cp", "medsync", "sub/"]) == 0
    assert (here / "sub" / "medsync.yaml").is_file()


def test_an_unknown_recipe_gets_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no recipe called medsinc comes along, or is in an installed package; did you mean medsync?" in failure(
        capsys, "cp", "medsinc"
    )


def test_a_copy_within_one_tree_stays_relative(tmp_path: Path) -> None:
    source = tmp_path / "top" / "recipes" / "a.yaml"
    target = tmp_path / "top" / "mine" / "b.yaml"
    source.parent.mkdir(parents=True)
    target.parent.mkdir()
    (source.parent / "words.txt").touch()
    text = (
        "model:\n  base: ../bases/own   # here\n  template: x.jinja\ndata:\n  sources:\n"
        "    one: &one {path: ['data/a.jsonl', package://p/b.jsonl, ~/c.jsonl, /d.jsonl], formatter: F}\n"
        '    two: {<<: *one, path: "data/o\'hara.csv"}\n'
        "audits: {a: {class_path: B, init_args: {lexicon: ./words.txt, name: not/a/file}}}\n"
    )
    assert yaml.safe_load(relocate(text, source, target)) == {
        "model": {"base": "../bases/own", "template": "../recipes/x.jinja"},
        "data": {
            "sources": {
                "one": {
                    "path": ["../recipes/data/a.jsonl", "package://p/b.jsonl", "~/c.jsonl", "/d.jsonl"],
                    "formatter": "F",
                },
                "two": {"path": "../recipes/data/o'hara.csv", "formatter": "F"},
            }
        },
        "audits": {"a": {"class_path": "B", "init_args": {"lexicon": "../recipes/words.txt", "name": "not/a/file"}}},
    }
    assert "   # here\n" in relocate(text, source, target)


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1)


@given(TEXT)
def test_a_quoted_value_reads_back_as_it_was(value: str) -> None:
    assert yaml.safe_load(f"a: {{b: {quoted(value)}}}   # comment") == {"a": {"b": value}}


# Packages.


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed distribution with recipes that depends on tunesmith, and one that has a YAML file and does not."""
    folder = tmp_path / "site"
    for name, needs in (("acme-recipes", "Requires-Dist: tunesmith>=0.6\n"), ("other", "Requires-Dist: tunesmiths\n")):
        package = folder / name.replace("-", "_")
        (package / "clinic").mkdir(parents=True)
        (package / "__init__.py").write_text("raise RuntimeError('imported')")
        rows(package / "data" / "notes.jsonl", {"prompt": "a", "completion": "b"})
        (package / "notes.yaml").write_text(
            "# Notes of a clinic.\nmodel: {template: ./chat.jinja}\n"
            "data: {sources: {notes: {path: data/notes.jsonl, formatter: PromptCompletion}}}\n"
        )
        (package / "chat.jinja").touch()
        (package / "clinic" / "small.yml").write_text("trainer: {max_steps: 1}\n")
        (package / "clinic" / "other.yaml").write_text("services: {}\n")
        (package / "clinic" / "deep.yaml").write_text("data: " + "[" * 5000)
        info = folder / f"{package.name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{needs}")
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.mark.usefixtures("site")
def test_the_list_shows_recipes_of_packages_by_their_addresses_and_imports_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["recipes", "ls"]) == 0
    said = capsys.readouterr().out.partition("in the installed package acme_recipes\n")[2]
    lines = [line.rstrip() for line in said.splitlines()[:5]]
    assert lines == [
        "  package://acme_recipes/notes.yaml",
        "    Notes of a clinic.",
        "  package://acme_recipes/clinic/small.yml",
        "    an overlay: add it with a second --config. (no comment in its first line)",
        "",
    ]
    assert "package other" not in said
    assert compose(["package://acme_recipes/notes.yaml"]).name == "notes"
    assert "acme_recipes" not in sys.modules


def test_the_list_follows_no_link_out_of_a_package(site: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "own.yaml").write_text("# secret\nmodel: {}\n")
    (site / "acme_recipes/link.yaml").symlink_to(here / "own.yaml")
    (site / "acme_recipes/inner.yaml").symlink_to(site / "acme_recipes/notes.yaml")
    names = [listed.name for listed in packages.packaged()["acme_recipes"]]
    assert "acme_recipes/link" not in names
    assert "acme_recipes/inner" in names


def test_a_package_is_found_by_its_entry_point_too(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (site / "other-1.0.dist-info" / "entry_points.txt").write_text("[tunesmith]\nmine = acme_plugins.mine\n")
    assert main(["recipes", "ls"]) == 0
    assert "package://other/notes.yaml" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["package://acme_recipes/notes.yaml", "acme_recipes/notes", "acme_recipes/notes.yaml"])
def test_a_copy_out_of_a_package_names_its_rows_by_an_address(name: str, site: Path, here: Path) -> None:
    assert main(["recipes", "cp", name, "sub/mine.yaml"]) == 0
    copied = yaml.safe_load((here / "sub/mine.yaml").read_text())
    assert copied["data"]["sources"]["notes"]["path"] == "package://acme_recipes/data/notes.jsonl"
    assert copied["model"]["template"] == str(site / "acme_recipes/chat.jinja")
    assert installed(copied["data"]["sources"]["notes"]["path"]).is_file()


def test_a_copy_says_what_the_package_could_not_have_named(
    site: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (site / "acme_recipes/taking.yaml").write_text(
        "data: {sources: {n: {path: /etc/passwd, formatter: RawText}}}\ntrainer: {default_root_dir: ../elsewhere}\n"
    )
    assert main(["recipes", "cp", "acme_recipes/taking", "mine.yaml"]) == 0
    out = capsys.readouterr().out
    assert "look at data.sources.n.path: /etc/passwd lies outside of the package that it came with" in out
    assert "look at trainer.default_root_dir: ../elsewhere lies outside" in out
    assert main(["recipes", "cp", "acme_recipes/notes", "notes.yaml"]) == 0
    assert "look at" not in capsys.readouterr().out


@pytest.mark.usefixtures("site")
def test_an_unknown_recipe_of_a_package_gets_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean acme_recipes/notes?" in failure(capsys, "cp", "acme_recipes/note")
    assert "did you mean notes.yaml?" in failure(capsys, "cp", "package://acme_recipes/note.yaml")
    assert "is a folder; name a recipe in it" in failure(capsys, "cp", "package://acme_recipes/clinic")


# Drafts.


@pytest.mark.parametrize(
    ("row", "formatter"),
    [
        ({"prompt": "a b", "completion": "c d", "id": "1"}, "PromptCompletion"),
        ({"instruction": "a", "input": "", "output": "b"}, "Instruction"),
        ({"instruction": "a", "response": "b"}, "Instruction"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}, "Messages"),
        ({"chat": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "text": "x"}, "Messages"),
        ({"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}], "id": "1"}, "ShareGPT"),
        ({"messages": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}, "ShareGPT"),
        ({"ask {me}": "a b", "answer": "c d"}, "PromptCompletion"),
        ({"text": "a", "source_id": "x"}, "RawText"),
        ({"ticket": "my printer burns", "team": "hardware"}, "Template"),
        ({"number": 3, "question": "a", "answer": 42, "topic": "maths"}, "Template"),
        ({"text": "a", "label": "b"}, "Template"),
    ],
)
def test_a_drafted_recipe_reads_its_rows(row: dict[str, Any], formatter: str, here: Path) -> None:
    rows(here / "data" / "rows.jsonl", *[row] * 3)
    assert main(["recipes", "new", "sub/mine.yaml", "--data", "data/rows.jsonl"]) == 0
    written = yaml.safe_load((here / "sub" / "mine.yaml").read_text())
    source = written["data"]["sources"]["rows"]
    assert source["path"] == "../data/rows.jsonl"
    spec = source["formatter"] if isinstance(source["formatter"], dict) else {"class_path": source["formatter"]}
    assert spec["class_path"] == formatter
    cls: Any = Catalog.load().find("formatter", formatter)
    example = cls(**spec.get("init_args", {})).format(row)
    assert example.reference or example.segments
    evaluators = {name.partition("/")[0] for name in written["success"]}
    assert evaluators <= written["evaluators"].keys()


def test_a_draft_says_what_to_do_next(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows(here / "rows.jsonl", {"prompt": "a", "completion": "b", "patient": "p1"})
    assert main(["recipes", "new", "mine.yaml", "--data", "rows.jsonl"]) == 0
    said = capsys.readouterr().out
    for verb in ("preview", "fit", "test"):
        assert f"\n  lightning-cli {verb} --config mine.yaml\n" in said
    text = (here / "mine.yaml").read_text()
    assert "columns that are not trained on: patient" in text
    assert all(len(line) <= 120 for line in text.splitlines())


def test_a_draft_takes_the_columns_that_are_named(here: Path) -> None:
    (here / "rows.csv").write_text("number,note,short,long\n1,n,s,l\n")
    (here / "models" / "own").mkdir(parents=True)
    (here / "models" / "own" / "config.json").write_text("{}")
    words = ["--prompt-column", "note", "--completion-column", "long", "--base", "./models/own"]
    assert main(["recipes", "new", "sub/mine.yaml", "--data", "rows.csv", *words]) == 0
    written = yaml.safe_load((here / "sub" / "mine.yaml").read_text())
    options = written["data"]["sources"]["rows"]["formatter"]["init_args"]
    assert options == {"prompt": "{note}", "completion": "{long}"}
    assert written["model"]["base"] == "../models/own"
    assert written["model"]["optimizer"]["init_args"]["lr"] == 2e-4


def test_a_draft_reads_parquet(here: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"question": ["a", "b"], "answer": ["c", "d"]}), here / "rows.parquet")
    assert main(["recipes", "new", "mine.yaml", "--data", "rows.parquet"]) == 0


@pytest.mark.parametrize(
    ("row", "words", "expected"),
    [
        ({"a": "x", "b": "y", "c": "z"}, [], "which is the prompt and which the answer: a (text), b (text), c (text)"),
        ({"a": "x", "n": 3}, [], "say it: --prompt-column NAME --completion-column NAME"),
        ({"a": "x", "b": "y"}, ["--prompt-column", "a"], "--prompt-column is given without --completion-column"),
        (
            {"alpha": "x", "b": "y"},
            ["--prompt-column", "alhpa", "--completion-column", "b"],
            "has no such column; did you mean alpha?",
        ),
        ({"a": "x", "b": "y"}, ["--prompt-column", "a", "--completion-column", "a"], "are both a"),
        ({"prompt": "a", "chosen": "b", "rejected": "c"}, [], "--prompt-column prompt --completion-column chosen"),
        (
            {"c1": [{"from": "gpt", "value": "a"}], "c2": [{"from": "gpt", "value": "a"}]},
            [],
            "ShareGPT (column c1, turns of from and value); ShareGPT (column c2",
        ),
        (
            {"one": [{"role": "user", "content": "a"}], "two": [{"role": "user", "content": "a"}]},
            [],
            "Messages (column one, turns of role and content); Messages (column two",
        ),
        (
            {"a": ["x"], "b": "y"},
            ["--prompt-column", "a", "--completion-column", "b"],
            "--prompt-column a: it holds lists or maps; name a column of text: b",
        ),
        (
            {"a": "x", "b": None},
            ["--prompt-column", "a", "--completion-column", "b"],
            "--completion-column b: it holds nothing",
        ),
    ],
)
def test_columns_that_do_not_say_what_they_are_are_asked_for(
    row: dict[str, Any], words: list[str], expected: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows(here / "rows.jsonl", row)
    assert expected in failure(capsys, "new", "mine.yaml", "--data", "rows.jsonl", *words)
    assert not (here / "mine.yaml").exists()


def test_a_draft_is_refused_where_the_file_is_missing_empty_or_the_name_taken(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows(here / "rows.jsonl", {"prompt": "a", "completion": "b"})
    rows(here / "none.jsonl")
    (here / "taken.yaml").touch()
    assert "did you mean rows.jsonl?" in failure(capsys, "new", "mine.yaml", "--data", "row.jsonl")
    assert "no row could be read" in failure(capsys, "new", "mine.yaml", "--data", "none.jsonl")
    assert "is there already" in failure(capsys, "new", "taken.yaml", "--data", "rows.jsonl")
    assert "ends in .yaml" in failure(capsys, "new", "mine", "--data", "rows.jsonl")
    assert "--data" in failure(capsys, "new", "mine.yaml")


def test_names_of_columns_and_files_cannot_write_into_the_recipe(here: Path) -> None:
    ask, more = "Question\naudits: {r: Representation}\n#", "note\x07\r\nsuccess: {}"
    (here / "ro\nws.jsonl").write_text(json.dumps({ask: "a", "Answer": "b", more: "c"}) + "\n")
    words = ["--prompt-column", ask, "--completion-column", "Answer"]
    assert main(["recipes", "new", "mine.yaml", "--data", "ro\nws.jsonl", *words]) == 0
    written = yaml.safe_load((here / "mine.yaml").read_text())
    assert "audits" not in written
    assert written["success"]
    assert written["data"]["sources"]["rows"]["path"] == "./ro\nws.jsonl"


FORMATTERS = formatters_of(Catalog.load(allow=()))


@settings(max_examples=50)
@given(TEXT, TEXT)
def test_any_two_column_names_make_a_recipe_that_reads_back(ask: str, answer: str) -> None:
    if ask == answer:
        return
    columns = FileColumns(({ask: "x", answer: "y" * 100},), (ask, answer), (ask, answer), Path("a b") / "rows.csv")
    choice = choose(columns, FORMATTERS, ask, answer)
    written = yaml.safe_load(draft(columns, choice, Path("sub/mine.yaml"), None))
    spec = written["data"]["sources"]["rows"]["formatter"]
    if (ask, answer) != ("prompt", "completion"):
        braces = {"{", "}"} & {*ask, *answer}
        wanted = (ask, answer) if braces else (f"{{{ask}}}", f"{{{answer}}}")
        assert tuple(spec["init_args"].values()) == wanted
        assert spec["class_path"] == ("PromptCompletion" if braces else "Template")
    assert written["data"]["sources"]["rows"]["path"] == "../a b/rows.csv"
    assert written["generation"]["max_new_tokens"] == 48


# Checks.


class Toy:
    def __init__(self, max_epochs: int, name: str = "") -> None:
        self.max_epochs, self.name = max_epochs, name


@pytest.fixture
def sections(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real schema against a recipe with one section, so that no test here loads torch."""

    def check_recipe(configs: list[str], plugins: list[str], trust: list[str], rows: int) -> Any:
        recipe = compose(configs)
        catalog = Catalog.load(recipe.data.get("plugins"), extra_files=[Path(p) for p in plugins])
        check(recipe, catalog, {"trainer": Toy, "plugins": list[str]}, trust=trust)
        absent = ["rows.jsonl does not exist"] if recipe.data["trainer"].get("name") == "absent" else []
        return types.SimpleNamespace(absent=absent, remarks=[])

    module = types.ModuleType("tunesmith.cli.check")
    module.check_recipe = check_recipe  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tunesmith.cli.check", module)


@pytest.mark.usefixtures("sections")
def test_each_recipe_is_checked_and_one_that_is_wrong_stops_no_other(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "good.yaml").write_text("trainer: {max_epochs: 1}\n")
    (here / "typo.yaml").write_text("trainer: {max_epoch: 1}\n")
    (here / "absent_package.yaml").write_text("trainer: {max_epochs: 1}\nplugins: [acme-gone]\n")
    assert main(["recipes", "check", "typo.yaml", "good.yaml", "gone.yaml", "absent_package.yaml"]) == 2
    said = capsys.readouterr().out
    assert "typo.yaml: wrong\n  " in said
    assert "did you mean max_epochs?" in said
    assert "\ngood.yaml: good\n" in said
    assert "\ngone.yaml: wrong\n  gone.yaml does not exist" in said
    assert "no plugin package acme-gone is installed" in said
    assert main(["recipes", "check", "good.yaml"]) == 0


@pytest.mark.usefixtures("sections")
def test_an_overlay_is_checked_over_its_recipe(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "good.yaml").write_text("trainer: {max_epochs: 1}\n")
    (here / "over.yaml").write_text("trainer: {name: 3}\n")
    assert main(["recipes", "check", "good.yaml", "--overlay", "over.yaml"]) == 2
    assert "over.yaml" in capsys.readouterr().out.partition("good.yaml: wrong")[2]


@pytest.mark.usefixtures("sections")
def test_a_misspelt_key_is_told_though_null_stands_there(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "good.yaml").write_text("trainer: {max_epochs: 1, name: a}\n")
    (here / "over.yaml").write_text("trainer: {nmae: null}\n")
    assert main(["recipes", "check", "good.yaml", "--overlay", "over.yaml"]) == 2
    assert "over.yaml: trainer.nmae is not a key of trainer; did you mean name?" in capsys.readouterr().out
    (here / "over.yaml").write_text("trainer: {name: null}\n")
    assert main(["recipes", "check", "good.yaml", "--overlay", "over.yaml"]) == 0


@pytest.mark.usefixtures("sections")
def test_a_recipe_is_good_where_its_data_is_not_and_that_is_told(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "good.yaml").write_text("trainer: {max_epochs: 1, name: absent}\n")
    assert main(["recipes", "check", "good.yaml"]) == 0
    assert capsys.readouterr().out == "good.yaml: good, but 1 file is absent:\n  rows.jsonl does not exist\n"


def test_an_overlay_that_is_checked_alone_is_told_how(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "over.yaml").write_text("model: {base: ./x, optimizer: {init_args: {lr: 1.0e-4}}}\n")
    assert main(["recipes", "check", "over.yaml"]) == 2
    way = "lightning-cli recipes check RECIPE.yaml --overlay over.yaml"
    said = f"over.yaml: wrong\n  over.yaml: data is missing; an overlay never runs alone: {way}\n"
    assert capsys.readouterr().out == said


def test_a_copied_overlay_is_to_be_checked_over_a_recipe(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "over.yaml").write_text("trainer: {max_epochs: 1}\n")
    (here / "mine.yaml").write_text("data: {sources: {}}\n")
    for name, words in (("over", "check RECIPE.yaml --overlay copy/over.yaml\n"), ("mine", "check copy/mine.yaml\n")):
        assert main(["recipes", "cp", f"{name}.yaml", f"copy/{name}.yaml"]) == 0
        assert words in capsys.readouterr().out


@pytest.mark.usefixtures("sections")
def test_what_is_no_file_is_not_said_to_be_absent(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "good.yaml").write_text("trainer: {max_epochs: 1}\n")
    (here / "link.yaml").symlink_to(here / "gone.yaml")
    os.mkfifo(here / "pipe.jsonl")
    long = "x" * 300 + ".yaml"
    assert main(["recipes", "check", "/dev/null", ".", "link.yaml", "god.yaml", "~nobody-here/r.yaml", long]) == 2
    assert capsys.readouterr().out.splitlines()[1::2] == [
        "  /dev/null is no regular file but a device, a pipe or a socket",
        "  . is a folder; name a file in it",
        "  link.yaml is a link that leads to no file",
        "  god.yaml does not exist; did you mean good.yaml?",
        f"  ~nobody-here/r.yaml does not exist; there is no folder {here}/~nobody-here",
        f"  {long} cannot be read: File name too long",
    ]
    assert "--data pipe.jsonl is no regular file" in failure(capsys, "new", "mine.yaml", "--data", "pipe.jsonl")
    assert "--data . is a folder" in failure(capsys, "new", "mine.yaml", "--data", ".")
