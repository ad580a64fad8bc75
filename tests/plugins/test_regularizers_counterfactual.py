"""CounterfactualConsistency against its formula, from the model's own forward over a row and its swap."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tunesmith import Example, Message, RecipeError
from tunesmith.training.attention import plain_attention
from tunesmith_plugins.adapters.lora import LoRA
from tunesmith_plugins.objectives.classification import Classification
from tunesmith_plugins.objectives.next_token import NextToken
from tunesmith_plugins.regularizers.alignment import aligned
from tunesmith_plugins.regularizers.counterfactual_consistency import CounterfactualConsistency
from tunesmith_plugins.regularizers.rdrop import RDrop

ROWS = [
    ("The nurse said she was late.", "Late.", "The nurse said he was late."),
    ("The pump is hot.", "Hot.", None),
    ("Who has the key of Mary?", "She has it, in her box.", None),
]


@pytest.fixture(scope="module")
def base(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    made: str = tiny.write_base(tmp_path_factory.mktemp("base"))
    return made


def row(number: int, asked: str, said: str) -> Example:
    return Example(messages=(Message("user", asked), Message("assistant", said)), id=f"row-{number}")


EXAMPLES = [row(number, asked, said) for number, (asked, said, _) in enumerate(ROWS)]


def model(tiny: Any, base: str, objective: Any = None, weight: float = 0.5, **options: Any) -> Any:
    same = CounterfactualConsistency(weight, **options)
    return tiny.moved(base, objective or NextToken(), LoRA(rank=2), regularizers={"same": same})


def both_ways(one: torch.Tensor, other: torch.Tensor) -> float:
    """KL(p || q) + KL(q || p) of logits, in double precision."""
    p, q = (
        np.exp(x - x.max(-1, keepdims=True)) for x in (one.detach().double().numpy(), other.detach().double().numpy())
    )
    p, q = p / p.sum(-1, keepdims=True), q / q.sum(-1, keepdims=True)
    return float((p * np.log(p / q)).sum() + (q * np.log(q / p)).sum())


def logits(module: Any, ids: Sequence[int]) -> torch.Tensor:
    with plain_attention(module.passes.model):
        found: torch.Tensor = module.network(input_ids=torch.tensor(ids)[None]).logits[0]
    return found.float()


def ids_of(tiny: Any, module: Any, example: Example) -> tuple[list[int], list[int]]:
    """Token ids, and the places of those that are learnt."""
    batch = tiny.batch_of(module, [example])
    return batch.input_ids.tolist(), batch.loss_weights.nonzero()[:, 0].tolist()


def text_ids(tiny: Any, module: Any, text: str) -> list[list[int]]:
    return [ids_of(tiny, module, Example(messages=(Message("user", text),), label="wet"))[0]]


def test_texts_are_aligned_by_what_they_share() -> None:
    assert aligned([1, 2, 3, 4], [1, 9, 3, 4]) == [(0, 0), (2, 2), (3, 3)]
    assert aligned([1, 2, 3, 4], [1, 8, 9, 3, 4]) == [(0, 0), (2, 3), (3, 4)]
    assert aligned([1, 2, 7, 2, 4], [1, 3, 3, 7, 3, 4]) == [(0, 0), (2, 3), (4, 5)]
    assert aligned([5], [5]) == [(0, 0)]
    assert aligned([5, 5], [5]) == [(0, 0)]
    assert aligned([1], [2]) == aligned([], [3]) == []


def test_it_is_half_of_both_divergences_with_gradients_through_row_and_swap(tiny: Any, base: str) -> None:
    module = model(tiny, base)
    term = module.regularizers["same"].penalty(module.passes(tiny.batch_of(module, EXAMPLES[:2])))
    ids, learned = ids_of(tiny, module, EXAMPLES[0])
    others, _ = ids_of(tiny, module, row(0, str(ROWS[0][2]), "Late."))
    # `she` and `he` are a token each, so that places are the same
    assert len(ids) == len(others)
    places = [at - 1 for at in learned]
    p, q = logits(module, ids)[places], logits(module, others)[places]
    assert term.unit == "token"
    assert float(term.sum.detach()) == pytest.approx(0.5 / 2 * both_ways(p, q), rel=1e-4)
    assert float(term.logged["compared"]) == len(places)
    found, expected = tiny.gradients(module, term.sum), tiny.gradients(module, 0.25 * symmetric(p, q))
    assert any(bool(g.any()) for g in expected)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-5)


def symmetric(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    kl = torch.nn.functional.kl_div
    p, q = one.log_softmax(-1), other.log_softmax(-1)
    return kl(p, q, reduction="sum", log_target=True) + kl(q, p, reduction="sum", log_target=True)


def test_it_is_the_same_in_small_chunks(tiny: Any, base: str) -> None:
    module = model(tiny, base)
    batch = tiny.batch_of(module, EXAMPLES)
    whole = module.regularizers["same"].penalty(module.passes(batch))
    pieces = module.regularizers["same"].penalty(tiny.in_small_chunks(module)(batch))
    assert float(pieces.sum.detach()) == pytest.approx(float(whole.sum.detach()), rel=1e-5)
    for one, other in zip(tiny.gradients(module, whole.sum), tiny.gradients(module, pieces.sum), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_positions_whose_own_token_is_swapped_are_left_out(tiny: Any, base: str) -> None:
    module = model(tiny, base)
    term = module.regularizers["same"].penalty(module.passes(tiny.batch_of(module, [EXAMPLES[2]])))
    ids, learned = ids_of(tiny, module, EXAMPLES[2])
    made = module.regularizers["same"]._exchange.made(EXAMPLES[2], ("female", "male"))
    assert made is not None
    assert made.messages[1].content == "He has it, in his box."
    others, learned_there = ids_of(tiny, module, made)
    words = module.tokenizer.decode
    kept = [at for at in learned if words([ids[at]]).strip() not in ("She", "her")]
    kept_there = [at for at in learned_there if words([others[at]]).strip() not in ("He", "his")]
    assert [ids[at] for at in kept] == [others[at] for at in kept_there]
    assert float(term.logged["compared"]) == len(kept) == len(learned) - 2
    p = logits(module, ids)[[at - 1 for at in kept]]
    q = logits(module, others)[[at - 1 for at in kept_there]]
    assert float(term.sum.detach()) == pytest.approx(0.25 * both_ways(p, q), rel=1e-4)


def test_rows_without_a_group_take_no_second_pass(tiny: Any, base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = model(tiny, base)
    passes = type(module.passes)
    ran: list[list[str]] = []
    plain = passes.__call__

    def noted(self: Any, batch: Any, *more: Any, **named: Any) -> Any:
        ran.append([example.id for example in batch.examples])
        return plain(self, batch, *more, **named)

    monkeypatch.setattr(passes, "__call__", noted)
    module.terms(module.passes(tiny.batch_of(module, EXAMPLES)))
    assert ran == [["row-0", "row-1", "row-2"], ["row-0", "row-2"]]
    ran.clear()
    term = module.terms(module.passes(tiny.batch_of(module, EXAMPLES[1:2])))["reg/same"]
    assert ran == [["row-1"]]
    assert float(term.sum) == float(term.logged["compared"]) == 0


@pytest.mark.parametrize("several", [False, True])
def test_of_a_head_for_classes_the_classes_are_compared(tiny: Any, base: str, several: bool) -> None:
    texts = ["The nurse said she was late.", "The pump is hot.", "His father knows."]
    rows = [Example(messages=(Message("user", text),), label="warm", id=f"row-{n}") for n, text in enumerate(texts)]
    module = model(tiny, base, Classification(["warm", "cold", "wet"], multi_label=several))
    forward = module.passes(tiny.batch_of(module, rows))
    term = module.regularizers["same"].penalty(forward)
    swaps = ["The nurse said he was late.", "Her mother knows."]
    expected = 0.0
    for text, swap in zip([texts[0], texts[2]], swaps, strict=True):
        with plain_attention(module.passes.model):
            p, q = (module.network(input_ids=torch.tensor(text_ids(tiny, module, one))).logits for one in (text, swap))
        if several:
            pairs = [
                (torch.stack([torch.zeros(()), a]), torch.stack([torch.zeros(()), b]))
                for a, b in zip(p[0], q[0], strict=True)
            ]
            expected += sum(both_ways(a, b) for a, b in pairs) / 3
        else:
            expected += both_ways(p, q)
    assert term.unit == "example"
    assert float(term.logged["compared"]) == 2
    assert float(term.sum.detach()) == pytest.approx(0.25 * expected, rel=1e-3)
    assert any(bool(g.any()) for g in tiny.gradients(module, term.sum))


def test_rows_are_cut_as_those_of_the_split_are(tiny: Any, base: str) -> None:
    module = model(tiny, base)

    class Data:
        max_length, truncation = 20, "drop"

    class Trainer:
        datamodule = Data()

    long = row(5, "She is late. " * 20, "Late.")
    assert [len(one.sequences[0].ids) > 20 for one in module._encode([long])] == [True]
    module._trainer = Trainer()
    assert module._encode([long]) == []
    Data.truncation = "left"
    assert [len(one.sequences[0].ids) for one in module._encode([long])] == [20]


def test_many_rows_without_a_group_are_refused(tiny: Any, base: str) -> None:
    module = model(tiny, base, category="religion")
    forward = module.passes(
        tiny.batch_of(module, [row(number, f"Is pump {number} hot?", "No.") for number in range(100)])
    )
    same = module.regularizers["same"]
    for _ in range(9):
        same.penalty(forward)
    with pytest.raises(RecipeError, match=r"none of 1,000 rows names a group of religion, so that nothing is comp.*\n"):
        same.penalty(forward)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (CounterfactualConsistency(-1.0), r"CounterfactualConsistency\.weight is -1\.0"),
        (CounterfactualConsistency(category="gendre"), "'gendre' is not in the lexicon; did you mean gender"),
        (
            CounterfactualConsistency(groups=["male", "femal"]),
            "'femal' has no words to swap in gender; did you mean female",
        ),
        (CounterfactualConsistency(groups=["male", "male"]), "two different ones are exchanged"),
    ],
)
def test_what_cannot_be_swapped_is_refused(wrong: CounterfactualConsistency, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        wrong.check(NextToken(), LoRA())


def test_a_lexicon_of_ones_own_says_what_is_swapped(tiny: Any, base: str, tmp_path: Path) -> None:
    groups = {"groups": {"day": ["day(s)"], "night": ["night(s)"]}, "swaps": [{"day": "day(s)", "night": "night(s)"}]}
    (tmp_path / "own.json").write_text(json.dumps({"categories": {"shift": groups}}))
    module = model(tiny, base, category="shift", lexicon=tmp_path / "own.json")
    term = module.terms(module.passes(tiny.batch_of(module, [row(7, "A day or two.", "Yes."), EXAMPLES[0]])))[
        "reg/same"
    ]
    assert float(term.logged["compared"]) == len(ids_of(tiny, module, row(7, "A day or two.", "Yes."))[1])


def test_it_goes_beside_a_second_pass_of_another_kind(tiny: Any, base: str) -> None:
    given = {"same": CounterfactualConsistency(), "agree": RDrop()}
    module = tiny.moved(base, NextToken(), LoRA(rank=2, dropout=0.2), regularizers=given).train()
    terms = module.terms(module.passes(tiny.batch_of(module, EXAMPLES)))
    assert float(terms["reg/same"].sum.detach()) > 0
    assert float(terms["reg/agree"].sum.detach()) > 0
