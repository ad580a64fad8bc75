"""Examples as tasks for annotators: Label Studio's and Prodigy's formats, which their formatters read back.

Each task holds its example whole (`example`), and shows what of it is asked. What an annotator says changes the example
at one place: the text that is learnt, the label, or which of two answers is better.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal
from xml.sax.saxutils import quoteattr

from tunesmith.data.as_row import as_row
from tunesmith.data.example import Example, Message

Tool = Literal["label-studio", "prodigy"]
TOOLS: tuple[Tool, ...] = ("label-studio", "prodigy")
Answers = Mapping[str, Sequence[str]]
Kind = Literal["text", "pair", "classes", "numbers", "switches"]

_CONFIG = """\
<View>
  <Paragraphs name="text" value="$messages" layout="dialogue" nameKey="role" textKey="content"/>
  {controls}
</View>
"""
_WRITTEN = '<TextArea name="answer" toName="text" rows="8" editable="true" maxSubmissions="1"/>'
_BETTER = """\
<Text name="left" value="$answer1"/>
  <Text name="right" value="$answer2"/>
  <Pairwise name="better" toName="left,right"/>"""
_SWITCH = ("true", "false")


def tasks(tool: Tool, examples: Sequence[Example], answers: Answers | None = None) -> list[dict[str, Any]]:
    """A task for each example: what a model is asked, with the answer or label that an annotator keeps or mends.

    Args:
        tool: Whose format.
        examples: What is shown.
        answers: What is proposed, by who proposes it, one for each example, the first the one that is mended; None
            proposes what the examples hold.

    Returns:
        Tasks that can be written as JSON.
    """
    made = []
    known = sorted({label for example in examples if kind_of(example) == "classes" for label in _labels(example)})
    for at, example in enumerate(examples):
        proposed = {name: said[at] for name, said in answers.items()} if answers is not None else _own(example)
        made.append(_label_studio(example, proposed) if tool == "label-studio" else _prodigy(example, proposed, known))
    return made


def kind_of(example: Example) -> Kind:
    """What an annotator says of an example: a text, classes, numbers, true or false, or which answer is better."""
    if example.chosen:
        return "pair"
    first = _labels(example)[:1]
    if not first:
        return "text"
    return "switches" if isinstance(first[0], bool) else "classes" if isinstance(first[0], str) else "numbers"


def labelling_config(examples: Iterable[Example]) -> str:
    """Label Studio's labelling configuration for such tasks: a control for each kind that is among them."""
    found: dict[Kind, list[Example]] = {}
    for example in examples:
        found.setdefault(kind_of(example), []).append(example)
    controls = [_WRITTEN] if "text" in found or not found else []
    for kind in ("classes", "numbers", "switches"):
        controls += _controls(kind, found.get(kind, []))
    if "pair" in found:
        controls.append(_BETTER)
    return _CONFIG.format(controls="\n  ".join(controls))


def _controls(kind: str, examples: Sequence[Example]) -> list[str]:
    labels = [_labels(example) for example in examples]
    if not labels:
        return []
    if kind == "classes":
        several = any(isinstance(example.label, tuple) for example in examples)
        return [_choices(kind, sorted({label for each in labels for label in each}), several)]
    most = max(map(len, labels))
    if kind == "numbers":
        return [f'<Number name="{name}" toName="text"/>' for name in _names(kind, most)]
    return [_choices(name, _SWITCH, several=False) for name in _names(kind, most)]


def _choices(name: str, values: Iterable[str], several: bool) -> str:
    choices = "\n".join(f"    <Choice value={quoteattr(value)}/>" for value in values)
    how = ' choice="multiple"' if several else ""
    return f'<Choices name="{name}" toName="text"{how}>\n{choices}\n  </Choices>'


def _names(kind: str, number: int) -> list[str]:
    """Names of the controls of so many numbers, or of so many steps that are right or wrong."""
    stem = {"numbers": "number", "switches": "right"}[kind]
    return [f"{stem}{at}" for at in range(1, number + 1)]


def _labels(example: Example) -> list[Any]:
    found = example.label if isinstance(example.label, tuple) else (example.label,)
    return [label for label in found if label is not None]


def _own(example: Example) -> dict[str, str]:
    """What the example itself answers; a turn that calls tools as JSON."""
    if example.segments:
        return {"reference": "".join(segment.text for segment in example.segments[_context(example) :])}
    last = example.messages[-1:]
    if not last or last[0].role != "assistant":
        return {}
    turn = last[0]
    calls = turn.fields.get("tool_calls")
    said = json.dumps({"content": turn.content, "tool_calls": calls}, ensure_ascii=False) if calls else turn.content
    return {"reference": said}


def _context(example: Example) -> int:
    """How many segments come before what is learnt."""
    weights = [segment.weight != 0 for segment in example.segments]
    return weights.index(True) if True in weights else 0


def _shown(example: Example) -> tuple[Message, ...]:
    """The turns that an annotator sees: all that is judged, or all before what is written."""
    kind = kind_of(example)
    if example.segments:
        before = _context(example) if kind == "text" else 0
        text = "".join(segment.text for segment in example.segments[:before] or example.segments)
        return (Message("user", text),)
    if kind == "pair":
        return example.chosen[: _shared(example)]
    return example.prompt if kind == "text" else example.messages


def _asked(example: Example) -> tuple[list[dict[str, str]], str]:
    """What is shown, as turns and as one text."""
    said = [{"role": turn.role, "content": turn.content} for turn in _shown(example)]
    alone = [turn["content"] for turn in said if turn["role"] != "system"]
    text = alone[0] if len(alone) == 1 else "\n\n".join(f"{turn['role']}: {turn['content']}" for turn in said)
    return said, text


def _shared(example: Example) -> int:
    """How many turns both sides of a pair begin with."""
    pairs = zip(example.chosen, example.rejected, strict=False)
    return next((at for at, (one, other) in enumerate(pairs) if one != other), 0)


def _sides(example: Example) -> list[str]:
    """Both answers as texts; more than one turn with who speaks."""
    shared = _shared(example)
    texts = []
    for turns in (example.chosen[shared:], example.rejected[shared:]):
        alone = len(turns) == 1 and not turns[0].fields
        texts.append(turns[0].content if alone else "\n\n".join(f"{turn.role}: {_told(turn)}" for turn in turns))
    return texts


def _told(turn: Message) -> str:
    return " ".join([turn.content, *([json.dumps(dict(turn.fields), ensure_ascii=False)] if turn.fields else [])])


def _meta(example: Example) -> dict[str, Any]:
    return {"id": example.id, "origin": str(example.origin), **({"task": example.task} if example.task else {})}


def _label_studio(example: Example, proposed: Mapping[str, str]) -> dict[str, Any]:
    turns, text = _asked(example)
    data: dict[str, Any] = {"messages": turns, "text": text, **_meta(example), "example": as_row(example)}
    kind = kind_of(example)
    if kind == "pair":
        return {"data": data | dict(zip(("answer1", "answer2"), _sides(example), strict=True))}
    if kind == "text":
        results = {name: [_result("answer", "textarea", {"text": [said]})] for name, said in proposed.items()}
    else:
        results = {"reference": list(_label_results(kind, _labels(example)))}
    predictions = [{"model_version": name, "result": result} for name, result in results.items()]
    return {"data": data, "predictions": predictions} if predictions else {"data": data}


def _label_results(kind: Kind, labels: Sequence[Any]) -> Iterable[dict[str, Any]]:
    if kind == "classes":
        yield _result("classes", "choices", {"choices": list(labels)})
        return
    for name, label in zip(_names(kind, len(labels)), labels, strict=True):
        if kind == "numbers":
            yield _result(name, "number", {"number": label})
        else:
            yield _result(name, "choices", {"choices": [_spelt(label)]})


def _result(control: str, kind: str, value: Mapping[str, Any]) -> dict[str, Any]:
    return {"from_name": control, "to_name": "text", "type": kind, "value": value}


def _spelt(label: Any) -> str:
    return _SWITCH[0] if label else _SWITCH[1]


def _prodigy(example: Example, proposed: Mapping[str, str], known: Sequence[str]) -> dict[str, Any]:
    turns, text = _asked(example)
    task: dict[str, Any] = {"messages": turns, "text": text, "meta": _meta(example), "example": as_row(example)}
    kind, labels = kind_of(example), _labels(example)
    if kind == "pair":
        return task | {name: {"text": said} for name, said in zip(("accept", "reject"), _sides(example), strict=True)}
    if kind == "classes":
        return task | {"options": [{"id": label, "text": label} for label in known], "accept": labels}
    if kind == "numbers":
        return task | {"user_input": json.dumps(labels if isinstance(example.label, tuple) else labels[0])}
    if kind == "switches":
        steps = [segment.text.strip() for segment in example.segments[1:]] if isinstance(example.label, tuple) else []
        named = steps if len(steps) == len(labels) else ["right"] * len(labels)
        options = [{"id": str(at), "text": step} for at, step in enumerate(named, 1)]
        return task | {"options": options, "accept": [str(at) for at, label in enumerate(labels, 1) if label]}
    said = next(iter(proposed.values()), None)
    return task | ({"user_input": said} if said is not None else {})
