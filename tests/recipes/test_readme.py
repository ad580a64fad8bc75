"""What the README shows is what is there: the excerpt of a recipe, and the plugin in 20 lines."""

import re
from pathlib import Path
from typing import Any

import yaml

from tunesmith import Sample

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str, begin: str) -> str:
    """The first fenced block of a language that begins so."""
    found = re.search(rf"^```{language}\n({re.escape(begin)}.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert found is not None, f"README.md has no {language} that begins with {begin!r}"
    return found[1]


def test_the_excerpt_of_a_recipe_says_what_the_recipe_says() -> None:
    def check(shown: Any, there: Any, path: str) -> None:
        if not isinstance(shown, dict):
            assert shown == there, path
            return
        for key, value in shown.items():
            assert key in there, f"{path}.{key}"
            check(value, there[key], f"{path}.{key}")

    shown = yaml.safe_load(block("yaml", "seed_everything"))
    assert {"model", "data", "evaluators", "success", "trainer"} <= shown.keys()
    check(shown, yaml.safe_load((ROOT / "recipes/medsync.yaml").read_text()), "medsync")


def test_the_plugin_in_20_lines_measures() -> None:
    code = block("python", "# words.py")
    assert len([line for line in code.splitlines() if line.strip()]) <= 20
    names: dict[str, Any] = {"__name__": "words"}
    exec(compile(code, "words.py", "exec"), names)
    samples = [Sample(str(n), (), "", "word " * n) for n in (1, 2, 3)]
    (measure,) = names["WithinLength"](words=2).measure(samples)
    assert (measure.name, list(measure.values)) == ("share", [1.0, 1.0, 0.0])
