"""The conformance kit: what a plugin has to keep, as checks that a test suite or `plugins check` runs.

    from tunesmith.testing import parametrize_with_checks

    @parametrize_with_checks([MyFormatter, MyEvaluator(limit=3)])
    def test_my_plugins_keep_the_contract(check):
        check()

`RecipeRunner` is what the fixture `recipe_runner` of `tunesmith.testing.pytest` gives: it runs recipes in a test.

Importing it loads neither torch nor pytest nor hypothesis; the extra `tunesmith[testing]` brings the latter two.
"""

from tunesmith.testing.check import Check, CheckFailedError, MissingExtraError, NotApplicableError
from tunesmith.testing.checks import checks_for
from tunesmith.testing.outcome import Outcome
from tunesmith.testing.parametrize import parametrize_with_checks
from tunesmith.testing.runner import RecipeRunner

__all__ = [
    "Check",
    "CheckFailedError",
    "MissingExtraError",
    "NotApplicableError",
    "Outcome",
    "RecipeRunner",
    "checks_for",
    "parametrize_with_checks",
]
