"""LabelStudio: tasks that people annotated, as Label Studio exports them (JSON)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from tunesmith import Columns, Example, Formatter, Message, Recognised, RowError
from tunesmith_plugins.formatters.asked import shown
from tunesmith_plugins.formatters.columns import as_text, column, filled, kind, others
from tunesmith_plugins.formatters.held import held
from tunesmith_plugins.formatters.label_studio_held import annotated
from tunesmith_plugins.formatters.other_kinds import refuse_other_kinds, text_only

_KINDS = ("textarea", "choices", "rating", "number", "pairwise", "ranker")


class LabelStudio(Formatter):
    """Tasks with `data` and `annotations`: what the annotator wrote, chose, rated or preferred.

    `textarea` is the answer to the text; `choices` is its class, or classes; `rating` and `number` are its number;
    `pairwise` and `ranker` make a preference pair, of a prompt and two answers, or of the first and last of the ranked
    `items`. Cancelled annotations do not count; of several the one that is ground truth does, and where none is they
    must agree. Tasks of `--tasks` hold their example, which comes back with what was said of it. Flat exports
    (JSON-MIN, CSV) are read by TextLabel and others.

    Since 0.9.

    Args:
        text: Field of `data` that was shown; `messages` is read as a conversation.
        left: Field of the left answer of a pair.
        right: Field of the right answer.
        control: Name of the control (`from_name`) whose results are read, where a task has several.
    """

    def __init__(
        self, text: str = "text", left: str = "answer1", right: str = "answer2", control: str | None = None
    ) -> None:
        self.text = text
        self.left = left
        self.right = right
        self.control = control

    @classmethod
    def recognises(cls, columns: Columns) -> Iterable[Recognised]:
        """`data` and `annotations`."""
        if columns.mostly("data", lambda v: isinstance(v, Mapping)) and columns.turns(
            "annotations", "result", "result"
        ):
            yield Recognised(("data", "annotations"), why="columns data and annotations, of Label Studio")

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """Its own names, and others."""
        return [cls(), cls("asked", "one", "two", "better")]

    @classmethod
    def trial_rows(cls) -> Sequence[Mapping[str, Any]]:
        """One task of each kind of result."""
        data = {"text": "Hot?", "asked": "Hot?", "answer1": "Yes.", "answer2": "No.", "one": "Yes.", "two": "No."}
        items = [{"id": "a", "body": "Yes."}, {"id": "b", "body": "No."}]
        values = {
            "textarea": {"text": ["Yes."]},
            "choices": {"choices": ["hot"]},
            "rating": {"rating": 4},
            "pairwise": {"selected": "left"},
            "ranker": {"ranker": {"rank": ["b", "a"]}},
        }
        return [
            {
                "id": 1,
                "data": {**data, "items": items},
                "annotations": [{"result": [{"type": name, "from_name": "better", "value": value}]}],
            }
            for name, value in values.items()
        ]

    def format(self, row: Mapping[str, Any]) -> Example:
        """Read what was shown, and what the annotator said of it.

        Raises:
            RowError: The task is not annotated, its annotations differ, or hold something else.
        """
        data = self._data(row)
        if (example := held(data)) is not None:
            return _of_held(row, example)
        results = [self._result(annotation, at) for at, annotation in _finished(row)]
        if any(result != results[0] for result in results):
            raise RowError(field="annotations", reason="differ; mark one of them as ground truth")
        name, value = results[0]
        prompt, read = shown(data, self.text)
        if name in ("pairwise", "ranker"):
            better, worse = self._pair(data, value) if name == "pairwise" else _ranked(data, value)
            read += [self.left, self.right] if name == "pairwise" else []
            example = Example(
                chosen=(*prompt, Message("assistant", better)), rejected=(*prompt, Message("assistant", worse))
            )
        elif name == "textarea":
            example = Example(messages=(*prompt, Message("assistant", _written(value))))
        else:
            example = Example(messages=prompt, label=_label(name, value))
        return text_only(example.with_(extras=_extras(row, data, read)), [self.text])

    def question(self, row: Mapping[str, Any]) -> Example:
        """What was shown alone where nobody has annotated it.

        Raises:
            RowError: As `format`.
        """
        if row.get("annotations"):
            return self.format(row)
        data = self._data(row)
        if (example := held(data)) is not None:
            return example
        prompt, read = shown(data, self.text)
        return text_only(Example(messages=prompt, extras=_extras(row, data, read)), [self.text])

    def _data(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        data = column(row, "data")
        if not isinstance(data, Mapping):
            raise RowError(field="data", reason=f"is {kind(data)}; a map of what was shown is wanted")
        refuse_other_kinds(data)
        return data

    def _result(self, annotation: Mapping[str, Any], at: int) -> tuple[str, Any]:
        """Kind and value of the annotation's result."""
        field = f"annotations[{at}].result"
        given = annotation.get("result")
        results = [r for r in given if isinstance(r, Mapping)] if isinstance(given, list) else []
        if self.control is not None:
            results = [result for result in results if result.get("from_name") == self.control]
        kinds = [result for result in results if result.get("type") in _KINDS]
        if not kinds:
            wanted = ", ".join(_KINDS)
            raise RowError(
                field, f"holds none of {wanted}" if results else "is empty, or not of the control that is read"
            )
        if len(kinds) > 1:
            raise RowError(field, "has several results; name the one that is read: control")
        return str(kinds[0]["type"]), kinds[0].get("value")

    def _pair(self, data: Mapping[str, Any], value: Any) -> tuple[str, str]:
        left, right = (filled(as_text(column(data, name), name), name) for name in (self.left, self.right))
        side = _of(value, "selected")
        if side not in ("left", "right") or left == right:
            raise RowError(field="annotations", reason="say neither left nor right, or both answers are the same")
        return (left, right) if side == "left" else (right, left)


def _of_held(row: Mapping[str, Any], example: Example) -> Example:
    made = [annotated(example, a.get("result"), f"annotations[{at}].result") for at, a in _finished(row)]
    if any(each != made[0] for each in made):
        raise RowError(field="annotations", reason="differ; mark one of them as ground truth")
    return made[0]


def _finished(row: Mapping[str, Any]) -> list[tuple[int, Mapping[str, Any]]]:
    """The annotations that count, each with its place."""
    field = "annotations"
    value = column(row, field)
    if not isinstance(value, list):
        raise RowError(field, f"is {kind(value)}; a list is wanted")
    found = [(at, a) for at, a in enumerate(value) if isinstance(a, Mapping) and not a.get("was_cancelled")]
    if not found:
        raise RowError(field, "holds none that was finished")
    truth = [(at, a) for at, a in found if a.get("ground_truth") is True]
    return truth or found


def _of(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, Mapping) else None


def _written(value: Any) -> str:
    text = _of(value, "text")
    texts = text if isinstance(text, list) else [text]
    if not texts or not all(isinstance(t, str) for t in texts):
        raise RowError(field="annotations", reason="hold no text where one was to be written")
    return filled("\n".join(texts), "annotations")


def _label(name: str, value: Any) -> str | float | tuple[str, ...]:
    said = _of(value, name)
    if name != "choices":
        if isinstance(said, bool) or not isinstance(said, int | float):
            raise RowError(field="annotations", reason=f"hold {kind(said)} where a number is wanted")
        return float(min(max(said, -1e15), 1e15))
    if not isinstance(said, list) or not said or not all(isinstance(choice, str) and choice.strip() for choice in said):
        raise RowError(field="annotations", reason="hold no choice")
    return said[0] if len(said) == 1 else tuple(said)


def _ranked(data: Mapping[str, Any], value: Any) -> tuple[str, str]:
    """The first and the last of the ranked items."""
    order = _of(_of(value, "ranker"), "rank") or _of(value, "ranker")
    items = data.get("items")
    bodies: dict[str, Any] = {}
    for item in items if isinstance(items, list) else []:
        if isinstance(item, Mapping) and isinstance(item.get("id"), str | int):
            bodies[str(item["id"])] = item.get("body")
    if not isinstance(order, list) or len(order) < 2 or not all(str(key) in bodies for key in order):
        raise RowError(field="annotations", reason="rank no items of data; two or more with id and body are wanted")
    better, worse = (filled(as_text(bodies[str(key)], "data.items"), "data.items") for key in (order[0], order[-1]))
    if better == worse:
        raise RowError(field="annotations", reason="rank the same answer first and last")
    return better, worse


def _extras(row: Mapping[str, Any], data: Mapping[str, Any], read: Sequence[str]) -> dict[str, Any]:
    return others(data, read) | others(row, ["data", "annotations"])
