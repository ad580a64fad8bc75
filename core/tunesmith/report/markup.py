"""Texts of rows, recipes and models as HTML that shows them and obeys none of them."""

import re

from markupsafe import Markup, escape

from tunesmith.printable import printable
from tunesmith.report.word_diff import word_diff

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


def plainly(text: str, most: int) -> Markup:
    """A text, shortened and escaped."""
    return escape(visible(shortened(text, most)))


def against(text: str, wanted: str, most: int) -> Markup:
    """A text, shortened and escaped, with the words marked that it has beyond what was wanted, and that it lacks."""
    if not wanted:
        return plainly(text, most)
    tags = {"same": "%s", "added": "<ins>%s</ins>", "missing": "<del>%s</del>"}
    parts = word_diff(visible(shortened(text, most)), visible(shortened(wanted, most)))
    return Markup("").join(Markup(tags[kind]) % said for kind, said in parts)  # noqa: S704  constant tags


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
