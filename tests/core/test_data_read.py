"""Files to rows: every format, every way in which a line can be broken, and nothing lost without a count."""

import codecs
import csv
import gzip
import io
import json
import struct
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from tunesmith import DataError
from tunesmith.data.encoding import _NO_TEXT
from tunesmith.data.intake import read_sources
from tunesmith.data.lines import TOO_LONG
from tunesmith.data.read import endings, read_file
from tunesmith.data.rows import Reject, Row
from tunesmith.data.sources import Source
from tunesmith.data.unpack import open_unpacked
from tunesmith_plugins.formatters.raw_text import RawText

ROWS = [{"prompt": "one", "completion": "eins"}, {"prompt": "two, or\n2", "completion": "zwei ü"}]
on_files = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def write(path: Path, data: bytes | str) -> Path:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def good(path: Path) -> list[dict[str, object]]:
    read = list(read_file(path))
    assert all(isinstance(row, Row) for row in read), read
    return [row.values for row in read if isinstance(row, Row)]


def bad(path: Path) -> list[tuple[int, str, str]]:
    return [(r.line, r.field, r.reason) for r in read_file(path) if isinstance(r, Reject)]


def as_csv(rows: list[dict[str, str]], delimiter: str = ",", quoting: int = csv.QUOTE_MINIMAL) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter, quoting=quoting)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def zstd(data: bytes) -> bytes:
    return pa.Codec("zstd").compress(data, asbytes=True)


PACK: dict[str, Callable[[bytes], bytes]] = {"": lambda data: data, ".gz": gzip.compress, ".zst": zstd}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", "\n".join(map(json.dumps, ROWS))),
        ("a.ndjson", "\r\n".join(map(json.dumps, ROWS)) + "\r\n\r\n"),
        ("a.JSONL", "\n\n" + "\n".join(map(json.dumps, ROWS))),
        ("bom.jsonl", "\ufeff" + "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS)),
        ("list.json", json.dumps(ROWS, indent=2)),
        ("one_list.json", json.dumps({"version": 1, "data": ROWS, "tags": ["x"]})),
        ("lines.json", "\n".join(map(json.dumps, ROWS))),
        ("a.csv", as_csv(ROWS)),
        ("bom.csv", "\ufeff" + as_csv(ROWS)),
        ("semicolons.csv", as_csv(ROWS, ";", csv.QUOTE_ALL)),
        ("tabs.csv", as_csv(ROWS, "\t")),
        ("a.tsv", as_csv(ROWS, "\t")),
    ],
)
@pytest.mark.parametrize("packed", ["", ".gz", ".zst"])
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str, text: str, packed: str) -> None:
    path = write(tmp_path / f"{name}{packed}", PACK[packed](text.encode()))
    assert good(path) == ROWS


def test_parquet_gives_plain_values(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    moment = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    table = pa.table(
        {
            "text": ["a", None],
            "turns": [[{"role": "user", "content": "hi"}], []],
            "age": [1.5, float("nan")],
            "at": [moment, None],
            "price": [Decimal("1.25"), None],
        }
    )
    parquet.write_table(table, path)
    first, second = good(path)
    assert first == {
        "text": "a",
        "turns": [{"role": "user", "content": "hi"}],
        "age": 1.5,
        "at": "2026-01-02T03:04:00+00:00",
        "price": 1.25,
    }
    assert second == {"text": None, "turns": [], "age": None, "at": None, "price": None}


def test_parquet_with_pictures_sets_rows_aside(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"image": [b"\x89PNG"], "text": ["a"]}), path)
    assert bad(path) == [(1, "image", "holds bytes, neither text nor numbers")]


def test_text_files_give_a_row_for_each_line_that_is_not_blank(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", b"first\r\n\n  second \n\xff\n\tlast")
    assert [(r.line, r.values) for r in read_file(path) if isinstance(r, Row)] == [
        (1, {"text": "first"}),
        (3, {"text": "  second "}),
        (5, {"text": "\tlast"}),
    ]
    assert bad(path) == [(4, "text", "the line is not UTF-8; save the file as UTF-8")]


def test_objects_by_key_keep_the_key(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", json.dumps({"17": {"q": "a"}, "18": {"q": "b"}}))
    assert good(path) == [{"key": "17", "q": "a"}, {"key": "18", "q": "b"}]


@pytest.mark.parametrize(
    ("line", "field", "reason"),
    [
        (b'{"a": "\xff"}', "", "the line is not UTF-8; save the file as UTF-8"),
        (b'{"a": 1', "", "the line is not JSON: Expecting ',' delimiter"),
        (b'{"a": "x\x00y"}', "", "the line is not JSON: Invalid control character at"),
        (b'{"a": "secret"} tail', "", "the line is not JSON: Extra data"),
        (b'{"a": "\\q secret"}', "", "the line is not JSON: Invalid \\escape"),
        (b'{"a": "x\\u0000y"}', "a", "the text holds a NUL character"),
        (b'{"a": "\\ud800"}', "a", "the text is not UTF-8"),
        (b'{"a": {"\\ud800": 1}}', "a", "a key is not UTF-8"),
        (b'{"a": [NaN]}', "a", "is not a finite number"),
        (b'{"a": -Infinity}', "a", "is not a finite number"),
        (b'{"a": 1e999}', "a", "is not a finite number"),
        (b'{"a": 1, "a": 2}', "a", "a key stands twice in one object"),
        (b'{"a": {"b": 1, "b": 2}}', "a", "a key stands twice in one object"),
        (b'{"a": ' + b"[" * 40 + b"]" * 40 + b"}", "a", "is nested more than 32 deep"),
        (b"[" * 100_000, "", "the line is not JSON: it is nested too deep"),
        (b'{"a": ' + b"9" * 5000 + b"}", "", "the line is not JSON: a number has too many digits"),
        (b'["a"]', "", "the row is no JSON object but a list"),
        (b'"a"', "", "the row is no JSON object but text"),
        (b"null", "", "the row is no JSON object but null"),
    ],
)
def test_a_broken_line_is_set_aside_and_the_next_is_read(tmp_path: Path, line: bytes, field: str, reason: str) -> None:
    path = write(tmp_path / "a.jsonl", b'{"a": "before"}\n' + line + b'\n{"a": "after"}\n')
    before, rejected, after = read_file(path)
    assert isinstance(before, Row)
    assert isinstance(after, Row)
    assert (before.values, after.values, after.line) == ({"a": "before"}, {"a": "after"}, 3)
    assert isinstance(rejected, Reject)
    assert (rejected.line, rejected.field, rejected.reason) == (2, field, reason)
    assert "secret" not in rejected.reason


def test_items_of_a_json_list_that_are_no_objects_are_set_aside(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", '[{"a": 1}, 7, {"a": NaN}, {"a": 2, "a": 3}, {"a": 4}]')
    assert [r.line for r in read_file(path) if isinstance(r, Row)] == [1, 5]
    assert bad(path) == [
        (2, "", "the row is no JSON object but a number"),
        (3, "a", "is not a finite number"),
        (4, "a", "a key stands twice in one object"),
    ]


def test_a_broken_value_of_a_json_document_costs_its_record(tmp_path: Path) -> None:
    records = [
        b'{"a": "\xff"}',
        b'{"a": "x\x00"}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": "two\nlines"}',
        b'{"b\xff": 1}',
    ]
    path = write(tmp_path / "a.json", b"[" + b",".join([b'{"a": 1}', *records, b'{"a": 2}']) + b"]")
    assert [row.values["a"] for row in read_file(path) if isinstance(row, Row)] == [1, "two\nlines", 2]
    assert bad(path) == [
        (2, "a", "the text is not UTF-8; save the file as UTF-8"),
        (3, "a", "the text holds a NUL character"),
        (4, "a", "is not a finite number"),
        (6, "", "a column's name is not UTF-8; save the file as UTF-8"),
    ]


def test_a_broken_value_of_a_parquet_file_costs_its_record(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    text = pa.StringArray.from_buffers(3, pa.py_buffer(struct.pack("<4i", 0, 1, 2, 3)), pa.py_buffer(b"a\xffc"))
    parquet.write_table(pa.table({"a": text, "day": pa.array([1, 2, 2**61], pa.timestamp("ms"))}), path)
    assert [row.values["a"] for row in read_file(path) if isinstance(row, Row)] == ["a"]
    why = "cannot be read: text that is not UTF-8, or a date"
    assert bad(path) == [(2, "a", why), (3, "day", why)]


@pytest.mark.parametrize("packed", ["", ".gz", ".zst"])
def test_marks_in_front_of_marks_and_of_lines_are_no_text(tmp_path: Path, packed: str) -> None:
    mark, pack = b"\xef\xbb\xbf", {"": bytes, ".gz": gzip.compress, ".zst": zstd}[packed]
    assert good(write(tmp_path / f"a.csv{packed}", pack(mark * 2 + b"a,b\n1,2\n"))) == [{"a": "1", "b": "2"}]  # type: ignore[operator]
    twice = mark + b'{"a": 1}\n' + mark + b'{"a": 2}\n' + mark
    assert good(write(tmp_path / f"a.jsonl{packed}", pack(twice))) == [{"a": 1}, {"a": 2}]  # type: ignore[operator]
    assert good(write(tmp_path / f"a.txt{packed}", pack(mark + b"x\n" + mark + b"y\n" + mark))) == [
        {"text": "x"},
        {"text": "y"},
    ]  # type: ignore[operator]


def test_a_document_under_the_ending_of_lines_says_which_ending_it_has(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '[\n{"a": 1},\n{"a": 2}\n]\n')
    assert bad(path)[0] == (1, "", "the line is not JSON: Expecting value; a file that is one document ends in .json")


def test_a_quote_that_is_never_closed_costs_one_row_and_not_the_rest(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'a,b\n1,"open\n2,x\n3,"y ""z"""\n4,"two\nlines"\n5,"bad" tail\n6,"\n7,end\n')
    rows = [(r.line, r.values) for r in read_file(path) if isinstance(r, Row)]
    assert rows == [
        (3, {"a": "2", "b": "x"}),
        (4, {"a": "3", "b": 'y "z"'}),
        (5, {"a": "4", "b": "two\nlines"}),
        (9, {"a": "7", "b": "end"}),
    ]
    assert bad(path) == [(line, "", "the quotes are not closed") for line in (2, 7, 8)]


def test_csv_rows_of_another_width_or_encoding_are_set_aside(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b"a,b\n1\n\n1,2,3\n\xff,2\n1,\x00\n1,2\n")
    assert bad(path) == [
        (2, "", "the row has 1 columns where the header has 2"),
        (4, "", "the row has 3 columns where the header has 2"),
        (5, "a", "the text is not UTF-8; save the file as UTF-8"),
        (6, "b", "the text holds a NUL character"),
    ]


def test_long_documents_fit_into_a_csv_column(tmp_path: Path) -> None:
    assert good(write(tmp_path / "a.csv", "a,b\n1," + "x" * 300_000))[0]["b"] == "x" * 300_000


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.csv", b"a,b,a\n1,2,3\n", "column 'a' stands twice in the header"),
        ("a.csv", b"a,,\n1,2,3\n", "columns 2, 3 have no name in the header; name them, or delete them"),
        ("a.json", b'{"d": [{"a": 1}], "d": [{"a": 2}]}', "the key d stands twice at the top; give the lists one key"),
        ("a.csv", b'a,"b\n1,2\n', "a.csv:1: the header's quotes are not closed"),
        ("a.csv", b"a,\xff\n1,2\n", "a.csv:1: the header cannot be read: the text is not UTF-8"),
        ("a.json", b'{"a": 1}', "holds an object with the keys a; wanted: a list of objects"),
        ("a.json", b'[{"a": 1},\n{"a"', "a.json is not JSON: Expecting ':' delimiter at line 2"),
        ("a.json", b"[\xff]", "a.json is not UTF-8 (byte 1); save it as UTF-8"),
        ("a.parquet", b"PAR1 nonsense", "cannot be read as Parquet"),
        ("a.jsonl.gz", b"no gzip", "is a broken or truncated gzip file"),
        ("a.jsonl.gz", gzip.compress(b'{"a": 1}\n' * 9000)[:-20], "is a broken or truncated gzip file"),
        ("a.jsonl.zst", b"no zstd", "is a broken or truncated zstd file"),
        ("a.csv.zst", zstd(b"a,b\n1,2\n" * 9000)[:-4], "is a broken or truncated zstd file"),
        ("a.xlsx", b"", "a.xlsx ends in .xlsx; files are read by ending: .jsonl, .ndjson, .json, .csv"),
        ("a.pdf.gz", b"", "ends in nothing"),
        ("a", b"", "a ends in nothing; files are read by ending"),
        ("a.parquet.gz", b"", "ends in nothing"),
    ],
)
def test_a_file_that_is_broken_as_a_whole_stops_the_run(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    with pytest.raises(DataError) as caught:
        list(read_file(write(tmp_path / name, data)))
    assert said in str(caught.value)


def test_a_parquet_file_with_a_column_twice_stops_the_run(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), path)
    with pytest.raises(DataError, match="'a' stands twice"):
        list(read_file(path))


@on_files
@given(data=st.binary(max_size=300) | st.text(alphabet='{}[]",:;\n\r\t\\ a1é\x00', max_size=80).map(str.encode))
def test_arbitrary_bytes_never_give_a_traceback(tmp_path: Path, data: bytes) -> None:
    for ending in endings():
        with suppress(DataError):
            for row in read_file(write(tmp_path / f"a{ending}", data)):
                assert isinstance(row, Row | Reject)
                if isinstance(row, Row):
                    json.dumps(row.values, allow_nan=False, ensure_ascii=False).encode()


@on_files
@given(lines=st.lists(st.binary(max_size=30).map(lambda b: b.replace(b"\n", b""))))
def test_trap_38_every_line_is_a_row_or_a_reject(tmp_path: Path, lines: list[bytes]) -> None:
    begin = b"\n".join(lines)[:4]
    # then the whole file is of another encoding, as a mark says, or NULs beside letters do
    assume([byte == 0 for byte in begin] not in ([False, True] * 2, [True, False] * 2))
    assume(not begin.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)))
    # or the file is none of text, or its lines end in carriage returns
    assume(not begin.startswith(tuple(_NO_TEXT)))
    assume(len(lines) > 1 or b"\r" not in b"".join(lines))
    wanted = sum(
        bool(line.strip()) for line in [x.removeprefix(b"\xef\xbb\xbf") if not i else x for i, x in enumerate(lines)]
    )
    for ending in (".jsonl", ".txt"):
        path = write(tmp_path / f"a{ending}", b"\n".join(lines))
        assert len(list(read_file(path))) == wanted


cell = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8)


@on_files
@given(rows=st.lists(st.tuples(cell, cell), min_size=1, max_size=6))
def test_what_the_csv_module_writes_is_read_back(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    table = [{"a": a, "b": b} for a, b in rows]
    for ending, delimiter in ((".csv", ","), (".tsv", "\t"), (".csv", ";")):
        text = as_csv(table, delimiter, csv.QUOTE_ALL)
        assert good(write(tmp_path / f"a{ending}", text)) == table


def test_zstd_of_several_frames_is_read_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl.zst", zstd(b'{"a": 1}\n') + zstd(b'{"a": 2}\n'))
    assert good(path) == [{"a": 1}, {"a": 2}]
    with open_unpacked(path) as file:  # readers look at the first bytes and go back
        assert file.read(3) == b'{"a'
        assert file.seek(0) == 0
        assert file.read() == b'{"a": 1}\n{"a": 2}\n'


SHORT = 200


@pytest.fixture
def short_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("lines", "tables"):
        monkeypatch.setattr(f"tunesmith.data.{module}.LONGEST_LINE", SHORT)


@pytest.mark.usefixtures("short_lines")
@pytest.mark.parametrize("packed", ["", ".gz", ".zst"])
def test_lines_past_the_bound_are_set_aside_and_the_rest_is_read(tmp_path: Path, packed: str) -> None:
    def rows(name: str, *texts: str) -> tuple[list[dict[str, Any]], list[tuple[int, str, str]]]:
        path = write(tmp_path / f"{name}{packed}", PACK[packed]("".join(texts).encode()))
        return [row.values for row in read_file(path) if isinstance(row, Row)], bad(path)

    fits, long = "x" * (SHORT - 9), "x" * 3 * SHORT
    objects = [json.dumps({"a": text}) + "\n" for text in ("1", fits, long, "2")]
    kept = [{"a": "1"}, {"a": fits}, {"a": "2"}]
    assert rows("a.jsonl", *objects, objects[2]) == (kept, [(3, "", TOO_LONG), (5, "", TOO_LONG)])
    assert rows("a.txt", "1\n", f"{long}\n", "2") == ([{"text": "1"}, {"text": "2"}], [(2, "text", TOO_LONG)])
    assert rows("a.csv", "a,b\n", f"1,{long}\n", "2,y\n") == ([{"a": "2", "b": "y"}], [(2, "", TOO_LONG)])
    open_quote = "the quotes are not closed"
    assert rows("b.csv", "a,b\n", '1,"open\n', f"{long}\n", "2,y\n") == (
        [{"a": "2", "b": "y"}],
        [(2, "", open_quote), (3, "", TOO_LONG)],
    )
    # a quote that is never closed holds no more than the bound
    many = rows("c.csv", "a,b\n", '1,"open\n', "2,y\n" * SHORT)
    assert many == ([{"a": "2", "b": "y"}] * SHORT, [(2, "", open_quote)])
    with pytest.raises(DataError, match="the header's line is too long"):
        rows("d.csv", long)


def test_texts_past_the_bound_are_set_aside_where_there_are_no_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tunesmith.data.rows.LONGEST_LINE", SHORT)
    table = [{"a": "x" * SHORT, "b": ["y"]}, {"a": "x", "b": ["y" * (SHORT + 1)]}, {"a": "y", "b": []}]
    parquet.write_table(pa.Table.from_pylist(table), tmp_path / "a.parquet")
    write(tmp_path / "a.json", json.dumps(table))
    said = [(2, "b", "the text is longer than 8 MiB; split the document")]
    for name in ("a.parquet", "a.json"):
        read = [row.values for row in read_file(tmp_path / name) if isinstance(row, Row)]
        assert (read, bad(tmp_path / name)) == ([table[0], table[2]], said)


def test_a_long_line_is_never_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunesmith.data.lines.LONGEST_LINE", 2**20)
    path = tmp_path / "a.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(64):
            file.write(b"x" * 2**20)
        file.write(b'\n{"a": 1}\n')
    tracemalloc.start()
    read = list(read_file(path))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [type(row) for row in read] == [Reject, Row]
    assert most < 8 * 2**20


def test_a_file_that_is_read_whole_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunesmith.data.read.LARGEST_WHOLE", 2**20)
    path = write(tmp_path / "a.json", b"[" + b'{"a": 1},' * 2**17 + b'{"a": 2}]')
    with pytest.raises(DataError, match="is larger than 1 MiB and can be read as a whole only"):
        list(read_file(path))


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".txt", ".json"])
@pytest.mark.parametrize("packed", ["", ".gz", ".zst"])
def test_an_empty_file_has_no_rows(tmp_path: Path, ending: str, packed: str) -> None:
    path = write(tmp_path / f"a{ending}{packed}", PACK[packed](b""))
    assert list(read_file(path)) == []
    with pytest.raises(DataError, match=r"data.sources.rows.path: no rows in .*a\."):
        read_sources({"rows": Source(str(path), RawText())})
