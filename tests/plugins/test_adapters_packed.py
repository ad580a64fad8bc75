"""QLoRA's further options on a packed base: 8 bit, what LoftQ makes up for, DoRA's rows in a merge."""

from pathlib import Path
from typing import Any

import pytest
import torch
from bitsandbytes.nn.modules import Linear8bitLt

from tunesmith import RecipeError
from tunesmith.testing import models
from tunesmith.testing.base import quiet, tiny_base
from tunesmith.testing.trained import plain_logits, rows_of
from tunesmith.training.base import load_base
from tunesmith.training.card import Card
from tunesmith.training.packed import packed_share
from tunesmith.training.probing import held_tensors
from tunesmith_plugins.adapters.qlora import QLoRA


def test_eight_bit_learns_what_it_answers_with_and_refuses_a_merge() -> None:
    adapter = QLoRA(rank=4, quantization="int8")
    module = models.specialist(adapter)
    layers = [layer for layer in module.network.modules() if isinstance(layer, Linear8bitLt)]
    assert len(layers) == 2 * 7
    assert module.layout == "ragged", module.layout_reason
    assert packed_share(module.network) == pytest.approx(2 * (4 * 64 * 64 + 3 * 64 * 128) / 606_528, abs=0.01)
    assert "base quantised to int8" in module.describe_precision()
    held = {tensor.data_ptr() for tensor in held_tensors(module)}
    assert all(
        {layer.weight.data_ptr(), layer.state.SCB.data_ptr()} <= held for layer in layers if layer.state.SCB is not None
    )
    rows = rows_of(module)
    assert models.train(module, rows) == {name for name, p in module.named_parameters() if p.requires_grad}
    batch = models.batch_of(module, rows)
    answering = models.logits(module, batch)
    module.train()
    with torch.no_grad():
        forward = module.passes(batch)
        learning = forward.head(forward.hidden).float()
    # bitsandbytes rounds inputs in evaluation alone, on a CPU: half a percent that the loss would not know of
    assert torch.equal(learning, answering)
    with pytest.raises(RecipeError, match="in 8 bit inputs are rounded too"):
        adapter.merge(module.network)


def test_in_eight_bit_no_token_changes_how_those_beside_it_are_rounded(tmp_path: Path) -> None:
    """LLM.int8() takes a feature out of the rounding of all tokens where one has it large, as real models' are."""
    module = models.specialist(QLoRA(rank=4, quantization="int8")).eval()
    layer = next(layer for layer in module.network.modules() if isinstance(layer, Linear8bitLt))
    tokens = torch.randn(4, layer.in_features, generator=torch.Generator().manual_seed(0))
    large = torch.zeros(1, layer.in_features)
    large[0, 3] = 50.0
    with torch.no_grad():
        assert torch.equal(layer(torch.cat([tokens, large]))[:4], layer(tokens))
    models.save(module, tmp_path)
    assert "llm_int8_threshold=0.0" in Card.of(module).loading()  # in a process without us, too


def test_in_plain_peft_eight_bit_answers_the_same_up_to_its_own_rounding(tmp_path: Path) -> None:
    module = models.specialist(QLoRA(rank=4, quantization="int8"))
    models.train(module, rows_of(module))
    batch = models.batch_of(module, rows_of(module))
    answers = models.logits(module, batch)
    models.save(module, tmp_path)
    scope: dict[str, Any] = {"directory": str(tmp_path)}
    with quiet():
        exec(f"import torch\n{Card.of(module).loading()}", scope)
        after = plain_logits(scope["model"].eval(), batch)
    # a sum in another order changes which of 255 steps an input is rounded to
    assert models.distance(after, answers) < 0.01
    assert models.distance(answers, models.logits(models.specialist(models.AllWeights()), batch)) > 0.1


def test_eight_bit_is_nearer_to_the_base_than_four() -> None:
    plain = models.specialist(models.AllWeights())
    batch = models.batch_of(plain, rows_of(plain))
    whole = models.logits(plain, batch)
    off = {
        kind: models.distance(models.logits(models.specialist(QLoRA(2, quantization=kind)), batch), whole)
        for kind in ("int8", "nf4")
    }
    assert 0 < off["int8"] < off["nf4"] / 4


def test_loftq_begins_with_the_best_of_its_rank_that_packing_lost() -> None:
    from bitsandbytes.functional import dequantize_4bit

    module: Any = models.specialist(QLoRA(rank=4, alpha=8, init="loftq"))
    base, _ = load_base(tiny_base())
    layer = module.network.base_model.model.model.layers[1].mlp.down_proj
    packed = dequantize_4bit(layer.base_layer.weight.data, layer.base_layer.weight.quant_state)
    lost = base.get_parameter("model.layers.1.mlp.down_proj.weight").detach() - packed
    update = layer.get_delta_weight("default").detach()
    sizes = torch.linalg.svdvals(lost.double())
    # Eckart and Young: no update of this rank leaves less
    torch.testing.assert_close((lost - update).double().norm(), sizes[4:].norm(), rtol=1e-4, atol=0)
    batch = models.batch_of(module, rows_of(module))
    plain = models.specialist(models.AllWeights())
    whole, begun = models.logits(plain, batch), models.logits(module, batch)
    with module.adapter.without(module.network):
        assert models.distance(begun, whole) < models.distance(models.logits(module, batch), whole)


def test_loftq_reads_the_base_where_it_lies(tmp_path: Path) -> None:
    module = models.specialist(QLoRA(rank=2, init="loftq"))
    models.train(module, rows_of(module))
    models.save(module, tmp_path)
    again = models.specialist(QLoRA(rank=2, init="loftq"), seed=2)
    models.load(again, tmp_path)
    batch = models.batch_of(module, rows_of(module))
    assert torch.equal(models.logits(again, batch), models.logits(module, batch))
