"""A run that was stopped, however rudely, goes on to the same curve and the same weights, bit for bit."""

import csv
import math
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from lightning.pytorch import Callback, LightningDataModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint

from tunesmith import Encoded, Example, RecipeError
from tunesmith.cli.metrics_file import MetricsFile
from tunesmith.data.encode import EncodedRow
from tunesmith.data.loader import PlanLoader
from tunesmith.data.plan import Plan
from tunesmith.training.checkpoint import StepCheckpoint, StoppedError
from tunesmith.training.schedule import Schedule
from tunesmith.training.specialist import Specialist
from tunesmith_plugins.adapters.lora import LoRA
from tunesmith_plugins.objectives.next_token import NextToken
from tunesmith_plugins.regularizers.kl_to_base import KLToBase

TOKENIZER = Path(__file__).parents[2] / "plugins/tunesmith_plugins/bases/tiny-mistral"
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*smaller than the logging interval.*"),
    pytest.mark.filterwarnings("ignore:.*exists and is not empty.*"),
]
STEPS_AN_EPOCH, EPOCHS, ACCUMULATE = 7, 3, 2


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    directory = tmp_path_factory.mktemp("base")
    torch.manual_seed(0)
    config = transformers.MistralConfig(
        vocab_size=4096,
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        attention_dropout=0.1,
    )
    transformers.MistralForCausalLM(config).save_pretrained(directory)
    transformers.AutoTokenizer.from_pretrained(TOKENIZER).save_pretrained(directory)
    return str(directory)


class Rows(LightningDataModule):
    """Training rows shuffled by epoch, and validation in every epoch."""

    def train_dataloader(self) -> PlanLoader:
        assert self.trainer is not None
        world = self.trainer.world_size
        rows = [_row(i) for i in range(STEPS_AN_EPOCH * ACCUMULATE * 2)]
        units: dict[Any, list[int]] = {u: [r.units[u] for r in rows] for u in ("token", "example")}
        lengths = [r.length for r in rows]
        plan = Plan(lengths, units, batch_size=2 // world, accumulate=ACCUMULATE, world=world, seed=3)
        return PlanLoader(rows, plan, self.trainer.global_rank)

    def val_dataloader(self) -> PlanLoader:
        assert self.trainer is not None
        rows = [_row(i) for i in range(100, 104)]
        plan = Plan([r.length for r in rows], batch_size=1, shuffle=False, world=self.trainer.world_size)
        return PlanLoader(rows, plan, self.trainer.global_rank)


def _row(index: int) -> EncodedRow:
    generator = torch.Generator().manual_seed(index)
    ids = torch.randint(10, 4000, (6 + index % 5,), generator=generator).tolist()
    return EncodedRow(Example(id=f"row-{index}"), (Encoded(tuple(ids), (0.0, 0.0, *(1.0 for _ in ids[2:]))),))


class Losses(Callback):
    """The loss of each optimizer step, by its number, and draws random numbers between steps as others may."""

    def __init__(self) -> None:
        self.steps: dict[int, float] = {}
        self.validation: dict[int, float] = {}

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if "loss" in trainer.callback_metrics:
            self.steps[trainer.global_step] = float(trainer.callback_metrics["loss"])

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        torch.rand(3)
        self.validation[trainer.global_step] = float(trainer.callback_metrics["val/loss"])


class At(Callback):
    """Does something at the end of one optimizer step, before a checkpoint of it could be made."""

    def __init__(self, step: int, action: Callable[[], None]) -> None:
        self.step = step
        self.action = action

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == self.step and not trainer.fit_loop._should_accumulate():
            self.action()


class MidWindow(Callback):
    """Does something at the first micro-batch of the window after an optimizer step."""

    def __init__(self, step: int, action: Callable[[], None]) -> None:
        self.step = step
        self.action = action

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.step and batch_idx % ACCUMULATE == 0:
            self.action()


def fit(
    base: str,
    directory: Path,
    *callbacks: Callback,
    resume: bool = False,
    module: Specialist | None = None,
    **options: Any,
) -> tuple[Losses, dict[str, torch.Tensor]]:
    seed_everything(11, verbose=False)
    module = module or make(base)
    module.load()
    losses = Losses()
    keep = (
        [] if options.pop("own_checkpoints", False) else [StepCheckpoint(directory, every_steps=5, every_minutes=None)]
    )
    arguments: dict[str, Any] = {
        "max_epochs": EPOCHS,
        "accelerator": "cpu",
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "use_distributed_sampler": False,
        "accumulate_grad_batches": ACCUMULATE,
        "log_every_n_steps": 1,
    }
    trainer = Trainer(**{**arguments, **options}, callbacks=[losses, *callbacks, *keep])
    path = directory / "last.ckpt" if resume else None
    trainer.fit(module, Rows(), ckpt_path=path, weights_only=True)
    return losses, {name: tensor.clone() for name, tensor in module.state_dict().items()}


def make(base: str, rank: int = 4) -> Specialist:
    return Specialist(
        base,
        NextToken(),
        LoRA(rank=rank, alpha=8, dropout=0.2),
        {"anchor": KLToBase(0.1)},
        optimizer=lambda groups: torch.optim.AdamW(groups, lr=1e-2),
        schedule=Schedule("cosine", warmup=3),
        precision="fp32",
    )


@pytest.fixture(scope="module")
def whole(base: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Losses, dict[str, torch.Tensor]]:
    return fit(base, tmp_path_factory.mktemp("whole"))


def same(
    whole: tuple[Losses, dict[str, torch.Tensor]], resumed: tuple[Losses, dict[str, torch.Tensor]], after: int
) -> None:
    last = STEPS_AN_EPOCH * EPOCHS
    assert {s: whole[0].steps[s] for s in range(after + 1, last + 1)} == {
        s: loss for s, loss in resumed[0].steps.items() if s > after
    }
    assert whole[1].keys() == resumed[1].keys()
    assert all(torch.equal(tensor, resumed[1][name]) for name, tensor in whole[1].items())
    for step, loss in resumed[0].validation.items():
        if step > after:
            assert whole[0].validation[step] == loss


def stop() -> None:
    raise RuntimeError("stopped by the test")


@pytest.mark.parametrize(("crash", "resumed_at"), [(11, 10), (9, 7), (15, 14), (20, 15)])
def test_trap_27_a_stopped_run_resumes_to_the_same_curve(
    base: str, whole: tuple[Losses, dict[str, torch.Tensor]], tmp_path: Path, crash: int, resumed_at: int
) -> None:
    with pytest.raises(RuntimeError, match="stopped by the test"):
        fit(base, tmp_path, At(crash, stop))
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == resumed_at
    random_state = torch.get_rng_state()
    torch.rand(100)
    same(whole, fit(base, tmp_path, resume=True), resumed_at)
    assert not torch.equal(torch.get_rng_state(), random_state)


def test_dropout_is_on_while_training_and_off_while_validating(
    base: str, whole: tuple[Losses, dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    module = make(base)
    module.adapter.dropout = 0.0
    other, _ = fit(base, tmp_path, module=module)
    assert other.steps[2] != whole[0].steps[2]
    assert other.validation[0] == whole[0].validation[0]


def test_trap_27_the_random_stream_does_not_depend_on_regularizers_or_validation(base: str, tmp_path: Path) -> None:
    curves = []
    for number, regularizers in enumerate(({}, {"anchor": KLToBase(0.0)})):
        module = make(base)
        module.regularizers = regularizers
        module.ledger.names = ["loss", *(f"reg/{name}" for name in regularizers)]
        curves.append(fit(base, tmp_path / str(number), module=module, num_sanity_val_steps=number)[0].steps)
    assert curves[0] == curves[1]


def test_trap_28_a_checkpoint_holds_trained_tensors_and_loads_without_pickled_classes(
    base: str, tmp_path: Path
) -> None:
    _, weights = fit(base, tmp_path, max_steps=5)
    content = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert list(content["state_dict"]) == list(weights)
    assert all("lora_" in name for name in weights)
    assert "hyper_parameters" not in content
    assert len(content["optimizer_states"][0]["state"]) == len(weights)
    assert (tmp_path / "best.ckpt").is_file() or content["global_step"] < STEPS_AN_EPOCH


@pytest.mark.parametrize("change", ["rank", "missing", "renamed"])
def test_trap_28_a_checkpoint_of_another_method_is_refused(base: str, tmp_path: Path, change: str) -> None:
    fit(base, tmp_path, max_steps=5)
    path = tmp_path / "last.ckpt"
    content = torch.load(path, weights_only=True)
    state = content["state_dict"]
    name = next(iter(state))
    if change == "missing":
        del state[name]
    if change == "renamed":
        content["state_dict"] = {n.replace("q_proj", "query"): t for n, t in state.items()}
    torch.save(content, path)
    module = make(base, rank=2 if change == "rank" else 4)
    before = {n: t.clone() for n, t in (module.load() or module.state_dict()).items()}  # type: ignore[func-returns-value]
    expected = {"rank": r"\[4, 64\].*\[2, 64\]", "missing": "lacks 1 of", "renamed": "nearest in it: .*query"}
    with pytest.raises(RecipeError, match=expected[change]):
        fit(base, tmp_path, resume=True, module=module)
    assert all(torch.equal(tensor, before[n]) for n, tensor in module.state_dict().items())


def test_best_checkpoint_is_the_one_with_the_lowest_validation_loss(base: str, tmp_path: Path) -> None:
    losses, _ = fit(base, tmp_path)
    best = torch.load(tmp_path / "best.ckpt", weights_only=True)
    after = {step: loss for step, loss in losses.validation.items() if step}
    assert best["global_step"] == min(after, key=lambda step: after[step])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["best.ckpt", "last.ckpt"]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_validation_loss_that_is_no_number_is_never_the_best(tmp_path: Path, value: float) -> None:
    for mode in ("min", "max"):
        kept = StepCheckpoint(tmp_path, mode=mode)
        assert not kept._is_better(value)
        kept.load_state_dict({"best_model_score": value})
        assert kept._is_better(3.0)


@pytest.mark.parametrize("validates", [True, False])
@pytest.mark.parametrize("step", [7, 10, 14])
def test_a_run_by_steps_resumes_from_the_end_of_an_epoch(base: str, tmp_path: Path, step: int, validates: bool) -> None:
    options: dict[str, Any] = {"max_epochs": -1, "max_steps": 17, "val_check_interval": 6}
    if not validates:
        options["limit_val_batches"] = 0
    whole = fit(base, tmp_path / "whole", **options)

    def crash() -> None:
        raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fit(base, tmp_path, At(step + 1, crash), **options)
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == step
    resumed = fit(base, tmp_path, resume=True, **options)
    assert {s: whole[0].steps[s] for s in range(step + 1, 18)} == {
        s: loss for s, loss in resumed[0].steps.items() if s > step
    }
    assert all(torch.equal(tensor, resumed[1][name]) for name, tensor in whole[1].items())


def test_sigterm_finishes_the_window_saves_and_resumes_exactly(
    base: str, whole: tuple[Losses, dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(StoppedError, match="stopped by SIGTERM after step 9"):
        fit(base, tmp_path, MidWindow(8, lambda: os.kill(os.getpid(), signal.SIGTERM)))
    assert signal.getsignal(signal.SIGTERM) is handler
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 9
    same(whole, fit(base, tmp_path, resume=True), 9)


@pytest.mark.parametrize("options", [{}, {"max_epochs": -1, "max_steps": 21}, {"val_check_interval": 6}], ids=str)
@pytest.mark.parametrize("step", [3, 7, 9])
def test_a_stopped_run_leaves_out_neither_validation_nor_a_line_of_the_log(
    base: str, tmp_path: Path, step: int, options: dict[str, Any]
) -> None:
    def logged(name: str, *callbacks: Callback, resume: bool = False) -> Losses:
        (tmp_path / name).mkdir(exist_ok=True)
        logger = MetricsFile(tmp_path / name)
        return fit(base, tmp_path / name, *callbacks, resume=resume, logger=logger, **options)[0]

    whole = logged("whole")
    with pytest.raises(StoppedError, match=f"after step {step};"):
        logged("stopped", MidWindow(step - 1, lambda: os.kill(os.getpid(), signal.SIGTERM)))
    resumed = logged("stopped", resume=True)
    assert resumed.validation == {s: loss for s, loss in whole.validation.items() if s > step}
    lines = []
    for name in ("whole", "stopped"):
        with (tmp_path / name / "metrics.csv").open(newline="") as file:
            lines.append([{k: v for k, v in row.items() if k != "tokens/s"} for row in csv.DictReader(file)])
    assert lines[0] == lines[1]


def test_a_second_signal_stops_at_once(base: str, tmp_path: Path) -> None:
    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fit(base, tmp_path, MidWindow(8, twice))
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 7


def test_a_callback_that_saves_inside_a_window_is_refused(base: str, tmp_path: Path) -> None:
    saver = ModelCheckpoint(tmp_path)
    action: list[Any] = []

    class Save(Callback):
        def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
            if trainer.fit_loop._should_accumulate():
                action.append(trainer.save_checkpoint(tmp_path / "x.ckpt"))

    with pytest.raises(RecipeError, match="inside an accumulation window"):
        fit(base, tmp_path, saver, Save(), own_checkpoints=True)


def test_validation_between_optimizer_steps_is_refused(base: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="multiple of accumulate_grad_batches \\(2\\)"):
        fit(base, tmp_path, val_check_interval=3)


def process(directory: Path, function: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a function of this file in a process of its own."""
    script = directory / "run.py"
    script.write_text(
        textwrap.dedent("""
        import importlib.util, sys
        spec = importlib.util.spec_from_file_location("kit", sys.argv[1])
        kit = importlib.util.module_from_spec(spec)
        sys.modules["kit"] = kit
        spec.loader.exec_module(kit)
        getattr(kit, sys.argv[2])(*sys.argv[3:])
        """)
    )
    command = [sys.executable, str(script), __file__, function, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("when", ["mid-epoch", "half a file", "before the move", "between the moves"])
def test_trap_29_a_killed_run_resumes_from_a_whole_checkpoint(
    base: str, whole: tuple[Losses, dict[str, torch.Tensor]], tmp_path: Path, when: str
) -> None:
    directory = tmp_path / "checkpoints"
    done = process(tmp_path, "run_until_killed", base, str(directory), when)
    assert done.returncode == -signal.SIGKILL, done.stderr[-3000:]
    step = torch.load(directory / "last.ckpt", weights_only=True)["global_step"]
    assert step == {"mid-epoch": 10, "half a file": 7, "before the move": 7, "between the moves": 5}[when]
    if when == "between the moves":  # of best and last, which step 7 is
        assert torch.load(directory / "best.ckpt", weights_only=True)["global_step"] == 7
    same(whole, fit(base, directory, resume=True), step)


def run_until_killed(base: str, place: str, when: str) -> None:
    """A process that kills itself: after step 11, while it saves step 10 (the third save), or 7 (the first best)."""
    from tunesmith.training import checkpoint

    directory = Path(place)

    def kill() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    if when == "mid-epoch":
        fit(base, directory, At(11, kill))
        return

    def arm() -> None:
        def at_sync(path: Path) -> None:
            if when == "half a file":
                path.write_bytes(path.read_bytes()[:1000])
            kill()

        checkpoint._sync = at_sync

    def arm_between() -> None:
        copy = checkpoint._copy

        def copy_and_die(source: Path, target: Path) -> None:
            copy(source, target)
            kill()

        checkpoint._copy = copy_and_die

    fit(base, directory, At(6, arm_between) if when == "between the moves" else At(10, arm))


@pytest.mark.slow
def test_trap_27_two_processes_resume_exactly_each_with_its_own_random_state(base: str, tmp_path: Path) -> None:
    done = process(tmp_path, "run_two", base, str(tmp_path))
    assert done.returncode == 0, done.stderr[-3000:]
    whole, resumed = (torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("whole", "resumed"))
    assert {s: loss for s, loss in whole["steps"].items() if s > 10} == {
        s: loss for s, loss in resumed["steps"].items() if s > 10
    }
    assert all(torch.equal(tensor, resumed["weights"][name]) for name, tensor in whole["weights"].items())
    first, second = torch.load(tmp_path / "resumed" / "last.ckpt", weights_only=True)["randomness"]
    assert not torch.equal(first["stream"][0], second["stream"][0])
    with pytest.raises(RecipeError, match="made by 2 processes, this run has 1"):
        fit(base, tmp_path / "resumed", resume=True)


def run_two(base: str, place: str) -> None:
    """Two processes: 14 steps at once, and 10 with 4 after them."""
    directory = Path(place)
    options: dict[str, Any] = {"devices": 2, "strategy": "ddp"}

    def run(name: str, steps: int, resume: bool = False) -> None:
        module = make(base)
        module.schedule = Schedule("constant", warmup=3)
        losses, weights = fit(base, directory / name, resume=resume, module=module, max_steps=steps, **options)
        if os.environ.get("LOCAL_RANK", "0") == "0":
            torch.save({"steps": losses.steps, "weights": weights}, directory / f"{name}.pt")

    run("whole", 14)
    run("resumed", 10)
    run("resumed", 14, resume=True)
