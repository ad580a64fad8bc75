"""Goes on learning general rows, so that they are not forgotten."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tunesmith import Adapter, Chunk, Example, Forward, Objective, RecipeError, Regularizer, Term
from tunesmith_plugins.general_rows import general_rows
from tunesmith_plugins.regularizers.numbers import check_number

if TYPE_CHECKING:
    from torch import Tensor


class Replay(Regularizer):
    """Cross-entropy of general rows beside training (rehearsal, Robins 1995; Scialom et al. 2022); unit: token.

        loss + weight * (mean over the general tokens of the step of -log q(token))

    General rows have a pass of their own beside the micro-batch: whatever the objective is, they are learned token by
    token. Their loss is divided by the number of their own tokens in the whole optimizer step, on all processes, and
    logged apart; `loss` and validation are of the task alone. For each training row `share` general
    rows are taken, at least one a step, in an order that is drawn anew in each epoch; a resumed run goes on with the
    next. Time and memory grow by about that share: `data.max_tokens` counts training rows only.

    Take rows of what the model must keep, instructions of other kinds or plain text, best of those that it was trained
    on; and none that `Forgetting` measures.

    Since 0.13.

    Args:
        file: The rows: JSON lines, CSV or others as sources are read, with `prompt` and `completion`, or plain text.
        weight: Factor of their mean loss, in nats a token; 1 counts general and task tokens' means alike.
        share: General rows for each training row: 0.25 is one beside four.
        prompt: Column of the question.
        completion: Column of the answer, which is learned.
        text: Column of plain text, all of which is learned, of rows that have no question.
    """

    def __init__(
        self,
        file: Path,
        weight: float = 1.0,
        share: float = 0.25,
        prompt: str = "prompt",
        completion: str = "completion",
        text: str = "text",
    ) -> None:
        self.file = file
        self.weight = weight
        self.share = share
        self.prompt = prompt
        self.completion = completion
        self.text = text

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """One whose rows are not read: the kit brings passes of its own."""
        return [cls(Path("general.jsonl"))]

    def check(self, objective: Objective, adapter: Adapter) -> None:
        """Refuse numbers out of range.

        Raises:
            RecipeError: One is.
        """
        check_number(self, "weight")
        check_number(self, "share", above=True)
        if objective.model_class != "causal":
            kind = type(objective).__name__
            msg = f"Replay predicts each next token, and {kind} trains a {objective.model_class} model; leave it out"
            raise RecipeError(msg)

    def own_rows(self) -> Sequence[Example]:
        """The general rows."""
        return list(general_rows(self.file, self.prompt, self.completion, self.text))

    def own_share(self) -> float:
        """As the recipe says."""
        return self.share

    def penalty(self, forward: Forward) -> Term:
        """Sum of weight times cross-entropy over the general rows of a pass."""
        from tunesmith_plugins.objectives.cross_entropy import cross_entropies

        def term(chunk: Chunk) -> "Tensor":
            return cross_entropies(forward.head(chunk.hidden), chunk.targets) @ chunk.weights

        return Term(self.weight * forward.total(term), "token")
