"""Which classes a recipe may name.

No recipe is trusted by where it lies (decision 9). It may name registered plugins, which the catalog finds, and the
classes below: they take no code. Any other name is refused before anything is imported, because importing is running.
A user's own code is named on the command line, by `--plugin FILE` or `--trust PACKAGE`, never by the recipe.
"""

import importlib
import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.errors import RecipeError
from tunesmith.nearest import did_you_mean

_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")


@dataclass(frozen=True, slots=True)
class Family:
    """Classes of a library that a recipe may name where their base class is expected.

    Args:
        base: The base class's name.
        modules: Where they live; a bare name means the first module that has it.
        names: Their names; empty allows every public subclass of the base in these modules.
    """

    base: str
    modules: tuple[str, ...]
    names: tuple[str, ...] = ()


FAMILIES = {
    f.base: f
    for f in (
        Family("Optimizer", ("torch.optim", "bitsandbytes.optim")),
        Family(
            "Callback",
            ("lightning.pytorch.callbacks", "tunesmith.training.averaging"),
            (
                "DeviceStatsMonitor",
                "EMA",
                "EarlyStopping",
                "LearningRateMonitor",
                "ModelCheckpoint",
                "RichModelSummary",
                "RichProgressBar",
                "SWA",
                "TQDMProgressBar",
                "Timer",
            ),
        ),
        Family(
            "Logger",
            ("lightning.pytorch.loggers",),
            ("CSVLogger", "CometLogger", "MLFlowLogger", "TensorBoardLogger", "WandbLogger"),
        ),
        Family(
            "Strategy",
            ("lightning.pytorch.strategies",),
            ("DDPStrategy", "FSDPStrategy", "ModelParallelStrategy", "SingleDeviceStrategy"),
        ),
        Family(
            "Profiler",
            ("lightning.pytorch.profilers",),
            ("AdvancedProfiler", "PassThroughProfiler", "PyTorchProfiler", "SimpleProfiler"),
        ),
    )
}
# Why a well-known class is not among them.
_REASONS = {
    "LambdaCallback": "it takes code",
    "GradientAccumulationScheduler": "the loss needs windows of one size; set trainer.accumulate_grad_batches",
    "StochasticWeightAveraging": "its average is thrown away, as the adapter is that of the best checkpoint; use SWA",
    "WeightAveraging": "it copies the frozen base too, and checkpoints hold what trains only; use SWA, or EMA",
    "EMAWeightAveraging": "it copies the frozen base too, and checkpoints hold what trains only; use EMA",
    "ModelSummary": "it writes into a log that is not shown; RichModelSummary shows the same",
    "BatchSizeFinder": "data.batch_size and data.max_tokens say how large a batch is",
}
_LIBRARIES = ("torch", "lightning", "bitsandbytes")


class Trust:
    """What the user trusts beside the list.

    Args:
        packages: Import prefixes of `--trust`; `acme` trusts `acme` and all below it.
    """

    def __init__(self, packages: Sequence[str] = ()) -> None:
        self.packages = tuple(packages)
        for package in packages:
            if not all(part.isidentifier() for part in package.split(".")):
                msg = f"--trust {package!r} is not the name of a package, such as acme or acme.callbacks"
                raise RecipeError(msg)

    def covers(self, path: str) -> bool:
        """Whether `--trust` allows a dotted path."""
        return any(path == package or path.startswith(package + ".") for package in self.packages)

    def knows(self, base: type, name: str) -> bool:
        """Whether `name` is allowed where a `base` is expected; imports nothing."""
        return self.covers(name) or bool(_paths(family(base), name))

    def find(self, base: type, name: str) -> tuple[str, type]:
        """The dotted path and the class that `name` means where a `base` is expected.

        Raises:
            RecipeError: It is not allowed (nothing was imported then), or there is no such class.
        """
        paths = [name] if self.covers(name) else _paths(family(base), name)
        if not paths:
            raise RecipeError(self._refusal(base, name))
        for path in paths:
            found = _imported(path, last=path == paths[-1])
            is_one = inspect.isclass(found) and issubclass(found, base) and found is not base
            if is_one and not inspect.isabstract(found):
                return path, found
        msg = f"there is no {base.__name__} {name}{did_you_mean(name.rpartition('.')[2], allowed(base))}"
        raise RecipeError(msg)

    def _refusal(self, base: type, name: str) -> str:
        known = allowed(base)
        bare = name.rpartition(".")[2]
        reason = f": {_REASONS[bare]}" if bare in _REASONS else did_you_mean(bare, known)
        lines = [f"a recipe may not name {name} here{reason}"]
        if known:
            lines.append(f"allowed: {', '.join(known)}")
        package = name.partition(".")[0]
        if is_path(name) and package not in _LIBRARIES and package not in sys.stdlib_module_names:
            lines.append(f"code of your own is named on the command line: --trust {package}")
        return "\n".join(lines)


def family(base: type) -> Family | None:
    """The family of a library's base class."""
    library = base.__module__.partition(".")[0]
    return FAMILIES.get(base.__name__) if library in _LIBRARIES else None


def allowed(base: type) -> list[str]:
    """The names that a recipe may give where a `base` is expected."""
    group = family(base)
    if group is None:
        return []
    if group.names:
        return list(group.names)
    return _public(group.modules[0], base)


def members(base: type) -> Iterator[tuple[type, list[str], str]]:
    """Each class that may be named where a library's `base` is expected.

    Yields:
        The class, its names, the bare one first where it means this class, and a pattern of all dotted ones.
    """
    group = family(base)
    for module in group.modules if group else ():
        listed = group.names if group and group.names else _public(module, base)
        for name in listed:
            try:
                bare = Trust().find(base, name)[0]
                path, found = Trust().find(base, f"{module}.{name}")
            except RecipeError:  # a library that is not installed, or one without this class
                continue
            yield found, [name, path] if bare == path else [path], rf"^{re.escape(module)}(\.\w+)?\.{name}$"


def is_path(text: str) -> bool:
    """Whether a text reads as a dotted import path, which jsonargparse would import where a class may stand."""
    return _DOTTED.fullmatch(text) is not None


def seal(plugin_packages: Iterable[str], trust: Sequence[str] = ()) -> None:
    """Make jsonargparse itself refuse every import that is not on the list: a second wall behind `check`.

    Call it once before the parser is built; it holds for the process.

    Args:
        plugin_packages: Import names whose classes the recipe may name (the catalog's).
        trust: The prefixes of `--trust`.
    """
    from jsonargparse import set_parsing_settings

    modules = {module for group in FAMILIES.values() for module in group.modules}
    set_parsing_settings(
        import_path_denylist=["*"],
        import_path_allowlist=sorted({*modules, "tunesmith", *plugin_packages, *trust}),
        instantiate_subclass_spec_in_any=False,
    )


def _paths(group: Family | None, name: str) -> list[str]:
    """The public paths that an allowed name may mean. Decided by the text alone, so that nothing is imported."""
    if group is None:
        return []
    module, dot, bare = name.rpartition(".")
    if (group.names and bare not in group.names) or not bare.isidentifier() or not bare[0].isupper():
        return []
    if not dot:
        return [f"{m}.{bare}" for m in group.modules]
    # The module that defines the class (`torch.optim.adamw.AdamW`) is as good as the one that exports it.
    exported = next((m for m in group.modules if module == m or module.startswith(m + ".")), None)
    if exported is None or not is_path(name) or module.removeprefix(exported).count(".") > 1:
        return []
    return [f"{exported}.{bare}"]


def _imported(path: str, *, last: bool) -> Any:
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        if not last:
            return None
        msg = f"{path} cannot be imported: {error}"
        raise RecipeError(msg) from error


def _public(module: str, base: type) -> list[str]:
    try:
        found = vars(importlib.import_module(module))
    except ImportError:
        return []
    return sorted(name for name, value in found.items() if not name.startswith("_") and _is_one(value, base))


def _is_one(value: Any, base: type) -> bool:
    return inspect.isclass(value) and issubclass(value, base) and value is not base
