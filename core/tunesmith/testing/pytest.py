"""Fixtures that run a recipe with your plugin in a test, as a user would; no subprocess, no network.

In a test module (or the topmost `conftest.py`):

    from tunesmith.testing import RecipeRunner

    pytest_plugins = ["tunesmith.testing.pytest"]

    def test_short_answers_fail_success(recipe_runner: RecipeRunner) -> None:
        recipe_runner.recipe(evaluators={"mine": "MyMetric"}, success={"mine/share": {"at_least": 0.9}})
        recipe_runner.done("fit")
        tested = recipe_runner.done("test", code=3)
        assert tested.measures["mine/share"]["tuned"] < 0.9

The plugin is found as anywhere else: its package has to be installed (`pip install -e .`), or its file named
(`recipe_runner.done("fit", "--plugin", str(file))`). The first command of a session loads torch, which takes seconds;
after that, a `fit` or `test` of the tiny recipe takes about one.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tunesmith.testing.runner import RecipeRunner, isolated
from tunesmith.testing.tiny import make_base, make_rows, tiny_recipe

_ROWS = 60


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random base, two layers and 64 wide, with the embedded tokenizer; made once a session.

    Since 0.7.
    """
    return make_base(tmp_path_factory.mktemp("tiny-base"))


@pytest.fixture
def recipe_runner(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[RecipeRunner]:
    """Sixty rows (`prompt`, `completion`) and a recipe that trains LoRA on them, in the folder that the test works in.

    Working directory and environment are afterwards what they were before.

    Since 0.7.
    """
    with isolated(tmp_path, monkeypatch):
        capsys.readouterr()
        runner = RecipeRunner(tmp_path, tiny_recipe(tiny_base), capsys.readouterr)
        runner.rows(make_rows(_ROWS))
        runner.recipe()
        yield runner
