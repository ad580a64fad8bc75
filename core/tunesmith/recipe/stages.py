"""Stages of a recipe: each is the recipe with overrides of its own, and starts from the weights of the one before."""

from collections.abc import Iterable, Sequence
from typing import Any

from tunesmith.errors import RecipeError
from tunesmith.nearest import did_you_mean
from tunesmith.recipe.merge import merge
from tunesmith.recipe.overrides import override
from tunesmith.recipe.tree import Leaf, Map, Tree

KEY = "stages"
# What only the last stage has of the recipe, unless another names its own: what `test` measures and decides by.
_EVIDENCE = ("evaluators", "audits", "baselines", "comparison", "success")
_WHOLE = ("plugins", "requires", KEY)


def stage_names(tree: Map) -> list[str]:
    """The stages in order; none where the recipe has none.

    Raises:
        RecipeError: `stages` is no map of maps, or a stage sets what the whole recipe has.
    """
    stages = tree.entries.get(KEY)
    if stages is None or (isinstance(stages, Leaf) and stages.value is None):
        return []
    if not isinstance(stages, Map):
        msg = f"{stages.mark}: stages is a map: the name of each stage, and what it changes of the recipe"
        raise RecipeError(msg)
    names = [name for name, stage in stages.entries.items() if not _is_removed(stage)]
    for at, name in enumerate(names):
        _check(name, stages.entries[name], first=at == 0)
    return names


def staged(tree: Map, name: str, overrides: Sequence[str]) -> Map:
    """The recipe of one stage.

    Args:
        tree: The whole recipe.
        name: One of `stage_names`.
        overrides: The command line's changes, which hold for all stages but where they name one.

    Raises:
        RecipeError: There is no such stage.
    """
    names = stage_names(tree)
    if name not in names:
        msg = f"--stage {name} is no stage of this recipe{did_you_mean(name, names)}; stages: {', '.join(names)}"
        raise RecipeError(msg)
    stages = tree.entries[KEY]
    assert isinstance(stages, Map)
    last = name == names[-1]
    kept = {key: value for key, value in tree.entries.items() if key != KEY and (last or key not in _EVIDENCE)}
    own = stages.entries[name]
    merged: Tree = Map(kept, tree.mark)
    if isinstance(own, Map):
        merged = merge(merged, own)
    assert isinstance(merged, Map)
    return override(merged, _for_stage(overrides, name, last))


def stages_shape(sections: Iterable[str], about: str) -> dict[str, Any]:
    """What a JSON Schema says of `stages`: names with the sections that each may change, whatever stands in them."""
    own = {key: True for key in sections if key not in _WHOLE}
    stage = {"type": "object", "properties": own, "additionalProperties": False}
    return {"description": about, "type": ["object", "null"], "additionalProperties": stage}


def _for_stage(overrides: Sequence[str], name: str, last: bool) -> list[str]:
    """What the command line changes of a stage: what it says of all stages, and then what it says of this one."""
    of_all, own = list[str](), list[str]()
    into: list[str] | None = None
    for word in overrides:
        if not word.startswith("--"):  # the value of the key before it
            if into is not None:
                into.append(word)
            continue
        key = word.removeprefix("--")
        top = key.partition("=")[0].partition(".")[0]
        if key.startswith(f"{KEY}.{name}."):
            into, key = own, key.removeprefix(f"{KEY}.{name}.")
        else:
            into = of_all if top not in _WHOLE and (last or top not in _EVIDENCE) else None
        if into is not None:
            into.append(f"--{key}")
    return [*of_all, *own]


def _check(name: str, stage: Tree, *, first: bool) -> None:
    if isinstance(stage, Leaf):
        msg = f"{stage.mark}: stages.{name} is a map of what the stage changes; {{}} changes nothing"
        raise RecipeError(msg)
    if not name or set(name) & set("/\\.@") or name != name.strip():
        msg = f"{stage.mark}: stages.{name!r} is the name of a folder as well: letters, digits, - and _"
        raise RecipeError(msg)
    for key in _WHOLE:
        if key in stage.entries:
            msg = f"{stage.entries[key].mark}: stages.{name}.{key} holds for the whole recipe; move it to the top"
            raise RecipeError(msg)
    model = stage.entries.get("model")
    if not first and isinstance(model, Map) and not _is_removed(model.entries.get("base")):
        msg = (
            f"{model.entries['base'].mark}: stages.{name}.model.base: a stage starts from the weights of the one "
            "before; leave it out, or name it in the first stage or in model"
        )
        raise RecipeError(msg)
    if not first and isinstance(model, Map) and not _is_removed(model.entries.get("from_scratch")):
        msg = f"{model.entries['from_scratch'].mark}: stages.{name}.model.from_scratch: only the first stage may"
        raise RecipeError(msg)


def _is_removed(tree: Tree | None) -> bool:
    return tree is None or (isinstance(tree, Leaf) and tree.value is None)
