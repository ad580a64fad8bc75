"""Characters that nobody sees: controls, zero-width ones, marks of direction; and one form for letters with accents."""

import re
import unicodedata

_PLAIN = str.maketrans("\n\t", "  ")
_BREAKS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
# `\x1b[31m` and the like colour a terminal
_TERMINAL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_NO_CHARACTERS = "".join(f"{chr(0x10000 * plane + 0xFFFE)}{chr(0x10000 * plane + 0xFFFF)}" for plane in range(17))
_NONE = (
    "\x00-\x08\x0e-\x1f\x7f-\x9f"  # controls, but tab and line breaks
    "\u00ad\u200b\u2060-\u2064\ufeff"  # soft hyphen, zero-width space, word joiner, byte order mark
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f"  # direction
    "\ud800-\udfff\ufdd0-\ufdef\ufff9-\ufffc" + _NO_CHARACTERS
)
_UNSEEN = re.compile(f"[{_NONE}]")
_TOUCHED = re.compile(f"[{_NONE}\r\x0b\x0c\u2028\u2029]")
_RARE = re.compile("[\u200c\u200d\U000e0000-\U000e01ef]")
# Scripts that spell with U+200C and U+200D: Arabic and its like, Indic, Khmer, Mongolian, Tibetan.
_JOINED = (
    "\u0600-\u109f\u1780-\u18af\u1900-\u1cff\ua800-\uabff\ufb50-\ufdcf\ufdf0-\ufdff\ufe70-\ufefc\U00010a00-\U00011fff"
)
_PICTURE = "\u00a9\u00ae\u2190-\u2bff\u3030\u303d\U0001f000-\U0001faff"
_JOINERS = re.compile(
    f"(?<![{_JOINED}\u200c\u200d{_PICTURE}\ufe0f])[\u200c\u200d]"
    f"|(?<=[{_PICTURE}\ufe0f])(?:\u200c|\u200d(?![{_PICTURE}]))"
    "|(?<=[\u200c\u200d])[\u200c\u200d]"
)
# Letters of tags spell the flags of Wales and others, behind a black flag; anywhere else they hide text.
_TAGS = re.compile("(\U0001f3f4[\U000e0061-\U000e007a0-9]{1,6}\U000e007f)|[\U000e0000-\U000e007f]")
_VARIANTS = re.compile("(?<![\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])[\U000e0100-\U000e01ef]")


def seen(text: str) -> str:
    r"""The text with line breaks as `\n`, and without characters that show nothing.

    Tabs stay; joiners stay in emoji and in scripts that spell with them; variation selectors stay behind ideographs.
    """
    if text.isascii() and text.translate(_PLAIN).isprintable():
        return text
    if _TOUCHED.search(text):
        text = _UNSEEN.sub("", _TERMINAL.sub("", _BREAKS.sub("\n", text)))
    if not _RARE.search(text):
        return text
    text = _VARIANTS.sub("", _TAGS.sub(lambda found: found[1] or "", text))
    return _JOINERS.sub("", text)


def composed(text: str) -> str:
    """The text in Unicode's form NFC: a letter and its accent are one character where there is one."""
    return unicodedata.normalize("NFC", text)
