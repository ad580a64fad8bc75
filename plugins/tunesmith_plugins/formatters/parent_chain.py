"""ParentChain: rows of which each goes on where another ends."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tunesmith import Columns, Example, Formatter, Message, Recognised, RowError
from tunesmith_plugins.formatters.columns import absent, as_text, optional_text, others
from tunesmith_plugins.formatters.instruction import Instruction
from tunesmith_plugins.formatters.turns import json_value

_ID, _PARENT, _WORSE = "id", "parent_id", "rejected_response"
# Columns that are gathered: the turns before the row, and the row that the conversation begins with.
_BEFORE, _FIRST = "turns_before", "root_id"


class ParentChain(Formatter):
    """Rows with `id`, `parent_id`, `instruction` (with `input`) and `output`, as h2o-llmstudio has them.

    A row whose `parent_id` is filled goes on from that row of its source, wherever it stands. Each row is an example of
    its own answer; the turns before it are context, since their answers are learnt in their own rows. The `system` turn
    is that of the first row. With `rejected_response` the row is a preference pair. The column `root_id` is made, the
    id of the first row: `data.split.keep_together: root_id` keeps conversations on one side.

    All rows of the source are held in memory.

    Since 0.11.
    """

    @classmethod
    def recognises(cls, columns: Columns) -> Iterable[Recognised]:
        """`id` and `parent_id`, which is filled somewhere, beside what Instruction reads."""
        if _ID in columns.names and columns.filled(_PARENT):
            for found in Instruction.recognises(columns):
                yield Recognised((_ID, _PARENT, *found.columns), {}, (*found.also, _WORSE))

    @classmethod
    def trial_rows(cls) -> Sequence[Mapping[str, Any]]:
        """A first row."""
        return [{_ID: "1", _PARENT: "", "instruction": "Hot?", "output": "Yes.", "system": "Be brief."}]

    def gather(self, rows: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any] | RowError]:
        """For each row the turns before it, and the id of the row that they begin with."""
        known: dict[str, Mapping[str, Any]] = {}
        twice = set()
        for row in rows:
            if not absent(row, _ID):
                key = str(row[_ID])
                twice |= {key} & known.keys()
                known[key] = row
        for row in rows:
            try:
                yield _gains(row, known, twice)
            except RowError as error:
                yield error

    def format(self, row: Mapping[str, Any]) -> Example:
        """Make a conversation of the row and the turns before it.

        Raises:
            RowError: A column is missing, empty, or of the wrong kind, or the row goes on from one that is not known.
        """
        before, own = _split(row)
        example = _behind(before, Instruction().format(own))
        if absent(row, _WORSE):
            return example
        worse = as_text(row[_WORSE], _WORSE)
        if worse == example.reference:
            raise RowError(_WORSE, "is the same as the better answer")
        chosen = example.messages
        rejected = (*chosen[:-1], Message("assistant", worse))
        extras = others(example.extras, [_WORSE])
        return example.with_(messages=(), chosen=chosen, rejected=rejected, extras=extras)

    def question(self, row: Mapping[str, Any]) -> Example:
        """The turns before the answer alone where the row has none.

        Raises:
            RowError: As `format`.
        """
        if not all(absent(row, name) for name in ("output", "response")):
            return self.format(row)
        before, own = _split(row)
        return _behind(before, Instruction().question(own))


def _gains(row: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]], twice: set[str]) -> Mapping[str, Any]:
    chain, seen = [row], {str(row.get(_ID))}
    if seen & twice:
        raise RowError(_ID, "is that of another row too", row)
    if made := [name for name in (_BEFORE, _FIRST) if name in row]:
        raise RowError(made[0], "is a column of its own, and this formatter makes one of that name; rename it")
    while not absent(chain[-1], _PARENT):
        key = str(chain[-1][_PARENT])
        if key in seen:
            raise RowError(_PARENT, "leads back to where it began")
        if key not in known or key in twice:
            raise RowError(_PARENT, "is the id of no row of the source, or of several")
        seen.add(key)
        chain.append(known[key])
    chain.reverse()
    first = chain[0]
    if absent(first, _ID):
        return {}
    systems = [said for each in chain if (said := optional_text(each, "system")).strip()]
    if len(set(systems)) > 1:
        raise RowError(field="system", reason="differs from that of a row before it")
    turns = [turn for each in chain[:-1] for turn in _said(each)]
    return {_BEFORE: turns, _FIRST: str(first[_ID]), **({"system": systems[0]} if systems else {})}


def _said(row: Mapping[str, Any]) -> list[list[str]]:
    """A row before another as turns of role and content."""
    try:
        messages = Instruction().format(others(row, [_PARENT])).messages
    except RowError as error:
        reason = f"leads to a row that cannot be read: {error.field} {error.reason}"
        raise RowError(_PARENT, reason) from error
    return [[turn.role, turn.content] for turn in messages if turn.role != "system"]


def _split(row: Mapping[str, Any]) -> tuple[list[Message], Mapping[str, Any]]:
    """The turns before the row, which are context, and the row by itself."""
    if _BEFORE not in row and not absent(row, _PARENT):
        raise RowError(_PARENT, "is filled, and the row that it goes on from is not known: all rows are read together")
    turns = json_value(row.get(_BEFORE) or [], _BEFORE)
    if not isinstance(turns, list) or not all(_is_turn(turn) for turn in turns):
        raise RowError(_BEFORE, "is no list of the turns that this formatter gathers")
    before = [Message(role, said, 0.0 if role == "assistant" else None) for role, said in turns]
    return before, others(row, [_BEFORE, _PARENT])


def _is_turn(turn: Any) -> bool:
    return isinstance(turn, list) and len(turn) == 2 and turn[0] in ("user", "assistant") and isinstance(turn[1], str)


def _behind(before: Sequence[Message], example: Example) -> Example:
    """The example with turns before its own, behind the system's."""
    at = 1 if example.messages[0].role == "system" else 0
    return example.with_(messages=(*example.messages[:at], *before, *example.messages[at:]))
