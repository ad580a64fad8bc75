"""Compiled layers give what the layers give, whatever the batch, and are compiled once."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tunesmith import RecipeError
from tunesmith.training import compiling
from tunesmith.training.compiling import Setting, choose, compile_layers, release, trial
from tunesmith.training.probe import documents_of
from tunesmith.training.specialist import Specialist
from tunesmith_plugins.adapters.lora import LoRA
from tunesmith_plugins.objectives.next_token import NextToken

CONFIG = ("--config", "tiny.yaml")
LONG = Setting(torch.device("cpu"), True, "ragged", False, False, False, 1e15)
LENGTHS = [(30,), (5, 7, 100), (61, 47), (2, 3), (60, 20, 1, 10, 10), (1, 4)]


@pytest.mark.parametrize(
    ("changes", "on", "why"),
    [
        ({}, True, "long enough"),
        ({"work": 1e9}, False, "not known to be long enough"),
        ({"bf16": False}, False, "gains little in fp32"),
        ({"layout": "padded"}, False, "never measured"),
        ({"quantised": True}, False, "never measured"),
        ({"recomputed": True}, False, "model.gradient_checkpointing"),
        ({"sharded": True}, False, "sharded"),
        ({"device": torch.device("cuda")}, False, ""),
    ],
)
def test_auto_compiles_where_it_was_measured_to_gain_and_pays_for_itself(
    changes: dict[str, Any], on: bool, why: str
) -> None:
    choice = choose("auto", LONG._replace(**changes))
    assert (choice.on, why in choice.why) == (on, True)
    assert not choose(False, LONG._replace(**changes)).on


def test_what_is_asked_for_is_compiled_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose(True, LONG._replace(work=1.0, bf16=False)).on
    with pytest.raises(RecipeError, match=r"model.compile is true, but weights are sharded"):
        choose(True, LONG._replace(sharded=True))
    monkeypatch.setattr(compiling.shutil, "which", lambda _: None)
    with pytest.raises(RecipeError, match=r"no C\+\+ compiler"):
        choose(True, LONG)
    assert "no C++ compiler" in choose("auto", LONG).why


def gradients(model: Specialist, lengths: tuple[int, ...]) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Loss and its gradients over documents of these lengths."""
    loss = model.objective.loss(model.passes(documents_of(lengths, model.network.config.vocab_size))).sum
    return loss.detach(), list(torch.autograd.grad(loss, [p for p in model.parameters() if p.requires_grad]))


@pytest.mark.slow
def test_compiled_layers_give_the_same_loss_and_gradients_for_any_batch_without_compiling_again(
    tiny_base: Path,
) -> None:
    model = Specialist(str(tiny_base), NextToken(), LoRA(rank=4), precision="fp32")
    model.load()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.05
    before = [gradients(model, lengths) for lengths in LENGTHS]
    state = torch.get_rng_state()
    layers = compile_layers(model.passes.model, lambda batch: trial(model, batch))
    try:
        assert len(layers) == model.network.config.num_hidden_layers - 1
        assert torch.equal(torch.get_rng_state(), state)
        assert all(parameter.grad is None for parameter in model.parameters())
        # were a batch not covered by the kernels, this would raise; a run would take it eagerly
        torch.compiler.set_stance("fail_on_recompile")
        for lengths, (loss, expected) in zip(LENGTHS, before, strict=True):
            found, got = gradients(model, lengths)
            torch.testing.assert_close(found, loss, rtol=1e-6, atol=0.0)
            apart = torch.nn.utils.get_total_norm([one - other for one, other in zip(got, expected, strict=True)])
            assert float(apart) <= 1e-5 * float(torch.nn.utils.get_total_norm(expected))
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
def test_a_compiled_run_says_so_and_resumes_bit_by_bit(bench: Any) -> None:
    schedule = {"name": "constant", "warmup": 0}  # else the shorter run has other rates
    bench.write(model={"compile": True, "schedule": schedule}, trainer={"val_check_interval": 2})
    bench.fit_whole_and_in_two_parts()
    assert all("layers compiled (asked for)" in " ".join(ran.out.split()) for ran in bench.sent)


def test_compile_is_refused_with_what_excludes_it(bench: Any) -> None:
    bench.write(model={"compile": True, "gradient_checkpointing": True})
    ran = bench.done("fit", *CONFIG, code=2)
    assert "model.compile is true, but activations are computed again" in ran.err
    assert not bench.runs()


def test_compile_fails_in_words_if_asked_for_and_is_left_out_if_not(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        msg = "the compiler broke\nand said much"
        raise RuntimeError(msg)

    monkeypatch.setattr(compiling, "compile_layers", broken)
    bench.write(model={"compile": True})
    ran = bench.done("fit", *CONFIG, code=2)
    assert "the layers cannot be compiled: the compiler broke; leave it to auto" in ran.err
    monkeypatch.setattr(compiling, "_WORTH", 0.0)
    bench.write(model={"compile": "auto", "precision": "bf16"})
    said = " ".join(bench.done("fit", *CONFIG).out.split())
    assert "layers are not compiled: the compiler broke" in said


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
