"""Looks at the first rows of a data file, and picks the formatter that reads them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tunesmith.data.columns import Columns, one_line
from tunesmith.data.example import Example
from tunesmith.data.read import read_file
from tunesmith.data.recognise import Choice, Recognised, choices
from tunesmith.data.rows import Row
from tunesmith.errors import DataError, RecipeError, RowError
from tunesmith.nearest import did_you_mean
from tunesmith.no_file import ABSENT, why_no_file
from tunesmith.plugins.interfaces import Formatter

LOOKED_AT = 20_000
_TRIED = 100
_PAIR = ("prompt", "completion")
_BY_TEMPLATE, _BY_NAME = "Template", "PromptCompletion"
_PROMPTS = "prompts without answers"
_PREFERENCES = "preference pairs"
_SAY = "say it: --prompt-column NAME --completion-column NAME"
_WIDEST = 300
# Names that tell a prompt beside a pair of answers.
_ASKS = ("prompt", "question", "query", "input", "instruction")
_CLASSES = "texts with their class"


@dataclass(frozen=True, slots=True)
class FileColumns(Columns):
    """The first rows of a file.

    Args:
        file: The file.
    """

    file: Path = Path()


def look(file: Path) -> FileColumns:
    """Read the first rows of a data file.

    Raises:
        DataError: It cannot be read, or none of its first rows can.
    """
    if why := why_no_file(file):
        names = [p.name for p in file.parent.iterdir()] if why == ABSENT and file.parent.is_dir() else []
        msg = f"--data {file} {why}{did_you_mean(file.name, names)}"
        raise DataError(msg)
    read = list(islice(read_file(file), LOOKED_AT))
    rows = [row.values for row in read if isinstance(row, Row)]
    if not rows:
        why = next((f": line {reject.line}: {reject.reason}" for reject in read if not isinstance(reject, Row)), "")
        msg = f"--data {file}: no row could be read{why}"
        raise DataError(msg)
    return FileColumns.of(rows, file=file)


def choose(
    columns: FileColumns,
    formatters: Iterable[type[Formatter]],
    prompt: str | None = None,
    completion: str | None = None,
) -> Choice:
    """Pick a formatter by the columns, as `formatter: Auto` does, or by the two columns that the user names.

    Args:
        columns: What the file looks like.
        formatters: Those to choose from.
        prompt: The column that asks.
        completion: The column that answers.

    Raises:
        RecipeError: The columns do not say which formatter is meant, or a draft trains on nothing that it reads.
    """
    asked = list(formatters)
    if prompt or completion:
        return _named(columns, asked, prompt, completion)
    while True:
        found = choices(columns, asked, guess=True)
        if len(found) != 1:
            raise RecipeError(_several(columns, found) if found else _ambiguous(columns))
        choice = found[0]
        if not (other := _not_drafted(columns, choice)):
            return choice
        if other not in (_CLASSES, _PROMPTS):
            raise RecipeError(_other(columns, other))
        asked = [each for each in asked if each is not choice.cls]  # a class may be learnt as an answer


def has_reference(columns: FileColumns, choice: Choice) -> bool:
    """Whether outputs can be compared with something: rows with an answer, rather than text alone."""
    formatter = choice.formatter()
    for row in columns.rows[:_TRIED]:
        try:
            return bool(formatter.format(row).messages)
        except RowError:
            continue
    return True


def _not_drafted(columns: FileColumns, choice: Choice) -> str:
    """What the rows are in words, if a draft does not train on such; told by the first that is read."""
    formatter = choice.formatter()
    for row in columns.rows[:_TRIED]:
        try:
            example = formatter.format(row)
        except RowError:
            continue
        if example.chosen:
            return _PREFERENCES
        if isinstance(example.label, bool):
            return "answers that are wanted or not"
        if example.label is not None:
            return _CLASSES
        return _PROMPTS if choice.found.by == "names" and _unanswered(example) else ""
    return ""


def _unanswered(example: Example) -> bool:
    return bool(example.messages) and all(turn.role != "assistant" for turn in example.messages)


def _named(
    columns: FileColumns, formatters: Sequence[type[Formatter]], prompt: str | None, completion: str | None
) -> Choice:
    if not prompt or not completion:
        given, lacking = _PAIR if prompt else _PAIR[::-1]
        msg = f"--{given}-column is given without --{lacking}-column; columns: {columns.listed(columns.names)}"
        raise RecipeError(msg)
    for option, name in (("prompt", prompt), ("completion", completion)):
        if name not in columns.names:
            msg = (
                f"--{option}-column {name}: {columns.file} has no such column{did_you_mean(name, columns.names)}\n"
                f"columns: {columns.listed(columns.names)}"
            )
            raise RecipeError(msg)
        if (prompt, completion) != _PAIR and not columns.can_be_said(name):
            texts = ", ".join(map(one_line, columns.texts)) or "none"
            msg = f"--{option}-column {name}: it holds {columns.holds(name)}; name a column of text: {texts}"
            raise RecipeError(msg)
    if prompt == completion:
        msg = f"--prompt-column and --completion-column are both {prompt}; the model would learn to repeat its input"
        raise RecipeError(msg)
    why = f"the columns that you named: {prompt} asks, {completion} answers"
    own, braces = (prompt, completion) == _PAIR, {"{", "}"} & {*prompt, *completion}
    options = {"prompt": prompt, "completion": completion}
    if not own and not braces:  # in a template a brace begins a column
        options = {name: "{" + column + "}" for name, column in options.items()}
    found = Recognised((prompt, completion), {} if own else options, (), completion, "" if own else why)
    wanted = _BY_NAME if own or braces else _BY_TEMPLATE
    return Choice(next(each for each in formatters if each.__name__ == wanted), found)


def _several(columns: FileColumns, found: Sequence[Choice]) -> str:
    told = "; ".join(f"{choice.name} ({choice.why})" for choice in found)
    return f"{columns.file}: the columns fit several formatters: {one_line(told, _WIDEST)}\n{_SAY}"


def _other(columns: FileColumns, what: str) -> str:
    said = f"{columns.file}: the rows are {what}, which a drafted recipe does not train on"
    if what != _PREFERENCES:
        return said
    prompt = next((name for name in columns.texts if name.lower() in _ASKS), "NAME")
    better = next((name for name in ("chosen", "chosen_response") if columns.can_be_said(name)), "")
    alone = f"\nto train on the chosen answers alone: --prompt-column {prompt} --completion-column {better}"
    return f"{said}{alone if better else ''}"


def _ambiguous(columns: FileColumns) -> str:
    listed = columns.listed(columns.names)
    if sum(map(columns.can_be_said, columns.names)) < 2:
        needed = "a column that asks and one that answers, both of text or numbers, one of messages, or text alone"
        return f"{columns.file}: a drafted recipe needs {needed}; there are: {listed}"
    return f"{columns.file}: the columns do not say which is the prompt and which the answer: {listed}\n{_SAY}"
