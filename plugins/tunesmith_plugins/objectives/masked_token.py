"""MaskedToken: fill in tokens that are masked, by what stands on both sides of them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from tunesmith import Chunk, Encoded, Example, Forward, Objective, RecipeError, Renderer, RowError, Term

if TYPE_CHECKING:
    from numpy.random import Generator
    from torch import Tensor

_AT = "model.objective.init_args"
# How vocabularies write that a word begins with a token: SentencePiece, bytes, and a new line of those.
_BEGINS = ("\u2581", "\u0120", "\u010a")
_GOES_ON = "##"


class MaskedToken(Objective):
    """Cross-entropy of masked tokens, given all others of their document; unit: token.

    Masked-language modelling (Devlin et al. 2018, arXiv:1810.04805) adapts a model to the texts of a domain. Encoders
    predict a masked token where it stands, by their own head (`AutoModelForMaskedLM`). Decoders, which have no such
    head, are run with attention to both sides, and predict it from the state of the token before it, by the head that
    says the next token: masked next token prediction, the first step of LLM2Vec (BehnamGhader et al. 2024,
    arXiv:2404.05961). Only training and validation attend to both sides: what is saved is a plain decoder, which a
    later run goes on with, and which `test` asks as any other. A family that cannot look behind a token is refused.

    Texts take no chat template. In each epoch other tokens are masked, drawn by seed, epoch and row, as many of a row
    every time, so that a step's count is known before it; in validation the same ones each time. Special tokens are
    never masked, nor is what a segment's weight of 0 leaves out. Texts that are too long become pieces, as DomainText
    cuts them.

    Logged beside the loss: `accuracy`, the share of masked tokens that are the likeliest.

    Since 0.13.

    Args:
        share: Share of a text's tokens that is masked in an epoch; at least one is.
        random: Share of the masked tokens that are replaced with any token of the vocabulary instead.
        kept: Share of the masked tokens that stay as they are, and are predicted all the same.
        whole_words: Whether all tokens of a word are masked together, as far as the number of tokens allows.
        mask_token: The token that stands for what is masked; the tokenizer's own, if it has one. LLM2Vec takes `_` for
            decoders.
        overlap: Tokens of the piece before it that a piece begins with, as context.
    """

    model_class: ClassVar[Literal["causal", "masked", "classification"]] = "masked"

    def __init__(
        self,
        share: float = 0.15,
        random: float = 0.1,
        kept: float = 0.1,
        whole_words: bool = False,
        mask_token: str | None = None,
        overlap: int = 64,
    ) -> None:
        self.share = share
        self.random = random
        self.kept = kept
        self.whole_words = whole_words
        self.mask_token = mask_token
        self.overlap = overlap
        self._begins: Any = None

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """Single tokens, and whole words that are always masked."""
        return [
            cls(mask_token="_", overlap=16),  # noqa: S106  no password
            cls(share=0.4, random=0.0, kept=0.0, whole_words=True, mask_token="_", overlap=16),  # noqa: S106
        ]

    def check(self) -> None:
        """Refuse shares that are none.

        Raises:
            RecipeError: Names the option.
        """
        if not 0 < self.share < 1:
            msg = f"{_AT}.share is {self.share}; it must be above 0 and below 1"
            raise RecipeError(msg)
        if min(self.random, self.kept) < 0 or self.random + self.kept > 1:
            msg = f"{_AT}.random is {self.random} and kept is {self.kept}; they are shares, of 1 at most together"
            raise RecipeError(msg)
        if self.overlap < 0:
            msg = f"{_AT}.overlap is {self.overlap}; it must be 0 or more"
            raise RecipeError(msg)

    def logs(self) -> Sequence[str]:
        """How often it is right."""
        return ("accuracy",)

    def encode(self, example: Example, renderer: Renderer) -> list[Encoded]:
        """The whole text, with a weight on every token that may be masked.

        Raises:
            RecipeError: There is no token to mask with.
            RowError: The example is no text.
        """
        self._mask(renderer)
        if not example.segments:
            field, reason = "segments", "there is no text without turns, which MaskedToken learns (formatter RawText)"
            raise RowError(field, reason)
        whole = renderer.text([(piece.text, piece.weight) for piece in example.segments])
        special = set(renderer.tokenizer.all_special_ids)
        weights = (0.0 if t in special else w for t, w in zip(whole.ids, whole.weights, strict=True))
        return [Encoded(whole.ids, tuple(weights), share=self.share)]

    def cut(self, sequence: Encoded, longest: int, bos: int | None, closing: int | None = None) -> list[Encoded]:
        """Pieces in which each token may be masked once.

        Raises:
            RecipeError: The overlap leaves too little room.
        """
        if 2 * self.overlap > longest:
            most = f"a piece has {longest} tokens (data.max_length, or the base's positions), and at most half overlap"
            msg = f"{_AT}.overlap is {self.overlap}, but {most}"
            raise RecipeError(msg)
        return sequence.pieces(longest, self.overlap, bos, closing)

    def draw(self, sequence: Encoded, renderer: Renderer, random: "Generator") -> Encoded:
        """The text with some of its tokens masked: as many as `sequence.supervised`."""
        places = [at for at, weight in enumerate(sequence.weights) if weight]
        chosen = self._words(sequence, places, renderer, random) if self.whole_words else random.permutation(places)
        ids, weights = list(sequence.ids), [0.0] * len(sequence.ids)
        mask, size = self._mask(renderer), len(renderer.tokenizer)
        for at in map(int, chosen[: sequence.supervised]):
            weights[at] = sequence.weights[at]
            lot = random.random()
            if lot < self.random:
                ids[at] = int(random.integers(size))
            elif lot >= self.random + self.kept:
                ids[at] = mask
        return Encoded(tuple(ids), tuple(weights), sequence.truncated, targets=sequence.ids)

    def loss(self, forward: Forward) -> Term:
        """Sum of weight times cross-entropy, in fp32."""
        import torch

        from tunesmith_plugins.objectives.cross_entropy import cross_entropies

        def term(chunk: Chunk) -> "Tensor":
            return cross_entropies(forward.head(chunk.hidden), chunk.targets) @ chunk.weights

        def right(chunk: Chunk) -> "Tensor":
            return (forward.head(chunk.hidden).argmax(-1) == chunk.targets).float()

        total = forward.total(term)
        with torch.no_grad():
            hits = forward.each(right).sum()
        return Term(total, "token", {"accuracy": hits})

    def _mask(self, renderer: Renderer) -> int:
        """Id of the token that stands for what is masked.

        Raises:
            RecipeError: There is none.
        """
        tokenizer = renderer.tokenizer
        if self.mask_token is None:
            if tokenizer.mask_token_id is None:
                msg = f"{_AT}.mask_token is not set, and the base's tokenizer has none of its own; name one, such as _"
                raise RecipeError(msg)
            return int(tokenizer.mask_token_id)
        found = tokenizer.convert_tokens_to_ids(self.mask_token)
        if found is None or found == tokenizer.unk_token_id:
            msg = f"{_AT}.mask_token is {self.mask_token}, which is no single token of the base; name one that is"
            raise RecipeError(msg)
        return int(found)

    def _words(self, sequence: Encoded, places: Sequence[int], renderer: Renderer, random: "Generator") -> list[int]:
        """The places word by word, in random order: first words that fit as a whole, then one that does not."""
        begins = self._word_starts(renderer)
        words: list[list[int]] = []
        for at in places:
            if words and words[-1][-1] == at - 1 and not begins[sequence.ids[at]]:
                words[-1].append(at)
            else:
                words.append([at])
        room, whole, cut = sequence.supervised, [], []
        for number in random.permutation(len(words)):
            if len(words[number]) <= room:
                whole += words[number]
                room -= len(words[number])
            else:
                cut += words[number]
        return whole + cut

    def _word_starts(self, renderer: Renderer) -> Sequence[bool]:
        """Whether each token of the vocabulary begins a word.

        Raises:
            RecipeError: The vocabulary does not say.
        """
        if self._begins is None:
            tokens = renderer.tokenizer.convert_ids_to_tokens(list(range(len(renderer.tokenizer))))
            pieces = any(token.startswith(_GOES_ON) for token in tokens)
            begins = [not t.startswith(_GOES_ON) if pieces else t.startswith(_BEGINS) for t in tokens]
            if all(begins) or not any(begins):
                msg = f"{_AT}.whole_words is true, but the base's tokenizer does not say where words begin"
                raise RecipeError(msg)
            self._begins = begins
        found: Sequence[bool] = self._begins
        return found
