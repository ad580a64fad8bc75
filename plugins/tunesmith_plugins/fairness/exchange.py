"""Which two groups take each other's place in an example, by a mitigation's options."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from tunesmith import Example, RecipeError, did_you_mean
from tunesmith_plugins.audits.lexicon import read_lexicon
from tunesmith_plugins.fairness.names import told
from tunesmith_plugins.fairness.swaps import Swapper


class Exchange:
    """Swaps in examples by the options that mitigations share.

    Args:
        owner: Class whose options these are, for messages.
        category: Of the lexicon.
        groups: Two groups; if None those that the lexicon compares where these are two, else the group that an example
            names most with another one, drawn by a seed and the example's id.
        names: Whether personal names are exchanged too.
        lexicon: JSON file whose categories are added to the built-in ones or replace them.

    Raises:
        RecipeError: There is no such category.
        DataError: The lexicon cannot be read.
    """

    def __init__(
        self, owner: str, category: str, groups: Sequence[str] | None, names: bool, lexicon: Path | None
    ) -> None:
        (self.category,) = read_lexicon(owner, lexicon, [category])
        having = {group for row in self.category.swaps for group in row.words}
        self.known = [group for group in self.category.words if group in having]
        self.groups = groups
        self.names = names
        self._made_by: dict[tuple[str, str], Swapper] = {}

    def check(self) -> None:
        """Refuse groups that cannot be exchanged.

        Raises:
            RecipeError: One is so.
        """
        category, known = self.category.name, self.known
        if self.category.language != "en":
            msg = f"lexicon is written in {self.category.language!r}; swaps know the grammar of 'en' alone"
            raise RecipeError(msg)
        for group in self.groups or []:
            if group not in known:
                near = did_you_mean(group, known)
                msg = f"groups: {group!r} has no words to swap in {category}{near} (there are: {', '.join(known)})"
                raise RecipeError(msg)
        if self.groups is not None and len(set(self.groups)) != 2:
            msg = f"groups names {', '.join(self.groups) or 'none'}; two different ones are exchanged"
            raise RecipeError(msg)
        if len(known) < 2:
            msg = f"category is {category}, which has no pairs to swap; add `swaps` to it in a lexicon of your own"
            raise RecipeError(msg)

    def pair(self, example: Example, seed: int | str) -> tuple[str, str] | None:
        """The groups that are exchanged in an example; None where it names none."""
        if self.groups is not None:
            return self.groups[0], self.groups[1]
        known = self.known
        if len(known) == 2:
            return known[0], known[1]
        texts = example.texts()
        mentions = [self.category.mentions(text) for text in texts]
        counts = {group: sum(found.get(group, 0) for found in mentions) for group in known}
        held = self.category.names
        if self.names and held is not None and not any(counts.values()):
            counts |= {group: number for group, number in told(held, texts).items() if group in counts}
        most = max(known, key=lambda group: counts[group])
        if not counts[most]:
            return None
        rows = [row.words.keys() for row in self.category.swaps]
        others = [group for group in known if group != most and any({group, most} <= words for words in rows)]
        if not others:
            return None
        return most, others[int(drawn(f"{seed}:group:{example.id}") * len(others))]

    def made(self, example: Example, pair: tuple[str, str], columns: Sequence[str] = ()) -> Example | None:
        """The example with two groups exchanged (`Swapper.example`); None where nothing is."""
        if pair not in self._made_by:
            self._made_by[pair] = Swapper(self.category, *pair, names=self.names)
        return self._made_by[pair].example(example, columns)


def drawn(key: str) -> float:
    """A number in [0, 1) that depends on a key alone."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=6).digest(), "big") / 2**48
