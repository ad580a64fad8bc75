"""AdversarialDebiasing: against plain torch, by what it reads, and by what a fresh classifier still finds."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tunesmith import Example, Message, RecipeError, Segment
from tunesmith_plugins.adapters.lora import LoRA
from tunesmith_plugins.objectives.classification import Classification
from tunesmith_plugins.objectives.next_token import NextToken
from tunesmith_plugins.regularizers.adversarial_debiasing import AdversarialDebiasing
from tunesmith_plugins.regularizers.adversaries import Adversaries, reversed_gradient
from tunesmith_plugins.regularizers.pooling import pooled

ASKED = ["She is late.", "The pump is hot.", "Where has he put his key?", "Her box and his box."]
GROUPS = [0, -1, 1, -1]  # no group, and two, are none


@pytest.fixture(scope="module")
def base(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    made: str = tiny.write_base(tmp_path_factory.mktemp("base"))
    return made


def row(number: int, asked: str, said: str = "Yes, she does.") -> Example:
    turns = Message("user", asked), Message("assistant", said)
    return Example(messages=turns, id=f"row-{number}", extras={"side": "ab"[number % 2]})


ROWS = [row(number, asked) for number, asked in enumerate(ASKED)]


def model(tiny: Any, base: str, objective: Any = None, weight: float = 0.5, **options: Any) -> Any:
    hidden = AdversarialDebiasing(weight, **options)
    return tiny.moved(base, objective or NextToken(), LoRA(rank=2), regularizers={"hidden": hidden})


def as_torch(them: Adversaries, at: int) -> nn.Sequential:
    """One of the classifiers as plain modules."""
    parts = [part.clone() for part in them._parts("weight", at)]
    layers: list[nn.Module] = []
    for weight, bias in zip(parts[::2], parts[1::2], strict=True):
        layer = nn.Linear(weight.shape[1], weight.shape[0])
        layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
        layers += [layer, nn.GELU()]
    return nn.Sequential(*layers[:-1])


def remembered(memory: int = 64) -> tuple[Adversaries, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    groups = (torch.rand(50, generator=generator) < 0.3).long()
    states = torch.randn(50, 8, generator=generator) + groups[:, None] * torch.linspace(0, 2, 8)
    them = Adversaries(8, 2, [0, 16], memory, seed=1)
    them.note(states, groups)
    return them, states, groups


def test_their_steps_are_those_of_adamw_on_standardised_states_with_groups_weighed_alike() -> None:
    them, states, groups = remembered()
    plain = [as_torch(them, at) for at in range(2)]
    spread = states.std(0)
    standard = (states - states.mean(0)) / (spread + 0.1 * spread.mean() + 1e-8)
    counts = groups.bincount().float()
    for one in plain:
        optimizer = torch.optim.AdamW(one.parameters(), lr=0.01, betas=(0.5, 0.9), weight_decay=0.1)
        for _ in range(7):
            optimizer.zero_grad()
            F.cross_entropy(one(standard), groups, weight=50 / 2 / counts).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    them.learn(3, 0.01, 0.1)
    them.learn(4, 0.01, 0.1)
    for logits, one in zip(them.logits(states), plain, strict=True):
        torch.testing.assert_close(logits, one(standard), rtol=1e-3, atol=1e-5)


def test_they_learn_from_the_last_rows_alone() -> None:
    them, states, groups = remembered(memory=20)
    assert them.seen.tolist() == groups.bincount().tolist()
    order = [(50 - 20 + at) for at in range(20)]
    kept = sorted(map(tuple, states[order].tolist()))
    assert sorted(map(tuple, them.states.tolist())) == kept
    them.note(states[:3], groups[:3])
    assert sorted(map(tuple, them.states.tolist())) == sorted(map(tuple, states[[*order[3:], 0, 1, 2]].tolist()))


def test_nothing_is_learnt_of_one_group_or_of_no_rows() -> None:
    them = Adversaries(4, 2, [0], 8, seed=1)
    before = {name: buffer.clone() for name, buffer in them.named_buffers()}
    them.learn(5, 0.01, 0.1)
    assert all(buffer.equal(before[name]) for name, buffer in them.named_buffers())
    them.note(torch.randn(3, 4), torch.zeros(3, dtype=torch.int64))
    them.learn(5, 0.01, 0.1)
    assert int(them.steps) == 0


def test_a_copy_from_a_checkpoint_goes_on_as_they_would() -> None:
    them, states, groups = remembered()
    them.learn(3, 0.01, 0.01)
    other = Adversaries(8, 2, [0, 16], 64, seed=9)
    other.load_state_dict(copy.deepcopy(them.state_dict()))
    for one in (them, other):
        one.note(states[:9] + 1, groups[:9])
        one.learn(3, 0.01, 0.01)
    assert all(one.equal(two) for one, two in zip(them.buffers(), other.buffers(), strict=True))


def test_gradients_come_back_with_the_other_sign() -> None:
    states = torch.randn(3, 4, requires_grad=True)
    (reversed_gradient(states, 0.25) * torch.arange(12.0).reshape(3, 4)).sum().backward()  # type: ignore[no-untyped-call]
    assert states.grad is not None
    torch.testing.assert_close(states.grad, -0.25 * torch.arange(12.0).reshape(3, 4))


def test_it_is_the_mean_of_their_losses_on_rows_of_one_group(tiny: Any, base: str) -> None:
    module = model(tiny, base, weight=0.5)
    hidden = module.regularizers["hidden"]
    forward = module.passes(tiny.batch_of(module, ROWS))
    term = hidden.penalty(forward)
    assert term.unit == "example"
    places = [int(forward.supervised[forward.batch.sequence[forward.supervised] == at][0]) for at in (0, 2)]
    states, groups = forward.hidden[places], torch.tensor([0, 1])
    losses = [F.cross_entropy(as_torch(hidden._them, at)(states), groups, reduction="sum") for at in range(3)]
    expected = 0.5 * torch.stack(losses).mean()
    torch.testing.assert_close(term.sum, expected)
    right = [float((as_torch(hidden._them, at)(states).argmax(-1) == groups).sum()) for at in range(3)]
    assert float(term.logged["accuracy"]) == pytest.approx(np.mean(right))
    assert float(term.logged["chance"]) == 1  # of two rows, one of each
    found, plain = (torch.autograd.grad(one, forward.hidden, retain_graph=True)[0] for one in (term.sum, expected))
    assert bool(plain[places].any())
    torch.testing.assert_close(found, -plain, rtol=1e-4, atol=1e-8)
    hidden.advance(0, 10)
    term = hidden.penalty(forward)
    assert not bool(torch.autograd.grad(term.sum, forward.hidden)[0].any())


def test_groups_come_from_a_column_too(tiny: Any, base: str) -> None:
    module = model(tiny, base, group="side", groups=["b", "a"], adversaries=1)
    hidden = module.regularizers["hidden"]
    hidden.penalty(module.passes(tiny.batch_of(module, ROWS[:3])))
    assert hidden._them.seen.tolist() == [1, 2]
    assert hidden._them.groups[:4].tolist() == [1, 0, 1, -1]


def test_the_answer_is_not_seen_unless_told(tiny: Any, base: str) -> None:
    module = model(tiny, base)
    other = [row(number, asked, "No, he never was.") for number, asked in enumerate(ASKED)]
    for how, same in (("last", True), ("mean", True), ("text", False)):
        (one, kept), (two, _) = (
            pooled(module.passes(tiny.batch_of(module, rows)), how, classes=False) for rows in (ROWS, other)
        )
        assert kept.all()
        assert torch.allclose(one, two, atol=1e-6) == same, how


def test_states_are_those_of_the_last_token_of_what_is_asked_or_means(tiny: Any, base: str) -> None:
    module = model(tiny, base)
    pair = Example(chosen=ROWS[0].messages, rejected=ROWS[1].messages, id="pair")
    text = Example(segments=(Segment("A pump is hot."),), id="text")
    rows = [ROWS[2], text]
    forward = module.passes(tiny.batch_of(module, rows))
    asked = module.renderer.prompt(ROWS[2].messages[:1]).ids
    assert tuple(forward.batch.input_ids[: len(asked)].tolist()) == asked
    states, kept = pooled(forward, "last", classes=False)
    assert kept.tolist() == [True, False]
    torch.testing.assert_close(states[0], forward.hidden[len(asked) - 1])
    states, kept = pooled(forward, "mean", classes=False)
    assert kept.tolist() == [True, False]
    torch.testing.assert_close(states[0], forward.hidden[: len(asked)].mean(0))
    states, kept = pooled(forward, "text", classes=False)
    assert kept.tolist() == [True, True]
    end = int(forward.batch.cu_seqlens[1])
    torch.testing.assert_close(states, torch.stack([forward.hidden[:end].mean(0), forward.hidden[end:].mean(0)]))
    from tunesmith_plugins.objectives.preference import Preference

    pairs = model(tiny, base, objective=Preference())
    forward = pairs.passes(tiny.batch_of(pairs, [pair, pair]))
    states, _ = pooled(forward, "last", classes=False)
    length = len(pairs.renderer.prompt(pair.chosen[:1]).ids)
    assert states.shape[0] == 2
    torch.testing.assert_close(states[0], forward.hidden[length - 1])


def test_of_a_head_for_classes_it_reads_what_the_head_does(tiny: Any, base: str) -> None:
    module = model(tiny, base, objective=Classification(["yes", "no"]))
    rows = [Example(messages=one.messages[:1], label="yes", id=one.id) for one in ROWS]
    forward = module.passes(tiny.batch_of(module, rows))
    states, kept = pooled(forward, "last", classes=True)
    torch.testing.assert_close(states, forward.pooled())
    means, _ = pooled(forward, "mean", classes=True)
    torch.testing.assert_close(means[0], forward.hidden[: int(forward.batch.cu_seqlens[1])].mean(0))
    assert kept.all()


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [("ganin", [0.0, 0.848284, 0.986614]), ("linear", [0.0, 1.0, 1.0]), ("constant", [1.0, 1.0, 1.0])],
)
def test_the_strength_rises_over_the_run(tiny: Any, base: str, schedule: Any, expected: list[float]) -> None:
    hidden = model(tiny, base, schedule=schedule, warmup=0.2).regularizers["hidden"]
    found = []
    for step in (0, 25, 50):
        hidden.advance(step, 100)
        found.append(hidden._strength)
    assert found == pytest.approx(expected, abs=1e-6)
    hidden.advance(10, 100)
    assert schedule != "linear" or hidden._strength == pytest.approx(0.5)
    if schedule == "constant":
        hidden.advance(3, None)
    else:
        with pytest.raises(RecipeError, match="only the clock ends the run; set it to constant"):
            hidden.advance(3, None)


def test_they_learn_once_a_step(tiny: Any, base: str) -> None:
    module = model(tiny, base, steps=4)
    hidden = module.regularizers["hidden"]
    hidden.penalty(module.passes(tiny.batch_of(module, ROWS)))
    for step in (0, 0, 1, 1):
        hidden.advance(step, 10)
    assert int(hidden._them.steps) == 8


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (AdversarialDebiasing(-1.0), r"AdversarialDebiasing\.weight is -1\.0"),
        (AdversarialDebiasing(adversaries=0), r"adversaries is 0; it must be above 0"),
        (AdversarialDebiasing(group="side"), "groups is not there; name those of column side"),
        (AdversarialDebiasing(group="side", groups=["a"]), "groups is a; two or more different ones"),
        (
            AdversarialDebiasing(groups=["female", "women"]),
            r"'women' is not compared in gender \(there are: female, male",
        ),
        (AdversarialDebiasing(category="gendre"), "'gendre' is not in the lexicon; did you mean gender"),
    ],
)
def test_what_cannot_be_is_refused(wrong: AdversarialDebiasing, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        wrong.check(NextToken(), LoRA())


def test_many_rows_without_a_group_are_refused(tiny: Any, base: str) -> None:
    module = model(tiny, base, group="sied", groups=["a", "b"])
    forward = module.passes(tiny.batch_of(module, [row(at, "Is it hot?") for at in range(250)]))
    for _ in range(3):
        module.regularizers["hidden"].penalty(forward)
    with pytest.raises(RecipeError, match="none of 1,000 rows has one of a, b in column sied and a prompt"):
        module.regularizers["hidden"].penalty(forward)
