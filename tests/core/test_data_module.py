"""The data module: limits of Trainer, exact resume through it, and options that are refused."""

import json
from collections import Counter
from pathlib import Path

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import GradientAccumulationScheduler, ModelCheckpoint
from transformers import PreTrainedTokenizerFast

import tunesmith_plugins
from tunesmith.data.example import Example, Message
from tunesmith.data.module import RecipeData
from tunesmith.data.render import ChatRenderer
from tunesmith.data.sources import Source
from tunesmith.errors import DataError, RecipeError
from tunesmith.plugins.interfaces import Formatter, Objective

BASE = Path(tunesmith_plugins.__file__).parent / "bases/tiny-mistral"
pytestmark = pytest.mark.filterwarnings(
    "ignore:The '.*_dataloader' does not have many workers",
    "ignore:.*is smaller than the logging interval",
    "ignore:Checkpoint directory .* exists and is not empty",
    "ignore:Be aware that when using `ckpt_path`, callbacks used",
    "ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning",  # lightning 2.6 on torch 2.13
)


class Pairs(Formatter):
    def format(self, row):
        return Example(messages=(Message("user", row["q"]), Message("assistant", row["a"])))


class Next(Objective):
    def encode(self, example, renderer):
        return [renderer.conversation(example.messages)]

    def loss(self, forward):
        raise NotImplementedError


class One(lightning.LightningModule):
    """Its gradient of a step is the share of the window's labels that the step has seen: exactly 1, or it is wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
        self.seen: list[str] = []
        self.steps: list[float] = []
        self.validated: list[str] = []

    def on_train_start(self):
        next(iter(self.trainer.datamodule.train_dataloader()))  # a look ahead must not move the position that is saved

    def training_step(self, batch, index):
        self.seen += [e.id for e in batch.examples]
        return batch.window.scale(self.weight.sum() * batch.loss_weights.sum(), "token")

    def on_before_optimizer_step(self, optimizer):
        self.steps.append(self.weight.grad.item())

    def validation_step(self, batch, index):
        assert batch.window is None
        self.validated += [e.id for e in batch.examples]

    def configure_optimizers(self):
        assert self.trainer.estimated_stepping_batches  # makes the training loader before a checkpoint is read
        return torch.optim.SGD(self.parameters(), lr=0.1)


def write(directory: Path, name: str, number: int) -> Path:
    rows = [{"q": f"{name} question {n}", "a": "yes " * (n % 9 + 1)} for n in range(number)]
    file = directory / f"{name}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def make_data(directory: Path, train: int = 23, validation: int = 5, positions: int | None = None, **options):
    sources = {
        split: Source(str(write(directory, split, number)), Pairs(), split=split)
        for split, number in (("train", train), ("validation", validation), ("test", 3))
        if number
    }
    data = RecipeData(sources, **{"batch_size": 2, **options})
    renderer = ChatRenderer(PreTrainedTokenizerFast.from_pretrained(BASE))
    data.bind(renderer, Next(), 5, directory, max_positions=positions)
    return data


def fit(directory: Path, data: RecipeData, ckpt: Path | None = None, **options) -> One:
    trainer = lightning.Trainer(
        **{"max_epochs": 2, "enable_checkpointing": False, **options},
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=directory,
    )
    module = One()
    trainer.fit(module, datamodule=data, ckpt_path=ckpt, weights_only=True if ckpt else None)
    return module


@pytest.mark.parametrize("tokens", [None, 60], ids=["by rows", "by tokens"])
@pytest.mark.parametrize(
    ("limits", "share"),
    [
        ({}, 1.0),
        ({"limit_train_batches": 6}, None),
        ({"limit_train_batches": 0.5}, 0.5),
        ({"overfit_batches": 3}, None),
        ({"fast_dev_run": 2}, None),
    ],
)
def test_trap_46_every_step_sees_its_windows_labels_under_every_limit(tmp_path, tokens, limits, share) -> None:
    data = make_data(tmp_path, max_tokens=tokens)
    whole = len(data.plan("train", accumulate=4))
    module = fit(tmp_path, data, accumulate_grad_batches=4, **limits)
    assert module.steps == pytest.approx([1.0] * len(module.steps), abs=1e-12)
    batches = int(whole * share) if share else next(iter(limits.values()))
    assert len(module.steps) == -(-batches // 4) * (1 if "fast_dev_run" in limits else 2)
    if "overfit_batches" in limits:
        half = len(module.seen) // 2
        assert module.seen[:half] == module.seen[half:]
    if not limits:
        assert set(Counter(module.seen).values()) == {2}


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("at", [4, 12, 14], ids=["mid-epoch", "epoch end", "second epoch"])
def test_trap_26_resume_is_exact_where_the_optimizer_asked_for_the_number_of_steps(tmp_path, workers, at) -> None:
    whole = fit(tmp_path, make_data(tmp_path)).seen
    saving = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=at, save_top_k=-1)
    before = fit(tmp_path, make_data(tmp_path, workers=workers), callbacks=[saving], enable_checkpointing=True)
    rest = fit(tmp_path, make_data(tmp_path), ckpt=tmp_path / f"step={at}.ckpt").seen
    assert before.seen == whole
    assert rest == whole[len(whole) - len(rest) :]
    assert len(rest) == len(whole) - {4: 8, 12: 23, 14: 27}[at]


def test_validation_sees_every_row_once_in_order(tmp_path) -> None:
    data = make_data(tmp_path)
    module = fit(tmp_path, data, max_epochs=1, num_sanity_val_steps=0)
    assert module.validated == [e.id for e in data.prepare_rows().splits["validation"]]
    seen = [e.id for batch in data.test_dataloader() for e in batch.examples]
    assert seen == [e.id for e in data.prepare_rows().splits["test"]]


def test_accumulation_schedules_are_refused(tmp_path) -> None:
    with pytest.raises(RecipeError, match="GradientAccumulationScheduler changes the accumulation"):
        fit(tmp_path, make_data(tmp_path), callbacks=[GradientAccumulationScheduler({1: 2})])


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("batch_size", 0, "data.batch_size is 0; it is a whole number of at least 1"),
        ("max_tokens", 0, "data.max_tokens is 0"),
        ("max_length", 1, "data.max_length is 1; it is a whole number of at least 2"),
        ("workers", -1, "data.workers is -1"),
        ("truncation", "middle", "data.truncation is middle; it takes right, left or drop"),
        ("max_length", 4096, "data.max_length is 4096, but the base has 64 positions"),
    ],
)
def test_options_that_cannot_be_are_refused_by_their_key(tmp_path, option, value, message) -> None:
    with pytest.raises(RecipeError, match=message):
        make_data(tmp_path, positions=64, **{option: value})


def test_an_accumulation_of_no_batches_is_refused(tmp_path) -> None:
    with pytest.raises(RecipeError, match=r"trainer\.accumulate_grad_batches is 0; it must be 1 or more"):
        make_data(tmp_path).plan("train", accumulate=0)


def test_rows_longer_than_the_bases_positions_are_truncated_and_counted(tmp_path) -> None:
    data = make_data(tmp_path, positions=16)
    counts = data.encoded("train").counts
    assert counts["truncated"] > 0
    assert counts["examples"] == counts["rows"] + sum(counts["dropped"].values()) == 23
    assert max(data.encoded("train").lengths) == 16
    assert data.encoded("train") is data.encoded("train")
    assert data.prepare_rows() is data.prepare_rows()


def test_a_split_without_rows_to_train_on_stops_the_run(tmp_path) -> None:
    with pytest.raises(DataError, match="the train split is empty"):
        make_data(tmp_path, train=0).train_dataloader()


def test_rows_before_bind_are_a_fault_of_the_caller(tmp_path) -> None:
    with pytest.raises(RuntimeError, match="bind comes before"):
        RecipeData({}).prepare_rows()
