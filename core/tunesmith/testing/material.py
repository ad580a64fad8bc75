"""Rows, examples and samples to try plugins on: of all shapes, small, and made up."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle
from typing import Any

from tunesmith.data.example import Example, Message, Origin, Segment
from tunesmith.evaluation.measure import Sample

MARK = "Rosebud-4711"
"""Stands in text that must not appear in messages."""

MADE_UP = ("zorvik", "palunte", "bredmoq", "trelsk", "quimbal", "fostrine", "glyphor", "vantuzk")
"""Words that no language has, of texts that nobody quotes by chance."""

QUESTIONS = (
    "Report 7: the lamp in the hall is hot. What is it?",
    "She asks which of the two pumps he has to stop.",
    "Where is the old woman's key?",
    "Name the young man who feeds the cat.",
)
ANSWERS = (
    "The lamp is hot.",
    "He stops the second pump.",
    "On the shelf, under a red box.",
    "Anton Wendel from the mill.",
)
ODD_TEXTS = (
    "",
    " ",
    "\n\n",
    "\x00",
    "\ufeffa byte order mark",
    "caf\u00e9 cafe\u0301 \u00df \u0130",
    "\u202eright to left\u202c \u05e9\u05dc\u05d5\u05dd",
    "\U0001f469\u200d\U0001f52c \U0001f1e6\U0001f1f6 \u4f60\u597d",
    "\ufffd\ufffd",
    "{" * 3000,
    "[" * 3000,
    '{"key": [1, {"deep": null}]} {"key": NaN}',
    "key: : : value;;, ,\n- \n1. ",
    "%s %d {0} {name} \\n $x",
    "word " * 3000,
    "<s></s>[INST]<|im_end|>",
)
_TOOL = {
    "type": "function",
    "function": {"name": "find", "description": "Finds a key.", "parameters": {"type": "object", "properties": {}}},
}


def examples() -> list[Example]:
    """Examples of every shape, several of each, some alike, with ids, origins, tasks and columns of their own."""
    asked = [(Message("user", q), Message("assistant", a)) for q, a in zip(QUESTIONS, ANSWERS, strict=True)]
    shapes: list[dict[str, Any]] = [{"messages": turns} for turns in asked]
    shapes += [{"messages": (Message("system", "You are short."), *asked[0])}]
    shapes += [{"messages": (*asked[0], *asked[1])}, {"messages": (*asked[2], *asked[3], *asked[0])}]
    shapes += [{"messages": (*asked[1], Message("user", "And then?"), Message("assistant", "Then it rains.", 0.5))}]
    shapes += [{"messages": asked[0]}, {"messages": asked[0]}]
    shapes += [{"segments": (Segment(a),)} for a in ANSWERS[:2]]
    shapes += [{"segments": (Segment(QUESTIONS[0], 0.0), Segment(f" {ANSWERS[0]}", 1.0))}]
    for at in range(3):
        question, better, worse = Message("user", QUESTIONS[at]), ANSWERS[at], ANSWERS[at + 1]
        pair = {"chosen": (question, Message("assistant", better)), "rejected": (question, Message("assistant", worse))}
        shapes.append(pair)
    labels = ("warm", "cold", 2, 0.5)
    shapes += [{"messages": turns, "label": label} for turns, label in zip(asked, labels, strict=True)]
    shapes += [{"segments": (Segment(ANSWERS[3]),), "label": ("warm", "wet")}]
    shapes += [{"messages": asked[2], "tools": (_TOOL,)}]
    shapes += [{"messages": (Message("user", text), Message("assistant", "ok"))} for text in ("x", ODD_TEXTS[5])]
    groups = cycle(("a", "b", "a", None))
    return [
        Example(
            **shape,
            id=f"row-{at}",
            origin=Origin("notes", "notes.jsonl", at + 1),
            task="notes",
            extras={"group": next(groups), "score": at % 5, "mark": MARK, "words": ["one", "two"][: at % 3]},
        )
        for at, shape in enumerate(shapes)
    ]


def unclean() -> list[Example]:
    """Examples of what curators look for: contacts, markup, repeats, odd characters, near copies, all lengths.

    Their words are made up, so that nothing that is said about them has one by chance.
    """
    one, two, three, four, five, six, seven, eight = MADE_UP
    answers = [
        f"{one} {two}, {three}.{four}@{five}.example, +49 30 901820 43.",
        f"https://{five}.example/{six}?{seven}=81723 <b>{eight}</b> &amp; <p class='{one}'>{two}</p>",
        f"{one}: DE89 3704 0044 0532 0130 00, 4111 1111 1111 1111, 192.168.77.12, 14.03.1987, 078-05-1120",
        f"{three} " * 60,
        f"  {four} \t\n\n {five}\u200b\u00a0 {six}\u2028 caf\u00e9 cafe\u0301 \ufeff ",
        f"{six.upper()} {seven.upper()}!!!! $$$ #### {eight.upper()}?????",
        "\u0436\u043e\u0440\u0432\u0438\u043a \u043f\u0430\u043b\u0443\u043d\u0442\u0435",
        f"{one} {two} {three} {four}.",
        f"{one}  {two} {three.upper()} {four} .",
        "?",
        f"{eight} {{{seven}}} %s [{six}] \\n",
    ]
    answers += [" ".join(MADE_UP[at % 8] for at in range(start, start + 2**start)) for start in range(10)]
    made = []
    for at, answer in enumerate(answers):
        said = Message("assistant", answer)
        asked = Message("user", f"{MADE_UP[at % 8].capitalize()} {MADE_UP[at // 8]}?")
        shape: dict[str, Any] = {"messages": (asked, said)}
        if at % 5 == 3:
            shape = {"segments": (Segment(answer),)}
        if at % 5 == 4:
            shape = {"chosen": (asked, said), "rejected": (asked, Message("assistant", f"{answer} {one}"))}
        origin, extras = Origin("unclean", "unclean.jsonl", at + 1), {"group": "ab"[at % 2], "mark": MARK}
        label = "warm" if at % 4 == 0 else None
        made.append(Example(**shape, label=label, id=f"unclean-{at}", origin=origin, task="unclean", extras=extras))
    return made


def samples(
    columns: Sequence[str] = (), gold: Sequence[Any] = ("",), odd: bool = False, classes: Sequence[str] = ()
) -> list[Sample]:
    """Samples whose outputs are right and wrong.

    Args:
        columns: Columns that the evaluator reads.
        gold: Values of these columns, in turn.
        odd: Whether outputs and references are empty, very long, and of characters that nobody expects, instead.
        classes: Whose probabilities the evaluator reads, references of most samples; some samples have none, as those
            of a model that says none.
    """
    outputs = [(ANSWERS[at % 4], ANSWERS[at % 4 if at % 3 else (at + 1) % 4]) for at in range(20)]
    outputs += [(ANSWERS[2].upper(), ANSWERS[2]), (ANSWERS[1], QUESTIONS[1]), (QUESTIONS[0], ANSWERS[0])]
    if odd:
        outputs = (
            [(ANSWERS[0], text) for text in ODD_TEXTS] + [(text, ANSWERS[1]) for text in ODD_TEXTS[:9]] + [("", "")]
        )
    values = cycle(gold)
    made = []
    for at, (reference, output) in enumerate(outputs):
        if classes and at % 4:
            reference = classes[at % len(classes)]
        asked = (Message("user", QUESTIONS[at % 4]),)
        extras = {"group": "ab"[at % 2], "score": at % 5} | {name: next(values) for name in columns}
        tokens = len(reference.split())
        logprob = -0.25 * tokens - 0.125 * (at % 7)
        parts = {label: float(1 + (at + place) ** 2 % 7) for place, label in enumerate(classes) if at % 6}
        shares = {label: part / sum(parts.values()) for label, part in parts.items()}
        said = (reference, output, logprob, tokens, "notes", extras, at % 5 != 0)
        # some are of pairs, and some unwanted
        sample = Sample(f"row-{at}", asked, *said, probabilities=shares, label=False if at % 7 == 4 else None)
        if at % 3:
            sample = replace(sample, rejected=-0.375 * (at % 5) - 1.0, rejected_tokens=2 + at % 3)
        made.append(sample)
    return made
