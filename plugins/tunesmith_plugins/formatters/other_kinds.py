"""Rows that hold more than text, or something else: known by name, so that no formatter misreads them."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from tunesmith import Example, RowError

_ONLY_TEXT = "only text is read: say it in words, or leave such rows out"
_NO_PAIRS = "no objective trains on these; a trainer of embedding models reads them"
# Column, and what its list or map holds.
_COLUMNS = {
    "images": ("images", _ONLY_TEXT),
    "image": ("an image", _ONLY_TEXT),
    "videos": ("videos", _ONLY_TEXT),
    "video": ("a video", _ONLY_TEXT),
    "audios": ("sound", _ONLY_TEXT),
    "audio": ("sound", _ONLY_TEXT),
    "objects": ("boxes of a grounding task", _ONLY_TEXT),
    "positive_messages": ("an embedding or reranker pair", _NO_PAIRS),
    "negative_messages": ("an embedding or reranker pair", _NO_PAIRS),
    "input_ids": (
        "token ids, which mean something to one tokenizer only",
        "give the text they were made of: Segments, with `label: false` where labels are -100",
    ),
}
# Columns that name one file, and what such a file is called.
_FILES = frozenset(
    f"{kind}{ending}"
    for kind in ("image", "picture", "video", "audio")
    for ending in ("", "s", "_path", "_url", "_file")
)
_FILE = re.compile(
    r"^data:(image|video|audio)/|\.(png|jpe?g|gif|webp|bmp|tiff?|svg|mp4|avi|mov|mkv|webm|wav|mp3|flac|ogg|m4a)(\?\S*)?$",
    re.IGNORECASE,
)
_PAIR = ("anchor", "positive")
# At an end of a line, where trainers put them: within one, a tag is more often talked about.
_MARK = re.compile(r"^\s*<(image|video|audio)>|<(image|video|audio)>\s*$|<(ref-object|bbox)>", re.MULTILINE)
_SHOWN = {"image": "an image", "video": "a video", "audio": "sound"}


def refuse_other_kinds(row: Mapping[str, Any], reads: Collection[str] = ()) -> None:
    """Refuse rows that hold more than text, instead of training on half of them.

    Args:
        row: The row.
        reads: Columns that the formatter was told to read, which mean what it makes of them.

    Raises:
        RowError: A column of images, sound, boxes, token ids or pairs is filled.
    """
    for name, (what, advice) in _COLUMNS.items():
        if isinstance(row.get(name), list | Mapping) and row[name] and name not in reads:
            raise RowError(name, f"holds {what}; {advice}")
    for name, value in row.items():
        if name.lower() in _FILES and isinstance(value, str) and _FILE.search(value.strip()) and name not in reads:
            raise RowError(name, f"names a picture, a video or sound; {_ONLY_TEXT}")
    anchor, positive = (row.get(name) for name in _PAIR)
    if isinstance(anchor, str) and isinstance(positive, str | list) and positive and not set(_PAIR) & set(reads):
        raise RowError(_PAIR[0], f"and positive are an embedding pair; {_NO_PAIRS}")


def text_only(example: Example, fields: Sequence[str]) -> Example:
    """The example, unless a user's turn has a place for an image, a video, sound or a box in its text.

    Args:
        example: What a formatter made.
        fields: The columns that it was made of, for messages.

    Raises:
        RowError: It has. A tag that is closed again is HTML, which is text.
    """
    said = (m.content for m in (*example.messages, *example.chosen, *example.rejected) if m.role in ("user", "system"))
    for tag in _tags(said):
        what = f"a place for {_SHOWN[tag]}" if tag in _SHOWN else "a place for a box of a grounding task"
        raise RowError(" or ".join(fields), f"has {what} in its text (<{tag}>); {_ONLY_TEXT}")
    return example


def other_kind(columns: Iterable[str]) -> str:
    """What rows with such columns are, where no formatter reads them; empty where nothing is known of them."""
    names = set(columns)
    if names.issuperset(_PAIR):
        return f"anchor and positive are an embedding pair; {_NO_PAIRS}"
    for name, (what, advice) in _COLUMNS.items():
        if name in names:
            return f"{name} holds {what}; {advice}"
    return ""


def _tags(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        if "<" in text:
            tags = (str(found[found.lastindex or 0]) for found in _MARK.finditer(text))
            yield from (tag for tag in tags if f"</{tag}>" not in text)
