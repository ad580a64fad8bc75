"""Keeps weights that an old task needs, each by its importance there."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from tunesmith import Adapter, Chunk, Example, Forward, Objective, RecipeError, Regularizer, Term
from tunesmith_plugins.general_rows import general_rows
from tunesmith_plugins.regularizers.numbers import check_number

if TYPE_CHECKING:
    from torch import Tensor, nn


class EWC(Regularizer):
    """Elastic weight consolidation (Kirkpatrick et al. 2017, arXiv:1612.00796); unit: step.

        weight / 2 * sum over i of F_i * (w_i - w0_i)^2

    once an optimizer step: w are the trained weights, w0 their values before the first step, and F the diagonal of the
    Fisher information of general rows at w0, which stand for what the model could do before:

        F_i = sum over rows of (d log q(row) / d w_i)^2 / number of their tokens

    taken before training, one row a pass, dropout off: the square of each row's own gradient, as that of a batch would
    be something else. log q sums over a row's supervised tokens. With `labels: sampled` these are drawn at each
    position from the model itself, after the row's own text, which makes F the Fisher information; `given` takes the
    row's own tokens (the empirical Fisher, which Kunstner et al. 2019 warn of). F is by token, as the loss is: with
    `weight` 1 the penalty is, to second order and by the diagonal, the divergence of the tuned model from the base in
    nats a general token, which `KLToBase` computes in full, but on training rows.

    F and w0 take a copy of the trained weights each. F lies in checkpoints: a resumed run has the same. Of LoRA, A's
    importance is 0 as long as B is 0, and B's alone holds the update.

    Since 0.13.

    Args:
        file: The general rows: JSON lines, CSV or others as sources are read, with `prompt` and `completion`, or plain
            text; a few hundred are enough.
        weight: Factor of the penalty, lambda in the paper.
        labels: Whether each position's token is drawn from the model, or the row's own.
        prompt: Column of the question.
        completion: Column of the answer.
        text: Column of plain text, of rows that have no question.
    """

    def __init__(
        self,
        file: Path,
        weight: float = 1.0,
        labels: Literal["sampled", "given"] = "sampled",
        prompt: str = "prompt",
        completion: str = "completion",
        text: str = "text",
    ) -> None:
        self.file = file
        self.weight = weight
        self.labels = labels
        self.prompt = prompt
        self.completion = completion
        self.text = text

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """Both kinds of labels; rows are not read: the kit brings passes of its own."""
        file = Path("general.jsonl")
        return [cls(file), cls(file, labels="given")]

    def check(self, objective: Objective, adapter: Adapter) -> None:
        """Refuse a negative weight, and models that predict no next token.

        Raises:
            RecipeError: It is one.
        """
        check_number(self, "weight")
        if objective.model_class != "causal":
            kind = type(objective).__name__
            msg = f"EWC predicts each next token, and {kind} trains a {objective.model_class} model; use L2SP"
            raise RecipeError(msg)

    def own_rows(self) -> Sequence[Example]:
        """The general rows."""
        return list(general_rows(self.file, self.prompt, self.completion, self.text))

    def module(self) -> "nn.Module":
        """Holds the importance of each trained weight, in buffers, for checkpoints."""
        from torch import nn

        self._fisher = nn.Module()
        return self._fisher

    def setup(self, model: "nn.Module") -> None:
        """Keep what the weights are before the first step, and make room for their importance."""
        import torch

        from tunesmith_plugins.regularizers.anchors import anchors

        self._seed = torch.initial_seed()
        self._anchors = list(anchors(model))
        for anchor in self._anchors:
            assert anchor.start is not None
            self._fisher.register_buffer(_key(anchor.name), torch.zeros_like(anchor.start))

    def prepare(self, forwards: Iterator[Forward]) -> None:
        """Add up the squares of each row's gradient.

        Raises:
            RuntimeError: A pass has several rows, whose gradients are one.
        """
        import torch

        from tunesmith_plugins.regularizers.anchors import whole

        sums: dict[str, Tensor] = {}
        tokens = 0
        for forward in forwards:
            if len(forward.batch.examples) != 1:
                msg = f"EWC needs one row a pass, and got {len(forward.batch.examples)}"
                raise RuntimeError(msg)
            tokens += len(forward.supervised)
            self._likelihood(forward).backward()  # type: ignore[no-untyped-call]
            for anchor in self._anchors:
                weight = anchor.weight
                if weight.grad is not None:
                    square = weight.grad.detach().square()
                    sums[anchor.name] = sums[anchor.name] + square if anchor.name in sums else square
                    weight.grad = None
        with torch.no_grad():
            for name, total in sums.items():
                self._fisher.get_buffer(_key(name)).copy_(whole(total) / tokens)

    def _likelihood(self, forward: Forward) -> "Tensor":
        """Log-probability of a row's supervised tokens, or of others that the model draws in their places."""
        import torch
        import torch.nn.functional as F

        labels = forward.targets
        if self.labels == "sampled":
            name = forward.batch.examples[0].id
            digest = hashlib.blake2b(repr((self._seed, name)).encode(), digest_size=7).digest()
            generator = torch.Generator(labels.device).manual_seed(int.from_bytes(digest, "big"))
            with torch.no_grad():
                drawn = [
                    torch.multinomial(forward.head(chunk.hidden).float().softmax(-1), 1, generator=generator)[:, 0]
                    for chunk in forward.chunks()
                ]
            labels = torch.cat(drawn)

        def term(chunk: Chunk, wanted: "Tensor") -> "Tensor":
            return -F.cross_entropy(forward.head(chunk.hidden).float(), wanted, reduction="sum")

        return forward.total(term, labels)

    def penalty(self, forward: Forward) -> Term:
        """Half the squared way of each weight times its importance, times the weight."""
        import torch

        from tunesmith_plugins.regularizers.anchors import beside

        total = forward.hidden.new_zeros((), dtype=torch.float32)
        for anchor in self._anchors:
            fisher = self._fisher.get_buffer(_key(anchor.name))
            total = total + anchor.half_square(beside(anchor.weight, fisher))
        return Term(self.weight * total, "step")


def _key(name: str) -> str:
    """A buffer's name must have no dots."""
    return name.replace(".", "-")
