"""What adapters keep when they are saved: files that give the same answers again, here and in plain libraries."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from tunesmith.testing.check import Rule, Trial, fail, quoted
from tunesmith.testing.same import same, state_of
from tunesmith.testing.trained import MERGED_WITHIN, flags, plain_logits, probe, trained

if TYPE_CHECKING:
    from torch import Tensor

SAVED_WITHIN = 1e-6
"""How far logits may be from those before `save`, relative to the largest."""


class _Saved(NamedTuple):
    """The files of a trained adapter, the logits of its model, what `save` changed on it, and Python to load it."""

    files: dict[str, bytes]
    logits: "Tensor"
    change: str
    loading: str


_LAST: list[tuple[Any, _Saved]] = []


def saves_and_loads(trial: Trial) -> None:
    """What `save` wrote, loaded into a fresh model, gives the same logits; it is written as safetensors.

    Why: the adapter is all that is left of a run. Names that do not match leave a fresh adapter behind that answers
    like the base and says nothing (traps 23, 24, 28). Pickled files run code when they are read. The run goes on with
    the model that was saved, which has to be what it was.
    """
    from tunesmith.testing import models

    saved = _saved(trial)
    if not any(name.endswith(".safetensors") for name in saved.files):
        what = f"save wrote {quoted(sorted(saved.files))}"
        fail(what, "a .safetensors file", "write it with safetensors.torch.save_file")
    with _restored(saved.files) as folder:
        fresh = models.specialist(trial.plugin, seed=2)
        models.load(fresh, folder)
        after = models.logits(fresh, probe(fresh))
    if (gap := models.distance(after, saved.logits)) > SAVED_WITHIN:
        what = f"logits after save and load differ by {gap:.2g} of the largest"
        fail(what, f"at most {SAVED_WITHIN:g}", "save every tensor that trains, and copy each into place in load")
    if saved.change:
        fail(f"save changes {saved.change} of the model", "the model as it was", "write copies: detach().clone()")


def load_refuses_other_names(trial: Trial) -> None:
    """`load` raises where the file lacks a tensor of the model, holds one that it has not, or one of another shape.

    Why: loading what fits and ignoring the rest gives a half-trained model without a word (trap 23): a recipe with
    other targets, or another rank, than the one that made the file. A shape of 1 is spread over any other by torch.
    """
    from tunesmith.testing import models

    advice = "compare names and shapes of file and model exactly, and raise RecipeError with the first that differs"
    files = _saved(trial).files
    module = models.specialist(trial.plugin)
    changes = {
        "lacks one of its tensors": _fewer,
        "holds one tensor more": _more,
        "holds a tensor of another shape": _shorter,
    }
    for what, change in changes.items():
        with _restored(files) as folder:
            if not _rewrite(folder, change):
                return  # `saves_and_loads` says why
            try:
                models.load(module, folder)
            except Exception:  # noqa: S112  which one is the adapter's choice
                continue
        fail(f"a file that {what} is loaded", "an error that names the tensor", advice)


def loading_gives_the_same_answers(trial: Trial) -> None:
    """The Python that `loading` gives, if it gives any, makes a model of what `save` wrote that has the same logits.

    Why: it stands in the README beside every trained adapter, for people who have no Tunesmith, and is run by nobody
    before them. One that leaves names out loads the base, and says nothing (trap 23).
    """
    from tunesmith.testing import models
    from tunesmith.testing.base import quiet

    saved = _saved(trial)
    if not saved.loading:
        return
    advice = "give the lines that load it with transformers, peft or safetensors, or an empty text"
    with _restored(saved.files) as folder, quiet():
        scope: dict[str, Any] = {"directory": str(folder)}
        try:
            exec(f"import torch\n{saved.loading}", scope)  # noqa: S102  the plugin's own code
            after = plain_logits(scope["model"].eval(), probe(models.specialist(trial.plugin)))
        except Exception as error:
            fail(f"its lines fail with {type(error).__name__}: {error}", "lines that make `model`", advice, error)
    if after.shape != saved.logits.shape or (gap := models.distance(after, saved.logits)) > MERGED_WITHIN:
        how = "have another shape" if after.shape != saved.logits.shape else f"differ by {gap:.2g} of the largest"
        fail(f"logits of the model that its lines make {how}", f"at most {MERGED_WITHIN:g}", advice)


def _saved(trial: Trial) -> _Saved:
    """A trained adapter, written; kept for the next check of one like it."""
    from tunesmith.testing import models
    from tunesmith.training.card import Card

    last = _LAST[0][0] if _LAST else None
    if type(last) is not trial.cls or not same(state_of(last), state_of(trial.plugin)):
        unused = trial.fresh().plugin
        module, logits = trained(trial)
        before, change = flags(module.network), ""
        with TemporaryDirectory() as folder:
            models.save(module, Path(folder))
            paths = [path for path in Path(folder).rglob("*") if path.is_file()]
            files = {str(path.relative_to(folder)): path.read_bytes() for path in paths}
        if flags(module.network) != before:
            change = "requires_grad"
        elif models.distance(models.logits(module, probe(module)), logits) > SAVED_WITHIN:
            change = "weights"
        _LAST[:] = [(unused, _Saved(files, logits, change, Card.of(module).loading()))]
    return _LAST[0][1]


@contextmanager
def _restored(files: dict[str, bytes]) -> Iterator[Path]:
    """A folder with these files."""
    with TemporaryDirectory() as folder:
        for name, content in files.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        yield Path(folder)


def _fewer(tensors: dict[str, Any]) -> dict[str, Any]:
    return dict(list(tensors.items())[:-1])


def _more(tensors: dict[str, Any]) -> dict[str, Any]:
    name, tensor = list(tensors.items())[-1]
    stem, _, last = name.rpartition(".")
    return {**tensors, f"{stem}.another.{last}": tensor.clone()}


def _shorter(tensors: dict[str, Any]) -> dict[str, Any]:
    """One tensor is cut to a part that torch spreads over the whole."""
    name, tensor = max(tensors.items(), key=lambda item: item[1].shape[0] if item[1].ndim else 0)
    return {**tensors, name: tensor[:1].clone()}


def _rewrite(folder: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> bool:
    """Change the tensors in the first file of such; returns whether there is one."""
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    for path in sorted(folder.rglob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
        save_file(change(load_file(path)), path, metadata)
        return True
    return False


CHECKS: list[Rule] = [saves_and_loads, load_refuses_other_names, loading_gives_the_same_answers]
