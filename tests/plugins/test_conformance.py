"""Every built-in plugin keeps what the kit asks of everybody's; a new one is held to it by being registered."""

import inspect
from importlib import import_module, metadata
from pkgutil import walk_packages

import tunesmith_plugins
from tunesmith.plugins.catalog import Catalog
from tunesmith.plugins.interfaces import Plugin
from tunesmith.plugins.load import BASES, HOOKS
from tunesmith.testing import Check, parametrize_with_checks

BUILTINS = [entry.cls for entry in Catalog.load(block=[]).entries if entry.builtin]
CHECKED = parametrize_with_checks(BUILTINS)


@CHECKED
def test_built_ins_keep_the_contract_of_plugins(check: Check) -> None:
    check()


def checked() -> set[type[Plugin]]:
    """The classes that the test above is run on, with all their checks."""
    _, parameters = CHECKED.args  # type: ignore[attr-defined]
    return {trial.cls for parameter in parameters for check in parameter.values for trial in check.trials}


def test_every_kind_is_among_the_checked() -> None:
    assert {cls.kind for cls in checked()} == set(BASES)
    assert len(BASES) == 7


def test_all_that_the_entry_point_registers_is_among_the_checked() -> None:
    (point,) = metadata.entry_points(group="tunesmith", name="builtin")
    module = point.load()
    registered = {cls for hook in HOOKS for cls in getattr(module, hook)()}
    assert {cls.__name__ for cls in registered} >= {"Template", "ExactDuplicates", "NextToken", "LoRA", "KLToBase"}
    assert checked() == registered


def test_every_plugin_class_of_the_package_is_registered() -> None:
    found = set()
    for module in walk_packages(tunesmith_plugins.__path__, "tunesmith_plugins."):
        for cls in vars(import_module(module.name)).values():
            if inspect.isclass(cls) and issubclass(cls, Plugin) and not inspect.isabstract(cls):
                found |= {cls} if cls.__module__ == module.name else set()
    assert found == checked()
