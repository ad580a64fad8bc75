"""Preference: each method's loss and gradient against its formula, written out over one answer at a time."""

import math
from typing import Any

import pytest
import torch
import transformers
from torch.nn.functional import logsigmoid

from tunesmith import Adapter, Example, Message, RecipeError, RowError
from tunesmith.data.encode import SAME, encode_split
from tunesmith_plugins.adapters.full import Full
from tunesmith_plugins.adapters.lora import LoRA
from tunesmith_plugins.objectives import pairs
from tunesmith_plugins.objectives.preference import Preference

ASKED = Message("user", "Is the lamp on?")


def pair(better: str, worse: str, *before: Message) -> Example:
    asked = (*before, ASKED)
    return Example(
        chosen=(*asked, Message("assistant", better)), rejected=(*asked, Message("assistant", worse)), id=better
    )


PAIRS = [
    pair("Yes, it is.", "No."),
    pair("It has been on since this morning.", "Nobody knows that."),
    pair("On.", "It was off when I last looked, at noon.", Message("user", "Hello"), Message("assistant", "Good day.")),
]


@pytest.fixture(scope="module")
def base(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.write_base(tmp_path_factory.mktemp("base")))


# The papers' formulas, of lists of log-probabilities of the tokens of one answer.


def dpo(c: Any, c0: Any, r: Any, r0: Any) -> Any:
    return -logsigmoid(0.5 * (c.sum() - c0.sum() - r.sum() + r0.sum()))


def conservative(c: Any, c0: Any, r: Any, r0: Any) -> Any:
    h = 0.5 * (c.mean() - c0.mean() - r.mean() + r0.mean())
    return -0.8 * torch.log(torch.sigmoid(h)) - 0.2 * torch.log(1 - torch.sigmoid(h))


def ipo(c: Any, c0: Any, r: Any, r0: Any) -> Any:
    return (c.mean() - c0.mean() - r.mean() + r0.mean() - 1 / (2 * 0.5)) ** 2


def orpo(c: Any, c0: Any, r: Any, r0: Any) -> Any:
    better, worse = c.mean().exp(), r.mean().exp()
    ratio = (better / (1 - better)) / (worse / (1 - worse))
    return -c.mean() - 0.5 * torch.log(torch.sigmoid(torch.log(ratio)))


def simpo(c: Any, c0: Any, r: Any, r0: Any) -> Any:
    return -torch.log(torch.sigmoid(2 / len(c) * c.sum() - 2 / len(r) * r.sum() - 0.3))


METHODS = {
    "dpo": (Preference(beta=0.5), dpo),
    "cdpo": (Preference(beta=0.5, label_smoothing=0.2, by_token=True), conservative),
    "ipo": (Preference("ipo", beta=0.5), ipo),
    "orpo": (Preference("orpo", beta=0.5), orpo),
    "simpo": (Preference("simpo", gamma=0.3), simpo),
}


@pytest.mark.parametrize("adapter", [LoRA(rank=4, dropout=0.3), Full()], ids=["lora", "full"])
@pytest.mark.parametrize("name", METHODS)
def test_loss_and_gradient_are_those_of_the_formula(tiny: Any, base: str, name: str, adapter: Adapter) -> None:
    objective, formula = METHODS[name]
    module = tiny.moved(base, objective, adapter)
    batch = tiny.batch_of(module, PAIRS)
    plain = transformers.AutoModelForCausalLM.from_pretrained(base).eval()
    with torch.no_grad():
        before = tiny.logprobs(plain, batch)
    after = tiny.logprobs(module.passes.model, batch)
    sides = [(after[i], before[i], after[i + 1], before[i + 1]) for i in range(0, len(after), 2)]
    expected = torch.stack([formula(*side) for side in sides]).sum()
    wanted = tiny.gradients(module, expected)
    assert max(float(part.abs().max()) for part in wanted) > 1e-3
    for passes in (module.passes, tiny.in_small_chunks(module)):
        term = objective.loss(passes(batch))
        assert term.unit == "pair"
        torch.testing.assert_close(term.sum, expected, rtol=1e-4, atol=1e-5)
        for got, want in zip(tiny.gradients(module, term.sum), wanted, strict=True):
            torch.testing.assert_close(got, want, rtol=1e-3, atol=2e-5)
    of = torch.sum if name == "dpo" else torch.mean
    taken_off = 0 if name in ("orpo", "simpo") else 1
    rewards = torch.stack([of(c) - taken_off * of(c0) - of(r) + taken_off * of(r0) for c, c0, r, r0 in sides]).detach()
    chosen = torch.stack([of(c) - taken_off * of(c0) for c, c0, _, _ in sides]).detach()
    beta = 2.0 if name == "simpo" else 0.5
    told = {key: float(total) for key, total in term.logged.items()}
    assert told["rewards/chosen"] == pytest.approx(beta * float(chosen.sum()), rel=1e-3, abs=1e-4)
    assert told["rewards/rejected"] == pytest.approx(beta * float((chosen - rewards).sum()), rel=1e-3, abs=1e-4)
    assert told["rewards/margin"] == pytest.approx(beta * float(rewards.sum()), rel=1e-3, abs=1e-4)
    assert told["rewards/accuracy"] == int((rewards > 0).sum())


def test_at_the_base_dpo_is_undecided_about_every_pair(tiny: Any, base: str) -> None:
    torch.manual_seed(0)
    module = tiny.moved(base, Preference(), LoRA(rank=4))
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if "lora_B" in name:
                parameter.zero_()
    term = module.objective.loss(module.passes(tiny.batch_of(module, PAIRS)))
    assert float(term.sum.detach()) == pytest.approx(3 * math.log(2), rel=1e-5)
    assert float(term.logged["rewards/margin"]) == pytest.approx(0, abs=1e-4)


def test_what_both_answers_begin_with_weighs_nothing_and_prompts_are_equal(tiny: Any, base: str) -> None:
    module = tiny.moved(base, Preference(), LoRA(rank=4))
    better, worse = module.objective.encode(PAIRS[2], module.renderer)
    first = [weights.index(1.0) for weights in (better.weights, worse.weights)]
    assert first[0] == first[1]
    assert better.ids[: first[0]] == worse.ids[: first[0]]
    said = module.tokenizer.decode(better.ids[first[0] :], skip_special_tokens=True)
    assert said.strip() == "On."


@pytest.mark.parametrize("policy", ["left", "right"])
def test_a_pair_is_cut_with_equal_prompts(tiny: Any, base: str, policy: Any) -> None:
    module = tiny.moved(base, Preference(), LoRA(rank=4))
    long = pair("Yes, since noon, as far as I can see.", "No.", Message("user", "lamp " * 20))
    whole = module.objective.encode(long, module.renderer)
    length = len(whole[0].ids) - 4
    (row,) = encode_split([long], module.objective, module.renderer, length, policy).rows
    starts = [s.weights.index(1.0) for s in row.sequences]
    assert starts[0] == starts[1]
    assert row.sequences[0].ids[: starts[0]] == row.sequences[1].ids[: starts[1]]
    assert max(len(s.ids) for s in row.sequences) == length
    # an answer that is short enough is whole, unless the prompt that both share is cut
    assert row.sequences[1].ids[-3:] == whole[1].ids[-3:]


def test_a_pair_whose_difference_is_cut_away_is_dropped_and_counted(tiny: Any, base: str) -> None:
    module = tiny.moved(base, Preference(), LoRA(rank=4))
    alike = pair("Yes it is on and that is good", "Yes it is on and that is bad")
    length = len(module.objective.encode(alike, module.renderer)[0].ids) - 2
    split = encode_split([alike, PAIRS[0]], module.objective, module.renderer, length)
    assert split.counts["dropped"] == {SAME: 1}


def test_an_answer_of_certain_tokens_has_finite_odds() -> None:
    sure = torch.zeros(1, requires_grad=True)
    loss = pairs.orpo(sure, torch.tensor([-1.0]), 0.1)
    loss.sum().backward()
    assert bool(loss.isfinite().all())
    assert sure.grad is not None
    assert bool(sure.grad.isfinite().all())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"beta": 0.0}, "beta is 0.0; it must be above 0"),
        ({"gamma": 1.0}, "gamma is 1.0, which dpo does not read: it goes with simpo"),
        (
            {"method": "ipo", "label_smoothing": 0.1},
            "label_smoothing is 0.1, which ipo does not read: it goes with dpo",
        ),
        ({"label_smoothing": 0.5}, "label_smoothing is 0.5; it must be 0 or more, and below 0.5"),
        ({"method": "orpo", "by_token": False}, "by_token is False, and orpo is by token always"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: Any, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        Preference(**options).check()


def test_a_row_without_a_pair_is_set_aside() -> None:
    with pytest.raises(RowError, match="no pair of a better and a worse answer"):
        Preference().encode(Example(messages=(ASKED, Message("assistant", "Yes."))), None)  # type: ignore[arg-type]
