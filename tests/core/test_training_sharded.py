"""Two processes by DDP and by FSDP2 train what one does, and resume exactly from either kind of checkpoint."""

import functools
import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import peft
import pytest
import torch
import transformers
from lightning.pytorch import Callback, LightningDataModule, Trainer, seed_everything
from torch import nn
from torch.distributed.tensor import DTensor

from tunesmith import Encoded, Example, Forward, RecipeError, Regularizer, Term
from tunesmith.cli.handing_on import hand_on
from tunesmith.cli.runs import Run
from tunesmith.data.beside import Companion
from tunesmith.data.encoded_rows import EncodedRow
from tunesmith.data.loader import PlanLoader
from tunesmith.data.plan import Plan
from tunesmith.training import shards
from tunesmith.training.averaging import EMA
from tunesmith.training.checkpoint import StepCheckpoint, StoppedError
from tunesmith.training.disk import UnsavedError
from tunesmith.training.fsdp2 import FSDP2
from tunesmith.training.passes import Passes
from tunesmith.training.probe import probe
from tunesmith.training.schedule import Schedule
from tunesmith.training.specialist import Specialist
from tunesmith_plugins.adapters.freeze import Freeze
from tunesmith_plugins.adapters.full import Full
from tunesmith_plugins.adapters.lora import LoRA
from tunesmith_plugins.adapters.prefix_tuning import PrefixTuning
from tunesmith_plugins.adapters.prompt_tuning import PromptTuning
from tunesmith_plugins.adapters.qlora import QLoRA
from tunesmith_plugins.objectives.next_token import NextToken
from tunesmith_plugins.regularizers.ewc import EWC
from tunesmith_plugins.regularizers.kl_to_base import KLToBase
from tunesmith_plugins.regularizers.l2sp import L2SP
from tunesmith_plugins.regularizers.label_smoothing import LabelSmoothing
from tunesmith_plugins.regularizers.neftune import NEFTune
from tunesmith_plugins.regularizers.replay import Replay

TOKENIZER = Path(__file__).parents[2] / "plugins/tunesmith_plugins/bases/tiny-mistral"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*smaller than the logging interval.*"),
    pytest.mark.filterwarnings("ignore:.*exists and is not empty.*"),
]
ACCUMULATE = 2
# Rows of an epoch of two full windows and one row, where strategies are compared; of five windows, where runs resume.
STEPS, ROWS, ROWS_RESUMED = 3, 9, 17
SIZES: dict[str, Any] = {
    "vocab_size": 4096,
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
TOWER: dict[str, Any] = {
    "model_type": "siglip_vision_model",
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}
BASES: dict[str, Any] = {
    "mistral": lambda: transformers.MistralConfig(**SIZES),
    "tied": lambda: transformers.LlamaConfig(**SIZES, tie_word_embeddings=True),
    "capped": lambda: transformers.Gemma2Config(**SIZES, head_dim=16, final_logit_softcapping=2.0),
    "padded": lambda: transformers.StableLmConfig(**SIZES),
    "square": lambda: transformers.MistralConfig(**{**SIZES, "num_key_value_heads": 4}),
    "tower": lambda: transformers.Gemma3Config(
        text_config={**SIZES, "head_dim": 16}, vision_config=TOWER, mm_tokens_per_image=4, image_token_index=4001
    ),
    "experts": lambda: transformers.MixtralConfig(
        **SIZES, num_local_experts=4, output_router_logits=True, router_aux_loss_coef=0.1
    ),
}


class Adversary(Regularizer):
    """A penalty with weights of its own, one of them a number."""

    def __init__(self) -> None:
        self.net: nn.Module | None = None

    def module(self) -> nn.Module:
        self.net = nn.Linear(64, 1)
        self.net.scale = nn.Parameter(torch.tensor(0.5))
        return self.net

    def penalty(self, forward: Forward) -> Term:
        assert self.net is not None
        scores = self.net(forward.hidden.index_select(0, forward.supervised)) * self.net.scale
        return Term(scores.square().sum(), "token")


class Elastic(EWC):
    """Looks at the rows of `Rows`."""

    def own_rows(self) -> list[Example]:
        return []


class Chunked(Specialist):
    """The head in chunks of three positions."""

    def _passes(self, *args: Any) -> Passes:
        return replace(super()._passes(*args), logits_bytes=3 * 4 * SIZES["vocab_size"])


@dataclass(frozen=True)
class Case:
    """One way to train."""

    base: str
    adapter: Any
    regularizers: dict[str, Any] = field(default_factory=dict)
    kind: type[Specialist] = Specialist
    options: dict[str, Any] = field(default_factory=dict)
    trainer: dict[str, Any] = field(default_factory=dict)
    optimizer: Any = None
    tolerance: float = 1e-5


def wide(rank: int, **options: Any) -> LoRA:
    """Updates whose shards are just large enough for 8-bit states, and end where a block of them does."""
    return LoRA(rank=128, **options)


def eight_bits(groups: Any) -> torch.optim.Optimizer:
    from bitsandbytes.optim import AdamW8bit

    made: torch.optim.Optimizer = AdamW8bit(groups, lr=1e-3)
    return made


LOW_RANK = (LoRA, QLoRA, wide)
ANCHOR = {"anchor": lambda: KLToBase(0.5)}
GENERAL = Path("general.jsonl")  # not read: `Rows` brings others
REGULARIZED = {
    "near": lambda: L2SP(0.5),
    "elastic": lambda: Elastic(GENERAL, 100.0, labels="given"),
    "replay": lambda: Replay(GENERAL, 0.7, share=0.4),
    "soft": lambda: LabelSmoothing(0.2),
    "noise": lambda: NEFTune(),
}
CASES = {
    "lora": Case("mistral", LoRA, ANCHOR, trainer={"gradient_clip_val": 0.3}),
    "full": Case("tied", Full, ANCHOR, trainer={"gradient_clip_val": 0.3}),
    "lora chunked": Case("capped", LoRA, ANCHOR, Chunked),
    "full chunked": Case(
        "mistral", Full, ANCHOR, Chunked, trainer={"gradient_clip_val": 0.01, "gradient_clip_algorithm": "value"}
    ),
    "lora padded": Case("padded", LoRA, ANCHOR),
    "lora recomputed": Case("mistral", LoRA, ANCHOR, options={"gradient_checkpointing": True}),
    "lora half recomputed": Case("mistral", LoRA, ANCHOR, options={"gradient_checkpointing": "selective"}),
    "full half recomputed": Case("tied", Full, options={"gradient_checkpointing": "selective"}),
    "full recomputed": Case("tied", Full, options={"gradient_checkpointing": True}),
    "full experts": Case("experts", Full),
    "lora under a tower": Case("tower", LoRA, ANCHOR),
    "full under a tower": Case("tower", Full),
    "own weights": Case("mistral", LoRA, {"adversary": Adversary}, trainer={"gradient_clip_val": 0.3}),
    "lora regularized": Case("mistral", LoRA, REGULARIZED),
    "full regularized": Case("tied", Full, REGULARIZED, trainer={"gradient_clip_val": 0.3}),
    "qlora": Case("square", QLoRA, ANCHOR),
    # of 229,376 weights some forty have a state that is rounded to another of its 256 values
    "8 bits": Case("square", wide, ANCHOR, optimizer=eight_bits, tolerance=1e-4),
    "bf16": Case("mistral", LoRA, ANCHOR, options={"precision": "bf16"}),
    "a part": Case("tied", lambda: Freeze(last=1, norms=True), ANCHOR),
    "lengths and tokens": Case("tied", lambda: LoRA(3, dora=True, lr_ratio=2.0, trainable_tokens=[40, 50]), ANCHOR),
    "prompt": Case("mistral", lambda: PromptTuning(virtual_tokens=3), ANCHOR),
    "prefix": Case("mistral", lambda: PrefixTuning(virtual_tokens=3), ANCHOR),
}


class Rows(LightningDataModule):
    """Rows whose last window is short, so that the second process has a ghost in it, and in validation."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count
        self.general = [_row(200 + i) for i in range(5)]

    @property
    def own(self) -> Any:
        """The rows that regularizers bring along."""
        return SimpleNamespace(encoded=lambda _: SimpleNamespace(rows=self.general))

    def _beside(self) -> list[Companion]:
        assert self.trainer is not None
        names = [f"reg/{name}" for name, one in self.trainer.lightning_module.regularizers.items() if one.own_share()]  # type: ignore[union-attr, operator]
        units: Any = {u: [r.units[u] for r in self.general] for u in ("token", "example")}
        costs = [float(row.length) for row in self.general]
        return [Companion(name, units, costs, 0.4, ACCUMULATE, self._world(), seed=3) for name in names]

    def train_dataloader(self) -> PlanLoader:
        rows = [_row(i) for i in range(self.count)]
        units: dict[Any, list[int]] = {u: [r.units[u] for r in rows] for u in ("token", "example")}
        return self._loader(
            rows,
            Plan(
                [r.length for r in rows],
                units,
                batch_size=self._share(2),
                accumulate=ACCUMULATE,
                world=self._world(),
                seed=3,
                beside=self._beside(),
            ),
        )

    def val_dataloader(self) -> PlanLoader:
        rows = [_row(i) for i in range(100, 105)]
        return self._loader(rows, Plan([r.length for r in rows], batch_size=1, shuffle=False, world=self._world()))

    def _loader(self, rows: list[EncodedRow], plan: Plan) -> PlanLoader:
        assert self.trainer is not None
        return PlanLoader(rows, plan, self.trainer.global_rank, beside={"reg/replay": self.general})

    def _world(self) -> int:
        assert self.trainer is not None
        return self.trainer.world_size

    def _share(self, size: int) -> int:
        return size // self._world()


def _row(index: int) -> EncodedRow:
    generator = torch.Generator().manual_seed(index)
    ids = torch.randint(10, 4000, (6 + index % 7,), generator=generator).tolist()
    return EncodedRow(Example(id=f"row-{index}"), (Encoded(tuple(ids), (0.0, 0.0, *(1.0 for _ in ids[2:]))),))


class Curve(Callback):
    """What each optimizer step logged, by its number."""

    def __init__(self) -> None:
        self.steps: dict[int, dict[str, float]] = {}

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step:
            found = {k: float(v) for k, v in trainer.callback_metrics.items() if k != "tokens/s"}
            self.steps[trainer.global_step] = found


class Probing(Callback):
    """Looks again how the model can run, as is done where it has moved to another device."""

    def on_fit_start(self, trainer: Trainer, pl_module: Any) -> None:
        before = pl_module.layout
        with pl_module.gathered():
            found = probe(pl_module.network, pl_module.adapter.layout)
        assert found.layout == before
        pl_module.settle(replace(pl_module.attached, probe=found))


def make(base: Path, case: Case, optimizer: Any = None, dropout: float = 0.0) -> Specialist:
    torch.manual_seed(5)
    optimizer = optimizer if case.optimizer is None else case.optimizer
    adapter = case.adapter(rank=3, alpha=8, dropout=dropout) if case.adapter in LOW_RANK else case.adapter()
    module = case.kind(
        str(base / case.base),
        NextToken(),
        adapter,
        {name: made() for name, made in case.regularizers.items()},
        optimizer=optimizer or (lambda groups: torch.optim.SGD(groups, lr=0.3, momentum=0.9)),
        schedule=Schedule("constant" if optimizer else "cosine", warmup=2),
        **{"precision": "fp32", **case.options},
    )
    module.load()
    return module


def train(
    module: Specialist, *callbacks: Callback, path: Path | None = None, rows: int = ROWS, **options: Any
) -> Curve:
    seed_everything(11, verbose=False)
    curve = Curve()
    arguments: dict[str, Any] = {
        "max_steps": STEPS,
        "accelerator": "cpu",
        "devices": 1,
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "use_distributed_sampler": False,
        "accumulate_grad_batches": ACCUMULATE,
        "log_every_n_steps": 1,
    }
    trainer = Trainer(**{**arguments, **options}, callbacks=[curve, *callbacks])
    trainer.fit(module, Rows(rows), ckpt_path=path, weights_only=True)
    return curve


def weights(module: Specialist) -> dict[str, torch.Tensor]:
    """What trained, whole in the first process."""
    with module.whole():
        return {name: t.detach().clone() for name, t in module.named_parameters() if t.requires_grad}


def two(base: str, place: str) -> None:
    """All cases under both strategies, in one pair of processes."""
    for name, case in CASES.items():
        for kind in ("ddp", "fsdp2"):
            module = make(Path(base), case)
            strategy = FSDP2() if kind == "fsdp2" else "ddp"
            curve = train(module, Probing(), devices=2, strategy=strategy, **case.trainer)
            assert (module.root is not None) == (kind == "fsdp2")
            module.save_adapter(Path(place) / f"{name}-{kind}")
            found = {"steps": curve.steps, "weights": weights(module), "share": share(module)}
            keep(found, Path(place) / f"{name}-{kind}.pt")


def share(module: Specialist) -> float:
    """Bytes of the network's weights in this process's memory, of those of whole weights."""
    held = [(p.to_local() if isinstance(p, DTensor) else p.data, p) for p in module.network.parameters()]
    return sum(t.untyped_storage().nbytes() for t, _ in held) / sum(p.numel() * p.element_size() for _, p in held)


def keep(content: Any, path: Path) -> None:
    if os.environ.get("LOCAL_RANK", "0") == "0":
        torch.save(content, path)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("bases")
    for name, config in BASES.items():
        torch.manual_seed(0)
        transformers.AutoModelForCausalLM.from_config(config()).save_pretrained(directory / name)
        transformers.AutoTokenizer.from_pretrained(TOKENIZER).save_pretrained(directory / name)
    return directory


@pytest.fixture(scope="module")
def by_two(bases: Path, tmp_path_factory: pytest.TempPathFactory, call_apart: Callable[..., Any]) -> Path:
    directory = tmp_path_factory.mktemp("two")
    call_apart(two, bases, directory)
    return directory


@pytest.fixture(scope="module")
def by_one(bases: Path) -> Callable[[str], tuple[Curve, dict[str, torch.Tensor]]]:
    """What one process makes of a case; once for both strategies."""

    @functools.cache
    def run(name: str) -> tuple[Curve, dict[str, torch.Tensor]]:
        module = make(bases, CASES[name])
        return train(module, **CASES[name].trainer), weights(module)

    return run


@pytest.mark.parametrize("kind", ["ddp", "fsdp2"])
@pytest.mark.parametrize("name", [name for name in CASES if name != "bf16"])
def test_trap_02_two_processes_train_what_one_does(by_one: Any, by_two: Path, name: str, kind: str) -> None:
    curve, alone = by_one(name)
    two = torch.load(by_two / f"{name}-{kind}.pt", weights_only=True)
    assert two["steps"].keys() == curve.steps.keys() == set(range(1, STEPS + 1))
    for step, values in curve.steps.items():
        for metric, value in values.items():
            assert two["steps"][step][metric] == pytest.approx(value, rel=1e-5, abs=1e-6), (step, metric)
    same(two["weights"], alone, CASES[name].tolerance)
    assert max(abs(two["steps"][1]["loss"] - values["loss"]) for values in curve.steps.values()) > 1e-3


@pytest.mark.parametrize("kind", ["ddp", "fsdp2"])
@pytest.mark.parametrize("name", ["full", "lora", "own weights", "qlora", "full under a tower"])
def test_what_two_processes_save_is_read_by_one(bases: Path, by_two: Path, name: str, kind: str) -> None:
    directory = by_two / f"{name}-{kind}"
    one = make(bases, CASES[name])
    one.load_adapter(directory)
    read, saved = weights(one), torch.load(f"{directory}.pt", weights_only=True)["weights"]
    # a regularizer's own have done their work: checkpoints hold them, and the adapter does not
    same(*({key: tensor for key, tensor in own.items() if "reg-" not in key} for own in (read, saved)), 0.0)
    assert one.describe() in (directory / "README.md").read_text()


HANDED = {
    "lora": CASES["lora"],
    "full": CASES["full"],
    "a part": CASES["a part"],
    "qlora": Case("square", lambda: QLoRA(merge_dtype="float32")),
}


def handed(bases: str, place: str) -> None:
    """What a stage in shards leaves to the next one."""
    for name, case in HANDED.items():
        module = make(Path(bases), case)
        train(module, devices=2, strategy=FSDP2())
        run = Path(place) / name
        module.save_adapter(run / "adapter")
        hand_on(SimpleNamespace(model=module, name="mine", stage="first"), Run(run))  # type: ignore[arg-type]


def test_a_stage_in_shards_hands_on_whole_weights(bases: Path, tmp_path: Path, call_apart: Callable[..., Any]) -> None:
    call_apart(handed, bases, tmp_path)
    for name, case in HANDED.items():
        merged = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / name / "merged").state_dict()
        assert json.loads((tmp_path / name / "merged/tunesmith.json").read_text())["stage"] == "first"
        base = transformers.AutoModelForCausalLM.from_pretrained(bases / case.base)
        assert any(not torch.equal(tensor, merged[key]) for key, tensor in base.state_dict().items())
        if name == "lora":
            expected: Any = peft.PeftModel.from_pretrained(base, tmp_path / name / "adapter").merge_and_unload()
        elif name == "full":
            expected = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / name / "adapter")
        else:
            one = make(bases, case)
            one.load_adapter(tmp_path / name / "adapter")
            assert one.attached is not None
            expected = one.adapter.merge(one.attached.network)
        assert base.config.tie_word_embeddings == (case.base == "tied")
        same(merged, expected.state_dict(), 1e-6)


def same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], tolerance: float) -> None:
    assert found.keys() == expected.keys()
    assert max(float((tensor - expected[name]).abs().max()) for name, tensor in found.items()) <= tolerance


@pytest.mark.parametrize("name", CASES)
def test_each_of_two_processes_holds_half(by_two: Path, name: str) -> None:
    assert torch.load(by_two / f"{name}-fsdp2.pt", weights_only=True)["share"] == pytest.approx(0.5, abs=0.01)


def test_bf16_is_the_same_whole_and_in_shards(by_two: Path) -> None:
    ddp, fsdp2 = (torch.load(by_two / f"bf16-{kind}.pt", weights_only=True) for kind in ("ddp", "fsdp2"))
    same(fsdp2["weights"], ddp["weights"], 1e-5)
    assert {tensor.dtype for tensor in fsdp2["weights"].values()} == {torch.float32}


LORA, FULL = Case("mistral", LoRA, ANCHOR), Case("tied", Full)
KINDS: dict[str, tuple[Case, Callable[[], Any]]] = {
    "ddp": (LORA, lambda: "ddp"),
    "one file": (LORA, lambda: FSDP2(save_distributed_checkpoint=False)),
    "shards": (LORA, FSDP2),
    "shards of all": (FULL, FSDP2),
    "8 bits": (CASES["8 bits"], FSDP2),
    "averaged": (CASES["lora regularized"], FSDP2),
}
REFUSED: dict[str, tuple[Case, Callable[[], Any]]] = {
    "8 bits by ddp": (CASES["8 bits"], lambda: "ddp"),
    "8 bits in one file": (CASES["8 bits"], lambda: FSDP2(save_distributed_checkpoint=False)),
}


class At(Callback):
    """Does something in one process, at the first micro-batch of the window of a step."""

    def __init__(self, step: int, rank: int, action: Callable[[], None]) -> None:
        self.step, self.rank, self.action = step, rank, action

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if (trainer.global_step, trainer.global_rank, batch_idx % ACCUMULATE) == (self.step - 1, self.rank, 0):
            self.action()


def go(base: str, place: str, name: str, kind: str, steps: int, *callbacks: Callback, resumed: bool = False) -> None:
    """So many steps, and what they made; a checkpoint at every second and every third."""
    case, strategy = (KINDS | REFUSED)[kind]
    dropout = {"dropout": 0.2} if case is LORA else {}
    module = make(Path(base), case, optimizer=torch.optim.AdamW, **dropout)
    directory = Path(place) / name
    kept: list[Callback] = [StepCheckpoint(directory, every_steps=3, every_minutes=None)]
    kept += [EMA(0.8)] if kind == "averaged" else []
    options = {"max_steps": steps, "val_check_interval": 4, "devices": 2, "strategy": strategy(), "rows": ROWS_RESUMED}
    path = directory / "last.ckpt" if resumed else None
    curve = train(module, *kept, *callbacks, path=path, **options, enable_checkpointing=True)
    found = {"steps": curve.steps, "weights": weights(module)}
    with torch.no_grad():  # leaves embeddings and head gathered, as a validation does
        module.passes(next(iter(module.trainer.val_dataloaders)))
    best = module.trainer.strategy.load_checkpoint(directory / "best.ckpt", weights_only=True)
    module.restore_trained(best["state_dict"])
    keep({**found, "best": weights(module), "best step": best["global_step"]}, directory / f"{steps}.pt")


def run_until_killed(base: str, place: str) -> None:
    """The first process is killed in the seventh of nine steps; the second must end by itself."""
    go(base, place, "killed", "shards", 9, At(7, 0, lambda: os.kill(os.getpid(), signal.SIGKILL)))


def resume(base: str, place: str) -> None:
    """Nine steps at once, and parts of them with the rest after them; then a file of DDP taken up in shards."""
    for kind in KINDS:
        go(base, place, f"{kind} at once", kind, 9)
        go(base, place, kind, kind, 6)
        go(base, place, kind, kind, 9, resumed=True)
    go(base, place, "ddp then shards", "ddp", 6)
    go(base, place, "ddp then shards", "shards", 9, resumed=True)
    go(base, place, "killed", "shards", 9, resumed=True)
    go(base, place, "8 bits by ddp", "8 bits by ddp", 3)
    for name, kind in (("8 bits by ddp", "8 bits"), ("8 bits in one file", "8 bits in one file")):
        try:
            go(base, place, name, kind, 6, resumed=kind == "8 bits")
        except RecipeError as error:
            (Path(place) / name / f"said-{os.environ.get('LOCAL_RANK', '0')}").write_text(str(error))
    try:
        go(base, place, "stopped", "shards", 9, At(8, 1, lambda: os.kill(os.getpid(), signal.SIGTERM)))
    except StoppedError as stop:
        (Path(place) / "stopped" / f"said-{os.environ.get('LOCAL_RANK', '0')}").write_text(str(stop))
    go(base, place, "stopped", "shards", 9, resumed=True)
    write = shards._save

    def full(content: Any, path: Path) -> None:
        lost = path.name == "shard-1.pt" and step_of(content) > 3
        write(content, Path("/dev/full") if lost else path)

    shards._save = full
    try:
        go(base, place, "full", "shards", 9)
    except UnsavedError as error:
        (Path(place) / "full" / f"said-{os.environ.get('LOCAL_RANK', '0')}").write_text(str(error))


def step_of(content: dict[str, Any]) -> int:
    """The step of the optimizer that a shard is of."""
    states = content.get("optimizer_states", [{"state": {}}])[0]["state"].values()
    return int(max((state["step"] for state in states), default=0))


@pytest.fixture(scope="module")
def resumed(bases: Path, tmp_path_factory: pytest.TempPathFactory, call_apart: Callable[..., Any]) -> Path:
    directory = tmp_path_factory.mktemp("resumed")
    more = ("ddp then shards", "full", "killed", "stopped")
    for name in [*KINDS, *(f"{kind} at once" for kind in KINDS), *REFUSED, *more]:
        (directory / name).mkdir()
    call_apart(run_until_killed, bases, directory, code=-signal.SIGKILL)
    call_apart(resume, bases, directory)
    return directory


@pytest.mark.parametrize("kind", KINDS)
def test_trap_27_a_run_in_shards_resumes_bit_for_bit(resumed: Path, kind: str) -> None:
    whole = torch.load(resumed / f"{kind} at once" / "9.pt", weights_only=True)
    again = torch.load(resumed / kind / "9.pt", weights_only=True)
    assert {s: v for s, v in whole["steps"].items() if s > 6} == {s: v for s, v in again["steps"].items() if s > 6}
    same(again["weights"], whole["weights"], 0.0)
    same(again["best"], whole["best"], 0.0)


def test_a_checkpoint_in_shards_holds_the_average_and_the_weights(resumed: Path) -> None:
    average, last = (
        torch.load(resumed / "averaged" / name, weights_only=True) for name in ("9.pt", "last.ckpt/shard-0.pt")
    )
    assert last["state_dict"].keys() == last["unaveraged"].keys()
    for name, tensor in average["weights"].items():
        held, trained = (last[key][name]["part"] for key in ("state_dict", "unaveraged"))
        assert torch.equal(held, tensor[: len(held)])
        assert held.shape == trained.shape
        assert not torch.equal(held, trained)
    buffers = [name for name in last["state_dict"] if name.startswith("extras.")]
    assert buffers
    assert all(torch.equal(last["state_dict"][name], last["unaveraged"][name]) for name in buffers)


def test_each_process_keeps_8_bit_states_of_its_shards(resumed: Path) -> None:
    held = [torch.load(resumed / f"8 bits/last.ckpt/shard-{rank}.pt", weights_only=True) for rank in (0, 1)]
    for mine in held:
        weights, states = mine["state_dict"].values(), mine["optimizer_states"][0]["state"].values()
        for weight, state in zip(weights, states, strict=True):
            (quantised,) = [value for value in state.values() if isinstance(value, dict)]
            assert quantised["state1"].dtype == torch.uint8
            assert quantised["state1"].shape == weight["part"].shape
    assert held[0]["optimizer_states"][0]["state"][0]["step"] == 9


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "8 bits by ddp",
            "the checkpoint holds states of AdamW8bit for whole weights, which cannot be cut into shards",
        ),
        ("8 bits in one file", "save_distributed_checkpoint is false, but the states of AdamW8bit"),
    ],
)
def test_8_bit_states_that_fit_no_shards_or_no_file_are_refused_by_all(resumed: Path, name: str, said: str) -> None:
    assert all(said in (resumed / name / f"said-{rank}").read_text() for rank in (0, 1))


@pytest.mark.parametrize(("name", "left"), [("killed", 6), ("stopped", 8)])
def test_trap_27_trap_29_a_run_in_shards_that_is_killed_or_stopped_resumes_bit_for_bit(
    resumed: Path, name: str, left: int
) -> None:
    whole, again = (torch.load(resumed / of / "9.pt", weights_only=True) for of in ("shards at once", name))
    begun = again["steps"].pop(left, {})  # at the first micro-batch of the step after it
    assert not begun
    for run in (whole, again):
        run["steps"] = {s: {k: v for k, v in of.items() if k != "val/loss"} for s, of in run["steps"].items()}
    assert again["steps"] == {step: values for step, values in whole["steps"].items() if step > left}
    same(again["weights"], whole["weights"], 0.0)
    if name == "stopped":
        said = [(resumed / name / f"said-{rank}").read_text() for rank in (0, 1)]
        assert [text.partition(" after step 8; saved ")[0] for text in said] == [
            "stopped by a signal to another process",
            "stopped by SIGTERM",
        ]


def test_trap_29_a_full_disk_of_one_process_stops_both_and_leaves_what_was_saved(resumed: Path) -> None:
    directory = resumed / "full"
    said = [(directory / f"said-{rank}").read_text() for rank in (0, 1)]
    assert said[0] == said[1]
    assert "last.ckpt could not be written: No space left on device (it takes about" in said[0]
    assert torch.load(directory / "last.ckpt" / "meta.pt", weights_only=True)["global_step"] == 3
    left = sorted(path.name for path in directory.iterdir() if not path.name.startswith("said"))
    assert left == ["best.ckpt", "last.ckpt", "step-2", "step-3"]


def test_a_checkpoint_of_ddp_goes_on_in_shards(resumed: Path) -> None:
    whole = torch.load(resumed / "ddp at once" / "9.pt", weights_only=True)
    other = torch.load(resumed / "ddp then shards" / "9.pt", weights_only=True)
    same(other["weights"], whole["weights"], 1e-5)


def test_trap_28_a_file_made_of_shards_is_what_ddp_writes(resumed: Path) -> None:
    file, ddp = (torch.load(resumed / kind / "last.ckpt", weights_only=True) for kind in ("one file", "ddp"))
    assert list(file["state_dict"]) == list(ddp["state_dict"])
    same(file["state_dict"], ddp["state_dict"], 1e-5)
    shapes = [
        {number: state["exp_avg"].shape for number, state in content["optimizer_states"][0]["state"].items()}
        for content in (file, ddp)
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("kind", ["shards", "shards of all"])
def test_trap_28_shards_hold_what_trains_and_load_without_pickled_classes(resumed: Path, kind: str) -> None:
    last = resumed / kind / "last.ckpt"
    assert last.is_symlink()
    assert sorted(path.name for path in last.iterdir()) == ["meta.pt", "shard-0.pt", "shard-1.pt"]
    parts = [torch.load(last / f"shard-{rank}.pt", weights_only=True)["state_dict"] for rank in (0, 1)]
    end = torch.load(resumed / kind / "9.pt", weights_only=True)["weights"]
    assert list(parts[0]) == list(parts[1]) == list(end)
    for name, tensor in end.items():
        assert torch.equal(torch.cat([part[name]["part"] for part in parts]), tensor)
        assert 0 < parts[1][name]["part"].numel() < tensor.numel()
    folders = {path.name for path in (resumed / kind).glob("step-*")}
    assert folders == {path.resolve().name for path in (resumed / kind).glob("*.ckpt")}


def test_the_best_weights_are_restored_into_the_shards(resumed: Path) -> None:
    kept = torch.load(resumed / "shards of all" / "9.pt", weights_only=True)
    best = resumed / "shards of all" / "best.ckpt"
    parts = [torch.load(best / f"shard-{rank}.pt", weights_only=True)["state_dict"] for rank in (0, 1)]
    whole = {name: torch.cat([part[name]["part"] for part in parts]) for name in parts[0]}
    same(kept["best"], whole, 0.0)
    assert kept["best step"] < 9
    assert any(not torch.equal(tensor, kept["weights"][name]) for name, tensor in kept["best"].items())
