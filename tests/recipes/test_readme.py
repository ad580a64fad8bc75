"""What the README shows is what is there: the excerpt of a recipe, the plugin in 20 lines, tables of verbs and keys."""

import inspect
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import tunesmith
from tunesmith import Sample
from tunesmith.cli.arguments import OPTIONS
from tunesmith.cli.main import HELP, TRAINER_VERBS, VERBS, main
from tunesmith.cli.plugins_markdown import PLACES
from tunesmith.plugins.load import BASES, HOOKS
from tunesmith.recipe.signature import options

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


def table(first: str) -> list[list[str]]:
    """The rows of the tables whose first column is called so."""
    found = re.findall(rf"^\| {first} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", README, re.MULTILINE)
    assert found, f"README.md has no table of {first}s"
    return [[cell.strip() for cell in row.strip(" |").split(" | ")] for body in found for row in body.splitlines()]


def ticked(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def shown_verbs() -> Iterator[tuple[str, str]]:
    """Each verb of the table of verbs, with what stands beside it; `recipes ls`, `cp` are two of `recipes`."""
    for names, text in table("verb"):
        group = ""
        for name in ticked(names):
            words = name.split()
            if words[0] in VERBS:
                group = words[0] if words[0] in ("plugins", "recipes") else ""
            yield " ".join([group, *(w for w in words if w != group and w.islower())]).strip(), text


def verbs(capsys: pytest.CaptureFixture[str]) -> set[str]:
    """Every verb that the command has, the groups with theirs."""
    found = {*TRAINER_VERBS, "compare"}
    for group in set(VERBS) - found:
        assert main([group, "no-such-verb"]) == 2
        listed = re.search(rf"{group} has: (.*)", capsys.readouterr().err)
        assert listed is not None
        found |= {f"{group} {verb}" for verb in listed[1].split(", ")}
    return found


def test_readme_and_help_show_every_verb_and_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    there = verbs(capsys)
    helped = {line[2:19].strip() for line in HELP.splitlines() if re.match(r"  [a-z]+( [a-z]+)? {2,}\w", line)}
    assert helped == there, "HELP in cli/main.py"
    assert {verb for verb, _ in shown_verbs()} == there, "README.md, the table of verbs"


def test_every_option_in_the_table_of_verbs_is_one_of_its_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    asked = 0
    for verb, text in shown_verbs():
        for option in re.findall(r"--([\w-]+)", " ".join(ticked(text))):
            asked += 1
            if verb in TRAINER_VERBS:
                assert option in OPTIONS, option
                takers = [name for name, words in shown_verbs() if f"--{option}" in words]
                assert set(takers) & set(OPTIONS[option][1]), f"--{option} beside {verb}"
                continue
            main([*verb.split(), "--help"])
            usage = capsys.readouterr().out
            siblings = [name for name, words in shown_verbs() if words == text]
            for sibling in siblings:
                main([*sibling.split(), "--help"])
                usage += capsys.readouterr().out
            assert f"--{option}" in usage, f"--{option} beside {verb}"
    assert asked > 8


def test_the_table_of_keys_holds_every_key_of_a_recipe() -> None:
    from tunesmith.cli.trainer_cli import ABOUT, sections
    from tunesmith.recipe.stages import KEY as STAGES
    from tunesmith.search.space import Range

    there = sections()
    assert [key for key in ABOUT if key != STAGES] == list(there)
    rows = [(ticked(names), ticked(text)) for names, text in table("key")]
    named = [name for names, _ in rows for name in names]
    assert [name for name in named if "." not in name] == list(ABOUT), "the top-level keys, in the code's order"
    for name in named:
        if name == STAGES:  # holds the others
            continue
        top, *inner = name.split(".")
        known: Any = there[top]
        for key in inner:
            assert key in options(known), name
            known = options(known)[key].hint
    for names, words in rows:
        for name in names:
            if name in ("seed_everything", "trainer", STAGES):
                continue
            if name == "search":  # and what each entry of its space takes
                assert [word for word in words if word in options(there[name])] == list(options(there[name]))
                assert set(words) - options(there[name]).keys() <= options(Range).keys()
            elif "." not in name and inspect.isclass(there[name]):
                assert words == list(options(there[name])), name
            elif name in ("success", "baselines"):
                what = {"name/metric", "name/metric@slice"} if name == "success" else set()
                assert set(words) - what == options(typing.get_args(there[name])[1]).keys(), name


def test_the_table_of_hooks_holds_every_hook() -> None:
    rows = [[ticked(cell)[0] for cell in row] for row in table("hook")]
    assert {hook: (HOOKS.get(hook), returned, place) for hook, returned, place in rows} == {
        hook: (kind, BASES[kind].__name__, PLACES[kind]) for hook, kind in HOOKS.items()
    }
    assert {returned for _, returned, _ in rows} <= set(tunesmith.__all__)
