"""Texts of rows, recipes and models as HTML that shows them and obeys none of them."""

import re
from collections.abc import Sequence

from markupsafe import Markup, escape

from tunesmith.printable import printable
from tunesmith.report.pointed import Stretch, apart
from tunesmith.report.word_diff import Part, comparable, word_diff

_TAGS = {"same": Markup("%s"), "added": Markup("<ins>%s</ins>"), "missing": Markup("<del>%s</del>")}

_YAML = re.compile(
    r"""(?P<comment>(?:^|(?<=\s))\#[^\n]*)
    |^(?P<lead>[ ]*(?:-[ ])*)(?P<key>[^\s:#'"\[{&*!|>-][^\n:]*?|'[^'\n]*'|"[^"\n]*")(?P<colon>:)(?=\s|$)
    |(?P<string>'(?:[^'\n]|'')*'|"(?:[^"\\\n]|\\.)*")
    |(?<=[\s\[,])(?P<value>-?\d[\d.]*(?:e[+-]?\d+)?|true|false|null)(?=[\s,\]}]|$)""",
    re.MULTILINE | re.VERBOSE | re.IGNORECASE,
)


def visible(text: str) -> str:
    r"""A text in which nothing is unseen: control characters and halves of surrogate pairs as escapes."""
    ends = text.replace("\r\n", "\n").replace("\r", "\n")
    return printable(ends.encode("utf-8", "backslashreplace").decode("utf-8"))


def shortened(text: str, most: int) -> str:
    """Begin and end of a text that is longer than `most` characters, with a note of what is left out between."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]} [… {len(text) - 2 * half:,} characters left out …] {text[len(text) - half :]}"


def plainly(text: str, most: int, points: Sequence[Stretch] = ()) -> Markup:
    """A text, shortened and escaped, with what evaluators point at marked."""
    return against(text, "", most, points)


def against(text: str, wanted: str, most: int, points: Sequence[Stretch] = ()) -> Markup:
    """A text, shortened and escaped, with the words marked that it has beyond what was wanted, and that it lacks.

    Args:
        text: What is shown.
        wanted: What it is compared with; empty compares with nothing.
        most: Characters of either that are shown.
        points: What evaluators point at in it, each marked with what they say of it.
    """
    shown = visible(shortened(text, most))
    marks = apart(_placed(text, shown, most, points))
    parts: list[Part] = [("same", shown)]
    if wanted:
        parts = word_diff(shown, visible(shortened(wanted, most)))
    out, at = Markup(""), 0
    for kind, said in parts:
        if kind == "missing":
            out += _TAGS[kind] % said
        else:
            out += _TAGS[kind] % _marked(said, at, marks)
            at += len(said)
    return out


def is_marked(text: str, wanted: str, most: int) -> bool:
    """Whether `against` marks how two texts differ: not in texts that are too long for it, or repeat themselves."""
    shown, other = visible(shortened(text, most)), visible(shortened(wanted, most))
    return not wanted or shown == other or comparable(shown, other)


def _marked(text: str, at: int, marks: Sequence[Stretch]) -> Markup:
    """A part that begins at `at`, escaped, with the marks that lie in it."""
    out, done = Markup(""), 0
    for one in marks:
        start, end = max(one.start - at, done), min(one.end - at, len(text))
        if start < end:
            label = visible(one.label)
            out += escape(text[done:start]) + Markup('<mark title="%s">%s</mark>') % (label, text[start:end])
            done = end
    return out + escape(text[done:])


def _placed(text: str, shown: str, most: int, points: Sequence[Stretch]) -> list[Stretch]:
    """Where stretches of a text lie in what is shown of it; those in what is left out are nowhere."""
    if shown == text:
        return list(points)
    half = most // 2 if len(text) > most else len(text)

    def place(at: int, *, is_end: bool) -> int:
        if at <= half:
            return len(visible(text[:at]))
        if at < len(text) - half and is_end:  # within what is left out
            return len(visible(text[:half]))
        return len(shown) - len(visible(text[max(at, len(text) - half) :]))

    placed = [Stretch(place(one.start, is_end=False), place(one.end, is_end=True), one.label) for one in points]
    return [one for one in placed if one.start < one.end]


def yaml(text: str) -> Markup:
    """YAML, escaped, with its keys, strings, other values and comments marked."""
    out, at = Markup(""), 0
    shown = visible(text)
    for match in _YAML.finditer(shown):
        out += escape(shown[at : match.start()])
        at = match.end()
        if match["key"]:
            out += Markup('%s<b class="key">%s</b>:') % (match["lead"], match["key"])
        else:
            out += Markup('<i class="%s">%s</i>') % (match.lastgroup, match[0])
    return out + escape(shown[at:])
