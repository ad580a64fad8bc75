"""What Label Studio's results say of an example that its task holds, by the controls that `--tasks` writes."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith import Example, RowError
from tunesmith_plugins.formatters.columns import kind
from tunesmith_plugins.formatters.held import says, turned, with_labels, with_text

# By what is said of the example: the type of a result, the beginning of its control's name, and the value's key.
_CONTROLS = {
    "text": ("textarea", "answer", "text"),
    "pair": ("pairwise", "better", "selected"),
    "classes": ("choices", "classes", "choices"),
    "numbers": ("number", "number", "number"),
    "switches": ("choices", "right", "choices"),
}
_SWITCHES = {"true": True, "false": False}


def annotated(example: Example, results: Any, field: str) -> Example:
    """The example as an annotation leaves it.

    Args:
        example: As the task holds it.
        results: The annotation's results.
        field: They, for messages.

    Raises:
        RowError: They say nothing of what the task asks, or something else.
    """
    what = says(example)
    kind_of, control, key = _CONTROLS[what]
    values = [result["value"].get(key) for result in _own(results, kind_of, control)]
    if not values:
        raise RowError(field, f"holds no {kind_of} of the control {control}, which the task asks for")
    if what == "numbers":
        return with_labels(example, [_number(value, field) for value in values], field)
    if what == "switches":
        return with_labels(example, [_switch(value, field) for value in values], field)
    if len(values) > 1:
        raise RowError(field, f"has several results of the control {control}")
    if what == "pair":
        if values[0] not in ("left", "right"):
            raise RowError(field, "says neither left nor right")
        return turned(example, values[0] == "left")
    texts = values[0] if isinstance(values[0], list) else [values[0]]
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise RowError(field, f"holds {kind(values[0])} where text is wanted")
    return with_text(example, "\n".join(texts), field) if what == "text" else with_labels(example, texts, field)


def _own(results: Any, kind_of: str, control: str) -> list[Mapping[str, Any]]:
    """The results of the controls of a kind, in the order of the numbers in their names."""
    found: list[tuple[int, Mapping[str, Any]]] = []
    for result in results if isinstance(results, list) else []:
        if not isinstance(result, Mapping) or not isinstance(result.get("value"), Mapping):
            continue
        name = re.fullmatch(rf"{control}(\d{{0,9}})", str(result.get("from_name")))
        if name is not None and result.get("type") == kind_of:
            found.append((int(name[1] or 0), result))
    return [result for _, result in sorted(found, key=lambda pair: pair[0])]


def _number(value: Any, field: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RowError(field, f"holds {kind(value)} where a number is wanted")
    return float(min(max(value, -1e15), 1e15))


def _switch(value: Any, field: str) -> bool:
    said: Sequence[Any] = value if isinstance(value, list) else [value]
    if len(said) != 1 or said[0] not in _SWITCHES:
        raise RowError(field, "says neither true nor false")
    return _SWITCHES[said[0]]
