"""The loader's position is exact under Lightning: at every place to stop, for any number of workers, on every rank."""

import json
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from tunesmith.data.collate import collate
from tunesmith.data.encoded import Encoded
from tunesmith.data.encoded_rows import EncodedRow
from tunesmith.data.example import Example
from tunesmith.data.loader import PlanLoader
from tunesmith.data.plan import Plan
from tunesmith.errors import RecipeError

pytestmark = pytest.mark.filterwarnings(
    "ignore:The 'train_dataloader' does not have many workers",
    "ignore:.*is smaller than the logging interval",
    "ignore:Checkpoint directory .* exists and is not empty",
    "ignore:Total length of `list` across ranks is zero",
    "ignore:Be aware that when using `ckpt_path`, callbacks used",
    "ignore:You defined a `validation_step` but have no `val_dataloader`",
    "ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning",  # lightning 2.6 on torch 2.13
)
ROWS, SIZE = 22, 2
BATCHES = 11


def row(number: int, length: int = 3) -> EncodedRow:
    encoded = Encoded(tuple(range(10, 10 + length)), (0.0, *[1.0] * (length - 1)))
    return EncodedRow(Example(id=str(number)), (encoded,))


def make_loader(workers: int = 0, **options) -> PlanLoader:
    rows = [row(number, 2 + number % 5) for number in range(ROWS)]
    plan = Plan([r.length for r in rows], {"token": [r.length - 1 for r in rows]}, batch_size=SIZE, seed=7, **options)
    return PlanLoader(rows, plan, workers=workers)


class Recorder(lightning.LightningModule):
    """Notes which rows each step sees; its loss needs none of them."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: list[tuple[str, ...]] = []

    def training_step(self, batch, index):
        self.seen.append(tuple(example.id for example in batch.examples))
        return self.weight.sum() * batch.loss_weights.sum()

    def validation_step(self, batch, index):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class StopAfter(Callback):
    """Kills the run the way a user or a scheduler does, after the checkpoint of that step."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_train_batch_start(self, trainer, module, batch, index):
        if trainer.global_step >= self.steps:
            raise KilledError


class KilledError(Exception):
    pass


class Data(lightning.LightningDataModule):
    def __init__(self, workers: int, validate: bool) -> None:
        super().__init__()
        self.workers, self.validate = workers, validate

    def train_dataloader(self):
        return make_loader(self.workers)

    def val_dataloader(self):
        return make_loader(0, shuffle=False) if self.validate else []


def fit(
    directory: Path,
    workers: int,
    *,
    callbacks: Sequence[Callback] = (),
    ckpt: Path | None = None,
    validate: bool = False,
    epochs: int = 2,
) -> list[tuple[str, ...]]:
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=directory,
        enable_checkpointing=bool(callbacks),
        callbacks=list(callbacks),
    )
    module = Recorder()
    try:
        trainer.fit(module, datamodule=Data(workers, validate), ckpt_path=ckpt, weights_only=True if ckpt else None)
    except KilledError:
        trainer.fit_loop.teardown()
    return module.seen


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> list[tuple[str, ...]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fit(tmp_path_factory.mktemp("whole"), 0)


def test_trap_47_two_epochs_are_complete_and_different(whole) -> None:
    assert len(whole) == 2 * BATCHES
    for epoch in (whole[:BATCHES], whole[BATCHES:]):
        assert Counter(i for batch in epoch for i in batch) == Counter(map(str, range(ROWS)))
    assert whole[:BATCHES] != whole[BATCHES:]


def test_trap_47_two_epochs_are_the_same_with_workers(whole, tmp_path) -> None:
    assert fit(tmp_path, 2) == whole


@pytest.mark.parametrize(("first", "second"), [(0, 0), (2, 2), (0, 2), (2, 0)])
@pytest.mark.parametrize("stop", [4, BATCHES, BATCHES + 3], ids=["mid-epoch", "last batch", "second epoch"])
def test_trap_26_trap_47_a_killed_run_goes_on_at_the_next_row(whole, tmp_path, first, second, stop) -> None:
    saving = ModelCheckpoint(tmp_path, filename="c", every_n_train_steps=stop, save_top_k=-1)
    before = fit(tmp_path, first, callbacks=[saving, StopAfter(stop)])
    assert len(before) == stop
    after = fit(tmp_path, second, ckpt=tmp_path / "c.ckpt")
    assert before + after == whole


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("at_train_end", [True, False], ids=["epoch end", "after validation"])
def test_trap_26_trap_47_a_run_saved_between_epochs_goes_on_with_the_second(
    whole, tmp_path, workers, at_train_end
) -> None:
    saving = ModelCheckpoint(tmp_path, filename="c", every_n_epochs=1, save_on_train_epoch_end=at_train_end)
    before = fit(tmp_path, workers, callbacks=[saving], epochs=1, validate=True)
    after = fit(tmp_path, workers, ckpt=tmp_path / "c.ckpt", validate=True)
    assert before + after == whole


def test_trap_26_the_state_is_that_of_batches_handed_out_not_fetched_ahead() -> None:
    loader = make_loader(workers=2)
    iterator = iter(loader)
    ids = [tuple(e.id for e in next(iterator).examples) for _ in range(3)]
    state = loader.state_dict()
    assert (state["epoch"], state["done"]) == (0, 3)
    resumed = make_loader()
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    rest = [tuple(e.id for e in batch.examples) for batch in resumed]
    assert ids + rest == [tuple(e.id for e in batch.examples) for batch in make_loader()]


def test_a_loader_begins_again_when_it_is_iterated_again() -> None:
    loader = make_loader(shuffle=False)
    next(iter(loader))
    assert sum(1 for _ in loader) == sum(1 for _ in loader) == len(loader) == BATCHES


def test_a_state_within_an_epoch_of_another_layout_is_refused_and_says_what_changed() -> None:
    state = make_loader().state_dict() | {"done": 3}
    with pytest.raises(RecipeError, match=r"trainer\.accumulate_grad_batches was 1 and is 4"):
        make_loader(accumulate=4).load_state_dict(state)
    ended = make_loader(accumulate=4)
    ended.load_state_dict(state | {"done": BATCHES})
    assert list(ended) == []
    ended.position.set_epoch(1)
    assert len(list(ended)) == BATCHES


def test_trap_46_overfitting_on_some_batches_keeps_lightning_from_replacing_the_loader(tmp_path) -> None:
    trainer = lightning.Trainer(
        overfit_batches=3, max_epochs=2, accelerator="cpu", logger=False, enable_progress_bar=False,
        enable_model_summary=False, enable_checkpointing=False, default_root_dir=tmp_path,
    )  # fmt: skip
    module = Recorder()
    trainer.fit(module, make_loader(shuffle=False, limit=3))
    assert len(module.seen) == 6
    assert module.seen[:3] == module.seen[3:]


def test_a_batch_is_ragged_and_trap_9_no_document_starts_with_a_label() -> None:
    pair = EncodedRow(Example(id="p"), (Encoded((5, 6), (1.0, 0.5)), Encoded((7, 8, 9), (1.0, 0.0, 2.0))))
    batch = collate([pair, row(1, 4)])
    assert batch.input_ids.tolist() == [5, 6, 7, 8, 9, 10, 11, 12, 13]
    assert batch.position_ids.tolist() == [0, 1, 0, 1, 2, 0, 1, 2, 3]
    assert batch.cu_seqlens.tolist() == [0, 2, 5, 9]
    assert batch.cu_seqlens.dtype == torch.int32
    assert batch.loss_weights.tolist() == [0, 0.5, 0, 0, 2, 0, 1, 1, 1]
    assert batch.sequence_example.tolist() == [0, 0, 1]
    assert batch.sequence.tolist() == [0, 0, 1, 1, 1, 2, 2, 2, 2]
    assert batch.max_seqlen == 4
    assert not batch.ghost


class Copied(torch.Tensor):
    """Says whether it is pinned, and notes how it was copied."""

    pinned = False
    asked: list[bool] = []  # noqa: RUF012

    def is_pinned(self, *_):
        return self.pinned

    def to(self, *_, non_blocking=False, **__):
        self.asked.append(non_blocking)
        return self


@pytest.mark.parametrize("pinned", [True, False])
def test_a_pinned_batch_is_copied_while_the_process_goes_on(pinned, monkeypatch) -> None:
    monkeypatch.setattr(Copied, "pinned", pinned)
    monkeypatch.setattr(Copied, "asked", [])
    batch = collate([row(1), row(2)])
    tensors = {name: tensor.as_subclass(Copied) for name, tensor in batch._tensors().items()}
    moved = Recorder().transfer_batch_to_device(replace(batch, **tensors), torch.device("meta"), 0)
    assert Copied.asked == [pinned] * 5, "as Lightning moves it"
    assert moved.examples == batch.examples


def test_a_ghost_has_no_labels() -> None:
    rows = [row(1, 4)]
    loaders = [PlanLoader(rows, Plan([4], {"token": [3]}, world=2), rank=rank) for rank in range(2)]
    real, ghost = (next(iter(loader)) for loader in loaders)
    assert (real.ghost, ghost.ghost) == (False, True)
    assert (real.loss_weights.sum(), ghost.loss_weights.sum()) == (3, 0)
    assert real.window.scale(torch.tensor(6.0), "token") == 4  # 6 / 3 tokens * 2 ranks, which DDP divides by
    assert ghost.window.scale(torch.tensor(6.0), "token") == 0


class Seeing(lightning.LightningModule):
    """Remembers the rows that its process sees in which epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.seen = torch.nn.Parameter(torch.zeros(1)), []

    def train_dataloader(self) -> PlanLoader:
        lengths = [2 + n % 5 for n in range(21)]
        rows = [row(n, length) for n, length in enumerate(lengths)]
        plan = Plan(lengths, {"token": lengths}, batch_size=2, accumulate=2, world=2, seed=3)
        return PlanLoader(rows, plan, self.trainer.global_rank, workers=self.global_rank)

    def training_step(self, batch: Any, index: int) -> torch.Tensor:
        if not batch.ghost:
            self.seen += [[self.current_epoch, e.id] for e in batch.examples]
        return self.weight.sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def see_rows(root: str) -> None:
    """One of two processes, of which the second has a worker."""
    module = Seeing()
    lightning.Trainer(
        max_epochs=2,
        accelerator="cpu",
        devices=2,
        strategy="ddp",
        accumulate_grad_batches=2,
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=root,
    ).fit(module)
    (Path(root) / f"rank{module.global_rank}.json").write_text(json.dumps(module.seen))


@pytest.mark.slow
def test_trap_26_two_processes_see_every_row_once_an_epoch(tmp_path, call_apart) -> None:
    call_apart(see_rows, tmp_path)
    ranks = [[tuple(pair) for pair in json.loads((tmp_path / f"rank{rank}.json").read_text())] for rank in range(2)]
    assert Counter(ranks[0] + ranks[1]) == Counter((epoch, str(n)) for epoch in range(2) for n in range(21))
    assert all(ranks)
