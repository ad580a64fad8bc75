"""CounterfactualAugment: the same rows with another group in them."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, Self

from tunesmith import Curator, DataError, Example, RecipeError, Record, normal_text
from tunesmith_plugins.fairness.exchange import Exchange, drawn

_MARK = "exchanged"


class CounterfactualAugment(Curator):
    """Adds training rows in which one group takes the place of another, with the label that they had.

    Counterfactual data augmentation (Lu, Mardziel, Wu, Amancharla, Datta 2018, https://arxiv.org/abs/1807.11714; with
    names, Hall Maudslay et al. 2019, https://arxiv.org/abs/1909.00871): what depends on the group alone is seen with
    both, so that nothing is left to learn of it. Prompt, answer and both answers of a pair are swapped alike, by
    English grammar: pronouns, titles, kinship, professions, and given names, each by the same name each time. Rows that
    name no group, or say what holds of one alone (`pregnant`), stay as they are. Runs behind the split, on training
    rows only, and makes none that a held-out row is: a test row would come into training by its counterpart. A made row
    stands behind its own, has `~` and the category behind its id, and the column `column` says which groups were
    exchanged; rows from the data have no such column. Several such curators may follow each other.

    Labels are kept, and columns too unless `swap_columns` names them. A label that is the group itself is then wrong:
    leave such rows out. Real persons are not recognised.

    Since 0.13.

    Args:
        category: Of the lexicon: gender, age, religion, origin, ethnicity, disability, socioeconomic.
        groups: Two groups that are exchanged; if None those that the lexicon compares where these are two, else the
            group that a row names most with another one, drawn by the recipe's seed and the row's id.
        mode: `add` keeps the row beside what is made of it; `replace` puts it in its place.
        share: Share of the rows that can be swapped which are, drawn by seed and id. `replace` with 0.5 leaves the
            number of rows as it is, and names both groups alike often.
        names: Whether given names (of gender) or surnames (of ethnicity) are exchanged too, where they are sure.
        swap_columns: Columns that are swapped with the text: gold answers, entities.
        column: Column that marks what is made.
        lexicon: JSON file whose categories are added to the built-in ones or replace them.
    """

    scope = "train"

    def __init__(
        self,
        category: str = "gender",
        groups: list[str] | None = None,
        mode: Literal["add", "replace"] = "add",
        share: float = 1.0,
        names: bool = True,
        swap_columns: list[str] | None = None,
        column: str = "counterfactual",
        lexicon: Path | None = None,
    ) -> None:
        self.category = category
        self.groups = groups
        self.mode = mode
        self.share = share
        self.names = names
        self.swap_columns = swap_columns
        self.column = column
        self.lexicon = lexicon

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """Both modes, a category of two groups and one of many."""
        return [cls(), cls("age", mode="replace", share=0.5), cls("religion"), cls("gender", ["male", "female"])]

    def check(self) -> None:
        """Refuse a share that is none, and groups that cannot be exchanged.

        Raises:
            RecipeError: One is so.
            DataError: The lexicon cannot be read.
        """
        if not 0 < self.share <= 1:
            msg = f"share is {self.share}; it lies above 0, and at most at 1"
            raise RecipeError(msg)
        self._exchange().check()

    def apply(self, examples: Iterable[Example], record: Record) -> Iterator[Example]:
        """Pass on rows and what is made of them.

        Raises:
            DataError: A row has the column that is to mark what is made.
        """
        held, exchange = list(examples), self._exchange()
        taken = {example.id for example in held}
        kept_apart, across = {_said(example) for example in record.held_out}, 0
        for example in held:
            before = example.extras.get(self.column)
            if before is not None and not str(before).endswith(_MARK):
                msg = f"column: {self.column} is there already, in row {example.id}; name another"
                raise DataError(msg)
            pair = exchange.pair(example, record.seed)
            made = None
            if pair and drawn(f"{record.seed}:share:{example.id}") < self.share:
                made = exchange.made(example, pair, self.swap_columns or ())
            if made is not None and _said(made) in kept_apart:
                made, across = None, across + 1
            if pair is None or made is None:
                yield example
                continue
            reason = f"{pair[0]} and {pair[1]} {_MARK}"
            marked = {**made.extras, self.column: f"{before}, {reason}" if before else reason}
            if self.mode == "replace":
                record.change(example, reason)
                yield made.with_(extras=marked)
            else:
                yield example
                made = made.with_(id=_free(f"{example.id}~{self.category}", taken), extras=marked)
                record.add(made, reason)
                yield made
        if across:
            record.remark(f"{across} not exchanged: what would be made is a held-out row")

    def _exchange(self) -> Exchange:
        return Exchange(type(self).__name__, self.category, self.groups, self.names, self.lexicon)


def _said(example: Example) -> tuple[str, ...]:
    """What an example says, by which two are the same."""
    return tuple(map(normal_text, example.texts()))


def _free(name: str, taken: set[str]) -> str:
    """An id that no row has, which is then taken."""
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name}{number}"
    taken.add(found)
    return found
