"""KTO: answers that are wanted and answers that are not, which need not come in pairs."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from tunesmith import Encoded, Example, Forward, Objective, RecipeError, Renderer, RowError, Term
from tunesmith_plugins.objectives.answers import last_alone

if TYPE_CHECKING:
    from torch import nn

_AT = "model.objective.init_args"
_DRIFT = "rewards/drift"


class KTO(Objective):
    """Learns from single answers that are marked as wanted or not (Kahneman-Tversky Optimization); unit: example.

    With r the summed log-probability of an answer minus that which the base gives it, s the sigmoid, and z the
    reference point, the loss of a row is (Ethayarajh et al. 2024, arXiv:2402.01306, equation 8)

    - desirable_weight * (1 - s(beta * (r - z))) for a wanted answer,
    - undesirable_weight * (1 - s(beta * (z - r))) for an unwanted one.

    The reference point is how far the model has gone from its base: max(0, mean of r) over answers that stand behind
    another row's prompt. The paper takes the mean over the micro-batch, so that a row's loss depends on what it is
    batched with. Here it is that over all rows of the optimizer step before: the same however rows are batched,
    accumulated and shared among processes; 0 before the first step, where model and base are one; kept in checkpoints.
    Each row is therefore run twice, with its own answer and with one that belongs to a row before it, from which
    nothing is learnt.

    Rows are those of the formatter UnpairedPreference; one without a label is taken as wanted. Where one kind is rarer
    than the other, the paper advises weights by which both count about the same, wanted ones up to a third more. The
    base is the model without its adapter: no second model in memory, but for adapters that cannot be switched off.

    Logged beside the loss, of rows: `rewards/accuracy` (the share whose reward beta * r lies on the right side of
    beta * z), `rewards/margin` (how far on the right side), `rewards/drift` (r of answers behind another prompt).

    Since 0.13.

    Args:
        beta: How far the model may go from its base, less the larger it is.
        desirable_weight: Of wanted rows.
        undesirable_weight: Of unwanted ones.
    """

    def __init__(self, beta: float = 0.1, desirable_weight: float = 1.0, undesirable_weight: float = 1.0) -> None:
        self.beta = beta
        self.desirable_weight = desirable_weight
        self.undesirable_weight = undesirable_weight
        self._state: Any = None

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """Both kinds alike, and one that counts less."""
        return [cls(), cls(beta=0.5, undesirable_weight=0.5)]

    def logs(self) -> Sequence[str]:
        """Rewards, and how far the model has gone from its base."""
        return ("rewards/accuracy", "rewards/margin", _DRIFT)

    def check(self) -> None:
        """Refuse values out of range.

        Raises:
            RecipeError: Names the option.
        """
        if self.beta <= 0:
            msg = f"{_AT}.beta is {self.beta}; it must be above 0"
            raise RecipeError(msg)
        for name in ("desirable_weight", "undesirable_weight"):
            if getattr(self, name) < 0:
                msg = f"{_AT}.{name} is {getattr(self, name)}; it must be 0 or more"
                raise RecipeError(msg)

    def module(self, config: Any) -> "nn.Module":
        """No parameters, but the reference point, so that a run goes on with it."""
        import torch
        from torch import nn

        module = nn.Module()
        module.register_buffer("reference_point", torch.zeros(()))
        self._state = module
        return module

    def encode(self, example: Example, renderer: Renderer) -> list[Encoded]:
        """The conversation, of which the last answer is learnt.

        Raises:
            RowError: The example is no conversation with an answer.
        """
        field = "messages"
        if not example.messages or example.messages[-1].role != "assistant":
            raise RowError(field, "the example has no answer that is wanted or not; KTO learns from UnpairedPreference")
        if not isinstance(example.label, bool | None):
            field, reason = "label", f"is {example.label!r}; whether an answer is wanted is true or false"
            raise RowError(field, reason)
        return [_last(example, renderer, example.messages[-1].content)]

    def encode_beside(self, example: Example, other: Example | None, renderer: Renderer) -> list[Encoded]:
        """The same, and the other row's answer behind this one's prompt."""
        own = self.encode(example, renderer)
        if other is None:
            return own
        try:
            return [*own, _last(example, renderer, other.messages[-1].content)]
        except RowError:  # the other row's answer is what cannot be rendered
            return own

    def loss(self, forward: Forward) -> Term:
        """Sum over the rows."""
        import torch

        from tunesmith_plugins.objectives.answers import log_ratios

        batch = forward.batch
        gained = log_ratios(forward, forward.baseline())
        owner = batch.sequence_example
        first = torch.ones_like(owner, dtype=torch.bool)
        first[1:] = owner[1:] != owner[:-1]
        own, drift = gained[first], gained[~first].detach()
        wanted = torch.tensor([example.label is not False for example in batch.examples], device=own.device)
        point = self._state.reference_point.to(own.device)
        away = torch.where(wanted, own - point, point - own)
        weights = torch.where(wanted, self.desirable_weight, self.undesirable_weight)
        losses = weights * (1 - torch.sigmoid(self.beta * away))
        margins = self.beta * away.detach()
        told = ((margins > 0).to(margins.dtype).sum(), margins.sum(), drift.sum())
        return Term(losses.sum(), "example", dict(zip(self.logs(), told, strict=True)))

    def after_step(self, logged: Mapping[str, float]) -> None:
        """The next step refers to how far the model had gone in this one."""
        self._state.reference_point.fill_(max(0.0, logged[_DRIFT]))


def _last(example: Example, renderer: Renderer, answer: str) -> Encoded:
    """The conversation with this answer as the last turn, which alone has a weight."""
    *before, last = example.messages
    return renderer.conversation(last_alone([*before, last.with_content(answer)]), example.tools)
