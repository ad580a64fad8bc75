"""Baselines besides the base: another way of asking it, another run's model, one behind an endpoint."""

import math
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from tunesmith.data.example import Example, Message
from tunesmith.data.identity import key_of
from tunesmith.endpoint import check_host, complete
from tunesmith.errors import DataError, RecipeError
from tunesmith.evaluation.collect import Asked, Loaded, Need, Progress, collect
from tunesmith.evaluation.decoding import Answer
from tunesmith.evaluation.generation import Generation
from tunesmith.evaluation.known import Known
from tunesmith.evaluation.measure import Sample
from tunesmith.evaluation.questions import Question, shown
from tunesmith.evaluation.threshold import BASE

_AT_ONCE = 8
_WAY = "chat"
_MODELS = {BASE: "the base itself", "tuned": "the model under test"}
ROW = ("id", "origin", "task", "prompt", "reference", "columns")
"""What a line of `predictions.jsonl` holds besides what models said, which lies there under their names."""


@dataclass
class Baseline:
    """What the tuned model is compared with besides the base: who is asked, and how.

    The base is asked where none of `run`, `checkpoint` and `endpoint` is given.

    Args:
        shots: Examples of the training split that are shown before each question, of its task where rows have one; the
            same for all, drawn by the recipe's seed.
        system: A system turn in place of the rows' own.
        run: A run directory, whose tuned model is asked: from the recipe's folder where it begins with `./ ../ ~`, else
            from the working directory, as `fit` says it.
        checkpoint: A checkpoint of that run, or where none is named of the run under test, in place of what it ended
            with: its path, its name, or `last`.
        endpoint: Address of an OpenAI-compatible server that is asked. Rows go to this machine only, unless its host is
            named in the environment's `TUNESMITH_HOSTS`. References are not scored there.
        model: Name of the model at the endpoint.
        key_variable: Environment variable that holds the endpoint's key, if it wants one.
        timeout: Seconds to wait for an answer of the endpoint.
    """

    shots: int = 0
    system: str | None = None
    run: str | None = None
    checkpoint: str | None = None
    endpoint: str | None = None
    model: str | None = None
    key_variable: str = "OPENAI_API_KEY"
    timeout: float = 120.0

    @property
    def asks_the_base(self) -> bool:
        """Whether it is another way of asking the base itself."""
        return self.run is None and self.checkpoint is None and self.endpoint is None

    def check(self, name: str) -> None:
        """Check the values.

        Raises:
            RecipeError: One makes no sense, or the baseline would be the base itself.
        """
        at = f"baselines.{name}"
        if name in _MODELS or name in ROW:
            whose = _MODELS.get(name, "a field of predictions.jsonl, where answers lie by baseline")
            msg = f"{at}: {name} is the name of {whose}; rename it"
            raise RecipeError(msg)
        if self.shots < 0 or self.timeout <= 0:
            key, least = ("shots", "0 or more") if self.shots < 0 else ("timeout", "above 0")
            msg = f"{at}.{key} is {getattr(self, key)}; it must be {least}"
            raise RecipeError(msg)
        ours = "run" if self.run is not None else "checkpoint"
        if getattr(self, ours) is not None and self.endpoint is not None:
            msg = f"{at} names {ours} and endpoint; a baseline is one of them"
            raise RecipeError(msg)
        if self.model is not None and self.endpoint is None:
            msg = f"{at}.model is {self.model}, and nothing reads it: it goes with endpoint"
            raise RecipeError(msg)
        named = (self.system, self.run, self.checkpoint, self.endpoint)
        if not self.shots and all(value is None for value in named):
            ways = "shots, system, run, checkpoint or endpoint"
            msg = f"{at} is the base as it is, which is compared with anyway; give {ways}"
            raise RecipeError(msg)
        if self.endpoint is not None:
            try:
                check_host(self.endpoint)
            except RecipeError as error:
                msg = f"{at}.{error}"
                raise RecipeError(msg) from None

    def asking(self, train: Sequence[Example], seed: int, name: str = "") -> Callable[[Example], Example]:
        """How a row is put to it: the same row, with other turns before its question.

        Args:
            train: The training split.
            seed: Of the examples that are shown.
            name: Of the baseline, for messages.

        Raises:
            RecipeError: There are fewer training rows with an answer than `shots`.
        """
        shown = self._shown(train, seed, name)

        def ask(example: Example) -> Example:
            turns = example.messages or example.chosen
            if not turns:
                return example
            head = [turn for turn in turns[:1] if turn.role == "system"]
            rest = turns[len(head) :]
            if self.system is not None:
                head = [Message("system", self.system)]
            before = shown.get(example.task) or next(iter(shown.values()), [])
            examples = [turn for turn in before if turn.role != "system"]
            return example.with_(messages=(*head, *examples, *rest), chosen=(), rejected=())

        return ask

    def _shown(self, train: Sequence[Example], seed: int, name: str) -> dict[str, list[Message]]:
        """The turns of the examples that are shown, by task."""
        if not self.shots:
            return {}
        by_task: dict[str, list[Example]] = {}
        for example in train:
            if example.prompt and example.reference:
                by_task.setdefault(example.task, []).append(example)
        few = min(by_task, key=lambda task: len(by_task[task]), default="")
        if (least := len(by_task.get(few, []))) < self.shots:
            of = f" of task {few}" if few else ""
            msg = f"baselines.{name}.shots is {self.shots}, and {least} training rows{of} have question and answer"
            raise RecipeError(msg)
        drawn = {task: Random(f"{seed} {task}").sample(rows, self.shots) for task, rows in by_task.items()}  # noqa: S311
        return {
            task: [replace(turn, weight=0.0) for one in rows for turn in (one.messages or one.chosen)]
            for task, rows in drawn.items()
        }


@dataclass(frozen=True, slots=True)
class Rival:
    """A baseline that can be asked.

    Args:
        model: Who answers.
        ask: How a row is put to it.
        training: Processor seconds that training it took; nan where nobody knows.
    """

    model: Asked
    ask: Callable[[Example], Example]
    training: float = math.nan

    def check(self, examples: Sequence[Example], needs: Collection[Need]) -> None:
        """Refuse what it cannot be asked, before a model runs.

        Raises:
            RecipeError: A server of chats would have to go on with a text.
        """
        text = next((example for example in examples if example.segments), None)
        if isinstance(self.model, Endpoint) and text is not None and "output" in needs:
            msg = (
                f"baselines.{self.model.name}.endpoint answers conversations, and {text.id} is template-free text, "
                "which goes on; leave out that baseline, or the evaluators that need such answers"
            )
            raise RecipeError(msg)

    def collect(
        self,
        examples: Sequence[Example],
        needs: Collection[Need],
        progress: Progress | None,
        name: str,
        classes: Sequence[str] = (),
    ) -> list[Sample]:
        """Its samples of the rows, as `collect`; their prompts are the rows' own, which evaluators read.

        Raises:
            DataError: A row, as it is put to this model, is too long for it, or lacks what is needed.
        """
        asked = [self.ask(example) for example in examples]
        try:
            samples = collect(self.model, asked, needs, progress, name, classes)
        except DataError as error:
            msg = f"baselines.{name}: {error}"
            raise DataError(msg) from error
        return [replace(sample, prompt=shown(example)) for sample, example in zip(samples, examples, strict=True)]

    def release(self) -> None:
        """Let go of what it has loaded: of all baselines, one model at a time is in memory."""
        if isinstance(self.model, Loaded):
            self.model.release()


@dataclass
class Endpoint:
    """A model behind an OpenAI-compatible server, which answers and does not score.

    Args:
        baseline: Where it is.
        name: Of the baseline.
        generation: How it shall decode.
        seed: Sent with each request.
        folder: Where its answers are kept, by its address and all that it was asked; None keeps nothing.
    """

    baseline: Baseline
    name: str
    generation: Generation
    seed: int = 0
    folder: Path | None = None

    def answers(
        self,
        prompts: Sequence[Question],
        tools: Sequence[Sequence[Mapping[str, Any]]] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Answer]:
        """Answers to conversations, in order; some of them are asked at a time, and kept as they come.

        Raises:
            RecipeError: The server cannot be reached, refuses, or answers something else.
        """
        each = tools if tools is not None else [()] * len(prompts)
        bodies = [self._body(prompt, own) for prompt, own in zip(prompts, each, strict=True)]
        keys = [key_of(body) for body in bodies]
        known = None if self.folder is None else Known(self.folder, key_of("endpoint", self.baseline.endpoint))
        found = {} if known is None else {at: Answer(*said) for at, said in known.get(_WAY, keys).items()}
        rest = [at for at in range(len(bodies)) if at not in found]
        with ThreadPoolExecutor(min(_AT_ONCE, self.generation.batch_size)) as pool:
            for at, answer in zip(rest, pool.map(self._answer, [bodies[at] for at in rest]), strict=True):
                found[at] = answer
                if known is not None:
                    known.put(_WAY, {keys[at]: list(astuple(answer))})
                if progress is not None:
                    progress(len(found), len(prompts))
        return [found[at] for at in range(len(bodies))]

    def ready(self) -> None:
        """Ask for one token, by the options of all other requests.

        Raises:
            RecipeError: The server cannot be reached, refuses, or answers something else.
        """
        short = Endpoint(self.baseline, self.name, replace(self.generation, max_new_tokens=1), self.seed)
        short._answer(short._body([Message("user", "Hello")], []))

    def _body(self, prompt: Question, tools: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """What is asked."""
        turns = [turn for turn in prompt if isinstance(turn, Message)]
        body: dict[str, Any] = {
            "model": self.baseline.model or "default",
            "messages": [{"role": turn.role, "content": turn.content, **turn.fields} for turn in turns],
            "max_tokens": self.generation.max_new_tokens,
            "temperature": self.generation.temperature,
            "seed": self.seed,
        }
        body |= {"stop": list(self.generation.stop)} if self.generation.stop else {}
        return body | ({"tools": [dict(tool) for tool in tools]} if tools else {})

    def _answer(self, body: Mapping[str, Any]) -> Answer:
        key = os.environ.get(self.baseline.key_variable, "")
        try:
            reply = complete(self.baseline.endpoint or "", key, self.baseline.timeout, **body)
        except RecipeError as error:
            msg = f"baselines.{self.name}.{error}"
            raise RecipeError(msg) from error
        return Answer(reply.text, reply.stopped, reply.tokens, reply.prompt)

    def logprob(self, conversations: Sequence[Any], tools: Any = None, progress: Any = None) -> list[tuple[float, int]]:
        """No score: servers do not tell the probability of a text that they are given."""
        return [(float("nan"), 0)] * len(conversations)
