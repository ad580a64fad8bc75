"""What an audit looks at."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tunesmith.data.example import Example
from tunesmith.evaluation.measure import Measure, Sample
from tunesmith.evaluation.measuring import Said, combines, measured
from tunesmith.plugins.interfaces import Evaluator
from tunesmith.plugins.subject import LanguageModel

_HELD: Mapping[str, Callable[[Sample], bool]] = {
    "output": lambda sample: True,
    "logprob": lambda sample: not math.isnan(sample.logprob),
    "classes": lambda sample: bool(sample.probabilities),
    "rejected": lambda sample: not math.isnan(sample.rejected),
    "latency": lambda sample: False,  # of the machine and the moment, and of the first rows only
}
"""Whether a sample holds what an evaluator may need."""


@dataclass(slots=True)
class AuditSubject:
    """Data, model and outputs of one run; parts that no audit asks for are absent.

    Args:
        examples: The examples by split.
        model: The model under audit.
        outputs: Its samples.
        base: The same of the base; None where one model alone is looked at.
        evaluators: The recipe's, by which samples are measured.
    """

    examples: Mapping[str, Sequence[Example]] = field(default_factory=dict)
    model: LanguageModel | None = None
    outputs: Sequence[Sample] | None = None
    base: "AuditSubject | None" = None
    evaluators: Mapping[str, Evaluator] = field(default_factory=dict)

    def measure(self, samples: Sequence[Sample]) -> dict[str, Measure]:
        """What the recipe's evaluators say of samples; those that bring rows, or lack something, are left out.

        Evaluators that combine others are left out with what they would combine.

        Raises:
            TunesmithError: An evaluator failed.
        """
        kept = {
            name: one
            for name, one in self.evaluators.items()
            if not combines(one)
            and one.own_rows() is None
            and all(_HELD[need](sample) for need in one.needs for sample in samples)
        }
        left = [name for name, one in self.evaluators.items() if name not in kept and not combines(one)]
        if not left:
            kept = dict(self.evaluators)
        return measured(kept, Said(samples))
