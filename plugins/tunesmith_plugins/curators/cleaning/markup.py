"""HTML: tags and entities that strayed into plain text, and whole pages."""

import html
import re
from collections import defaultdict
from typing import Any

from tunesmith import AbsentPackageError, Example
from tunesmith_plugins.curators.cleaning.code import outside
from tunesmith_plugins.curators.json_text import is_json

_ATTRIBUTES = r"""(?:\s+[\w:-]+\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'<>=]+))*\s*/?"""
_BREAKS = (
    "br|hr|p|div|ul|ol|dl|dt|dd|h[1-6]|table|thead|tbody|tfoot|tr|blockquote|section|article|header|footer|main|center"
)
_LINES = re.compile(rf"</?(?:{_BREAKS}){_ATTRIBUTES}>", re.IGNORECASE)
_ITEMS = re.compile(rf"<li{_ATTRIBUTES}>", re.IGNORECASE)
_CELLS = re.compile(rf"<t[dh]{_ATTRIBUTES}>", re.IGNORECASE)
_CELLS_END = re.compile(r"</t[dh]\s*>", re.IGNORECASE)
_GONE = re.compile(rf"</li\s*>|<(?:img|wbr|col){_ATTRIBUTES}>|<!--.*?-->", re.IGNORECASE | re.DOTALL)
# Alone they may be anything (`a<b>c`, `List<i>`): only pairs are tags.
_PAIRED = "a|abbr|b|big|del|em|font|i|ins|mark|o:p|q|s|small|span|strike|strong|sub|sup|tt|u"
_INLINE = re.compile(rf"<(?:(?P<close>/)\s*)?(?P<name>{_PAIRED}){_ATTRIBUTES}>", re.IGNORECASE)
# With its semicolon: `?a=1&copy=2` is an address.
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_PAGE = re.compile(r"<!doctype\s+html|<(?:html|head|body|script|style)\b[^<>]*>", re.IGNORECASE)
_SUBJECT = re.compile(
    r"\b(?:x?html\d?|xml|svg|css|javascript|markup|markdown|jsx|tags?|entit(?:y|ies))\b", re.IGNORECASE
)


def about_markup(example: Example) -> bool:
    """Whether an example with signs of markup speaks of it as well, so that a tag may be what it is about."""
    texts = example.texts()
    return any("<" in text or "&" in text for text in texts) and any(_SUBJECT.search(text) for text in texts)


def is_page(text: str) -> bool:
    """Whether a text is an HTML page, or a part with a head, a script or a style sheet."""
    return _PAGE.search(text) is not None


def without_tags(text: str) -> str:
    """The text with HTML's tags gone, or line breaks in their place, and entities as what they stand for.

    `a < b` and `a<b>c` stay, and so do pages, JSON, and code in fences, back-ticks, <pre> or <code>.
    """
    if ("<" not in text and "&" not in text) or is_page(text) or is_json(text):
        return text
    while (bare := outside(text, _bare)) != text:
        text = bare
    return text


def main_text(text: str) -> str:
    """What a page says, without its navigation, header and footer; a text that is no page stays.

    Raises:
        AbsentPackageError: trafilatura is not installed.
    """
    if not is_page(text):
        return text
    trafilatura = load()
    found = trafilatura.extract(text, include_comments=False, include_tables=True)
    return str(found or trafilatura.html2txt(text))


def load() -> Any:
    """The package that reads pages.

    Raises:
        AbsentPackageError: It is not installed.
    """
    try:
        import trafilatura
    except ImportError:
        msg = "pages needs the package trafilatura: pip install 'tunesmith[html]'"
        raise AbsentPackageError(msg) from None
    return trafilatura


def _bare(text: str) -> str:
    text = _GONE.sub("", _without_pairs(text))
    text = _ITEMS.sub("\n- ", _LINES.sub("\n", text))
    text, ended = _CELLS_END.subn(" ", text)
    text = _CELLS.sub("" if ended else " ", text)
    return _ENTITY.sub(_character, text)


def _character(entity: re.Match[str]) -> str:
    shown = html.unescape(entity[0])
    return " " if shown == "\xa0" else shown


def _without_pairs(text: str) -> str:
    tags = list(_INLINE.finditer(text))
    opened: dict[str, list[int]] = defaultdict(list)
    marks: dict[int, str] = {}
    for at, tag in enumerate(tags):
        name = tag["name"].lower()
        if not tag["close"]:
            opened[name].append(at)
        elif opened[name]:
            # 10<sup>3</sup> is not 103
            marks |= {opened[name].pop(): "^" if name == "sup" else "", at: ""}
    pieces, last = [], 0
    for at, mark in sorted(marks.items()):
        pieces += [text[last : tags[at].start()], mark]
        last = tags[at].end()
    return "".join([*pieces, text[last:]])
