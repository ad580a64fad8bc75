"""Looks at the first rows of a data file, and picks the formatter that reads them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from tunesmith.data.read import read_file
from tunesmith.data.rows import Row
from tunesmith.errors import DataError, RecipeError
from tunesmith.nearest import did_you_mean
from tunesmith.no_file import ABSENT, why_no_file

_LOOKED_AT = 20_000
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
    read = list(islice(read_file(file), _LOOKED_AT))
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
    have = set(columns.names)
    if {"prompt", "completion"} <= have:
        return _prompt_completion()
    answer = next((name for name in ("output", "response") if name in have), None)
    if "instruction" in have and answer:
        columns_read = ("instruction", "input", answer)
        return Choice("Instruction", {}, columns_read, answer, True, f"columns instruction and {answer}")
    if (conversation := _conversation(columns)) is not None:
        return conversation
    if columns.texts == ("text",):
        return Choice("RawText", {}, ("text",), "text", False, "column text, the only one that holds text")
    pair = _pair(columns.texts)
    if pair is None:
        raise RecipeError(_ambiguous(columns))
    return _template(*pair, why="the columns' names" if len(columns.texts) > 2 else "the two columns that hold text")


def _named(columns: Columns, prompt: str | None, completion: str | None) -> Choice:
    if not prompt or not completion:
        given, lacking = ("prompt", "completion") if prompt else ("completion", "prompt")
        msg = f"--{given}-column is given without --{lacking}-column; columns: {', '.join(columns.names)}"
        raise RecipeError(msg)
    for option, name in (("prompt", prompt), ("completion", completion)):
        if name not in columns.names:
            msg = (
                f"--{option}-column {name}: {columns.file} has no such column{did_you_mean(name, columns.names)}\n"
                f"columns: {', '.join(columns.names)}"
            )
            raise RecipeError(msg)
        if (prompt, completion) != ("prompt", "completion") and (held := _no_text(columns, name)):
            texts = ", ".join(columns.texts) or "none"
            msg = f"--{option}-column {name}: it holds {held}; name a column of text: {texts}"
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


def _conversation(columns: Columns) -> Choice | None:
    """How the conversations are read, if a column holds such: `messages`, or the only one that does.

    Raises:
        RecipeError: Several columns hold some.
    """
    name = "messages"
    if name not in columns.names:
        found = [c for c in columns.names if _turn_keys(columns, c, {"role", "content"})]
        shared = [c for c in columns.names if _turn_keys(columns, c, {"from", "value"})]
        found = found or shared
        if len(found) > 1:
            several = ", ".join(found)
            msg = f"{columns.file}: several columns hold messages: {several}; rename the one to train on: messages"
            raise RecipeError(msg)
        if not found:
            return None
        name = found[0]
    if _turn_keys(columns, name, {"from", "value"}):
        options = {} if name == "conversations" else {"conversations": name}
        return Choice(
            "ShareGPT", options, (name, "system", "tools"), "", True, f"column {name}, turns of from and value"
        )
    options = {} if name == "messages" else {"messages": name}
    return Choice("Messages", options, (name, "tools"), "", True, f"column {name}")


def _turn_keys(columns: Columns, name: str, keys: set[str]) -> bool:
    """Whether all values of a column are lists of maps that have these keys."""
    lists = [row[name] for row in columns.rows if row.get(name)]
    return bool(lists) and all(
        isinstance(value, list) and all(isinstance(turn, dict) and keys <= turn.keys() for turn in value)
        for value in lists
    )


def _no_text(columns: Columns, name: str) -> str:
    """What a column holds that is no text; empty where it may be asked or answered."""
    said = [row[name] for row in columns.rows if row.get(name) is not None]
    if any(isinstance(value, list | dict) for value in said):
        return "lists or maps"
    return "" if any(str(value).strip() for value in said) else "nothing"


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
    if {"chosen", "rejected"} <= set(columns.names):
        prompt = next((name for name in columns.texts if name.lower() in _ASKS), "NAME")
        return (
            f"{columns.file}: the columns chosen and rejected are preference pairs, which a drafted recipe does not "
            f"train on\nto train on the chosen answers alone: --prompt-column {prompt} --completion-column chosen"
        )
    listed = ", ".join(f"{name} (text)" if name in columns.texts else name for name in columns.names)
    return (
        f"{columns.file}: the columns do not say which is the prompt and which the answer: {listed}\n"
        "say it: --prompt-column NAME --completion-column NAME"
    )


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
