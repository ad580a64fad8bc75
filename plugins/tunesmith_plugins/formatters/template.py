"""Template: a prompt and a completion as text with columns in it."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Self

from tunesmith import Columns, Example, Formatter, Message, RecipeError, Recognised, RowError
from tunesmith_plugins.formatters.columns import absent, as_text, column, filled
from tunesmith_plugins.formatters.names import pair
from tunesmith_plugins.formatters.other_kinds import refuse_other_kinds, text_only

# Not str.format: a recipe is not trusted, and `{row.__class__}` would walk objects.
_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class Template(Formatter):
    r"""A prompt and a completion, written as text in which `{column}` stands for a column's value.

    A column without a value stands for nothing; `{{` and `}}` stand for braces. Every column stays in the example's
    extras.

    Since 0.1.

    Args:
        prompt: What the model is asked, such as `"Summarise:\n{dialogue}"`.
        completion: What it should answer, such as `"{summary}"`.
        system: A system turn before it; left out of rows that have no value for any of its columns.
    """

    def __init__(self, prompt: str, completion: str, system: str | None = None) -> None:
        self.prompt = prompt
        self.completion = completion
        self.system = system

    @classmethod
    def recognises(cls, columns: Columns) -> Iterable[Recognised]:
        """One column of text whose name asks and one whose name answers; as a guess, the only two of text."""
        found = pair(columns)
        if found is None or {"{", "}"} & {*found.asks, *found.answers}:  # in a template a brace begins a column
            return
        options = {"prompt": "{" + found.asks + "}", "completion": "{" + found.answers + "}"}
        if found.system:
            options["system"] = "{" + found.system + "}"
        read = (found.asks, found.answers, *([found.system] if found.system else []))
        yield Recognised(read, options, (), found.answers, found.why, found.by)

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """One column a turn, and several with text around them."""
        return [cls("{question}", "{answer}"), cls("Say {{what}} of {a} and {b}:", "{c}.", system="You know {topic}.")]

    def format(self, row: Mapping[str, Any]) -> Example:
        """Fill the texts.

        Raises:
            RowError: A column is missing or is no text, or nothing is left of the prompt or the completion.
            RecipeError: A text has a brace without its partner.
        """
        answered = self._fill("completion", self.completion, row)
        example = Example(messages=(*self._asked(row), Message("assistant", answered)), extras=dict(row))
        return text_only(example, ["prompt"])

    def question(self, row: Mapping[str, Any]) -> Example:
        """The prompt alone where the row has no value for any column of the completion.

        Raises:
            RowError: As `format`.
            RecipeError: As `format`.
        """
        names = [name for name, is_column in _pieces("completion", self.completion) if is_column]
        if not names or not all(absent(row, name) for name in names):
            return self.format(row)
        return text_only(Example(messages=tuple(self._asked(row)), extras=dict(row)), ["prompt"])

    def _asked(self, row: Mapping[str, Any]) -> list[Message]:
        reads = [name for text in (self.prompt, self.completion) for name, named in _pieces("prompt", text) if named]
        refuse_other_kinds(row, reads)
        asked = self._fill("prompt", self.prompt, row)
        system = self._fill("system", self.system, row, optional=True) if self.system is not None else ""
        return [*([Message("system", system)] if system else []), Message("user", asked)]

    def _fill(self, option: str, template: str, row: Mapping[str, Any], optional: bool = False) -> str:
        pieces = _pieces(option, template)
        values = {name: as_text(column(row, name), name) for name, is_column in pieces if is_column}
        # What is said around the columns is no prompt where all of them are empty.
        if values and not "".join(values.values()).strip():
            if optional:
                return ""
            raise RowError(" and ".join(values), "is empty" if len(values) == 1 else "are empty")
        text = "".join(values[piece] if is_column else piece for piece, is_column in pieces)
        return "" if optional and not text.strip() else filled(text, option)


@lru_cache(maxsize=64)
def _pieces(option: str, template: str) -> tuple[tuple[str, bool], ...]:
    """The template's pieces, each with whether it is a column's name."""
    pieces: list[tuple[str, bool]] = []
    end = 0
    for match in _PIECE.finditer(template):
        pieces.append((template[end : match.start()], False))
        end = match.end()
        if match.group(1) is not None:
            pieces.append((match.group(1), True))
        elif len(match.group()) == 2:
            pieces.append((match.group()[0], False))
        else:
            msg = (
                f"Template.{option} has a {match.group()} without its partner at character {match.start() + 1}; "
                "{column} stands for a column, {{ and }} for braces"
            )
            raise RecipeError(msg)
    pieces.append((template[end:], False))
    return tuple(pieces)
