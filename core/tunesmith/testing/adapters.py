"""What adapters keep: what trains is trained, saved, loaded and merged, and the base stays reachable."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tunesmith.errors import RecipeError
from tunesmith.testing.check import Rule, Trial, fail, quoted
from tunesmith.testing.material import examples

if TYPE_CHECKING:
    from torch import Tensor

    from tunesmith.data.encode import EncodedRow
    from tunesmith.plugins.interfaces import Adapter
    from tunesmith.training.specialist import Specialist

SAVED_WITHIN = 1e-6
"""How far logits may be from those before `save`, relative to the largest."""
MERGED_WITHIN = 1e-3
"""The same after `merge`, in fp32: sums are taken in another order there."""
_BASE_WITHIN = 1e-5
_LAST: "list[tuple[Adapter, dict[str, bytes], Tensor]]" = []
_MOVED = 3 * MERGED_WITHIN


def exercise(trial: Trial, place: Path) -> Any:
    """Attach, train two steps, save."""
    from tunesmith.testing import models

    module = models.specialist(trial.plugin)
    start = _trained_tensors(module)
    rows = _rows(module)
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
    trained = {name for name, p in module.named_parameters() if p.requires_grad}
    advice = "set requires_grad in attach() on exactly what the forward pass uses"
    if not trained:
        fail("attach leaves nothing to train", "at least one parameter with requires_grad", advice)
    still = sorted(trained - models.train(module, _rows(module)))
    if still:
        what = f"{len(still)} of {len(trained)} trained tensors have no gradient, first {still[0]}"
        fail(what, "a gradient for each tensor that trains", advice)


def frozen_tensors_stay(trial: Trial) -> None:
    """Training and evaluation change no weight that does not train.

    Why: checkpoints hold the trained tensors only. What else was changed is lost on resume, and a base that is changed
    in place spoils every comparison with it (traps 24, 43).
    """
    from tunesmith.testing import models

    module = models.specialist(trial.plugin)
    frozen = {name: p.detach().clone() for name, p in module.named_parameters() if not p.requires_grad}
    rows = _rows(module)
    models.train(module, rows)
    models.logits(module, models.batch_of(module, rows))
    now = dict(module.named_parameters())
    for name, before in frozen.items():
        if name not in now or now[name].requires_grad or not bool((now[name].detach() == before).all()):
            advice = "let what changes train (requires_grad), or leave it alone in attach, forward and after_step"
            fail(f"{name} does not train and was changed", "frozen weights bit by bit as they were", advice)


def saves_and_loads(trial: Trial) -> None:
    """What `save` wrote, loaded into a fresh model, gives the same logits; it is written as safetensors.

    Why: the adapter is all that is left of a run. Names that do not match leave a fresh adapter behind that answers
    like the base and says nothing (traps 23, 24, 28). Pickled files run code when they are read.
    """
    from tunesmith.testing import models

    files, before = _saved(trial)
    if not any(name.endswith(".safetensors") for name in files):
        fail(f"save wrote {quoted(sorted(files))}", "a .safetensors file", "write it with safetensors.torch.save_file")
    with _restored(files) as folder:
        fresh = models.specialist(trial.plugin, seed=2)
        models.load(fresh, folder)
        after = models.logits(fresh, _probe(fresh))
    if (gap := models.distance(after, before)) > SAVED_WITHIN:
        what = f"logits after save and load differ by {gap:.2g} of the largest"
        fail(what, f"at most {SAVED_WITHIN:g}", "save every tensor that trains, and copy each into place in load")


def load_refuses_other_names(trial: Trial) -> None:
    """`load` raises where the file lacks a tensor of the model, or holds one that the model has not.

    Why: loading what fits and ignoring the rest gives a half-trained model without a word (trap 23): a recipe with
    other targets than the one that made the file.
    """
    from tunesmith.testing import models

    advice = "compare the names of file and model exactly, and raise RecipeError with the first that differs"
    files, _ = _saved(trial)
    module = models.specialist(trial.plugin)
    for what, change in (("lacks one of its tensors", _fewer), ("holds one tensor more", _more)):
        with _restored(files) as folder:
            if not _rewrite(folder, change):
                return  # `saves_and_loads` says why
            try:
                models.load(module, folder)
            except Exception:  # noqa: S112  which one is the adapter's choice
                continue
        fail(f"a file that {what} is loaded", "an error that names the tensor", advice)


def merges_to_the_same_answers(trial: Trial) -> None:
    """The merged model gives the logits of the adapted one, within 0.1 % of the largest; or `merge` refuses.

    Why: merges into quantised weights round the update away, and merges under wrong names do nothing; both leave a
    model that loads and answers like the base (traps 22, 23). A merge that cannot be exact raises RecipeError.
    """
    import torch

    from tunesmith.testing import models
    from tunesmith.training.attention import plain_attention

    module, before = _trained(trial)
    batch = _probe(module)
    try:
        merged = trial.plugin.merge(module.network).eval()
    except RecipeError:
        return
    limits = batch.cu_seqlens.tolist()
    with torch.no_grad(), plain_attention(merged):
        rows = [batch.input_ids[a:b][None] for a, b in pairwise(limits)]
        after = torch.cat([merged(input_ids=row).logits[0] for row in rows]).float()
    if after.shape != before.shape:
        advice = "raise RecipeError where there is no plain model of the same answers"
        fail(f"the merged model gives logits {list(after.shape)}", f"{list(before.shape)}, as before", advice)
    if (gap := models.distance(after, before)) > MERGED_WITHIN:
        what = f"logits of the merged model differ by {gap:.2g} of the largest"
        advice = "fold every update in at full precision, or raise RecipeError where the base cannot hold it"
        fail(what, f"at most {MERGED_WITHIN:g}", advice)


def without_is_the_base(trial: Trial) -> None:
    """In `without`, the model gives the base's logits; afterwards flags, modes and answers are as they were.

    Why: the base is compared with on the same weights, and penalties take its passes between two steps. peft's own
    switch leaves 42 trainable tensors where 21 were (trap 45). What cannot be switched off says `switchable = False`.
    """
    from tunesmith.testing import models

    module, tuned = _trained(trial)
    batch = _probe(module)
    flags, modes = _flags(module), [m.training for m in module.network.modules()]
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
    changed = [name for name, flag in _flags(module).items() if flags.get(name) is not flag]
    if changed:
        what = f"requires_grad of {len(changed)} tensors is changed afterwards, first {changed[0]}"
        fail(what, "every flag as it was", "keep the flags on entry and set them again on exit")
    if modes != [m.training for m in module.network.modules()]:
        fail("modules are in another mode afterwards", "training and evaluation as they were", "leave modes alone")
    if (gap := models.distance(models.logits(module, batch), tuned)) > SAVED_WITHIN:
        fail(f"logits differ by {gap:.2g} afterwards", "the adapted model again", "switch the updates on again on exit")


def _trained(trial: Trial) -> "tuple[Specialist, Tensor]":
    """A model after two steps, and its logits; they must have moved, or nothing could be told of them."""
    from tunesmith.testing import models

    module = models.specialist(trial.plugin)
    before = models.logits(module, _probe(module))
    models.train(module, _rows(module))
    after = models.logits(module, _probe(module))
    if models.distance(after, before) < _MOVED:
        advice = "see `trained_tensors_get_gradients`"
        fail("two steps at a rate of 0.02 leave the logits where they were", "a model that learns", advice)
    return module, after


def _saved(trial: Trial) -> "tuple[dict[str, bytes], Tensor]":
    """The files of a trained adapter, and the logits of its model; kept for the next check of the same instance."""
    from tunesmith.testing import models

    if not _LAST or _LAST[0][0] is not trial.plugin:
        module, logits = _trained(trial)
        with TemporaryDirectory() as folder:
            models.save(module, Path(folder))
            paths = [path for path in Path(folder).rglob("*") if path.is_file()]
            files = {str(path.relative_to(folder)): path.read_bytes() for path in paths}
        _LAST[:] = [(trial.plugin, files, logits)]
    return _LAST[0][1:]


@contextmanager
def _restored(files: dict[str, bytes]) -> Iterator[Path]:
    """A folder with these files."""
    with TemporaryDirectory() as folder:
        for name, content in files.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        yield Path(folder)


def _rows(module: "Specialist") -> "list[EncodedRow]":
    from tunesmith.testing import models

    return models.encoded(module, examples()[:6])


def _probe(module: "Specialist") -> Any:
    from tunesmith.testing import models

    return models.batch_of(module, _rows(module))


def _flags(module: "Specialist") -> dict[str, bool]:
    return {name: p.requires_grad for name, p in module.network.named_parameters()}


def _trained_tensors(module: "Specialist") -> list[Any]:
    return [(name, p.detach().clone()) for name, p in module.named_parameters() if p.requires_grad]


def _fewer(tensors: dict[str, Any]) -> dict[str, Any]:
    return dict(list(tensors.items())[:-1])


def _more(tensors: dict[str, Any]) -> dict[str, Any]:
    name, tensor = list(tensors.items())[-1]
    stem, _, last = name.rpartition(".")
    return {**tensors, f"{stem}.another.{last}": tensor.clone()}


def _rewrite(folder: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> bool:
    """Change the names in the first file of tensors; returns whether there is one."""
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    for path in sorted(folder.rglob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
        save_file(change(load_file(path)), path, metadata)
        return True
    return False


CHECKS: list[Rule] = [
    trained_tensors_get_gradients,
    frozen_tensors_stay,
    saves_and_loads,
    load_refuses_other_names,
    merges_to_the_same_answers,
    without_is_the_base,
]
