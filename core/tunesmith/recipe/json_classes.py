"""The places of a JSON Schema where a class stands: its name, or its name with its options."""

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tunesmith.plugins.catalog import Catalog, Entry
from tunesmith.plugins.describe import describe, summary
from tunesmith.plugins.interfaces import Plugin
from tunesmith.recipe.classes import own_path
from tunesmith.recipe.json_shapes import NOTHING, Shape, any_of, documented, nullable
from tunesmith.recipe.signature import options
from tunesmith.recipe.trust import Trust, members


@dataclass(frozen=True, slots=True)
class _Named:
    """A class that may stand somewhere.

    Args:
        cls: It.
        names: What means it, the likeliest first.
        pattern: Further names that do; empty where there are none.
        short: What is said beside its name.
        doc: What is said about it.
        deprecated: What to use instead; empty where it stays.
    """

    cls: type
    names: list[str]
    pattern: str = ""
    short: str = ""
    doc: str = ""
    deprecated: str = ""


class ClassShapes:
    """Makes the shapes of places where a class stands.

    Args:
        catalog: The plugins.
        trust: What else the user trusts.
        overlay: Whether what is described changes a recipe.
        options: Makes the shape of a class's options.
        definitions: Where shapes are kept that several places share.
    """

    def __init__(
        self,
        catalog: Catalog,
        trust: Trust,
        overlay: bool,
        options: Callable[[type, int], Shape],
        definitions: dict[str, Shape],
    ) -> None:
        self.catalog = catalog
        self.trust = trust
        self.overlay = overlay
        self.options = options
        self.definitions = definitions

    def plugin(self, base: type[Plugin]) -> Shape:
        """A plugin of a kind."""
        return self._shared(base.kind, lambda: self._place(map(self._plugin, self._of(base.kind)), 0))

    def library(self, base: type, skip: int = 0) -> Shape:
        """A class of a library, or a helper class of a plugin's own package."""
        own = own_path(base, self.catalog)
        if own is not None:
            named = _Named(base, [base.__name__, own])
            return self._shared(own, lambda: any_of([self.options(base, skip), self._place([named], skip)]))
        found = [_Named(cls, names, pattern, doc=summary(cls)) for cls, names, pattern in members(base)]
        trusted = [self._trusted(prefix) for prefix in self.trust.packages]
        if not found and not trusted:
            return NOTHING
        name = f"{base.__module__}.{base.__name__}"
        return self._shared(name, lambda: any_of([self._place(found, skip), *trusted]))

    def _shared(self, name: str, make: Callable[[], Shape]) -> Shape:
        key = f"a.{name}"  # apart from the options of a class of that name
        if key not in self.definitions:
            self.definitions[key] = {}  # a plugin may take one of its own kind
            self.definitions[key] |= make()
        return {"$ref": f"#/definitions/{key}"}

    def _of(self, kind: str) -> list[Entry]:
        return sorted((e for e in self.catalog.entries if e.kind == kind), key=lambda e: (not e.builtin, e.name))

    def _plugin(self, entry: Entry) -> _Named:
        names = list(dict.fromkeys([entry.path, *_exports(entry)]))
        if not self.catalog.namesakes(entry):
            names.insert(0, entry.name)
        description = describe(entry)
        return _Named(entry.cls, names, "", description.summary, description.prose, description.deprecated)

    def _place(self, classes: Iterable[_Named], skip: int) -> Shape:
        found = list(classes)
        bare = [self._bare(named) for named in found if self.overlay or not _needs(named.cls, skip)]
        return any_of([*bare, *(self._spec(named, skip) for named in found), *self._changes(found, skip)])

    def _bare(self, named: _Named) -> Shape:
        first = documented({"const": named.names[0]}, named.short, named.deprecated)
        return any_of([first, _names(named.names[1:], named.pattern)])

    def _spec(self, named: _Named, skip: int) -> Shape:
        needs = _needs(named.cls, skip) and not self.overlay
        init_args = self.options(named.cls, skip)
        return {
            "type": "object",
            **documented({"title": named.cls.__name__}, named.doc, named.deprecated),
            "properties": {
                "class_path": _names(named.names, named.pattern),
                "init_args": init_args if needs else nullable(init_args),
            },
            "required": ["class_path", "init_args"] if needs else ["class_path"],
            "additionalProperties": False,
        }

    def _changes(self, found: list[_Named], skip: int) -> Iterator[Shape]:
        """Options without their class, which an overlay lays over a recipe's class."""
        if not self.overlay or not found:
            return
        every = any_of([self.options(named.cls, skip) for named in found])
        yield {"type": "object", "properties": {"init_args": nullable(every)}, "additionalProperties": False}
        yield every

    def _trusted(self, prefix: str) -> Shape:
        """Anything below a prefix of `--trust`; its options are not looked up, because that would import it."""
        name = {"type": "string", "pattern": rf"^{re.escape(prefix)}(\.\w+)+$"}
        spec = {
            "type": "object",
            "properties": {"class_path": name, "init_args": {"type": ["object", "null"]}},
            "required": ["class_path"],
            "additionalProperties": False,
        }
        return {"anyOf": [name, spec]}


def _names(names: list[str], pattern: str) -> Shape:
    listed = {"enum": names} if names else NOTHING
    return any_of([listed, {"type": "string", "pattern": pattern} if pattern else NOTHING])


def _needs(cls: type, skip: int) -> bool:
    return any(option.required for option in options(cls, skip).values())


def _exports(entry: Entry) -> Iterator[str]:
    """The dotted paths under which a plugin's package exports its class again."""
    top = entry.cls.__module__.partition(".")[0]
    for name, module in sorted(sys.modules.items()):
        if name.partition(".")[0] == top and inspect.ismodule(module) and vars(module).get(entry.name) is entry.cls:
            yield f"{name}.{entry.name}"
