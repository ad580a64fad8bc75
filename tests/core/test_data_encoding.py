"""Files in the encodings that spreadsheets and editors write, by the mark in front of them."""

import codecs
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunesmith import DataError
from tunesmith.data.read import read_file
from tunesmith.data.rows import Reject, Row

MARKS = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}
TEXTS = {
    "a.csv": 'text,who\r\n"one ü\u2028\x85, two\r\nlines",\U0001f600\r\n',
    "a.tsv": "text\twho\r\n你好\t\U0001f600\r\n",
    "a.jsonl": '{"text": "你好"}\n\n{"text": "\U0001f600"}\n',
    "a.json": '[{"text": "你好"}]',
    "a.txt": "one \u2028\x85\nאב\r\n\n",
}
on_files = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read(path: Path, data: bytes) -> list[Any]:
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return [row.values if isinstance(row, Row) else (row.line, row.field, row.reason) for row in read_file(path)]


@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("encoding", MARKS)
@pytest.mark.parametrize("name", TEXTS)
def test_what_a_mark_says_is_read_as_utf_8_is(name: str, encoding: str, packed: str, tmp_path: Path) -> None:
    text = TEXTS[name]
    marked = read(tmp_path / f"{name}{packed}", MARKS[encoding] + text.encode(encoding))
    assert marked == read(tmp_path / name, text.encode())
    assert marked
    assert all(isinstance(row, dict) for row in marked)


@on_files
@given(
    rows=st.lists(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])), max_size=9),
    encoding=st.sampled_from(list(MARKS)),
    pad=st.sampled_from([0, 1, 2**16 - 3, 2**16]),
)
def test_rows_of_any_script_and_length_are_the_same_in_all_encodings(
    rows: list[str], encoding: str, pad: int, tmp_path: Path
) -> None:
    text = "".join(json.dumps({"text": "x" * pad + row}, ensure_ascii=False) + "\n" for row in rows)
    got = read(tmp_path / "a.jsonl", MARKS[encoding] + text.encode(encoding))
    assert got == [{"text": "x" * pad + row} for row in rows]


@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("encoding", MARKS)
@pytest.mark.parametrize("name", TEXTS)
def test_lines_that_end_in_carriage_returns_are_lines(name: str, encoding: str, packed: str, tmp_path: Path) -> None:
    text = TEXTS[name].replace("\r\n", "\n") + "\n"
    wanted = read(tmp_path / name, text.encode())
    returns = MARKS[encoding] + text.replace("\n", "\r").encode(encoding)
    assert read(tmp_path / f"{name}{packed}", returns) == wanted


def test_a_carriage_return_within_a_line_ends_none(tmp_path: Path) -> None:
    assert read(tmp_path / "a.txt", b"one\rtwo\nthree\n") == [{"text": "one\rtwo"}, {"text": "three"}]
    assert read(tmp_path / "a.txt", b"one\r") == [{"text": "one"}]


def test_lines_of_carriage_returns_are_numbered_and_counted(tmp_path: Path) -> None:
    assert read(tmp_path / "a.jsonl", b'{"a": 1}\r\r{"a": \r{"a": 2}\r') == [
        {"a": 1},
        (3, "", "the line is not JSON: Expecting value"),
        {"a": 2},
    ]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", TEXTS)
def test_utf_16_without_a_mark_is_called_so(name: str, encoding: str, tmp_path: Path) -> None:
    text = TEXTS[name] if name != "a.tsv" else "text\twho\n"
    with pytest.raises(DataError, match=rf"{name} is UTF-16 without the mark that says so \(BOM\); save it as UTF-8"):
        read(tmp_path / name, text.encode(encoding))


NO_TEXT = {
    gzip.compress(b"x"): "is a gzip file; let its name end in .gz",
    pa.Codec("zstd").compress(b"x", asbytes=True): "is a zstd file; let its name end in .zst",
    b"PK\x03\x04\x14\0": "is a zip archive, as workbooks (.xlsx) are too; unpack it, or save the sheet as CSV",
    b"PAR1\x15\x04": "is a Parquet file; let its name end in .parquet",
    b"%PDF-1.7\n%\xe2\xe3\xcf\xd3": "is a PDF file; let its name end in .pdf",
    b"\xd0\xcf\x11\xe0\xa1\xb1": "is an old workbook or document (.xls, .doc); save it as CSV or DOCX",
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("data", NO_TEXT, ids=NO_TEXT.values())
def test_a_file_of_another_format_is_called_so_and_none_of_its_bytes_are_rows(
    name: str, data: bytes, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path / name, data)
    assert str(caught.value) == f"{tmp_path / name} {NO_TEXT[data]}"


def test_a_text_may_begin_as_files_of_other_formats_do(tmp_path: Path) -> None:
    assert read(tmp_path / "a.txt", b"%PDF is how\nPAR1 begins") == [{"text": "%PDF is how"}, {"text": "PAR1 begins"}]


def test_half_a_pair_costs_its_row_and_half_a_letter_the_file(tmp_path: Path) -> None:
    lines = codecs.BOM_UTF16_LE + "one\nx\ud800y\ntwo\n".encode("utf-16-le", "surrogatepass")
    one, broken, two = read(tmp_path / "a.txt", lines)
    assert (one, two) == ({"text": "one"}, {"text": "two"})
    assert broken == (2, "text", "the line is not UTF-8; save the file as UTF-8")
    with pytest.raises(DataError, match="begins as UTF-16 and is none"):
        read(tmp_path / "a.txt", lines + b"x")


@on_files
@given(mark=st.sampled_from(list(MARKS.values())), data=st.binary(max_size=200), name=st.sampled_from(list(TEXTS)))
def test_whatever_follows_a_mark_is_rows_or_a_message(mark: bytes, data: bytes, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(mark + data)
    said = str(path)
    try:
        assert all(isinstance(row, Row | Reject) for row in read_file(path))
    except DataError as error:
        said = str(error)
    assert str(path) in said


def test_a_table_that_excel_wrote_is_good(bench: Any) -> None:
    rows = "prompt,completion\r\n" + "".join(f"Grüße {n},Antwort {n}\r\n" for n in range(60))
    (bench.folder / "rows.csv").write_bytes(codecs.BOM_UTF16_LE + rows.encode("utf-16-le"))
    bench.write(data={"sources": {"notes": {"path": "rows.csv"}}})
    assert bench.done("recipes", "check", "tiny.yaml").out == "tiny.yaml: good\n"
    bench.done("recipes", "new", "new.yaml", "--data", "rows.csv")
    (bench.folder / "rows.csv").write_bytes(rows.encode("utf-16-le"))
    assert "rows.csv is UTF-16 without the mark" in bench.done("recipes", "check", "tiny.yaml", code=2).out
