"""Examples as tasks for annotators: Label Studio's and Prodigy's formats, which their formatters read back."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal
from xml.sax.saxutils import quoteattr

from tunesmith.data.example import Example, Message

Tool = Literal["label-studio", "prodigy"]
TOOLS: tuple[Tool, ...] = ("label-studio", "prodigy")
Answers = Mapping[str, Sequence[str]]

_CONFIG = """\
<View>
  <Paragraphs name="text" value="$messages" layout="dialogue" nameKey="role" textKey="content"/>
  {control}
</View>
"""
_WRITTEN = '<TextArea name="answer" toName="text" rows="8" editable="true" maxSubmissions="1"/>'
_CHOSEN = '<Choices name="label" toName="text">\n{choices}\n  </Choices>'
_BETTER = """\
<Text name="left" value="$answer1"/>
  <Text name="right" value="$answer2"/>
  <Pairwise name="better" toName="left,right"/>"""


def tasks(tool: Tool, examples: Sequence[Example], answers: Answers | None = None) -> list[dict[str, Any]]:
    """A task for each example: what a model is asked, with the answer that an annotator keeps or mends.

    Args:
        tool: Whose format.
        examples: What is shown.
        answers: What is proposed, by who proposes it, one for each example, the first the one that is mended; None
            proposes what the examples hold.

    Returns:
        Tasks that can be written as JSON.
    """
    made = []
    for at, example in enumerate(examples):
        proposed = {name: said[at] for name, said in answers.items()} if answers is not None else _own(example)
        made.append(_label_studio(example, proposed) if tool == "label-studio" else _prodigy(example, proposed))
    return made


def labelling_config(examples: Iterable[Example]) -> str:
    """Label Studio's labelling configuration for such tasks."""
    examples = list(examples)
    if any(example.chosen for example in examples):
        return _CONFIG.format(control=_BETTER)
    labels = [label for example in examples for label in _classes(example)]
    if not labels:
        return _CONFIG.format(control=_WRITTEN)
    choices = "\n".join(f"    <Choice value={quoteattr(label)}/>" for label in sorted(set(labels)))
    return _CONFIG.format(control=_CHOSEN.format(choices=choices))


def _own(example: Example) -> dict[str, str]:
    return {"reference": example.reference} if example.reference and not example.chosen else {}


def _classes(example: Example) -> list[str]:
    """The classes of an example; numbers, and whether an answer is wanted, are none."""
    found = example.label if isinstance(example.label, tuple) else (example.label,)
    return [label for label in found if isinstance(label, str)]


def _asked(example: Example) -> tuple[list[dict[str, str]], str]:
    """What is shown, as turns and as one text."""
    turns = example.prompt or (Message("user", "".join(segment.text for segment in example.segments)),)
    said = [{"role": turn.role, "content": turn.content} for turn in turns]
    alone = [turn["content"] for turn in said if turn["role"] != "system"]
    text = alone[0] if len(alone) == 1 else "\n\n".join(f"{turn['role']}: {turn['content']}" for turn in said)
    return said, text


def _meta(example: Example) -> dict[str, Any]:
    return {"id": example.id, "origin": str(example.origin), **({"task": example.task} if example.task else {})}


def _label_studio(example: Example, proposed: Mapping[str, str]) -> dict[str, Any]:
    turns, text = _asked(example)
    data: dict[str, Any] = {"messages": turns, "text": text, **_meta(example)}
    if example.chosen:
        data |= {"answer1": example.chosen[-1].content, "answer2": example.rejected[-1].content}
        return {"data": data}
    results = {name: _result("answer", "textarea", {"text": [said]}) for name, said in proposed.items()}
    if classes := _classes(example):
        results = {"reference": _result("label", "choices", {"choices": classes})}
    predictions = [{"model_version": name, "result": [result]} for name, result in results.items()]
    return {"data": data, "predictions": predictions} if predictions else {"data": data}


def _result(control: str, kind: str, value: Mapping[str, Any]) -> dict[str, Any]:
    return {"from_name": control, "to_name": "text", "type": kind, "value": value}


def _prodigy(example: Example, proposed: Mapping[str, str]) -> dict[str, Any]:
    turns, text = _asked(example)
    task: dict[str, Any] = {"messages": turns, "text": text, "meta": _meta(example)}
    if example.chosen:
        sides = {"accept": example.chosen, "reject": example.rejected}
        return task | {name: {"text": turns[-1].content} for name, turns in sides.items()}
    if classes := _classes(example):
        return task | {"accept": classes}
    said = next(iter(proposed.values()), None)
    return task | ({"user_input": said} if said is not None else {})
