"""Every built-in plugin keeps what the kit asks of everybody's; a new one is held to it by being registered."""

from tunesmith.plugins.catalog import Catalog
from tunesmith.testing import Check, parametrize_with_checks

BUILTINS = [entry.cls for entry in Catalog.load(block=[]).entries if entry.builtin]


@parametrize_with_checks(BUILTINS)
def test_built_ins_keep_the_contract_of_plugins(check: Check) -> None:
    check()
