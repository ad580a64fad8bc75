"""The narrow waist that evaluators and audits see: a model of transformers that answers, scores, classifies, embeds."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import astuple, dataclass, field
from functools import cached_property, partial
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from tunesmith.data.encoded import Encoded
from tunesmith.data.example import Message, Segment
from tunesmith.errors import DataError, RecipeError
from tunesmith.evaluation.decoding import Answer, decode, row_seeds, stop_ids, time_alone
from tunesmith.evaluation.generation import Generation
from tunesmith.evaluation.known import Known, key_of
from tunesmith.evaluation.measure import Timing
from tunesmith.evaluation.scoring import Progress, mean_hidden, score
from tunesmith.plugins.interfaces import Adapter, Renderer
from tunesmith.training.attention import language_model, plain_attention
from tunesmith.training.modes import evaluating

Tools = Sequence[Mapping[str, Any]]
_Made = TypeVar("_Made")
_PAIRS_AT_ONCE = 4096
"""Prompts with a label that `classify` holds as token ids at a time."""
_BATCHES_KEPT = 8  # made between two writes: more keep lengths together, fewer lose less to a kill


class Tuned(Protocol):
    """What is needed of a specialist: a loaded network, its tokenizer, and how it was adapted."""

    @property
    def network(self) -> nn.Module:
        """The attached network."""

    @property
    def tokenizer(self) -> Any:
        """Its tokenizer."""

    @property
    def renderer(self) -> Renderer:
        """Turns to ids."""

    @property
    def adapter(self) -> Adapter:
        """What was attached."""

    def autocast(self) -> AbstractContextManager[Any]:
        """The precision of every pass."""

    def compared_network(self) -> nn.Module | None:
        """The network that is the base; None where it is this one with its adapter off."""


@dataclass
class TransformersModel:
    """A causal model of transformers behind the `LanguageModel` protocol.

    Every pass runs in evaluation mode, without gradients, with plain attention and in the precision of training; each
    module's mode is put back afterwards.

    Args:
        specialist: The loaded model.
        generation: How answers are decoded.
        seed: Start of every row's seed, where tokens are sampled.
        network: Another network to run than the specialist's (a frozen copy of the base).
        adapted: Whether the adapter is on.
        known: What this model has said before; None keeps nothing.
        known_base: The same of its base.
    """

    specialist: Tuned
    generation: Generation = field(default_factory=Generation)
    seed: int = 0
    network: nn.Module | None = None
    adapted: bool = True
    known: Known | None = None
    known_base: Known | None = None

    def generate(self, prompts: Sequence[Sequence[Message]]) -> list[str]:
        """Answers as text, in order; equal to one-by-one decoding, in bf16 but for ties within its rounding."""
        return [answer.text for answer in self.answers(prompts)]

    def answers(
        self,
        prompts: Sequence[Sequence[Message]],
        tools: Sequence[Tools] | None = None,
        progress: Progress | None = None,
    ) -> list[Answer]:
        """Answers with how they ended.

        Args:
            prompts: The turns before each answer.
            tools: JSON schemas of the tools that each conversation may call.
            progress: Called with the prompts done and their number.

        Raises:
            DataError: A prompt fills the base's whole context.
        """
        self.generation.check()
        each = tools if tools is not None else [()] * len(prompts)
        renderer = self.specialist.renderer
        ids = [renderer.prompt(prompt, own).ids for prompt, own in zip(prompts, each, strict=True)]
        seeds = row_seeds(ids, self.seed)
        sampled = self.generation.temperature > 0
        keys = [key_of(list(row), seed if sampled else 0) for row, seed in zip(ids, seeds, strict=True)]

        def make(rows: Sequence[int], told: Progress | None) -> list[Answer]:
            with self._evaluating() as network:
                chosen, own = [ids[i] for i in rows], [seeds[i] for i in rows]
                return decode(network, self.specialist.tokenizer, chosen, self._ends, self.generation, own, told)

        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        said = self._known(self.generation.way, keys, order, make, astuple, progress)
        return [Answer(one[0], one[1], one[2], len(row)) for one, row in zip(said, ids, strict=True)]

    def timed(
        self,
        prompts: Sequence[Sequence[Message]],
        tools: Sequence[Tools] | None = None,
        progress: Progress | None = None,
    ) -> list[Timing]:
        """How long answers take, each prompt asked alone, after one that warms up; args and errors as `answers`."""
        each = tools if tools is not None else [()] * len(prompts)
        renderer = self.specialist.renderer
        ids = [renderer.prompt(prompt, own).ids for prompt, own in zip(prompts, each, strict=True)]
        asked = [*ids[:1], *ids]
        seeds = row_seeds(asked, self.seed)
        found = []
        with self._evaluating() as network:
            for done, (row, seed) in enumerate(zip(asked, seeds, strict=True)):
                found.append(time_alone(network, self.specialist.tokenizer, row, self._ends, self.generation, seed))
                if progress is not None:
                    progress(done, len(ids))
        return found[1:]

    def logprob(
        self,
        conversations: Sequence[Sequence[Message] | Sequence[Segment]],
        tools: Sequence[Tools] | None = None,
        progress: Progress | None = None,
    ) -> list[tuple[float, int]]:
        """Sum of log-probabilities (nats) of the assistant turns' tokens, their end included, and their number.

        Turns and segments with a weight of 0 do not count.

        Args:
            conversations: Turns, or template-free segments, of each.
            tools: JSON schemas of the tools that each conversation may call.
            progress: Called with the conversations done and their number.

        Raises:
            DataError: A conversation is longer than the base's context.
        """
        each = tools if tools is not None else [()] * len(conversations)
        rows = [self._encode(conversation, own) for conversation, own in zip(conversations, each, strict=True)]
        keys = [key_of(list(row.ids), [weight != 0 for weight in row.weights]) for row in rows]

        def make(chosen: Sequence[int], told: Progress | None) -> list[tuple[float, int]]:
            with self._evaluating() as network:
                self._check_lengths(network, rows)
                return score(network, [rows[i] for i in chosen], self.generation.batch_size, told)

        order = sorted(range(len(rows)), key=lambda i: len(rows[i].ids))
        said = self._known("logprob", keys, order, make, tuple, progress)
        return [(float(total), int(count)) for total, count in said]

    def _known(
        self,
        way: str,
        keys: Sequence[str],
        order: Sequence[int],
        make: Callable[[Sequence[int], Progress | None], Sequence[_Made]],
        plain: Callable[[_Made], tuple[Any, ...]],
        progress: Progress | None,
    ) -> list[Sequence[Any]]:
        """Results of rows: what is known, and the rest made and kept, some batches at a time.

        Args:
            way: What decides a result beside the model and the row.
            keys: Of the rows.
            order: In which they are made, rows of similar length together.
            make: Results of rows by their places.
            plain: A result as it is kept.
            progress: Called with the rows done and their number.
        """
        found: dict[int, Sequence[Any]] = {}
        if self.known is not None:
            found.update(self.known.get(way, keys))
        rest = [at for at in order if at not in found]
        step = len(rest) if self.known is None else _BATCHES_KEPT * self.generation.batch_size
        for start in range(0, len(rest), max(1, step)):
            chosen, before = rest[start : start + step], len(found)
            told = None if progress is None else partial(_further, progress, before, len(keys))
            made = [plain(one) for one in make(chosen, told)]
            found.update(zip(chosen, made, strict=True))
            if self.known is not None:
                self.known.put(way, {keys[at]: list(one) for at, one in zip(chosen, made, strict=True)})
        return [found[at] for at in range(len(keys))]

    def classify(
        self,
        prompts: Sequence[Sequence[Message]],
        labels: Sequence[str],
        tools: Sequence[Tools] | None = None,
        progress: Progress | None = None,
    ) -> list[list[float]]:
        """Probability of each label as the whole answer, normalised over the labels.

        Args:
            prompts: The turns before each answer.
            labels: The answers.
            tools: JSON schemas of the tools that each conversation may call.
            progress: Called with the labels scored and their number, over all prompts.
        """
        each = tools if tools is not None else [()] * len(prompts)
        count = len(labels)
        step = max(1, _PAIRS_AT_ONCE // max(1, count))
        found: list[list[float]] = []
        for start in range(0, len(prompts), step):
            part = range(start, min(start + step, len(prompts)))
            silent = [[_with_weight(turn, 0.0) for turn in prompts[at]] for at in part]
            pairs = [[*prompt, Message("assistant", label, 1.0)] for prompt in silent for label in labels]
            told = None if progress is None else partial(_further, progress, start * count, len(prompts) * count)
            scores = [total for total, _ in self.logprob(pairs, [each[at] for at in part for _ in labels], told)]
            found += [_softmax(scores[i * count : (i + 1) * count]) for i in range(len(part))]
        return found

    def embed(self, texts: Sequence[str]) -> Tensor:
        """Mean last hidden state of each text, `[len(texts), width]`, float32 on the CPU; zeros for an empty text."""
        rows = [self.specialist.renderer.text([(text, 0.0)], end=False) for text in texts]
        with self._evaluating() as network:
            self._check_lengths(network, rows)
            return mean_hidden(network, [row.ids for row in rows], self.generation.batch_size)

    def baseline(self, name: str = "base") -> "TransformersModel":
        """The base: this network with the adapter off, or a frozen copy where it cannot be switched off.

        Raises:
            RecipeError: No baseline has that name.
        """
        if name != "base":
            msg = f"baseline {name!r} is not known; known: base"
            raise RecipeError(msg)
        if not self.adapted or self.network is not None:
            return self
        network = self.specialist.compared_network()
        model = TransformersModel(self.specialist, self.generation, self.seed, network, adapted=False)
        model.known = self.known_base
        return model

    @contextmanager
    def _evaluating(self) -> Iterator[nn.Module]:
        network = self.network if self.network is not None else self.specialist.network
        with ExitStack() as stack:
            stack.enter_context(evaluating(network))
            if not self.adapted and self.network is None:
                stack.enter_context(self.specialist.adapter.without(network))
            stack.enter_context(plain_attention(network))
            # Not inference_mode: tensors that a layer caches in it cannot take part in a later backward pass.
            stack.enter_context(torch.no_grad())
            stack.enter_context(self.specialist.autocast())
            yield network

    @cached_property
    def _ends(self) -> list[int]:
        network = self.network if self.network is not None else self.specialist.network
        return stop_ids(network, self.specialist.tokenizer, self.specialist.renderer)

    def _encode(self, conversation: Sequence[Message] | Sequence[Segment], tools: Tools) -> Encoded:
        segments = [part for part in conversation if isinstance(part, Segment)]
        if segments:
            return self.specialist.renderer.text([(part.text, part.weight) for part in segments])
        turns = [part for part in conversation if isinstance(part, Message)]
        return self.specialist.renderer.conversation(turns, tools)

    def _check_lengths(self, network: nn.Module, rows: Sequence[Encoded]) -> None:
        limit = getattr(language_model(network).config, "max_position_embeddings", None)
        for number, row in enumerate(rows, 1):
            if limit is not None and len(row.ids) > limit:
                msg = (
                    f"text {number} has {len(row.ids)} tokens; the base reads {limit}: "
                    "shorten it or take a base with a longer context"
                )
                raise DataError(msg)


def _further(progress: Progress, before: int, count: int, done: int, _: int) -> None:
    """Tell how far a part of the rows is, as a part of all."""
    progress(before + done, count)


def _with_weight(turn: Message, weight: float) -> Message:
    return Message(turn.role, turn.content, weight, turn.fields)


def _softmax(scores: Sequence[float]) -> list[float]:
    top = max(scores, default=0.0)
    parts = [math.exp(s - top) for s in scores]
    return [part / math.fsum(parts) for part in parts]
