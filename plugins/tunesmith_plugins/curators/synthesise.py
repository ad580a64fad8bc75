"""Synthesise: rows that a larger model proposes from yours, and that people approve before any is trained on."""

import os
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import ClassVar, Literal, Self

from tunesmith import Curator, Example, Message, RecipeError, Record, Segment, chat, check_host
from tunesmith_plugins.curators.synthesis.asking import answer, question
from tunesmith_plugins.curators.synthesis.filters import alike, why_not
from tunesmith_plugins.curators.synthesis.queue import Proposal, append, read

_EACH = 5
_TRIES = 3


class Synthesise(Curator):
    """Adds the approved rows of a queue to the training rows; asked to, has a larger model propose more for it.

    1. `lightning-cli prepare --config RECIPE --data.curators.NAME.init_args.propose=50` shows the model a few training
       rows at a time and asks for new ones. Filtered out are rows with an empty part, refusals, answers that are not
       JSON where the seeds' are, answers three times longer or shorter than the seeds', and near-duplicates of
       training, validation, test and queued rows. What is left waits in `review`, a file of JSON lines.
    2. A person writes `"status": "approved"` or `"rejected"` there, and may mend the texts. Nothing else is ever used.
    3. Every verb adds the approved rows, in the queue's order.

    Seeds are sent as the curators before this one left them: put Anonymise before it. Rows go to this machine only,
    unless the host of `endpoint` is named in the environment's `TUNESMITH_HOSTS`: a recipe cannot send data away.
    Conversations of one question and one answer, and plain texts, can be seeds and results.

    Since 0.9.

    Args:
        review: The queue.
        endpoint: Address of an OpenAI-compatible server, to which `/chat/completions` is appended.
        model: Name of the model there.
        instruction: What the task is, and which cases are missing.
        propose: Rows to ask for now; 0 speaks to no server.
        seeds: Training rows that are shown at a time.
        temperature: Of sampling.
        threshold: Jaccard similarity of three-word shingles from which on two rows are near-duplicates.
        key_variable: Environment variable that holds the server's key, if it wants one.
        timeout: Seconds to wait for an answer.
    """

    scope: ClassVar[Literal["all", "train"]] = "train"

    def __init__(
        self,
        review: Path,
        endpoint: str = "http://localhost:8000/v1",
        model: str = "default",
        instruction: str = "",
        propose: int = 0,
        seeds: int = 4,
        temperature: float = 0.9,
        threshold: float = 0.6,
        key_variable: str = "OPENAI_API_KEY",
        timeout: float = 120.0,
    ) -> None:
        self.review = review
        self.endpoint = endpoint
        self.model = model
        self.instruction = instruction
        self.propose = propose
        self.seeds = seeds
        self.temperature = temperature
        self.threshold = threshold
        self.key_variable = key_variable
        self.timeout = timeout

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """One with a queue that nobody has filled."""
        return [cls(Path("no-queue-yet.jsonl"))]

    def check(self) -> None:
        """Refuse numbers that cannot be, and hosts that the user has not named."""
        least = {"propose": 0, "seeds": 1, "temperature": 0, "timeout": 0}
        for name, smallest in least.items():
            if getattr(self, name) < smallest:
                msg = f"{name} is {getattr(self, name)}; it is at least {smallest}"
                raise RecipeError(msg)
        if not 0 < self.threshold <= 1:
            msg = f"threshold is {self.threshold}; a similarity lies above 0 and is at most 1"
            raise RecipeError(msg)
        if self.propose:
            check_host(self.endpoint)

    def fingerprint(self) -> str | None:
        """Nothing where the queue says all; unknown where a server is asked."""
        return None if self.propose else ""

    def apply(self, examples: Iterable[Example], record: Record) -> Iterator[Example]:
        """Pass all on, and the approved ones behind them.

        Raises:
            RecipeError: The server cannot be used, or no row can be a seed.
            DataError: The queue cannot be read.
        """
        queue = read(self.review)
        approved = [proposal for proposal in queue if proposal.status == "approved"]
        wanted = {proposal.seeds[0] for proposal in approved if proposal.seeds}
        likes: dict[str, Example] = {}
        held = list(examples) if self.propose else []
        for example in held or examples:
            if example.id in wanted:
                likes[example.id] = example
            yield example
        if self.propose and os.environ.get("LOCAL_RANK", "0") == "0":  # one process asks for all
            append(self.review, self._proposals(held, queue, record))
        for proposal in approved:
            made = _example(proposal, likes.get(proposal.seeds[0]) if proposal.seeds else None)
            record.add(made, "synthetic, approved")
            yield made

    def _proposals(self, examples: Sequence[Example], queue: Sequence[Proposal], record: Record) -> list[Proposal]:
        """New proposals, those that were filtered out included."""
        check_host(self.endpoint)
        usable = [seed for example in examples if (seed := _seed(example)) is not None]
        if len(usable) < self.seeds:
            msg = f"seeds is {self.seeds}, and {len(usable)} training rows have one question and one answer, or a text"
            raise RecipeError(msg)
        drawn = random.Random(f"{record.seed} {len(queue)}")  # noqa: S311  no secret
        seen = {proposal.id for proposal in queue}
        found: list[Proposal] = []
        left = self.propose
        for _ in range(_TRIES * -(-self.propose // _EACH)):
            shown = drawn.sample(usable, self.seeds)
            said = chat(
                self.endpoint,
                os.environ.get(self.key_variable, ""),
                self.timeout,
                model=self.model,
                temperature=self.temperature,
                messages=question(self.instruction, shown, min(left, _EACH)),
            )
            distinct = {p.id: p for p in answer(said, shown, self.model) if p.id not in seen}
            new = list(distinct.values())[:left]
            seen.update(distinct)
            new = [replace(p, status="filtered", reason=why) if (why := why_not(p, shown)) else p for p in new]
            found += new
            left -= sum(p.status == "proposed" for p in new)
            if left <= 0:
                break
        return self._without_copies(found, [*examples, *record.held_out], queue)

    def _without_copies(
        self, found: Sequence[Proposal], examples: Iterable[Example], queue: Iterable[Proposal]
    ) -> list[Proposal]:
        waiting = [p for p in found if p.status == "proposed"]
        known = (f"{seed.prompt} {seed.completion}" for example in examples if (seed := _seed(example)) is not None)
        queued = (f"{p.prompt} {p.completion}" for p in queue)
        near = alike([f"{p.prompt} {p.completion}" for p in waiting], chain(known, queued), self.threshold)
        copies = {p.id for p, is_near in zip(waiting, near, strict=True) if is_near}
        return [replace(p, status="filtered", reason="near-duplicate") if p.id in copies else p for p in found]


def _seed(example: Example) -> Proposal | None:
    """An example as a model is shown it; None where it has another shape."""
    if example.segments:
        return Proposal(example.id, "approved", "", "".join(segment.text for segment in example.segments))
    turns = [turn for turn in example.messages if turn.role != "system"]
    plain = [turn.role for turn in turns] == ["user", "assistant"] and not any(turn.fields for turn in turns)
    if not plain or example.label is not None:
        return None
    return Proposal(example.id, "approved", turns[0].content, turns[1].content)


def _example(proposal: Proposal, like: Example | None) -> Example:
    """An approved row, with the system turns and the task of its first seed."""
    if not proposal.prompt:
        return Example(segments=(Segment(proposal.completion),), id=proposal.id, task=like.task if like else "")
    system = tuple(turn for turn in like.messages if turn.role == "system") if like else ()
    turns = (*system, Message("user", proposal.prompt), Message("assistant", proposal.completion))
    return Example(messages=turns, id=proposal.id, task=like.task if like else "")
