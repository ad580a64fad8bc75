"""`mine.lock` and `fit --locked`: the same rows, order, split and weights elsewhere, or one message that says why."""

import json
import platform
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.recipe.lock_file import as_read, changes

LOCK = ("recipes", "lock", "tiny.yaml")
FIT = ("fit", "--config", "tiny.yaml", "--locked")


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def refused(bench: Any, *words: str) -> list[str]:
    """The lines of the one message with which a locked fit, and a check, refuse; neither writes anything."""
    before = files(bench.folder)
    said = bench.done(*FIT, *words, code=2).err
    if not words:
        assert bench.done(*LOCK, "--check", code=2).err == said
    assert files(bench.folder) == before
    lines = said.splitlines()
    assert lines[-1].endswith("lightning-cli recipes lock tiny.yaml")
    return lines[:-1]


def test_with_the_lock_another_folder_trains_the_same_rows_in_the_same_order_to_the_same_weights(
    bench: Any, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = bench.folder / "one/team", bench.folder / "two"
    one.mkdir(parents=True)
    shutil.copytree(tiny_base, one / "base")
    shutil.move(bench.folder / "rows.jsonl", one / "rows.jsonl")
    more = '{"prompt": "one more", "completion": "yes"}\n'
    for folder in (one.parent / "more", bench.folder / "more"):
        folder.mkdir()
        (folder / "a.jsonl").write_text(more)
    data = {"split": {"keep_together": "prompt"}, "sources": {"notes": {"path": ["rows.jsonl", "../more/*.jsonl"]}}}
    bench.write("one/team/tiny.yaml", model={"base": "./base"}, data=data)
    monkeypatch.chdir(one)
    assert bench.done(*LOCK).out == "wrote tiny.lock\nnext:\n  lightning-cli fit --config tiny.yaml --locked\n"
    text = (one / "tiny.lock").read_text()
    assert str(bench.folder) not in text, "it is committed, and holds on other machines"
    shutil.copytree(one, two)
    first = bench.done(*FIT).out
    assert "  lock        tiny.lock holds\n" in first
    monkeypatch.chdir(two)
    assert bench.done(*LOCK, "--check").out == "tiny.lock holds\n"
    bench.done(*FIT)
    left, right = (next(folder.glob("runs/tiny/2*")) for folder in (one, two))
    bench.assert_same(left, right)
    ids = {split: [example.id for example in examples] for split, examples in _splits(one / "tiny.yaml").items()}
    assert ids == {s: [example.id for example in e] for s, e in _splits(two / "tiny.yaml").items()}
    rows = yaml.safe_load(text)["rows"]
    assert {split: entry["count"] for split, entry in rows.items()} == {s: len(found) for s, found in ids.items()}
    bench.done(*LOCK)
    assert (two / "tiny.lock").read_text() == text, "the same content is the same bytes, wherever it is written"


def _splits(recipe: Path) -> Any:
    from tunesmith.cli.check import open_unrun

    session = open_unrun("recipes lock", [str(recipe)], [], [])
    return session.data.read_rows(session.seed).splits


def test_every_difference_is_named_in_one_message(bench: Any, tiny_base: Path) -> None:
    shutil.copytree(tiny_base, bench.folder / "base")
    (bench.folder / "chat.jinja").write_text("{{ messages[0].content }}")
    bench.write(model={"base": "./base", "template": "chat.jinja"})
    bench.done(*LOCK)
    config = bench.folder / "base/config.json"
    config.write_text(config.read_text().replace('"rms_norm_eps": 1e-06', '"rms_norm_eps": 1e-05'))
    (bench.folder / "chat.jinja").write_text("{{ messages[-1].content }}")
    with (bench.folder / "rows.jsonl").open("a") as file:
        file.write('{"prompt": "one more", "completion": "yes"}\n')
    bench.write(
        model={"base": "./base", "template": "chat.jinja", "adapter": {"init_args": {"rank": 2}}},
        data={"curators": {"same": "ExactDuplicates"}},
        success={"exact/exact_match": {"at_least": 0.5}},
    )
    lock = bench.folder / "tiny.lock"
    lock.write_text(_changed(lock, "plugins", tunesmith="0.0.1", acme="2.0"))
    lock.write_text(_changed(lock, "environment", torch="1.0"))
    title, *lines = refused(bench)
    assert title == "tiny.lock does not hold, 9 differences:"
    told = [line.strip().partition(":")[0] for line in lines]
    assert told == [
        "model.adapter.init_args.rank",
        "data.curators",
        "success",
        "base revision",
        "data source notes",
        "file of model.template",
        "plugin package tunesmith",
        "plugin package acme",
        "version of torch",
    ]
    assert "  model.adapter.init_args.rank: 4 then, 2 now" in lines
    assert "  plugin package acme: 2.0 then, not there now" in lines


def _changed(lock: Path, part: str, **entries: str) -> str:
    """The lock of another machine."""
    content = yaml.safe_load(lock.read_text())
    content[part] |= entries
    return yaml.safe_dump(content, sort_keys=False)


def test_a_missing_lock_is_told_how_it_is_written(bench: Any) -> None:
    assert refused(bench) == []
    way = "write it with: lightning-cli recipes lock tiny.yaml"
    assert bench.sent[-1].err == f"tiny.lock is not there, beside the recipe ({bench.folder}); {way}\n"


def test_what_is_no_lock_is_told_how_it_is_written(bench: Any) -> None:
    lock = bench.folder / "tiny.lock"
    for text, said in (
        ("lock: [", "this is not YAML"),
        ("[]", "is no lock of this version of tunesmith"),
        ("lock: 3\n", "is no lock of this version of tunesmith"),
        ("lock: 2\nrows: 3\n", "is no lock of this version of tunesmith"),
        ("lock: 2\na: !!python/object:os.system {}\n", "tag:yaml.org,2002:python/object:os.system is not allowed"),
        ("#" * 2**21, "is no lock of this version of tunesmith"),
    ):
        lock.write_text(text)
        assert said in bench.done(*FIT, code=2).err
    bench.done(*LOCK)
    lock.write_text(lock.read_text().replace("batch_size: 4", "batch_size: 5"))
    assert "its configuration is not the one that it was written with" in bench.done(*FIT, code=2).err
    assert [path.name for path in bench.folder.glob("runs/tiny/*")] == ["cache"]


def test_the_command_line_and_an_overlay_are_part_of_what_is_locked(bench: Any) -> None:
    bench.done(*LOCK)
    assert refused(bench, "--data.batch_size=2")[1:] == ["  data.batch_size: 4 then, 2 now"]
    (bench.folder / "small.yaml").write_text("data: {batch_size: 2}\n")
    both = ("--config", "tiny.yaml", "--config", "small.yaml", "--locked")
    said = bench.done("fit", *both, code=2).err
    assert said.startswith("tiny+small.lock is not there")
    assert said.endswith("write it with: lightning-cli recipes lock tiny.yaml --overlay small.yaml\n")
    bench.done(*LOCK, "--overlay", "small.yaml")
    assert "tiny+small.lock holds" in bench.done("fit", *both).out
    assert bench.done(*LOCK, "--check").out == "tiny.lock holds\n"


def test_what_only_says_how_a_run_is_watched_is_not_locked(bench: Any) -> None:
    bench.done(*LOCK)
    bench.done(
        *FIT,
        "--trainer.log_every_n_steps=2",
        "--trainer.default_root_dir=kept",
        "--data.workers=0",
        "--data.cache=false",
    )


def test_a_formatter_that_the_rows_choose_is_locked(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.write(data={"sources": {"notes": {"formatter": "Auto"}}})
    bench.done("recipes", "lock", "tiny.yaml")
    lock = yaml.safe_load((bench.folder / "tiny.lock").read_text())
    (chosen,) = [value for key, value in lock["rows"].items() if key.endswith(", read as")]
    assert chosen == ["PromptCompletion"]
    text = (bench.folder / "tiny.lock").read_text().replace("- PromptCompletion", "- Template")
    (bench.folder / "tiny.lock").write_text(text)
    refused = bench.done("fit", "--config", "tiny.yaml", "--locked", code=2)
    assert 'read as: ["Template"] then, ["PromptCompletion"] now' in refused.err


def test_another_kind_of_machine_is_a_warning(bench: Any) -> None:
    bench.done(*LOCK)
    lock = bench.folder / "tiny.lock"
    lock.write_text(_changed(lock, "machine", device="cuda", torch="2.13.0+cu130"))
    ran = bench.done(*LOCK, "--check")
    assert ran.out == "tiny.lock holds\n"
    assert ran.err.startswith("warning: this machine is of another kind than the one of tiny.lock (device: cuda then, ")
    assert "weights may differ in their last bits" in ran.err
    lock.write_text(_changed(lock, "machine", device="cpu", torch=str(torch.__version__)))
    assert bench.done(*LOCK, "--check").err == ""
    # two of one kind that differ in the instructions that they have
    lock.write_text(_changed(lock, "machine", processor=f"{platform.machine()} DEFAULT"))
    assert f"(processor: {platform.machine()} DEFAULT then, " in bench.done(*LOCK, "--check").err


def test_a_lock_that_is_written_anew_says_what_changed(bench: Any) -> None:
    bench.done(*LOCK)
    bench.write(data={"batch_size": 2})
    assert bench.done(*LOCK).out.startswith("wrote tiny.lock\n  data.batch_size: 4 then, 2 now\nnext:\n")
    assert bench.done(*LOCK).out.startswith("wrote tiny.lock\nnext:\n")


def test_a_resumed_run_obeys_both_locks_and_relock_is_about_the_runs_own(bench: Any) -> None:
    bench.write(trainer={"max_steps": None, "max_epochs": 1})
    bench.done(*LOCK)
    bench.done(*FIT)
    bench.write(trainer={"max_steps": None, "max_epochs": 2})
    further = ("--ckpt_path", "last", "--run", str(bench.runs()[0]))
    assert refused(bench, *further)[1:] == ["  trainer.max_epochs: 1 then, 2 now"]
    assert refused(bench, *further, "--relock")[1:] == ["  trainer.max_epochs: 1 then, 2 now"]
    bench.done(*LOCK)
    lock = bench.runs()[0] / "lock.json"
    lock.write_text(json.dumps({**json.loads(lock.read_text()), "plugins": {"tunesmith": "0.0.1"}}))
    assert bench.done(*FIT, *further, code=2).err.startswith("plugin package tunesmith is not what ")
    bench.done(*FIT, *further, "--relock")


def test_a_file_of_the_users_own_is_known_by_its_name(bench: Any) -> None:
    code = (
        "from tunesmith import Curator\n\n\nclass Keep(Curator):\n"
        "    def apply(self, examples, record):\n        return examples\n"
    )
    (bench.folder / "my_lock_keeper.py").write_text(code)
    bench.write(data={"curators": {"keep": "Keep"}})
    plugin = ("--plugin", str(bench.folder / "my_lock_keeper.py"))
    bench.done(*LOCK, *plugin)
    assert "my_lock_keeper.py" in yaml.safe_load((bench.folder / "tiny.lock").read_text())["plugins"]
    assert str(bench.folder) not in (bench.folder / "tiny.lock").read_text()
    assert bench.done(*LOCK, "--check", *plugin).out == "tiny.lock holds\n"


def test_a_base_of_the_hub_is_loaded_at_the_commit_of_the_lock_wherever_the_hub_is_by_now(
    bench: Any, hub_cache: Path
) -> None:
    bench.write(model={"base": "acme/tiny"}, evaluators={"exact": None}, trainer={"max_steps": 1})
    bench.done(*LOCK)
    bench.done(*FIT)
    bench.done("test", "--config", "tiny.yaml")
    then, now = gone_on(hub_cache)
    assert yaml.safe_load((bench.folder / "tiny.lock").read_text())["base"] == {"revision": then}
    assert bench.done(*LOCK, "--check").out == "tiny.lock holds\n"
    bench.done(*FIT)
    first, second = bench.runs()
    bench.assert_same(first, second)
    assert f"`{then}`" in (second / "adapter/README.md").read_text()
    # without the lock it is the newest, and what reads a run stays with the run's
    bench.done(*FIT[:-1])
    *_, third = bench.runs()
    assert [json.loads((run / "lock.json").read_text())["base"] for run in (first, second, third)] == [
        {"acme/tiny": then},
        {"acme/tiny": then},
        {"acme/tiny": now},
    ]
    bench.done("test", "--config", "tiny.yaml", "--run", str(second))
    measured = [json.loads((run / "test/metrics.json").read_text())["metrics"] for run in (first, second)]
    assert measured[0] == measured[1]
    bench.done(*FIT[:-1], "--run", str(second), "--ckpt_path", "last", "--trainer.max_steps=2")
    own = ("--config", str(first / "config.yaml"), "--locked")
    bench.done("fit", *own)
    bench.assert_same(first, bench.runs()[-1])


def gone_on(cache: Path) -> tuple[str, str]:
    """Let the hub go on to a commit with other weights, while the cache holds both; returns them."""
    from safetensors.torch import load_file, save_file

    then, now = (cache / "refs/main").read_text(), "f" * 40
    shutil.copytree(cache / "snapshots" / then, cache / "snapshots" / now)
    weights = cache / "snapshots" / now / "model.safetensors"
    save_file({name: tensor * 1.5 for name, tensor in load_file(weights).items()}, weights, metadata={"format": "pt"})
    (cache / "refs/main").write_text(now)
    return then, now


def test_a_commit_that_is_absent_is_named_with_the_way_to_get_it(bench: Any, hub_cache: Path) -> None:
    bench.write(model={"base": "acme/tiny"}, trainer={"max_steps": 1})
    bench.done(*LOCK)
    bench.done(*FIT)
    then, now = gone_on(hub_cache)
    weights = hub_cache / "snapshots" / then / "model.safetensors"
    weights.rename(bench.folder / "kept")  # as of a base that was only looked at
    get = f"get it where the hub can be reached: hf download acme/tiny --revision {then}"
    assert bench.done(*FIT, code=2).err.endswith(f"\ncommit {then} is wanted; {get}\n")
    shutil.rmtree(weights.parent)
    absent = f"commit {then} of acme/tiny is not in the cache, and HF_HUB_OFFLINE is set; {get}"
    assert refused(bench)[1:] == [f"  base revision: {absent}"]
    (run,) = bench.runs()
    why = f"model.base: {run.relative_to(bench.folder)} was made from another commit than the newest: {absent}\n"
    assert bench.done("test", "--config", "tiny.yaml", code=2).err == why
    further = ("fit", "--config", "tiny.yaml", "--ckpt_path", "last", "--trainer.max_steps=2", "--run")
    further = (*further, str(run.relative_to(bench.folder)))
    assert bench.done(*further, code=2).err == why
    bench.done(*further, "--relock")
    assert json.loads((run / "lock.json").read_text())["base"] == {"acme/tiny": now}


def test_a_commit_that_is_not_in_the_cache_is_asked_for_at_the_hub(
    bench: Any, hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RevisionNotFoundError

    bench.write(model={"base": "acme/tiny"})
    bench.done(*LOCK)
    then, _ = gone_on(hub_cache)
    shutil.rmtree(hub_cache / "snapshots" / then)
    asked = []

    def there(_: object, name: str, *, revision: str, **__: object) -> SimpleNamespace:
        asked.append((name, revision))
        return SimpleNamespace(sha=revision)

    def refuse(*_: object, **__: object) -> None:
        raise RevisionNotFoundError("404", response=SimpleNamespace(headers={}, request=None))  # type: ignore[arg-type]

    monkeypatch.setattr(HfApi, "model_info", there)
    assert bench.done(*LOCK, "--check").out == "tiny.lock holds\n"
    assert asked == [("acme/tiny", then)]
    monkeypatch.setattr(HfApi, "model_info", refuse)
    absent = f"commit {then} of acme/tiny is not in the cache, and the hub has no such commit of acme/tiny"
    assert refused(bench)[1:] == [f"  base revision: {absent}"]


def test_a_lock_of_another_base_of_the_hub_pins_nothing(bench: Any, hub_cache: Path) -> None:
    bench.write(model={"base": "acme/tiny"})
    bench.done(*LOCK)
    shutil.copytree(hub_cache, hub_cache.with_name("models--acme--other"))
    other = hub_cache.with_name("models--acme--other")
    then, now = gone_on(other)
    bench.write(model={"base": "acme/other"})
    assert refused(bench)[1:] == [
        "  model.base: acme/tiny then, acme/other now",
        f"  base revision: {then} then, {now} now",
    ]


VALUES = st.recursive(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]))
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab.1e", min_size=1), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["1e5", "yes", "key", "a: b"]), VALUES))
def test_what_is_written_is_read_as_it_was(configuration: dict[str, Any]) -> None:
    content = {"configuration": configuration}
    assert as_read(content) == content
    assert changes(as_read(content), content) == []
