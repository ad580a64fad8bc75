"""Rows that regularizers bring along: general ones against forgetting, and others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tunesmith.data.beside import Companion
from tunesmith.data.encode import EncodedSplit, encode_split
from tunesmith.data.encoded import Encoded
from tunesmith.data.encoded_rows import EncodedRow
from tunesmith.data.example import Example
from tunesmith.data.render import ChatRenderer
from tunesmith.data.truncate import Truncation
from tunesmith.errors import RecipeError
from tunesmith.plugins.blame import blamed
from tunesmith.plugins.interfaces import Objective, Regularizer, Renderer

if TYPE_CHECKING:
    from tunesmith.training.forward import Forward, Term


@dataclass
class OwnRows:
    """The rows of a recipe's regularizers as sequences.

    Args:
        regularizers: By their names in the recipe.
        renderer: The base's tokenizer and chat template; None where there are no rows.
        longest: Tokens a sequence at most; None for no limit.
        truncation: What to do with a longer one.
        quadratic: As in `Plan`.
        seed: The recipe's.
    """

    regularizers: Mapping[str, Regularizer] = field(default_factory=dict)
    renderer: ChatRenderer | None = None
    longest: int | None = None
    truncation: Truncation = "right"
    quadratic: float = 0.0
    seed: int = 0
    _encoded: dict[str, EncodedSplit] = field(default_factory=dict, init=False)

    def encoded(self, name: str) -> EncodedSplit:
        """Those of one regularizer, once.

        Raises:
            RecipeError: It brings none.
            DataError: Not one can be encoded.
        """
        if name not in self._encoded:
            regularizer = self.regularizers[name]
            assert self.renderer is not None
            self._encoded[name] = encode_split(
                own_rows({name: regularizer})[name],
                OwnEncoding(name, regularizer),
                self.renderer,
                self.longest,
                self.truncation,
                bos=self.renderer.bos_id,
            )
        return self._encoded[name]

    def beside(self) -> dict[str, Sequence[EncodedRow]]:
        """Those that go beside training micro-batches, by the name of the term that they are for."""
        return {f"reg/{name}": self.encoded(name).rows for name in self._shared()}

    def companions(self, accumulate: int, world: int) -> list[Companion]:
        """How they go beside them.

        Args:
            accumulate: Micro-batches a rank and optimizer step.
            world: Ranks.
        """
        found = []
        for name, share in self._shared().items():
            own = self.encoded(name)
            costs = [length + self.quadratic * length * length for length in own.lengths]
            found.append(Companion(f"reg/{name}", own.units, costs, share, accumulate, world, self.seed))
        return found

    def _shared(self) -> dict[str, float]:
        return {name: share for name, one in self.regularizers.items() if (share := one.own_share()) > 0}


def own_rows(regularizers: Mapping[str, Regularizer]) -> dict[str, Sequence[Example]]:
    """The rows that regularizers bring along, by their names in the recipe.

    Raises:
        RecipeError: One brings an empty list, or two rows of one id, or wants a share of none.
        TunesmithError: One cannot read them.
    """
    found: dict[str, Sequence[Example]] = {}
    for name, regularizer in regularizers.items():
        with blamed(f"model.regularizers.{name}", regularizer):
            rows, share = regularizer.own_rows(), regularizer.own_share()
        if rows is None and not share:
            continue
        if not rows or len({row.id for row in rows}) < len(rows):
            what = "no rows" if not rows else "rows that share an id"
            msg = f"model.regularizers.{name} brings {what}"
            raise RecipeError(msg)
        found[name] = rows
    return found


class OwnEncoding(Objective):
    """Encodes a regularizer's rows as it says.

    Args:
        name: In the recipe.
        regularizer: Whose rows they are.
    """

    def __init__(self, name: str, regularizer: Regularizer) -> None:
        self.name = name
        self.regularizer = regularizer

    def encode(self, example: Example, renderer: Renderer) -> list[Encoded]:
        """The regularizer's sequences."""
        with blamed(f"model.regularizers.{self.name}", self.regularizer):
            return self.regularizer.encode(example, renderer)

    def loss(self, forward: "Forward") -> "Term":
        """Never asked for."""
        raise NotImplementedError
