"""Looks at the first rows of a data file, and picks the formatter that reads them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from tunesmith.data.read import read_file
from tunesmith.data.rows import Row
from tunesmith.errors import DataError, RecipeError
from tunesmith.nearest import did_you_mean
from tunesmith.no_file import ABSENT, why_no_file

LOOKED_AT = 20_000
_MOST_NAMES = 20
_LONGEST = 60
# The keys of a turn: who speaks, and what is said, in one of these.
_OPENAI = ("role", "content", "tool_calls")
_SHARED = ("from", "value")
# Names under which other trainers document such columns.
_ASKS = ("prompt", "question", "query", "input", "instruction", "problem", "article", "dialogue", "text", "source")
_ANSWERS = ("completion", "answer", "response", "output", "summary", "solution", "generation", "target", "label")


@dataclass(frozen=True, slots=True)
class Columns:
    """The first rows of a file.

    Args:
        file: The file.
        rows: Its first rows, at most 20,000: files are often sorted, so that a few say little.
        names: All column names, in order of appearance.
        texts: Those that may be a prompt or an answer.
    """

    file: Path
    rows: tuple[dict[str, Any], ...]
    names: tuple[str, ...]
    texts: tuple[str, ...]

    def longest(self, column: str) -> int:
        """Characters of the longest value of a column; 0 where it holds lists."""
        values = [row.get(column) for row in self.rows]
        return max((len(str(v)) for v in values if isinstance(v, str | int | float)), default=0)

    def listed(self, names: Iterable[str]) -> str:
        """Some of the columns with what they hold, for a message."""
        told = [f"{one_line(name)} ({self.holds(name)})" for name in names]
        return ", ".join([*told[:_MOST_NAMES], *(["..."] if len(told) > _MOST_NAMES else [])])

    def holds(self, column: str) -> str:
        """What a column holds, in a word or two."""
        said = [row[column] for row in self.rows if row.get(column) is not None]
        if any(isinstance(value, list | dict) for value in said):
            return "lists or maps"
        if not any(str(value).strip() for value in said):
            return "nothing"
        return "text" if column in self.texts or not all(_is_number(str(value)) for value in said) else "numbers"

    def can_be_said(self, column: str) -> bool:
        """Whether a column holds what a prompt or an answer may be made of."""
        return self.holds(column) in ("text", "numbers")


@dataclass(frozen=True, slots=True)
class Choice:
    """How rows are read.

    Args:
        formatter: Name of the formatter.
        options: Its options.
        columns: The columns that the formatter reads.
        answer: The text column that is learnt; empty where there is none of its own.
        has_reference: Whether outputs can be compared with something.
        why: What decided it.
    """

    formatter: str
    options: dict[str, str]
    columns: tuple[str, ...]
    answer: str
    has_reference: bool
    why: str


def look(file: Path) -> Columns:
    """Read the first rows of a data file.

    Raises:
        DataError: It cannot be read, or none of its first rows can.
    """
    if why := why_no_file(file):
        names = [p.name for p in file.parent.iterdir()] if why == ABSENT and file.parent.is_dir() else []
        msg = f"--data {file} {why}{did_you_mean(file.name, names)}"
        raise DataError(msg)
    read = list(islice(read_file(file), LOOKED_AT))
    rows = tuple(row.values for row in read if isinstance(row, Row))
    if not rows:
        why = next((f": line {reject.line}: {reject.reason}" for reject in read if not isinstance(reject, Row)), "")
        msg = f"--data {file}: no row could be read{why}"
        raise DataError(msg)
    columns = tuple(dict.fromkeys(name for row in rows for name in row))
    return Columns(file, rows, columns, tuple(c for c in columns if _is_text(c, [row.get(c) for row in rows])))


def choose(columns: Columns, prompt: str | None = None, completion: str | None = None) -> Choice:
    """Pick a formatter by the columns' names, or by the two columns that the user names.

    Raises:
        RecipeError: The columns do not say which is the prompt and which the answer.
    """
    if prompt or completion:
        return _named(columns, prompt, completion)
    pair = ("prompt", "completion")
    if all(name in columns.names and (columns.can_be_said(name) or _is_conversation(columns, name)) for name in pair):
        return _prompt_completion()
    answer = next((name for name in ("output", "response") if _can_be_said(columns, name)), None)
    if answer and _can_be_said(columns, "instruction"):
        columns_read = ("instruction", "input", answer)
        return Choice("Instruction", {}, columns_read, answer, True, f"columns instruction and {answer}")
    if (conversation := _conversation(columns)) is not None:
        return conversation
    if columns.texts == ("text",):
        return Choice("RawText", {}, ("text",), "text", False, "column text, the only one that holds text")
    found = _pair(columns.texts)
    if found is None:
        raise RecipeError(_ambiguous(columns))
    return _template(*found, why="the columns' names" if len(columns.texts) > 2 else "the two columns that hold text")


def _named(columns: Columns, prompt: str | None, completion: str | None) -> Choice:
    if not prompt or not completion:
        given, lacking = ("prompt", "completion") if prompt else ("completion", "prompt")
        msg = f"--{given}-column is given without --{lacking}-column; columns: {columns.listed(columns.names)}"
        raise RecipeError(msg)
    for option, name in (("prompt", prompt), ("completion", completion)):
        if name not in columns.names:
            msg = (
                f"--{option}-column {name}: {columns.file} has no such column{did_you_mean(name, columns.names)}\n"
                f"columns: {columns.listed(columns.names)}"
            )
            raise RecipeError(msg)
        if (prompt, completion) != ("prompt", "completion") and not columns.can_be_said(name):
            texts = ", ".join(map(one_line, columns.texts)) or "none"
            msg = f"--{option}-column {name}: it holds {columns.holds(name)}; name a column of text: {texts}"
            raise RecipeError(msg)
    if prompt == completion:
        msg = f"--prompt-column and --completion-column are both {prompt}; the model would learn to repeat its input"
        raise RecipeError(msg)
    return (
        _prompt_completion()
        if (prompt, completion) == ("prompt", "completion")
        else _template(prompt, completion, why="the columns that you named")
    )


def _prompt_completion() -> Choice:
    return Choice("PromptCompletion", {}, ("prompt", "completion"), "completion", True, "columns prompt and completion")


def _template(prompt: str, completion: str, why: str) -> Choice:
    said = f"{why}: {prompt} asks, {completion} answers"
    if {"{", "}"} & {*prompt, *completion}:
        # in a template a brace begins a column
        options = {"prompt": prompt, "completion": completion}
        return Choice("PromptCompletion", options, (prompt, completion), completion, True, said)
    options = {"prompt": "{" + prompt + "}", "completion": "{" + completion + "}"}
    return Choice("Template", options, (prompt, completion), completion, True, said)


def _can_be_said(columns: Columns, name: str) -> bool:
    return name in columns.names and columns.can_be_said(name)


def _conversation(columns: Columns) -> Choice | None:
    """How the conversations are read, if a column holds such: `messages`, or the only one that does.

    Raises:
        RecipeError: Several columns hold some.
    """
    found = [name for name in columns.names if _is_conversation(columns, name)]
    found = found or [name for name in columns.names if _is_conversation(columns, name, _SHARED)]
    if "messages" in found:
        found = ["messages"]
    if len(found) > 1:
        several = ", ".join(map(one_line, found))
        msg = f"{columns.file}: several columns hold messages: {several}; rename the one to train on: messages"
        raise RecipeError(msg)
    if not found:
        return None
    (name,) = found
    if _is_conversation(columns, name, _SHARED):
        options = {} if name == "conversations" else {"conversations": name}
        return Choice(
            "ShareGPT", options, (name, "system", "tools"), "", True, f"column {name}, turns of from and value"
        )
    options = {} if name == "messages" else {"messages": name}
    return Choice("Messages", options, (name, "tools"), "", True, f"column {name}")


def _is_conversation(columns: Columns, name: str, keys: Sequence[str] = _OPENAI) -> bool:
    """Whether most values of a column are lists of turns, each a map with such keys."""
    held = [_as_list(row[name]) for row in columns.rows if row.get(name)]
    good = sum(bool(turns) and all(_is_turn(turn, *keys) for turn in turns) for turns in held)
    return 2 * good > len(held)


def _is_turn(turn: Any, speaker: str, *said: str) -> bool:
    return isinstance(turn, dict) and speaker in turn and not turn.keys().isdisjoint(said)


def _as_list(value: Any) -> list[Any]:
    """A list, also one that is written as JSON text, as tables keep it; empty for anything else."""
    if isinstance(value, str) and value.lstrip()[:1] == "[":
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return []
    return value if isinstance(value, list) else []


def _pair(texts: Sequence[str]) -> tuple[str, str] | None:
    asks = [t for t in texts if t.lower() in _ASKS]
    answers = [t for t in texts if t.lower() in _ANSWERS]
    if len(asks) == 1 and len(answers) == 1:
        return asks[0], answers[0]
    if len(texts) != 2:
        return None
    first, second = texts
    return (second, first) if first in answers or second in asks else (first, second)


def _ambiguous(columns: Columns) -> str:
    said = "say it: --prompt-column NAME --completion-column NAME"
    if {"chosen", "rejected"} <= set(columns.names):
        prompt = next((name for name in columns.texts if name.lower() in _ASKS), "NAME")
        what = "the columns chosen and rejected are preference pairs, which a drafted recipe does not train on"
        alone = f"\nto train on the chosen answers alone: --prompt-column {prompt} --completion-column chosen"
        return f"{columns.file}: {what}{alone if columns.can_be_said('chosen') else ''}"
    listed = columns.listed(columns.names)
    if sum(map(columns.can_be_said, columns.names)) < 2:
        needed = "a column that asks and one that answers, both of text or numbers, one of messages, or text alone"
        return f"{columns.file}: a drafted recipe needs {needed}; there are: {listed}"
    return f"{columns.file}: the columns do not say which is the prompt and which the answer: {listed}\n{said}"


def one_line(text: str, most: int = _LONGEST) -> str:
    """A name on one line, short: that of a column may be anything, line breaks and a million letters included."""
    clean = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return clean if len(clean) <= most else f"{clean[:most]}..."


def _is_text(name: str, values: Sequence[Any]) -> bool:
    """Whether a column may be a prompt or an answer: text, but no key; numbers only where the name says answer."""
    said = [v for v in values if v is not None]
    if not said or name.lower() == "id" or name.lower().endswith(("_id", " id")):
        return False
    if name.lower() in _ANSWERS:
        return all(isinstance(v, str | int | float) for v in said)
    return all(isinstance(v, str) for v in said) and not all(_is_number(v) for v in said)


def _is_number(text: str) -> bool:
    try:
        float(text or "0")
    except ValueError:
        return False
    return True
