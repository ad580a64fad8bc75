"""A plugin whose module loads torch, which is the rule that it breaks."""

from collections.abc import Sequence

import torch

from tunesmith import Evaluator, Measure, Sample


class LoadsTorch(Evaluator):
    """Counts words."""

    breaks = "imports_no_torch"

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        return [Measure("words", torch.tensor([float(len(s.output.split())) for s in samples]).tolist())]
