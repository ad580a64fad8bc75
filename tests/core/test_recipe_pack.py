"""`recipes pack`: the recipe with what it names, and nothing that was not meant or that runs."""

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tunesmith.errors import RecipeError
from tunesmith.recipe.compose import compose
from tunesmith.recipe.pack import Pack, Packer
from tunesmith.recipe.pack_project import import_name, project

EMBEDDED = "package://tunesmith_plugins/bases/tiny-mistral"
RECIPE = """\
# Notes.   The comments stay.
model: {base: acme/base, template: chat.jinja}
data:
  sources:
    one: {path: data/one.jsonl, formatter: PromptCompletion}   # here
    many: {path: [data/many/*.jsonl, package://acme/x.jsonl, hf://acme/rows], formatter: PromptCompletion}
  curators: {names: {class_path: Names, init_args: {lexicon: words/names.txt, label: not/a/file}}}
"""


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a recipe and what it names, beside another folder."""
    home = tmp_path / "team"
    for name in ("data/one.jsonl", "data/many/a.jsonl", "data/many/b.jsonl", "words/names.txt", "chat.jinja"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(name)
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/rows.jsonl").write_text("shared")
    (home / "mine.yaml").write_text(RECIPE)
    monkeypatch.chdir(home)
    return home


def packed(with_data: bool = True, copy_in: bool = False, overlays: tuple[str, ...] = ()) -> Pack:
    return Packer(Path("mine.yaml"), [Path(o) for o in overlays], with_data=with_data, copy_in=copy_in).gather()


def refusal(**options: Any) -> str:
    with pytest.raises(RecipeError) as caught:
        packed(**options)
    return str(caught.value)


@pytest.mark.usefixtures("team")
def test_what_lies_in_the_recipes_folder_is_packed_as_it_lies_there() -> None:
    found = packed()
    assert found.texts == {"mine.yaml": RECIPE}
    assert set(found.files) == {
        "chat.jinja",
        "data/one.jsonl",
        "data/many/a.jsonl",
        "data/many/b.jsonl",
        "words/names.txt",
    }
    assert set(found.rows) == {"data/one.jsonl", "data/many/a.jsonl", "data/many/b.jsonl"}
    assert found.notes == []


@pytest.mark.usefixtures("team")
def test_rows_can_be_left_out_and_then_need_not_be_there() -> None:
    Path("data/one.jsonl").unlink()
    found = packed(with_data=False)
    assert set(found.files) == {"chat.jinja", "words/names.txt"}
    assert "left out: data/many/a.jsonl" in found.notes
    assert "left out: data/one.jsonl, which is not here either" in found.notes
    assert "mine.yaml: data.sources.one.path: data/one.jsonl does not exist" in refusal()


@pytest.mark.usefixtures("team")
def test_rows_and_bases_of_stages_are_rows_and_bases() -> None:
    stages = "stages:\n  first: {data: {sources: {one: {path: data/many/a.jsonl}}}}\n  last: {}\n"
    Path("mine.yaml").write_text(RECIPE + stages)
    assert "data/many/a.jsonl" in packed(with_data=False).rows
    Path("mine.yaml").write_text(RECIPE + stages.replace("{data", "{model: {base: ./data}, data"))
    assert "stages.first.model.base: ./data is a base on this machine" in refusal()


@pytest.mark.parametrize("how", ["../shared/rows.jsonl", "{absolute}", "data/../../shared/rows.jsonl"])
def test_what_lies_elsewhere_is_refused_or_copied_in_and_said(how: str, team: Path) -> None:
    outside = how.format(absolute=team.parent / "shared/rows.jsonl")
    Path("mine.yaml").write_text(RECIPE.replace("data/one.jsonl", outside))
    said = refusal()
    assert said.startswith(f"mine.yaml: data.sources.one.path: {outside} lies outside of the recipe's folder {team}; ")
    assert "--copy-in takes a copy of it" in said
    found = packed(copy_in=True)
    assert found.notes == [f"copied in: {team.parent}/shared/rows.jsonl as data/rows.jsonl"]
    assert found.files["data/rows.jsonl"].read_text() == "shared"
    assert "one: {path: ./data/rows.jsonl, formatter: PromptCompletion}   # here" in found.texts["mine.yaml"]
    assert str(team) not in found.texts["mine.yaml"]


@pytest.mark.parametrize("link", ["data/one.jsonl", "data"])
def test_symbolic_links_are_refused_or_copied_in_and_said(link: str, team: Path) -> None:
    target = team.parent / "elsewhere"
    (team / link).rename(target)
    (team / link).symlink_to(target)
    said = refusal()
    assert f"is reached through a symbolic link ({Path(link).name} -> {target}); --copy-in" in said
    assert any(note.startswith("copied in: ") for note in packed(copy_in=True).notes)


@pytest.mark.usefixtures("team")
def test_all_that_is_wrong_is_named_at_once() -> None:
    Path("words/names.py").touch()
    Path("base").mkdir()
    text = RECIPE.replace("acme/base", "./base").replace("names.txt", "names.py").replace("data/one", "data/gone")
    Path("mine.yaml").write_text(text.replace("data/many/*", "../*/*"))
    said = refusal()
    assert "model.base: ./base is a base on this machine; a package carries none" in said
    assert "lexicon: words/names.py is code, or may hold some (.py)" in said
    assert "data/gone.jsonl does not exist" in said
    assert "../*/*.jsonl lies outside" in said
    assert "names files of several folders" in refusal(copy_in=True)


def test_two_files_from_elsewhere_never_become_one(team: Path) -> None:
    (team / "data/rows.jsonl").write_text("of the folder")
    sources = {
        "a": {"path": "../shared/rows.jsonl"},
        "b": {"path": str(team.parent / "other/rows.jsonl")},
        "c": {"path": "../shared/*.jsonl"},
        "d": {"path": "../shared/rows.jsonl"},
        "e": {"path": "data/rows.jsonl"},
    }
    (team.parent / "other").mkdir()
    (team.parent / "other/rows.jsonl").write_text("other")
    Path("mine.yaml").write_text(yaml.safe_dump({"data": {"sources": sources}}))
    found = packed(copy_in=True)
    written = team.parent / "package"
    for inner, file in found.files.items():
        (written / inner).parent.mkdir(parents=True, exist_ok=True)
        (written / inner).write_text(file.read_text())
    (written / "mine.yaml").write_text(found.texts["mine.yaml"])
    paths = {name: s["path"] for name, s in compose([str(written / "mine.yaml")]).data["data"]["sources"].items()}
    texts = {
        name: [p.read_text() for p in sorted(Path(path).parent.glob(Path(path).name))] for name, path in paths.items()
    }
    assert texts == {"a": ["shared"], "b": ["other"], "c": ["shared"], "d": ["shared"], "e": ["of the folder"]}
    assert all(path.startswith(str(written)) for path in paths.values())


def test_an_overlay_from_anywhere_goes_with_it_and_its_paths_hold(team: Path) -> None:
    overlay = team.parent / "shared/small.yaml"
    overlay.write_text("data: {sources: {one: {path: ../team/data/many/a.jsonl}}}\n")
    Path("near.yaml").write_text("data: {sources: {one: {path: data/many/b.jsonl}}}\n")
    found = packed(overlays=(str(overlay), "near.yaml"))
    assert set(found.texts) == {"mine.yaml", "near.yaml", "overlays/small.yaml"}
    assert yaml.safe_load(found.texts["overlays/small.yaml"]) == {
        "data": {"sources": {"one": {"path": "../data/many/a.jsonl"}}}
    }
    assert found.texts["near.yaml"] == Path("near.yaml").read_text()


@pytest.mark.parametrize("name", ["1acme", "acme recipes", "-acme", "", "class", "tunesmith", "json", "../x", "acmé/x"])
def test_names_that_no_package_may_have_are_refused(name: str) -> None:
    with pytest.raises(RecipeError, match=r"^--name "):
        import_name(name)


@pytest.mark.parametrize(
    ("name", "other"), [("torch", "torch"), ("lightning_utilities", "lightning-utilities"), ("yaml", "PyYAML")]
)
def test_a_name_that_would_replace_or_hide_what_is_installed_is_refused(name: str, other: str) -> None:
    with pytest.raises(RecipeError, match=rf"^--name {name}: {other} is installed, and no package of recipes"):
        import_name(name)


def test_the_project_is_toml_whatever_the_recipe_says_of_itself() -> None:
    says = 'Quotes " and \\ and 🙂 and \x7f'
    absent = ["data.sources.notes"]
    made = project("acme-recipes", "1.0", says, ["tunesmith>=0.6"], recipe="mine.yaml", locked=True, absent=absent)
    found = tomllib.loads(made["pyproject.toml"])
    assert found["project"]["description"] == says
    assert found["project"]["dependencies"] == ["tunesmith>=0.6"]
    assert found["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["src/acme_recipes"]
    assert "package://acme_recipes/mine.yaml --locked" in made["README.md"]
    assert "--data.sources.notes.path=FILE" in made["README.md"]


@pytest.mark.slow
def test_a_packed_recipe_is_installed_listed_and_trained_by_others_under_its_lock(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write(model={"base": EMBEDDED}, requires=["pluggy>=1.0"], trainer={"max_steps": 2})
    (bench.folder / ".gitignore").write_text("*.jsonl\n")
    bench.done("recipes", "lock", "tiny.yaml")
    ran = bench.done("recipes", "pack", "tiny.yaml", "--name", "acme-recipes")
    assert "who gets the package gets the rows in rows.jsonl; --no-data leaves them out" in ran.out
    assert "fit --config package://acme_recipes/tiny.yaml --locked" in ran.out
    root, site, other = (bench.folder / name for name in ("acme-recipes", "site", "other"))
    names = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    inside = {f"src/acme_recipes/{name}" for name in ("__init__.py", "tiny.yaml", "tiny.lock", "rows.jsonl")}
    assert names == {".gitignore", "pyproject.toml", "README.md", *inside}
    dependencies = tomllib.loads((root / "pyproject.toml").read_text())["project"]["dependencies"]
    assert [one.partition(">=")[0] for one in dependencies] == ["tunesmith", "pluggy"]
    assert "is there already" in bench.done("recipes", "pack", "tiny.yaml", "--name", "acme-recipes", code=2).err

    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--no-warn-conflicts"]
    install = [sys.executable, "-m", "pip", "install", *offline, "--target", str(site), str(root)]
    subprocess.run(install, check=True, capture_output=True)
    other.mkdir()
    monkeypatch.chdir(other)
    monkeypatch.syspath_prepend(str(site))
    installed = {path.name for path in (site / "acme_recipes").iterdir() if path.is_file()}
    assert installed == {"__init__.py", "tiny.yaml", "tiny.lock", "rows.jsonl"}
    assert "\n  package://acme_recipes/tiny.yaml\n" in bench.done("recipes", "ls").out
    before = sorted(site.rglob("*"))
    assert "tiny.lock holds" in bench.done("fit", "--config", "package://acme_recipes/tiny.yaml", "--locked").out
    assert list(other.glob("runs/tiny/*/adapter/adapter_model.safetensors"))
    assert sorted(site.rglob("*")) == before, "nothing is written into an installed package"
    assert bench.done("recipes", "lock", "--check", "package://acme_recipes/tiny.yaml").out == "tiny.lock holds\n"
    said = bench.done("recipes", "lock", "package://acme_recipes/tiny.yaml", code=2).err
    assert "is part of an installed package, where no lock can be written beside it; lock a copy" in said
    bench.done("recipes", "cp", "acme_recipes/tiny")
    copied = yaml.safe_load((other / "tiny.yaml").read_text())
    assert copied["data"]["sources"]["notes"]["path"] == "package://acme_recipes/rows.jsonl"
    with (site / "acme_recipes/rows.jsonl").open("a") as rows:
        rows.write('{"prompt": "one more", "completion": "yes"}\n')
    refused = bench.done("fit", "--config", "package://acme_recipes/tiny.yaml", "--locked", code=2).err.splitlines()
    assert refused[1].startswith("  data source notes: sha256:")
    assert refused[-1].endswith(": lightning-cli recipes cp package://acme_recipes/tiny.yaml, and lock the copy")


def test_a_recipe_that_is_wrong_or_whose_lock_does_not_hold_is_not_packed(bench: Any) -> None:
    bench.write(model={"base": EMBEDDED})
    bench.done("recipes", "lock", "tiny.yaml")
    bench.write(model={"base": EMBEDDED}, data={"batch_size": 2})
    assert "tiny.lock does not hold" in bench.done("recipes", "pack", "tiny.yaml", code=2).err
    bench.write(data={"batch_sise": 2})
    assert "did you mean batch_size" in bench.done("recipes", "pack", "tiny.yaml", code=2).err
    bench.write(model={"base": EMBEDDED})
    assert "cannot be written" in bench.done("recipes", "pack", "tiny.yaml", "--output", "rows.jsonl/x", code=2).err
    bench.write(data={"batch_sise": 2})
    assert "is no version" in bench.done("recipes", "pack", "tiny.yaml", "--version", "x", code=2).err
    assert not (bench.folder / "tiny-recipes").exists()


def test_what_is_said_next_can_be_done(bench: Any) -> None:
    bench.write(model={"base": EMBEDDED})
    (bench.folder / "over.yaml").write_text("data: {batch_size: 2}\n")
    (bench.folder / "tiny.lock").unlink(missing_ok=True)
    bench.done("recipes", "lock", "tiny.yaml", "--overlay", "over.yaml")
    out = bench.done("recipes", "pack", "tiny.yaml", "--overlay", "over.yaml", "--no-data").out
    # the lock is of both; the recipe alone has none
    assert out.endswith("fit --config package://tiny_recipes/tiny.yaml --data.sources.notes.path=FILE\n")
    assert "--locked" not in (bench.folder / "tiny-recipes/README.md").read_text()
    bench.done("recipes", "lock", "tiny.yaml")
    out = bench.done("recipes", "pack", "tiny.yaml", "--output", "again").out
    assert out.endswith("fit --config package://tiny_recipes/tiny.yaml --locked\n")
    assert "tiny.yaml --locked" in (bench.folder / "again/README.md").read_text()


def test_git_takes_a_package_and_its_rows_and_leaves_what_building_and_testing_made(team: Path) -> None:
    package = team / "acme"
    made = ("dist/acme.whl", ".hypothesis/x", "src/acme_recipes/__pycache__/x.pyc", "runs/mine/x", ".pytest_cache/x")
    kept = ("src/acme_recipes/runs/rows.jsonl", "src/acme_recipes/dist/rows.jsonl")
    files = project("acme-recipes", "1.0", "", [], recipe="mine.yaml", locked=False, absent=[])
    for name, text in {**files, **dict.fromkeys((*made, *kept), "")}.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    subprocess.run(["git", "init", "-q"], cwd=package, check=True)
    listed = ["git", "ls-files", "--others", "--exclude-standard"]
    found = subprocess.run(listed, cwd=package, check=True, capture_output=True, text=True).stdout.split()
    assert set(found) == {*files, *kept}
