"""The verb `recipes check` on data and base: what a `fit` would stumble over is said before a base is loaded."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

CHECK = ("recipes", "check", "tiny.yaml")


def test_no_weights_are_loaded_and_nothing_is_written(bench: Any, tiny_base: Path) -> None:
    shutil.copytree(tiny_base, bench.folder / "base")
    (bench.folder / "base/model.safetensors").write_bytes(b"no weights at all")
    bench.write(model={"base": "./base"})
    before = sorted(bench.folder.rglob("*"))
    assert bench.done(*CHECK).out == "tiny.yaml: good\n"
    assert sorted(bench.folder.rglob("*")) == before
    assert "cannot be loaded" in bench.done("fit", "--config", "tiny.yaml", code=2).err, "else the test shows nothing"


def test_rows_that_the_formatter_cannot_read_at_all_are_wrong(bench: Any) -> None:
    bench.write(data={"sources": {"notes": {"formatter": "Messages"}}})
    ran = bench.done(*CHECK, code=2)
    assert ran.out == (
        "tiny.yaml: wrong\n"
        "  data.sources.notes: Messages can read none of the first 60 rows\n"
        f"    {bench.folder}/rows.jsonl:1: messages: is not a column; columns: prompt, completion\n"
    )


def test_some_bad_rows_are_a_remark_that_names_the_first(bench: Any) -> None:
    lines = (bench.folder / "rows.jsonl").read_text().splitlines()
    lines[6], lines[20] = '{"prompt": "no answer", "completion": ""}', "no JSON"
    (bench.folder / "rows.jsonl").write_text("\n".join(lines))
    assert bench.done(*CHECK).out == (
        "tiny.yaml: good\n"
        "  note: data.sources.notes: PromptCompletion cannot read 2 of its 60 rows; "
        "data.reject_limit allows 5 % of all\n"
        f"    {bench.folder}/rows.jsonl:7: completion: is empty; columns: prompt, completion\n"
    )
    assert bench.done(*CHECK, "--rows", "6").out == "tiny.yaml: good\n"
    assert "first 7 rows" in bench.done(*CHECK, "--rows=7").out
    assert bench.done(*CHECK, "--rows=0").out == "tiny.yaml: good\n"
    # of all rows, more than `fit` takes
    (bench.folder / "rows.jsonl").write_text("\n".join([*lines, "no", "JSON"]))
    wrong = bench.done(*CHECK, code=2).out
    assert wrong.startswith("tiny.yaml: wrong\n  data.sources.notes: PromptCompletion cannot read 4 of its 62 rows; ")
    assert "data.reject_limit allows 5 %" in bench.done("prepare", "--config", "tiny.yaml", code=2).err
    assert bench.done(*CHECK, "--rows=61").out.startswith("tiny.yaml: good\n  note: ")
    assert "--rows is -1" in bench.done(*CHECK, "--rows=-1", code=2).err


def test_every_file_of_a_source_and_every_source_is_looked_at(bench: Any) -> None:
    (bench.folder / "more.jsonl").write_text('{"question": "a", "answer": "b"}\n' * 60)
    (bench.folder / "empty.jsonl").touch()
    bench.write(data={"sources": {"notes": {"path": ["rows.jsonl", "more.jsonl"]}}})
    assert "cannot read 50 of the first 100 rows" in bench.done(*CHECK).out
    other = {"path": "more.jsonl", "formatter": "PromptCompletion"}
    bench.write(data={"sources": {"other": other, "notes": {"formatter": "Messages"}}})
    said = bench.done(*CHECK, code=2).out
    assert "data.sources.notes: Messages can read none" in said
    assert "data.sources.other: PromptCompletion can read none" in said
    bench.write(data={"sources": {"notes": {"path": "empty.jsonl"}}})
    assert "data.sources.notes.path: no rows in" in bench.done(*CHECK, code=2).out


def test_a_source_whose_files_are_absent_hides_no_other(bench: Any) -> None:
    gone = {"path": "gone.jsonl", "formatter": "PromptCompletion"}
    bench.write(data={"sources": {"gone": gone, "notes": {"formatter": "Messages"}}})
    assert "Messages can read none of the first 60 rows" in bench.done(*CHECK, code=2).out


def test_the_column_that_keeps_rows_together_is_looked_for(bench: Any) -> None:
    bench.write(data={"split": {"keep_together": "promt"}})
    said = bench.done(*CHECK, code=2).out
    assert "data.split.keep_together: promt is not a column of any source; did you mean prompt?; columns: " in said
    assert (
        "note: data.split.keep_together: promt is not a column of the first rows" in bench.done(*CHECK, "--rows=9").out
    )
    for split in ({"by_time": "promt", "test_from": 2024}, {"stratify": "promt"}):
        bench.write("other.yaml", data={"split": split})
        said = bench.done("recipes", "check", "other.yaml", code=2).out
        assert f"data.split.{min(split)}: promt is not a column of any source; did you mean prompt?" in said
    bench.write("other.yaml", data={"split": {"stratify": "task"}})
    assert bench.done("recipes", "check", "other.yaml").out == "other.yaml: good\n"
    (bench.folder / "rows.csv").write_text("prompt,completion,who\n" + "a b,c d,e\n" * 20)
    bench.write(data={"sources": {"notes": {"path": "rows.csv"}}, "split": {"keep_together": "person"}})
    assert "person is not a column of any source" in bench.done(*CHECK, "--rows=9", code=2).out
    bench.write(data={"sources": {"notes": {"path": "rows.csv"}}, "split": {"keep_together": "who"}})
    assert bench.done(*CHECK).out == "tiny.yaml: good\n"


@pytest.mark.parametrize(
    ("base", "said"),
    [
        ("./gone", "model.base: base ./gone does not exist"),
        ("./rows", "model.base: "),
        ("package://no_such_package/x", "no package no_such_package is installed"),
    ],
)
def test_a_base_that_is_not_there_is_wrong(bench: Any, base: str, said: str) -> None:
    (bench.folder / "rows").mkdir()
    bench.write(model={"base": base})
    out = bench.done(*CHECK, code=2).out
    assert said.replace("./gone", str(bench.folder / "gone")) in out


def test_a_base_of_the_hub_is_looked_for_in_the_cache_where_the_hub_is_not_to_be_asked(
    bench: Any, hub_cache: Path
) -> None:
    bench.write(model={"base": "acme/tiny"})
    assert bench.done(*CHECK).out == "tiny.yaml: good\n"
    bench.write(model={"base": "acme/other"})
    assert bench.done(*CHECK).out == (
        "tiny.yaml: good\n  note: model.base: whether the hub has acme/other cannot be told: "
        "HF_HUB_OFFLINE is set, and it is not in the cache\n"
    )


def test_a_base_that_the_hub_does_not_know_is_wrong(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    def refuse(*_: object, **__: object) -> None:
        raise RepositoryNotFoundError("404", response=SimpleNamespace(headers={}, request=None))  # type: ignore[arg-type]

    monkeypatch.setattr(HfApi, "model_info", refuse)
    bench.write(model={"base": "acme/tiny"})
    assert "model.base: the hub has no acme/tiny" in bench.done(*CHECK, code=2).out


def test_what_a_recipe_says_in_any_script_is_read_as_it_stands(bench: Any) -> None:
    said = "\U0001f600 na\u00efve \u4f60\u597d \u05e9\u05dc\u05d5\u05dd \x7f\x85\u2028 1e5 \\ud83d {a: b}"
    bench.write(data={"sources": {"notes": {"about": said}}})
    printed = yaml.safe_load(bench.done("fit", "--config", "tiny.yaml", "--print_config").out)
    assert printed["data"]["sources"]["notes"]["about"] == said


def test_options_of_an_adapter_that_cannot_be_are_refused_with_the_file_that_says_them(bench: Any) -> None:
    bench.write(model={"adapter": {"class_path": "Freeze", "init_args": {"last": -1}}})
    said = "tiny.yaml: model.adapter.init_args.last is -1; it must be 0 or more"
    assert said in bench.done(*CHECK, code=2).out
    assert said in bench.done("fit", "--config", "tiny.yaml", code=2).err


def test_a_method_that_recomputing_would_undo_is_refused_before_a_base_is_loaded(bench: Any) -> None:
    bench.write(model={"adapter": "PrefixTuning", "gradient_checkpointing": True})
    said = "tiny.yaml: model.gradient_checkpointing is true, but what PrefixTuning trains is lost where activations are"
    assert said in bench.done(*CHECK, code=2).out
    bench.write(model={"adapter": "PrefixTuning"})
    assert bench.done(*CHECK).out == "tiny.yaml: good\n"


def test_options_of_pefts_own_methods_are_checked_with_the_recipe(bench: Any) -> None:
    adapter = {"class_path": "Peft", "init_args": {"method": "VERA", "options": {"target_module": ["q_proj"]}}}
    bench.write(model={"adapter": adapter})
    key = "tiny.yaml: model.adapter.init_args.options.target_module"
    said = f"{key} is no option of VeraConfig; did you mean target_modules"
    assert said in bench.done(*CHECK, code=2).out
    adapter["init_args"] = {"method": "SHADOW"}
    bench.write(model={"adapter": adapter})
    assert "method is SHADOW, which cannot be trained by this adapter: it runs" in bench.done(*CHECK, code=2).out
