"""What a plugin class says about itself: its docstring, and its options with type, default and meaning."""

import inspect
import re
from dataclasses import dataclass
from typing import Any

from tunesmith.deprecation import deprecation_of
from tunesmith.plugins.catalog import Entry
from tunesmith.recipe import signature
from tunesmith.recipe.kinds import union_of

_ARGUMENT = re.compile(r"^(\*{0,2}\w+)(?:\s*\([^)]*\))?:\s*(.*)$")
_LAID_OUT = re.compile(r"^(\s|[-*|>]|\d+\.)", re.MULTILINE)
_MODULES = re.compile(r"\b(?:typing|collections\.abc|pathlib|builtins)\.")


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a plugin: a parameter of its constructor.

    Args:
        name: As a recipe writes it below `init_args`.
        type: The annotation, as Python writes it.
        default: The default's text; None where the option is required.
        doc: What the docstring's Args section says about it.
        deprecated: What to use instead, and when it is gone; empty where it stays.
    """

    name: str
    type: str
    default: str | None
    doc: str
    deprecated: str = ""

    @property
    def required(self) -> bool:
        """Whether a recipe has to set it."""
        return self.default is None


@dataclass(frozen=True, slots=True)
class Description:
    """All that `plugins describe` shows of a class."""

    entry: Entry
    file: str
    summary: str
    options: tuple[Option, ...]
    doc: str
    deprecated: str

    @property
    def prose(self) -> str:
        """The docstring without its Args section, which `options` holds, one line a paragraph for any width."""
        lines = self.doc.splitlines()
        start, stop = _args_section(lines)
        paragraphs = "\n".join(lines[:start] + lines[stop:]).strip().split("\n\n")
        return "\n\n".join(p if _LAID_OUT.search(p) else " ".join(p.split()) for p in paragraphs)

    def as_data(self) -> dict[str, Any]:
        """The same as plain data, for `--json`."""
        entry = self.entry
        return {
            "name": entry.name,
            "kind": entry.kind,
            "package": entry.package,
            "version": entry.version,
            "path": entry.path,
            "file": self.file,
            "summary": self.summary,
            "options": [
                {
                    "name": o.name,
                    "type": o.type,
                    "required": o.required,
                    "default": o.default,
                    "doc": o.doc,
                    "deprecated": o.deprecated,
                }
                for o in self.options
            ],
            "doc": self.doc,
            "deprecated": self.deprecated,
        }


def describe(entry: Entry) -> Description:
    """Read a class's documentation; runs none of its code."""
    doc = _doc(entry.cls)
    try:
        file = inspect.getsourcefile(entry.cls) or ""
    except (TypeError, OSError):
        file = ""
    return Description(entry, file, summary(entry.cls), options(entry.cls), doc, deprecated(entry.cls))


def summary(cls: type) -> str:
    """The first paragraph of the docstring, as one line."""
    return " ".join(_doc(cls).split("\n\n")[0].split())


def options(cls: type) -> tuple[Option, ...]:
    """The constructor's parameters, through `**kwargs` up to the classes that name them."""
    docs = meanings(cls)
    return tuple(
        Option(
            o.name,
            annotation(o.hint),
            None if o.required else _default(o.default),
            docs.get(o.name, ""),
            deprecated(cls, o.name),
        )
        for o in signature.options(cls).values()
    )


def deprecated(cls: type, option: str = "") -> str:
    """What to use instead of a class or its option, and when it is gone; empty where it stays."""
    told = deprecation_of(cls, option)
    return "" if told is None else str(told)


def meanings(cls: type) -> dict[str, str]:
    """What the Args sections of a class, its constructor and those that it inherits from say, by option."""
    docs: dict[str, str] = {}
    for owner in reversed(cls.__mro__):
        docs |= arguments(getattr(owner.__dict__.get("__init__"), "__doc__", None) or "")
        docs |= arguments(owner.__dict__.get("__doc__") or "")
    return docs


def _doc(cls: type) -> str:
    """The class's own docstring; an inherited one would describe another class."""
    return inspect.cleandoc(cls.__dict__.get("__doc__") or "")


def _default(value: Any) -> str:
    return getattr(value, "__qualname__", None) or repr(value)


def annotation(hint: Any) -> str:
    """An annotation as Python 3.11 writes it, without the modules that everybody knows."""
    alternatives = ["None" if a is type(None) else inspect.formatannotation(a) for a in union_of(hint)]
    return _MODULES.sub("", " | ".join(alternatives))


def arguments(doc: str) -> dict[str, str]:
    """Name to text of a google-style Args section; continuation lines are joined."""
    lines = inspect.cleandoc(doc).splitlines()
    start, stop = _args_section(lines)
    body = lines[start + 1 : stop]
    depth = min((len(line) - len(line.lstrip()) for line in body if line.strip()), default=0)
    found: dict[str, str] = {}
    name = ""
    for line in body:
        match = _ARGUMENT.match(line[depth:])
        if match and not line[depth:][:1].isspace():
            name = match[1].lstrip("*")
            found[name] = match[2]
        elif name and line.strip():
            found[name] = f"{found[name]} {line.strip()}".strip()
    return found


def _args_section(lines: list[str]) -> tuple[int, int]:
    """Where the Args section begins and ends; both the number of lines where there is none."""
    start = next((i for i, line in enumerate(lines) if line.strip() == "Args:"), len(lines))
    rest = range(start + 1, len(lines))
    return start, next((i for i in rest if lines[i] and not lines[i][0].isspace()), len(lines))
