"""Preference: of two answers to one prompt, the better one is to become the likelier one."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Self

from tunesmith import Encoded, Example, Forward, Objective, RecipeError, Renderer, RowError, Term
from tunesmith_plugins.objectives.answers import apart

if TYPE_CHECKING:
    from torch import Tensor

Method = Literal["dpo", "ipo", "orpo", "simpo"]
_BETA: dict[Method, float] = {"dpo": 0.1, "ipo": 0.1, "orpo": 0.1, "simpo": 2.0}
_GAMMA = 1.0
_AT = "model.objective.init_args"


class Preference(Objective):
    """Learns which of two answers is the better one, from preference pairs; unit: pair.

    With c and r the summed log-probabilities of the better and of the worse answer, c' and r' those that the base gives
    them, |c| and |r| their numbers of tokens, and s the sigmoid, the loss of a pair is

    - `dpo` (Rafailov et al. 2023, arXiv:2305.18290): -log s(h), h = beta * ((c - c') - (r - r')); with label smoothing
      e, -(1 - e) log s(h) - e log s(-h) (Mitchell 2023, conservative DPO), for a share e of pairs that are labelled
      the wrong way round;
    - `ipo` (Azar et al. 2023, arXiv:2310.12036): (h - 1 / (2 beta))^2, h = (c - c') / |c| - (r - r') / |r|;
    - `orpo` (Hong et al. 2024, arXiv:2403.07691): -c / |c| - beta log s(o(c / |c|) - o(r / |r|)), with the log odds
      o(x) = x - log(1 - exp x): it learns the better answer at once, and is for a base that was not instructed before;
    - `simpo` (Meng et al. 2024, arXiv:2405.14734): -log s(beta * (c / |c| - r / |r|) - gamma).

    The base is the model without its adapter, for `dpo` and `ipo`: no second model in memory, but for adapters that
    cannot be switched off. `orpo` and `simpo` need none. What both answers begin with counts in neither; a pair that is
    cut to `data.max_length` keeps equal prompts.

    Logged beside the loss, of pairs: `rewards/accuracy` (the share in which the better answer's reward is the higher
    one; equal ones count half), `rewards/margin` (how much higher), `rewards/chosen`, `rewards/rejected`. The reward
    is beta * (c - c') for `dpo`, beta * (c - c') / |c| for `ipo`, beta * c / |c| for the others.

    Since 0.13.

    Args:
        method: The loss.
        beta: How far the model may go from its base, less the larger it is (`dpo`, `ipo`: 0.1 by default); the weight
            of the odds (`orpo`: 0.1); the scale of rewards (`simpo`: 2).
        gamma: What the better answer's reward is to be higher by, for `simpo` alone; 1 by default.
        label_smoothing: Share of pairs that are taken to be labelled the wrong way round, for `dpo` alone; below 0.5.
        by_token: Whether answers count by their mean log-probability rather than by the sum, which long ones have more
            of: by default for `ipo`, as its authors say of their own runs, and not for `dpo`; always for the others.
    """

    def __init__(
        self,
        method: Method = "dpo",
        beta: float | None = None,
        gamma: float | None = None,
        label_smoothing: float = 0.0,
        by_token: bool | None = None,
    ) -> None:
        self.method = method
        self.beta = beta
        self.gamma = gamma
        self.label_smoothing = label_smoothing
        self.by_token = by_token

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """Each method, and smoothed labels."""
        return [cls(), cls(label_smoothing=0.1, by_token=True), cls("ipo"), cls("orpo"), cls("simpo", gamma=0.5)]

    def logs(self) -> Sequence[str]:
        """Rewards."""
        return ("rewards/accuracy", "rewards/margin", "rewards/chosen", "rewards/rejected")

    def check(self) -> None:
        """Refuse values out of range, and options of other methods.

        Raises:
            RecipeError: Names the option.
        """
        if self._beta <= 0:
            msg = f"{_AT}.beta is {self.beta}; it must be above 0"
            raise RecipeError(msg)
        if self.gamma is not None and self.method != "simpo":
            msg = f"{_AT}.gamma is {self.gamma}, which {self.method} does not read: it goes with simpo; leave it out"
            raise RecipeError(msg)
        if self.label_smoothing and self.method != "dpo":
            said = f"label_smoothing is {self.label_smoothing}, which {self.method} does not read: it goes with dpo"
            msg = f"{_AT}.{said}; leave it out"
            raise RecipeError(msg)
        if not 0 <= self.label_smoothing < 0.5:
            msg = f"{_AT}.label_smoothing is {self.label_smoothing}; it must be 0 or more, and below 0.5"
            raise RecipeError(msg)
        if self.by_token is not None and self.method in ("orpo", "simpo"):
            msg = f"{_AT}.by_token is {self.by_token}, and {self.method} is by token always; leave it out"
            raise RecipeError(msg)

    def encode(self, example: Example, renderer: Renderer) -> list[Encoded]:
        """The better answer behind the prompt, and the worse one.

        Raises:
            RowError: The example is no pair.
        """
        if not example.chosen or not example.rejected:
            field, reason = "rejected", "there is no pair of a better and a worse answer, which Preference learns from"
            raise RowError(field, reason)
        turns = apart(example.chosen, example.rejected)
        return [renderer.conversation(side, example.tools) for side in turns]

    def loss(self, forward: Forward) -> Term:
        """Sum over the pairs."""
        from tunesmith_plugins.objectives import pairs
        from tunesmith_plugins.objectives.answers import lengths, log_ratios

        gained = log_ratios(forward, forward.baseline() if self.method in ("dpo", "ipo") else None)
        if self._by_token:
            gained = gained / lengths(forward).clamp(min=pairs.SMALLEST)
        better, worse = pairs.sides(forward.batch)
        chosen, rejected = gained[better], gained[worse]
        beta = self._beta
        match self.method:
            case "dpo":
                losses = pairs.dpo(chosen, rejected, beta, self.label_smoothing)
            case "ipo":
                losses = pairs.ipo(chosen, rejected, beta)
            case "orpo":
                losses = pairs.orpo(chosen, rejected, beta)
            case "simpo":
                losses = pairs.simpo(chosen, rejected, beta, _GAMMA if self.gamma is None else self.gamma)
        rewards = beta * chosen.detach(), beta * rejected.detach()
        return Term(losses.sum(), "pair", dict(zip(self.logs(), _told(*rewards), strict=True)))

    @property
    def _beta(self) -> float:
        return _BETA[self.method] if self.beta is None else self.beta

    @property
    def _by_token(self) -> bool:
        return self.method != "dpo" if self.by_token is None else self.by_token


def _told(chosen: "Tensor", rejected: "Tensor") -> "tuple[Tensor, ...]":
    """Sums over pairs of what `logs` names, of the rewards of both answers."""
    margin = chosen - rejected
    right = (margin > 0).to(margin.dtype) + 0.5 * (margin == 0).to(margin.dtype)
    return right.sum(), margin.sum(), chosen.sum(), rejected.sum()
