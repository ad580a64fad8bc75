"""What identifies the code that a run was made with: the same under a checkout and under a wheel of it."""

import importlib
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hatchling.build import build_editable, build_wheel

from tunesmith.errors import RecipeError
from tunesmith.plugins.catalog import Entry
from tunesmith.recipe import code_identity
from tunesmith.recipe.code_identity import Code, is_same, plugin_code, trusted_code
from tunesmith.recipe.lock import FORMAT, compare

LOCK = ("recipes", "lock", "tiny.yaml")
FIT = ("fit", "--config", "tiny.yaml")
PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "acme-lock"
version = "1.0"
[project.entry-points.tunesmith]
acme = "acme_lock"
[tool.hatch.build]
dev-mode-dirs = ["src"]
[tool.hatch.build.targets.wheel]
packages = ["src/acme_lock"]
"""
FILES = {
    "__init__.py": (
        "from tunesmith import hookimpl\nfrom acme_lock.part import Kept\n\n\n"
        "@hookimpl\ndef tunesmith_register_formatters():\n    return [Kept]\n"
    ),
    "part.py": (
        "from tunesmith import Example, Formatter, Message\nfrom acme_lock.inner.base import ENDING\n\n\n"
        'class Kept(Formatter):\n    """Reads a note."""\n\n'
        "    def format(self, row):\n        answer = row['completion'] + ENDING\n"
        "        return Example(messages=(Message('user', row['prompt']), Message('assistant', answer, 1.0)))\n"
    ),
    "inner/__init__.py": "",
    "inner/base.py": "ENDING = '.'\n",
    "inner/words.txt": "one\n",
}


class Project:
    """A plugin package's source, and what was installed of it."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.package = folder / "src/acme_lock"
        self.patch = patch
        self.before = list(sys.path)
        (folder / "dist").mkdir(parents=True)
        (folder / "pyproject.toml").write_text(PROJECT)
        for name, text in FILES.items():
            self.write(name, text)

    def write(self, name: str, text: str) -> None:
        """Write a file of the package."""
        (self.package / name).parent.mkdir(parents=True, exist_ok=True)
        (self.package / name).write_text(text)

    def install(self, kind: str) -> None:
        """Make `import acme_lock` mean the package as it is now, as a wheel or as an editable install."""
        build, where = (build_wheel, []) if kind == "wheel" else (build_editable, [str(self.folder / "src")])
        site = self.folder / f"site{len(list(self.folder.glob('site*')))}"
        with self.patch.context() as there:
            there.chdir(self.folder)
            name = build(str(self.folder / "dist"))
        with zipfile.ZipFile(self.folder / "dist" / name) as archive:
            archive.extractall(site)
        forget()
        # what a .pth file of a folder that is no site says
        self.patch.setattr(sys, "path", [str(site), *where, *self.before])
        importlib.invalidate_caches()

    def identity(self, version: str = "1.0") -> str:
        """What identifies it, imported anew."""
        forget()
        importlib.invalidate_caches()
        cls = importlib.import_module("acme_lock.part").Kept
        return plugin_code([Entry("formatter", cls, "acme-lock", version)])["acme-lock"]


def forget(package: str = "acme_lock") -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        del sys.modules[name]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    yield Project(tmp_path / "project", monkeypatch)
    forget()


@pytest.mark.parametrize(("first", "second"), [("editable", "wheel"), ("wheel", "editable")])
def test_a_lock_holds_under_the_other_kind_of_install_and_not_under_other_code(
    bench: Any, project: Project, first: str, second: str
) -> None:
    bench.write(data={"sources": {"notes": {"formatter": "Kept"}}})
    project.install(first)
    bench.done(*LOCK)
    project.install(second)
    assert bench.done(*LOCK, "--check").out == "tiny.lock holds\n"
    project.write("inner/base.py", "ENDING = '!'\n")
    project.install(second)
    title, line, way = bench.done(*LOCK, "--check", code=2).err.splitlines()
    assert title == "tiny.lock does not hold, 1 difference:"
    assert line.startswith("  plugin package acme-lock: 1.0+")
    assert way.endswith("or lock what is there now: lightning-cli recipes lock tiny.yaml")
    project.write("inner/base.py", FILES["inner/base.py"])
    text = (project.folder / "pyproject.toml").read_text()
    (project.folder / "pyproject.toml").write_text(text.replace('"1.0"', '"1.1"'))
    project.install(second)
    assert bench.done(*LOCK, "--check").out == "tiny.lock holds\n", "a version is for people"


def test_a_run_goes_on_under_the_other_kind_of_install_and_not_under_other_code(bench: Any, project: Project) -> None:
    bench.write(data={"sources": {"notes": {"formatter": "Kept"}}}, trainer={"max_steps": 2})
    project.install("editable")
    bench.done(*FIT)
    (run,) = bench.runs()
    further = (*FIT, "--run", str(run), "--ckpt_path", "last", "--trainer.max_steps")
    project.install("wheel")
    bench.done(*further, "3")
    project.write("inner/base.py", "ENDING = '.'  # and no more\n")
    project.install("wheel")
    said, way = bench.done(*further, "4", code=2).err.splitlines()
    then = json.loads((run / "lock.json").read_text())["plugins"]["acme-lock"]
    assert said.startswith(f"plugin package acme-lock is not what {run}/lock.json was made from: {then} then, 1.0+")
    assert way == "restore it, or go on with --relock"
    own = ("fit", "--config", str(run / "config.yaml"), "--locked")
    said, way = bench.done(*own, "--trainer.max_steps=3", code=2).err.splitlines()
    assert said.startswith("plugin package acme-lock is not what ")
    assert way == "restore it, or leave --locked out"


def test_locks_of_an_earlier_form_are_told_apart_from_a_change(bench: Any) -> None:
    bench.done(*LOCK)
    lock = bench.folder / "tiny.lock"
    lock.write_text(lock.read_text().replace(f"\nlock: {FORMAT}\n", "\nlock: 1\n"))
    said = bench.done(*FIT, "--locked", code=2).err
    assert said.startswith(f"{lock} was written by an earlier tunesmith, which told code in another way; write it anew")
    assert said.endswith("with: lightning-cli recipes lock tiny.yaml\n")
    assert bench.done(*LOCK).out == "wrote tiny.lock\nnext:\n  lightning-cli fit --config tiny.yaml --locked\n"
    bench.done(*FIT)
    (run,) = bench.runs()
    content = json.loads((run / "lock.json").read_text())
    old = {name: value for name, value in content.items() if name not in ("lock", "code")}
    (run / "lock.json").write_text(json.dumps({**old, "version": "0.6.0", "plugins": {"tunesmith": "0.6.0"}}))
    further = (*FIT, "--ckpt_path", "last", "--run", str(run), "--trainer.max_steps=5")
    said = bench.done(*further, code=2).err
    assert said.startswith(f"{run}/lock.json, written by tunesmith 0.6.0, tells code in another way than this one")
    assert said.endswith("\nuse that version, or go on with --relock\n")
    bench.done(*further, "--relock")
    assert json.loads((run / "lock.json").read_text()).keys() == content.keys()


def test_what_decides_no_result_is_left_out_and_all_else_counts(project: Project) -> None:
    project.install("editable")
    before = project.identity()
    assert before.startswith("1.0+")
    assert project.identity("2.0") == before.replace("1.0", "2.0")
    for name in ("README.md", ".cache/part.py", "py.typed", "mine.lock", "inner/__pycache__/base.cpython-311.pyc"):
        project.write(name, "changed")
        assert project.identity() == before, name
    project.write("inner2/words.txt", "one\n")
    (project.package / "inner/words.txt").unlink()
    moved = project.identity()
    project.write("inner2/words.txt", "two\n")
    changed = project.identity()
    assert len({before, moved, changed}) == 3, "data counts, and where it lies"
    project.write("inner/base.py", "ENDING = '!'\n")
    assert project.identity() not in (before, moved, changed)


def test_files_that_nothing_changes_are_read_once(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.install("editable")
    real, read = code_identity.file_hash, []
    monkeypatch.setattr(code_identity, "file_hash", lambda path: (read.append(path.name), real(path))[1])
    before = project.identity()
    names = sorted(Path(name).name for name in FILES)
    assert sorted(read) == names
    project.identity()
    assert sorted(read) == sorted(2 * names), "a change of just now might bear the same time"
    monkeypatch.setattr(code_identity, "_TICK", 0)
    project.identity()
    read.clear()
    assert project.identity() == before
    assert not read
    project.write("inner/base.py", "ENDING = '!'\n")
    assert project.identity() != before
    assert read == ["base.py"]


def test_of_compiled_modules_the_release_is_all_that_is_the_same_on_every_machine(project: Project) -> None:
    project.install("editable")
    plain = project.identity()
    project.write("fast.cpython-311-x86_64-linux-gnu.so", "for one")
    before, other = project.identity(), project.identity("2.0")
    assert not is_same(before, plain)
    assert not is_same(before, other)
    (project.package / "fast.cpython-311-x86_64-linux-gnu.so").unlink()
    project.write("fast.cpython-312-darwin.so", "for another")
    assert project.identity() == before


def test_of_a_lone_module_and_of_a_part_of_a_namespace_the_neighbours_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    (tmp_path / "lone_lock.py").write_text("a = 1")
    (tmp_path / "shared_lock/acme").mkdir(parents=True)
    (tmp_path / "shared_lock/acme/__init__.py").write_text("a = 1")
    (tmp_path / "shared_lock/acme/part.py").write_text("a = 1")
    names = ("lone_lock", "shared_lock.acme.part")
    for name in names:
        importlib.import_module(name)
    before = [Code("1.0", frozenset({name})).identity() for name in names]
    (tmp_path / "neighbour_lock.py").write_text("a = 2")
    (tmp_path / "shared_lock/other.py").write_text("a = 2")
    assert [Code("1.0", frozenset({name})).identity() for name in names] == before
    (tmp_path / "lone_lock.py").write_text("a = 2")
    (tmp_path / "shared_lock/acme/more.py").write_text("a = 2")
    after = [Code("1.0", frozenset({name})).identity() for name in names]
    assert not set(after) & set(before)


def test_a_file_of_the_users_own_keeps_the_version_that_it_has(project: Project) -> None:
    project.install("editable")
    cls = importlib.import_module("acme_lock.part").Kept
    assert plugin_code([Entry("formatter", cls, "./mine.py", "0123abcd")]) == {"./mine.py": "0123abcd"}


@pytest.fixture
def base_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of somebody else, in which lies the class that a plugin inherits from."""
    folder = tmp_path / "others" / "acme_base"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(FILES["part.py"].replace("acme_lock.inner.base", "acme_base.end"))
    (folder / "end.py").write_text("ENDING = '.'\n")
    monkeypatch.syspath_prepend(str(folder.parent))
    yield folder
    forget("acme_base")


def inheriting(base: str) -> str:
    return f'from {base} import Kept as Base\n\n\nclass Kept(Base):\n    """Reads a note as others do."""\n'


def test_a_lock_holds_the_code_that_a_plugin_inherits_from_another_package(
    bench: Any, project: Project, base_package: Path
) -> None:
    project.write("part.py", inheriting("acme_base"))
    project.before = list(sys.path)
    bench.write(data={"sources": {"notes": {"formatter": "acme_lock.part.Kept"}}})
    project.install("editable")
    bench.done(*LOCK)
    # in a module that no base class lies in, but of the package
    (base_package / "end.py").write_text("ENDING = '!'\n")
    title, line, _ = bench.done(*LOCK, "--check", code=2).err.splitlines()
    assert title == "tiny.lock does not hold, 1 difference:"
    assert line.startswith("  plugin package acme_base: +")


def test_of_bases_that_are_known_otherwise_nothing_is_added(project: Project) -> None:
    project.write(
        "part.py",
        "from typing import Generic, TypeVar\n\nfrom torch import nn\n\nfrom acme_lock.inner.base import Own\n"
        "from tunesmith_plugins.formatters.prompt_completion import PromptCompletion\n\n\n"
        "class Kept(Own, Generic[TypeVar('T')], PromptCompletion, nn.Module):\n    pass\n",
    )
    project.write("inner/base.py", "class Own:\n    pass\n")
    project.install("editable")
    cls = importlib.import_module("acme_lock.part").Kept
    (base,) = (one for one in cls.__mro__ if one.__name__ == "PromptCompletion")
    entry, builtin = Entry("formatter", cls, "acme-lock", "1.0"), Entry("formatter", base, "tunesmith", "1")
    assert list(plugin_code([entry])) == ["acme-lock", "tunesmith_plugins"]
    assert list(plugin_code([entry, builtin])) == ["acme-lock", "tunesmith"], "which holds the built-ins whole"


def test_what_a_trusted_class_inherits_from_another_package_is_recorded(project: Project, base_package: Path) -> None:
    project.write("part.py", inheriting("acme_base"))
    project.before = list(sys.path)
    project.install("editable")
    importlib.import_module("acme_lock.part")
    then = trusted_code(["acme_lock.part.Kept"], ["acme_lock"])
    (base_package / "__init__.py").write_text("# other\n")
    assert trusted_code(["acme_lock.part.Kept"], ["acme_lock"]) != then


def test_what_only_trust_allows_is_recorded_and_a_change_is_refused(project: Project, tmp_path: Path) -> None:
    project.install("editable")
    importlib.import_module("acme_lock")
    named = ["acme_lock.part.Kept", "acme_locker.part.Kept", "torch.optim.AdamW"]
    then = trusted_code(named, ["acme_lock"])
    assert list(then) == ["acme_lock.part.Kept"]
    project.write("inner/base.py", "ENDING = '!'\n")
    assert trusted_code(named, ["acme_lock"]) == then, "of what the class imports nothing is known"
    compare({"lock": FORMAT, "trusted": then}, {"trusted": then}, tmp_path, "")
    project.write("part.py", FILES["part.py"] + "# more\n")
    with pytest.raises(RecipeError, match=r"^trusted class acme_lock\.part\.Kept is not what "):
        compare({"lock": FORMAT, "trusted": then}, {"trusted": trusted_code(named, ["acme_lock"])}, tmp_path, "")
