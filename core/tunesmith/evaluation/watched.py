"""A model that tells how far it has come with what an audit asks of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from tunesmith.data.example import Message, Segment
from tunesmith.evaluation.collect import AnsweringModel, Classifying, Progress
from tunesmith.evaluation.subject import AuditSubject
from tunesmith.plugins.subject import LanguageModel

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class WatchedModel:
    """What audits see of a model, with progress; the answers are the model's.

    Args:
        model: Who is asked.
        name: What progress says of who asks, and whom: `swap: tuned`.
        progress: Told how far it is.
    """

    model: AnsweringModel
    name: str
    progress: Progress

    def generate(self, prompts: Sequence[Sequence[Message]]) -> list[str]:
        """Answers."""
        return [answer.text for answer in self.model.answers(prompts, None, self._telling("answers"))]

    def logprob(self, conversations: Sequence[Sequence[Message] | Sequence[Segment]]) -> list[tuple[float, int]]:
        """Sum of log-probabilities (nats), and the number of tokens."""
        return self.model.logprob(conversations, None, self._telling("scores texts"))

    def classify(self, prompts: Sequence[Sequence[Message]], labels: Sequence[str]) -> list[list[float]]:
        """Probability of each label."""
        if isinstance(self.model, Classifying):
            return self.model.classify(prompts, labels, None, self._telling("scores choices"))
        return self.model.classify(prompts, labels)

    def embed(self, texts: Sequence[str]) -> "torch.Tensor":
        """Mean last hidden state of each text."""
        return self.model.embed(texts)

    def baseline(self, name: str = "base") -> LanguageModel:
        """The model that it is compared with."""
        return self.model.baseline(name)

    def _telling(self, what: str) -> Callable[[int, int], None]:
        return partial(self.progress, f"{self.name} {what}")


def watched(subject: AuditSubject, audit: str, progress: Progress, name: str = "tuned") -> AuditSubject:
    """A subject whose models tell how far they have come.

    Args:
        subject: What an audit looks at; its models can be asked for samples.
        audit: The audit's name in the recipe.
        progress: Told how far it is.
        name: What the subject's model is called.
    """
    base = watched(subject.base, audit, progress, "base") if subject.base is not None else None
    model = subject.model
    seen = WatchedModel(model, f"{audit}: {name}", progress) if model is not None else None  # type: ignore[arg-type]
    return replace(subject, model=seen, base=base)
