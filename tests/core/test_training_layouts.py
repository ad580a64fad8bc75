"""The same rows in a window give the same run on any layout: loss, gradients, learning rate, validation.

The reference is a loop over the plan's own windows, written with transformers, peft and torch alone: one example at a
time through the family's own forward, sums divided by the window's counts, SGD by hand.
"""

import functools
import json
import math
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
import transformers
from lightning.pytorch import Callback, LightningDataModule, Trainer, seed_everything
from torch import Tensor, nn

from tunesmith import Encoded, Example, Forward, Regularizer, Term
from tunesmith.data.encoded_rows import EncodedRow
from tunesmith.data.loader import PlanLoader
from tunesmith.data.plan import Plan
from tunesmith.training.schedule import Schedule
from tunesmith.training.specialist import Specialist
from tunesmith_plugins.adapters.full import Full
from tunesmith_plugins.adapters.lora import LoRA
from tunesmith_plugins.objectives.next_token import NextToken
from tunesmith_plugins.regularizers.kl_to_base import KLToBase

TOKENIZER = Path(__file__).parents[2] / "plugins/tunesmith_plugins/bases/tiny-mistral"
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*smaller than the logging interval.*"),
    pytest.mark.filterwarnings("ignore:The following .*_pattern keys did not match:RuntimeWarning"),  # peft, alone
    pytest.mark.filterwarnings("ignore:.*GPU available but not used.*"),
]
ROWS, WINDOW, EPOCHS, RATE = 20, 8, 2, 0.5
ROUTER, KL, NOISE, DECAY = 0.3, 0.7, 0.05, 0.01
# mixtral is packed and balances its experts, stablelm is padded
METHODS = [("mixtral", "Full"), ("mixtral", "LoRA"), ("stablelm", "Full"), ("stablelm", "LoRA")]


@dataclass(frozen=True)
class Cut:
    """How a window's rows meet the model."""

    world: int = 1
    batch_size: int = 8
    max_tokens: int | None = None
    accumulate: int = 1

    @property
    def name(self) -> str:
        size = f"{self.max_tokens}t" if self.max_tokens else f"{self.batch_size}"
        return f"{self.world}x{size}x{self.accumulate}"


BY_EXAMPLES = [Cut(1, 8, None, 1), Cut(1, 4, None, 2), Cut(1, 2, None, 4), Cut(1, 1, None, 8)]
EVEN = [Cut(1, 8, budget, n) for budget, n in ((128, 1), (64, 2), (32, 4), (16, 8))]
BY_TOKENS = [Cut(1, 8, budget, n) for budget, n in ((160, 1), (64, 2), (40, 4), (24, 8))]
TWO = [Cut(2, 4, None, 1), Cut(2, 2, None, 2), Cut(2, 1, None, 4), Cut(2, 8, 64, 1), Cut(2, 8, 40, 2), Cut(2, 8, 24, 4)]


@dataclass
class Run:
    """What is compared of a run; one entry an optimizer step, or an epoch."""

    losses: list[dict[str, float]] = field(default_factory=list)
    gradients: list[dict[str, Tensor]] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    sizes: dict[str, Any] = {
        "vocab_size": 4096,
        "hidden_size": 64,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
    }
    experts = {"num_local_experts": 4, "router_aux_loss_coef": ROUTER, "output_router_logits": True}
    made = {}
    for name, config in (
        ("mixtral", transformers.MixtralConfig(**sizes, **experts)),
        ("stablelm", transformers.StableLmConfig(**sizes)),
    ):
        directory = tmp_path_factory.mktemp(name)
        torch.manual_seed(0)
        transformers.AutoModelForCausalLM.from_config(config).save_pretrained(directory)
        transformers.AutoTokenizer.from_pretrained(TOKENIZER).save_pretrained(directory)
        made[name] = str(directory)
    return made


def noise_of(name: str, shape: tuple[int, ...]) -> Tensor:
    """Depends on the row's id alone."""
    return NOISE * torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))


class RowNoise(Regularizer):
    """Noise on the embeddings, of a random stream of each row's own."""

    def perturb(self, embeddings: Tensor, batch: Any) -> Tensor:
        owners = [batch.examples[int(at)].id for at in batch.sequence_example]
        limits = pairwise(batch.cu_seqlens.tolist())
        rows = [noise_of(name, (end - start, embeddings.shape[1])) for name, (start, end) in zip(owners, limits)]  # noqa: B905
        return embeddings + torch.cat(rows)


class Decay(Regularizer):
    """Mean square of the trained parameters, once a step."""

    def setup(self, model: nn.Module) -> None:
        self.trained = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def penalty(self, forward: Forward) -> Term:
        return Term(decay(self.trained), "step")


def decay(parameters: list[Any]) -> Tensor:
    return DECAY * torch.stack([parameter.square().sum() for parameter in parameters]).sum()


def regularizers() -> dict[str, Regularizer]:
    return {"anchor": KLToBase(KL), "noise": RowNoise(), "decay": Decay()}


def row(index: int, length: int | None = None) -> EncodedRow:
    """Between 3 and 20 supervised tokens behind a prompt of 2 to 4, or so many as `length` asks for."""
    generator = np.random.default_rng(index)
    prompt = 2 + index % 3 if length is None else int(generator.integers(1, length - 2))
    supervised = 3 + (index * 7) % 18 if length is None else length - prompt
    ids = [int(i) for i in generator.integers(10, 4000, prompt + supervised)]
    return EncodedRow(Example(id=f"row-{index}"), (Encoded(tuple(ids), (0.0,) * prompt + (1.0,) * supervised),))


def plan_of(rows: list[EncodedRow], cut: Cut, training: bool = True) -> Plan:
    units: dict[Any, list[int]] = {unit: [r.units[unit] for r in rows] for unit in ("token", "example")}
    sizes = {"batch_size": cut.batch_size, "max_tokens": cut.max_tokens, "world": cut.world, "shuffle": training}
    lengths = [r.length for r in rows]
    return Plan(lengths, units if training else None, **sizes, accumulate=cut.accumulate if training else 1, seed=5)  # type: ignore[arg-type]


class Data(LightningDataModule):
    """Training rows and, cut alike but in another number of batches, validation rows."""

    def __init__(self, rows: list[EncodedRow], held_out: list[EncodedRow], cut: Cut) -> None:
        super().__init__()
        self.rows, self.held_out, self.cut = rows, held_out, cut

    def train_dataloader(self) -> PlanLoader:
        assert self.trainer is not None
        assert self.trainer.world_size == self.cut.world
        return PlanLoader(self.rows, plan_of(self.rows, self.cut), self.trainer.global_rank)

    def val_dataloader(self) -> PlanLoader:
        assert self.trainer is not None
        return PlanLoader(self.held_out, plan_of(self.held_out, self.cut, training=False), self.trainer.global_rank)


class Recorder(Callback):
    """Keeps what is compared."""

    def __init__(self) -> None:
        self.run = Run()

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: Any, optimizer: Any) -> None:
        named = pl_module.named_parameters()
        self.run.gradients.append({n: p.grad.clone() for n, p in named if p.requires_grad})
        self.run.rates.append(optimizer.param_groups[0]["lr"])

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if not trainer.fit_loop._should_accumulate():
            names = ("loss", "router", "reg/anchor", "reg/decay")
            values = trainer.callback_metrics
            self.run.losses.append({name: float(values[name]) for name in names if name in values})
            self.run.norms.append(float(values["grad_norm"]))

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        self.run.validation.append(float(trainer.callback_metrics["val/loss"]))


def specialist(base: str, adapter: str, regularized: bool) -> Specialist:
    seed_everything(1, verbose=False)
    module = Specialist(
        base,
        NextToken(),
        LoRA(rank=4, alpha=8) if adapter == "LoRA" else Full(),
        regularizers() if regularized else {},
        optimizer=lambda groups: torch.optim.SGD(groups, lr=RATE),
        schedule=Schedule("cosine", warmup=2),
        precision="fp32",
    )
    module.load()
    return module


def observe(base: str, adapter: str, cut: Cut, rows: list[EncodedRow], regularized: bool = True) -> Run:
    recorder, module = Recorder(), specialist(base, adapter, regularized)
    trainer = Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        devices=cut.world,
        strategy="ddp" if cut.world > 1 else "auto",
        accumulate_grad_batches=cut.accumulate,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=[recorder],
    )
    trainer.fit(module, Data(rows, HELD_OUT, cut))
    return recorder.run


class Reference:
    """The same run as a loop over windows, one example at a time, without any of our training code."""

    def __init__(self, base: str, adapter: str, regularized: bool = True) -> None:
        self.start = specialist(base, adapter, regularized).state_dict()
        self.model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).train()
        self.frozen = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
        self.network: Any = self.model
        if adapter == "LoRA":
            config = peft.LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
            self.network = peft.get_peft_model(self.model, config)
        self.trained = {f"network.{n}": p for n, p in self.network.named_parameters() if p.requires_grad}
        assert self.trained.keys() == self.start.keys()
        with torch.no_grad():
            for name, parameter in self.trained.items():
                parameter.copy_(self.start[name])
        self.routed = bool(getattr(self.model.config, "output_router_logits", False))
        self.regularized = regularized

    def run(self, epochs: list[list[list[EncodedRow]]], held_out: list[EncodedRow]) -> Run:
        made, total = Run(), sum(map(len, epochs))
        for windows in epochs:
            for window in windows:
                rate = RATE * Schedule("cosine", warmup=2).factor(len(made.rates), total)
                made.losses.append(self.step(window))
                made.gradients.append({n: p.grad.clone() for n, p in self.trained.items() if p.grad is not None})
                made.norms.append(math.sqrt(sum(float(g.double().square().sum()) for g in made.gradients[-1].values())))
                made.rates.append(rate)
                with torch.no_grad():
                    for parameter in self.trained.values():
                        parameter -= rate * parameter.grad
            made.validation.append(self.validate(held_out))
        return made

    def step(self, window: list[EncodedRow]) -> dict[str, float]:
        """Gradients of one window; returns its terms."""
        self.network.zero_grad()
        parts: dict[str, list[Tensor]] = {"loss": [], "router": [], "reg/anchor": []}
        tokens = 0
        for one in window:
            logits, router = self.forward(one)
            ids, learned = torch.tensor(one.sequences[0].ids), torch.tensor(one.sequences[0].weights) > 0
            scores = logits[:-1][learned[1:]].log_softmax(-1)
            parts["loss"].append(-scores.gather(1, ids[learned][:, None]).sum())
            tokens += len(scores)
            with torch.no_grad():
                base = self.frozen(input_ids=ids[None]).logits[0, :-1][learned[1:]].log_softmax(-1)
            parts["reg/anchor"].append(KL * (base.exp() * (base - scores)).sum())
            if self.routed:
                parts["router"].append(ROUTER * router)
        terms = {"loss": torch.stack(parts["loss"]).sum() / tokens}
        if self.routed:
            terms["router"] = torch.stack(parts["router"]).mean()
        if self.regularized:
            terms["reg/anchor"] = torch.stack(parts["reg/anchor"]).sum() / tokens
            terms["reg/decay"] = decay(list(self.trained.values()))
        torch.stack(list(terms.values())).sum().backward()
        return {name: float(term.detach()) for name, term in terms.items()}

    def forward(self, one: EncodedRow) -> tuple[Tensor, Any]:
        ids = torch.tensor([one.sequences[0].ids])
        with noisy(self.model, one) if self.regularized else noisy(self.model, None):
            out = self.network(input_ids=ids, use_cache=False)
        return out.logits[0], out.aux_loss if self.routed else None

    @torch.no_grad()
    def validate(self, held_out: list[EncodedRow]) -> float:
        total, tokens = 0.0, 0
        self.network.eval()
        for one in held_out:
            ids, learned = torch.tensor(one.sequences[0].ids), torch.tensor(one.sequences[0].weights) > 0
            scores = self.network(input_ids=ids[None], use_cache=False).logits[0, :-1].log_softmax(-1)
            total -= float(scores.gather(1, ids[1:, None])[learned[1:]].sum())
            tokens += int(learned.sum())
        self.network.train()
        return total / tokens


@contextmanager
def noisy(model: Any, one: EncodedRow | None) -> Iterator[None]:
    def hook(_module: Any, _inputs: Any, output: Tensor) -> Tensor:
        return output if one is None else output + noise_of(one.example.id, tuple(output.shape[1:]))

    handle = model.get_input_embeddings().register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def windows_of(rows: list[EncodedRow], cut: Cut) -> list[list[list[EncodedRow]]]:
    """Rows of each window of each epoch, as the plan of the layout says; each row once an epoch."""
    plan = plan_of(rows, cut)
    epochs = [[[rows[i] for micro in window for i in micro] for window in plan.windows(e)] for e in range(EPOCHS)]
    assert all(
        sorted(one.example.id for w in epoch for one in w) == sorted(r.example.id for r in rows) for epoch in epochs
    )
    return epochs


def assert_same(got: Run, expected: Run) -> None:
    assert len(got.losses) == len(got.gradients) == len(expected.losses) > EPOCHS
    for ours, theirs in zip(got.losses, expected.losses, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)
    for gradients, wanted in zip(got.gradients, expected.gradients, strict=True):
        assert gradients.keys() == wanted.keys()
        a, b = (torch.cat([tensors[n].flatten() for n in sorted(wanted)]).double() for tensors in (gradients, wanted))
        assert float((a - b).norm() / b.norm()) < 1e-5
    assert got.norms == pytest.approx(expected.norms, rel=1e-6)  # what is logged
    assert got.rates == pytest.approx(expected.rates, rel=1e-12)
    # what Lightning tries before training is not all of the rows
    assert got.validation[-EPOCHS:] == pytest.approx(expected.validation, rel=1e-5)


ROWS_OF = {"mixed": [row(i) for i in range(ROWS)], "even": [row(i, 16) for i in range(ROWS)]}
HELD_OUT = [row(i) for i in range(100, 107)]


@pytest.fixture(scope="module")
def reference(bases: dict[str, str]) -> Callable[..., Run]:
    """The loop over the windows of a layout, once for all layouts that have the same."""

    @functools.cache
    def run(family: str, adapter: str, lengths: str, windows: str, regularized: bool) -> Run:
        rows = {one.example.id: one for one in ROWS_OF[lengths]}
        epochs = [[[rows[name] for name in window] for window in epoch] for epoch in json.loads(windows)]
        return Reference(bases[family], adapter, regularized).run(epochs, HELD_OUT)

    def of(family: str, adapter: str, cut: Cut, lengths: str = "mixed", regularized: bool = True) -> Run:
        epochs = windows_of(ROWS_OF[lengths], cut)
        # the order of rows within a window is the layout's, and has no effect but on rounding
        windows = [[sorted(one.example.id for one in window) for window in epoch] for epoch in epochs]
        return run(family, adapter, lengths, json.dumps(windows), regularized)

    return of


# Both families and both adapters under every layout, and both adapters on both families, each pair twice or more.
PAIRS = [
    (*method, cut)
    for cuts in (BY_EXAMPLES, BY_TOKENS)
    for at, cut in enumerate(cuts)
    for method in (METHODS[::3] if at % 2 else METHODS[1:3])
]


@pytest.mark.parametrize(("family", "adapter", "cut"), PAIRS, ids=lambda part: getattr(part, "name", part))
def test_trap_01_trap_03_trap_04_a_run_equals_the_loop_over_its_windows(
    bases: dict[str, str], reference: Callable[..., Run], family: str, adapter: str, cut: Cut
) -> None:
    got = observe(bases[family], adapter, cut, ROWS_OF["mixed"])
    assert_same(got, reference(family, adapter, cut))


@pytest.mark.parametrize("cut", [BY_EXAMPLES[2], BY_TOKENS[2]], ids=lambda cut: cut.name)
@pytest.mark.parametrize(("family", "adapter"), [METHODS[1], METHODS[2]])
def test_a_run_without_regularizers_equals_the_loop_over_its_windows(
    bases: dict[str, str], reference: Callable[..., Run], family: str, adapter: str, cut: Cut
) -> None:
    got = observe(bases[family], adapter, cut, ROWS_OF["mixed"], regularized=False)
    assert_same(got, reference(family, adapter, cut, regularized=False))


def test_layouts_by_examples_share_their_windows_and_so_do_those_by_tokens_where_rows_fill_them() -> None:
    def sets(lengths: str, cut: Cut) -> list[list[set[str]]]:
        return [[{one.example.id for one in w} for w in epoch] for epoch in windows_of(ROWS_OF[lengths], cut)]

    for lengths, cuts in (("mixed", [*BY_EXAMPLES, *TWO[:3]]), ("even", [*BY_EXAMPLES, *TWO[:3], *EVEN])):
        assert [[len(window) for window in epoch] for epoch in sets(lengths, cuts[0])] == [[8, 8, 4]] * EPOCHS
        assert all(sets(lengths, cut) == sets(lengths, cuts[0]) for cut in cuts)


@pytest.mark.parametrize("cut", EVEN, ids=lambda cut: cut.name)
def test_batches_by_tokens_and_by_examples_give_the_same_run_on_the_same_windows(
    bases: dict[str, str], reference: Callable[..., Run], cut: Cut
) -> None:
    got = observe(bases["mixtral"], "LoRA", cut, ROWS_OF["even"])
    assert_same(got, reference("mixtral", "LoRA", BY_EXAMPLES[0], "even"))


def test_the_comparison_sees_a_wrong_divisor_and_noise_of_other_rows(
    bases: dict[str, str], reference: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = BY_EXAMPLES[2]
    expected = reference(*METHODS[2], cut)
    wrong = replace(cut, batch_size=1)  # windows of other rows
    with pytest.raises(AssertionError):
        assert_same(observe(bases["stablelm"], "Full", wrong, ROWS_OF["mixed"]), expected)
    monkeypatch.setattr(RowNoise, "perturb", lambda self, embeddings, batch: embeddings)
    with pytest.raises(AssertionError):
        assert_same(observe(bases["stablelm"], "Full", cut, ROWS_OF["mixed"]), expected)


@pytest.mark.slow
def test_trap_02_trap_30_trap_31_two_processes_equal_the_loop_over_their_windows(
    bases: dict[str, str], reference: Callable[..., Run], tmp_path: Path, call_apart: Callable[..., Any]
) -> None:
    call_apart(run_two, bases["mixtral"], bases["stablelm"], tmp_path)
    found = [torch.load(tmp_path / f"rank-{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert len(found[0]) == 2 * len(TWO)
    for ranks in found:
        for family, adapter in (METHODS[1], METHODS[2]):
            for cut in TWO:
                assert_same(Run(**ranks[f"{family} {cut.name}"]), reference(family, adapter, cut))


def run_two(mixtral: str, stablelm: str, place: str) -> None:
    """One of two processes: all layouts of two methods."""
    found = {}
    for (family, adapter), base in zip((METHODS[1], METHODS[2]), (mixtral, stablelm), strict=True):
        for cut in TWO:
            run = observe(base, adapter, cut, ROWS_OF["mixed"])
            found[f"{family} {cut.name}"] = vars(run)
    torch.save(found, Path(place) / f"rank-{os.environ.get('LOCAL_RANK', '0')}.pt")
