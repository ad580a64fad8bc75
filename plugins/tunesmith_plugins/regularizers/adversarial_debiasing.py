"""Takes the group out of what the model knows of a row when it answers."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from tunesmith import Adapter, Forward, Objective, RecipeError, Regularizer, Term
from tunesmith_plugins.audits.groups import Grouping, refuse_unread
from tunesmith_plugins.regularizers.numbers import check_number

if TYPE_CHECKING:
    from torch import nn

_SEEN = 1000
_DECAY = 0.01


class AdversarialDebiasing(Regularizer):
    """Adversaries that tell the group from hidden states, and whose gradient is reversed; unit: example.

    Zhang, Lemoine, Mitchell 2018 (arXiv:1801.07593), by the gradient reversal of Ganin & Lempitsky 2015
    (arXiv:1409.7495): classifiers read a pooled hidden state of each row and learn the row's group,

        weight * mean over adversaries of -log q(group | state)

    while the model gets that term's gradient times `-strength`: it learns states from which they cannot.

    An adversary that takes one step beside each of the model's is outrun: its accuracy is at chance, or below, and a
    fresh classifier still finds the group (Elazar & Goldberg 2018, arXiv:1808.06640). So there are several, the first
    linear and the others with a hidden layer; they see standardised states; and they take `steps` of their own on the
    last `memory` rows before each of the model's, with a rate of their own. Whether the group is gone is for a fresh
    classifier on held-out rows to say, not for the adversaries; what the states at other tokens hold, as at the group's
    own word, is not touched.

    The state is the last hidden one, pooled as `pooling` says:

    - `last`: at the last token before what is learnt, that is where the answer begins; of an objective for classes
      what their head takes. It has seen the prompt, and nothing of the answer.
    - `mean`: the mean over the tokens up to there.
    - `text`: the mean over all tokens, the answer included. Where the answer goes with the group, hiding the group
      hides the answer.

    Rows all of whose text is learnt (DomainText) have no prompt: they need `text`, else they are left out. So are rows
    of no group, or of one that is not named. Of pairs the first answer's prompt is read.

    The strength rises from 0 to 1 over the run, so that states form before they are hidden: `ganin` by
    2 / (1 + exp(-10 p)) - 1 with p the share of the run that is done, `linear` over the first `warmup` of the run;
    `constant` is 1 throughout. Adversaries, their memory and all that their steps depend on are in checkpoints, and are
    not saved with the adapter. Of several processes all use the first one's; with weights in shards each has its own.

    Logged beside it, as shares of all rows: `accuracy`, rows whose group the adversaries tell (mean), and `chance`,
    rows that the most frequent group so far has. Rows of no group count as neither.

    Since 0.13.

    Args:
        weight: Factor of the term, in nats a row.
        group: Column with the group; if None the words of `category` in what is asked tell it.
        groups: The groups to tell apart; needed with `group`, else those that the lexicon compares.
        category: Of the lexicon.
        lexicon: JSON file whose categories are added to the built-in ones or replace them.
        pooling: Of which tokens the state is.
        schedule: How the strength rises.
        warmup: Share of the run over which it does, for `linear`.
        adversaries: How many classifiers, one of them linear.
        width: Units of the others' hidden layer.
        steps: Steps of theirs before each of the model's.
        rate: Learning rate of theirs.
        memory: Rows that they learn from, the last ones.
    """

    def __init__(
        self,
        weight: float = 1.0,
        group: str | None = None,
        groups: list[str] | None = None,
        category: str = "gender",
        lexicon: Path | None = None,
        pooling: Literal["last", "mean", "text"] = "last",
        schedule: Literal["ganin", "linear", "constant"] = "ganin",
        warmup: float = 0.1,
        adversaries: int = 3,
        width: int = 64,
        steps: int = 10,
        rate: float = 1e-2,
        memory: int = 512,
    ) -> None:
        self.weight = weight
        self.group = group
        self.groups = groups
        self.category = category
        self.lexicon = lexicon
        self.pooling = pooling
        self.schedule = schedule
        self.warmup = warmup
        self.adversaries = adversaries
        self.width = width
        self.steps = steps
        self.rate = rate
        self.memory = memory

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """By words and by a column, each kind of pooling, one adversary and several."""
        return [
            cls(),
            cls(group="group", groups=["a", "b"], pooling="mean", schedule="linear", adversaries=1),
            cls(pooling="text", schedule="constant"),
        ]

    def check(self, objective: Objective, adapter: Adapter) -> None:
        """Refuse numbers out of range, and groups that are not two or more.

        Raises:
            RecipeError: One is so.
            DataError: The lexicon cannot be read.
        """
        check_number(self, "weight")
        for option in ("warmup", "adversaries", "width", "steps", "rate", "memory"):
            check_number(self, option, above=True)
        if self.group is not None and self.groups is None:
            msg = f"groups is not there; name those of column {self.group} to tell apart"
            raise RecipeError(msg)
        if self.group is not None:
            refuse_unread(type(self).__name__, "group names a column", lexicon=self.lexicon)
        names = self._names()
        if len(set(names)) < max(2, len(names)):
            msg = f"groups is {', '.join(names) or 'empty'}; two or more different ones are told apart"
            raise RecipeError(msg)
        category = self._grouping().category
        for name in names if category is not None else ():
            if category is not None and name not in category.compared:
                known = ", ".join(category.compared)
                msg = f"groups: {name!r} is not compared in {self.category} (there are: {known})"
                raise RecipeError(msg)
        self._classes = objective.model_class == "classification"

    def module(self) -> "nn.Module":
        """Holds the adversaries, for checkpoints."""
        from torch import nn

        self._held = nn.Module()
        return self._held

    def setup(self, model: "nn.Module") -> None:
        """Make the adversaries, as wide as the model's states; their weights depend on the recipe's seed alone."""
        import torch

        from tunesmith_plugins.regularizers.adversaries import Adversaries

        self._told, self._by_name = self._grouping(), {name: at for at, name in enumerate(self._names())}
        inner = [0, *[self.width] * (self.adversaries - 1)]
        seed = torch.initial_seed() % 2**63
        self._them = Adversaries(_width(model), len(self._by_name), inner, self.memory, seed)
        self._held.add_module("adversaries", self._them)
        self._strength, self._rows, self._step = 1.0, 0, -1

    def advance(self, step: int, steps: int | None) -> None:
        """Raise the strength, and let the adversaries learn, once a step.

        Raises:
            RecipeError: It rises over a run of which nobody knows how long it is.
        """
        if self._step != step:
            self._them.learn(self.steps, self.rate, _DECAY)
        self._step = step
        if self.schedule == "constant":
            return
        if steps is None:
            why = "and only the clock ends the run; set it to constant, or trainer.max_steps"
            msg = f"AdversarialDebiasing.schedule is {self.schedule}, {why}"
            raise RecipeError(msg)
        done = step / max(1, steps)
        ganin = 2 / (1 + math.exp(-10 * done)) - 1
        self._strength = ganin if self.schedule == "ganin" else min(1.0, done / self.warmup)

    def logs(self) -> tuple[str, ...]:
        """How well the adversaries do, and how well one does that looks at nothing."""
        return ("accuracy", "chance")

    def penalty(self, forward: Forward) -> Term:
        """Sum of the adversaries' cross-entropies over the rows of a group, times the weight.

        Raises:
            RecipeError: None of many rows has a group.
        """
        import torch
        import torch.nn.functional as F

        from tunesmith_plugins.regularizers.adversaries import reversed_gradient
        from tunesmith_plugins.regularizers.pooling import pooled

        states, kept = pooled(forward, self.pooling, self._classes)
        found = [self._told.of(example, prompt_only=True) for example in forward.batch.examples]
        named = [-1 if group is None else self._by_name.get(group, -1) for group in found]
        groups = torch.where(kept, torch.tensor(named, device=states.device), -1)
        known = groups >= 0
        groups, states = groups[known], states.float()[known]
        if not forward.batch.ghost:
            self._them.note(states.detach(), groups)
        self._see(len(named))
        them = self._them.logits(reversed_gradient(states, self._strength))
        losses = torch.stack([F.cross_entropy(logits, groups, reduction="sum") for logits in them])
        right = torch.stack([(logits.argmax(-1) == groups).sum() for logits in them])
        seen = self._them.seen
        chance = len(groups) * seen.max() / seen.sum().clamp(min=1)
        logged = {"accuracy": right.float().mean(), "chance": chance}
        return Term(self.weight * losses.mean(), "example", logged)

    def _see(self, rows: int) -> None:
        """Count rows.

        Raises:
            RecipeError: None of many has a group.
        """
        self._rows += rows
        if self._rows < _SEEN or int(self._them.seen.sum()):
            return
        column = f"one of {', '.join(self._names())} in column {self.group}"
        where = column if self.group else f"words of one group of {self.category}"
        msg = (
            f"none of {self._rows:,} rows has {where} and a prompt, so that nothing is hidden\n"
            "look at group, groups, category and pooling, or leave AdversarialDebiasing out"
        )
        raise RecipeError(msg)

    def _grouping(self) -> Grouping:
        return Grouping(type(self).__name__, self.group, self.category, self.lexicon)

    def _names(self) -> list[str]:
        """The groups, in the order of the adversaries' outputs."""
        if self.groups is not None:
            return self.groups
        category = self._grouping().category
        return [] if category is None else list(category.compared)


def _width(model: "nn.Module") -> int:
    """Width of a model's last hidden states."""
    network: Any = model
    head = network.get_output_embeddings()
    width = getattr(head, "in_features", None)  # some project the last states
    return int(width or network.config.get_text_config().hidden_size)
