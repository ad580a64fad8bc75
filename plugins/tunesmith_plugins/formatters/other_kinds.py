"""Rows that hold more than text, or something else: known by name, so that no formatter misreads them."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from tunesmith import Example, RowError
from tunesmith_plugins.formatters.together import NO_PAIRS, told_together

_ONLY_TEXT = "only text is read: say it in words, or leave such rows out"
# Column, and what its list or map holds.
_COLUMNS = {
    "images": ("images", _ONLY_TEXT),
    "image": ("an image", _ONLY_TEXT),
    "videos": ("videos", _ONLY_TEXT),
    "video": ("a video", _ONLY_TEXT),
    "audios": ("sound", _ONLY_TEXT),
    "audio": ("sound", _ONLY_TEXT),
    "objects": ("boxes of a grounding task", _ONLY_TEXT),
    "positive_messages": ("an embedding or reranker pair", NO_PAIRS),
    "negative_messages": ("an embedding or reranker pair", NO_PAIRS),
    "input_ids": (
        "token ids, which mean something to one tokenizer only",
        "give the text they were made of: Segments, with `label: false` where labels are -100",
    ),
}
# Columns that name one file or several, by what such a file is.
_KINDS = {"image": "image", "picture": "image", "video": "video", "audio": "audio"}
_FILES = {f"{named}{ending}": kind for named, kind in _KINDS.items() for ending in ("", "s", "_path", "_url", "_file")}
_FILE = re.compile(
    r"^data:(image|video|audio)/|^https?://|^[A-Za-z0-9+/\r\n]{200,}=*$"
    r"|\.(png|jpe?g|gif|webp|bmp|tiff?|svg|mp4|avi|mov|mkv|webm|wav|mp3|flac|ogg|m4a)(\?\S*)?$",
    re.IGNORECASE,
)
# At an end of a line, where trainers put them: within one, a tag is more often talked about.
_MARK = re.compile(r"^\s*<(image|video|audio)>|<(image|video|audio)>\s*$|<(ref-object|bbox)>", re.MULTILINE)
_ANYWHERE = re.compile(r"<(image|video|audio)>")
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
        if name.lower() in _FILES and name not in reads and _is_file(value):
            raise RowError(name, f"names a picture, a video or sound; {_ONLY_TEXT}")
    if found := told_together(row, reads):
        raise RowError(*found)


def text_only(example: Example, fields: Sequence[str]) -> Example:
    """The example, unless a user's turn has a place for an image, a video, sound or a box in its text.

    Args:
        example: What a formatter made.
        fields: The columns that it was made of, for messages.

    Raises:
        RowError: It has. A tag that is closed again is HTML, which is text; one within a line is a place where the row
            names a file of that kind.
    """
    said = (m.content for m in (*example.messages, *example.chosen, *example.rejected) if m.role in ("user", "system"))
    files = {_FILES[name.lower()] for name, value in example.extras.items() if name.lower() in _FILES and value}
    for tag in _tags(said, files):
        what = f"a place for {_SHOWN[tag]}" if tag in _SHOWN else "a place for a box of a grounding task"
        raise RowError(" or ".join(fields), f"has {what} in its text (<{tag}>); {_ONLY_TEXT}")
    return example


def other_kind(rows: Iterable[Mapping[str, Any]]) -> str:
    """What rows are, where no formatter reads them; empty where nothing is known of them."""
    for row in rows:
        try:
            refuse_other_kinds(row)
        except RowError as error:
            return f"{error.field} {error.reason}"
        if name := next((name for name in _COLUMNS if row.get(name) not in (None, "", [], {})), ""):
            what, advice = _COLUMNS[name]
            return f"{name} holds {what}; {advice}"
    return ""


def _is_file(value: Any) -> bool:
    if isinstance(value, str):
        return _FILE.search(value.strip()) is not None
    return isinstance(value, list | Mapping) and bool(value)


def _tags(texts: Iterable[str], files: Collection[str]) -> Iterator[str]:
    for text in texts:
        if "<" in text:
            tags = [str(found[found.lastindex or 0]) for found in _MARK.finditer(text)]
            tags += [found[1] for found in _ANYWHERE.finditer(text) if found[1] in files]
            yield from (tag for tag in tags if f"</{tag}>" not in text)
