"""What objectives keep: sound sequences with the right tokens trained, and a loss that is a sum."""

from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.plugins.interfaces import Objective
from tunesmith.testing import encodings
from tunesmith.testing.check import Call, NotApplicableError, Rule, Trial, fail
from tunesmith.testing.encodings import accepted, is_sound, renderer_of, shape_of
from tunesmith.testing.material import examples

if TYPE_CHECKING:
    from tunesmith.data.encoded_rows import EncodedRow
    from tunesmith.data.example import Example
    from tunesmith.data.render import ChatRenderer
    from tunesmith.training.specialist import Specialist

_ROWS = {"conversation": 6, "text": 2, "pair": 3}
_STEPS = 8
_CLEARLY = 1.0


def exercise(trial: Trial, _: Path) -> Any:
    """Encode all examples, and take two steps on those that are accepted."""
    from tunesmith.testing import models

    sequences = [(e.id, found) for e, found in accepted(trial, renderer_of())]
    try:
        module, rows = _on_model(trial)
    except NotApplicableError:
        return sequences
    models.train(module, rows)
    return [sequences, models.logits(module, models.batch_of(module, rows))]


class Learner:
    """An objective at work: with what it encodes by, and from its first loss on upon a model.

    Args:
        trial: The objective.
    """

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self.renderer = renderer_of()

    @cached_property
    def model(self) -> "tuple[Specialist, list[EncodedRow]]":
        """The model, and rows for it."""
        return _on_model(self.trial)


def calls(_: Trial) -> list[Call]:
    """Encode a few examples, and compute the loss of a few rows; then of all."""
    return [partial(_learned, part) for part in (slice(3), slice(None))]


def _learned(part: slice, learner: Learner) -> Any:
    from tunesmith.testing import models

    encoded = [(e.id, found) for e, found in accepted(learner.trial, learner.renderer, examples()[part])]
    try:
        module, rows = learner.model
    except NotApplicableError:
        return encoded
    module.train()
    return [encoded, module.objective.loss(module.passes(models.batch_of(module, rows[part]))).sum.detach()]


def loss_is_a_term(trial: Trial) -> None:
    """`loss` returns a Term: a finite scalar sum with a gradient, and its unit.

    Why: the core divides each sum by the number of its units in the whole optimizer step. A mean, a float or a detached
    value is another loss, or none.
    """
    from tunesmith.testing.sums import check_term

    module, rows = _on_model(trial)
    check_term(module, module.objective.loss, rows)


def loss_adds_up(trial: Trial) -> None:
    """The loss and its gradients are the same however rows are cut into micro-batches.

    Why: a mean of means turns the gradient by up to 63 degrees on rows of unequal length; nearly every trainer had this
    bug (traps 1 to 4).
    """
    from tunesmith.testing.sums import check_splits

    module, rows = _on_model(trial)
    check_splits(module, module.objective.loss, rows)


def loss_counts_its_unit(trial: Trial) -> None:
    """The loss is summed over what its unit says: tokens with a weight, examples, or pairs.

    Why: the core divides it by the number of these in the whole optimizer step, which it counts by itself: tokens that
    have a loss weight, one example a row, a pair where a row has two sequences. A sum over tokens that is called
    `example` is as many times too strong as answers are long, one of means that is called `token` as much too weak.
    """
    from tunesmith.testing.units import check_unit

    module, rows = _on_model(trial)
    check_unit(module, module.objective.loss, rows)


def loss_of_nothing_is_finite(trial: Trial) -> None:
    """A micro-batch without a supervised token has a finite loss with finite gradients.

    Why: ranks that have run out of rows take part with such a batch. Its loss is multiplied by 0, and 0 * nan is nan on
    every rank (trap 15).
    """
    from tunesmith.testing.sums import check_without_targets

    module, rows = _on_model(trial)
    check_without_targets(module, module.objective.loss, rows[:2])


def loss_follows_the_weights(trial: Trial) -> None:
    """A token is learned as much as its weight says, whatever its id, the end token included.

    Why: a loss that leaves out pad or end tokens by their ids undoes what `encode` decided (traps 10, 11). Weights are
    fractions too: a turn of weight 0.5 that counts as much as one of 1 is an option of the rows that nothing reads.
    """
    from dataclasses import replace

    from tunesmith.testing import models
    from tunesmith.testing.units import check_weights

    module, rows = _on_model(trial)
    module.tokenizer.pad_token = module.tokenizer.eos_token
    module.passes.model.config.pad_token_id = module.tokenizer.eos_token_id
    batch = models.batch_of(module, rows)
    ends = (batch.input_ids == module.tokenizer.eos_token_id) & (batch.loss_weights != 0)
    if not bool(ends.any()):
        return  # `trains_the_end_token` says why
    module.eval()
    base = float(module.objective.loss(module.passes(replace(batch, loss_weights=batch.loss_weights * 0))).sum.detach())
    alone = module.objective.loss(module.passes(replace(batch, loss_weights=batch.loss_weights * ends))).sum
    if abs(float(alone.detach()) - base) < 1e-6 or not alone.requires_grad:
        advice = "multiply by chunk.weights, and mask nothing by id (no ignore_index)"
        fail("with weights on end tokens alone, the loss is that of no token", "the end tokens' loss", advice)
    check_weights(module, module.objective.loss, rows)


def loss_learns_the_next_token(trial: Trial) -> None:
    """What gets likelier in training is the token after each supervised position, not that at it or the one after next.

    Why: targets are shifted once, by the core. Shifted again or not at all, the loss falls as well, faster even, to a
    model that repeats what it reads (trap 34).
    """
    from tunesmith.testing import models

    module, rows = _on_model(trial)
    batch = models.batch_of(module, rows)
    places = batch.loss_weights.nonzero()[:, 0]
    # tokens that have another one behind them in their sequence, so that all three can be compared
    places = places[:-1][batch.sequence[places[:-1]] == batch.sequence[places[:-1] + 1]]
    if not len(places):
        msg = "no supervised token has another one behind it, which it could be taken for"
        raise NotApplicableError(msg)
    before = models.logits(module, batch).log_softmax(-1)
    models.train(module, rows, steps=_STEPS)
    gained = (models.logits(module, batch).log_softmax(-1) - before)[places - 1]
    here, following, later = (
        float(gained.gather(1, batch.input_ids[places + shift][:, None]).mean()) for shift in (-1, 0, 1)
    )
    if max(here, later) > max(0.0, following) + _CLEARLY:
        which = "at the position itself" if here > later else "after next"
        what = f"{_STEPS} steps make the token {which} {max(here, later):.2g} nats likelier, the next {following:.2g}"
        fail(what, "the next token above all", "compare head(hidden[supervised]) with targets; shift neither")


def loss_logs_what_it_says(trial: Trial) -> None:
    """What the term logs beside itself has the names that `logs` says, in training and in evaluation; finite scalars.

    Why: names are known before the first step, so that callbacks can watch them, and so that all ranks add up the same
    sums, one without rows too.
    """
    from tunesmith.testing.logged import check_logged

    module, rows = _on_model(trial)
    check_logged(module, module.objective.loss, rows, trial.plugin.logs(), (True, False))


def loss_trains_its_own_module(trial: Trial) -> None:
    """Each parameter of `module(config)` has a gradient within two optimizer steps.

    Why: they are counted, saved and restored as what is trained. One without a gradient only seems to train (trap 25).
    """
    from tunesmith.testing.traces import check_own_module

    module, rows = _on_model(trial)
    if type(trial.plugin).module is not Objective.module:
        check_own_module(module, rows, "objective")


def loss_leaves_no_trace(trial: Trial) -> None:
    """`loss` leaves modes, `requires_grad` flags, weights, gradients and random states as they were.

    Why: it runs before its own backward pass, and in validation. A module left in evaluation mode, a flag that is
    switched on, or a draw from the global state changes all steps after it (traps 27, 45).
    """
    from tunesmith.testing.traces import check_no_trace

    module, rows = _on_model(trial)
    check_no_trace(module, module.objective.loss, rows, "loss")


def _on_model(trial: Trial) -> "tuple[Specialist, list[EncodedRow]]":
    """The tiny model with the objective, and a few rows of different lengths.

    Raises:
        NotApplicableError: There is no such model, or no such row.
    """
    from tunesmith.testing import models

    module = models.specialist(objective=trial.plugin)
    sound = _of_each_shape(trial, module.renderer)
    if not sound:
        msg = "no example has a supervised token in each of its sequences: the loss was not computed"
        raise NotApplicableError(msg)
    models.move(module)
    return module, models.encoded(module, sound)


def _of_each_shape(trial: Trial, renderer: "ChatRenderer") -> "list[Example]":
    """The first few sound examples of each shape, most of them conversations."""
    shapes: dict[str, list[Example]] = {shape: [] for shape in _ROWS}
    for example in examples():
        kept = shapes[shape_of(example)]
        if len(kept) == _ROWS[shape_of(example)]:
            continue
        for _, found in accepted(trial, renderer, [example]):
            labelled = trial.plugin.model_class != "classification"  # what learns classes has no supervised token
            if all(is_sound(sequence) or not labelled for sequence in found):
                kept.append(example)
    return [example for kept in shapes.values() for example in kept]


LOSS: list[Rule] = [
    loss_is_a_term,
    loss_adds_up,
    loss_counts_its_unit,
    loss_of_nothing_is_finite,
    loss_follows_the_weights,
    loss_learns_the_next_token,
    loss_logs_what_it_says,
    loss_trains_its_own_module,
    loss_leaves_no_trace,
]
CHECKS: list[Rule] = [*encodings.CHECKS, *LOSS]
