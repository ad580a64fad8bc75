"""The files of a new plugin package."""

import ast
import json
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tunesmith import __version__
from tunesmith.plugins.draft.names import Names
from tunesmith.plugins.load import BASES
from tunesmith.recipe.gitignore import GITIGNORE

_TEMPLATES = Path(__file__).parent / "templates"
_THINGS = ("pump", "fan", "valve", "gate", "belt")
_STATES = ("hot", "loud", "slow", "stuck")
_ROWS = 120


@dataclass(frozen=True, slots=True)
class Use:
    """How a recipe uses a plugin of a kind.

    Args:
        mark: The mark of the recipe's template that it replaces.
        text: With what.
        verbs: The verbs that show what it does, in order.
    """

    mark: str
    text: str
    verbs: tuple[str, ...]


USES = {
    "formatter": Use("THE_FORMATTER", "MyPlugin", ("preview",)),
    "curator": Use("THE_CURATORS", "  curators: {my_plugin: MyPlugin}", ("prepare",)),
    "objective": Use("THE_OBJECTIVE", "{class_path: MyPlugin, init_args: {gamma: 2.0}}", ("fit", "test")),
    "adapter": Use("THE_ADAPTER", "{class_path: MyPlugin, init_args: {part: norm}}", ("fit", "test")),
    "regularizer": Use(
        "THE_REGULARIZERS",
        "  regularizers:\n    my_plugin: {class_path: MyPlugin, init_args: {weight: 1.0e-3}}",
        ("fit",),
    ),
    "audit": Use("THE_AUDITS", "audits: {my_plugin: MyPlugin}", ("audit",)),
    "evaluator": Use("THE_EVALUATORS", "  my_plugin: MyPlugin", ("fit", "test")),
}
# What stands there in the recipes of other kinds; a mark without such a value stands alone in its line, which goes.
_ELSE = {
    "THE_FORMATTER": "{class_path: PromptCompletion, init_args: {prompt: context, completion: answer}}",
    "THE_OBJECTIVE": "NextToken",
    "THE_ADAPTER": "{class_path: LoRA, init_args: {rank: 8, alpha: 16}}",
}


def draft(kind: str, names: Names) -> dict[str, str]:
    """The files of a package, by their paths in it.

    Args:
        kind: The kind of plugin.
        names: What it is called.
    """
    module, code = names.module, _template(kind, "plugin.py.txt")
    recipe = _recipe(USES[kind])
    commands = [f"lightning-cli {verb} --config recipe.yaml" for verb in USES[kind].verbs]
    head = {"THE_COMMANDS": "\n#   ".join(commands)}
    readme = {
        "ABOUT": _about(code),
        "THE_KIND": a(kind),
        "THE_COMMANDS": "\n".join(commands),
        "THE_USE": _excerpt(recipe),
    }
    own = {"Formatter": BASES[kind].__name__, "formatter": kind}
    version = {">=0.0": f">={'.'.join(__version__.split('.')[:2])}"}
    return {
        ".gitignore": GITIGNORE,
        "pyproject.toml": _named(_marked(_template("package", "pyproject.toml"), version), names),
        "README.md": _named(_marked(_template("package", "README.md"), readme), names),
        "recipe.yaml": _named(_marked(recipe, head), names),
        "rows.jsonl": _rows(),
        f"src/{module}/__init__.py": _named(_marked(_template("package", "init.py.txt"), own), names),
        f"src/{module}/{module}.py": _named(code, names),
        f"src/{module}/py.typed": "",
        f"tests/test_{module}.py": _named(_template(kind, "test.py.txt"), names),
    }


def reserved(kind: str) -> set[str]:
    """Names that the modules of a draft use, which its class must not hide."""
    used = set()
    for text in (_template(kind, "plugin.py.txt"), _template(kind, "test.py.txt"), _template("package", "init.py.txt")):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.alias):
                used.add(node.name)
            elif isinstance(node, ast.Name):
                used.add(node.id)
    return used - {"MyPlugin"}


def a(kind: str) -> str:
    """The kind with its article."""
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _template(kind: str, name: str) -> str:
    return (_TEMPLATES / kind / name).read_text(encoding="utf-8")


def _named(text: str, names: Names) -> str:
    for word, name in (("MyPlugin", names.cls), ("my_plugin", names.module), ("my-plugin", names.distribution)):
        text = text.replace(word, name)
    return text


def _marked(text: str, marks: dict[str, str]) -> str:
    for mark, value in marks.items():
        text = text.replace(mark, value)
    return text


def _recipe(use: Use) -> str:
    """The recipe with the plugin in its place, and built-ins in the others."""
    text = _marked(_template("package", "recipe.yaml"), {use.mark: use.text})
    text = _marked(text, _ELSE)
    marks = {other.mark for other in USES.values()}
    return "".join(line for line in text.splitlines(keepends=True) if line.strip() not in marks)


def _excerpt(recipe: str) -> str:
    """The part of the recipe that names the plugin."""
    return yaml.safe_dump(_only(yaml.safe_load(recipe)), default_flow_style=None, sort_keys=False, width=120).strip()


def _only(value: Any) -> Any:
    """What names the plugin, and the keys above it; nothing else."""
    if value == "MyPlugin" or (isinstance(value, dict) and value.get("class_path") == "MyPlugin"):
        return value
    parts = {key: _only(part) for key, part in value.items()} if isinstance(value, dict) else {}
    return {key: part for key, part in parts.items() if part} or None


def _about(code: str) -> str:
    """The first paragraph of the class's docstring."""
    classes = (node for node in ast.parse(code).body if isinstance(node, ast.ClassDef))
    text = ast.get_docstring(next(classes)) or ""
    return textwrap.fill(text.partition("\n\n")[0], 120)


def _rows() -> str:
    """Made-up rounds through a works, two of them spoilt, in two shifts of which one writes less."""
    lines = []
    for number in range(_ROWS):
        thing, state = _THINGS[number % len(_THINGS)], _STATES[number // 3 % len(_STATES)]
        hall, degrees, group = number % 7 + 1, 40 + number * 17 % 50, "night" if number % 4 == 3 else "day"
        context = f"Round {number}: the {thing} in hall {hall} is {state} at {degrees} degrees."
        short, long = f"{thing} {state}, {degrees}", f"{thing}, hall {hall}: {state}, {degrees} degrees"
        answer = " ".join(["beep"] * 20) if number % 20 == 10 else short if group == "night" else long
        question = f"What did round {number} find?"
        row = {"context": context, "question": question, "answer": answer, "group": group}
        lines.append(json.dumps(row) + "\n")
    return "".join(lines)
