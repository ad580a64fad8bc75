"""The loss of an optimizer step is the mean over all its tokens, however they are cut into micro-batches and ranks."""

import itertools
import json
import math
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers
from lightning.pytorch import Callback, Trainer, seed_everything
from torch import Tensor, nn

from tunesmith import Adapter, Encoded, Example, Forward, Objective, Origin, RecipeError, Regularizer, Term
from tunesmith.data.encoded_rows import EncodedRow
from tunesmith.data.loader import PlanLoader
from tunesmith.data.plan import Plan
from tunesmith.training.ledger import Ledger, doubled, summing
from tunesmith.training.schedule import Schedule
from tunesmith.training.specialist import Specialist
from tunesmith.training.validating import Validating

TOKENIZER = Path(__file__).parents[2] / "plugins/tunesmith_plugins/bases/tiny-mistral"
SUPERVISED = (64, 60, 4, 6, 50, 5, 3, 62)
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*have no `val_dataloader`.*"),
    pytest.mark.filterwarnings("ignore:.*smaller than the logging interval.*"),
    pytest.mark.filterwarnings("ignore:.*GPU available but not used.*"),
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    directory = tmp_path_factory.mktemp("base")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=4096,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(directory)
    transformers.AutoTokenizer.from_pretrained(TOKENIZER).save_pretrained(directory)
    return str(directory)


class CrossEntropy(Objective):
    """Next-token cross-entropy of rows that are encoded already."""

    def encode(self, example: Example, renderer: Any) -> list[Encoded]:
        raise NotImplementedError

    def loss(self, forward: Forward) -> Term:
        def term(chunk: Any) -> Tensor:
            losses = nn.functional.cross_entropy(forward.head(chunk.hidden).float(), chunk.targets, reduction="none")
            return losses @ chunk.weights

        return Term(forward.total(term), "token")


class Telling(CrossEntropy):
    """Logs how many of the targets are odd, and how sure the model is of the first token of each row."""

    def logs(self) -> list[str]:
        return ["odd", "sure"]

    def loss(self, forward: Forward) -> Term:
        odd = (forward.targets % 2).float().sum()
        return Term(super().loss(forward).sum, "token", {"odd": odd, "sure": forward.weights.sum() * 3})


class Everything(Adapter):
    """All weights train."""

    switchable = False

    def attach(self, model: nn.Module) -> nn.Module:
        return model

    def save(self, model: nn.Module, directory: Path) -> None:
        raise NotImplementedError

    def load(self, model: nn.Module, directory: Path) -> None:
        raise NotImplementedError


class Anchor(Regularizer):
    """Mean square of the hidden states: one value an example, or a term of the parameters once a step."""

    def __init__(self, unit: str) -> None:
        self.unit = unit

    def penalty(self, forward: Forward) -> Term:
        if self.unit == "step":
            weight = forward._passes.model.get_output_embeddings().weight  # type: ignore[attr-defined]
            return Term(weight.square().sum(), "step")
        sequences = len(forward.batch.cu_seqlens) - 1
        means = torch.zeros(sequences).index_add(0, forward.batch.sequence, forward.hidden.square().mean(1))
        return Term(means.sum() if self.unit == "token" else (means / forward.batch.cu_seqlens.diff()).sum(), self.unit)  # type: ignore[arg-type]


class Gradients(Callback):
    """Keeps the gradients, weights and logged values of every optimizer step."""

    def __init__(self) -> None:
        self.gradients: list[dict[str, Tensor]] = []
        self.logged: list[dict[str, float]] = []

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: Any, optimizer: Any) -> None:
        named = pl_module.named_parameters()
        self.gradients.append({n: p.grad.clone() for n, p in named if p.grad is not None})

    def on_before_zero_grad(self, trainer: Trainer, pl_module: Any, optimizer: Any) -> None:
        if values := {k: float(v) for k, v in trainer.callback_metrics.items()}:
            self.logged.append(values)

    on_train_end = lambda self, trainer, pl_module: self.on_before_zero_grad(trainer, pl_module, None)  # noqa: E731


def row(index: int, supervised: int, prompt: int = 3) -> EncodedRow:
    generator = torch.Generator().manual_seed(index)
    ids = torch.randint(10, 4000, (prompt + supervised,), generator=generator).tolist()
    encoded = Encoded(tuple(ids), (0.0,) * prompt + (1.0,) * supervised)
    return EncodedRow(Example(id=f"row-{index}", origin=Origin("notes", "notes.jsonl", index + 1)), (encoded,))


def loader(rows: list[EncodedRow], **options: Any) -> PlanLoader:
    units: dict[Any, list[int]] = {unit: [r.units[unit] for r in rows] for unit in ("token", "example")}
    return PlanLoader(rows, Plan([r.length for r in rows], units, **{"shuffle": False, **options}))


def sgd(lr: float) -> Callable[[Iterable[Any]], torch.optim.Optimizer]:
    return lambda groups: torch.optim.SGD(groups, lr=lr)


def specialist(base: str, **options: Any) -> Specialist:
    seed_everything(1, verbose=False)
    arguments: dict[str, Any] = {
        "objective": CrossEntropy(),
        "adapter": Everything(),
        "optimizer": sgd(0.1),
        "schedule": Schedule("constant", warmup=0),
        "precision": "fp32",
    }
    module = Specialist(base, **{**arguments, **options})
    module.load()
    return module


def train(module: Specialist, data: Any, *callbacks: Callback, **options: Any) -> Trainer:
    arguments: dict[str, Any] = {
        "max_epochs": 1,
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "use_distributed_sampler": False,
        "log_every_n_steps": 1,
    }
    trainer = Trainer(**{**arguments, **options}, callbacks=list(callbacks))
    trainer.fit(module, data)
    return trainer


def plain_loop(base: str, rows: list[EncodedRow]) -> tuple[float, dict[str, Tensor]]:
    """Loss and gradients by transformers alone, one example after the other, without any of our code."""
    return gradients_of(transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).train(), rows)


def gradients_of(model: Any, rows: list[EncodedRow]) -> tuple[float, dict[str, Tensor]]:
    """The same on a model that may have been trained before."""
    model.zero_grad()
    total: Any = 0.0
    tokens = 0
    for encoded in (r.sequences[0] for r in rows):
        ids = torch.tensor([encoded.ids])
        logits = model(input_ids=ids).logits[0, :-1]
        weights = torch.tensor(encoded.weights)[1:]
        total = total + (nn.functional.cross_entropy(logits, ids[0, 1:], reduction="none") * weights).sum()
        tokens += int(weights.sum())
    loss = total / tokens
    loss.backward()
    return float(loss.detach()), {f"network.{n}": p.grad for n, p in model.named_parameters() if p.grad is not None}


def difference(got: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    assert got.keys() == expected.keys()
    a = torch.cat([got[n].flatten() for n in sorted(got)]).double()
    b = torch.cat([expected[n].flatten() for n in sorted(got)]).double()
    return float((a - b).norm() / b.norm())


@pytest.mark.parametrize(("batch_size", "accumulate"), [(8, 1), (4, 2), (2, 4), (1, 8)])
def test_trap_01_gradients_equal_a_plain_loop_however_the_window_is_cut(
    base: str, batch_size: int, accumulate: int
) -> None:
    rows = [row(i, n) for i, n in enumerate(SUPERVISED)]
    loss, expected = plain_loop(base, rows)
    kept = Gradients()
    data = loader(rows, batch_size=batch_size, accumulate=accumulate)
    train(specialist(base), data, kept, accumulate_grad_batches=accumulate)
    assert len(kept.gradients) == 1
    assert difference(kept.gradients[0], expected) < 1e-5
    assert kept.logged[-1]["loss"] == pytest.approx(loss, rel=1e-6)


def test_trap_01_the_mean_of_means_would_fail_this_test(base: str) -> None:
    rows = [row(i, n) for i, n in enumerate(SUPERVISED)]
    _, expected = plain_loop(base, rows)
    parts = [plain_loop(base, [r])[1] for r in rows]
    mean_of_means = {n: torch.stack([part[n] for part in parts]).mean(0) for n in expected}
    assert difference(mean_of_means, expected) > 0.1


def test_trap_03_the_reported_loss_does_not_depend_on_accumulation(base: str) -> None:
    rows = [row(i % 8, n) for i, n in enumerate(SUPERVISED * 2)]
    curves = []
    for accumulate in (1, 2, 4, 8):
        kept = Gradients()
        data = loader(rows, batch_size=8 // accumulate, accumulate=accumulate)
        train(specialist(base), data, kept, accumulate_grad_batches=accumulate)
        curves.append([values["loss"] for values in kept.logged])
    assert all(len(curve) == 2 for curve in curves)
    for curve in curves[1:]:
        assert curve == pytest.approx(curves[0], rel=1e-5)


def test_what_an_objective_logs_is_a_mean_over_the_window_and_over_the_validation_rows(base: str) -> None:
    rows = [row(i, n) for i, n in enumerate(SUPERVISED)]
    odd = sum(token % 2 for r in rows for token in r.sequences[0].ids[3:]) / sum(SUPERVISED)
    for accumulate in (1, 4):
        kept = Gradients()
        module = specialist(base, objective=Telling())
        assert module.term_names() == ["loss", "odd", "sure"]
        data = loader(rows, batch_size=8 // accumulate, accumulate=accumulate)
        trainer = train(module, data, kept, accumulate_grad_batches=accumulate)
        assert kept.logged[0]["odd"] == pytest.approx(odd, rel=1e-6)
        assert kept.logged[0]["sure"] == pytest.approx(3, rel=1e-6)
        trainer.validate(module, PlanLoader(rows, Plan([r.length for r in rows], batch_size=3)), verbose=False)
        assert float(trainer.callback_metrics["val/odd"]) == pytest.approx(odd, rel=1e-6)


def test_what_no_logs_says_is_not_logged(base: str) -> None:
    module = specialist(base, objective=type("Silent", (Telling,), {"logs": lambda self: []})())
    with pytest.raises(ValueError, match=r"loss logs odd, which logs\(\) of its class does not say"):
        train(module, loader([row(0, 4)], batch_size=1))


@pytest.mark.parametrize("unit", ["token", "example", "step"])
def test_trap_04_each_term_is_divided_by_its_own_unit(base: str, unit: str) -> None:
    rows = [row(i, n) for i, n in enumerate(SUPERVISED)]
    gradients, logged = [], []
    for accumulate in (1, 4):
        kept = Gradients()
        module = specialist(base, regularizers={"anchor": Anchor(unit)})
        train(
            module,
            loader(rows, batch_size=8 // accumulate, accumulate=accumulate),
            kept,
            accumulate_grad_batches=accumulate,
        )
        gradients.append(kept.gradients[0])
        logged.append(kept.logged[-1]["reg/anchor"])
    assert difference(gradients[1], gradients[0]) < 1e-5
    assert logged[1] == pytest.approx(logged[0], rel=1e-5)
    if unit == "step":
        weight = transformers.AutoModelForCausalLM.from_pretrained(base).lm_head.weight
        assert logged[0] == pytest.approx(float(weight.square().sum().detach()), rel=1e-5)


@pytest.mark.parametrize(("prompt", "supervised"), [(1, 1), (3, 500)], ids=["shortest", "longest"])
def test_trap_05_each_micro_batch_of_a_window_adds_its_gradients(base: str, prompt: int, supervised: int) -> None:
    rows = [row(i, supervised, prompt) for i in range(4)]
    kept = Gradients()
    train(specialist(base), loader(rows, batch_size=1, accumulate=4), kept, accumulate_grad_batches=4)
    parts = [plain_loop(base, [one])[1] for one in rows]  # as many tokens in each: the sum over four is their mean
    expected = {name: torch.stack([part[name] for part in parts]).sum(0) / 4 for name in parts[0]}
    assert difference(kept.gradients[0], expected) < 1e-5
    for left_out in range(4):
        fewer = [part for i, part in enumerate(parts) if i != left_out]
        assert difference({n: torch.stack([p[n] for p in fewer]).sum(0) / 4 for n in expected}, expected) > 0.1


def test_trap_06_the_weights_after_ten_batches_are_those_of_three_steps_by_hand(base: str) -> None:
    rows = [row(i, SUPERVISED[i % 8]) for i in range(10)]
    module = specialist(base)
    train(module, loader(rows, batch_size=1, accumulate=4), accumulate_grad_batches=4)
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).train()
    start = {f"network.{n}": p.detach().clone() for n, p in model.named_parameters()}
    for window in (rows[:4], rows[4:8], rows[8:]):
        gradients = gradients_of(model, window)[1]
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter -= 0.1 * gradients[f"network.{name}"]
    by_hand = {f"network.{n}": p.detach() - start[f"network.{n}"] for n, p in model.named_parameters()}
    moved = {n: p.detach() - start[n] for n, p in module.named_parameters()}
    assert difference(moved, by_hand) < 1e-5


def test_trap_46_a_partial_last_window_counts_its_own_tokens(base: str) -> None:
    rows = [row(i, SUPERVISED[i % 8]) for i in range(10)]
    kept = Gradients()
    module = specialist(base, optimizer=sgd(0.0))
    train(module, loader(rows, batch_size=1, accumulate=4), kept, accumulate_grad_batches=4)
    assert len(kept.gradients) == 3
    for start, got in zip((0, 4, 8), kept.gradients, strict=True):
        assert difference(got, plain_loop(base, rows[start : start + 4])[1]) < 1e-5


@pytest.mark.parametrize(
    "limits",
    [
        {"limit_train_batches": 7},
        {"limit_train_batches": 0.75},
        {"overfit_batches": 6},
        {"fast_dev_run": 5},
        {"max_steps": 2},
    ],
    ids=str,
)
def test_trap_46_gradients_of_a_cut_window_are_those_of_its_rows_under_every_limit(
    base: str, limits: dict[str, Any]
) -> None:
    rows = [row(i, SUPERVISED[i % 8]) for i in range(10)]
    kept = Gradients()
    left = {"limit_train_batches": limits.get("limit_train_batches"), **limits}
    number = next((value for key, value in left.items() if value is not None and key != "max_steps"), 10)
    number = int(10 * number) if isinstance(number, float) else number
    data = loader(rows, batch_size=1, accumulate=4, limit=None if "max_steps" in limits else number)
    train(specialist(base, optimizer=sgd(0.0)), data, kept, accumulate_grad_batches=4, **limits)
    starts = range(0, 8 if "max_steps" in limits else number, 4)
    assert len(kept.gradients) == len(starts)
    for start, got in zip(starts, kept.gradients, strict=True):
        assert difference(got, plain_loop(base, rows[start : min(start + 4, number)])[1]) < 1e-5


def test_trap_30_the_rate_follows_optimizer_steps_not_micro_batches(base: str) -> None:
    rows = [row(i, 4) for i in range(32)]
    rates = []
    for accumulate in (1, 4):
        kept = Gradients()
        module = specialist(base, schedule=Schedule("cosine", warmup=2, floor=0.1))
        data = loader(rows, batch_size=4 // accumulate, accumulate=accumulate)
        train(module, data, kept, accumulate_grad_batches=accumulate)
        rates.append([values["lr"] for values in kept.logged])
    assert rates[0] == rates[1]
    expected = [0.1 * Schedule("cosine", 2, 0.1).factor(step, 8) for step in range(8)]
    assert rates[0] == pytest.approx(expected)
    assert rates[0][:2] == pytest.approx([0.05, 0.1])


def test_trap_42_speed_counts_each_token_once(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row(i, n) for i, n in enumerate(SUPERVISED)]
    speeds = []
    for accumulate in (1, 4):
        ticks = itertools.count()
        module = specialist(base)
        monkeypatch.setattr("tunesmith.training.ledger.time.perf_counter", lambda ticks=ticks: float(next(ticks)))
        kept = Gradients()
        data = loader(rows, batch_size=8 // accumulate, accumulate=accumulate)
        train(module, data, kept, accumulate_grad_batches=accumulate)
        speeds.append(kept.logged[-1]["tokens/s"])
    assert speeds == [sum(r.length for r in rows)] * 2


@pytest.mark.parametrize("layout", ["ragged", "padded"])
def test_trap_31_validation_loss_does_not_depend_on_how_rows_are_batched(base: str, layout: str) -> None:
    rows = [row(i, n) for i, n in enumerate(SUPERVISED)]
    expected, _ = plain_loop(base, rows)
    losses = []
    options: list[tuple[dict[str, Any], int]] = [
        ({"batch_size": 8}, 1),
        ({"batch_size": 3}, 1),
        ({"batch_size": 1}, -1),
    ]
    options += [({"max_tokens": budget}, order) for budget, order in ((400, 1), (70, -1), (1, 1))]
    module = specialist(base, adapter=type("Padded", (Everything,), {"layout": layout})())
    assert module.layout == layout
    for cut, order in options:
        ordered = rows[::order]
        validation = PlanLoader(ordered, Plan([r.length for r in ordered], **cut, shuffle=False))
        trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
        trainer.validate(module, validation, verbose=False)
        losses.append(module.validation_loss)
        assert float(trainer.callback_metrics["val/loss"]) == pytest.approx(expected, rel=1e-6)
    assert losses == pytest.approx([expected] * len(options), rel=1e-6)


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stops_before_the_weights_change_and_names_the_rows(base: str, poison: float) -> None:
    class Poisoned(CrossEntropy):
        def loss(self, forward: Forward) -> Term:
            term = super().loss(forward)
            bad = any(example.id == "row-2" for example in forward.batch.examples)
            return Term(term.sum * poison if bad else term.sum, "token")

    rows = [row(i, n) for i, n in enumerate(SUPERVISED)]
    module = specialist(base, objective=Poisoned())
    before = {n: p.detach().clone() for n, p in module.named_parameters()}
    with pytest.raises(RecipeError, match=r"loss is (nan|inf) at step 1 on rows ") as refused:
        train(module, loader(rows, batch_size=2, accumulate=4), accumulate_grad_batches=4)
    named = re.findall(r"row-(\d) \(notes.jsonl:(\d)\)", str(refused.value))
    assert len(named) == str(refused.value).count("row-") == 2
    assert ("2", "3") in named
    assert all(int(line) == int(number) + 1 for number, line in named)
    assert all(torch.equal(p, before[n]) for n, p in module.named_parameters())


class Overflow(torch.autograd.Function):
    """Its value is a number, its gradient is not."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * math.nan


def test_a_gradient_that_is_no_number_names_all_rows_of_the_window_and_files_where_there_are_any(base: str) -> None:
    class Overflowing(CrossEntropy):
        def loss(self, forward: Forward) -> Term:
            return Term(Overflow.apply(super().loss(forward).sum), "token")

    rows = [row(i % 8, 4) for i in range(20)]
    made = Example(id="made by a curator")
    rows[0] = EncodedRow(made, rows[0].sequences)
    with pytest.raises(RecipeError) as refused:
        train(specialist(base, objective=Overflowing()), loader(rows, batch_size=20))
    message = str(refused.value)
    assert message.startswith("gradient norm is nan at step 1 on rows ")
    assert message.count("row-") == 15
    assert message.count("notes.jsonl:") == 15
    assert "made by a curator, " in message
    assert " and 4 more\n" in message


def test_a_gradient_that_is_no_number_on_another_rank_stops_this_one_too() -> None:
    def reduce(row: Tensor) -> Tensor:
        other = torch.zeros_like(row)
        other[-1] = 1
        return row + other

    values = Ledger(["loss"]).close({"token": 1}, reduce, torch.device("cpu"), 0.5)
    assert math.isnan(values["grad_norm"])
    assert Ledger(["loss"]).close({"token": 1}, lambda row: row, torch.device("cpu"), 0.5)["grad_norm"] == 0.5


def test_sums_are_kept_elsewhere_where_the_device_has_no_double_precision() -> None:
    """Apple's GPUs; the processor of this machine would refuse a tensor on one."""
    apple = torch.device("mps")
    assert Ledger(["loss"]).close({"token": 1}, lambda row: row, apple, 0.5)["grad_norm"] == 0.5
    module: Any = SimpleNamespace(device=apple, objective=CrossEntropy(), trainer=None)
    Validating.on_validation_epoch_start(module)
    assert (module._validation.dtype, module._validation.device.type) == (torch.float64, "cpu")
    assert summing(torch.device("cuda", 1)) == torch.device("cuda", 1)
    assert doubled(torch.tensor(0.1, requires_grad=True)) == torch.tensor(0.1).double()


def test_clipping_sees_the_windows_exact_gradient(base: str) -> None:
    rows = [row(i, n) for i, n in enumerate(SUPERVISED)]
    results = []
    for accumulate in (1, 4):
        module = specialist(base)
        data = loader(rows, batch_size=8 // accumulate, accumulate=accumulate)
        train(module, data, accumulate_grad_batches=accumulate, gradient_clip_val=0.3)
        results.append({n: p.detach().clone() for n, p in module.named_parameters()})
    start = specialist(base)
    moved = {n: p.detach() - results[0][n] for n, p in start.named_parameters()}
    assert float(torch.cat([m.flatten() for m in moved.values()]).norm()) == pytest.approx(0.3 * 0.1, rel=1e-4)
    for name, weight in results[0].items():
        torch.testing.assert_close(results[1][name], weight, rtol=1e-5, atol=1e-7)


def test_weight_decay_falls_on_matrices_only(base: str) -> None:
    module = specialist(base, optimizer=lambda groups: torch.optim.AdamW(groups, lr=1e-3, weight_decay=0.5))
    train(module, loader([row(0, 4)], batch_size=1))
    groups = module.trainer.optimizers[0].param_groups
    assert [(g["weight_decay"], {p.ndim for p in g["params"]}) for g in groups] == [(0.5, {2}), (0.0, {1})]


def test_trap_36_perturbations_act_in_training_and_never_in_evaluation(base: str) -> None:
    class Noise(Regularizer):
        def __init__(self) -> None:
            self.shapes: list[tuple[int, ...]] = []

        def perturb(self, embeddings: Tensor, batch: Any) -> Tensor:
            self.shapes.append(tuple(embeddings.shape))
            return embeddings + torch.randn_like(embeddings)

    noise = Noise()
    module = specialist(base, regularizers={"noise": noise})
    rows = [row(i, n) for i, n in enumerate((3, 5))]
    batch = next(iter(loader(rows, batch_size=2)))
    module.eval()
    assert torch.equal(module.passes(batch).hidden, module.passes(batch).hidden)
    assert noise.shapes == []
    module.train()
    clean, first, second = module.passes(batch, perturbed=False), module.passes(batch), module.passes(batch)
    assert noise.shapes == [(len(batch.input_ids), 64)] * 2
    assert not torch.equal(first.hidden, clean.hidden)
    assert not torch.equal(first.hidden, second.hidden)


def test_regularizers_are_set_up_and_prepared_once_and_their_modules_train(base: str) -> None:
    class Fisher(Regularizer):
        def __init__(self) -> None:
            self.calls: list[str] = []
            self.head = nn.Linear(64, 1)

        def setup(self, model: nn.Module) -> None:
            self.calls.append("setup")

        def prepare(self, forwards: Any) -> None:
            self.calls.append(f"prepare {sum(len(f.supervised) for f in forwards)}")

        def module(self) -> nn.Module:
            return self.head

        def penalty(self, forward: Forward) -> Term:
            return Term(self.head(forward.hidden).sum(), "token")

    fisher = Fisher()
    rows = [row(i, 4) for i in range(4)]
    module = specialist(base, regularizers={"fisher": fisher})
    from lightning.pytorch import LightningDataModule

    class Data(LightningDataModule):
        def train_dataloader(self) -> Any:
            return loader(rows, batch_size=2)

    before = fisher.head.weight.detach().clone()
    train(module, Data())
    assert fisher.calls == ["setup", "prepare 16"]
    assert not torch.equal(fisher.head.weight, before)
    assert {"extras.reg-fisher.weight", "extras.reg-fisher.bias"} < set(module.trained_names)


@pytest.fixture(scope="module")
def by_two(base: str, tmp_path_factory: pytest.TempPathFactory, call_apart: Callable[..., Any]) -> Path:
    """A folder with what two processes wrote."""
    directory = tmp_path_factory.mktemp("two")
    call_apart(run_by_two, base, directory)
    return directory


def run_by_two(base: str, place: str) -> None:
    """One of two processes."""
    run_rank(base, 2, Path(place) / "two.json")
    poison_rank(base, Path(place) / "rank")


@pytest.mark.slow
def test_a_loss_that_is_no_number_on_one_rank_stops_all_with_that_ranks_rows(by_two: Path) -> None:
    first, second = (json.loads((by_two / f"rank-{rank}.json").read_text()) for rank in (0, 1))
    assert first["message"] == second["message"]
    assert first["rows"] == []
    assert len(second["rows"]) == 2
    named = ", ".join(f"{name} (notes.jsonl:{int(name[-1]) + 1})" for name in second["rows"])
    assert first["message"].startswith(f"loss is nan at step 1 on rows {named}\n")


def poison_rank(base: str, out: Path) -> None:
    """Losses of the second process are NaN."""
    poisoned: list[str] = []

    class Poisoned(CrossEntropy):
        def loss(self, forward: Forward) -> Term:
            term = super().loss(forward)
            if torch.distributed.get_rank() == 0 or not torch.is_grad_enabled():
                return term
            poisoned.extend(example.id for example in forward.batch.examples)
            return Term(term.sum * math.nan, "token")

    module = specialist(base, objective=Poisoned())
    try:
        train(module, two_rank_data(2), devices=2, strategy="ddp", accumulate_grad_batches=2)
    except RecipeError as error:
        content = {"message": str(error), "rows": poisoned}
        Path(f"{out}-{module.global_rank}.json").write_text(json.dumps(content))


@pytest.mark.slow
def test_trap_02_two_processes_step_like_one(base: str, by_two: Path, tmp_path: Path) -> None:
    two = json.loads((by_two / "two.json").read_text())
    run_rank(base, 1, tmp_path / "one.json")
    one = json.loads((tmp_path / "one.json").read_text())
    assert one["loss"] == pytest.approx(two["loss"], rel=1e-5)
    assert one["anchor"] == pytest.approx(two["anchor"], rel=1e-5)
    assert one["lr"] == two["lr"]
    assert one["validation"] == pytest.approx(two["validation"], rel=1e-6)
    assert torch.tensor(two["weights"]) == pytest.approx(torch.tensor(one["weights"]), rel=1e-4, abs=1e-6)


def two_rank_data(world: int) -> Any:
    """The same rows and windows for any number of processes."""
    from lightning.pytorch import LightningDataModule

    rows = [row(i, n) for i, n in enumerate(SUPERVISED)]

    class Data(LightningDataModule):
        def _loader(self, size: int, accumulate: int, training: bool) -> PlanLoader:
            units: dict[Any, list[int]] = {u: [r.units[u] for r in rows] for u in ("token", "example")}
            plan = Plan(
                [r.length for r in rows],
                units if training else None,
                batch_size=size,
                accumulate=accumulate,
                world=world,
                shuffle=training,
            )
            return PlanLoader(rows, plan, self.trainer.global_rank)

        def train_dataloader(self) -> PlanLoader:
            return self._loader(2 // world, 2, training=True)

        def val_dataloader(self) -> PlanLoader:
            return self._loader(3, 1, training=False)

    return Data()


def run_rank(base: str, world: int, out: Path) -> None:
    """Two epochs, alone or as one of two processes."""
    kept = Gradients()
    schedule = Schedule("linear", warmup=1)
    module = specialist(base, regularizers={"anchor": Anchor("example")}, schedule=schedule)
    trainer = train(
        module,
        two_rank_data(world),
        kept,
        devices=world,
        strategy="ddp" if world > 1 else "auto",
        max_epochs=2,
        accumulate_grad_batches=2,
        gradient_clip_val=0.5,
    )
    if trainer.is_global_zero:
        weights = torch.cat([p.detach().flatten() for p in module.parameters()])
        content = {
            "loss": [values["loss"] for values in kept.logged if "loss" in values],
            "anchor": [values["reg/anchor"] for values in kept.logged if "loss" in values],
            "lr": [values["lr"] for values in kept.logged if "loss" in values],
            "validation": module.validation_loss,
            "weights": weights[::997].tolist(),
        }
        out.write_text(json.dumps(content))
