"""What evaluators and audits see of a run: its examples, its model, its outputs."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from tunesmith.data.example import Example, Message, Segment
from tunesmith.evaluation.measure import Measure, Sample

if TYPE_CHECKING:
    import torch


class LanguageModel(Protocol):
    """The narrow waist that evaluators and audits see of a model.

    Since 0.1.
    """

    def generate(self, prompts: Sequence[Sequence[Message]]) -> list[str]:
        """Greedy answers by default, decoded as `generation` says; equal to one-by-one decoding."""

    def logprob(self, conversations: Sequence[Sequence[Message] | Sequence[Segment]]) -> list[tuple[float, int]]:
        """Sum of log-probabilities (nats) of the tokens of assistant turns, or of segments, and their number.

        Turns and segments with a weight of 0 do not count.
        """

    def classify(self, prompts: Sequence[Sequence[Message]], labels: Sequence[str]) -> list[list[float]]:
        """Probability of each label as the answer, normalised over the labels."""

    def embed(self, texts: Sequence[str]) -> "torch.Tensor":
        """Mean last hidden state of each text, `[len(texts), width]`."""

    def baseline(self, name: str = "base") -> "LanguageModel":
        """The model that the tuned one is compared with."""


class Subject(Protocol):
    """What an audit may look at; parts that its class does not ask for are absent.

    Since 0.1.

    Attributes:
        examples: The examples by split.
        model: The tuned model.
        outputs: Logged or generated samples.
    """

    examples: Mapping[str, Sequence[Example]]
    model: LanguageModel | None
    outputs: Sequence[Sample] | None

    @property
    def base(self) -> "Subject | None":
        """The same of the base, on the same examples; None where only one model is looked at. Since 0.13."""

    def measure(self, samples: Sequence[Sample]) -> Mapping[str, Measure]:
        """What the recipe's evaluators say of samples, by `name in the recipe/name of the measure`. Since 0.13.

        Evaluators that bring rows of their own, or read what the samples do not hold (the log-probability of the
        reference, the time that an answer took), are left out.
        """
