"""Trap 40: every key of every shipped recipe, misspelt once, is refused with the right suggestion."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from tunesmith.errors import RecipeError
from tunesmith.plugins.catalog import Catalog
from tunesmith.recipe.compose import compose
from tunesmith.recipe.json_schema import json_schema
from tunesmith.recipe.schema import check

FOLDER = Path(__file__).parents[2] / "recipes"
SHIPPED = [*sorted(FOLDER.glob("*.yaml")), *sorted((FOLDER / "bases").glob("*.yaml"))]
# What has data of its own is a recipe, not an overlay.
RECIPES = [f for f in SHIPPED if "\ndata:" in f.read_text()]
OVERLAYS = [f for f in SHIPPED if f not in RECIPES]
assert RECIPES, "no recipe is shipped"
assert OVERLAYS, "no overlay is shipped"
# Maps whose keys are names of the user's own: nothing there can be misspelt.
NAMED = {
    ("evaluators",),
    ("audits",),
    ("success",),
    ("stages",),
    ("baselines",),
    ("data", "sources"),
    ("data", "curators"),
    ("model", "regularizers"),
}


def misspell(data: Any) -> Iterator[tuple[tuple[str, ...], str, Any]]:
    """Every key of a recipe, misspelt in four ways: `(path of the key, the wrong key, the misspelt recipe)`."""
    for path in _keys(data, ()):
        for wrong in _slips(path[-1]):
            changed = copy.deepcopy(data)
            parent = changed
            for key in path[:-1]:
                parent = parent[key]
            if wrong not in parent:
                parent[wrong] = parent.pop(path[-1])
                yield path, wrong, changed


def _keys(data: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if not isinstance(data, dict):
        return
    own = path in NAMED or (len(path) == 4 and path[:2] == ("data", "sources") and path[3] == "map")
    for key, value in data.items():
        if not own:
            yield (*path, key)
        yield from _keys(value, (*path, key))


def _slips(word: str) -> list[str]:
    """A letter left out, doubled, replaced, and two swapped; each at another place of the word."""
    at = [len(word) * i // 4 for i in range(4)]
    left_out = word[: at[1]] + word[at[1] + 1 :]
    doubled = word[: at[2]] + word[at[2]] + word[at[2] :]
    replaced = word[: at[3]] + "z" + word[at[3] + 1 :]
    swapped = word[0:-2] + word[-1] + word[-2]
    return [w for w in dict.fromkeys((left_out, doubled, replaced, swapped)) if w and w != word]


def test_misspelling_reaches_every_depth_and_leaves_names_alone() -> None:
    data = {"data": {"sources": {"mine": {"path": "x", "map": {"a": "b"}}}}, "evaluators": {"r": {"class_path": "R"}}}
    paths = {path for path, _, _ in misspell(data)}
    assert paths == {
        ("data",),
        ("data", "sources"),
        ("data", "sources", "mine", "path"),
        ("data", "sources", "mine", "map"),
        ("evaluators",),
        ("evaluators", "r", "class_path"),
    }
    assert all(wrong != path[-1] for path, wrong, _ in misspell(data))


@pytest.fixture(scope="module")
def sections() -> dict[str, Any]:
    trainer_cli = pytest.importorskip("tunesmith.cli.trainer_cli")
    return dict(trainer_cli.sections())


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.load(allow=())


@pytest.mark.parametrize("file", RECIPES, ids=lambda f: f.stem)
def test_shipped_recipes_are_right(file: Path, sections: dict[str, Any], catalog: Catalog) -> None:
    checked = check(compose([str(file)]), catalog, sections)
    assert checked["model"]["base"]


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda f: f.stem)
def test_shipped_overlays_change_a_recipe_and_never_run_alone(
    overlay: Path, sections: dict[str, Any], catalog: Catalog
) -> None:
    recipe = compose([str(RECIPES[0]), str(overlay)])
    assert check(recipe, catalog, sections)["model"]["base"] != compose([str(RECIPES[0])]).data["model"]["base"]
    with pytest.raises(RecipeError, match="data is missing; an overlay never runs alone"):
        check(compose([str(overlay)]), catalog, sections)


@pytest.mark.parametrize("file", RECIPES, ids=lambda f: f.stem)
def test_trap_40_every_key_misspelt_once_names_the_right_one(
    file: Path, sections: dict[str, Any], catalog: Catalog, tmp_path: Path
) -> None:
    assert misspelt_all([], file, sections, catalog, tmp_path) > 40


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda f: f.stem)
def test_trap_40_every_key_of_an_overlay_misspelt_once_names_the_right_one(
    overlay: Path, sections: dict[str, Any], catalog: Catalog, tmp_path: Path
) -> None:
    assert misspelt_all([RECIPES[0]], overlay, sections, catalog, tmp_path) > 4


def misspelt_all(below: list[Path], file: Path, sections: dict[str, Any], catalog: Catalog, folder: Path) -> int:
    """Every key of a file misspelt once, the file merged over others: refused each time, by the schema for editors too.

    Returns how many.
    """
    editor = Draft7Validator(json_schema(sections, catalog, overlay=bool(below)))
    data = yaml.safe_load(file.read_text())
    wrong_file = folder / file.name
    tried = 0
    for path, wrong, misspelt in misspell(data):
        wrong_file.write_text(yaml.safe_dump(misspelt, sort_keys=False))
        with pytest.raises(RecipeError) as caught:
            check(compose([*map(str, below), str(wrong_file)]), catalog, sections)
        message = str(caught.value)
        first = message.splitlines()[0]
        named = {".".join((*path[:-1], wrong))}
        if below:
            # Without a class_path beside it, an overlay's unknown key is one of the options of the class below.
            named.add(".".join((*path[:-1], "init_args", wrong)))
        assert first.startswith(tuple(f"{wrong_file}: {name} " for name in named)), message
        suggested = first.partition("did you mean ")[2].rstrip("?").replace(", ", " or ").split(" or ")
        assert path[-1] in suggested, message
        assert caught.value.exit_code == 2
        assert not editor.is_valid(misspelt), f"an editor would not see {path} as {wrong}"
        tried += 1
    return tried
