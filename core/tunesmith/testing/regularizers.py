"""What regularizers keep: a penalty that splits over micro-batches, and nothing left of them in evaluation."""

import copy
from typing import TYPE_CHECKING, Any

from tunesmith.plugins.interfaces import Regularizer
from tunesmith.recipe.signature import options
from tunesmith.testing.check import CheckFailedError, Rule, Trial, fail, told
from tunesmith.testing.regularized import NAME, on_model, penalizes, penalty_of, perturbs, sum_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from tunesmith.data.encoded_rows import EncodedRow
    from tunesmith.training.specialist import Specialist

_WITHIN = 1e-4
_BY_ROW = "seed a generator by batch.examples[...].id for each row; return a tensor of the same shape and dtype"


def does_something(trial: Trial) -> None:
    """It overrides `penalty`, `perturb` or both, to an effect; a penalty is a Term: a finite scalar sum and its unit.

    Why: a regularizer without effect is an option that nothing reads (trap 39). The core divides the sum by the number
    of its units in the whole optimizer step; a mean, a float or a detached value is another penalty, or none. One whose
    options switch it off by default shows itself in `trial_instances`.
    """
    from tunesmith.testing import models
    from tunesmith.testing.sums import check_term, value_of

    if not (penalizes(trial) or perturbs(trial)):
        name = trial.name
        advice = "override penalty(forward) or perturb(embeddings, batch)"
        fail(f"{name} overrides neither penalty nor perturb", "one of the two", advice)
    if penalizes(trial):
        module, rows = on_model(trial.plugin)
        check_term(module, penalty_of(module), rows)
        if not bool(value_of(module, penalty_of(module), models.batch_of(module, rows)).gradient.any()):
            advice = "compute it from the pass, with a weight; or let trial_instances return one that has an effect"
            fail("the gradient of penalty is zero throughout", "a gradient where tuned and base differ", advice)
    if perturbs(trial) and not _shakes(trial.plugin):
        advice = "return changed embeddings; or let trial_instances return one that does"
        fail("perturb changes nothing", "other embeddings in training", advice)


def penalty_adds_up(trial: Trial) -> None:
    """The penalty and its gradients are the same however rows are cut into micro-batches, as its unit says.

    Why: penalties that are not normalised like the loss weigh more or less with every change of batch size (trap 4). A
    term of the parameters alone has unit `step`: counted per token it is up to 254 times too weak. Random draws come
    from a generator that is seeded by the row's id.
    """
    from tunesmith.testing.sums import check_splits

    if penalizes(trial):
        module, rows = on_model(trial.plugin)
        check_splits(module, penalty_of(module), rows)


def penalty_counts_its_unit(trial: Trial) -> None:
    """The penalty is summed over what its unit says: tokens with a weight, examples, or pairs.

    Why: the core divides it by the number of these in the whole optimizer step, which it counts by itself: tokens that
    have a loss weight, one example a row, a pair where a row has two sequences. Over all tokens but called `token`, or
    over tokens but called `example`, a penalty is as many times too strong as rows are long (trap 4).
    """
    from tunesmith.testing.units import check_unit

    if penalizes(trial):
        module, rows = on_model(trial.plugin)
        check_unit(module, penalty_of(module), rows)


def penalty_of_nothing_is_finite(trial: Trial) -> None:
    """A micro-batch without a supervised token has a finite penalty with finite gradients.

    Why: ranks that have run out of rows take part with such a batch; its terms are multiplied by 0, and 0 * nan is nan
    on every rank.
    """
    from tunesmith.testing.sums import check_without_targets

    if penalizes(trial):
        module, rows = on_model(trial.plugin)
        check_without_targets(module, penalty_of(module), rows[:2])


def penalty_trains_its_own_module(trial: Trial) -> None:
    """Each parameter of `module()` has a gradient within two optimizer steps.

    Why: they are counted, saved and restored as what is trained. One without a gradient only seems to train (trap 25).
    """
    if type(trial.plugin).module is Regularizer.module:
        return
    from tunesmith.testing.traces import check_own_module

    module, rows = on_model(trial.plugin)
    check_own_module(module, rows, f"reg-{NAME}")


def prepared_state_is_kept(trial: Trial) -> None:
    """What `prepare` found lies in buffers of `module()`: a resumed run has the penalty that the run had.

    Why: a resumed run restores them and does not call `prepare` again, as its weights are no longer those that were to
    be looked at. What is kept elsewhere is lost, and the penalty is another one from there on, or none (trap 27).
    """
    if type(trial.plugin).prepare is Regularizer.prepare or not penalizes(trial):
        return
    from tunesmith.testing import models

    (module, rows), (resumed, _) = on_model(trial.plugin), on_model(trial.plugin, prepared=False)
    resumed.load_state_dict(module.state_dict())
    advice = "register_buffer() in module() before it returns, and fill it in prepare()"
    try:
        one, other = (sum_of(m, models.batch_of(m, rows)) for m in (module, resumed))
    except Exception as error:
        fail(f"penalty of a resumed run fails with {told(error)}", "the penalty of before", advice, error)
    if abs(one - other) > _WITHIN * abs(one):
        fail(f"it is {one:.6g}, and {other:.6g} in a run that is resumed", "the same", advice)


def weight_scales_the_penalty(trial: Trial) -> None:
    """The constructor takes `weight`; twice the weight is twice the penalty, and 0 is none.

    Why: all regularizers are tuned by the same option, and logged as they enter the loss. A weight that is squared, or
    applied to a part, cannot be compared between recipes.
    """
    if not penalizes(trial):
        return
    known = options(trial.cls)
    advice = "weight: float in __init__, and Term(self.weight * total, unit) in penalty"
    if "weight" not in known:
        fail(f"the options are {', '.join(known) or 'none'}", "an option called weight", advice)
    given = {name: getattr(trial.plugin, name) for name in known}
    make: Any = trial.cls
    single, double, none = (_value(make(**{**given, "weight": factor})) for factor in (0.25, 0.5, 0.0))
    if abs(double - 2 * single) > _WITHIN * abs(double) + 1e-9:
        fail(f"it is {single:.6g} with weight 0.25 and {double:.6g} with 0.5", "twice as much", advice)
    if abs(none) > 1e-9:
        fail(f"it is {none:.6g} with weight 0", "0", advice)


def is_off_in_evaluation(trial: Trial) -> None:
    """In evaluation the model computes what it would without the regularizer, twice the same.

    Why: noise in validation and generation spoils every comparison, and nothing shows it (trap 36). The core calls
    `perturb` in training only; hooks and patched modules that a plugin leaves on the model act everywhere.
    """
    from tunesmith.testing import models

    module, rows = on_model(trial.plugin)
    batch = models.batch_of(module, rows)
    models.train(module, rows, steps=1)
    with_it = models.logits(module, batch)
    plain = models.specialist()
    plain.network.load_state_dict(module.network.state_dict(), strict=False)
    advice = "change embeddings in perturb() only; leave no hooks on the model"
    if (gap := models.distance(with_it, models.logits(plain, batch))) > 1e-6:
        fail(f"logits in evaluation differ by {gap:.2g} from those without it", "the same", advice)
    if not bool((models.logits(module, batch) == with_it).all()):
        fail("two passes in evaluation differ", "the same bit by bit", advice)


def penalty_leaves_no_trace(trial: Trial) -> None:
    """`penalty` leaves modes, `requires_grad` flags, weights, gradients and random states as they were.

    Why: it runs between the loss and its backward pass. A module left in evaluation mode, a flag that is switched
    on, or a draw from the global state changes all steps after it (traps 27, 45).
    """
    if not penalizes(trial):
        return
    from tunesmith.testing.traces import check_no_trace

    module, rows = on_model(trial.plugin)
    check_no_trace(module, penalty_of(module), rows, "penalty")


def penalty_logs_what_it_says(trial: Trial) -> None:
    """What the term logs beside itself has the names that `logs` says; finite scalars.

    Why: names are known before the first step, so that callbacks can watch them, and so that all ranks add up the same
    sums, one without rows too.
    """
    if not penalizes(trial):
        return
    from tunesmith.testing.logged import check_logged

    module, rows = on_model(trial.plugin)
    check_logged(module, penalty_of(module), rows, trial.plugin.logs(), (True,))


def perturb_depends_on_the_row_alone(trial: Trial) -> None:
    """`perturb` gives a row's embeddings the same change alone, among others and in another order; shapes stay.

    Why: a run that is cut into other micro-batches, processes or layouts is the same run. Draws come from a generator
    that is seeded by the row's id, not from the global state.
    """
    if not perturbs(trial):
        return
    module, rows = on_model(None)
    together = _changes(trial.plugin, module, rows)
    for some in ([rows[0]], rows[::-1], rows[1:3]):
        for row, change in _changes(trial.plugin, module, some).items():
            if float((change - together[row]).abs().max()) > 1e-6:
                found = f"{row} is changed otherwise among {len(some)} rows than among {len(rows)}"
                fail(found, "the same change of each row", _BY_ROW)


def _changes(plugin: Regularizer, module: "Specialist", rows: "Sequence[EncodedRow]") -> "Mapping[str, Tensor]":
    """What `perturb` adds to the embeddings of each row.

    Raises:
        CheckFailedError: They have another shape or dtype afterwards.
    """
    import torch

    from tunesmith.testing import models

    own = copy.deepcopy(plugin)
    own.setup(module.network)
    batch = models.batch_of(module, rows)
    before = module.passes.model.get_input_embeddings()(batch.input_ids)
    after = own.perturb(before.clone(), batch)
    if after.shape != before.shape or after.dtype != before.dtype:
        what = f"embeddings {list(before.shape)} {before.dtype} become {list(after.shape)} {after.dtype}"
        fail(what, "the same shape and dtype", _BY_ROW)
    parts = torch.split(after - before, [row.length for row in rows])
    return {row.example.id: part.detach() for row, part in zip(rows, parts, strict=True)}


def _shakes(plugin: Regularizer) -> bool:
    """Whether `perturb` changes any row; `perturb_depends_on_the_row_alone` tells of other shapes."""
    try:
        return any(bool(change.any()) for change in _changes(plugin, *on_model(None)).values())
    except CheckFailedError:
        return True


def _value(plugin: Regularizer) -> float:
    from tunesmith.testing import models

    module, rows = on_model(plugin)
    return sum_of(module, models.batch_of(module, rows))


CHECKS: list[Rule] = [
    does_something,
    penalty_adds_up,
    penalty_counts_its_unit,
    penalty_of_nothing_is_finite,
    penalty_trains_its_own_module,
    prepared_state_is_kept,
    weight_scales_the_penalty,
    is_off_in_evaluation,
    penalty_leaves_no_trace,
    penalty_logs_what_it_says,
    perturb_depends_on_the_row_alone,
]
