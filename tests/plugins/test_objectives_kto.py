"""KTO: loss and gradient against the formula, and the reference point that follows the steps."""

from itertools import pairwise
from typing import Any

import pytest
import torch
import transformers

from tunesmith import Adapter, Example, Message, RecipeError, RowError
from tunesmith.data.encode import encode_split
from tunesmith_plugins.adapters.full import Full
from tunesmith_plugins.adapters.lora import LoRA
from tunesmith_plugins.objectives.kto import KTO


def row(asked: str, said: str, label: bool | None) -> Example:
    return Example(messages=(Message("user", asked), Message("assistant", said)), label=label, id=asked)


ROWS = [
    row("Is the lamp on?", "Yes, it is.", True),
    row("Where is the key?", "Who cares.", False),
    row("Where is the key?", "On the shelf, under the red box.", None),
    row("Who feeds the cat?", "Nobody.", False),
]


@pytest.fixture(scope="module")
def base(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.write_base(tmp_path_factory.mktemp("base")))


@pytest.mark.parametrize("adapter", [LoRA(rank=4, dropout=0.3), Full()], ids=["lora", "full"])
def test_loss_and_gradient_are_those_of_the_formula(tiny: Any, base: str, adapter: Adapter) -> None:
    objective = KTO(beta=0.3, desirable_weight=1.5, undesirable_weight=0.5)
    module = tiny.moved(base, objective, adapter)
    batch = tiny.batch_of(module, ROWS)
    plain = transformers.AutoModelForCausalLM.from_pretrained(base).eval()
    with torch.no_grad():
        before = tiny.logprobs(plain, batch)
    ratios = [a.sum() - b.sum() for a, b in zip(tiny.logprobs(module.passes.model, batch), before, strict=True)]
    own, beside = ratios[::2], ratios[1::2]
    assert len(own) == len(beside) == 4
    for point in (0.0, 2.5):
        objective.after_step({"rewards/drift": point})
        signs = [1, -1, 1, -1]
        weights = [1.5, 0.5, 1.5, 0.5]
        expected = torch.stack(
            [w * (1 - torch.sigmoid(0.3 * s * (r - point))) for r, s, w in zip(own, signs, weights, strict=True)]
        ).sum()
        wanted = tiny.gradients(module, expected)
        for passes in (module.passes, tiny.in_small_chunks(module)):
            term = objective.loss(passes(batch))
            assert term.unit == "example"
            # the copy of the base that Full is compared with brings no reference point of its own
            assert module.extras["objective"].reference_point == point
            torch.testing.assert_close(term.sum, expected, rtol=1e-4, atol=1e-5)
            got = tiny.gradients(module, term.sum)
            assert max(float(part.abs().max()) for part in wanted) > 1e-3
            for one, other in zip(got, wanted, strict=True):
                torch.testing.assert_close(one, other, rtol=1e-3, atol=2e-5)
        ratios = [r.detach() for r in ratios]
        told = {name: float(value) for name, value in term.logged.items()}
        away = [float(s * (r.detach() - point)) for r, s in zip(own, signs, strict=True)]
        assert told["rewards/drift"] == pytest.approx(float(sum(r.detach() for r in beside)), rel=1e-3, abs=1e-3)
        assert told["rewards/margin"] == pytest.approx(0.3 * sum(away), rel=1e-3, abs=1e-3)
        assert told["rewards/accuracy"] == sum(part > 0 for part in away)
        own = [a.sum() - b.sum() for a, b in zip(tiny.logprobs(module.passes.model, batch), before, strict=True)][::2]


def test_each_row_is_run_with_the_answer_of_a_row_that_asks_something_else(tiny: Any, base: str) -> None:
    module = tiny.moved(base, KTO(), LoRA(rank=4))
    batch = tiny.batch_of(module, ROWS)
    texts = [module.tokenizer.decode(batch.input_ids[a:b]) for a, b in pairwise(batch.cu_seqlens.tolist())]
    # the third row stands behind one with the same prompt; the first behind the last
    expected = [("lamp", "Nobody"), ("key", "Yes"), ("key", "Yes"), ("cat", "shelf")]
    for text, (asked, said) in zip(texts[1::2], expected, strict=True):
        assert asked in text
        assert said in text
    for own, beside in zip(texts[::2], texts[1::2], strict=True):
        assert own != beside


def test_only_the_last_answer_is_learnt(tiny: Any, base: str) -> None:
    module = tiny.moved(base, KTO(), LoRA(rank=4))
    talk = (Message("user", "Hello"), Message("assistant", "Good day."), *ROWS[0].messages)
    (encoded,) = KTO().encode(ROWS[0].with_(messages=talk), module.renderer)
    learned = [token for token, weight in zip(encoded.ids, encoded.weights, strict=True) if weight]
    assert module.tokenizer.decode(learned, skip_special_tokens=True).strip() == "Yes, it is."


def test_rows_that_all_ask_the_same_are_learnt_without_a_drift(tiny: Any, base: str) -> None:
    module = tiny.moved(base, KTO(), LoRA(rank=4))
    rows = list(encode_split(ROWS[1:3], module.objective, module.renderer, None).rows)
    assert [len(found.sequences) for found in rows] == [1, 1]
    term = module.objective.loss(module.passes(tiny.batch_of(module, ROWS[1:3])))
    assert float(term.logged["rewards/drift"]) == 0
    assert float(term.sum.detach()) > 0


def test_a_model_that_came_nearer_has_gone_nowhere() -> None:
    objective = KTO()
    module = objective.module(None)
    objective.after_step({"rewards/drift": -3.0})
    assert float(module.reference_point) == 0
    objective.after_step({"rewards/drift": 3.0})
    assert float(module.reference_point) == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [({"beta": 0.0}, "beta is 0.0; it must be above 0"), ({"undesirable_weight": -1.0}, "it must be 0 or more")],
)
def test_options_that_cannot_be_are_refused(options: Any, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        KTO(**options).check()


def test_rows_without_an_answer_or_with_another_label_are_set_aside() -> None:
    with pytest.raises(RowError, match="no answer that is wanted or not"):
        KTO().encode(Example(messages=ROWS[0].messages[:1]), None)  # type: ignore[arg-type]
    with pytest.raises(RowError, match="whether an answer is wanted is true or false"):
        KTO().encode(ROWS[0].with_(label="warm"), None)  # type: ignore[arg-type]
