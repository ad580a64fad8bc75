"""How a later file, or the command line, changes an earlier one.

Maps merge key by key, lists and scalars are replaced, null removes. A value that names a class (`ROUGE`, or a map with
`class_path`) takes a map of options: `{stem: true}` over `ROUGE` gives it the option, as `{init_args: {stem: true}}`
does. Another class drops the former one's options, which would mean nothing to it.
"""

import re

from tunesmith.recipe.tree import Leaf, Map, Tree

CLASS_KEYS = frozenset({"class_path", "init_args", "dict_kwargs"})
_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


def merge(below: Tree | None, above: Tree) -> Tree:
    """The earlier tree changed by the later one; neither is modified."""
    if below is None:
        return above
    if isinstance(above, Leaf):
        return _rename(below, above)
    if isinstance(below, Leaf):
        if not _is_name(below.value):
            return above
        below = Map({"class_path": below}, below.mark)
    former = _class_of(below)
    if former is not None and not above.entries.keys() & CLASS_KEYS:
        above = Map({"init_args": above}, above.mark)
    latter = _class_of(above)
    if former is not None and latter is not None and not same_class(former, latter):
        return above
    merged = {k: merge(below.entries.get(k), v) for k, v in above.entries.items()}
    return Map({**below.entries, **merged}, below.mark)


def same_class(one: str, other: str) -> bool:
    """Whether two names mean the same class, as far as names tell: a bare one equals a dotted one that ends in it."""
    if "." in one and "." in other:
        return one == other
    return one.rpartition(".")[2] == other.rpartition(".")[2]


def _rename(below: Tree, above: Leaf) -> Tree:
    former = _class_of(below)
    if former is None or not _is_name(above.value) or not same_class(former, above.value):
        return above
    assert isinstance(below, Map)
    return Map({**below.entries, "class_path": above}, below.mark)


def _class_of(tree: Tree) -> str | None:
    path = tree.entries.get("class_path") if isinstance(tree, Map) else None
    return path.value if isinstance(path, Leaf) and isinstance(path.value, str) else None


def _is_name(value: object) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None
