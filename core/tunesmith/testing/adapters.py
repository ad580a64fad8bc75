"""What adapters keep: what trains is trained, saved, loaded and merged, and the base stays reachable."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.errors import RecipeError
from tunesmith.testing import saving
from tunesmith.testing.check import Rule, Trial, fail
from tunesmith.testing.saving import SAVED_WITHIN
from tunesmith.testing.trained import MERGED_WITHIN, flags, plain_logits, probe, rows_of, trained

if TYPE_CHECKING:
    from tunesmith.training.specialist import Specialist

_BASE_WITHIN = 1e-5


def exercise(trial: Trial, place: Path) -> Any:
    """Attach, train two steps, save."""
    from tunesmith.testing import models

    module = models.specialist(trial.plugin)
    start = _trained_tensors(module)
    rows = rows_of(module)
    models.train(module, rows)
    models.save(module, place / "adapter")
    return [start, _trained_tensors(module), models.logits(module, models.batch_of(module, rows))]


def trained_tensors_get_gradients(trial: Trial) -> None:
    """At least one tensor trains, and each that does has a gradient other than zero within two optimizer steps.

    Why: a tensor without a gradient is one that only seems to train: wrong targets, a path that is cut off, or inputs
    without gradients under checkpointing (trap 25). Two steps, as half of a low-rank product starts at zero.
    """
    from tunesmith.testing import models

    module = models.specialist(trial.plugin)
    names = {name for name, p in module.named_parameters() if p.requires_grad}
    advice = "set requires_grad in attach() on exactly what the forward pass uses"
    if not names:
        fail("attach leaves nothing to train", "at least one parameter with requires_grad", advice)
    still = sorted(names - models.train(module, rows_of(module)))
    if still:
        what = f"{len(still)} of {len(names)} trained tensors have no gradient, first {still[0]}"
        fail(what, "a gradient for each tensor that trains", advice)


def groups_are_of_trained_tensors(trial: Trial) -> None:
    """`groups` lists tensors that train, each once, with `lr_scale` or options of the optimizer.

    Why: torch keeps any other key and reads none: a rate under another name is an option that does nothing (trap 39). A
    tensor that does not train gets no gradient, whatever its group says.
    """
    from torch.optim import AdamW

    from tunesmith.testing import models

    module = models.specialist(trial.plugin)
    names = {id(p): name for name, p in module.network.named_parameters() if p.requires_grad}
    groups = trial.plugin.groups(module.network) or []
    known = {"params", "lr_scale", *AdamW(module.network.parameters()).defaults}
    if unknown := sorted({key for group in groups for key in group} - known):
        fail(f"a group has a key {unknown[0]!r}", "lr_scale, or an option of AdamW", "lr_scale multiplies the rate")
    members = [id(p) for group in groups for p in group["params"]]
    advice = "choose from model.named_parameters() by requires_grad"
    if any(member not in names for member in members):
        fail("a group holds a tensor that does not train", "tensors with requires_grad", advice)
    if len(set(members)) < len(members):
        fail("a tensor stands in two groups, or twice in one", "each once", advice)


def frozen_tensors_stay(trial: Trial) -> None:
    """Training and evaluation change no weight that does not train.

    Why: checkpoints hold the trained tensors only. What else was changed is lost on resume, and a base that is changed
    in place spoils every comparison with it (traps 24, 43).
    """
    from tunesmith.testing import models

    module = models.specialist(trial.plugin)
    frozen = {name: p.detach().clone() for name, p in module.named_parameters() if not p.requires_grad}
    rows = rows_of(module)
    models.train(module, rows)
    models.logits(module, models.batch_of(module, rows))
    now = dict(module.named_parameters())
    for name, before in frozen.items():
        if name not in now or now[name].requires_grad or not bool((now[name].detach() == before).all()):
            advice = "let what changes train (requires_grad), or leave it alone in attach, forward and after_step"
            fail(f"{name} does not train and was changed", "frozen weights bit by bit as they were", advice)


def merges_to_the_same_answers(trial: Trial) -> None:
    """The merged model gives the adapted one's logits within 0.1 %, by the base's parameters alone; or `merge` refuses.

    Why: merges into quantised weights round the update away, and merges under wrong names do nothing; both leave a
    model that loads and answers like the base (traps 22, 23). One that still holds the adapter is loaded by no plain
    library. A merge that cannot be exact raises RecipeError.
    """
    from tunesmith.testing import models
    from tunesmith.training.attention import plain_attention

    module, before = trained(trial)
    batch = probe(module)
    try:
        merged = trial.plugin.merge(module.network).eval()
    except RecipeError:
        return
    with plain_attention(merged):
        after = plain_logits(merged, batch)
    if after.shape != before.shape:
        advice = "raise RecipeError where there is no plain model of the same answers"
        fail(f"the merged model gives logits {list(after.shape)}", f"{list(before.shape)}, as before", advice)
    if (gap := models.distance(after, before)) > MERGED_WITHIN:
        what = f"logits of the merged model differ by {gap:.2g} of the largest"
        advice = "fold every update in at full precision, or raise RecipeError where the base cannot hold it"
        fail(what, f"at most {MERGED_WITHIN:g}", advice)
    other = sorted({name for name, _ in merged.named_parameters()} ^ models.base_names())
    if other:
        advice = "return the base's own model with the updates in its weights, or raise RecipeError"
        fail(f"the merged model and the base differ in {len(other)} names, first {other[0]}", "a plain model", advice)


def without_is_the_base(trial: Trial) -> None:
    """In `without`, the model gives the base's logits; afterwards flags, modes and answers are as they were.

    Why: the base is compared with on the same weights, and penalties take its passes between two steps. peft's own
    switch leaves 42 trainable tensors where 21 were (trap 45). What cannot be switched off says `switchable = False`.
    """
    from tunesmith.testing import models

    module, tuned = trained(trial)
    batch = probe(module)
    before, modes = flags(module.network), [m.training for m in module.network.modules()]
    if trial.plugin.switchable:
        with trial.plugin.without(module.network):
            off = models.logits(module, batch)
        base = models.specialist(models.NoAdapter(trial.plugin))
        if (gap := models.distance(off, models.logits(base, batch))) > _BASE_WITHIN:
            advice = "switch every update off in without(), or set switchable = False, so that a copy is loaded"
            fail(f"logits differ from the base's by {gap:.2g} of the largest", f"at most {_BASE_WITHIN:g}", advice)
    else:
        with trial.plugin.without(module.network):
            pass
    changed = [name for name, flag in flags(module.network).items() if before.get(name) is not flag]
    if changed:
        what = f"requires_grad of {len(changed)} tensors is changed afterwards, first {changed[0]}"
        fail(what, "every flag as it was", "keep the flags on entry and set them again on exit")
    if modes != [m.training for m in module.network.modules()]:
        fail("modules are in another mode afterwards", "training and evaluation as they were", "leave modes alone")
    if (gap := models.distance(models.logits(module, batch), tuned)) > SAVED_WITHIN:
        fail(f"logits differ by {gap:.2g} afterwards", "the adapted model again", "switch the updates on again on exit")


def _trained_tensors(module: "Specialist") -> list[Any]:
    return [(name, p.detach().clone()) for name, p in module.named_parameters() if p.requires_grad]


CHECKS: list[Rule] = [
    trained_tensors_get_gradients,
    groups_are_of_trained_tensors,
    frozen_tensors_stay,
    *saving.CHECKS,
    merges_to_the_same_answers,
    without_is_the_base,
]
