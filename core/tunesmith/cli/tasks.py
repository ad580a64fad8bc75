"""The option `--tasks` of `prepare` and `predict`: rows and answers as tasks for annotators."""

import json
from collections.abc import Sequence
from pathlib import Path

from tunesmith.cli.arguments import Arguments
from tunesmith.cli.screen import fact
from tunesmith.data.annotation import TOOLS, Answers, Tool, labelling_config, tasks
from tunesmith.data.example import Example
from tunesmith.errors import RecipeError
from tunesmith.evaluation.records import plain
from tunesmith.nearest import did_you_mean


def stated_tool(arguments: Arguments) -> Tool | None:
    """The tool that `--tasks` names; None where it is not given.

    Raises:
        RecipeError: It names none.
    """
    named = arguments.options.get("tasks")
    if named is None:
        return None
    tool = next((tool for tool in TOOLS if tool == named), None)
    if tool is None:
        msg = f"--tasks {named}: {named} is none of {', '.join(TOOLS)}{did_you_mean(named, TOOLS)}"
        raise RecipeError(msg)
    return tool


def write_tasks(tool: Tool, examples: Sequence[Example], stem: Path, answers: Answers | None = None) -> None:
    """Write tasks beside `stem`, and say where; for Label Studio with the labelling configuration that fits them.

    Args:
        tool: Whose format.
        examples: What is shown.
        stem: A path, whose name the files' names begin with.
        answers: As in `tasks`.
    """
    made = [plain(task) for task in tasks(tool, examples, answers)]
    ending = {"label-studio": ".label-studio.json", "prodigy": ".prodigy.jsonl"}[tool]
    path = stem.with_name(stem.name + ending)
    lines = [json.dumps(task, ensure_ascii=False) for task in made]
    text = "[\n" + ",\n".join(lines) + "\n]\n" if tool == "label-studio" else "".join(f"{line}\n" for line in lines)
    path.write_text(text, encoding="utf-8", errors="backslashreplace")
    said = f"{path} ({len(made)} tasks)"
    if tool == "label-studio":
        config = stem.with_name(f"{stem.name}.label-studio.xml")
        config.write_text(labelling_config(examples), encoding="utf-8", errors="xmlcharrefreplace")
        said += f"; its labelling configuration: {config.name}"
    fact("tasks", said)
