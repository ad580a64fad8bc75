"""What the command line changes: `--data.batch_size=4`, `--success.rouge/rougeL.at_least=0.9`."""

from collections.abc import Sequence
from pathlib import Path

from tunesmith.errors import RecipeError
from tunesmith.recipe.merge import merge
from tunesmith.recipe.paths import anchor
from tunesmith.recipe.read_yaml import read_tree
from tunesmith.recipe.tree import COMMAND_LINE, Leaf, Map, Mark, Tree


def override(tree: Map, words: Sequence[str]) -> Map:
    """Change a recipe as the command line asks.

    A class is named before its options are set, whatever the order of the words: `--model.adapter.rank=8
    --model.adapter=LoRA` must not lose the rank.

    Raises:
        RecipeError: A word is not `--key=value`, or goes into a list.
    """
    mark = Mark(COMMAND_LINE, Path.cwd())
    pairs = sorted(_pairs(words), key=lambda pair: pair[0].count("."))
    for key, text in pairs:
        parts = _parts(tree, key)
        change: Tree = _read(text, mark)
        for part in reversed(parts):
            change = Map({part: change}, mark)
        merged = merge(tree, anchor(change))
        assert isinstance(merged, Map)
        tree = merged
    return tree


def _pairs(words: Sequence[str]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        key, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not all(key.split(".")):
            msg = f"{COMMAND_LINE}: {word!r} is not a change of a recipe; write --data.batch_size=4"
            raise RecipeError(msg)
        if not equals:
            if not rest or rest[0].startswith("--"):
                msg = f"{COMMAND_LINE}: --{key} needs a value: --{key}=..."
                raise RecipeError(msg)
            value = rest.pop(0)
        pairs.append((key, value))
    return pairs


def _parts(tree: Map, key: str) -> list[str]:
    """Split a key at its dots, except within names of the recipe that hold dots themselves."""
    parts: list[str] = []
    here: Tree | None = tree
    rest = key.split(".")
    while rest:
        if isinstance(here, Leaf) and isinstance(here.value, list):
            where = ".".join(parts)
            msg = f"{COMMAND_LINE}: {where} is a list, which is replaced whole: --{where}='[...]'"
            raise RecipeError(msg)
        known = here.entries if isinstance(here, Map) else {}
        size = next((n for n in range(len(rest), 1, -1) if ".".join(rest[:n]) in known), 1)
        part, rest = ".".join(rest[:size]), rest[size:]
        # `rank` of a class is its option; looked up so that dots within option names are found too.
        init_args = known.get("init_args")
        here = known.get(part) or (init_args.entries.get(part) if isinstance(init_args, Map) else None)
        parts.append(part)
    return parts


def _read(text: str, mark: Mark) -> Tree:
    """A value as YAML, and as it was typed where YAML makes nothing of it."""
    if not text.strip():
        return Leaf(text, mark, text)
    try:
        tree = read_tree(text, mark)
    except RecipeError:
        # Prompts and reasons may hold anything. A list or map that is wrong is caught where one is needed.
        return Leaf(text, mark, text)
    return _typed(tree, mark, text)


def _typed(tree: Tree, mark: Mark, text: str | None) -> Tree:
    if isinstance(tree, Leaf):
        return Leaf(tree.value, mark, text)
    return Map({k: _typed(v, mark, None) for k, v in tree.entries.items()}, mark)
