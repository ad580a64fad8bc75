"""Pieces of a JSON Schema, put together so that editors show them well."""

import json
from collections.abc import Iterable
from typing import Any

from tunesmith.recipe.json_prose import markdown, plain

Shape = dict[str, Any]
NULL: Shape = {"type": "null"}
# Nothing that a recipe could say; what `any_of` leaves out.
NOTHING: Shape = {"not": {}}
# A text that reads as an import path, which is a class wherever one may stand.
CLASS_NAME: Shape = {"pattern": r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$"}


def any_of(shapes: Iterable[Shape]) -> Shape:
    """What is one of several shapes; the shortest way to say so."""
    flat: list[Shape] = []
    for shape in shapes:
        flat += shape["anyOf"] if shape.keys() == {"anyOf"} else [shape]
    found = [shape for shape in flat if shape != NOTHING]
    if {} in found:
        return {}
    # Editors offer each alternative by itself: of plain values and types one list each is easier to read.
    values = [value for shape in found if shape.keys() == {"enum"} for value in shape["enum"]]
    types = [shape["type"] for shape in found if shape.keys() == {"type"}]
    names = [name for given in types for name in ([given] if isinstance(given, str) else given)]
    rest = _unique(shape for shape in found if shape.keys() not in ({"enum"}, {"type"}))
    if values:
        rest.append({"enum": _unique(values)})
    if names:
        rest.append({"type": names[0] if len(names) == 1 else _unique(names)})
    if not rest:
        return NOTHING
    return rest[0] if len(rest) == 1 else {"anyOf": rest}


def _unique(values: Iterable[Any]) -> list[Any]:
    # true is no 1 in JSON
    return list({json.dumps(value, sort_keys=True): value for value in values}.values())


def nullable(shape: Shape) -> Shape:
    """The shape, or null, which removes an entry."""
    return any_of([shape, NULL])


def documented(shape: Shape, text: str, deprecated: str = "") -> Shape:
    """The shape with what is said about it."""
    if not text and not deprecated:
        return shape
    # A draft 7 reader leaves out what stands beside `$ref`.
    whole = {"allOf": [shape]} if "$ref" in shape else shape
    text = f"{deprecated}\n\n{text}".strip() if deprecated else text
    marked, bare = markdown(text), plain(text)
    return {
        **whole,
        "description": bare,
        # Code, links and line breaks are shown as such only here.
        **({"markdownDescription": marked} if marked != bare or "\n" in marked else {}),
        **({"deprecationMessage": deprecated} if deprecated else {}),
    }
