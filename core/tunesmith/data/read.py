"""Files to rows: JSON lines, JSON and plain text here, tables in `tables.py`.

Readers stream, number lines from 1, and never raise for a bad row: it comes out as a `Reject`. What makes the whole
file unreadable (a broken archive, a header with a column twice) is a `DataError`, since going on would lose every row
behind it without a count.
"""

import codecs
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from tunesmith.data.documents import read_docx, read_pdf
from tunesmith.data.encoding import as_utf8
from tunesmith.data.lines import LARGEST_WHOLE, MIB, TOO_LONG, lines
from tunesmith.data.pages import read_html, read_markdown
from tunesmith.data.rows import Reject, Repeated, Row, json_object, plain
from tunesmith.data.tables import read_csv, read_parquet
from tunesmith.data.unpack import BROKEN, PACKED, open_unpacked, packing
from tunesmith.errors import DataError, RowError

Read = Row | Reject
_OTHER_ENCODING = "the line is not UTF-8; save the file as UTF-8"


def read_file(path: Path) -> Iterator[Read]:
    """Rows of one file, by its ending; `.gz` or `.zst` behind it is unpacked. UTF-8, or what a mark (BOM) says.

    Lines end in a line feed, with a carriage return before it or not, or all in a carriage return alone.

    | ending | rows |
    |---|---|
    | `.jsonl`, `.ndjson` | one JSON object a line; blank lines are no rows |
    | `.json` | a list of objects; or an object with one list of objects; or objects by key (column `key`) |
    | `.csv`, `.tsv` | a header, then one record a row, all values text; `;` or tab where the header has no comma |
    | `.parquet` | one record a row; NaN, which pandas writes for missing numbers, is null |
    | `.txt` | `{"text": line}` for each line that is not blank |
    | `.md` | `{"text", "title"}` of the whole file, as it is written |
    | `.html`, `.htm` | `{"text", "title"}` of what the page says, without its navigation |
    | `.pdf` | `{"text", "page"}` for each page that is not blank |
    | `.docx` | `{"text", "title"}` for each heading with what stands below it |

    A line of more than 8 MiB is set aside, and so is a record of a table, a text, a Markdown file or a page.

    Raises:
        DataError: The file as a whole cannot be read, or its ending is not one of these.
    """
    ending = file_ending(path)
    if ending in _BY_PATH:
        yield from _BY_PATH[ending](path)
        return
    if ending not in _READERS:
        msg = f"{path} ends in {ending or 'nothing'}; files are read by ending: {', '.join(endings())}"
        raise DataError(msg)
    try:
        with open_unpacked(path) as file:
            yield from _READERS[ending](path, as_utf8(path, file))
    except BROKEN as error:
        msg = f"{path} is a broken or truncated {packing(path)} file"
        raise DataError(msg) from error
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}"
        raise DataError(msg) from error


def file_ending(path: Path) -> str:
    """The ending that says the format, in lower case, without `.gz` or `.zst`."""
    suffixes = [s.lower() for s in path.suffixes]
    if suffixes[-1:] and suffixes[-1] in PACKED:
        suffixes.pop()
        return "" if suffixes[-1:] and suffixes[-1] in _BY_PATH else "".join(suffixes[-1:])
    return "".join(suffixes[-1:])


def endings() -> list[str]:
    """The endings that are read."""
    return [*_READERS, *_BY_PATH, *(ending + packed for packed in PACKED for ending in _READERS)]


def _read_json_lines(path: Path, file: IO[bytes]) -> Iterator[Read]:
    for line, data in enumerate(lines(file), 1):
        if data is None:
            yield Reject(str(path), line, "", TOO_LONG)
            continue
        data = data.removeprefix(codecs.BOM_UTF8)  # files that begin with a mark were put behind one another
        if data.strip():
            yield _parse(str(path), line, data)


def _parse(file: str, line: int, data: bytes) -> Read:
    try:
        return _row(file, line, json.loads(data.decode("utf-8"), object_pairs_hook=json_object))
    except UnicodeDecodeError:
        return Reject(file, line, "", _OTHER_ENCODING, data.decode("utf-8", "replace").strip())
    except (ValueError, RecursionError) as error:
        whole = "; a file that is one document ends in .json" if line == 1 and data.strip() in (b"[", b"{") else ""
        return Reject(file, line, "", f"the line is not JSON: {_why(error)}{whole}", data.decode("utf-8").strip())


def _whole(data: bytes) -> Any:
    """A document of which one value that cannot be used costs its record, and not the file."""
    # Bytes that are no UTF-8 become lone surrogates, NULs stay, and both are refused with their record.
    text = data.decode("utf-8", "surrogateescape")
    return json.loads(text, object_pairs_hook=json_object, parse_int=_int, strict=False)


def _int(digits: str) -> int | float:
    try:
        return int(digits)
    except ValueError:  # more digits than Python reads
        return float("inf")


def _why(error: ValueError | RecursionError) -> str:
    # JSONDecodeError.msg names what was expected; str(error) of the others may quote the value.
    if isinstance(error, json.JSONDecodeError):
        return error.msg.partition(": ")[0]
    return "it is nested too deep" if isinstance(error, RecursionError) else "a number has too many digits"


def _row(file: str, line: int, value: Any) -> Read:
    if not isinstance(value, dict):
        return Reject(file, line, "", f"the row is no JSON object but {_kind(value)}", value)
    try:
        return Row(file, line, plain(value))
    except RowError as error:
        return Reject(file, line, error.field, error.reason, value)


def _kind(value: Any) -> str:
    names = {str: "text", list: "a list", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(value), "null")


def _read_json(path: Path, file: IO[bytes]) -> Iterator[Read]:
    data = file.read(LARGEST_WHOLE + 1)
    if len(data) > LARGEST_WHOLE:
        msg = (
            f"{path} is larger than {LARGEST_WHOLE // MIB} MiB and can be read as a whole only; write one object a "
            "line (.jsonl), which is read line by line"
        )
        raise DataError(msg)
    if not data.strip():
        return
    try:
        document = _whole(data)
    except (ValueError, RecursionError) as error:
        if isinstance(error, json.JSONDecodeError) and error.msg == "Extra data":
            # JSON lines under the ending .json are common.
            yield from _lines_of(path, data)
            return
        _check_utf8(path, data)
        place = f" at line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        msg = f"{path} is not JSON: {_why(error)}{place}"
        raise DataError(msg) from error
    for number, record in enumerate(_records(path, document), 1):
        yield _row(str(path), number, record)


def _check_utf8(path: Path, data: bytes) -> None:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        msg = f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8"
        raise DataError(msg) from error


def _lines_of(path: Path, data: bytes) -> Iterator[Read]:
    for line, raw in enumerate(data.split(b"\n"), 1):
        if raw.strip():
            yield _parse(str(path), line, raw)


def _records(path: Path, document: Any) -> list[Any]:
    if isinstance(document, list):
        return document
    if isinstance(document, dict):
        if twice := next((key for key, value in document.items() if isinstance(value, Repeated)), None):
            msg = f"{path}: the key {twice} stands twice at the top; give the lists one key"
            raise DataError(msg)
        lists = [v for v in document.values() if isinstance(v, list) and v and all(isinstance(i, dict) for i in v)]
        if len(lists) == 1:
            return lists[0]
        if document and all(isinstance(value, dict) for value in document.values()):
            return [{"key": key, **value} for key, value in document.items()]
    msg = f"{path} holds {_kind_of_document(document)}; wanted: a list of objects, or an object with one such list"
    raise DataError(msg)


def _kind_of_document(document: Any) -> str:
    if not isinstance(document, dict):
        return f"{_kind(document)} at the top"
    return f"an object with the keys {', '.join(list(document)[:8])}" if document else "an empty object"


def _read_text(path: Path, file: IO[bytes]) -> Iterator[Read]:
    for line, data in enumerate(lines(file), 1):
        if data is None:
            yield Reject(str(path), line, "text", TOO_LONG)
            continue
        data = data.removeprefix(codecs.BOM_UTF8)
        if not data.strip():
            continue
        try:
            yield _row(str(path), line, {"text": data.decode("utf-8").rstrip("\r\n")})
        except UnicodeDecodeError:
            yield Reject(
                str(path),
                line,
                "text",
                _OTHER_ENCODING,
                data.decode("utf-8", "replace").strip(),
            )


_READERS: dict[str, Callable[[Path, IO[bytes]], Iterator[Read]]] = {
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".json": _read_json,
    ".csv": lambda path, file: read_csv(path, file, None),
    ".tsv": lambda path, file: read_csv(path, file, "\t"),
    ".txt": _read_text,
    ".md": read_markdown,
    ".html": read_html,
    ".htm": read_html,
}
# Formats that are read by a library, out of a file that is not packed.
_BY_PATH: dict[str, Callable[[Path], Iterator[Read]]] = {".parquet": read_parquet, ".pdf": read_pdf, ".docx": read_docx}
