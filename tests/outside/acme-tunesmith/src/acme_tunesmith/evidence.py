"""What is measured."""

from collections.abc import Sequence
from typing import Literal

from tunesmith import Audit, Evaluator, Findings, Measure, Sample, Subject, Table, deprecated

Severity = Literal["none", "low", "medium"]
_EVIDENCE = 20


@deprecated("most", removal="2.0", option="limit")
class AnswerLength(Evaluator):
    """Number of words an answer; lower is better.

    Args:
        most: Longer answers count as this many words.
        limit: What `most` was called.
    """

    def __init__(self, most: int = 1000, limit: int | None = None) -> None:
        self.most = most
        self.limit = limit

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        """Count words."""
        most = self.most if self.limit is None else self.limit
        words = [float(min(most, len(s.output.split()))) for s in samples]
        return [Measure("words", words, higher_is_better=False, unit="words")]


class ExactMatch(Evaluator):
    """Share of answers that equal the reference letter by letter: stricter than the built-in of the same name."""

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        """Compare."""
        return [Measure("exact_match", [float(s.output == s.reference) for s in samples])]


class LengthGap(Audit):
    """How much longer the references of one group are than those of another; shows the shortest.

    Args:
        column: The column that names the group.
    """

    def __init__(self, column: str = "group") -> None:
        self.column = column

    def examine(self, subject: Subject) -> Findings:
        """Compare the groups' mean number of words."""
        words: dict[str, dict[str, int]] = {}
        for examples in subject.examples.values():
            for example in examples:
                group = words.setdefault(str(example.extras.get(self.column, "none")), {})
                group[example.id] = len(example.reference.split())
        means = {group: sum(counts.values()) / len(counts) for group, counts in sorted(words.items())}
        gap = max(means.values(), default=0.0) - min(means.values(), default=0.0)
        table = Table("words a reference", ("group", "mean"), tuple(means.items()))
        severity: Severity = "none" if gap < 1 else "low" if gap < 10 else "medium"
        summary = f"references of groups differ by {gap:.1f} words on average"
        shortest = words[min(means, key=means.__getitem__)] if severity != "none" else {}
        evidence = tuple(sorted(shortest, key=shortest.__getitem__)[:_EVIDENCE])
        return Findings(summary, severity, {"gap": gap}, (table,), evidence)

    def produces(self) -> list[Measure]:
        """The gap."""
        return [Measure("gap", [], higher_is_better=False, unit="words")]
