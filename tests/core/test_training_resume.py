"""A run that was stopped, however rudely, goes on to the same curve and the same weights, bit for bit."""

import csv
import errno
import functools
import math
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from lightning.pytorch import Callback, LightningDataModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint

from tunesmith import Encoded, Example, RecipeError
from tunesmith.cli.metrics_file import MetricsFile
from tunesmith.data.encoded_rows import EncodedRow
from tunesmith.data.loader import PlanLoader
from tunesmith.data.plan import Plan
from tunesmith.training.checkpoint import StepCheckpoint, StoppedError
from tunesmith.training.disk import StraightToFile, UnsavedError
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
    return save_base(tmp_path_factory.mktemp("base"), transformers.MistralConfig)


@pytest.fixture(scope="module")
def padded_base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of a family that cannot keep packed documents apart."""
    return save_base(tmp_path_factory.mktemp("padded"), transformers.StableLmConfig)


def save_base(directory: Path, kind: type[Any]) -> str:
    torch.manual_seed(0)
    config = kind(
        vocab_size=4096,
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        attention_dropout=0.1,
    )
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(directory)
    transformers.AutoTokenizer.from_pretrained(TOKENIZER).save_pretrained(directory)
    return str(directory)


class Rows(LightningDataModule):
    """Training rows, seven steps an epoch, and validation in every epoch.

    Args:
        tokens: Batches by tokens instead of by examples.
        shuffle: Another order in every epoch.
        workers: Processes that make batches.
    """

    def __init__(self, tokens: bool = False, shuffle: bool = True, workers: int = 0) -> None:
        super().__init__()
        self.tokens, self.shuffle, self.workers = tokens, shuffle, workers

    def train_dataloader(self) -> PlanLoader:
        assert self.trainer is not None
        world = self.trainer.world_size
        rows = [_row(i) for i in range(STEPS_AN_EPOCH * ACCUMULATE * 2 * (world if self.tokens else 1))]
        units: dict[Any, list[int]] = {u: [r.units[u] for r in rows] for u in ("token", "example")}
        size: dict[str, int] = {"max_tokens": 18} if self.tokens else {"batch_size": 2 // world}
        lengths = [r.length for r in rows]
        plan = Plan(lengths, units, **size, accumulate=ACCUMULATE, world=world, seed=3, shuffle=self.shuffle)
        assert -(-len(plan) // ACCUMULATE) == STEPS_AN_EPOCH
        return PlanLoader(rows, plan, self.trainer.global_rank, self.workers)

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
    data: Rows | None = None,
    every_steps: int = 5,
    **options: Any,
) -> tuple[Losses, dict[str, torch.Tensor]]:
    seed_everything(11, verbose=False)
    module = module or make(base)
    module.load()
    losses = Losses()
    own = options.pop("own_checkpoints", False)
    keep = [] if own else [StepCheckpoint(directory, every_steps=every_steps, every_minutes=None)]
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
    trainer.fit(module, data or Rows(), ckpt_path=path, weights_only=True)
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


@dataclass(frozen=True)
class AtOnce:
    """A run without a stop.

    Args:
        checkpoints: The folder of its checkpoints.
        log: The folder of its `metrics.csv`.
        ran: Its losses and weights.
    """

    checkpoints: Path
    log: Path
    ran: tuple[Losses, dict[str, torch.Tensor]]


@pytest.fixture(scope="module")
def at_once(base: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., AtOnce]:
    """Runs without a stop under given options; each is made once, for tests that only read it."""

    @functools.cache
    def run(**options: Any) -> AtOnce:
        checkpoints, log = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("log")
        return AtOnce(checkpoints, log, fit(base, checkpoints, logger=MetricsFile(log), **options))

    return run


@pytest.fixture(scope="module")
def whole(at_once: Callable[..., AtOnce]) -> tuple[Losses, dict[str, torch.Tensor]]:
    return at_once().ran


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


SAMPLERS = [(tokens, shuffle) for tokens in (False, True) for shuffle in (True, False)]
NAMES = ["examples", "examples in order", "tokens", "tokens in order"]
SHORT: dict[str, Any] = {"max_steps": 12, "every_steps": 3}


@pytest.fixture(scope="module")
def curves(base: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Losses, dict[str, Any]]]:
    """Twelve steps without a stop, of each sampler and base; without workers."""

    @functools.cache
    def run(base: str, tokens: bool, shuffle: bool) -> tuple[Losses, dict[str, torch.Tensor]]:
        return fit(base, tmp_path_factory.mktemp("curve"), data=Rows(tokens, shuffle), **SHORT)

    return run


def stop_and_resume_twice(base: str, directory: Path, data: Callable[[], Rows], **options: Any) -> Any:
    """SIGTERM in the middle of the first epoch, and a crash in that of the second."""

    def term() -> None:
        if os.environ.get("LOCAL_RANK", "1") == "1":  # of two processes only one hears of it
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(StoppedError, match="after step 4;"):
        fit(base, directory, MidWindow(3, term), data=data(), **SHORT, **options)
    with pytest.raises(RuntimeError, match="stopped by the test"):
        fit(base, directory, At(11, stop), data=data(), resume=True, **SHORT, **options)
    return fit(base, directory, data=data(), resume=True, **SHORT, **options)


def assert_resumed(whole: Any, resumed: Any, after: int) -> None:
    assert resumed[0].steps
    assert resumed[0].steps == {step: loss for step, loss in whole[0].steps.items() if step > after}
    assert whole[1].keys() == resumed[1].keys()
    assert all(torch.equal(tensor, resumed[1][name]) for name, tensor in whole[1].items())


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(("tokens", "shuffle"), SAMPLERS, ids=NAMES)
def test_trap_26_trap_27_every_sampler_resumes_bit_for_bit_with_and_without_workers(
    base: str, curves: Any, tmp_path: Path, tokens: bool, shuffle: bool, workers: int
) -> None:
    resumed = stop_and_resume_twice(base, tmp_path, lambda: Rows(tokens, shuffle, workers))
    assert_resumed(curves(base, tokens, shuffle), resumed, 9)


@pytest.mark.parametrize("tokens", [False, True], ids=["examples", "tokens"])
def test_trap_27_a_padded_family_resumes_bit_for_bit(
    padded_base: str, curves: Any, tmp_path: Path, tokens: bool
) -> None:
    made = make(padded_base)
    made.load()
    assert made.layout == "padded"
    resumed = stop_and_resume_twice(padded_base, tmp_path, lambda: Rows(tokens))
    assert_resumed(curves(padded_base, tokens, True), resumed, 9)


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
    at_once: Callable[..., AtOnce],
) -> None:
    run = at_once(max_steps=5)
    _, weights = run.ran
    content = torch.load(run.checkpoints / "last.ckpt", weights_only=True)
    assert list(content["state_dict"]) == list(weights)
    assert all("lora_" in name for name in weights)
    assert "hyper_parameters" not in content
    assert len(content["optimizer_states"][0]["state"]) == len(weights)
    assert (run.checkpoints / "best.ckpt").is_file() or content["global_step"] < STEPS_AN_EPOCH


@pytest.mark.parametrize("change", ["rank", "missing", "renamed"])
def test_trap_28_a_checkpoint_of_another_method_is_refused(
    base: str, at_once: Callable[..., AtOnce], tmp_path: Path, change: str
) -> None:
    path = shutil.copy(at_once(max_steps=5).checkpoints / "last.ckpt", tmp_path / "last.ckpt")
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


def test_best_checkpoint_is_the_one_with_the_lowest_validation_loss(at_once: Callable[..., AtOnce]) -> None:
    run = at_once()
    losses, _ = run.ran
    best = torch.load(run.checkpoints / "best.ckpt", weights_only=True)
    after = {step: loss for step, loss in losses.validation.items() if step}
    assert best["global_step"] == min(after, key=lambda step: after[step])
    assert sorted(p.name for p in run.checkpoints.iterdir()) == ["best.ckpt", "last.ckpt"]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_validation_loss_that_is_no_number_is_never_the_best(tmp_path: Path, value: float) -> None:
    for mode in ("min", "max"):
        kept = StepCheckpoint(tmp_path, mode=mode)
        assert not kept._is_better(value)
        kept.load_state_dict({"best_model_score": value})
        assert kept._is_better(3.0)


@pytest.mark.parametrize("validates", [True, False])
@pytest.mark.parametrize("step", [7, 10, 14])
def test_a_run_by_steps_resumes_from_the_end_of_an_epoch(
    base: str, at_once: Callable[..., AtOnce], tmp_path: Path, step: int, validates: bool
) -> None:
    options: dict[str, Any] = {"max_epochs": -1, "max_steps": 17, "val_check_interval": 6}
    if not validates:
        options["limit_val_batches"] = 0
    whole = at_once(**options).ran

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


def test_a_run_that_ended_gives_the_signals_back(base: str, tmp_path: Path) -> None:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    fit(base, tmp_path, max_steps=2)
    assert {number: signal.getsignal(number) for number in handlers} == handlers


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
    base: str, at_once: Callable[..., AtOnce], tmp_path: Path, step: int, options: dict[str, Any]
) -> None:
    def logged(*callbacks: Callback, resume: bool = False) -> Losses:
        return fit(base, tmp_path, *callbacks, resume=resume, logger=MetricsFile(tmp_path), **options)[0]

    whole = at_once(**options)
    with pytest.raises(StoppedError, match=f"after step {step};"):
        logged(MidWindow(step - 1, lambda: os.kill(os.getpid(), signal.SIGTERM)))
    resumed = logged(resume=True)
    assert resumed.validation == {s: loss for s, loss in whole.ran[0].validation.items() if s > step}
    lines = []
    for folder in (whole.log, tmp_path):
        with (folder / "metrics.csv").open(newline="") as file:
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


KILLS = ("mid-epoch", "half a file", "before the move", "between the moves")


@pytest.fixture(scope="module")
def killed(base: str, tmp_path_factory: pytest.TempPathFactory, call_apart: Callable[..., Any]) -> Path:
    """A folder with what processes left that were killed, each at another time."""
    place = tmp_path_factory.mktemp("killed")
    call_apart(run_until_each_is_killed, base, place, ranks=1)
    return place


def run_until_each_is_killed(base: str, place: str) -> None:
    """A process that ends well; its copies do not, and load no libraries again."""
    for when in KILLS:
        if not (child := os.fork()):
            run_until_killed(base, place, when)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL, when


@pytest.mark.slow
@pytest.mark.parametrize("when", KILLS)
def test_trap_29_a_killed_run_resumes_from_a_whole_checkpoint(
    base: str, whole: tuple[Losses, dict[str, torch.Tensor]], killed: Path, when: str
) -> None:
    directory = killed / when
    step = torch.load(directory / "last.ckpt", weights_only=True)["global_step"]
    assert step == {"mid-epoch": 10, "half a file": 7, "before the move": 7, "between the moves": 5}[when]
    if when == "between the moves":  # of best and last, which step 7 is
        assert torch.load(directory / "best.ckpt", weights_only=True)["global_step"] == 7
    same(whole, fit(base, directory, resume=True), step)


def run_until_killed(base: str, place: str, when: str) -> None:
    """A process that kills itself: after step 11, while it saves step 10 (the third save), or 7 (the first best)."""
    from tunesmith.training import checkpoint

    directory = Path(place) / when

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


@pytest.fixture(scope="module")
def by_two(base: str, tmp_path_factory: pytest.TempPathFactory, call_apart: Callable[..., Any]) -> Path:
    """A folder in which two processes have been killed, and two others have run all that is made of two here."""
    place = tmp_path_factory.mktemp("two")
    call_apart(run_until_both_are_killed, base, place / "killed", code=-signal.SIGKILL)
    call_apart(run_by_two, base, place)
    return place


def run_by_two(base: str, place: str) -> None:
    """One of two processes."""
    for run in (run_after_kill, run_every_sampler, run_two, run_until_full, run_into_a_file):
        directory = Path(place) / run.__name__
        directory.mkdir(exist_ok=True)
        run(base, directory)


def keep(ran: tuple[Losses, dict[str, torch.Tensor]], path: Path) -> None:
    if os.environ.get("LOCAL_RANK", "0") == "0":
        torch.save({"steps": ran[0].steps, "weights": ran[1]}, path)


@pytest.mark.slow
def test_trap_26_trap_27_two_processes_resume_bit_for_bit_under_every_sampler(by_two: Path) -> None:
    directory = by_two / "run_every_sampler"
    found = [torch.load(directory / f"rank-{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert len(found[0]) == len(SAMPLERS) * 2
    for name in NAMES:
        whole, resumed = found[0][f"{name}, whole"], found[0][f"{name}, resumed"]
        assert sorted(whole["steps"]) == list(range(1, 13))
        assert resumed["steps"] == {step: loss for step, loss in whole["steps"].items() if step > 9}
        assert all(torch.equal(tensor, resumed["weights"][key]) for key, tensor in whole["weights"].items())
    for name, content in found[0].items():  # the second rank has the same weights
        assert all(torch.equal(tensor, found[1][name]["weights"][key]) for key, tensor in content["weights"].items())


def run_every_sampler(base: str, directory: Path) -> None:
    """Each sampler at once; and stopped twice, with workers, then without, then with."""
    options: dict[str, Any] = {"devices": 2, "strategy": "ddp"}
    found = {}
    for name, (tokens, shuffle) in zip(NAMES, SAMPLERS, strict=True):
        found[f"{name}, whole"] = fit(base, directory / name, data=Rows(tokens, shuffle), **SHORT, **options)
        parts = iter([Rows(tokens, shuffle, workers) for workers in (2, 0, 2)])
        resumed = stop_and_resume_twice(base, directory / f"{name} again", functools.partial(next, parts), **options)
        found[f"{name}, resumed"] = resumed
    content = {name: {"steps": losses.steps, "weights": weights} for name, (losses, weights) in found.items()}
    torch.save(content, directory / f"rank-{os.environ.get('LOCAL_RANK', '0')}.pt")


KILLED: dict[str, Any] = {"devices": 2, "strategy": "ddp", "max_steps": 8, "every_steps": 3}


@pytest.mark.slow
def test_trap_29_two_processes_that_are_killed_resume_bit_for_bit(by_two: Path) -> None:
    assert torch.load(by_two / "killed/last.ckpt", weights_only=True)["global_step"] == 8
    whole, resumed = (
        torch.load(by_two / f"run_after_kill/{name}.pt", weights_only=True) for name in ("whole", "resumed")
    )
    assert sorted(resumed["steps"]) == [7, 8]
    assert resumed["steps"] == {step: loss for step, loss in whole["steps"].items() if step > 6}
    assert all(torch.equal(tensor, resumed["weights"][key]) for key, tensor in whole["weights"].items())


def run_until_both_are_killed(base: str, place: str) -> None:
    """One of two processes: seven steps of eight, the sixth of which is saved."""
    fit(base, Path(place), At(7, lambda: os.kill(os.getpid(), signal.SIGKILL)), data=Rows(tokens=True), **KILLED)


def run_after_kill(base: str, directory: Path) -> None:
    """Eight steps; and those that were left."""
    keep(fit(base, directory, data=Rows(tokens=True), **KILLED), directory / "whole.pt")
    resumed = fit(base, directory.with_name("killed"), resume=True, data=Rows(tokens=True), **KILLED)
    keep(resumed, directory / "resumed.pt")


@pytest.mark.slow
def test_a_full_disk_stops_both_processes_and_leaves_the_checkpoint_of_before(by_two: Path) -> None:
    directory = by_two / "run_until_full"
    said = [(directory / f"said-{rank}").read_text() for rank in (0, 1)]
    assert said[0] == said[1]
    assert "last.ckpt could not be written: No space left on device (it takes about " in said[0]
    assert torch.load(directory / "checkpoints/last.ckpt", weights_only=True)["global_step"] == 3
    assert [path.name for path in (directory / "checkpoints").iterdir()] == ["last.ckpt"]


def run_until_full(base: str, directory: Path) -> None:
    """The disk is full when the first process saves the second time."""
    rank, checkpoints = os.environ.get("LOCAL_RANK", "0"), directory / "checkpoints"

    def fill() -> None:
        if rank == "0":
            (checkpoints / ".last.ckpt.part").symlink_to("/dev/full")

    try:
        fit(base, checkpoints, At(5, fill), devices=2, strategy="ddp", **SHORT)
    except RecipeError as error:
        (directory / f"said-{rank}").write_text(str(error))


@pytest.mark.slow
def test_a_folder_that_cannot_be_made_stops_both_processes(by_two: Path) -> None:
    said = [(by_two / f"run_into_a_file/said-{rank}").read_text() for rank in (0, 1)]
    assert said[0] == said[1]
    assert "could not be written: Not a directory" in said[0]


def run_into_a_file(base: str, directory: Path) -> None:
    """The folder of checkpoints would lie under a file."""
    (directory / "file").touch()
    try:
        fit(base, directory / "file/checkpoints", devices=2, strategy="ddp", **SHORT)
    except RecipeError as error:
        (directory / f"said-{os.environ.get('LOCAL_RANK', '0')}").write_text(str(error))


def test_a_callback_that_saves_under_the_same_name_keeps_the_file_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, writer, real = tmp_path / "folder/last.ckpt", StraightToFile(), torch.save
    writer.save_checkpoint({"step": 1}, path)

    def full(content: Any, file: Any) -> None:
        real(content, file)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space"):
        writer.save_checkpoint({"step": 2}, path)
    assert torch.load(path, weights_only=True) == {"step": 1}
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize("place", ["/dev/full", "too large"])
def test_a_full_disk_leaves_the_checkpoint_of_before_and_no_part(
    base: str, curves: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    from resource import RLIM_INFINITY, RLIMIT_FSIZE, setrlimit

    def fill() -> None:
        if place == "/dev/full":
            (tmp_path / ".last.ckpt.part").symlink_to(place)
        else:
            setrlimit(RLIMIT_FSIZE, (50_000, RLIM_INFINITY))

    why = {"/dev/full": "No space left on device", "too large": "File too large"}[place]
    try:
        with pytest.raises(UnsavedError, match=rf"last\.ckpt could not be written: {why} \(it takes about 0\.0 MB, "):
            fit(base, tmp_path, At(5, fill), **SHORT)
    finally:
        setrlimit(RLIMIT_FSIZE, (RLIM_INFINITY, RLIM_INFINITY))
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 3
    assert_resumed(curves(base, False, True), fit(base, tmp_path, resume=True, **SHORT), 3)


def test_a_kill_during_the_validation_that_a_stopped_run_makes_leaves_it_to_the_resumed_run(
    base: str, curves: Any, tmp_path: Path
) -> None:
    class Impatient(Callback):
        def on_validation_start(self, trainer: Trainer, *_: Any) -> None:
            if trainer.global_step == 7:
                stop()

    whole, _ = curves(base, False, True)
    with pytest.raises(RuntimeError, match="stopped by the test"):
        fit(base, tmp_path, MidWindow(6, lambda: os.kill(os.getpid(), signal.SIGTERM)), Impatient(), **SHORT)
    resumed, _ = fit(base, tmp_path, resume=True, **SHORT)
    assert resumed.validation[7] == whole.validation[7]


@pytest.mark.slow
def test_trap_27_two_processes_resume_exactly_each_with_its_own_random_state(base: str, by_two: Path) -> None:
    directory = by_two / "run_two"
    whole, resumed = (torch.load(directory / f"{name}.pt", weights_only=True) for name in ("whole", "resumed"))
    assert {s: loss for s, loss in whole["steps"].items() if s > 10} == {
        s: loss for s, loss in resumed["steps"].items() if s > 10
    }
    assert all(torch.equal(tensor, resumed["weights"][name]) for name, tensor in whole["weights"].items())
    first, second = torch.load(directory / "resumed" / "last.ckpt", weights_only=True)["randomness"]
    assert not torch.equal(first["stream"][0], second["stream"][0])
    with pytest.raises(RecipeError, match="made by 2 processes, this run has 1"):
        fit(base, directory / "resumed", resume=True)


def run_two(base: str, directory: Path) -> None:
    """14 steps at once, and 10 with 4 after them."""
    for name, steps in (("whole", 14), ("resumed", 10), ("resumed", 14)):
        module = make(base)
        module.schedule = Schedule("constant", warmup=3)
        on = (directory / name).exists()
        ran = fit(base, directory / name, resume=on, module=module, max_steps=steps, devices=2, strategy="ddp")
        keep(ran, directory / f"{name}.pt")
