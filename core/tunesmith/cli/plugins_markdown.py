"""`plugins describe --markdown`: a page of plugins, from their docstrings alone, so that it can be kept in step."""

from collections.abc import Iterable, Iterator

from tunesmith.plugins.catalog import Entry
from tunesmith.plugins.describe import Description, Option, describe
from tunesmith.plugins.load import BASES

# What stands where a plugin of a kind does.
PLACES = {
    "formatter": "data.sources.NAME.formatter",
    "curator": "data.curators.NAME",
    "objective": "model.objective",
    "adapter": "model.adapter",
    "regularizer": "model.regularizers.NAME",
    "audit": "audits.NAME",
    "evaluator": "evaluators.NAME",
}


def page(entries: Iterable[Entry]) -> str:
    """All of some plugins, by kind and name; no version and no path, which would change without them."""
    found = sorted(entries, key=lambda e: (not e.builtin, e.name, e.path))
    lines = [
        "# Plugins",
        "",
        "What a recipe may name: `NAME`, or `{class_path: NAME, init_args: {option: value}}`. Made from the docstrings",
        "by `lightning-cli plugins describe --all --markdown`.",
    ]
    for kind in BASES:
        of_kind = [entry for entry in found if entry.kind == kind]
        if of_kind:
            lines += ["", f"## {kind.capitalize()}s: `{PLACES[kind]}`"]
        for entry in of_kind:
            lines += ["", *section(describe(entry))]
    return "\n".join(lines) + "\n"


def section(description: Description) -> Iterator[str]:
    """The lines of one plugin."""
    entry = description.entry
    yield f"### {entry.name}" + ("" if entry.builtin else f" ({entry.package})")
    if description.deprecated:
        yield ""
        yield f"**{description.deprecated}.**"
    yield ""
    yield description.prose or "(no docstring)"
    if not description.options:
        return
    yield ""
    yield "| option | type | default | meaning |"
    yield "|---|---|---|---|"
    for option in description.options:
        yield _row(option)


def _row(option: Option) -> str:
    default = "required" if option.default is None else f"`{option.default}`"
    doc = f"**{option.deprecated}.** {option.doc}".strip() if option.deprecated else option.doc
    cells = (f"`{option.name}`", f"`{option.type}`", default, doc)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
