"""Virtual tokens: peft's forward of each document alone, in every layout, and in answers."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from peft import PeftModel
from safetensors.torch import load_file
from torch import Tensor

from tunesmith import Adapter, RecipeError
from tunesmith.data.collate import collate
from tunesmith.evaluation.decoding import decode
from tunesmith.evaluation.generation import Generation
from tunesmith.evaluation.scoring import mean_hidden
from tunesmith.testing import models
from tunesmith.testing.base import quiet, tiny_base
from tunesmith.testing.trained import rows_of
from tunesmith.training.attach import recompute
from tunesmith.training.attention import by_sdpa, plain_attention
from tunesmith.training.card import Card
from tunesmith.training.footprint import Size
from tunesmith.training.layouts import LAYOUTS
from tunesmith.training.probing import _stretched, _timeline, pass_footprint, size_of
from tunesmith.training.specialist import Specialist
from tunesmith_plugins.adapters.peft import Peft
from tunesmith_plugins.adapters.prefix_tuning import PrefixTuning
from tunesmith_plugins.adapters.prompt_tuning import PromptTuning

ADAPTERS: dict[str, Any] = {
    "prompt": lambda: PromptTuning(virtual_tokens=4),
    "text": lambda: PromptTuning(3, init="text", text="Answer in few words, and kindly."),
    "prefix": lambda: PrefixTuning(virtual_tokens=4),
    "projected": lambda: PrefixTuning(3, projection=True, projection_size=8),
    "p-tuning": lambda: Peft("P_TUNING", {"num_virtual_tokens": 3, "encoder_hidden_size": 8}),
}


def trained(adapter: Adapter) -> tuple[Specialist, Any]:
    module = models.specialist(adapter)
    rows = rows_of(module)
    models.train(module, rows)
    return module, models.batch_of(module, rows)


def of_peft(module: Specialist, folder: Path) -> Any:
    models.save(module, folder)
    base = transformers.AutoModelForCausalLM.from_pretrained(tiny_base())
    return PeftModel.from_pretrained(base, folder).eval()


@pytest.mark.parametrize("name", ADAPTERS)
def test_states_are_those_of_pefts_own_forward_of_each_document_alone(name: str, tmp_path: Path) -> None:
    adapter = ADAPTERS[name]()
    module, batch = trained(adapter)
    assert module.layout == ("padded" if name in ("prefix", "projected") else "ragged"), module.layout_reason
    plain = of_peft(module, tmp_path)
    with torch.no_grad(), quiet():
        each = [plain(input_ids=batch.input_ids[a:b][None]).logits[0] for a, b in pairwise(batch.cu_seqlens.tolist())]
    lengths = batch.cu_seqlens.diff().tolist()
    expected = torch.cat([logits[-length:] for logits, length in zip(each, lengths, strict=True)])
    torch.testing.assert_close(models.logits(module, batch), expected, rtol=1e-4, atol=1e-4)
    # the other layout too, which validation and comparisons take
    with torch.no_grad(), plain_attention(module.network):
        hidden = LAYOUTS["padded"](module.passes.model.base_model, batch).hidden
    torch.testing.assert_close(module.passes.head(hidden), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_batch_answers_as_its_rows_alone_and_as_the_whole_text_read_again(name: str) -> None:
    module, _ = trained(ADAPTERS[name]())
    network: Any = module.network.eval()
    prompts = [[3, 9, 40], [3, 7], [3, 250, 31, 8, 90, 12, 4]]
    options: Any = ([], Generation(max_new_tokens=5), [0] * 3)
    with torch.no_grad(), plain_attention(network):
        together = [answer.text for answer in decode(network, module.tokenizer, prompts, *options)]
        alone = [decode(network, module.tokenizer, [prompt], *options)[0].text for prompt in prompts]
        again = []
        for prompt in prompts:
            ids = list(prompt)
            for _ in range(5):
                ids.append(int(network(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
            again.append(module.tokenizer.decode(ids[len(prompt) :], skip_special_tokens=True))
        with module.adapter.without(network):
            base = [answer.text for answer in decode(network, module.tokenizer, prompts, *options)]
    assert together == alone == again
    plain = models.specialist(models.AllWeights())
    with torch.no_grad(), plain_attention(plain.network.eval()):
        assert base == [a.text for a in decode(plain.network, plain.tokenizer, prompts, *options)]
    assert base != together
    with plain_attention(network):
        one, several = (mean_hidden(network, rows, 8) for rows in (prompts[2:], prompts))
    torch.testing.assert_close(several[2:], one, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["prompt", "projected"])
def test_the_readmes_lines_generate_what_was_trained(name: str, tmp_path: Path) -> None:
    module, _ = trained(ADAPTERS[name]())
    models.save(module, tmp_path)
    scope: dict[str, Any] = {"directory": str(tmp_path)}
    prompt = [3, 9, 40, 17]
    with quiet(), torch.no_grad():
        exec(f"import torch\n{Card.of(module).loading()}", scope)
        ids = torch.tensor([prompt])
        said = (
            scope["model"]
            .eval()
            .generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=5, do_sample=False, eos_token_id=None
            )
        )
    network: Any = module.network.eval()
    with torch.no_grad(), plain_attention(network):
        ours = network.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=5, do_sample=False, eos_token_id=None
        )
    assert said.tolist() == ours.tolist()


def test_a_prompt_begins_with_the_embeddings_of_its_words(tmp_path: Path) -> None:
    module = models.specialist(PromptTuning(40, init="text", text="Answer in few words."))
    tokens = module.tokenizer("Answer in few words.")["input_ids"]
    assert len(tokens) < 40
    table = module.passes.model.get_input_embeddings().weight
    begun = module.network.prompt_encoder["default"].embedding.weight  # type: ignore[union-attr,index]
    assert torch.equal(begun, table[torch.tensor((tokens * 40)[:40])])
    models.save(module, tmp_path)
    saved = load_file(tmp_path / "adapter_model.safetensors")
    assert torch.equal(saved["prompt_embeddings"], begun)


def test_regularizers_change_the_texts_embeddings_and_not_the_virtual_ones() -> None:
    module, batch = trained(PromptTuning(virtual_tokens=4))
    seen: list[tuple[int, ...]] = []
    handle = module.passes.model.get_input_embeddings().register_forward_hook(
        lambda _, __, out: seen.append(tuple(out.shape[:2]))
    )
    module.passes(batch)
    handle.remove()
    assert seen == [(1, len(batch.input_ids))]


def test_virtual_tokens_count_in_estimates_and_take_room_from_texts() -> None:
    module = models.specialist(PromptTuning(virtual_tokens=16))
    rows = rows_of(module)
    lengths = [len(sequence.ids) for row in rows for sequence in row.sequences]
    assert size_of(rows, "ragged", 16) == Size(
        sum(lengths) + 16 * len(lengths),
        sum(s.supervised for row in rows for s in row.sequences),
        sum((16 + length) ** 2 for length in lengths),
    )
    base = models.specialist(models.AllWeights())
    room = [m.passes.model.config.max_position_embeddings for m in (base, module)]
    assert room[0] - room[1] == 16


@pytest.mark.parametrize(
    ("adapter", "over"), [(PromptTuning(16), 1.02), (PrefixTuning(16), 1.5)], ids=["PromptTuning", "PrefixTuning"]
)
def test_the_memory_of_many_short_documents_is_known_before(adapter: Any, over: float) -> None:
    module = models.specialist(adapter)
    row = rows_of(module)[0]
    documents = [_stretched(row, 20, 4)] * 8
    found = pass_footprint(module, row)
    with by_sdpa():
        counted = max(_timeline(module, collate(documents)))
    said = found.peak(size_of(documents, module.layout, 16))
    assert 0.98 * counted < said < over * counted
    assert found.peak(size_of(documents, module.layout)) < 0.9 * counted, "if virtual tokens did not count"


@pytest.mark.parametrize(
    ("adapter", "message"),
    [
        (PromptTuning(virtual_tokens=0), "virtual_tokens is 0; it must be 1 or more"),
        (PromptTuning(text="x"), "text is given, but init is vocabulary; set init to text"),
        (PromptTuning(init="text"), "text is missing, which init needs: text; give a text"),
        (PrefixTuning(projection=True, projection_size=0), "projection_size is 0; it must be 1 or more"),
        (Peft("P_TUNING"), "options.num_virtual_tokens is missing; give a number"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_options_that_cannot_be_are_refused(adapter: Adapter, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        adapter.check()


def llama(**options: Any) -> Any:
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(vocab_size=64, **sizes, **options))


def test_bases_that_cannot_have_virtual_tokens_are_refused() -> None:
    model = llama()
    recompute(model, True)
    with pytest.raises(RecipeError, match=r"a prefix is lost where activations are computed again"):
        PrefixTuning().attach(model)
    PromptTuning().attach(model)
    with pytest.raises(RecipeError, match="20 virtual tokens leave no room for text: the base reads 20"):
        PromptTuning(20).attach(llama(max_position_embeddings=20))
    long = {"rope_type": "longrope", "factor": 4.0, "short_factor": [1.0] * 4, "long_factor": [2.0] * 4}
    long |= {"rope_theta": 1e4, "original_max_position_embeddings": 64}
    with pytest.raises(RecipeError, match="turns long texts by other frequencies"):
        PromptTuning(4).attach(llama(rope_parameters=long, max_position_embeddings=256))
    with pytest.raises(RecipeError, match="virtual tokens stand before each text and are no weights"):
        PromptTuning().merge(llama())
    for adapter in (PromptTuning(), PrefixTuning(), Peft("p_tuning", {"num_virtual_tokens": 3})):
        assert adapter.merge_refusal().startswith("virtual tokens stand before each text"), "said before training"


def test_gradients_through_a_prompt_are_those_of_a_loop_over_documents() -> None:
    module, batch = trained(PromptTuning(virtual_tokens=4))
    table: Any = module.network.prompt_encoder["default"].embedding.weight  # type: ignore[union-attr,index]
    module.objective.loss(module.passes(batch)).sum.backward()
    together = table.grad.clone()
    table.grad = None
    network: Any = module.network
    embed = module.passes.model.get_input_embeddings()
    with plain_attention(network), module.adapter.without(network):
        for start, end in pairwise(batch.cu_seqlens.tolist()):
            ids = batch.input_ids[start:end]
            whole = torch.cat([table, embed(ids)])[None]
            logits: Tensor = network(inputs_embeds=whole, use_cache=False).logits[0, 4:]
            losses = torch.nn.functional.cross_entropy(logits[:-1], ids[1:], reduction="none")
            (losses @ batch.loss_weights[start + 1 : end]).backward()
    torch.testing.assert_close(together, table.grad, rtol=1e-4, atol=1e-5)
