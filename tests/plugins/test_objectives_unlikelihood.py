"""Unlikelihood: values and derivatives against numpy, at all probabilities; and what of a row it is of."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tunesmith import Example, Message, RecipeError, RowError, Segment
from tunesmith_plugins.adapters.lora import LoRA
from tunesmith_plugins.objectives.unlikelihood import Unlikelihood, unlikelihood

ASKED = Message("user", "Is it safe?")


def said(text: str, label: bool | None, *before: Message) -> Example:
    return Example(messages=(*before, ASKED, Message("assistant", text)), label=label, id=text)


WANTED = said("Ask your doctor.", None)
UNWANTED = said("Yes, always.", False, Message("user", "Hello"), Message("assistant", "Good day."))
PAIR = Example(
    chosen=(ASKED, Message("assistant", "Not with aspirin.")),
    rejected=(ASKED, Message("assistant", "Sure.")),
    id="pair",
)


@pytest.fixture(scope="module")
def base(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.write_base(tmp_path_factory.mktemp("base")))


@given(
    width=st.integers(2, 30),
    target=st.floats(-80, 80),
    shift=st.sampled_from([0.0, 300.0, -300.0]),
    seed=st.integers(0, 99),
)
def test_value_and_derivative_are_those_of_the_definition_at_any_probability(
    width: int, target: float, shift: float, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    given_logits = generator.normal(0, 2, width)
    given_logits[0] = target
    logits = torch.tensor(given_logits[None] + shift, dtype=torch.float32, requires_grad=True)
    value = unlikelihood(logits, torch.tensor([0]))
    value.sum().backward()
    exact = logits.detach().double().numpy()[0]
    powers = np.exp(exact - exact.max())
    p, others = powers / powers.sum(), np.exp(exact[1:] - exact[1:].max())
    odds = exact[0] - (np.log(others.sum()) + exact[1:].max())
    expected = np.logaddexp(0, odds)
    assert float(value.detach()) == pytest.approx(expected, rel=1e-4, abs=1e-4 if shift else 1e-6)
    gradient = np.concatenate([[p[0]], -p[0] * others / others.sum()])
    assert logits.grad is not None
    # of a rare token the derivative is small, and exact
    np.testing.assert_allclose(logits.grad.numpy()[0], gradient, rtol=2e-3 if shift else 1e-4, atol=1e-12)


def test_loss_is_likelihood_of_what_is_wanted_and_unlikelihood_of_what_is_not(tiny: Any, base: str) -> None:
    objective = Unlikelihood(weight=0.7)
    module = tiny.moved(base, objective, LoRA(rank=4))
    batch = tiny.batch_of(module, [WANTED, UNWANTED, PAIR])
    parts = tiny.logprobs(module.passes.model, batch)
    assert len(parts) == 4
    kinds = [False, True, False, True]
    costs = [
        (-0.7 * torch.log(1 - part.double().exp())).sum() if bad else -part.double().sum()
        for part, bad in zip(parts, kinds, strict=True)
    ]
    expected = torch.stack(costs).sum().float()
    wanted = tiny.gradients(module, expected)
    for passes in (module.passes, tiny.in_small_chunks(module)):
        term = objective.loss(passes(batch))
        assert term.unit == "token"
        torch.testing.assert_close(term.sum, expected, rtol=1e-4, atol=1e-4)
        for got, want in zip(tiny.gradients(module, term.sum), wanted, strict=True):
            torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-4)
        told = {name: float(value) for name, value in term.logged.items()}
        assert told["parts/wanted"] == pytest.approx(float((costs[0] + costs[2]).detach()), rel=1e-4)
        assert told["parts/unwanted"] == pytest.approx(float((costs[1] + costs[3]).detach()), rel=1e-3)


def test_of_what_is_unwanted_the_last_answers_words_count(tiny: Any, base: str) -> None:
    module = tiny.moved(base, Unlikelihood(), LoRA(rank=4))
    batch = tiny.batch_of(module, [WANTED, UNWANTED, PAIR])
    learnt = []
    for start, end in pairwise(batch.cu_seqlens.tolist()):
        ids = batch.input_ids[start:end][batch.loss_weights[start:end] != 0].tolist()
        learnt.append(module.tokenizer.decode(ids).strip())
    assert [text.replace("<|end|>", "|") for text in learnt] == [
        "Ask your doctor.|",
        "Yes, always.",
        "Not with aspirin.|",
        "Sure.",
    ]


def test_one_wrong_word_can_be_unlearnt_alone(tiny: Any, base: str) -> None:
    module = tiny.moved(base, Unlikelihood(), LoRA(rank=4))
    answer = Message("assistant", "Take ten pills.", spans=((5, 0.0), (3, 1.0), (7, 0.0)))
    (encoded,) = module.objective.encode(Example(messages=(ASKED, answer), label=False), module.renderer)
    words = [t for t, w in zip(encoded.ids, encoded.weights, strict=True) if w]
    assert module.tokenizer.decode(words).strip() == "ten"


def test_texts_can_be_unwanted_too(tiny: Any, base: str) -> None:
    module = tiny.moved(base, Unlikelihood(), LoRA(rank=4))
    for last, expected in ((1.0, "Never sue us."), (0.0, "Never")):
        pieces = (Segment("Never", 1.0), Segment(" sue us.", last))
        (encoded,) = module.objective.encode(Example(segments=pieces, label=False), module.renderer)
        words = [t for t, w in zip(encoded.ids, encoded.weights, strict=True) if w]
        assert module.tokenizer.decode(words).strip() == expected


def test_a_weight_that_is_none_and_an_empty_example_are_refused() -> None:
    with pytest.raises(RecipeError, match="weight is 0; it must be above 0"):
        Unlikelihood(weight=0).check()
    with pytest.raises(RowError, match="neither messages nor text"):
        Unlikelihood().encode(Example(), None)  # type: ignore[arg-type]
