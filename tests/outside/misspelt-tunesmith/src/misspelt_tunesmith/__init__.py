"""Its hook lacks a letter, so that without a check its classes would be missing without a word."""

from collections.abc import Sequence

from tunesmith import Evaluator, Measure, Sample, hookimpl


class Shouting(Evaluator):
    """Share of answers in capitals."""

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        """Compare with upper case."""
        return [Measure("capitals", [float(s.output.isupper()) for s in samples], higher_is_better=False)]


@hookimpl
def tunesmith_register_evaluator() -> list[type[Evaluator]]:
    """Should end in an s."""
    return [Shouting]
