"""Where a text holds code, which is not prose: fences, back-ticks, <pre> and <code>."""

import re
from collections.abc import Callable, Iterator

_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})")
_CODE = re.compile(
    r"(^[ \t]*(?P<fence>`{3,}|~{3,}).*?(?:^[ \t]*(?P=fence)[`~]*[ \t]*$|\Z)"
    r"|(?P<ticks>`+)(?!`)[^\n]*?(?<!`)(?P=ticks)(?!`)"
    r"|<(?P<tag>pre|code|samp|kbd)\b[^<>]*>.*?</(?P=tag)\s*>)",
    re.DOTALL | re.MULTILINE | re.IGNORECASE,
)


def lines(text: str) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it lies between fences; fences themselves do not."""
    fence = ""
    for line in text.split("\n"):
        found = _FENCE.match(line)
        if fence:
            ends = found is not None and found[1].startswith(fence) and not line[found.end() :].strip()
            yield line, not ends
            fence = "" if ends else fence
        else:
            yield line, False
            fence = found[1] if found else ""


def outside(text: str, change: Callable[[str], str]) -> str:
    """The text with `change` applied to all that is no code, piece by piece."""
    pieces, last = [], 0
    for code in _CODE.finditer(text):
        pieces += [change(text[last : code.start()]), code[0]]
        last = code.end()
    return "".join([*pieces, change(text[last:])])
