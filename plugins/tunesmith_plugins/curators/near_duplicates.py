"""NearDuplicates: one of those that resemble each other."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, Self

from tunesmith import Curator, Example, NearDuplicateIndex, Record


class NearDuplicates(Curator):
    """Drops examples that resemble one that stays: prompt and answer alike, each by itself, label and tools equal.

    Texts are alike where their runs of 3 words have a Jaccard similarity of about `threshold` (MinHash, plus or minus
    0.035 to 0.05); texts of up to 10 words only where they are equal but for case and white space. So a long prompt
    that many examples share makes none of them a near-duplicate, and neither do two labels or short answers to one
    text. System turns are not compared.

    Examples are taken in order, as `keep` says, and each is dropped that resembles one that stays: whatever is dropped
    resembles something that stays, and nothing that stays resembles anything else that does. Chains are not followed:
    of A, B like A, and C like B but not like A, only B is dropped.

    Since 0.9.

    Args:
        threshold: Least similarity of near-duplicates, 0.5 to 1; from 0.8 on few words differ.
        keep: Which stays: the `first`, or the `longest` by letters (of equally long ones the first).
        prompts_only: Compare prompts alone, whatever the answers and labels are.
    """

    def __init__(
        self, threshold: float = 0.8, keep: Literal["first", "longest"] = "first", prompts_only: bool = False
    ) -> None:
        self.threshold = threshold
        self.keep = keep
        self.prompts_only = prompts_only

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """Each way to choose, and both comparisons."""
        return [cls(), cls(threshold=0.6, keep="longest"), cls(prompts_only=True)]

    def apply(self, examples: Iterable[Example], record: Record) -> Iterator[Example]:
        """Keep one of those that resemble each other."""
        given = examples if isinstance(examples, Sequence) else list(examples)
        index = NearDuplicateIndex(self.threshold, self.prompts_only)
        lengths = array("q")
        for example in given:
            index.add(example)
            lengths.append(sum(map(len, example.texts())))
        order = sorted(range(len(given)), key=lambda number: -lengths[number]) if self.keep == "longest" else None
        for example, repeated in zip(given, index.repeats(order), strict=True):
            if repeated:
                record.drop(example, "near-duplicate")
            else:
                yield example
