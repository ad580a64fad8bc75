"""NextToken: what is supervised, and the loss against the formula."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tunesmith import Chunk, Encoded, Example, Forward, Message, RecipeError, RowError, Segment
from tunesmith_plugins.objectives.next_token import NextToken


class Renderer:
    """Two tokens a turn, the first of which is its header."""

    def __init__(self) -> None:
        self.tools: Any = None

    def conversation(self, messages: Sequence[Message], tools: Any = ()) -> Encoded:
        self.tools = tools
        speaks = [1.0 if m.weight is None and m.role == "assistant" else m.weight or 0.0 for m in messages]
        return Encoded(tuple(range(2 * len(messages))), tuple(itertools.chain(*((0.0, w) for w in speaks))))

    def prompt(self, messages: Sequence[Message], tools: Any = ()) -> Encoded:
        raise NotImplementedError

    def text(self, pieces: Sequence[tuple[str, float]], end: bool = True) -> Encoded:
        assert end
        return Encoded(tuple(range(len(pieces) + 1)), (0.0, *(w for _, w in pieces)))


class Fixed(Forward):
    """Hidden states are the logits."""

    def __init__(self, logits: Tensor, targets: Tensor, weights: Tensor, size: int) -> None:
        self.hidden, self.targets, self.weights, self.size = logits, targets, weights, size

    def head(self, hidden: Tensor) -> Tensor:
        return hidden

    def chunks(self) -> Iterator[Chunk]:
        for start in range(0, len(self.targets), self.size):
            cut = slice(start, start + self.size)
            yield Chunk(self.hidden[cut], self.targets[cut], self.weights[cut], torch.zeros(1))

    def total(self, term: Callable[..., Tensor], *others: Forward) -> Tensor:
        return torch.stack(
            [term(*chunks) for chunks in zip(self.chunks(), *(o.chunks() for o in others), strict=True)]
        ).sum()

    def each(self, term: Callable[..., Tensor], *others: Forward) -> Tensor:
        raise NotImplementedError

    def again(self) -> Forward:
        raise NotImplementedError

    def baseline(self) -> Forward:
        raise NotImplementedError


TALK = (Message("user", "a"), Message("assistant", "b"), Message("user", "c"), Message("assistant", "d"))


def test_completions_are_supervised_unless_all_is_asked() -> None:
    tools = ({"name": "f"},)
    renderer = Renderer()
    (encoded,) = NextToken().encode(Example(messages=TALK, tools=tools), renderer)
    assert encoded.weights == (0, 0, 0, 1, 0, 0, 0, 1)
    assert renderer.tools == tools
    (encoded,) = NextToken("all").encode(Example(messages=TALK), renderer)
    assert encoded.weights == (0, 1, 1, 1, 1, 1, 1, 1)


def test_weights_of_the_turns_themselves_hold_also_with_all() -> None:
    talk = (Message("user", "a"), Message("assistant", "b", weight=0.5))
    for supervise in ("completions", "all"):
        (encoded,) = NextToken(supervise).encode(Example(messages=talk), Renderer())  # type: ignore[arg-type]
        assert encoded.weights == (0, 0, 0, 0.5)


def test_texts_keep_the_weights_of_their_segments() -> None:
    example = Example(segments=(Segment("a", 0.0), Segment("b", 2.0)))
    for supervise in ("completions", "all"):
        (encoded,) = NextToken(supervise).encode(example, Renderer())  # type: ignore[arg-type]
        assert encoded.weights == (0, 0, 2)


def test_a_preference_pair_teaches_its_chosen_side_and_an_empty_example_is_refused() -> None:
    (encoded,) = NextToken().encode(Example(chosen=TALK[:2], rejected=TALK[:2]), Renderer())
    assert encoded.weights == (0, 0, 0, 1)
    with pytest.raises(RowError, match="neither messages nor text"):
        NextToken().encode(Example(label="x"), Renderer())


@settings(max_examples=40)
@given(
    count=st.integers(0, 7),
    smoothing=st.sampled_from([0.0, 0.1, 1.0]),
    size=st.integers(1, 8),
    seed=st.integers(0, 999),
)
def test_the_loss_is_the_weighted_sum_of_cross_entropies(count: int, smoothing: float, size: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 3, (count, 5))
    targets, weights = generator.integers(0, 5, count), generator.uniform(0, 2, count)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    expected = sum(
        -w * ((1 - smoothing) * row[t] + smoothing * row.mean())
        for row, t, w in zip(log_p, targets, weights, strict=True)
    )
    forward = Fixed(
        torch.tensor(logits, dtype=torch.float32),
        torch.tensor(targets, dtype=torch.int64),
        torch.tensor(weights, dtype=torch.float32),
        max(size, 1) if count else 1,
    )
    if not count:
        forward.chunks = lambda: iter([Chunk(forward.hidden, forward.targets, forward.weights, forward.targets)])  # type: ignore[method-assign]
    term = NextToken(label_smoothing=smoothing).loss(forward)
    assert term.unit == "token"
    assert float(term.sum) == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_trap_34_an_oracle_of_the_next_token_has_no_loss_and_a_copier_of_the_input_has_one() -> None:
    ids = torch.tensor([3, 1, 4, 0, 2])
    targets = ids[1:]
    oracle = torch.nn.functional.one_hot(targets, 5).float() * 50
    copier = torch.nn.functional.one_hot(ids[:-1], 5).float() * 50
    ones = torch.ones(4)
    assert float(NextToken().loss(Fixed(oracle, targets, ones, 4)).sum) == pytest.approx(0, abs=1e-6)
    assert float(NextToken().loss(Fixed(copier, targets, ones, 4)).sum) / 4 > 1


def test_16_bit_logits_are_summed_in_32_bit() -> None:
    logits = torch.zeros(4096, 5, dtype=torch.bfloat16)
    term = NextToken().loss(Fixed(logits, torch.zeros(4096, dtype=torch.int64), torch.ones(4096), 4096))
    assert term.sum.dtype == torch.float32
    assert float(term.sum) == pytest.approx(4096 * np.log(5), rel=1e-5)


@pytest.mark.parametrize("share", [-0.1, 1.1, 2])
def test_a_smoothing_that_is_no_share_is_refused_before_a_row_is_encoded(share: float) -> None:
    with pytest.raises(RecipeError, match=f"label_smoothing is {share}; a share lies between 0 and 1"):
        NextToken(label_smoothing=share).check()
