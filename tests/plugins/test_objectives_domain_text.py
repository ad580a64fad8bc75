"""DomainText: the loss of documents in pieces against one plain pass over each piece."""

from typing import Any

import pytest
import torch

from tunesmith import Example, Message, RecipeError, RowError, Segment
from tunesmith.data.encode import encode_split
from tunesmith_plugins.adapters.full import Full
from tunesmith_plugins.objectives.domain_text import DomainText

LONG = Example(segments=(Segment("The lamp in the hall is hot, and nobody knows why it is on. " * 4),), id="long")
SHORT = Example(segments=(Segment("Ask the miller. ", 0.0), Segment("The pump is off.", 2.0)), id="short")


@pytest.fixture(scope="module")
def base(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.write_base(tmp_path_factory.mktemp("base")))


def test_loss_and_gradient_are_those_of_each_piece_alone(tiny: Any, base: str) -> None:
    objective = DomainText(overlap=5)
    module = tiny.moved(base, objective, Full())
    batch = tiny.batch_of(module, [LONG, SHORT], tokens=24)
    assert len(batch.examples) > 4
    weights = batch.loss_weights[batch.loss_weights != 0]
    expected = -(torch.cat(tiny.logprobs(module.passes.model, batch)) * weights).sum()
    term = objective.loss(module.passes(batch))
    assert term.unit == "token"
    torch.testing.assert_close(term.sum, expected, rtol=1e-5, atol=1e-4)
    for got, want in zip(tiny.gradients(module, term.sum), tiny.gradients(module, expected), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-3)


def test_documents_end_with_their_end_token_and_take_no_template(tiny: Any, base: str) -> None:
    module = tiny.moved(base, DomainText(), Full())
    (encoded,) = module.objective.encode(SHORT, module.renderer)
    assert encoded.ids[-1] == module.tokenizer.eos_token_id
    assert encoded.weights[-1] == 2.0
    assert set(encoded.weights) == {0.0, 2.0}
    body = encoded.ids[:-1] if encoded.ids[0] != module.tokenizer.bos_token_id else encoded.ids[1:-1]
    assert module.tokenizer.decode(body).strip() == "Ask the miller. The pump is off."


def test_each_token_of_a_long_document_is_learnt_once_whatever_truncation_says(tiny: Any, base: str) -> None:
    module = tiny.moved(base, DomainText(overlap=8), Full())
    (whole,) = module.objective.encode(LONG, module.renderer)
    for policy in ("right", "left", "drop"):
        split = encode_split([LONG], module.objective, module.renderer, 32, policy, bos=module.renderer.bos_id)  # type: ignore[arg-type]
        learnt = [t for row in split.rows for s in row.sequences for t, w in zip(s.ids, s.weights, strict=True) if w]
        assert tuple(learnt) == whole.ids[1:]
        assert split.counts["pieces"] == len(split.rows) - 1 > 2


def test_an_overlap_that_leaves_no_room_is_refused(tiny: Any, base: str) -> None:
    module = tiny.moved(base, DomainText(overlap=17), Full())
    with pytest.raises(RecipeError, match="overlap is 17, but a piece has 32 tokens"):
        encode_split([LONG], module.objective, module.renderer, 32)
    with pytest.raises(RecipeError, match="overlap is -1; it must be 0 or more"):
        DomainText(overlap=-1).check()


def test_conversations_are_set_aside() -> None:
    talk = Example(messages=(Message("user", "a"), Message("assistant", "b")))
    with pytest.raises(RowError, match="no text without turns"):
        DomainText().encode(talk, None)  # type: ignore[arg-type]
