"""The narrow waist that evaluators and audits see: a model of transformers that answers, scores, classifies, embeds."""

import math
from collections.abc import Sequence
from dataclasses import astuple
from functools import cached_property, partial

from torch import Tensor

from tunesmith.data.encoded import Encoded
from tunesmith.data.example import Message, Segment
from tunesmith.data.identity import key_of
from tunesmith.evaluation.decoding import Answer, check_room, decode, row_seeds, stop_ids, time_alone
from tunesmith.evaluation.measure import Timing
from tunesmith.evaluation.network import Network, further
from tunesmith.evaluation.questions import Question, Tools, answered, encoded, prompt_ids
from tunesmith.evaluation.scoring import Progress, mean_hidden, score

_PAIRS_AT_ONCE = 4096
"""Prompts with a label that `classify` holds as token ids at a time."""


class TransformersModel(Network):
    """A causal model of transformers behind the `LanguageModel` protocol; args as `Network`."""

    def generate(self, prompts: Sequence[Question]) -> list[str]:
        """Answers as text, in order; equal to one-by-one decoding, in bf16 but for ties within its rounding."""
        return [answer.text for answer in self.answers(prompts)]

    def answers(
        self,
        prompts: Sequence[Question],
        tools: Sequence[Tools] | None = None,
        progress: Progress | None = None,
    ) -> list[Answer]:
        """Answers with how they ended.

        Args:
            prompts: The turns before each answer, or template-free text: `prompt_ids` says what of it.
            tools: JSON schemas of the tools that each conversation may call.
            progress: Called with the prompts done and their number.

        Raises:
            DataError: A prompt fills the base's whole context.
        """
        self.generation.check()
        ids = self._prompts(prompts, tools)
        check_room(self.running, ids)  # the longest come last, when all others are answered
        seeds = row_seeds(ids, self.seed)
        sampled = self.generation.temperature > 0
        keys = [key_of(list(row), seed if sampled else 0) for row, seed in zip(ids, seeds, strict=True)]

        def make(rows: Sequence[int], told: Progress | None) -> list[Answer]:
            with self.evaluating() as network:
                chosen, own = [ids[i] for i in rows], [seeds[i] for i in rows]
                return decode(network, self.specialist.tokenizer, chosen, self._ends, self.generation, own, told)

        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        said = self.remembered(self.generation.way, keys, order, make, astuple, progress)
        return [Answer(one[0], one[1], one[2], len(row)) for one, row in zip(said, ids, strict=True)]

    def timed(
        self,
        prompts: Sequence[Question],
        tools: Sequence[Tools] | None = None,
        progress: Progress | None = None,
    ) -> list[Timing]:
        """How long answers take, each prompt asked alone, after one that warms up; args and errors as `answers`."""
        ids = self._prompts(prompts, tools)
        asked = [*ids[:1], *ids]
        seeds = row_seeds(asked, self.seed)
        found = []
        with self.evaluating() as network:
            for done, (row, seed) in enumerate(zip(asked, seeds, strict=True)):
                found.append(time_alone(network, self.specialist.tokenizer, row, self._ends, self.generation, seed))
                if progress is not None:
                    progress(done, len(ids))
        return found[1:]

    def logprob(
        self,
        conversations: Sequence[Question],
        tools: Sequence[Tools] | None = None,
        progress: Progress | None = None,
    ) -> list[tuple[float, int]]:
        """Sum of log-probabilities (nats) of the assistant turns' tokens, their end included, and their number.

        Turns and segments with a weight of 0 do not count. Segments that are longer than the base reads are scored in
        pieces, of which half is context.

        Args:
            conversations: Turns, or template-free segments, of each.
            tools: JSON schemas of the tools that each conversation may call.
            progress: Called with the conversations done and their number.

        Raises:
            DataError: A conversation is longer than the base's context.
        """
        each = tools if tools is not None else [()] * len(conversations)
        rows = [encoded(self.specialist.renderer, one, own) for one, own in zip(conversations, each, strict=True)]
        keys = [key_of(list(row.ids), [weight != 0 for weight in row.weights]) for row in rows]

        def make(chosen: Sequence[int], told: Progress | None) -> list[tuple[float, int]]:
            whole = zip(rows, conversations, strict=True)
            self.check_lengths([Encoded((), ()) if _is_text(conversation) else row for row, conversation in whole])
            parts = [self._readable(rows[i]) for i in chosen]
            with self.evaluating() as network:
                found = iter(score(network, [p for part in parts for p in part], self.generation.batch_size, told))
            return [_together([next(found) for _ in part]) for part in parts]

        order = sorted(range(len(rows)), key=lambda i: len(rows[i].ids))
        said = self.remembered("logprob", keys, order, make, tuple, progress)
        return [(float(total), int(count)) for total, count in said]

    def classify(
        self,
        prompts: Sequence[Question],
        labels: Sequence[str],
        tools: Sequence[Tools] | None = None,
        progress: Progress | None = None,
    ) -> list[list[float]]:
        """Probability of each label as the whole answer, normalised over the labels.

        Args:
            prompts: What is asked, as in `answers`.
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
            pairs = [answered(prompts[at], label) for at in part for label in labels]
            told = None if progress is None else partial(further, progress, start * count, len(prompts) * count)
            scores = [total for total, _ in self.logprob(pairs, [each[at] for at in part for _ in labels], told)]
            found += [_softmax(scores[i * count : (i + 1) * count]) for i in range(len(part))]
        return found

    def embed(self, texts: Sequence[str]) -> Tensor:
        """Mean last hidden state of each text, `[len(texts), width]`, float32 on the CPU; zeros for an empty text."""
        rows = [self.specialist.renderer.text([(text, 0.0)], end=False) for text in texts]
        self.check_lengths(rows)
        with self.evaluating() as network:
            return mean_hidden(network, [row.ids for row in rows], self.generation.batch_size)

    @cached_property
    def _ends(self) -> list[int]:
        return stop_ids(self.running, self.specialist.tokenizer, self.specialist.renderer)

    def _readable(self, row: Encoded) -> list[Encoded]:
        """A row in pieces that the base can read."""
        limit = self.positions
        if limit is None or len(row.ids) <= limit:
            return [row]
        return row.pieces(limit, limit // 2, self.specialist.tokenizer.bos_token_id)

    def _prompts(self, prompts: Sequence[Question], tools: Sequence[Tools] | None) -> list[Sequence[int]]:
        each = tools if tools is not None else [()] * len(prompts)
        return [prompt_ids(self.specialist.renderer, one, own) for one, own in zip(prompts, each, strict=True)]


def _is_text(conversation: Sequence[Message] | Sequence[Segment]) -> bool:
    return any(isinstance(part, Segment) for part in conversation)


def _together(scores: Sequence[tuple[float, int]]) -> tuple[float, int]:
    """The score of a row from those of its pieces."""
    return math.fsum(total for total, _ in scores), sum(number for _, number in scores)


def _softmax(scores: Sequence[float]) -> list[float]:
    top = max(scores, default=0.0)
    parts = [math.exp(s - top) for s in scores]
    return [part / math.fsum(parts) for part in parts]
