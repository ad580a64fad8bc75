"""The kit as tests of pytest, one for each check and plugin."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tunesmith.nearest import did_you_mean
from tunesmith.plugins.interfaces import Plugin
from tunesmith.testing.check import CheckFailedError
from tunesmith.testing.checks import checks_for


def parametrize_with_checks(
    objects: Iterable[Plugin | type[Plugin]], expected_failures: Mapping[str, str] | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a test that takes `check` and calls it; one id for each check and object. It skips what cannot be tried.

    Since 0.7.

    Args:
        objects: Plugin classes and instances.
        expected_failures: Reason by the name of a check, or by its id where one object alone fails it. They are strict:
            a check that passes all the same fails the test, so that the entry is taken out.

    Raises:
        ValueError: `expected_failures` names no check of these objects, or gives no reason.
    """
    import pytest

    expected = dict(expected_failures or {})
    checks = [check for obj in objects for check in checks_for(obj)]
    names = {name for check in checks for name in (check.name, check.id)}
    for name, reason in expected.items():
        if name not in names:
            msg = f"expected_failures: no check is called {name}{did_you_mean(name, sorted(names))}"
            raise ValueError(msg)
        if not reason:
            msg = f"expected_failures: {name} is given no reason"
            raise ValueError(msg)
    parameters = []
    for check in checks:
        why = expected.get(check.id) or expected.get(check.name)
        marks = [pytest.mark.xfail(strict=True, reason=why, raises=CheckFailedError)] if why else []
        parameters.append(pytest.param(check, id=check.id, marks=marks))
    return pytest.mark.parametrize("check", parameters)
