"""Which recipe and which run a verb means, and what it says about mistakes, through the command."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tunesmith.cli.runs import compared, digest, method

CONFIG = ("--config", "tiny.yaml")


def test_the_printed_config_is_a_recipe_of_the_same_method(trained: Any) -> None:
    printed = trained.done("test", *CONFIG, "--print_config").out
    (trained.folder / "printed.yaml").write_text(printed)
    again = trained.done("test", "--config", "printed.yaml", "--print_config").out
    assert again == printed
    lock = json.loads((trained.runs()[0] / "lock.json").read_text())
    assert digest(compared(method(yaml.safe_load(printed)))) == lock["fingerprint"]


def test_a_runs_own_config_means_that_run_and_keeps_its_name(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.done("fit", *CONFIG)
    bench.done("fit", *CONFIG)
    older = bench.runs()[0]
    elsewhere = bench.folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    ran = bench.done("test", "--config", str(older / "config.yaml"))
    assert ran.out.replace("\n", "").startswith(f"run {older}")
    assert (older / "test/metrics.json").is_file()


def test_overlays_and_changes_are_taken_in_order(bench: Any) -> None:
    (bench.folder / "one.yaml").write_text("data: {batch_size: 3}\nmodel: {adapter: {rank: 2}}\n")
    (bench.folder / "two.yaml").write_text("data: {batch_size: 5}\n")
    words = ("--config", "tiny.yaml", "--config", "one.yaml", "--config", "two.yaml")
    printed = yaml.safe_load(bench.done("fit", *words, "--trainer.max_steps=2", "--print_config").out)
    assert printed["data"]["batch_size"] == 5
    adapter = printed["model"]["adapter"]["init_args"]
    assert (adapter["rank"], adapter["alpha"]) == (2, 8)
    assert printed["trainer"]["max_steps"] == 2
    ran = bench.done("fit", *words, "--trainer.max_steps=2")
    assert ran.out.splitlines()[-1] == f"next: lightning-cli test {' '.join(words)} --trainer.max_steps=2"
    bench.done("test", *words, "--trainer.max_steps=2")


def test_a_forgotten_overlay_is_named_by_the_key_that_it_sets(trained: Any) -> None:
    ran = trained.done("test", *CONFIG, "--model.adapter.rank=8", code=2)
    (run,) = trained.runs()
    assert str(run.relative_to(trained.folder)) in ran.err
    assert "model.adapter.init_args.rank was 4 there and is 8 now" in ran.err
    assert len(ran.err.splitlines()) == 2


def test_a_run_can_be_chosen(trained: Any, bench: Any) -> None:
    (run,) = trained.runs()
    ran = bench.done("predict", *CONFIG, "--run", str(run), "--prompt", "Report 5: the door is on.")
    assert ran.out.replace("\n", "").startswith(f"run {run}")
    wrong = bench.done("test", *CONFIG, "--run", str(run.parent), code=2)
    assert f"did you mean {run}?" in wrong.err


def test_without_a_run_the_way_to_one_is_said(bench: Any) -> None:
    ran = bench.done("test", *CONFIG, code=2)
    assert ran.err == "there is no complete run of tiny below runs; train it first: lightning-cli fit ...\n"


def test_runs_can_lie_elsewhere(bench: Any) -> None:
    root = ("--trainer.default_root_dir", "kept")
    bench.done("fit", *CONFIG, *root)
    assert list(bench.folder.glob("kept/tiny/*/adapter"))
    bench.done("test", *CONFIG, *root)
    assert not (bench.folder / "runs").exists()


def test_changed_thresholds_and_changed_data_are_told(bench: Any) -> None:
    bench.done("fit", *CONFIG)
    assert bench.done("test", *CONFIG).err == ""
    bench.write(success={"perplexity/perplexity": {"at_most": 1e9}})
    with (bench.folder / "rows.jsonl").open("a") as file:
        file.write('{"prompt": "one more", "completion": "yes"}\n')
    told = bench.done("test", *CONFIG).err
    assert "warning: the thresholds in `success` are not those" in told
    assert "warning: data source notes changed since this run was trained" in told


def test_a_locked_fit_of_a_runs_own_config_begins_only_with_what_its_lock_names(bench: Any) -> None:
    bench.done("fit", *CONFIG)
    (run,) = bench.runs()
    own = ("--config", str(run / "config.yaml"))
    assert "lock        lock.json holds" in bench.done("fit", *own, "--locked").out
    with (bench.folder / "rows.jsonl").open("a") as file:
        file.write('{"prompt": "one more", "completion": "yes"}\n')
    before = len(bench.runs())
    ran = bench.done("fit", *own, "--locked", code=2)
    assert ran.err.startswith("data source notes is not what ")
    assert ran.err.endswith("\nrestore it, or leave --locked out\n")
    assert len(bench.runs()) == before
    assert "takes no value" in bench.done("fit", *own, "--locked=false", code=2).err


def test_a_locked_fit_of_another_recipe_than_the_runs_is_told_what_the_flag_is_for(bench: Any) -> None:
    bench.done("fit", *CONFIG)
    own = ("--config", str(bench.runs()[0] / "config.yaml"))
    ran = bench.done("fit", *own, "--locked", "--data.batch_size=2", code=2)
    assert "data.batch_size was 4 there and is 2 now" in ran.err
    assert ran.err.splitlines()[-1].endswith("give the recipe of that run, or leave --locked out")
    assert "--run" not in ran.err


def test_relock_without_a_lock_is_refused(bench: Any) -> None:
    ran = bench.done("fit", *CONFIG, "--relock", code=2)
    assert "leave it out, or add --ckpt_path last" in ran.err
    assert not (bench.folder / "runs").exists()


@pytest.mark.parametrize("part", ["data", "base", "plugins"])
def test_a_resumed_fit_refuses_what_changed_and_names_it(bench: Any, tiny_base: Path, part: str) -> None:
    if part == "base":
        shutil.copytree(tiny_base, bench.folder / "base")
        bench.write(model={"base": "./base"})
    else:
        bench.write(trainer={"max_steps": None, "max_epochs": 1})
    bench.done("fit", *CONFIG)
    (run,) = bench.runs()
    if part == "data":
        rows = (bench.folder / "rows.jsonl").read_text().replace("Report 7:", "Report seven:")
        (bench.folder / "rows.jsonl").write_text(rows)
    elif part == "base":
        config = bench.folder / "base/config.json"
        config.write_text(config.read_text().replace('"rms_norm_eps": 1e-06', '"rms_norm_eps": 1e-05'))
    else:
        lock = json.loads((run / "lock.json").read_text())
        (run / "lock.json").write_text(json.dumps({**lock, "plugins": {"tunesmith": "0.0.1"}}))
    ran = bench.done("fit", *CONFIG, "--ckpt_path", "last", code=2)
    subject = {"data": "data source notes", "base": f"base {bench.folder}/base", "plugins": "plugin package tunesmith"}
    assert ran.err.startswith(f"{subject[part]} is not what ")
    assert ran.err.splitlines()[1] == "restore it, or go on with --relock"
    before = contents(run)
    assert "complete: nothing to do" in bench.done("fit", *CONFIG, "--ckpt_path", "last", "--relock").out
    assert contents(run) == before, "the adapter was not trained on what is there now"
    further = (*CONFIG, "--run", str(run), "--ckpt_path", "last", "--trainer.max_epochs=2", "--trainer.max_steps=-1")
    bench.done("fit", *further, "--relock")
    bench.done("fit", *further)


def test_a_run_on_other_validation_rows_compares_its_losses_with_none_of_before(bench: Any, tiny_base: Path) -> None:
    bench.write(
        trainer={
            "max_steps": None,
            "max_epochs": 6,
            "callbacks": [{"class_path": "EarlyStopping", "init_args": {"monitor": "val/loss", "patience": 1}}],
        }
    )
    bench.done("fit", *CONFIG)
    (run,) = bench.runs()
    then = json.loads((run / "result.json").read_text())["validation_loss"]
    words = sorted(json.loads((tiny_base / "tokenizer.json").read_text())["model"]["vocab"])
    with (bench.folder / "rows.jsonl").open("a") as file:
        for n in range(300, 340):  # hard ones, and nothing is learnt of them
            file.write(
                json.dumps({"prompt": f"Report {n}: odd.", "completion": f"{words[n]} {words[-n]} {words[2 * n]}"})
                + "\n"
            )
    further = (*CONFIG, "--run", str(run), "--ckpt_path", "last", "--trainer.max_epochs=9", "--relock")
    ran = bench.done("fit", *further, "--model.optimizer.lr=0", "--model.optimizer.weight_decay=0")
    assert "validation rows are not those of before" in ran.err
    now = json.loads((run / "result.json").read_text())["validation_loss"]
    assert min(loss for _, loss in now) > min(loss for _, loss in then), "else the test shows nothing"
    assert now[0][0] > then[-1][0]
    assert len(now) == 2, "early stopping did not compare with the rows of before"
    assert "it rose after that" not in ran.out


def test_a_resumed_run_follows_the_optimizer_of_its_recipe(bench: Any) -> None:
    bench.write(model={"schedule": {"name": "constant"}})
    bench.done("fit", *CONFIG)
    (run,) = bench.runs()
    more = ("--run", str(run), "--ckpt_path", "last", "--trainer.max_steps=8", "--model.optimizer.lr=0.002")
    ran = bench.done("fit", *CONFIG, *more)
    assert "goes on with another recipe: model.optimizer.init_args.lr was 0.01, is 0.002" in ran.err
    with (run / "metrics.csv").open(newline="") as file:
        rates = [float(row["lr"]) for row in csv.DictReader(file) if row["lr"]]
    assert rates == pytest.approx([0.01] * 4 + [0.002] * 4)


def contents(run: Path) -> dict[str, bytes]:
    """Every file of a run."""
    return {str(path.relative_to(run)): path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file()}


MISTAKES = {
    "missing data": (("--data.sources.notes.path=none.jsonl",), "none.jsonl does not exist"),
    "missing base": (("--model.base=./nowhere",), "nowhere does not exist"),
    "wrong type": (("--data.batch_size=many",), "data.batch_size is 'many'"),
    "wrong value": (("--data.batch_size=0",), "data.batch_size is 0"),
    "misspelt key": (("--data.batch_sise=4",), "did you mean batch_size"),
    "misspelt section": (("--dta.batch_size=4",), "did you mean --data.batch_size"),
    "unknown class": (("--model.adapter=LORA",), "did you mean LoRA"),
    "wrong option": (("--model.adapter.rnak=4",), "did you mean rank"),
    "misplaced option": (("--model.rank=4",), "model.rank"),
    "unknown metric": (("--success.exact/exact_mach.at_least=1",), "did you mean exact/exact_match"),
    "wrong direction": (("--success.exact/exact_match.at_most=1",), "write at_least"),
    "no end": (("--trainer.max_steps=-1",), "trainer.max_epochs"),
    "misspelt monitor": (
        ("--trainer.callbacks=[{class_path: EarlyStopping, init_args: {monitor: val_loss}}]",),
        "mean val/loss",
    ),
    "no such device": (("--trainer.accelerator=tpu",), "trainer: "),
    "absent logger": (("--trainer.logger={class_path: MLFlowLogger}",), "mlflow"),
    "no recipe": (("--config=none.yaml",), "none.yaml does not exist"),
    "evil callback": (("--trainer.callbacks=[os.system]",), "os.system"),
    "too few rows": (("--data.split.train=0", "--data.split.test=0.8"), "the train split is empty"),
    "nothing to resume": (("--ckpt_path", "last"), "there is no run of tiny with a checkpoint below runs"),
    "run without checkpoint": (("--run", "runs"), "add --ckpt_path last"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_trap_40_a_mistake_is_two_lines_and_exit_2_and_nothing_is_written(name: str, bench: Any) -> None:
    words, said = MISTAKES[name]
    ran = bench.done("fit", *CONFIG, *words, code=2)
    assert said in ran.err
    assert "Traceback" not in ran.err
    assert "usage" not in ran.err
    assert len(ran.err.splitlines()) <= 2
    assert not list(bench.folder.glob("runs/*/*/lock.json"))


def test_validation_within_a_window_is_refused(bench: Any) -> None:
    words = ("--trainer.accumulate_grad_batches=3", "--trainer.val_check_interval=4")
    assert "use a multiple of accumulate_grad_batches (3)" in bench.done("fit", *CONFIG, *words, code=2).err


def test_help_of_a_verb_names_its_options_and_fits_80_columns(bench: Any) -> None:
    for verb in ("fit", "test", "validate", "predict", "audit", "preview", "prepare"):
        page = bench.done(verb, "--help").out
        assert page.startswith(f"lightning-cli {verb} --config RECIPE")
        assert max(map(len, page.splitlines())) <= 80, verb


def test_rows_that_encoding_left_out_or_cut_are_listed_in_the_run(bench: Any) -> None:
    for policy in ("drop", "right"):
        words = ("--data.max_length=21", f"--data.truncation={policy}", "--trainer.max_steps=1")
        bench.done("fit", *CONFIG, *words)
    files = sorted(bench.folder.glob("runs/tiny/*/data.json"))
    dropped, cut = (json.loads(file.read_text())["encoded"]["train"] for file in files)
    assert sum(dropped["dropped"].values()) == len(dropped["left out"]) > 0
    assert all(row["origin"].startswith("rows.jsonl:") or "rows.jsonl:" in row["origin"] for row in dropped["left out"])
    assert len(cut["cut"]) == cut["truncated"] > 0
    assert len(cut["cut"]) >= len(dropped["left out"])


def test_a_template_file_that_changed_is_refused_on_resume_and_said_by_test(bench: Any) -> None:
    plain = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{{ eos_token }}{% endfor %}"
    asking = "{% if add_generation_prompt %}[assistant]{% endif %}"
    template = bench.folder / "chat.jinja"
    template.write_text(plain + asking)
    words = (*CONFIG, f"--model.template={template}", "--trainer.max_steps=2")
    bench.done("fit", *words)
    template.write_text((plain + asking).replace("[", "("))
    refused = bench.done("fit", *words, "--ckpt_path", "last", code=2)
    assert "model.template" in refused.err
    tested = bench.done("test", *words)
    assert "chat.jinja changed since this run was trained" in tested.err + tested.out
