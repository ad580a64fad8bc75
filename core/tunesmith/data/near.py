"""Near-duplicates among examples, by MinHash signatures and lookups that miss none."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tunesmith.data.example import Example
from tunesmith.data.parts import parts_of
from tunesmith.errors import RecipeError

if TYPE_CHECKING:
    from tunesmith.data.near_search import Signed

_BATCH = 128  # what the caches of a processor hold


class NearDuplicateIndex:
    """Finds examples that resemble each other; what is asked and what is answered are compared apart.

    Two examples resemble each other where both their prompts and their answers do, and label and tools are equal. Texts
    resemble each other where at least `threshold` of the 128 positions of their MinHash signatures agree (64, where an
    example has two texts of more than 10 words); texts of up to 10 words where they are equal in Unicode NFKC, lower
    case, white space collapsed. So the same long prompt with another short answer is another example.

    The share of equal positions estimates the Jaccard similarity J of the texts' runs of 3 words (Broder 1997, "On the
    resemblance and containment of documents"): each position agrees with probability J, the estimate is J plus or minus
    0.035 at 0.8 (0.05 with 64 positions). Words are told apart without case and punctuation; where a script puts no
    spaces between words, each character is one.

    Signatures are looked up by bands (locality-sensitive hashing; Leskovec, Rajaraman and Ullman, "Mining of Massive
    Datasets", section 3.4). For thresholds from 0.75 on, they are 78 to 1 sets of 6 to 8 positions (at 0.8: pairs of 32
    bands of 4 rows, 70 sets of 8), chosen so that every pair over the threshold agrees in all of at least one
    (`near_keys`). Plain banding finds a pair with probability 1 - (1 - J**rows)**bands; this finds every pair whose
    estimate is over the threshold, so one of J is found with the probability that 128 throws with chance J hit at least
    0.8 * 128 times: 0.08 at J = 0.75, 0.49 at 0.8, 0.93 at 0.85, 0.999 at 0.9.

    The result depends on the examples only; there is no chance in it. A million examples take about 150 MB. Time is
    linear in rows, but where many rows share most of their text without resembling each other (one instruction in each
    prompt), they are compared pair by pair: put such text into a system turn, which is not compared.

    Since 0.9.

    Args:
        threshold: Least share of equal positions, 0.5 to 1.
        prompts_only: Compare what is asked alone; answers, labels and tools may differ.

    Raises:
        RecipeError: The threshold is not among these.
    """

    def __init__(self, threshold: float = 0.8, prompts_only: bool = False) -> None:
        if not 0.5 <= threshold <= 1:
            msg = f"threshold is {threshold}; it lies between 0.5 and 1"
            raise RecipeError(msg)
        self.threshold = threshold
        self.prompts_only = prompts_only
        self._waiting: list[tuple[str, ...]] = []
        self._signed: list[Signed] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, example: Example) -> None:
        """Sign an example; its number is that of those before it. Its text is not kept."""
        parts = parts_of(example)
        if self.prompts_only:
            self._waiting.append(("", parts.prompt if parts.prompt.strip() else parts.answer))
        else:
            self._waiting.append((parts.label, parts.prompt, parts.answer))
        self._count += 1
        if len(self._waiting) == _BATCH:
            self._sign()

    def select(self, numbers: Sequence[int]) -> "NearDuplicateIndex":
        """An index of some of the examples, numbered anew in the given order."""
        chosen = NearDuplicateIndex(self.threshold, self.prompts_only)
        if numbers:
            chosen._signed, chosen._count = [self._rows().take(numbers)], len(numbers)
        return chosen

    def joined(self, other: "NearDuplicateIndex") -> "NearDuplicateIndex":
        """An index of the examples of both, those of the other after its own; both stay as they are."""
        both = NearDuplicateIndex(self.threshold, self.prompts_only)
        both._signed, both._count = [self._rows(), other._rows()], len(self) + len(other)
        return both

    def first_alike(self, within: Sequence[int] | None = None) -> list[int]:
        """For each example the number of the first one before it that it resembles; -1 where there is none.

        Args:
            within: A number for each example; only examples of the same number are compared.
        """
        from tunesmith.data.near_search import first_alike

        rows = self._rows()
        found: list[int] = first_alike(rows if within is None else rows.parted(within), self.threshold).tolist()
        return found

    def repeats(self, order: Sequence[int] | None = None, across: Sequence[int] | None = None) -> list[bool]:
        """For each example whether it repeats another: it resembles one of higher precedence that repeats none itself.

        So whatever repeats another resembles one that does not, and no two that repeat none resemble each other. Chains
        are not followed: of A, B like A, and C like B but not like A, only B repeats another.

        Args:
            order: The examples' numbers by precedence, the highest first; as they were added where it is not given.
            across: A number for each example; only examples of different numbers are compared.
        """
        from tunesmith.data.near_search import repeats

        rows = self._rows() if across is None else self._rows().coloured(across)
        if order is None:
            plain: list[bool] = repeats(rows, self.threshold).tolist()
            return plain
        found = [False] * len(self)
        for number, repeated in zip(order, repeats(rows.take(order), self.threshold).tolist(), strict=True):
            found[number] = repeated
        return found

    def _sign(self) -> None:
        from tunesmith.data.near_sign import sign

        self._signed.append(sign(self._waiting))
        self._waiting = []

    def _rows(self) -> "Signed":
        from tunesmith.data.near_search import joined

        if self._waiting:
            self._sign()
        if len(self._signed) != 1:
            self._signed = [joined(self._signed)]
        return self._signed[0]
