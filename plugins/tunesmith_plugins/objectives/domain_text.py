"""DomainText: continued pre-training on documents, whatever their length."""

from typing import TYPE_CHECKING, Self

from tunesmith import Chunk, Encoded, Example, Forward, Objective, RecipeError, Renderer, RowError, Term

if TYPE_CHECKING:
    from torch import Tensor


class DomainText(Objective):
    """Cross-entropy of each next token of documents, from their first to their end token; unit: token.

    Texts take no chat template. One that has more tokens than `data.max_length` (or the base's positions) is cut into
    pieces, each a row of its own, so that `data.truncation` has nothing to do: each token is learnt exactly once, from
    what stands before it in its piece. A piece begins with the last tokens of the one before it, which are context and
    have no weight there, behind the token that opens texts where the base has one. Documents end with the
    end-of-sequence token, and never see each other. A segment's own loss weight holds.

    Perplexity measures what was gained (Gururangan et al. 2020, arXiv:2004.10964). A text that is longer than the base
    reads is scored in such pieces too, with half of what it reads as context.

    Since 0.13.

    Args:
        overlap: Tokens of the piece before it that a piece begins with (tokenizers call it stride); at most half of
            `data.max_length`. More of them give the first new tokens more to be predicted from, and cost as much as
            tokens that are learnt.
    """

    def __init__(self, overlap: int = 64) -> None:
        self.overlap = overlap

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """A small overlap, and none beyond the one token that predicts the first."""
        return [cls(overlap=16), cls(overlap=0)]

    def check(self) -> None:
        """Refuse a negative overlap.

        Raises:
            RecipeError: It is negative.
        """
        if self.overlap < 0:
            msg = f"model.objective.init_args.overlap is {self.overlap}; it must be 0 or more"
            raise RecipeError(msg)

    def encode(self, example: Example, renderer: Renderer) -> list[Encoded]:
        """The whole document.

        Raises:
            RowError: The example is no text.
        """
        if not example.segments:
            field, reason = "segments", "there is no text without turns, which DomainText learns (formatter RawText)"
            raise RowError(field, reason)
        return [renderer.text([(piece.text, piece.weight) for piece in example.segments])]

    def cut(self, sequence: Encoded, longest: int, bos: int | None, closing: int | None = None) -> list[Encoded]:
        """Pieces in which each token is learnt once.

        Raises:
            RecipeError: The overlap leaves too little room.
        """
        if 2 * self.overlap > longest:
            most = f"a piece has {longest} tokens (data.max_length, or the base's positions), and at most half overlap"
            msg = f"model.objective.init_args.overlap is {self.overlap}, but {most}"
            raise RecipeError(msg)
        return sequence.pieces(longest, self.overlap, bos, closing)

    def loss(self, forward: Forward) -> Term:
        """Sum of weight times cross-entropy, in fp32."""
        from tunesmith_plugins.objectives.cross_entropy import cross_entropies

        def term(chunk: Chunk) -> "Tensor":
            return cross_entropies(forward.head(chunk.hidden), chunk.targets) @ chunk.weights

        return Term(forward.total(term), "token")
