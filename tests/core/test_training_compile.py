"""Compiled layers give what the layers give, whatever the batch, and are compiled once."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from torch._dynamo import config as dynamo

from tunesmith import Encoded, Example, Forward, RecipeError, Term
from tunesmith.data.encoded_rows import EncodedRow
from tunesmith.data.loader import PlanLoader
from tunesmith.data.plan import Plan
from tunesmith.training import compiling
from tunesmith.training.compiling import Choice, Compiling, Setting, choose, compile_layers, release, trial
from tunesmith.training.probe import documents_of
from tunesmith.training.schedule import Schedule
from tunesmith.training.specialist import Specialist
from tunesmith_plugins.adapters.lora import LoRA
from tunesmith_plugins.objectives.next_token import NextToken
from tunesmith_plugins.regularizers.kl_to_base import KLToBase

CONFIG = ("--config", "tiny.yaml")
# One layer before attention and one behind it: each is traced by itself, which takes seconds.
TARGETS = ["q_proj", "down_proj"]
HERE = Setting(torch.device("cpu"), recomputed=False, sharded=False)
LENGTHS = [(30,), (5, 7, 100), (61, 47), (2, 3), (60, 20, 1, 10, 10), (1, 4)]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, "gains nothing on a CPU"),
        ({"recomputed": True}, "model.gradient_checkpointing"),
        ({"sharded": True}, "sharded"),
        ({"device": torch.device("mps")}, "never measured"),
    ],
)
def test_auto_compiles_nothing_that_was_not_measured_to_gain(changes: dict[str, Any], why: str) -> None:
    choice = choose("auto", HERE._replace(**changes))
    assert (choice.on, why in choice.why) == (False, True)
    assert choose(False, HERE._replace(**changes)) == (False, "asked for")


def test_what_is_asked_for_is_compiled_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose(True, HERE) == (True, "asked for")
    with pytest.raises(RecipeError, match=r"model.compile is true, but weights are sharded"):
        choose(True, HERE._replace(sharded=True))
    monkeypatch.setattr(compiling.shutil, "which", lambda _: None)
    with pytest.raises(RecipeError, match=r"no C\+\+ compiler"):
        choose(True, HERE)
    assert "no C++ compiler" in choose("auto", HERE).why


class Strict(Callback):
    """Raises where a batch is not covered by the kernels; a run would take it eagerly."""

    def on_train_batch_start(self, *_: Any) -> None:
        torch.compiler.set_stance("fail_on_recompile")


class Anchor(KLToBase):
    """Its pass of the base is not covered."""

    def penalty(self, forward: Forward) -> Term:
        with torch.compiler.set_stance("eager_on_recompile"):
            return super().penalty(forward)


Found = tuple[torch.Tensor, list[torch.Tensor]]


def make(base: Path | str, precision: Any = "fp32") -> Specialist:
    """With an adapter that does something."""
    model = Specialist(
        str(base),
        NextToken(),
        LoRA(rank=4, targets=TARGETS),
        {"anchor": Anchor(0.5)},
        optimizer=lambda groups: torch.optim.SGD(groups, lr=0.3),
        schedule=Schedule("constant", warmup=0),
        precision=precision,
    )
    model.load()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.05
    return model


def gradients(model: Specialist, lengths: tuple[int, ...], anchored: bool = False) -> Found:
    """Loss and its gradients over documents of these lengths; with the regularizer, which runs the base too."""
    forward = model.passes(documents_of(lengths, model.network.config.vocab_size))
    terms = model.terms(forward).values() if anchored else [model.objective.loss(forward)]
    loss = torch.stack([term.sum for term in terms]).sum()
    return loss.detach(), list(torch.autograd.grad(loss, [p for p in model.parameters() if p.requires_grad]))


def apart(found: Found, expected: Found) -> float:
    """Norm of the gradients' difference over their norm."""
    difference = [one - other for one, other in zip(found[1], expected[1], strict=True)]
    return float(torch.nn.utils.get_total_norm(difference) / torch.nn.utils.get_total_norm(expected[1]))


@pytest.mark.slow
def test_compiled_layers_give_the_same_loss_and_gradients_for_any_batch_without_compiling_again(
    tiny_base: Path,
) -> None:
    model, exact = make(tiny_base, "bf16"), make(tiny_base)
    with torch.no_grad():  # the weights that are held in bf16, computed with in fp32
        for own, rounded in zip(exact.parameters(), model.parameters(), strict=True):
            own.copy_(rounded)
    cases = [(lengths, anchored) for anchored in (False, True) for lengths in LENGTHS]
    before = [gradients(model, *case) for case in cases]
    state = torch.get_rng_state()
    with dynamo.patch(recompile_limit=1):  # each layer is one more; what is beyond torch's limit would stay as it is
        layers = compile_layers(model.passes.model, lambda batch: trial(model, batch))
    try:
        assert len(layers) == model.network.config.num_hidden_layers - 1
        assert torch.equal(torch.get_rng_state(), state)
        assert all(parameter.grad is None for parameter in model.parameters())
        for case, expected in zip(cases, before, strict=True):
            # were a batch not covered by the kernels, this would raise; a run would take it eagerly
            torch.compiler.set_stance("fail_on_recompile")
            found = gradients(model, *case)
            ideal = gradients(exact, *case)
            torch.testing.assert_close(found[0], ideal[0], rtol=1e-4, atol=0.0)
            # rounded at other places, and not more; in fp32 they are compared where two processes train
            assert 1e-4 < apart(expected, ideal) < 0.02
            assert apart(found, ideal) < 1.5 * apart(expected, ideal)
        torch.compiler.set_stance("eager_on_recompile")
        with torch.no_grad():  # a validation is not covered, and runs as it always did
            batch = documents_of(LENGTHS[1], model.network.config.vocab_size)
            torch.testing.assert_close(model.objective.loss(model.passes(batch)).sum, before[1][0])
    finally:
        release(layers)
    assert all(layer._compiled_call_impl is None for layer in layers)
    with torch.compiler.set_stance("fail_on_recompile"):
        assert torch.equal(gradients(model, LENGTHS[0])[0], before[0][0])


@pytest.mark.slow
def test_a_compiled_run_in_bf16_says_so_and_resumes_bit_by_bit(bench: Any) -> None:
    bench.write(
        model={
            "compile": True,
            "precision": "bf16",
            "adapter": {"class_path": "LoRA", "init_args": {"targets": TARGETS}},
            "regularizers": {"anchor": {"class_path": "KLToBase", "init_args": {"weight": 0.1}}},
            "schedule": {"name": "constant", "warmup": 0},
        },
        trainer={"val_check_interval": 2},
    )
    bench.fit_whole_and_in_two_parts()
    said = "; ours, for CPUs: attention's derivative; layers compiled (asked for)"
    assert all(said in " ".join(ran.out.split()) for ran in bench.sent)


def train(base: Path | str, world: int, *callbacks: Callback) -> dict[str, Any]:
    """Four steps of eight rows, the last of them of four."""
    model = make(base)
    generator = torch.Generator().manual_seed(1)
    drawn = [torch.randint(10, 4000, (2 + index * 37 % 101,), generator=generator).tolist() for index in range(28)]
    rows = [
        EncodedRow(Example(id=str(index)), (Encoded(tuple(ids), (0.0, *(1.0 for _ in ids[1:]))),))
        for index, ids in enumerate(drawn)
    ]
    units: dict[Any, list[int]] = {unit: [row.units[unit] for row in rows] for unit in ("token", "example")}
    plan = Plan([row.length for row in rows], units, batch_size=4 // world, accumulate=2, world=world, seed=1)
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        devices=world,
        strategy="ddp" if world > 1 else "auto",
        accumulate_grad_batches=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=list(callbacks),
    )
    trainer.fit(model, PlanLoader(rows, plan, int(os.environ.get("LOCAL_RANK", "0"))))
    assert trainer.global_step == 4
    return {"loss": float(trainer.callback_metrics["loss"]), "weights": model.state_dict()}


def train_by_two(base: str, place: str) -> None:
    """One of two processes, each with kernels."""
    compiling = Compiling(Choice(True, "asked for"))
    found = train(base, 2, compiling, Strict())
    torch.save(found, Path(place) / f"rank-{os.environ.get('LOCAL_RANK', '0')}.pt")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*does not have many workers.*", "ignore:.*have no `val_dataloader`.*")
@pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning", "ignore:.*smaller than the logging interval.*")
@pytest.mark.filterwarnings("ignore:.*GPU available but not used.*")
def test_trap_02_two_processes_with_compiled_layers_train_what_one_does_without(
    tiny_base: Path, tmp_path: Path, call_apart: Any
) -> None:
    call_apart(train_by_two, tiny_base, tmp_path)
    one, start = train(tiny_base, 1), make(tiny_base).state_dict()
    for two in (torch.load(tmp_path / f"rank-{rank}.pt", weights_only=True) for rank in (0, 1)):
        assert two["loss"] == pytest.approx(one["loss"], rel=1e-5)
        moved = [[run["weights"][name] - weight for name, weight in start.items()] for run in (two, one)]
        assert apart((start, moved[0]), (start, moved[1])) < 1e-5


def test_compile_is_refused_with_what_excludes_it(bench: Any) -> None:
    bench.write(model={"compile": True, "gradient_checkpointing": True})
    ran = bench.done("fit", *CONFIG, code=2)
    assert "model.compile is true, but activations are computed again" in ran.err
    assert not bench.runs()


def test_compile_fails_in_words(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        msg = "the compiler broke\nand said much"
        raise RuntimeError(msg)

    monkeypatch.setattr(compiling, "compile_layers", broken)
    bench.write(model={"compile": True})
    ran = bench.done("fit", *CONFIG, code=2)
    assert "the layers cannot be compiled: the compiler broke; leave it to auto" in ran.err


@pytest.mark.parametrize("share", ["selective", True])
def test_activations_are_computed_again_in_every_second_layer_or_all(tiny_base: Path, share: Any) -> None:
    plain = Specialist(str(tiny_base), NextToken(), LoRA(rank=4))
    again = Specialist(str(tiny_base), NextToken(), LoRA(rank=4), gradient_checkpointing=share)
    kept = {}
    for model in (plain, again):
        torch.manual_seed(0)
        model.load()
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, s=sizes: (s.append(t.nbytes), t)[1], lambda t: t):
            model.passes(documents_of((40, 30), 4096))
        kept[model] = sum(sizes)
    layers = [layer.gradient_checkpointing for layer in again.passes.model.base_model.layers]
    assert layers == ([True, False] if share == "selective" else [True, True])
    assert kept[again] < (0.75 if share == "selective" else 0.4) * kept[plain]
    for one, other in zip(gradients(plain, (40, 30))[1], gradients(again, (40, 30))[1], strict=True):
        assert torch.equal(one, other)
