"""MaskedToken: what is masked and how often, and the loss by transformers' own forward, of encoders and decoders."""

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from transformers import BertTokenizer

from tunesmith import Encoded, Example, Message, RecipeError, RowError, Segment
from tunesmith.data.collate import collate
from tunesmith.data.drawing import Drawing, drawing
from tunesmith.data.encode import encode_split
from tunesmith.training.attention import plain_attention
from tunesmith_plugins.adapters.full import Full
from tunesmith_plugins.adapters.lora import LoRA
from tunesmith_plugins.objectives.domain_text import DomainText
from tunesmith_plugins.objectives.masked_token import MaskedToken

TEXT = "The lamp in the hall is hot, and nobody knows why it is on. "
ROWS = [
    Example(segments=(Segment(TEXT * 2),), id="long"),
    Example(segments=(Segment("Ask the miller. ", 0.0), Segment("The pump is off.", 2.0)), id="weighted"),
    Example(segments=(Segment("Off."),), id="short"),
]
DECODER = {"mask_token": "_", "overlap": 8}


@pytest.fixture(scope="module")
def base(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.write_base(tmp_path_factory.mktemp("base")))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random BERT that knows some words whole and others in pieces."""
    directory = tmp_path_factory.mktemp("bert")
    words = "the la ##mp in hall is hot , and no ##body knows why it on . ask mill ##er pu ##mp off"
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(words.split())]
    (directory / "vocab.txt").write_text("\n".join(names))
    BertTokenizer(str(directory / "vocab.txt")).save_pretrained(directory)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(names),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        initializer_range=0.3,
        max_position_embeddings=64,
    )
    transformers.BertForMaskedLM(config).save_pretrained(directory)
    return str(directory)


def drawn(module: Any, examples: list[Example] = ROWS, epoch: int = 0, tokens: int | None = None) -> Any:
    """A micro-batch with its masks."""
    renderer = module.renderer
    marks = {"bos": renderer.bos_id, "closing": renderer.closing_id}
    rows = list(encode_split(examples, module.objective, renderer, tokens, **marks).rows)
    return rows, collate(rows, draw=drawing(module.objective, renderer, 1), epoch=epoch)


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
@pytest.mark.parametrize("adapter", [LoRA(rank=4), Full()], ids=["lora", "full"])
def test_loss_and_gradient_are_those_of_transformers_own_forward(
    tiny: Any, base: str, encoder: str, kind: str, adapter: Any
) -> None:
    objective = MaskedToken(share=0.4) if kind == "encoder" else MaskedToken(share=0.4, **DECODER)  # type: ignore[arg-type]
    module = tiny.moved(encoder if kind == "encoder" else base, objective, adapter)
    assert module.layout == "ragged"
    _, batch = drawn(module)
    model = module.passes.model
    assert type(model).__name__ == ("BertForMaskedLM" if kind == "encoder" else "MistralForCausalLM")
    assert batch.targets is not None
    assert not torch.equal(batch.targets, batch.input_ids)
    expected = torch.zeros(())
    right = 0
    for start, end in pairwise(batch.cu_seqlens.tolist()):
        ids, weights = batch.input_ids[start:end], batch.loss_weights[start:end]
        with plain_attention(module.network):
            if kind == "encoder":
                table = model(input_ids=ids[None]).logits[0]
                places = weights.nonzero()[:, 0]
            else:  # every token sees all others, and each is said by the state before it
                everything = torch.zeros(1, 1, len(ids), len(ids))
                table = model(input_ids=ids[None], attention_mask=everything).logits[0]
                places = weights.nonzero()[:, 0] - 1
        targets = batch.targets[start:end][weights != 0]
        losses = torch.nn.functional.cross_entropy(table[places], targets, reduction="none")
        expected = expected + losses @ weights[weights != 0]
        right += int((table[places].argmax(-1) == targets).sum())
    wanted = tiny.gradients(module, expected)
    for passes in (module.passes, tiny.in_small_chunks(module)):
        term = objective.loss(passes(batch))
        assert term.unit == "token"
        torch.testing.assert_close(term.sum, expected, rtol=1e-4, atol=1e-4)
        assert float(term.logged["accuracy"]) == right
        for got, want in zip(tiny.gradients(module, term.sum), wanted, strict=True):
            torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-4)


def test_a_decoder_sees_what_is_behind_in_training_alone(tiny: Any, base: str) -> None:
    module = tiny.moved(base, MaskedToken(**DECODER), Full())  # type: ignore[arg-type]
    _, batch = drawn(module)
    end = int(batch.cu_seqlens[1])
    hidden = module.passes(batch).hidden
    other = batch.input_ids.clone()
    other[end - 1] += 1
    changed = (module.passes(tiny.with_ids(batch, other)).hidden - hidden).abs().amax(-1) > 0
    assert bool(changed[:end].all())
    assert not bool(changed[end:].any())
    model = module.passes.model
    assert getattr(model.config, "is_causal", True)
    ids = batch.input_ids[None, :end]
    with plain_attention(module.network):  # as `test` runs it
        assert torch.equal(model(input_ids=ids).logits[0, 0], model(input_ids=other[None, :end]).logits[0, 0])


def test_recomputed_activations_are_those_of_both_sides(tiny: Any, base: str) -> None:
    found = []
    for again in (False, True):
        module = tiny.moved(base, MaskedToken(**DECODER), Full(), gradient_checkpointing=again)  # type: ignore[arg-type]
        module.train()
        _, batch = drawn(module)
        found.append(tiny.gradients(module, module.objective.loss(module.passes(batch)).sum))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_other_tokens_are_masked_in_each_epoch_as_many_every_time_and_alike_however_rows_are_batched(
    tiny: Any, base: str
) -> None:
    module = tiny.moved(base, MaskedToken(share=0.3, **DECODER), LoRA(rank=4))  # type: ignore[arg-type]
    rows, first = drawn(module)
    _, again = drawn(module)
    _, later = drawn(module, epoch=1)
    assert torch.equal(first.input_ids, again.input_ids)
    assert torch.equal(first.loss_weights, again.loss_weights)
    assert not torch.equal(first.loss_weights, later.loss_weights)
    for batch in (first, later):
        counted = [int(batch.loss_weights[a:b].count_nonzero()) for a, b in pairwise(batch.cu_seqlens.tolist())]
        assert counted == [row.units["token"] for row in rows]
    for row in rows:
        weights = row.sequences[0].weights
        assert row.units["token"] == max(1, round(0.3 * sum(w != 0 for w in weights)))
    draw = Drawing(module.objective, module.renderer, 1)
    alone = [draw(row, 0).sequences[0] for row in reversed(rows)]
    ids = torch.tensor([token for sequence in reversed(alone) for token in sequence.ids])
    assert torch.equal(ids, first.input_ids)
    other = Drawing(module.objective, module.renderer, 2)(rows[0], 0).sequences[0]
    assert other.weights != alone[-1].weights


def test_special_tokens_and_what_weighs_nothing_are_never_masked(tiny: Any, encoder: str) -> None:
    module = tiny.moved(encoder, MaskedToken(share=0.9), LoRA(rank=4))
    seen: Counter[str] = Counter()
    for epoch in range(20):
        rows, batch = drawn(module, ROWS[1:2], epoch)
        tokens = module.tokenizer.convert_ids_to_tokens(rows[0].sequences[0].ids)
        seen.update(token for token, w in zip(tokens, batch.loss_weights.tolist(), strict=True) if w)
        assert set(batch.loss_weights.tolist()) == {0.0, 2.0}
    assert tokens == ["[CLS]", "ask", "the", "mill", "##er", ".", "the", "pu", "##mp", "is", "off", ".", "[SEP]"]
    assert set(seen) == {"the", "pu", "##mp", "is", "off", "."}


def test_of_masked_tokens_the_shares_are_replaced_and_kept(tiny: Any, base: str) -> None:
    module = tiny.moved(base, MaskedToken(share=0.5, random=0.2, kept=0.3, **DECODER), LoRA(rank=4))  # type: ignore[arg-type]
    mask = module.tokenizer.convert_tokens_to_ids("_")
    kinds: Counter[str] = Counter()
    for epoch in range(300):
        _, batch = drawn(module, ROWS[:1], epoch)
        at = batch.loss_weights != 0
        now, then = batch.input_ids[at], batch.targets[at]
        kinds["kept"] += int((now == then).sum())
        kinds["masked"] += int((now == mask).sum())
        kinds["all"] += int(at.sum())
        assert torch.equal(batch.input_ids[~at], batch.targets[~at])
    spread = 4 * np.sqrt(0.25 / kinds["all"])
    assert abs(kinds["kept"] / kinds["all"] - 0.3) < spread
    assert abs(kinds["masked"] / kinds["all"] - 0.5) < spread


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_words_are_masked_whole_but_for_the_last_that_fits(tiny: Any, base: str, encoder: str, kind: str) -> None:
    options: Any = {"share": 0.5, "random": 0.0, "kept": 0.0, "whole_words": True}
    objective = MaskedToken(**options) if kind == "encoder" else MaskedToken(**options, **DECODER)
    module = tiny.moved(encoder if kind == "encoder" else base, objective, LoRA(rank=4))
    rows, _ = drawn(module, ROWS[:1])
    tokens = module.tokenizer.convert_ids_to_tokens(rows[0].sequences[0].ids)
    begins = [not t.startswith("##") if kind == "encoder" else t.startswith(("\u0120", "\u2581")) for t in tokens]
    words: list[list[int]] = []
    for at, weight in enumerate(rows[0].sequences[0].weights):
        if weight and (begins[at] or not words or words[-1][-1] != at - 1):
            words.append([at])
        elif weight:
            words[-1].append(at)
    assert any(len(word) > 1 for word in words)
    cut = 0
    for epoch in range(50):
        _, batch = drawn(module, ROWS[:1], epoch)
        masked = set(batch.loss_weights.nonzero()[:, 0].tolist())
        assert len(masked) == rows[0].units["token"]
        parts = [len(masked.intersection(word)) / len(word) for word in words]
        cut += sum(0 < part < 1 for part in parts)
        assert sum(0 < part < 1 for part in parts) <= 1
        assert set(parts) >= {0, 1}
    assert cut < 50


def test_long_texts_of_an_encoder_become_pieces_with_their_marks(tiny: Any, encoder: str) -> None:
    module = tiny.moved(encoder, MaskedToken(overlap=4), LoRA(rank=4))
    rows, _ = drawn(module, [Example(segments=(Segment(TEXT * 6),), id="a")], tokens=32)
    assert len(rows) > 3
    tokens = module.tokenizer.convert_ids_to_tokens
    learnt = []
    for row in rows:
        (sequence,) = row.sequences
        named = tokens(sequence.ids)
        assert (named[0], named[-1]) == ("[CLS]", "[SEP]")
        assert len(named) <= 32
        learnt += [token for token, weight in zip(sequence.ids, sequence.weights, strict=True) if weight]
    (whole,) = module.objective.encode(Example(segments=(Segment(TEXT * 6),)), module.renderer)
    assert learnt == list(whole.ids[1:-1])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"share": 0.0}, "share is 0.0; it must be above 0 and below 1"),
        ({"random": 0.6, "kept": 0.5}, "random is 0.6 and kept is 0.5; they are shares, of 1 at most together"),
        ({"overlap": -1}, "overlap is -1; it must be 0 or more"),
    ],
)
def test_options_that_cannot_be_are_refused(options: Any, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        MaskedToken(**options).check()


def test_a_base_without_a_mask_or_with_another_token_is_refused_with_what_to_do(tiny: Any, base: str) -> None:
    for options, said in (
        ({}, "mask_token is not set, and the base's tokenizer has none of its own; name one, such as _"),
        ({"mask_token": "[MASK]"}, r"mask_token is \[MASK\], which is no single token of the base"),
    ):
        module = tiny.moved(base, MaskedToken(**options), LoRA(rank=4))  # type: ignore[arg-type]
        with pytest.raises(RecipeError, match=said):
            module.objective.encode(ROWS[0], module.renderer)


def test_conversations_are_set_aside_and_an_overlap_without_room_is_refused(tiny: Any, base: str) -> None:
    module = tiny.moved(base, MaskedToken(**DECODER), LoRA(rank=4))  # type: ignore[arg-type]
    with pytest.raises(RowError, match="no text without turns"):
        module.objective.encode(Example(messages=(Message("user", "a"),)), module.renderer)
    with pytest.raises(RecipeError, match="overlap is 8, but a piece has 12 tokens"):
        drawn(module, ROWS[:1], tokens=12)


def test_an_objective_that_draws_another_number_is_refused_and_one_that_draws_nothing_costs_nothing(
    tiny: Any, base: str
) -> None:
    class OneMore(MaskedToken):
        def draw(self, sequence: Encoded, renderer: Any, random: Any) -> Encoded:
            return Encoded(sequence.ids, sequence.weights)

    module = tiny.moved(base, OneMore(**DECODER), LoRA(rank=4))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"OneMore draws .* tokens to learn of row long, not "):
        drawn(module)
    assert drawing(DomainText(), module.renderer, 1) is None


def test_what_is_saved_is_loaded_by_plain_transformers(tiny: Any, base: str, encoder: str, tmp_path: Path) -> None:
    for name, folder in (("encoder", encoder), ("decoder", base)):
        options: Any = {} if name == "encoder" else DECODER
        module = tiny.moved(folder, MaskedToken(**options), LoRA(rank=4))
        directory = tmp_path / name
        module.save_adapter(directory)
        readme = (directory / "README.md").read_text()
        assert ("AutoModelForMaskedLM" in readme) == (name == "encoder")
        code = readme.partition("```python\n")[2].partition("```")[0]
        scope: dict[str, Any] = {}
        exec(code.replace('directory = "."', f"directory = {str(directory)!r}"), scope)
        ids = torch.tensor([[5, 7, 9, 11]])
        with torch.no_grad(), plain_attention(module.network):
            expected = module.passes.model(input_ids=ids).logits
            torch.testing.assert_close(scope["model"].eval()(input_ids=ids).logits, expected, rtol=1e-4, atol=1e-4)
