"""Prodigy: tasks that people annotated, as Prodigy exports them (JSONL)."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from tunesmith import Columns, Example, Formatter, Message, Recognised, RowError
from tunesmith_plugins.formatters.asked import shown
from tunesmith_plugins.formatters.columns import as_text, column, filled, kind, others
from tunesmith_plugins.formatters.held import HELD, held, says, turned, with_labels, with_text
from tunesmith_plugins.formatters.other_kinds import refuse_other_kinds, text_only
from tunesmith_plugins.formatters.turns import json_value

_ANSWERS = ("accept", "reject", "ignore")
# What an annotator may have said, in the order in which it is looked for.
_SAID = ("accept", "user_input", "spans", "label", HELD)
_REJECTED = "is reject: it says what is wrong, and not what is right"


class Prodigy(Formatter):
    """Tasks with `answer`: accepted ones say a class, an answer, spans, or which of two is better.

    `accept` (ids of `options`) and `label` are the class, or classes; `user_input` is the answer to the text; `spans`
    become an answer that lists them as JSON (`[{"label", "text"}]`); `accept` and `reject` that are maps with `text`
    are a preference pair, which a rejection turns round. Tasks of `--tasks` hold their example, which comes back with
    what was said of it. What was rejected or ignored says nothing else, and is set
    aside.

    Since 0.9.

    Args:
        text: Field of the text that was shown; `messages` is read as a conversation.
        user_input: Field of what the annotator wrote.
    """

    def __init__(self, text: str = "text", user_input: str = "user_input") -> None:
        self.text = text
        self.user_input = user_input

    @classmethod
    def recognises(cls, columns: Columns) -> Iterable[Recognised]:
        """`answer` that is accept, reject or ignore, beside a text and what was said of it."""
        if not columns.mostly("answer", lambda value: value in _ANSWERS):
            return
        said = [name for name in _SAID if columns.filled(name)]
        if said and any(name in columns.names for name in ("text", "input")):
            shown_as = next(name for name in ("text", "input") if name in columns.names)
            turns = ("messages",) if "messages" in columns.names else ()
            yield Recognised(
                (*turns, shown_as, *said, "answer"), why="column answer: accept, reject or ignore, of Prodigy"
            )

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """Its own names, and others."""
        return [cls(), cls("asked", "said")]

    @classmethod
    def trial_rows(cls) -> Sequence[Mapping[str, Any]]:
        """One task of each kind."""
        shown_as = {"text": "The lamp is hot.", "asked": "The lamp is hot.", "answer": "accept"}
        return [
            {**shown_as, "options": [{"id": "hot", "text": "Hot"}, {"id": "cold", "text": "Cold"}], "accept": ["hot"]},
            {**shown_as, "user_input": "Yes.", "said": "Yes."},
            {**shown_as, "spans": [{"start": 4, "end": 8, "label": "THING"}]},
            {**shown_as, "label": "hot"},
            {**shown_as, "accept": {"text": "Yes."}, "reject": {"text": "No."}},
        ]

    def format(self, row: Mapping[str, Any]) -> Example:
        """Read what was shown, and what the annotator said of it.

        Raises:
            RowError: It was rejected or ignored, or nothing was said.
        """
        refuse_other_kinds(row)
        answer = column(row, "answer")
        if answer not in _ANSWERS:
            raise RowError(field="answer", reason=f"is none of {', '.join(_ANSWERS)}")
        if answer == "ignore":
            raise RowError(field="answer", reason="is ignore: the annotator passed over it")
        if (example := held(row)) is not None:
            return self._of_held(row, example, answer == "accept")
        prompt, read = self._shown(row)
        if isinstance(row.get("accept"), Mapping) and isinstance(row.get("reject"), Mapping):
            better, worse = ("accept", "reject") if answer == "accept" else ("reject", "accept")
            sides = [Message("assistant", _text(row[name], name)) for name in (better, worse)]
            if sides[0] == sides[1]:
                raise RowError(field="reject", reason="is the same as accept")
            example = Example(chosen=(*prompt, sides[0]), rejected=(*prompt, sides[1]))
            return self._done(row, example, [*read, "accept", "reject", "answer"])
        if answer == "reject":
            raise RowError(field="answer", reason=_REJECTED)
        names = ("accept", self.user_input, "spans", "label")
        name = next((name for name in names if row.get(name) not in (None, "", [])), None)
        if name is None:
            raise RowError(field="answer", reason=f"is accept, and there is none of {', '.join(names)}", columns=row)
        if name in ("accept", "label"):
            example = Example(messages=prompt, label=_classes(row[name], name))
        else:
            said = _spans(row[name], prompt[-1].content) if name == "spans" else as_text(row[name], name)
            example = Example(messages=(*prompt, Message("assistant", filled(said, name))))
        return self._done(row, example, [*read, name, "answer"])

    def question(self, row: Mapping[str, Any]) -> Example:
        """What was shown alone where nobody has annotated it.

        Raises:
            RowError: As `format`.
        """
        if row.get("answer") is not None:
            return self.format(row)
        refuse_other_kinds(row)
        if (example := held(row)) is not None:
            return example
        prompt, read = self._shown(row)
        return self._done(row, Example(messages=prompt), read)

    def _of_held(self, row: Mapping[str, Any], example: Example, accepted: bool) -> Example:
        what = says(example)
        if what == "pair":
            return turned(example, accepted)
        if not accepted:
            raise RowError(field="answer", reason=_REJECTED)
        name = "accept" if what in ("classes", "switches") else self.user_input
        value = column(row, name)
        if what == "text":
            return with_text(example, as_text(value, name), name)
        if what == "numbers":
            value = json_value(value, name)
            found = value if isinstance(value, list) else [value]
            if not all(isinstance(n, int | float) and not isinstance(n, bool) for n in found):
                raise RowError(name, "holds no number, or list of numbers, as was asked")
            return with_labels(example, [float(n) for n in found], name)
        if not isinstance(value, list):
            raise RowError(name, f"is {kind(value)}; ids of options are wanted")
        if what == "classes":
            classes = _classes(value, name) if value else ()
            return with_labels(example, [classes] if isinstance(classes, str) else classes, name)
        number = len(example.label) if isinstance(example.label, tuple) else 1
        return with_labels(example, [str(at) in map(str, value) for at in range(1, number + 1)], name)

    def _shown(self, row: Mapping[str, Any]) -> tuple[tuple[Message, ...], list[str]]:
        """The prompt; of a comparison it is in `input`, as text or with `text`."""
        given = row.get("input")
        if self.text in row or "messages" in row or given is None:
            return shown(row, self.text)
        text = _text(given, "input") if isinstance(given, Mapping) else filled(as_text(given, "input"), "input")
        return (Message("user", text),), ["input"]

    def _done(self, row: Mapping[str, Any], example: Example, read: Sequence[str]) -> Example:
        return text_only(example.with_(extras=others(row, read)), [self.text])


def _text(value: Mapping[str, Any], name: str) -> str:
    return filled(as_text(value.get("text"), f"{name}.text"), f"{name}.text")


def _classes(value: Any, name: str) -> str | tuple[str, ...]:
    found = value if isinstance(value, list) else [value]
    if any(isinstance(item, list | Mapping) for item in found):
        raise RowError(name, f"is {kind(value)}; ids of options are wanted")
    said = tuple(filled(as_text(item, name), name) for item in found)
    return said[0] if len(said) == 1 else said


def _spans(value: Any, text: str) -> str:
    """The spans as JSON."""
    if not isinstance(value, list):
        raise RowError(field="spans", reason=f"is {kind(value)}; a list is wanted")
    found = []
    for at, span in enumerate(value):
        marked = span if isinstance(span, Mapping) else {}
        start, end, label = marked.get("start"), marked.get("end"), marked.get("label")
        if (
            type(start) is not int
            or type(end) is not int
            or not 0 <= start < end <= len(text)
            or not isinstance(label, str)
        ):
            raise RowError(field=f"spans[{at}]", reason="is no span of the text; start, end and label are wanted")
        found.append({"label": label, "text": text[start:end]})
    return json.dumps(found, ensure_ascii=False)
