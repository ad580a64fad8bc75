"""Classification: a head that puts a text into classes, in place of one that says the next token."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from tunesmith import Encoded, Example, Forward, Message, Objective, RecipeError, Renderer, RowError, Term, did_you_mean

if TYPE_CHECKING:
    from torch import Tensor

_AT = "model.objective.init_args"
Balanced = Literal["balanced"]


class Classification(Objective):
    """Cross-entropy of the class of a text, or of each class where a text may be of several; unit: example.

    The model is transformers' own for sequence classification (`AutoModelForSequenceClassification`): the base's body
    and a head over the last token's state, or over what an encoder pools. A head that the base does not have begins at
    random and trains whole, beside what the adapter trains; its classes stand in the saved config (`id2label`), so that
    plain transformers says their names.

    Rows have a text and a label (formatter TextLabel): a class, or with `multi_label` a list of them. Where a row has
    no label, the last answer of its conversation is the class. A text, or a single turn, is read without a chat
    template; several turns with it.

    `test` asks for the likeliest class, which evaluators as Classification read as the answer, with its probability
    (with `multi_label` MultiLabel reads those above a half). The base cannot be compared with, as its head is random:
    in its place stands the most frequent class of the training rows, with the classes' shares as probabilities; but a
    base that has a head of the same classes is compared with as it is. To generate the class instead, which needs no
    head and starts from what the base knows, is NextToken's business: the row's answer is the class, and the evaluator
    Classification reads it.

    A row's loss is multiplied by the weight of its text, or of its answers, which the curator Reweigh sets; 1 where
    none is above 0.

    Logged beside the loss, of rows: `accuracy` (all of their classes right).

    Since 0.13.

    Args:
        labels: The classes, as rows write them, in the order of the head's outputs.
        multi_label: Whether a text may be of several classes, or of none: a sigmoid each, whose mean counts.
        class_weights: What a row counts by its class; `balanced` takes rows / (classes * rows of the class), counted on
            the training rows, so that each class counts alike. With `multi_label`, what a text that is of the class
            counts in that class's part; `balanced` takes texts that are not of it / texts that are.
    """

    model_class: ClassVar[Literal["causal", "masked", "classification"]] = "classification"

    def __init__(
        self,
        labels: list[str],
        multi_label: bool = False,
        class_weights: dict[str, float] | Balanced | None = None,
    ) -> None:
        self.labels = labels
        self.multi_label = multi_label
        self.class_weights = class_weights
        self._counted: Mapping[str, float] = {}

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """One class, weighted, and several."""
        return [
            cls(["warm", "cold"], class_weights={"cold": 2.0}),
            cls(["warm", "cold", "wet"], multi_label=True, class_weights="balanced"),
        ]

    def check(self) -> None:
        """Refuse classes that are no two, and weights of others.

        Raises:
            RecipeError: Names the option.
        """
        least = 1 if self.multi_label else 2
        if len(set(self.labels)) < max(least, len(self.labels)) or not all(name.strip() for name in self.labels):
            msg = f"{_AT}.labels is {self.labels}; give {least} or more, each once"
            raise RecipeError(msg)
        for name, weight in (self.class_weights or {}).items() if isinstance(self.class_weights, Mapping) else ():
            if name not in self.labels:
                msg = f"{_AT}.class_weights: {name} is none of labels{did_you_mean(name, self.labels)}"
                raise RecipeError(msg)
            if weight <= 0:
                msg = f"{_AT}.class_weights.{name} is {weight}; it must be above 0"
                raise RecipeError(msg)

    def base_config(self) -> dict[str, Any]:
        """The classes by their places."""
        kind = "multi_label_classification" if self.multi_label else "single_label_classification"
        return {
            "id2label": dict(enumerate(self.labels)),
            "label2id": {name: at for at, name in enumerate(self.labels)},
            "problem_type": kind,
        }

    def logs(self) -> Sequence[str]:
        """How many rows are right."""
        return ("accuracy",)

    def encode(self, example: Example, renderer: Renderer) -> list[Encoded]:
        """The text, of which no token is learnt.

        Raises:
            RowError: There is no text, or a label that is none of the classes.
        """
        asked = self.asked(example)
        self._places(example)
        return [self.read(asked, renderer)]

    def asked(self, example: Example) -> Example:
        """The text, and the classes as the answer to it; the text alone where the row does not say them.

        Raises:
            RowError: There is no text.
        """
        turns, named = self._parts(example)
        if not turns:
            field = "text"
            raise RowError(field, "there is no text to classify")
        answer = () if named is None else (Message("assistant", ", ".join(named)),)
        return replace(example, messages=(*turns, *answer), segments=(), chosen=(), rejected=())

    def read(self, example: Example, renderer: Renderer) -> Encoded:
        """The turns before the answer, of which none has a weight."""
        turns = [replace(turn, weight=0.0, spans=()) for turn in example.prompt]
        if len(turns) == 1:
            return renderer.text([(turns[0].content, 0.0)], end=None)
        if turns[-1].role == "assistant":
            return renderer.conversation(turns, example.tools)
        return renderer.prompt(turns, example.tools)

    def prepare(self, examples: Iterable[Example]) -> None:
        """Count the classes of the training rows, for `balanced` weights.

        Raises:
            RecipeError: No row is of a class.
        """
        if self.class_weights != "balanced":
            return
        counts: Counter[str] = Counter()
        rows = 0
        for example in examples:
            counts.update(self.labels[at] for at in self._places(example))
            rows += 1
        if absent := [name for name in self.labels if not counts[name]]:
            msg = f"{_AT}.class_weights is balanced, but no training row is of the class {absent[0]}; give numbers"
            raise RecipeError(msg)
        if self.multi_label:
            self._counted = {name: max(1, rows - counts[name]) / counts[name] for name in self.labels}
        else:
            self._counted = {name: rows / (len(self.labels) * counts[name]) for name in self.labels}

    def loss(self, forward: Forward) -> Term:
        """Sum over the rows."""
        import torch
        import torch.nn.functional as F

        logits = forward.head(forward.pooled()).float()
        targets = torch.zeros_like(logits)
        for row, example in zip(targets, forward.batch.examples, strict=True):
            row[self._places(example)] = 1
        weights = self._weights(logits)
        of_rows = logits.new_tensor([_weight(example) for example in forward.batch.examples])
        if self.multi_label:
            each = F.binary_cross_entropy_with_logits(logits, targets, reduction="none", pos_weight=weights).mean(-1)
            right = ((logits > 0) == (targets > 0)).all(-1)
        else:
            each = -(targets * weights * logits.log_softmax(-1)).sum(-1)
            right = targets.gather(1, logits.argmax(-1, keepdim=True))[:, 0] > 0
        return Term((each * of_rows).sum(), "example", {"accuracy": right.to(each.dtype).sum()})

    def _weights(self, logits: "Tensor") -> "Tensor":
        given = self._counted if self.class_weights == "balanced" else self.class_weights
        weights = given if isinstance(given, Mapping) else {}
        return logits.new_tensor([weights.get(name, 1.0) for name in self.labels])

    def _parts(self, example: Example) -> tuple[tuple[Message, ...], list[str] | None]:
        """The turns that are judged, and the names of what they are; None where the row does not say."""
        label = example.label
        if example.segments:
            turns: tuple[Message, ...] = (Message("user", "".join(piece.text for piece in example.segments)),)
        else:
            turns = example.messages
        if label is None and turns and turns[-1].role == "assistant":
            said = turns[-1].content.strip()
            parts = [part.strip() for part in said.split(",")] if self.multi_label else [said]
            return turns[:-1], [part for part in parts if part]
        if label is None:
            return turns, None
        several = label if isinstance(label, tuple) else (label,)
        return turns, [
            str(one) if isinstance(one, int) and not isinstance(one, bool) else self._text(one) for one in several
        ]

    def _text(self, label: Any) -> str:
        if isinstance(label, str):
            return label
        field, reason = "label", f"is {label!r}; a class is wanted, one of {', '.join(self.labels)}"
        raise RowError(field, reason)

    def _places(self, example: Example) -> list[int]:
        """Places of the example's classes among the labels.

        Raises:
            RowError: It says none, several where there is to be one, or one that is not known.
        """
        _, named = self._parts(example)
        field = "label"
        if named is None:
            raise RowError(field, "is not there, and no answer that names the class")
        if unknown := next((name for name in named if name not in self.labels), None):
            near = did_you_mean(unknown, self.labels)
            raise RowError(field, f"{unknown!r} is none of model.objective.init_args.labels{near}")
        if len(named) != 1 and not self.multi_label:
            raise RowError(field, f"names {len(named)} classes; model.objective.init_args.multi_label learns several")
        return [self.labels.index(name) for name in named]


def _weight(example: Example) -> float:
    """What a row counts: the largest weight of its pieces of text, or of its answers."""
    given = [piece.weight for piece in example.segments]
    given = given or [turn.weight for turn in example.messages if turn.role == "assistant" and turn.weight is not None]
    return max(given, default=1.0) or 1.0
