"""Documents to rows: the pages of a PDF file, the headings of a DOCX file."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tunesmith.data.rows import Reject, Row, plain
from tunesmith.errors import DataError, RowError

_EXTRA = 'pip install "tunesmith[documents]"'
_LOCKED = "the file is encrypted; save it without a password"
_BROKEN = "the file is broken, or no {} file; open it, and save it again"
_HEADINGS = ("Heading", "Title")


def read_pdf(path: Path) -> Iterator[Row | Reject]:
    """A row of `text` and `page` for each page that is not blank; a page that is only seen is set aside.

    A file that is broken or encrypted is one row, which is set aside: of many files the others are read.

    Raises:
        DataError: The extra is not installed, or the file cannot be opened.
    """
    try:
        import pypdf
    except ImportError as error:
        msg = f"{path} needs the package pypdf: {_EXTRA}"
        raise DataError(msg) from error
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it complains of what it repairs
    _check_readable(path)
    try:
        reader = pypdf.PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            yield Reject(str(path), 1, "", _LOCKED)
            return
        pages = len(reader.pages)
    except Exception as error:  # a broken file breaks its parser anywhere
        locked = isinstance(error, pypdf.errors.DependencyError | pypdf.errors.FileNotDecryptedError)
        yield Reject(str(path), 1, "", _LOCKED if locked else _BROKEN.format("PDF"))
        return
    for number in range(pages):
        try:
            page = reader.pages[number]
            text = page.extract_text().strip()
            seen = not text and _has_image(page)
        except Exception:  # the same
            yield Reject(str(path), number + 1, "text", "the page is broken")
            continue
        if text:
            yield _row(path, number + 1, {"text": text, "page": number + 1})
        elif seen:
            yield Reject(str(path), number + 1, "text", "the page is an image without text; recognise its text (OCR)")


def read_docx(path: Path) -> Iterator[Row | Reject]:
    """A row of `text` and `title` for each heading with what stands below it, tables too; a cell ends in ` | `.

    What stands before the first heading has the document's title. A broken file is one row, which is set aside.

    Raises:
        DataError: The extra is not installed, or the file cannot be opened.
    """
    try:
        import docx
    except ImportError as error:
        msg = f"{path} needs the package python-docx: {_EXTRA}"
        raise DataError(msg) from error
    _check_readable(path)
    try:
        with path.open("rb") as file:
            locked = file.read(8) == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # Office's container of encrypted files
        document = None if locked else docx.Document(str(path))
        sections = [] if document is None else list(_sections(document))
    except Exception:  # a broken file breaks its parser anywhere
        yield Reject(str(path), 1, "", _BROKEN.format("DOCX"))
        return
    if locked:
        yield Reject(str(path), 1, "", _LOCKED)
    for number, (title, text) in enumerate(sections, 1):
        yield _row(path, number, {"text": text, "title": title})


def _sections(document: Any) -> Iterator[tuple[str, str]]:
    """Title and text of each part that has text."""
    title, lines = document.core_properties.title or "", []
    for block in document.iter_inner_content():
        if hasattr(block, "rows"):
            lines += [" | ".join(cell.text.strip() for cell in row.cells) for row in block.rows]
        elif (block.style is not None and (block.style.name or "").startswith(_HEADINGS)) and block.text.strip():
            if text := "\n".join(lines).strip():
                yield title, text
            title, lines = block.text.strip(), []
        else:
            lines.append(block.text)
    if text := "\n".join(lines).strip():
        yield title, text


def _has_image(page: Any) -> bool:
    found = (page.get("/Resources") or {}).get("/XObject") or {}
    return any(found[name].get_object().get("/Subtype") == "/Image" for name in found)


def _row(path: Path, number: int, values: dict[str, Any]) -> Row | Reject:
    try:
        return Row(str(path), number, plain(values))
    except RowError as error:
        return Reject(str(path), number, error.field, error.reason, values)


def _check_readable(path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}"
        raise DataError(msg) from error
