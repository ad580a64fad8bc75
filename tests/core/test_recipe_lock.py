"""What identifies the code that a run was made with."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tunesmith.errors import RecipeError
from tunesmith.plugins.catalog import Entry
from tunesmith.recipe.lock import compare, plugin_versions, trusted_code

Write = Callable[[str], type]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes a package of two modules, with a class and its base, and imports the class anew."""
    folder = tmp_path / "src" / "acme_lock"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "base.py").write_text("class Base: pass\n")
    (folder / "other.py").write_text("class Other: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path / "src"))

    def write_one(body: str) -> type:
        (folder / "part.py").write_text(f"from acme_lock.base import Base\nclass Part(Base):\n    {body}\n")
        forget()
        importlib.invalidate_caches()
        found: type = importlib.import_module("acme_lock.part").Part
        return found

    def forget() -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] == "acme_lock"]:
            del sys.modules[name]

    yield write_one
    forget()


def record(folder: Path) -> None:
    """The record of an installed distribution."""
    info = folder / "acme_lock-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-lock\nVersion: 1.0\n")


def version(cls: type) -> str:
    return plugin_versions([Entry("formatter", cls, "acme-lock", "1.0")])["acme-lock"]


def test_an_editable_install_is_known_by_its_code(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    first = version(write("a = 1"))
    assert first.startswith("1.0+")
    assert version(write("a = 1")) == first
    (tmp_path / "src/acme_lock/other.py").write_text("class Other: a = 2\n")
    other = version(write("a = 1"))
    assert other != first, "what the class imports within a method may be there"
    (tmp_path / "src/acme_lock/base.py").write_text("class Base: a = 2\n")
    changed = version(write("a = 1"))
    assert changed not in (first, other)
    assert version(write("a = 3")) != changed


def test_of_a_lone_module_and_of_what_is_trusted_only_the_own_file_counts(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    (tmp_path / "src/lone_lock.py").write_text("class Lone: pass\n")
    write("a = 1")
    lone = importlib.import_module("lone_lock").Lone
    before = version(lone), trusted_code(["acme_lock.part.Part"], ["acme_lock"])
    (tmp_path / "src/neighbour.py").write_text("a = 2\n")
    (tmp_path / "src/acme_lock/other.py").write_text("class Other: a = 2\n")
    assert (version(lone), trusted_code(["acme_lock.part.Part"], ["acme_lock"])) == before
    (tmp_path / "src/lone_lock.py").write_text("class Lone: a = 2\n")
    assert version(lone) != before[0]


def test_an_installed_package_is_known_by_its_version(write: Write, tmp_path: Path) -> None:
    record(tmp_path / "src")
    assert version(write("a = 1")) == "1.0"


def test_a_file_of_the_users_own_keeps_the_version_that_it_has(write: Write) -> None:
    entry = Entry("formatter", write("a = 1"), "./mine.py", "0123abcd")
    assert plugin_versions([entry]) == {"./mine.py": "0123abcd"}


def test_what_only_trust_allows_is_recorded_and_a_change_is_refused(write: Write, tmp_path: Path) -> None:
    write("a = 1")
    named = ["acme_lock.part.Part", "acme_locker.part.Part", "torch.optim.AdamW"]
    then = trusted_code(named, ["acme_lock"])
    assert list(then) == ["acme_lock.part.Part"]
    compare({"trusted": then}, {"trusted": then}, tmp_path)
    write("a = 2")
    with pytest.raises(RecipeError, match=r"^trusted class acme_lock\.part\.Part is not what "):
        compare({"trusted": then}, {"trusted": trusted_code(named, ["acme_lock"])}, tmp_path)
