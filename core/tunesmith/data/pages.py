"""Files that are one document of text: Markdown, and pages of HTML."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from tunesmith.data.lines import LONGEST_LINE, MIB
from tunesmith.data.rows import Reject, Row, plain
from tunesmith.errors import DataError, RowError

_TOO_LONG = f"the document is longer than {LONGEST_LINE // MIB} MiB; split it"
# `# Title`, or a line with a line of `=` below it.
_TITLE = re.compile(r"^#[ \t]+(?P<hash>\S[^\n]*?)[ \t]*#*[ \t]*$|^(?P<line>\S[^\n]*)\n=+[ \t]*$", re.MULTILINE)

_TAG = re.compile(rb"<[a-zA-Z]")


def read_markdown(path: Path, file: IO[bytes]) -> Iterator[Row | Reject]:
    """A row of `text`, as it is written, and `title`, its first heading of the first level."""
    data = file.read(LONGEST_LINE + 1)
    if len(data) > LONGEST_LINE:
        yield Reject(str(path), 1, "text", _TOO_LONG)
        return
    # Bytes that are no UTF-8 become lone surrogates, which are refused with the row.
    text = data.decode("utf-8", "surrogateescape").replace("\r\n", "\n")
    if text.strip():
        title = _TITLE.search(text)
        yield _row(path, text.strip("\n"), (title["hash"] or title["line"]).strip() if title else "")


def read_html(path: Path, file: IO[bytes]) -> Iterator[Row | Reject]:
    """A row of `text`, what the page says without its navigation, header and footer, and `title`.

    Raises:
        DataError: The extra is not installed.
    """
    try:
        import trafilatura
    except ImportError as error:
        msg = f'{path} needs the package trafilatura: pip install "tunesmith[html]"'
        raise DataError(msg) from error
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)  # it tells of each page that has no text
    data = file.read(LONGEST_LINE + 1)
    if len(data) > LONGEST_LINE:
        yield Reject(str(path), 1, "text", _TOO_LONG)
        return
    if not data.strip():
        return
    try:
        text, title = _said(trafilatura, data)
    except Exception:  # a broken page breaks its parser anywhere
        text = title = ""
    if text:
        yield _row(path, text, title)
    else:
        yield Reject(str(path), 1, "text", "the page holds no text, or is no HTML")


def _said(trafilatura: Any, data: bytes) -> tuple[str, str]:
    text = trafilatura.extract(data, include_comments=False, include_tables=True) or trafilatura.html2txt(data)
    if not text and _TAG.search(data):  # a piece of a page, which trafilatura reads within one alone
        text = trafilatura.html2txt(b"<html><body>" + data + b"</body></html>")
    return str(text or "").strip(), str(trafilatura.extract_metadata(data).title or "")


def _row(path: Path, text: str, title: str) -> Row | Reject:
    try:
        return Row(str(path), 1, plain({"text": text, "title": title}))
    except RowError as error:
        return Reject(str(path), 1, error.field, error.reason, {"text": text})
