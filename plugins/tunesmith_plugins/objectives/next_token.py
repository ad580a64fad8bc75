"""Next-token prediction: the objective of supervised fine-tuning and of continued pre-training."""

from typing import TYPE_CHECKING, Literal, Self

from tunesmith import Chunk, Encoded, Example, Forward, Objective, RecipeError, Renderer, RowError, Term

if TYPE_CHECKING:
    from torch import Tensor


class NextToken(Objective):
    """Cross-entropy of each next token, summed over the supervised ones; unit: token.

    Conversations are rendered with the base's chat template, texts as they are. A turn's or segment's own loss weight
    always holds; what says none is supervised as `supervise` asks.

    Since 0.1.

    Args:
        supervise: `completions` learns what the assistant says, `all` every token but the first.
        label_smoothing: Share of each target that is spread evenly over the vocabulary (Szegedy et al. 2016), 0 to 1.
    """

    def __init__(self, supervise: Literal["completions", "all"] = "completions", label_smoothing: float = 0.0) -> None:
        self.supervise = supervise
        self.label_smoothing = label_smoothing

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """Completions, and all tokens with smoothed targets."""
        return [cls(), cls(supervise="all", label_smoothing=0.1)]

    def check(self) -> None:
        """Refuse a smoothing that is no share.

        Raises:
            RecipeError: It is none.
        """
        if not 0 <= self.label_smoothing <= 1:
            msg = f"model.objective.init_args.label_smoothing is {self.label_smoothing}; a share lies between 0 and 1"
            raise RecipeError(msg)

    def encode(self, example: Example, renderer: Renderer) -> list[Encoded]:
        """One sequence of a conversation or a text."""
        if example.label is False:
            field, reason = "label", "the answer is marked as unwanted, so it is not learnt"
            raise RowError(field, reason)
        if example.segments:
            return [renderer.text([(piece.text, piece.weight) for piece in example.segments])]
        messages = example.messages or example.chosen
        if not messages:
            field = "messages"
            raise RowError(field, "the example has neither messages nor text")
        encoded = renderer.conversation(messages, example.tools)
        if self.supervise == "all" and all(message.weight is None and not message.spans for message in messages):
            weights = (0.0, *(1.0 for _ in encoded.ids[1:]))
            encoded = Encoded(encoded.ids, weights, encoded.truncated)
        return [encoded]

    def loss(self, forward: Forward) -> Term:
        """Sum of weight times cross-entropy, in fp32."""
        import torch.nn.functional as F

        from tunesmith_plugins.objectives.cross_entropy import cross_entropies

        def term(chunk: Chunk) -> "Tensor":
            logits = forward.head(chunk.hidden)
            if not self.label_smoothing:
                return cross_entropies(logits, chunk.targets) @ chunk.weights
            smooth = {"reduction": "none", "label_smoothing": self.label_smoothing}
            return F.cross_entropy(logits.float(), chunk.targets, **smooth) @ chunk.weights  # type: ignore[arg-type]

        return Term(forward.total(term), "token")
