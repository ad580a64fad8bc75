"""What an audit looks at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tunesmith.data.example import Example
from tunesmith.evaluation.measure import Sample
from tunesmith.plugins.subject import LanguageModel


@dataclass(slots=True)
class AuditSubject:
    """Data, model and outputs of one run; parts that no audit asks for are absent.

    Args:
        examples: The examples by split.
        model: The model under audit.
        outputs: Its samples.
    """

    examples: Mapping[str, Sequence[Example]] = field(default_factory=dict)
    model: LanguageModel | None = None
    outputs: Sequence[Sample] | None = None
