"""The command line alone widens what a recipe may name, and every verb says to what."""

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tunesmith.cli.main import TRAINER_VERBS

PLUGIN = """
from tunesmith import Evaluator
class Nothing(Evaluator):
    def measure(self, samples): return []
"""
FILE = "nothing_that_is_trusted.py"
WIDER = ("--plugin", FILE, "--trust", "acme.callbacks", "--trust", "acme.callbacks")
BOTH = f"trusted: the plugins in {FILE} (--plugin); any class below acme.callbacks (--trust)\n"
ONE = f"trusted: the plugins in {FILE} (--plugin)\n"


@pytest.fixture
def widened(bench: Any) -> Iterator[Any]:
    (bench.folder / FILE).write_text(PLUGIN)
    yield bench
    sys.modules.pop(FILE.removesuffix(".py"), None)


@pytest.mark.parametrize("verb", TRAINER_VERBS)
def test_verbs_that_read_a_recipe_say_it_and_leave_their_output_alone(verb: str, widened: Any) -> None:
    ran = widened.done(verb, "--config", "tiny.yaml", *WIDER, "--print_config")
    assert ran.err == BOTH
    assert yaml.safe_load(ran.out)["seed_everything"] == 1
    assert "trusted" not in widened.done(verb, "--config", "tiny.yaml", "--print_config").err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("recipes", "check", "tiny.yaml", "tiny.yaml", *WIDER), BOTH),
        (("recipes", "schema", *WIDER), BOTH),
        (("plugins", "list", "--json", "--plugin", FILE), ONE),
        (("plugins", "describe", "Nothing", "--json", "--plugin", FILE), ONE),
    ],
)
def test_so_do_the_others_once(words: tuple[str, ...], line: str, widened: Any) -> None:
    ran = widened.done(*words)
    assert ran.err == line
    if "--json" in words or "schema" in words:
        json.loads(ran.out)


def test_it_is_said_before_the_file_runs(widened: Any) -> None:
    (widened.folder / FILE).write_text("raise SystemExit(3)")
    ran = widened.done("fit", "--config", "tiny.yaml", "--plugin", FILE, code=2)
    assert ran.err.startswith(ONE + f"--plugin {FILE}: SystemExit")
