"""The verb `recipes cp` and locks: a copy has the lock of what it is a copy of, where that lock holds."""

from pathlib import Path
from typing import Any

import pytest

from tunesmith.recipe.lock_file import read_lock

CP = ("recipes", "cp", "tiny.yaml", "copy/mine.yaml")


def test_a_copys_lock_holds_and_is_its_own(bench: Any) -> None:
    (bench.folder / "chat.jinja").write_text((Path(bench.recipe["model"]["base"]) / "chat_template.jinja").read_text())
    bench.write(model={"template": "./chat.jinja"})
    bench.done("recipes", "lock", "tiny.yaml")
    (bench.folder / "tiny+gpu.lock").write_text("of an overlay")
    ran = bench.done(*CP)
    assert ran.out == (
        "copied tiny.yaml to copy/mine.yaml\n"
        "  tiny+gpu.lock is of the recipe with an overlay, and is not copied\n"
        "  tiny.lock with it, as copy/mine.lock\n"
        "next:\n"
        "  lightning-cli recipes check copy/mine.yaml\n"
        "  lightning-cli recipes lock --check copy/mine.yaml\n"
    )
    assert bench.done("recipes", "lock", "--check", "copy/mine.yaml").out == "mine.lock holds\n"
    text = (bench.folder / "copy/mine.lock").read_text()
    assert text.startswith("# What mine.yaml is made of.")
    assert read_lock(bench.folder / "copy/mine.lock", "") == read_lock(bench.folder / "tiny.lock", "")
    with (bench.folder / "rows.jsonl").open("a") as rows:
        rows.write('{"prompt": "one more", "completion": "yes"}\n')
    refused = bench.done("fit", "--config", "copy/mine.yaml", "--locked", code=2).err
    assert refused.startswith("mine.lock does not hold, ")


def test_without_a_lock_there_is_none_of_the_copy(bench: Any) -> None:
    ran = bench.done(*CP)
    assert "lock" not in ran.out
    assert not (bench.folder / "copy/mine.lock").exists()


def test_a_lock_that_is_in_the_way_is_kept_and_nothing_is_written(bench: Any) -> None:
    bench.done("recipes", "lock", "tiny.yaml")
    (bench.folder / "copy").mkdir()
    (bench.folder / "copy/mine.lock").write_text("precious")
    said = bench.done(*CP, code=2).err
    assert said == "copy/mine.lock is there already; another name, or --force to overwrite it\n"
    assert (bench.folder / "copy/mine.lock").read_text() == "precious"
    assert not (bench.folder / "copy/mine.yaml").exists()
    bench.done(*CP, "--force")
    assert (bench.folder / "copy/mine.lock").read_text() != "precious"


def test_a_lock_that_is_of_no_use_is_not_copied_and_it_is_said_why(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.done("recipes", "lock", "tiny.yaml")
    lock = bench.folder / "tiny.lock"
    lock.write_text(lock.read_text().replace("\n  model:", "\n  more: 1\n  model:"))
    ran = bench.done(*CP)
    assert "  tiny.lock is not copied: " in ran.out
    assert "its configuration is not the one that it was written with" in ran.out
    assert not (bench.folder / "copy/mine.lock").exists()

    # out of a package a base has another name, by which a lock knows it
    package = tmp_path / "site/acme_cp"
    (package / "base").mkdir(parents=True)
    (package / "__init__.py").touch()
    about = package.with_name("acme_cp-1.0.dist-info") / "METADATA"
    about.parent.mkdir()
    about.write_text("Metadata-Version: 2.1\nName: acme-cp\nVersion: 1.0\nRequires-Dist: tunesmith\n")
    monkeypatch.syspath_prepend(str(package.parent))
    text = bench.write(model={"base": "./base"}).read_text()
    (package / "tiny.yaml").write_text(text)
    (package / "rows.jsonl").write_text((bench.folder / "rows.jsonl").read_text())
    (package / "tiny.lock").write_text("lock: 2")
    ran = bench.done("recipes", "cp", "package://acme_cp/tiny.yaml", "other/mine.yaml")
    assert "  tiny.lock is not copied: model.base is package://acme_cp/base now, which it does not know\n" in ran.out
    assert not (bench.folder / "other/mine.lock").exists()
