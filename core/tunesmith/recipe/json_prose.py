"""Docstrings for editors: as Markdown, and as plain text. Those of libraries are written in reStructuredText."""

import re

_ROLE = re.compile(r":(?:\w+:)?\w+:`([^`]*)`")
_LINK = re.compile(r"`([^`<]*?)\s*<([^`>\s]+)>`__?")
_TITLED = re.compile(r"(.*?)\s*<[^>]*>", re.DOTALL)
_CODE = re.compile(r"``(.+?)``", re.DOTALL)
_ESCAPED = re.compile(r"\\([*_`|])")
_MARKDOWN_LINK = re.compile(r"\[([^\]]*)\]\((\w+://[^)\s]+)\)")


def markdown(text: str) -> str:
    """Markdown of what may hold roles, links and code of reStructuredText."""
    text = _LINK.sub(r"[\1](\2)", _ROLE.sub(_named, text))
    return _ESCAPED.sub(r"\1", _CODE.sub(r"`\1`", text))


def plain(text: str) -> str:
    """The same without any marks."""
    return _MARKDOWN_LINK.sub(r"\1 (\2)", markdown(text)).replace("`", "")


def _named(role: re.Match[str]) -> str:
    """The title of what a role points to, else its name, which `~` shortens to its last part."""
    if titled := _TITLED.fullmatch(role[1]):
        return titled[1]
    name = role[1].lstrip("!")
    return f"`{name.rpartition('.')[2] if name.startswith('~') else name}`"
