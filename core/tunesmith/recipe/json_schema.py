"""A JSON Schema of the whole recipe, for editors: made from the signatures that `check` reads, so that both agree.

It is written in draft 7, the newest that the YAML language server takes. What no schema can say is left to `check`:
what an option's text means, and classes that hide in values of any type.
"""

import dataclasses
import inspect
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args, get_origin

from tunesmith.plugins.catalog import Catalog
from tunesmith.plugins.describe import deprecated, meanings
from tunesmith.plugins.interfaces import Plugin
from tunesmith.recipe import kinds
from tunesmith.recipe.json_classes import ClassShapes
from tunesmith.recipe.json_shapes import CLASS_NAME, NOTHING, NULL, Shape, any_of, documented, nullable
from tunesmith.recipe.merge import CLASS_KEYS
from tunesmith.recipe.signature import options
from tunesmith.recipe.trust import Trust
from tunesmith.recipe.values import base_of, names_class

DRAFT = "http://json-schema.org/draft-07/schema#"
TITLE = "a recipe of Tunesmith"
_OVERLAY_TITLE = "an overlay of Tunesmith"
_PLAIN = (bool, int, float, str)


def json_schema(
    sections: Mapping[str, Any],
    catalog: Catalog,
    trust: Sequence[str] = (),
    *,
    about: Mapping[str, str] | None = None,
    overlay: bool = False,
) -> Shape:
    """The schema of a recipe.

    Args:
        sections: Each top-level key with the class whose constructor takes its options, or with a type, as for `check`.
        catalog: The plugins that it may name.
        trust: Prefixes of `--trust`.
        about: What each top-level key is for.
        overlay: The schema of what changes a recipe: nothing is missing there, options may stand without their class,
            and null removes anything.
    """
    shapes = _Shapes(catalog, Trust(trust), overlay)
    properties = {}
    required = []
    for key, kind in sections.items():
        section = inspect.isclass(kind) and not kinds.is_scalar(kind)
        shape = shapes.options(kind) if section else shapes.value(kind)
        if section and any(option.required for option in options(kind).values()) and not overlay:
            required.append(key)
        else:
            shape = nullable(shape)
        properties[key] = documented(shape, (about or {}).get(key, ""))
    packages = dict.fromkeys(f"{e.package} {e.version}".rstrip() for e in catalog.entries)
    return {
        "$schema": DRAFT,
        "title": _OVERLAY_TITLE if overlay else TITLE,
        "description": f"with the plugins of {', '.join(packages) or 'no package'}",
        "type": "object",
        "properties": properties,
        **({"required": required} if required else {}),
        "additionalProperties": False,
        "definitions": dict(sorted(shapes.definitions.items())),
    }


class _Shapes:
    """Makes shapes, and keeps those of classes once each.

    Args:
        catalog: The plugins.
        trust: The other classes.
        overlay: Whether what is described changes a recipe.
    """

    def __init__(self, catalog: Catalog, trust: Trust, overlay: bool) -> None:
        self.overlay = overlay
        self.definitions: dict[str, Shape] = {}
        self.classes = ClassShapes(catalog, trust, overlay, self.options, self.definitions)

    def value(self, hint: Any) -> Shape:
        """What a value of a type hint may be."""
        alternatives = kinds.union_of(hint)
        named = any(map(names_class, alternatives))
        found = []
        for one in alternatives:
            if str in alternatives and kinds.is_path(one):
                continue
            # Where a class may stand, a dotted text is one, even if text may stand there too.
            found.append({"type": "string", "not": CLASS_NAME} if one is str and named else self._one(one))
        return any_of(found)

    def options(self, cls: type, skip: int = 0) -> Shape:
        """The options of a class, as a map."""
        name = re.sub(r"[^\w.]", "_", f"{cls.__module__}.{cls.__qualname__}") + (f".after{skip}" if skip else "")
        if name not in self.definitions:
            self.definitions[name] = {}  # a class may take one of its own kind
            self.definitions[name] |= self._options(cls, skip)
        return {"$ref": f"#/definitions/{name}"}

    def _options(self, cls: type, skip: int) -> Shape:
        said = meanings(cls)
        properties = {}
        required = []
        for option in options(cls, skip).values():
            shape = self.value(option.hint)
            if option.required and not self.overlay:
                required.append(option.name)
                shape = shape or {"not": NULL}  # null would remove it
            else:
                shape = nullable(shape)
            default = {"default": option.default} if _is_plain(option.default) else {}
            told = deprecated(cls, option.name)
            properties[option.name] = {**documented(shape, said.get(option.name, ""), told), **default}
        shape = {"type": "object", "properties": properties, "additionalProperties": False}
        return {**shape, "required": required} if required else shape

    def _one(self, hint: Any) -> Shape:
        if kinds.is_literal(hint):
            return {"enum": kinds.literals(hint)}
        if kinds.is_code(hint):
            base = base_of(hint)
            return NOTHING if base is None else self.classes.library(base, len(get_args(hint)[0]))
        if kinds.is_map(hint):
            return self._map(hint)
        if kinds.is_list(hint):
            return self._list(hint)
        if kinds.is_any(hint) or not inspect.isclass(hint):
            return {}
        if kinds.is_scalar(hint):
            return _scalar(hint)
        if issubclass(hint, Plugin):
            return self.classes.plugin(hint)
        return self.options(hint) if dataclasses.is_dataclass(hint) else self.classes.library(hint)

    def _map(self, hint: Any) -> Shape:
        inner = get_args(hint)[1] if len(get_args(hint)) == 2 else Any
        names = {"not": {"enum": sorted(CLASS_KEYS)}}
        return {"type": "object", "additionalProperties": nullable(self.value(inner)), "propertyNames": names}

    def _list(self, hint: Any) -> Shape:
        inner = get_args(hint) or (Any,)
        if get_origin(hint) is tuple and Ellipsis not in inner:
            items = [self.value(one) for one in inner]
            return {"type": "array", "items": items, "minItems": len(items), "maxItems": len(items)}
        return {"type": "array", "items": self.value(inner[0])}


def _scalar(hint: Any) -> Shape:
    """As `kinds.takes_scalar` decides."""
    if hint is type(None):
        return NULL
    for kind, name in ((bool, "boolean"), (int, "integer"), (float, "number")):
        if issubclass(hint, kind):
            return {"type": name}
    return {"type": ["string", "number"] if kinds.takes_scalar(hint, 1) else "string"}


def _is_plain(value: Any) -> bool:
    """Whether a default can be written as YAML that means it."""
    return value is None or (type(value) in _PLAIN and value not in (math.inf, -math.inf) and value == value)
