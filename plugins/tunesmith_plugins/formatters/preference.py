"""Preference: two answers to one prompt, of which one is better."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tunesmith import Columns, Example, Formatter, Message, Recognised, RowError
from tunesmith_plugins.formatters.columns import absent, as_text, column, filled, optional_text, others
from tunesmith_plugins.formatters.messages import read_tools
from tunesmith_plugins.formatters.other_kinds import refuse_other_kinds, text_only
from tunesmith_plugins.formatters.prompt_completion import text_or_turns
from tunesmith_plugins.formatters.share_gpt import shared_turns
from tunesmith_plugins.formatters.turns import json_value, turns

_SAME = "is the same as the better answer"
_PROMPTS = ("prompt", "instruction", "question", "query", "input")
_PAIRS = (("chosen", "rejected"), ("chosen_response", "rejected_response"))
_WORSE = ("rejected_response", "rejected_messages")


class Whole(NamedTuple):
    """The conversation of a row that has one in a column.

    Args:
        messages: Its turns.
        tools: Tools that it may call.
        read: The columns that it was read of.
    """

    messages: tuple[Message, ...]
    tools: tuple[Mapping[str, Any], ...]
    read: tuple[str, ...]


class Preference(Formatter):
    """Pairs in the schemas of TRL, axolotl, LLaMA-Factory, torchtune and ms-swift.

    The prompt is `messages`, `conversations`, `prompt`, `instruction` (with `input`), `question`, `query` or `input`,
    with `system` where it is; or it is the turns with which both answers begin. The answers are `chosen` and
    `rejected`, or `chosen_response` and `rejected_response`: text, a turn, or turns, with the prompt or without. Where
    only `rejected_response` or `rejected_messages` stands beside `messages`, their last answer is the better one. The
    objective Preference learns to tell the answers apart, NextToken the better one alone.

    Since 0.9.
    """

    @classmethod
    def recognises(cls, columns: Columns) -> Iterable[Recognised]:
        """Two answers, and a prompt or turns with which both begin."""
        for pair in _PAIRS:
            if all(columns.filled(name) for name in pair):
                prompt = _prompt_of(columns.names)
                if prompt is not None or all(columns.turns(name, "role", "content") for name in pair):
                    yield Recognised((*((prompt,) if prompt else ()), *pair), {}, ("input", "system", "tools"))
                return
        for name in _WORSE:
            if columns.filled(name) and columns.turns("messages", "role", "content"):
                yield Recognised(("messages", name), {}, ("tools",))

    @classmethod
    def trial_rows(cls) -> Sequence[Mapping[str, Any]]:
        """A prompt with two answers, two conversations, and a conversation with a worse end."""
        asked, good = {"role": "user", "content": "Hot?"}, {"role": "assistant", "content": "Yes."}
        bad = {"role": "assistant", "content": "No."}
        return [
            {"prompt": "Hot?", "chosen": "Yes.", "rejected": "No."},
            {"chosen": [asked, good], "rejected": [asked, bad]},
            {"messages": [asked, good], "rejected_response": "No."},
        ]

    def format(self, row: Mapping[str, Any]) -> Example:
        """Read prompt and answers.

        Raises:
            RowError: A column is missing, empty or of the wrong kind, or the answers do not share their prompt.
        """
        refuse_other_kinds(row)
        prompt, tools, read = _asked(row)
        pair = next((p for p in _PAIRS if p[0] in row), None)
        if pair is not None or not prompt or prompt[-1].role != "assistant":
            better, worse = pair or _PAIRS[0]
            chosen = _joined(prompt, _answer(row, better), better)
        else:
            better, worse = read[0], next((name for name in _WORSE if name in row), _WORSE[0])
            chosen, prompt = prompt, prompt[:-1]
        rejected = _joined(prompt, _answer(row, worse), worse)
        _check_pair(chosen, rejected, worse)
        extras = others(row, (*read, better, worse))
        return text_only(Example(chosen=chosen, rejected=rejected, tools=tools, extras=extras), (*read, better))

    def question(self, row: Mapping[str, Any]) -> Example:
        """The prompt alone where the row has no answers.

        Raises:
            RowError: As `format`.
        """
        answers = {name for names in (*_PAIRS, _WORSE) for name in names}
        if not all(absent(row, name) for name in answers):
            return self.format(row)
        refuse_other_kinds(row)
        prompt, tools, read = _asked(row)
        asked = prompt[:-1] if prompt and prompt[-1].role == "assistant" else prompt
        if not asked:
            name = next((name for name in read if name in row), _PROMPTS[0])
            column(row, name)
            raise RowError(name, "asks nothing")
        return text_only(Example(messages=asked, tools=tools, extras=others(row, read)), read)


def whole(row: Mapping[str, Any]) -> Whole | None:
    """The conversation in `messages` or `conversations`, with its `system` turn and tools; None where neither is there.

    Raises:
        RowError: It is no conversation.
    """
    name = next((name for name in ("messages", "conversations") if not absent(row, name)), None)
    if name is None:
        return None
    read = turns if name == "messages" else shared_turns
    said = read(json_value(row[name], name), name)
    return Whole(_with_system(row, said), read_tools(row.get("tools"), "tools"), (name, "system", "tools"))


def _with_system(row: Mapping[str, Any], said: tuple[Message, ...]) -> tuple[Message, ...]:
    system = optional_text(row, "system")
    return (Message("system", system), *said) if system.strip() and said[:1] and said[0].role != "system" else said


def _prompt_of(names: Iterable[str]) -> str | None:
    there = set(names)
    return next((name for name in ("messages", "conversations", *_PROMPTS) if name in there), None)


def _asked(row: Mapping[str, Any]) -> Whole:
    """The prompt; no turns where the answers hold it."""
    if (found := whole(row)) is not None:
        return found
    name = next((name for name in _PROMPTS if not absent(row, name)), None)
    if name is None:
        system = optional_text(row, "system")
        if system.strip():
            raise RowError(field="system", reason="is filled, and there is no column of the prompt", columns=row)
        return Whole((), read_tools(row.get("tools"), "tools"), ("tools",))
    said = text_or_turns(row, name, "user")
    read = [name, "system", "tools"]
    if name == "instruction":
        read.append("input")
        if (more := optional_text(row, "input")).strip() and len(said) == 1:
            said = (Message("user", f"{said[0].content}\n{more}"),)
    return Whole(_with_system(row, said), read_tools(row.get("tools"), "tools"), tuple(read))


def _answer(row: Mapping[str, Any], name: str) -> tuple[Message, ...]:
    value = column(row, name)
    if isinstance(value, str) and value.lstrip()[:2] in ("[{", '{"'):
        value = json_value(value, name)  # as tables keep turns
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list):
        return (Message("assistant", filled(as_text(value, name), name)),)
    shared = value and isinstance(value[0], Mapping) and "from" in value[0] and "role" not in value[0]
    said = shared_turns(value, name) if shared else turns(value, name)
    if said[-1].role != "assistant":
        raise RowError(name, "does not end with an assistant's turn")
    return said


def _joined(prompt: tuple[Message, ...], answer: tuple[Message, ...], name: str) -> tuple[Message, ...]:
    """The whole conversation: the answer's own turns where it begins with the prompt, else behind the prompt."""
    if answer[0].role == "assistant":
        if not prompt:
            raise RowError(name, "begins with the answer, and there is no column of the prompt: prompt, messages, ...")
        return (*prompt, *answer)
    asked = [turn for turn in prompt if turn.role != "system"]
    said = [turn for turn in answer if turn.role != "system"]
    if [(turn.role, turn.content.strip()) for turn in said[: len(asked)]] != [
        (turn.role, turn.content.strip()) for turn in asked
    ]:
        raise RowError(name, "begins with turns that differ from the prompt")
    system = [turn for turn in prompt if turn.role == "system"] if answer[0].role != "system" else []
    return (*system, *answer)


def _check_pair(chosen: Sequence[Message], rejected: Sequence[Message], worse: str) -> None:
    shared = 0
    for one, other in zip(chosen, rejected, strict=False):
        if one != other:
            break
        shared += 1
    if shared == len(chosen) == len(rejected):
        raise RowError(worse, _SAME)
    if shared == 0 or not any(turn.role != "system" for turn in chosen[:shared]):
        raise RowError(worse, "begins with another prompt than the better answer")
    if shared in (len(chosen), len(rejected)):
        raise RowError(
            worse, "is how the better answer goes on, or the other way round; both need an answer of their own"
        )
