"""Models that name a class: one with a head for classes, and the guess that knows nothing but how frequent each is."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn, Protocol, Self

import torch
from torch import Tensor, nn

from tunesmith.data.collate import collate
from tunesmith.data.encoded import Encoded
from tunesmith.data.encoded_rows import EncodedRow
from tunesmith.data.example import Example, Message, Segment
from tunesmith.data.identity import key_of
from tunesmith.data.truncate import cut_right
from tunesmith.errors import RecipeError
from tunesmith.evaluation.decoding import Answer
from tunesmith.evaluation.generation import Generation
from tunesmith.evaluation.known import Known
from tunesmith.evaluation.network import remembered
from tunesmith.evaluation.questions import Question
from tunesmith.evaluation.scoring import Progress
from tunesmith.nearest import did_you_mean
from tunesmith.plugins.interfaces import Objective
from tunesmith.training.classes import pooled
from tunesmith.training.modes import evaluating
from tunesmith.training.passes import ModelForward, Passes, Supervision

Tools = Sequence[Mapping[str, Any]]
Prompts = Sequence[Question]


class TunedToClasses(Protocol):
    """What is needed of a specialist that has a head for classes."""

    network: nn.Module
    passes: Passes
    objective: Objective
    renderer: Any

    @property
    def device(self) -> torch.device:
        """Where it runs."""


class Named:
    """A model that gives each class a probability; what it says follows from them.

    Attributes:
        names: The classes, in order.
        several: Whether a text may be of several classes, so that those above a half are named.
    """

    names: Sequence[str]
    several: bool

    def shares(self, prompts: Prompts, tools: Sequence[Tools] | None, progress: Progress | None) -> list[list[float]]:
        """Probabilities of the classes, `[prompts][classes]`."""
        raise NotImplementedError

    def generate(self, prompts: Prompts) -> list[str]:
        """Names of classes."""
        return [answer.text for answer in self.answers(prompts)]

    def answers(
        self, prompts: Prompts, tools: Sequence[Tools] | None = None, progress: Progress | None = None
    ) -> list[Answer]:
        """The likeliest class, or those above a half; nothing is generated."""
        return [Answer(self._said(row), stopped=True, tokens=0) for row in self.shares(prompts, tools, progress)]

    def classify(
        self,
        prompts: Prompts,
        labels: Sequence[str],
        tools: Sequence[Tools] | None = None,
        progress: Progress | None = None,
    ) -> list[list[float]]:
        """Probability of each label, as the head has it.

        Raises:
            RecipeError: A label is none of the classes.
        """
        if unknown := next((label for label in labels if label not in self.names), None):
            near = did_you_mean(unknown, self.names)
            msg = f"{unknown!r} is none of the classes that the model has a head for{near}: {', '.join(self.names)}"
            raise RecipeError(msg)
        places = [list(self.names).index(label) for label in labels]
        return [[row[at] for at in places] for row in self.shares(prompts, tools, progress)]

    def logprob(
        self,
        conversations: Sequence[Sequence[Message] | Sequence[Segment]],
        tools: Sequence[Tools] | None = None,
        progress: Progress | None = None,
    ) -> list[tuple[float, int]]:
        """None: a head for classes scores no tokens.

        Raises:
            RecipeError: Always.
        """
        _refuse("scores no text token by token")

    def _said(self, row: Sequence[float]) -> str:
        if self.several:
            return ", ".join(name for name, share in zip(self.names, row, strict=True) if share > 0.5)
        return self.names[max(range(len(row)), key=row.__getitem__)]


@dataclass
class Prior(Named):
    """The most frequent class for every text, with the classes' shares of the training rows as probabilities.

    It takes the place of a base whose head would be random.

    Args:
        names: The classes, in order.
        several: Whether rows may have several.
        frequencies: Of each class, its share of the rows.
    """

    names: Sequence[str]
    several: bool
    frequencies: Sequence[float]

    @classmethod
    def of(cls, names: Sequence[str], several: bool, answers: Iterable[str]) -> "Prior":
        """Count the classes of training rows, each named by its answer."""
        counts: Counter[str] = Counter()
        rows = 0
        for answer in answers:
            counts.update(answer.split(", ") if several else [answer])
            rows += 1
        return cls(names, several, [counts[name] / max(1, rows) for name in names])

    def shares(self, prompts: Prompts, tools: Sequence[Tools] | None, progress: Progress | None) -> list[list[float]]:
        """The same for each."""
        return [list(self.frequencies) for _ in prompts]

    def embed(self, texts: Sequence[str]) -> Tensor:
        """None: what does not read texts has no states of them.

        Raises:
            RecipeError: Always.
        """
        _refuse("has no base to embed texts with, but the most frequent class")

    def baseline(self, name: str = "base") -> "Prior":
        """Itself."""
        return self


@dataclass
class ClassModel(Named):
    """A specialist with a head for classes, run as in validation; it reads what it was trained to read.

    Args:
        specialist: The loaded model.
        generation: How many rows are run at once.
        longest: Tokens that are read of a text at most, as in training.
        prior: What stands for the base; None for a base that has a head of the same classes.
        adapted: Whether the adapter is on.
        known: What this model has said before; None keeps nothing.
    """

    specialist: TunedToClasses
    generation: Generation = field(default_factory=Generation)
    longest: int | None = None
    prior: Prior | None = None
    adapted: bool = True
    known: Known | None = None

    @property
    def names(self) -> list[str]:  # type: ignore[override]
        """The classes, in the head's order."""
        known = self._config.id2label
        return [str(known[at]) for at in sorted(known)]

    @property
    def several(self) -> bool:  # type: ignore[override]
        """Whether the head gives each class a probability by itself."""
        return bool(self._config.problem_type == "multi_label_classification")

    def baseline(self, name: str = "base") -> "Self | Prior":
        """What stands for the base.

        Raises:
            RecipeError: No baseline has that name.
        """
        if name != "base":
            msg = f"baseline {name!r} is not known; known: base"
            raise RecipeError(msg)
        return self.prior or replace(self, adapted=False, known=None)

    def shares(self, prompts: Prompts, tools: Sequence[Tools] | None, progress: Progress | None) -> list[list[float]]:
        """Probabilities of the classes, `[prompts][classes]`."""
        each = tools if tools is not None else [()] * len(prompts)
        rows = [self._row(prompt, own) for prompt, own in zip(prompts, each, strict=True)]
        keys = [key_of(list(row.ids), []) for row in rows]

        def make(chosen: Sequence[int], told: Progress | None) -> list[list[float]]:
            found: list[list[float]] = []
            for start in range(0, len(chosen), self.generation.batch_size):
                found += self._run([rows[at] for at in chosen[start : start + self.generation.batch_size]])
                if told is not None:
                    told(len(found), len(chosen))
            return found

        order = sorted(range(len(rows)), key=lambda at: len(rows[at].ids))
        said = remembered(self.known, self.generation.batch_size, "classes", keys, order, make, tuple, progress)
        return [[float(share) for share in row] for row in said]

    def embed(self, texts: Sequence[str]) -> Tensor:
        """Mean last hidden state of each text, `[len(texts), width]`, float32 on the CPU."""
        rows = [self._row((Message("user", text),), ()) for text in texts]
        size = self.generation.batch_size
        parts = [self._forward(rows[start : start + size]) for start in range(0, len(rows), size)]
        means = [pooled(forward.hidden, forward.batch, "mean").float().cpu() for forward in parts]
        return torch.cat(means) if means else torch.zeros(0, self._config.get_text_config().hidden_size)

    def _row(self, prompt: Question, tools: Tools) -> Encoded:
        # what is read of an example leaves its answer out
        turns = [turn for turn in prompt if isinstance(turn, Message)]
        asked = Example(messages=(*turns, Message("assistant", "")), tools=tuple(tools))
        row = self.specialist.objective.read(asked, self.specialist.renderer)
        return row if self.longest is None else cut_right(row, self.longest, self.specialist.renderer.closing_id)

    def _run(self, rows: Sequence[Encoded]) -> list[list[float]]:
        forward = self._forward(rows)
        with torch.no_grad(), evaluating(self.specialist.network):
            logits = forward.head(forward.pooled()).float()
        shares = logits.sigmoid() if self.several else logits.softmax(-1)
        found: list[list[float]] = shares.cpu().double().tolist()
        return found

    @torch.no_grad()
    def _forward(self, rows: Sequence[Encoded]) -> ModelForward:
        batch = collate([EncodedRow(Example(), (row,)) for row in rows]).to(self.specialist.device)
        passes, plan = self.specialist.passes, Supervision.of(batch)
        with evaluating(self.specialist.network):
            return passes(batch, plan, perturbed=False) if self.adapted else passes.baseline(batch, plan)

    @property
    def _config(self) -> Any:
        return self.specialist.passes.model.config


def _refuse(what: str) -> NoReturn:
    msg = f"a model with a head for classes {what}; leave out evaluators and audits that ask for it"
    raise RecipeError(msg)
