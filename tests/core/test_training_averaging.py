"""Averages of weights: the mean by hand, in validation, checkpoints and adapter, and the same in a resumed run."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningDataModule, Trainer
from lightning.pytorch.callbacks import Timer
from torch import Tensor

from tunesmith import RecipeError
from tunesmith.data.loader import PlanLoader
from tunesmith.data.plan import Plan
from tunesmith.testing import models
from tunesmith.training.averaging import EMA, SWA, Averaging, averaging
from tunesmith.training.checkpoint import StepCheckpoint
from tunesmith.training.schedule import Schedule
from tunesmith.training.specialist import Specialist
from tunesmith_plugins.adapters.lora import LoRA

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*smaller than the logging interval.*"),
    pytest.mark.filterwarnings("ignore:.*exists and is not empty.*"),
]
STEPS = 8


class Rows(LightningDataModule):
    """Four steps of two micro-batches an epoch; every second row is validated on."""

    def __init__(self, rows: list[Any]) -> None:
        super().__init__()
        self.rows = (rows * 8)[:16]

    def train_dataloader(self) -> PlanLoader:
        units: Any = {u: [r.units[u] for r in self.rows] for u in ("token", "example", "pair")}
        return PlanLoader(self.rows, Plan([r.length for r in self.rows], units, batch_size=2, accumulate=2, seed=3))

    def val_dataloader(self) -> PlanLoader:
        rows = self.rows[::2]
        return PlanLoader(rows, Plan([r.length for r in rows], batch_size=3, shuffle=False))


class Weights(Callback):
    """The weights after each optimizer step."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Tensor]] = []

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.on_train_batch_end(trainer, pl_module)

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *_: Any) -> None:
        if not self.steps or not trainer.fit_loop._should_accumulate():
            self.steps.append({name: tensor.clone() for name, tensor in pl_module.state_dict().items()})


class Losses(Callback):
    """The validation losses, by step."""

    def __init__(self) -> None:
        self.found: dict[int, float] = {}

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        self.found[trainer.global_step] = float(trainer.callback_metrics["val/loss"])


def make() -> Specialist:
    module = models.specialist(LoRA(rank=2))
    module.optimizer_factory = lambda groups: torch.optim.AdamW(groups, lr=0.02)
    module.schedule = Schedule("constant", warmup=0)
    return module


def fit(
    module: Specialist, folder: Path, *callbacks: Callback, steps: int = STEPS, resume: bool = False, **options: Any
) -> Trainer:
    arguments: dict[str, Any] = {
        "max_steps": steps,
        "accelerator": "cpu",
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "use_distributed_sampler": False,
        "accumulate_grad_batches": 2,
        "log_every_n_steps": 1,
    }
    kept = StepCheckpoint(folder, every_steps=3, every_minutes=None)
    trainer = Trainer(**{**arguments, **options}, callbacks=[*callbacks, kept])
    path = folder / "last.ckpt" if resume else None
    trainer.fit(module, Rows(models.encoded(module)), ckpt_path=path, weights_only=True)
    return trainer


def close(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-5, atol=1e-7)


def loss_of(weights: dict[str, Tensor]) -> float:
    """The validation loss of these weights."""
    module = make()
    module.restore_trained(weights)
    module.eval()
    total = units = 0.0
    with torch.no_grad():
        for batch in Rows(models.encoded(module)).val_dataloader():
            total += float(module.objective.loss(module.passes(batch)).sum)
            units += int(batch.loss_weights.count_nonzero())
    return total / units


def moving(weights: list[dict[str, Tensor]], decays: list[float]) -> dict[str, Tensor]:
    average = {name: tensor.double() for name, tensor in weights[0].items()}
    for later, decay in zip(weights[1:], decays, strict=True):
        average = {name: decay * average[name] + (1 - decay) * later[name] for name in average}
    return {name: tensor.float() for name, tensor in average.items()}


def mean(weights: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack([one[name].double() for one in weights]).mean(0).float() for name in weights[0]}


WARM = [min(0.9, (1 + t) / (10 + t)) for t in range(1, STEPS + 1)]
CASES: dict[str, tuple[Callable[[], Averaging], Callable[[list[dict[str, Tensor]]], dict[str, Tensor]]]] = {
    "ema": (lambda: EMA(0.9), lambda weights: moving(weights, WARM)),
    "ema at once": (lambda: EMA(0.7, warmup=False), lambda weights: moving(weights, [0.7] * STEPS)),
    "ema each third": (
        lambda: EMA(0.7, warmup=False, every_n_steps=3),
        lambda weights: moving(weights[:7:3], [0.7] * 2),
    ),
    "swa": (lambda: SWA(0.5), lambda weights: mean(weights[4:])),
    "swa each second": (lambda: SWA(3, every_n_steps=2), lambda weights: mean(weights[3::2])),
}


@pytest.mark.parametrize("name", CASES)
def test_validation_checkpoints_and_adapter_are_of_the_average_by_hand(name: str, tmp_path: Path) -> None:
    made, by_hand = CASES[name]
    module, weights, losses = make(), Weights(), Losses()
    fit(module, tmp_path, made(), weights, losses)
    assert len(weights.steps) == STEPS + 1
    expected = by_hand(weights.steps)
    assert not torch.equal(next(iter(expected.values())), next(iter(weights.steps[-1].values())))
    close(module.state_dict(), expected)
    last = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert last["global_step"] == STEPS
    close(last["state_dict"], expected)
    close(last["unaveraged"], weights.steps[-1])
    assert losses.found[STEPS] == pytest.approx(loss_of(expected), rel=1e-5)
    assert abs(losses.found[STEPS] - loss_of(weights.steps[-1])) > 1e-5


def test_training_goes_on_with_the_weights_themselves(tmp_path: Path) -> None:
    alone, beside = Weights(), Weights()
    fit(make(), tmp_path / "alone", alone)
    fit(make(), tmp_path / "beside", EMA(0.9), beside)
    for one, other in zip(alone.steps, beside.steps, strict=True):
        assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.mark.parametrize("name", ["ema", "swa", "swa each second"])
def test_a_resumed_run_has_the_average_that_the_run_has(name: str, tmp_path: Path) -> None:
    made = {"ema": lambda: EMA(0.9), "swa": lambda: SWA(5), "swa each second": lambda: SWA(3, every_n_steps=2)}[name]
    whole, parts, losses, later = make(), make(), Losses(), Losses()
    fit(whole, tmp_path / "whole", made(), losses)
    fit(make(), tmp_path / "parts", made(), steps=6)
    fit(parts, tmp_path / "parts", made(), later, resume=True)
    assert all(torch.equal(tensor, parts.state_dict()[key]) for key, tensor in whole.state_dict().items())
    assert later.found[STEPS] == losses.found[STEPS]


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`, callbacks")
def test_without_an_average_a_run_goes_on_with_the_weights(tmp_path: Path) -> None:
    weights, later = Weights(), Weights()
    fit(make(), tmp_path / "whole", weights)
    fit(make(), tmp_path / "parts", EMA(0.9), steps=6)
    fit(make(), tmp_path / "parts", later, resume=True)
    for one, other in zip(weights.steps[6:], later.steps, strict=True):
        assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_before_its_first_step_everything_is_of_the_weights(tmp_path: Path) -> None:
    weights, losses = Weights(), Losses()
    fit(make(), tmp_path, SWA(7), weights, losses, steps=7, val_check_interval=4)
    assert losses.found[2] == pytest.approx(loss_of(weights.steps[2]), rel=1e-5)
    best = torch.load(tmp_path / "best.ckpt", weights_only=True)
    if best["global_step"] < 7:
        assert "unaveraged" not in best


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (EMA(1.0), r"EMA\.decay is 1; it lies between 0 and 1"),
        (EMA(0.0), r"EMA\.decay is 0; it lies between 0 and 1"),
        (EMA(every_n_steps=0), r"EMA\.every_n_steps is 0; it must be 1 or more"),
        (SWA(-0.5), r"SWA\.start is -0\.5; give a share of all steps, or the number of one"),
        (SWA(2.5), r"SWA\.start is 2\.5; give a share"),
        (SWA(every_n_steps=0), r"SWA\.every_n_steps is 0"),
    ],
)
def test_options_out_of_range_are_refused(wrong: Averaging, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        averaging([Timer(), wrong])


def test_there_is_one_average_or_none() -> None:
    ema = EMA()
    assert averaging([Timer(), ema]) is ema
    assert averaging([Timer()]) is None
    with pytest.raises(RecipeError, match="EMA and SWA, and the adapter can be of one average only"):
        averaging([ema, SWA()])


def test_a_first_step_that_never_comes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"SWA\.start is 9, but the run has 8 steps"):
        fit(make(), tmp_path, SWA(9))
    with pytest.raises(RecipeError, match=r"SWA\.start is 0\.75 of the steps, whose number is unknown"):
        fit(make(), tmp_path, SWA(), steps=-1, max_epochs=-1, max_time={"seconds": 30})


def test_the_warm_up_of_the_decay_is_tensorflows() -> None:
    shares = [EMA(0.999).share(step) for step in (1, 10, 10_000)]
    assert shares == pytest.approx([1 - 2 / 11, 1 - 11 / 20, 0.001])
    assert list(itertools.islice((EMA(0.5, every_n_steps=4).share(step) for step in range(1, 9)), 8))[:4] == [
        None,
        None,
        None,
        pytest.approx(1 - 2 / 11),
    ]
