"""SemanticDuplicates: one of those that say the same in other words."""

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from tunesmith import Curator, Example, RecipeError, Record, normal_text, parts_of
from tunesmith_plugins.curators.ranked import check_ranked, write_ranked

if TYPE_CHECKING:
    from tunesmith_plugins.curators.embedding.rows import Rows

_NUMBER = re.compile(r"\d+")
_TRIAL = Path(__file__).parent / "embedding" / "letters"


class SemanticDuplicates(Curator):
    """Drops examples that mean the same as one that stays: prompt and answer alike, each by itself, label equal.

    Texts are alike where the cosine of their embeddings is at least `threshold`, and they hold the same numbers in the
    same order: to a model "5 mg" and "50 mg" are nearly one. So are sentences that differ in "not", in "left" or
    "right", in who pays whom. Of 12 such pairs both models that were tried put 8 over 0.9 and 4 over 0.95, of 16 pairs
    of paraphrases 4 to 6 and 2, of unrelated ones none over 0.5. So list what would go with `action: keep` first, and
    leave this curator out where rows are short and one word makes the difference. Tools have to be equal too; system
    turns are not compared. A text of which the model knows nothing is like its equal alone (but for case and space).

    Examples are taken in order and each is dropped that is like one that stays, so the first stays. Chains are not
    followed: of A, B like A, and C like B but not like A, only B is dropped.

    The model is read from a folder and nothing is ever downloaded: a static model (of model2vec, with
    `pip install 'tunesmith[semantic]'`; blind to the order of words), or a transformer for sentence embeddings such as
    all-MiniLM-L6-v2, 30 to 100 times slower. Both run on the processor. Then each row is compared with all that stay,
    exactly: time grows with the square of the rows (1.5 and 20 processor seconds for 10,000 and 50,000 rows of 256
    dimensions, after 0.3 milliseconds a row of embedding by a static model), memory with the rows, 2 kB each.

    Since 0.9.

    Args:
        model: Folder of the model.
        threshold: Least cosine of texts that are alike, above 0 and up to 1.
        action: `drop` the rows, or `keep` them.
        ranked: A file for all rows that are like one that stays, the least alike first, as JSON lines: id, origin, that
            of the other row, the smallest of the sides' cosines. No text. A file that another wrote is not written
            over.
    """

    unlocked = frozenset({"ranked"})

    def __init__(
        self,
        model: Path,
        threshold: float = 0.95,
        action: Literal["drop", "keep"] = "drop",
        ranked: Path | None = None,
    ) -> None:
        self.model = model
        self.threshold = threshold
        self.action = action
        self.ranked = ranked

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """By a model that knows letters only; one is content with a little likeness."""
        return [cls(_TRIAL), cls(_TRIAL, 0.5)]

    def check(self) -> None:
        """Refuse a threshold that is no cosine, and a folder without a model."""
        from tunesmith_plugins.curators.embedding.encode import check_model

        if not 0 < self.threshold <= 1:
            msg = f"threshold is {self.threshold}; it lies above 0 and is at most 1"
            raise RecipeError(msg)
        if self.action == "keep" and self.ranked is None:
            msg = "action is keep, and ranked names no file: nothing would come of it"
            raise RecipeError(msg)
        check_model(self.model)
        check_ranked(self.ranked, type(self).__name__)

    def apply(self, examples: Iterable[Example], record: Record) -> Iterable[Example]:
        """Keep the first of those that mean the same.

        Raises:
            RecipeError: The folder holds no model that can be used.
            AbsentPackageError: It is a static model, and the extra `semantic` is not installed.
        """
        from tunesmith_plugins.curators.embedding.rows import embedded

        given = list(examples)
        rows = embedded(given, self.model)
        originals = _originals(given, rows, self.threshold)
        if self.ranked is not None:
            lines = [_line(given, rows, at, first) for at, first in originals.items()]
            write_ranked(self.ranked, type(self).__name__, sorted(lines, key=lambda line: float(line["cosine"])))
        if self.action == "keep":
            return given
        kept = []
        for at, example in enumerate(given):
            if at in originals:
                record.drop(example, "semantic duplicate")
            else:
                kept.append(example)
        return kept


def _originals(given: list[Example], rows: "Rows", threshold: float) -> dict[int, int]:
    """The row that stays of each row that goes."""
    from tunesmith_plugins.curators.embedding.greedy import repeated

    found: dict[int, int] = {}
    for members, sides in _comparable(given, rows):
        if sides:
            first = repeated(rows.vectors, [rows.places[members, side] for side in sides], threshold).tolist()
        else:
            first = [-1] + [0] * (len(members) - 1)
        found |= {members[at]: members[one] for at, one in enumerate(first) if one >= 0}
    return found


def _comparable(given: list[Example], rows: "Rows") -> list[tuple[list[int], list[int]]]:
    """Rows between which nothing but meaning can differ, and the sides whose meaning can be compared."""
    groups: defaultdict[tuple[object, ...], list[int]] = defaultdict(list)
    known = rows.known().tolist()
    for at, (example, knows) in enumerate(zip(given, known, strict=True)):
        parts = parts_of(example)
        texts = zip((parts.prompt, parts.answer), knows, strict=True)
        exact = [(None, *_NUMBER.findall(text)) if sees else (normal_text(text),) for text, sees in texts]
        groups[parts.label, *exact].append(at)
    return [(members, [side for side in (0, 1) if known[members[0]][side]]) for members in groups.values()]


def _line(given: list[Example], rows: "Rows", at: int, first: int) -> dict[str, Any]:
    cosines = [
        float(rows.vectors[one] @ rows.vectors[other])
        for one, other in zip(rows.places[at], rows.places[first], strict=True)
        if rows.vectors[one].any()
    ]
    row, like = given[at], given[first]
    where = {"id": row.id, "origin": str(row.origin), "like": like.id, "origin of like": str(like.origin)}
    return where | {"cosine": round(min(cosines, default=1.0), 4)}
