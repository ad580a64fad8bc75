"""What is refused before it costs time: Lightning's complaints, and what `test` would say after the training."""

import csv
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import transformers
from hypothesis import given
from hypothesis import strategies as st

from tunesmith import Regularizer
from tunesmith.cli.arguments import parse
from tunesmith.cli.lean import lean
from tunesmith.cli.refusals import refusals
from tunesmith.cli.runs import digest
from tunesmith.cli.trainer_cli import open_session, sections
from tunesmith.errors import RecipeError

CONFIG = ("--config", "tiny.yaml")
GOLD = {"class_path": "CriticalErrors", "init_args": {"fields": ["allergies"]}}
MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "precision of the trainer": ({"trainer": {"precision": "bf16-mixed"}}, "model.precision (auto, bf16 or fp32)"),
    "sparse gradients": (
        {"model": {"optimizer": {"class_path": "torch.optim.SparseAdam", "init_args": {"lr": 0.01}}}},
        "model.optimizer: SparseAdam takes sparse gradients only",
    ),
    "a step that runs its batch again": (
        {
            "model": {"optimizer": {"class_path": "torch.optim.LBFGS", "init_args": {"lr": 0.5}}},
            "trainer": {"accumulate_grad_batches": 2},
        },
        "model.optimizer: LBFGS runs a batch again within its step, which of 2 micro-batches would be the last; set",
    ),
    "no batch": ({"trainer": {"limit_train_batches": 0}}, "trainer.limit_train_batches is 0, which leaves none of "),
    "part of a batch": ({"trainer": {"limit_train_batches": 0.001}}, "trainer.limit_train_batches is 0.001"),
    "part of validation": (
        {"trainer": {"limit_val_batches": 0.001}},
        "trainer.limit_val_batches is 0.001, which leaves none",
    ),
    "no gold column": ({"evaluators": {"alerts": GOLD}}, "has no column 'allergies'"),
    "generation": ({"generation": {"max_new_tokens": 0}}, "generation.max_new_tokens is 0"),
    "negative penalty": (
        {"model": {"regularizers": {"anchor": {"class_path": "KLToBase", "init_args": {"weight": -1.0}}}}},
        "KLToBase.weight is -1.0",
    ),
    "missing base": ({"model": {"base": "./nowhere"}}, "model.base: "),
    "missing package": ({"model": {"base": "package://no_such_package/base"}}, "model.base: "),
    "unwatched metric": (
        {
            "trainer": {
                "limit_val_batches": 0,
                "callbacks": [{"class_path": "EarlyStopping", "init_args": {"monitor": "val/loss"}}],
            }
        },
        "not logged: trainer.limit_val_batches is 0",
    ),
}


COPIES = ("ddp_spawn", "ddp_fork", "ddp_notebook", "ddp_spawn_find_unused_parameters_true")
# What `fit` refuses of a Trainer; `preview` must say the same, word by word.
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "first FSDP": ({"strategy": "fsdp"}, "use fsdp2"),
    **{name: ({"strategy": name, "devices": 2}, f"trainer.strategy: {name} hands") for name in COPIES},
    "a strategy that copies": (
        {"strategy": {"class_path": "DDPStrategy", "init_args": {"start_method": "spawn"}}, "devices": 2},
        "use ddp, which starts the command again in each",
    ),
    "Lightning's sampler": (
        {"use_distributed_sampler": True, "devices": 2},
        "trainer.use_distributed_sampler is true, but rows are dealt",
    ),
    "no such strategy": ({"strategy": "ddpp"}, "trainer.strategy is ddpp, which there is none of; did you mean ddp?"),
    "accelerator": ({"accelerator": "cpuu"}, "trainer: You selected an invalid accelerator"),
    "clipping": ({"gradient_clip_algorithm": "nrm"}, "trainer.gradient_clip_algorithm"),
    "share of training": ({"limit_train_batches": 1.5}, "trainer.limit_train_batches: You have passed invalid value"),
    "share of validation": ({"limit_val_batches": 0.001}, "trainer.limit_val_batches is 0.001, which leaves none"),
    "validation within a window": (
        {"accumulate_grad_batches": 3, "val_check_interval": 4},
        "validation after every 4 batches falls between two optimizer steps; use a multiple of accumulate_grad_batches",
    ),
    "validation beyond the epoch": ({"val_check_interval": 100}, "trainer.val_check_interval is 100; an epoch has "),
    "fewest epochs": (
        {"max_steps": 10, "min_epochs": 2},
        "trainer.min_epochs is 2, which is 16 steps, but the run ends",
    ),
    "fewest steps": (
        {"min_steps": 5},
        "trainer.min_steps is 5, but the run ends after 4; give at most 4, or raise trainer.max_epochs or max_steps",
    ),
    "fewer than none": ({"min_steps": -1}, "trainer.min_steps is -1; give 0 for none, or a number above 0"),
    "barebones": ({"barebones": True}, "trainer.barebones is true, but a run is logged and keeps checkpoints; leave"),
    "validation after nothing": ({"val_check_interval": 0}, "trainer.val_check_interval is 0; an epoch has "),
    "no length": (
        {"max_steps": -1, "max_time": "00:00:01:00"},
        "model.schedule cosine needs to know the run's length: set trainer.max_epochs or max_steps, or take constant",
    ),
    "unknown metric": (
        {"callbacks": [{"class_path": "EarlyStopping", "init_args": {"monitor": "router"}}]},
        "EarlyStopping monitors router, which is not logged",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_preview_refuses_what_fit_refuses(name: str, bench: Any) -> None:
    changes, said = REFUSED[name]
    bench.write(trainer=changes)
    fit, preview = (bench.done(verb, *CONFIG, code=2).err for verb in ("fit", "preview"))
    assert said in fit
    assert preview == fit
    assert not bench.runs()


def test_a_warm_up_longer_than_the_run_is_said_and_nothing_else_is(bench: Any) -> None:
    said = (
        "warning: model.schedule.warmup is 5 steps, but the run makes 4: the rate rises to 80% of its peak and never "
        "falls; give at most 4, or a share below 1"
    )
    for verb in ("preview", "fit"):
        assert said in " ".join(bench.done(verb, *CONFIG, "--model.schedule.warmup=5").err.split())
        assert "warmup" not in bench.done(verb, *CONFIG, "--model.schedule.warmup=4").err
    trial = ("--model.schedule.warmup=5", "--trainer.min_epochs=3", "--trainer.fast_dev_run=true")
    assert "min_epochs" not in bench.done("preview", *CONFIG, *trial).err


ACROSS = ("--trainer.check_val_every_n_epoch=null", "--trainer.accumulate_grad_batches=3")


def test_validation_that_counts_across_epochs_is_refused_where_a_last_window_moves_it(bench: Any) -> None:
    words = (*CONFIG, *ACROSS, "--trainer.val_check_interval=3", "--trainer.max_steps=30")
    fit, preview = (bench.done(verb, *words, code=2).err for verb in ("fit", "preview"))
    assert preview == fit
    assert "an epoch of 8 ends with a window of 2, and trainer.check_val_every_n_epoch: null counts on; use a" in fit
    assert not bench.runs()


@pytest.mark.parametrize(("every", "steps", "validations"), [(3, 3, 3), (16, 6, 1)])
def test_validation_may_count_across_epochs_where_it_falls_on_steps(
    bench: Any, every: int, steps: int, validations: int
) -> None:
    words = (*CONFIG, *ACROSS, f"--trainer.val_check_interval={every}", f"--trainer.max_steps={steps}")
    bench.done("preview", *words)
    bench.done("fit", *words)
    (run,) = bench.runs()
    assert len(json.loads((run / "result.json").read_text())["validation_loss"]) == 1 + validations


@pytest.mark.parametrize("name", MISTAKES)
def test_what_cannot_work_is_refused_before_the_first_step(name: str, bench: Any) -> None:
    changes, said = MISTAKES[name]
    bench.write(**changes)
    ran = bench.done("fit", *CONFIG, code=2)
    assert said in ran.err
    assert "Traceback" not in ran.err
    assert len(ran.err.splitlines()) <= 2
    assert not list(bench.folder.glob("runs/*/*/adapter"))


def test_a_preview_of_nothing_is_a_message(bench: Any) -> None:
    ran = bench.done("preview", *CONFIG, "--trainer.limit_train_batches=0", code=2)
    assert ran.err.startswith("trainer.limit_train_batches is 0")


@pytest.mark.parametrize("place", ["file:///x", "file:x", "s3://bucket/x", "runs\0x"])
def test_a_place_of_runs_that_is_no_folder_is_refused_before_anything_is_made(place: str, bench: Any) -> None:
    bench.write(trainer={"default_root_dir": place})
    before = set(bench.folder.iterdir())
    for verb in ("fit", "test"):
        ran = bench.done(verb, *CONFIG, code=2)
        assert f"trainer.default_root_dir is {place!r}, which is no folder" in ran.err
    assert set(bench.folder.iterdir()) == before


@pytest.mark.parametrize(
    ("logger", "extra"), [("WandbLogger", "wandb"), ("MLFlowLogger", "mlflow"), ("TensorBoardLogger", "tensorboard")]
)
def test_a_logger_without_its_package_names_the_extra(
    logger: str, extra: str, bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunesmith.cli import refusals as module

    monkeypatch.setattr(module, "find_spec", lambda _: None)
    named = {"class_path": logger, "init_args": {"save_dir": "logs"}}
    for value in (named, [named]):
        bench.write(trainer={"logger": value})
        ran = bench.done("fit", *CONFIG, code=2)
        assert f'trainer.logger: {logger} needs {extra}: pip install "tunesmith[{extra}]"' in ran.err
        assert len(ran.err.splitlines()) == 1


def test_an_error_of_a_plugin_is_not_taken_for_lightnings() -> None:
    def plugin() -> None:
        msg = "from a plugin"
        raise ValueError(msg)

    with pytest.raises(ValueError, match="from a plugin"), refusals(["max_steps"]):
        plugin()


def test_an_error_of_lightning_names_the_option_that_it_is_about() -> None:
    from lightning.pytorch import Trainer

    with (
        pytest.raises(RecipeError, match=r"^trainer\.check_val_every_n_epoch: "),
        refusals(["check_val_every_n_epoch"]),
    ):
        Trainer(check_val_every_n_epoch=0.5, accelerator="cpu", logger=False)  # type: ignore[arg-type]


def test_without_checkpoints_the_adapter_is_saved_all_the_same(bench: Any) -> None:
    bench.done("fit", *CONFIG, "--trainer.enable_checkpointing=false")
    (run,) = bench.runs()
    assert (run / "adapter/adapter_model.safetensors").is_file()
    assert not (run / "checkpoints").exists()


def test_validation_that_is_switched_off_is_not_called_missing_rows(bench: Any) -> None:
    ran = bench.done("fit", *CONFIG, "--trainer.limit_val_batches=0")
    assert "trainer.limit_val_batches is 0: whether the model overfits cannot be told" in ran.out


def test_a_complete_run_is_not_run_again(bench: Any) -> None:
    bench.done("fit", *CONFIG)
    (run,) = bench.runs()
    before = (run / "result.json").read_bytes()
    ran = bench.done("fit", *CONFIG, "--ckpt_path", "last")
    assert "is complete: nothing to do" in ran.out
    assert (run / "result.json").read_bytes() == before


def test_a_run_that_goes_on_with_more_steps_is_not_complete_until_it_ends(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunesmith.training.specialist import Specialist

    bench.done("fit", *CONFIG)
    (run,) = bench.runs()
    words = ("fit", *CONFIG, "--run", str(run), "--ckpt_path", "last", "--trainer.max_steps=6")
    with monkeypatch.context() as patch:
        patch.setattr(Specialist, "training_step", lambda *_, **__: (_ for _ in ()).throw(SystemExit(1)))
        bench.done(*words, code=130)
    assert not (run / "result.json").exists()
    bench.done(*words)
    assert json.loads((run / "result.json").read_text())["steps"] == 6


def contents(run: Path) -> dict[str, bytes]:
    """Every file of a run."""
    return {str(path.relative_to(run)): path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file()}


def append(rows: Path) -> None:
    """Add rows, enough for some to be in each split."""
    with rows.open("a") as file:
        for n in range(900, 912):
            file.write(json.dumps({"prompt": f"Report {n}: the mast is up.", "completion": f"mast {n}"}) + "\n")


@pytest.mark.parametrize("reason", ["rows in the last epoch", "batch size", "validation within a window", "rank"])
def test_a_refused_resume_changes_no_file_of_its_run(reason: str, bench: Any) -> None:
    bench.done("fit", *CONFIG)
    (run,) = bench.runs()
    before = contents(run)
    words: dict[str, tuple[str, ...]] = {
        "rows in the last epoch": ("--trainer.max_epochs=1", "--trainer.max_steps=-1", "--relock"),
        "batch size": ("--data.batch_size=2", "--trainer.max_steps=6"),
        "validation within a window": ("--trainer.max_steps=6", "--trainer.val_check_interval=0", "--relock"),
        "rank": ("--model.adapter.rank=2", "--trainer.max_steps=6", "--relock"),
    }
    if reason == "rows in the last epoch":
        append(bench.folder / "rows.jsonl")
    ran = bench.run("fit", *CONFIG, "--ckpt_path", str(run / "checkpoints/last.ckpt"), *words[reason])
    assert ran.code in (1, 2)
    assert contents(run) == before


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the examples that training takes, in order."""
    from tunesmith.training.specialist import Specialist

    ids: list[str] = []
    original = Specialist.training_step

    def step(self: Any, batch: Any, *args: Any) -> Any:
        ids.extend(example.id for example in batch.examples)
        return original(self, batch, *args)

    monkeypatch.setattr(Specialist, "training_step", step)
    return ids


def test_a_run_that_was_left_in_mid_epoch_goes_on_with_more_rows_at_the_next_epoch(bench: Any, seen: list[str]) -> None:
    bench.done("fit", *CONFIG)
    (run,) = bench.runs()
    then = seen.copy()
    lock = json.loads((run / "lock.json").read_text())
    append(bench.folder / "rows.jsonl")
    further = ("--trainer.max_epochs=2", "--trainer.max_steps=-1")
    words = ("fit", *CONFIG, "--run", str(run), "--ckpt_path", "last", *further)
    refused = bench.done(*words, code=2)
    assert refused.err.splitlines()[-1] == "restore it, or go on with --relock"
    seen.clear()
    ran = bench.done(*words, "--relock")
    said = " ".join(ran.err.split())
    assert "epoch 1 was left after 4 of" in said
    assert "training goes on with epoch 2, on all rows" in said
    rows = sum(json.loads((run / "data.json").read_text())["splits"]["train"].values())
    assert len(seen) == len(set(seen)) == rows > len(then)
    result = json.loads((run / "result.json").read_text())
    assert (result["steps"], result["epochs"]) == (4 + -(-rows // 4), 2)
    assert json.loads((run / "lock.json").read_text())["data"] != lock["data"]
    with (run / "metrics.csv").open(newline="") as file:
        steps = [int(row["step"]) for row in csv.DictReader(file) if row["loss"]]
    assert steps == list(range(result["steps"]))
    assert "complete: nothing to do" in bench.done(*words).out


def test_another_layout_in_mid_epoch_is_refused_with_the_way_on(bench: Any, seen: list[str]) -> None:
    bench.done("fit", *CONFIG)
    (run,) = bench.runs()
    words = ("fit", *CONFIG, "--run", str(run), "--ckpt_path", "last", "--trainer.max_steps=9", "--data.batch_size=2")
    refused = bench.done(*words, code=2)
    assert "data.batch_size was 4 and is 2\nrestore them, or add --relock to go on with epoch 2" in refused.err
    seen.clear()
    bench.done(*words, "--relock")
    assert len(seen) == len(set(seen)) == 10


def test_rows_of_other_lengths_within_a_token_budget_are_another_layout(bench: Any, seen: list[str]) -> None:
    bench.write(data={"max_tokens": 60})
    bench.done("fit", *CONFIG)
    (run,) = bench.runs()
    then = seen.copy()
    shorter = ("--data.max_length=16", "--data.truncation=left")
    words = ("fit", *CONFIG, "--run", str(run), "--ckpt_path", "last", "--trainer.max_steps=16", *shorter)
    before = contents(run)
    refused = bench.done(*words, code=2)
    said = " ".join(refused.err.split())
    assert "epoch 1 was left after 4 of" in said
    assert "rows have not as many tokens as before, by which data.max_tokens deals them (data.max_length, " in said
    assert refused.err.endswith("restore them, or add --relock to go on with epoch 2\n")
    assert contents(run) == before
    seen.clear()
    ran = bench.done(*words, "--relock")
    assert "the rows of its rest are not seen in it; training goes on with epoch 2" in " ".join(ran.err.split())
    rows = sum(json.loads((run / "data.json").read_text())["splits"]["train"].values())
    assert len(set(seen[:rows])) == rows > len(set(then))


def test_a_position_under_overfit_batches_is_taken(bench: Any, seen: list[str]) -> None:
    bench.write(trainer={"overfit_batches": 6, "max_steps": 4})
    bench.done("fit", *CONFIG)
    bench.done("fit", *CONFIG, "--ckpt_path", "last", "--run", str(bench.runs()[0]), "--trainer.max_steps=6")
    assert len(seen) == len(set(seen)) == 24


def test_rows_set_aside_lie_in_the_run_alone(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from tunesmith.cli import fit, resume

    bench.done("fit", *CONFIG)
    assert not (bench.folder / "runs/tiny/rejected.jsonl").exists()
    original = resume.make_lock

    def other_fit(*args: Any) -> Any:
        (bench.folder / "runs/tiny/rejected.jsonl").unlink()  # as a fit that began at the same time
        return original(*args)

    monkeypatch.setattr(fit, "make_lock", other_fit)
    bench.done("fit", *CONFIG)
    assert all((run / "rejected.jsonl").is_file() for run in bench.runs())


def test_a_run_of_a_release_with_fewer_options_is_found(bench: Any) -> None:
    bench.done("fit", *CONFIG)
    (run,) = bench.runs()
    lock = json.loads((run / "lock.json").read_text())
    del lock["method"]["trainer"]["detect_anomaly"]
    del lock["method"]["model"]["gradient_checkpointing"]
    del lock["method"]["model"]["adapter"]["init_args"]["dropout"]
    (run / "lock.json").write_text(json.dumps({**lock, "fingerprint": "another"}))
    bench.done("test", *CONFIG)
    bench.done("test", "--config", str(run / "config.yaml"))
    ran = bench.done("test", *CONFIG, "--model.adapter.init_args.dropout=0.1", code=2)
    assert "model.adapter.init_args.dropout was not set there and is 0.1 now" in ran.err


def test_defaults_are_left_out_at_every_depth_and_names_never_imported() -> None:
    resolved = {
        "model": {"precision": "auto", "schedule": {"name": "cosine", "warmup": 0.2}, "from_scratch": False},
        "data": {"sources": {"a": {"path": "x", "task": ""}}, "split": {"train": 0.8}},
        "trainer": {"max_steps": -1, "callbacks": [{"class_path": "no.such.Thing", "init_args": {"a": 1}}]},
    }
    slim = lean(resolved)
    assert slim["data"] == {"sources": {"a": {"path": "x"}}}
    assert slim["trainer"] == {"callbacks": [{"class_path": "no.such.Thing", "init_args": {"a": 1}}]}
    assert slim["model"]["schedule"]["warmup"] == 0.2
    assert "precision" not in slim["model"]
    assert importlib.util.find_spec("no") is None


@given(st.dictionaries(st.sampled_from(["max_steps", "max_epochs", "accelerator"]), st.integers() | st.text()))
def test_to_leave_defaults_out_twice_is_to_do_it_once(trainer: dict[str, Any]) -> None:
    once = lean({"trainer": trainer})
    assert lean(once) == once
    assert digest(once) == digest(lean({"trainer": {**trainer, "detect_anomaly": False}}))


CHECKED: dict[str, tuple[dict[str, Any], str]] = {
    "metric": ({"success": {"exact/exact_mach": {"at_least": 1}}}, "did you mean exact/exact_match"),
    "bounds": ({"success": {"exact/exact_match": {"between": [1, 0]}}}, "the lowest first"),
    "direction": ({"success": {"exact/exact_match": {"at_most": 1}}}, "write at_least"),
    "split": ({"data": {"split": {"train": 0.9, "test": 0.9}}}, "data.split"),
    "end": ({"trainer": {"max_steps": -1}}, "trainer.max_epochs"),
    "generation": ({"generation": {"max_new_tokens": 0}}, "generation.max_new_tokens is 0"),
}


@pytest.mark.parametrize("name", CHECKED)
def test_a_check_finds_what_a_fit_would_refuse_before_it_reads_data(name: str, bench: Any) -> None:
    changes, said = CHECKED[name]
    bench.write(**changes)
    ran = bench.done("recipes", "check", *CONFIG[1:], code=2)
    assert ran.out.startswith("tiny.yaml: wrong\n  ")
    assert said in ran.out


def test_a_check_of_several_recipes_tells_which_data_is_not_there(bench: Any) -> None:
    bench.write("other.yaml", data={"sources": {"notes": {"path": "none.jsonl"}}})
    ran = bench.done("recipes", "check", "tiny.yaml", "other.yaml")
    first, second, third = ran.out.splitlines()
    assert (first, second) == ("tiny.yaml: good", "other.yaml: good, but 1 file is absent:")
    assert "data.sources.notes.path" in third
    assert "does not exist" in third


def test_all_missing_files_are_named_at_once(bench: Any) -> None:
    more = {"path": ["none.jsonl", "rows.jsonl", "nor_this.jsonl"], "formatter": "PromptCompletion"}
    bench.write(data={"sources": {"more": more, "notes": {"path": "no_notes.jsonl"}}})
    said = bench.done("fit", *CONFIG, code=2).err
    for name in ("none.jsonl", "nor_this.jsonl", "no_notes.jsonl"):
        assert f"{name} does not exist" in said
    assert "tiny.yaml: good, but 3 files are absent:" in bench.done("recipes", "check", "tiny.yaml").out


def test_rows_of_another_encoding_are_told_what_to_do(bench: Any) -> None:
    (bench.folder / "rows.csv").write_bytes("prompt,completion\nCaf\xe9 1,yes\n".encode("latin-1") * 9)
    bench.write(data={"sources": {"notes": {"path": "rows.csv"}}})
    assert "save the file as UTF-8" in bench.done("fit", *CONFIG, code=2).err


def test_an_overlay_alone_is_told_so_and_nothing_else(bench: Any) -> None:
    (bench.folder / "over.yaml").write_text("model: {base: ./x, optimizer: {init_args: {lr: 1.0e-4}}}\n")
    ran = bench.done("fit", "--config", "over.yaml", code=2)
    alone = "data is missing; an overlay never runs alone: --config RECIPE --config OVERLAY"
    assert ran.err == f"over.yaml: {alone}\n"


class Noise(Regularizer):
    """Perturbs, and has no term of its own."""

    def perturb(self, embeddings: Any, batch: Any) -> Any:
        return embeddings + 0.0


def test_every_term_that_is_logged_can_be_watched_and_no_other(bench: Any) -> None:
    config = transformers.MixtralConfig(
        vocab_size=4096, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, num_local_experts=4, max_position_embeddings=256,
    )  # fmt: skip
    directory = bench.folder / "moe"
    transformers.MixtralForCausalLM(config).save_pretrained(directory)
    transformers.AutoTokenizer.from_pretrained(bench.recipe["model"]["base"]).save_pretrained(directory)
    watching = [
        {"class_path": "EarlyStopping", "init_args": {"monitor": name}} for name in ("router", "reg/anchor", "loss")
    ]
    anchor = {"class_path": "KLToBase", "init_args": {"weight": 0.1}}
    model = {"base": str(directory), "router_aux_loss_coef": 0.1, "regularizers": {"anchor": anchor}}
    bench.write(model=model, trainer={"callbacks": watching, "max_steps": 1})
    bench.done("fit", *CONFIG)
    [metrics] = bench.folder.glob("runs/tiny/*/metrics.csv")
    header = metrics.read_text().splitlines()[0].split(",")
    assert {"router", "reg/anchor", "loss", "val/loss", "lr", "grad_norm", "tokens/s"} <= set(header)
    session = open_session(parse("preview", [*CONFIG, "--model.router_aux_loss_coef=0"], list(sections())))
    session.model.regularizers["noise"] = Noise()
    session.model.load()
    assert session.model.term_names() == ["loss", "reg/anchor"], "no router, and nothing of what only perturbs"
