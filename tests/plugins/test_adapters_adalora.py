"""AdaLoRA: peft's own training loop, step by step; ranks, their term in the loss, what a checkpoint holds of them."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from peft import AdaLoraConfig, PeftModel, get_peft_model
from torch import Tensor

from tunesmith import RecipeError
from tunesmith.testing import models
from tunesmith.testing.base import quiet
from tunesmith.testing.trained import rows_of
from tunesmith_plugins.adapters.adalora import AdaLoRA

IDS = torch.arange(5, 25)[None]
STEPS = 10


def llama() -> Any:
    torch.manual_seed(0)
    sizes = {"vocab_size": 64, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes, num_attention_heads=2))


def entries(network: Any) -> list[Tensor]:
    return [p for name, p in network.named_parameters() if ".lora_E." in name]


def left(network: Any) -> int:
    """Ranks that are not taken."""
    return sum(int(entry.count_nonzero()) for entry in entries(network))


def ours(adapter: AdaLoRA, network: Any, loss: Any) -> Tensor:
    term = adapter.penalty(network)
    assert term is not None
    assert term.unit == "step"
    total: Tensor = loss + term.sum
    return total


@pytest.mark.filterwarnings("ignore:Unable to fetch remote file")
def test_weights_go_as_in_pefts_own_loop_and_ranks_are_taken_by_its_schedule(tmp_path: Path) -> None:
    adapter = AdaLoRA(
        rank=2, start_rank=4, alpha=8, warmup=0.2, final=0.3, interval=2, orthogonality=0.4, smoothing=0.8
    )
    torch.manual_seed(1)
    one: Any = adapter.attach(llama())
    adapter.start(one, STEPS)
    torch.manual_seed(1)
    config = AdaLoraConfig(
        init_r=4, target_r=2, lora_alpha=8, tinit=2, tfinal=3, deltaT=2, beta1=0.8, beta2=0.8, orth_reg_weight=0.4,
        total_step=STEPS, target_modules="all-linear", task_type="CAUSAL_LM",
    )  # fmt: skip
    with quiet():
        two: Any = get_peft_model(llama(), config)
    optimizers = [torch.optim.Adam([p for p in n.parameters() if p.requires_grad], lr=0.05) for n in (one, two)]
    counts = []
    for step in range(1, STEPS + 1):
        plain = one.get_base_model()(input_ids=IDS, labels=IDS).loss
        loss = ours(adapter, one, plain)
        theirs = two(input_ids=IDS, labels=IDS).loss
        torch.testing.assert_close(loss, theirs, rtol=1e-6, atol=0)
        assert loss > plain
        for total, optimizer in zip((loss, theirs), optimizers, strict=True):
            total.backward()
            optimizer.step()
        adapter.after_step(one, step)
        two.base_model.update_and_allocate(step)
        for optimizer in optimizers:
            optimizer.zero_grad()
        counts.append(left(one))
        assert left(two) == counts[-1]
    state = dict(two.named_parameters())
    assert all(torch.equal(p, state[name]) for name, p in one.named_parameters())
    matrices = 2 * 7
    assert counts[:3] == [4 * matrices] * 3
    assert counts[-1] == counts[6] == 2 * matrices
    assert 2 * matrices < counts[3] < 4 * matrices
    # peft cuts what was taken off in its file; ours keeps the widths, and loads anywhere
    expected = one.eval()(input_ids=IDS).logits
    adapter.save(one, tmp_path)
    assert one.peft_config["default"].rank_pattern is not None
    torch.testing.assert_close(PeftModel.from_pretrained(llama(), tmp_path).eval()(input_ids=IDS).logits, expected)
    again: Any = adapter.attach(llama())
    adapter.load(again, tmp_path)
    assert torch.equal(again.eval()(input_ids=IDS).logits, expected)


def train(adapter: AdaLoRA, network: Any, optimizer: Any, first: int, last: int) -> None:
    for step in range(first, last + 1):
        ours(adapter, network, network.get_base_model()(input_ids=IDS, labels=IDS).loss).backward()
        optimizer.step()
        adapter.after_step(network, step)
        optimizer.zero_grad()


@pytest.mark.parametrize("at", [1, 4, 7, 9])
def test_trap_28_what_is_kept_makes_a_resumed_run_the_whole_one(at: int) -> None:
    adapter = AdaLoRA(rank=2, start_rank=4, warmup=0.2, final=0.3)

    def begin() -> tuple[Any, Any]:
        torch.manual_seed(1)
        network: Any = adapter.attach(llama())
        adapter.start(network, STEPS)
        return network, torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=0.05)

    whole, optimizer = begin()
    train(adapter, whole, optimizer, 1, at)
    weights = {name: p.detach().clone() for name, p in whole.named_parameters()}
    kept = {name: tensor.clone() for name, tensor in adapter.kept(whole).items()}
    state = deepcopy(optimizer.state_dict())
    names = list(kept)
    train(adapter, whole, optimizer, at + 1, STEPS)
    assert list(adapter.kept(whole)) == names
    resumed, other = begin()
    with torch.no_grad():
        for name, parameter in resumed.named_parameters():
            parameter.copy_(weights[name])
        for name, tensor in adapter.kept(resumed).items():
            tensor.copy_(kept[name])
    adapter.start(resumed, STEPS)
    other.load_state_dict(state)
    train(adapter, resumed, other, at + 1, STEPS)
    expected = dict(whole.named_parameters())
    assert all(torch.equal(p, expected[name]) for name, p in resumed.named_parameters())
    assert left(whole) == 2 * 14


def test_its_term_is_logged_beside_the_regularizers_and_importance_is_in_checkpoints() -> None:
    adapter = AdaLoRA(rank=2, start_rank=4, orthogonality=0.25)
    module = models.specialist(adapter)
    assert "reg/adapter" in module.term_names()
    rows = rows_of(module)
    terms = module.terms(module.passes(models.batch_of(module, rows)))
    sides = [p for n, p in module.network.named_parameters() if ".lora_A." in n or ".lora_B." in n]
    grams = [p @ p.T if p.shape[0] == 4 else p.T @ p for p in sides]
    expected = 0.25 * torch.stack([(g - torch.eye(4)).pow(2).sum().sqrt() for g in grams]).mean()
    torch.testing.assert_close(terms["reg/adapter"].sum, expected)
    assert terms["reg/adapter"].unit == "step"
    models.train(module, rows, steps=3)
    state = module.state_dict()
    assert {name.partition(".")[0] for name in state} == {"network", "adapter"}
    importance = [tensor for name, tensor in state.items() if name.startswith("adapter.exp_avg_ipt")]
    assert len(importance) == 3 * 2 * 7
    assert sum(name.startswith("adapter.tunesmith_left") for name in state) == 2 * 7
    fresh = models.specialist(adapter, seed=2)
    fresh.restore_trained(state)
    assert all(torch.equal(tensor, fresh.state_dict()[name]) for name, tensor in state.items())
    plain = models.specialist(models.AllWeights())
    assert "reg/adapter" not in plain.term_names()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 0}, "rank is 0; it must be 1 or more"),
        ({"rank": 8, "start_rank": 8}, "start_rank is 8, rank 8: there is nothing to take"),
        ({"warmup": 0.6, "final": 0.5}, "warmup 0.6 and final 0.5 leave no steps"),
        ({"final": 1.0}, "final is 1.0; it must be 0 or more and below 1"),
        ({"smoothing": 0.0}, "smoothing is 0.0; it must be above 0 and below 1"),
        ({"orthogonality": -1.0}, "orthogonality is -1.0; it must be 0 or more"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        AdaLoRA(**options).check()


def test_a_run_without_an_end_is_refused() -> None:
    adapter = AdaLoRA(rank=2, start_rank=4)
    with pytest.raises(RecipeError, match=r"shares ranks out over the run's steps; set trainer\.max_epochs"):
        adapter.start(adapter.attach(llama()), None)
