"""PDF, DOCX, Markdown and HTML files to rows; broken, encrypted or scanned ones are set aside with the reason."""

import gzip
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunesmith import DataError
from tunesmith.data.intake import read_sources
from tunesmith.data.read import read_file
from tunesmith.data.rows import Reject, Row
from tunesmith.data.sources import Source
from tunesmith_plugins.formatters.auto import Auto
from tunesmith_plugins.formatters.raw_text import RawText

pypdf = pytest.importorskip("pypdf")
docx = pytest.importorskip("docx")

IMAGE = b"<< /Type /XObject /Subtype /Image /Width 1 /Height 1 /ColorSpace /DeviceGray /BitsPerComponent 8 /Length 1 >>"


def pdf(*pages: str | None) -> bytes:
    """A PDF file with such pages; None is a page that is an image."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"", b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    objects.append(IMAGE + b"\nstream\n0\nendstream")
    kids = []
    for text in pages:
        drawn = b"/I Do" if text is None else f"BT /F 12 Tf 72 720 Td ({text}) Tj ET".encode()
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawn), drawn))
        used = b"/XObject << /I 4 0 R >>" if text is None else b"/Font << /F 3 0 R >>"
        box = b"/MediaBox [0 0 612 792]"
        page = b"<< /Type /Page /Parent 2 0 R %s /Resources << %s >> /Contents %d 0 R >>" % (box, used, len(objects))
        objects.append(page)
        kids.append(b"%d 0 R" % len(objects))
    objects[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (b" ".join(kids), len(kids))
    out, places = io.BytesIO(b"%PDF-1.4\n"), []
    out.seek(0, 2)
    for number, content in enumerate(objects, 1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, content))
    table = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.writelines(b"%010d 00000 n \n" % place for place in places)
    out.write(b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, table))
    return out.getvalue()


def locked(data: bytes, password: str) -> bytes:
    writer, out = pypdf.PdfWriter(clone_from=io.BytesIO(data)), io.BytesIO()
    writer.encrypt(user_password=password, owner_password="owner", algorithm="RC4-128")
    writer.write(out)
    return out.getvalue()


def read(path: Path, data: bytes) -> tuple[list[dict[str, Any]], list[tuple[int, str]]]:
    path.write_bytes(data)
    found = list(read_file(path))
    rows = [row.values for row in found if isinstance(row, Row)]
    return rows, [(row.line, row.reason) for row in found if isinstance(row, Reject)]


def test_pages_of_a_pdf_are_rows(tmp_path: Path) -> None:
    rows, rejected = read(tmp_path / "a.PDF", pdf("The lamp is hot.", "", None, "It glows."))
    assert rows == [{"text": "The lamp is hot.", "page": 1}, {"text": "It glows.", "page": 4}]
    assert rejected == [(3, "the page is an image without text; recognise its text (OCR)")]


ENCRYPTED = "the file is encrypted; save it without a password"


def test_a_pdf_that_needs_a_password_is_set_aside_and_one_that_opens_without_is_read(tmp_path: Path) -> None:
    assert read(tmp_path / "a.pdf", locked(pdf("secret"), "word")) == ([], [(1, ENCRYPTED)])
    assert read(tmp_path / "a.pdf", locked(pdf("open"), "")) == ([{"text": "open", "page": 1}], [])


@pytest.mark.parametrize("ending", ["pdf", "docx"])
@pytest.mark.parametrize("data", [b"", b"no document", b"%PDF-1.4\n%%EOF", b"PK\x03\x04 no archive"])
def test_a_broken_document_is_one_row_that_is_set_aside(tmp_path: Path, ending: str, data: bytes) -> None:
    said = f"the file is broken, or no {ending.upper()} file; open it, and save it again"
    assert read(tmp_path / f"a.{ending}", data) == ([], [(1, said)])


def written(change: Callable[[Any], None]) -> bytes:
    document, out = docx.Document(), io.BytesIO()
    change(document)
    document.save(out)
    return out.getvalue()


def report(document: Any) -> None:
    document.core_properties.title = "Lamps"
    document.add_paragraph("About lamps.")
    document.add_heading("State", 1)
    document.add_paragraph("Hot.")
    table = document.add_table(1, 2)
    table.rows[0].cells[0].text, table.rows[0].cells[1].text = "hall", "on"
    document.add_paragraph("Glows.")
    document.add_heading("Nothing below", 2)
    document.add_heading("End", 1)
    document.add_paragraph("Bye.")


def test_headings_of_a_docx_are_rows_with_their_tables(tmp_path: Path) -> None:
    rows, rejected = read(tmp_path / "a.docx", written(report))
    assert rejected == []
    assert rows == [
        {"text": "About lamps.", "title": "Lamps"},
        {"text": "Hot.\nhall | on\nGlows.", "title": "State"},
        {"text": "Bye.", "title": "End"},
    ]


def test_an_encrypted_docx_is_set_aside(tmp_path: Path) -> None:
    assert read(tmp_path / "a.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 500) == ([], [(1, ENCRYPTED)])


def test_a_folder_of_documents_is_a_source_and_broken_ones_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf("The lamp is hot.", "It glows."))
    (tmp_path / "b.pdf").write_bytes(b"broken")
    (tmp_path / "c.docx").write_bytes(written(report))
    paths = [str(tmp_path / "*.pdf"), str(tmp_path / "*.docx")]
    intake = read_sources({"papers": Source(paths, RawText())}, reject_limit=0.2)
    assert intake.counts["papers"]["read"] == 6
    assert intake.counts["papers"]["examples"] == 5
    assert [example.extras for example in intake.examples][:3] == [{"page": 1}, {"page": 2}, {"title": "Lamps"}]
    assert [str(example.origin) for example in intake.examples][1].endswith("a.pdf:2")
    again = read_sources({"papers": Source(paths, Auto())}, reject_limit=0.2)
    assert [example.segments for example in again.examples] == [example.segments for example in intake.examples]


MARKDOWN = "Before.\n\n# The *lamp* #\n\nIt glows.\n\n## State\n\n    hot\n"


@pytest.mark.parametrize(
    ("data", "title"),
    [
        (MARKDOWN.encode(), "The *lamp*"),
        (MARKDOWN.replace("\n", "\r\n").encode("utf-16"), "The *lamp*"),
        (MARKDOWN.replace("\n", "\r").encode(), "The *lamp*"),
        (MARKDOWN.replace("# The *lamp* #", "The lamp\n===").encode(), "The lamp"),
        (b"Nothing but text.\n#tag\n", ""),
    ],
)
def test_a_markdown_file_is_one_row_as_it_is_written(tmp_path: Path, data: bytes, title: str) -> None:
    (row,), rejected = read(tmp_path / "a.md", data)
    assert rejected == []
    assert row["title"] == title
    assert row["text"].endswith("\n\n    hot" if title else "\n#tag")
    assert read(tmp_path / "a.md.gz", gzip.compress(data)) == ([row], [])


PAGE = """<html><head><title>Lamps</title><style>p {}</style></head><body><nav><a href="/">Home</a>
<a href="/b">More</a></nav><article><h1>About lamps</h1><p>The lamp in the hall is hot, and it glows all night long.</p>
<p>Grüße an alle, die nachts noch wach sind und lesen.</p></article><footer>Imprint</footer><script>run()</script>
</body></html>"""


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16"])
def test_a_page_is_one_row_of_what_it_says(tmp_path: Path, encoding: str) -> None:
    pytest.importorskip("trafilatura")
    page = PAGE.replace("<head>", f'<head><meta charset="{encoding}">')
    for ending in ("html", "htm"):
        (row,), rejected = read(tmp_path / f"a.{ending}", page.encode(encoding))
        assert rejected == []
        assert row["title"] in ("Lamps", "About lamps")
        assert "The lamp in the hall is hot, and it glows all night long." in row["text"]
        assert "Grüße an alle" in row["text"]
        assert "run()" not in row["text"]


def test_a_piece_of_a_page_is_read_too(tmp_path: Path) -> None:
    pytest.importorskip("trafilatura")
    assert read(tmp_path / "a.html", b"<p>The lamp is hot.</p>") == ([{"text": "The lamp is hot.", "title": ""}], [])


@pytest.mark.parametrize(
    ("name", "data", "rejected"),
    [
        ("a.md", b"", []),
        ("a.md", b" \n\n", []),
        ("a.md", b"# A\n\xff", [(1, "the text is not UTF-8; save the file as UTF-8")]),
        ("a.md", b"# A\n\0", [(1, "the text holds a NUL character")]),
        ("a.md", b"x" * 5000, [(1, "the document is longer than 8 MiB; split it")]),
        ("a.html", b" ", []),
        ("a.html", b"<html><body></body></html>", [(1, "the page holds no text, or is no HTML")]),
        ("a.html", b"\0\1\2\xff", [(1, "the page holds no text, or is no HTML")]),
        ("a.html", b"<" * 5000, [(1, "the document is longer than 8 MiB; split it")]),
    ],
)
def test_what_is_no_document_of_text_is_set_aside(
    tmp_path: Path, name: str, data: bytes, rejected: list[tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "a.html":
        pytest.importorskip("trafilatura")
    monkeypatch.setattr("tunesmith.data.pages.LONGEST_LINE", 4096)
    assert read(tmp_path / name, data) == ([], rejected)


def test_a_folder_of_markdown_is_a_corpus(bench: Any) -> None:
    (bench.folder / "notes").mkdir()
    for number in range(30):
        text = f"# Lamp {number}\n\nLamp {number} is in hall {number * 7} and glows {number * number} nights.\n"
        (bench.folder / f"notes/{number}.md").write_text(text)
    bench.write(data={"sources": {"notes": {"path": "notes/*.md", "formatter": "Auto"}}}, evaluators=None)
    assert "notes: read as RawText (column text" in bench.done("prepare", "--config", "tiny.yaml").out
    row = json.loads((bench.folder / "runs/tiny/data/train.jsonl").read_text().splitlines()[0])
    assert row["segments"][0]["text"].startswith(f"# {row['extras']['title']}\n\n")


@pytest.mark.parametrize(
    ("ending", "package"), [("pdf", "pypdf"), ("docx", "docx"), ("html", "trafilatura"), ("htm", "trafilatura")]
)
def test_documents_without_their_library_say_what_to_install(
    tmp_path: Path, ending: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"a.{ending}").write_bytes(b"")
    monkeypatch.setitem(sys.modules, package, None)
    extra = "documents" if ending in ("pdf", "docx") else "html"
    with pytest.raises(DataError, match=rf'needs the package .*: pip install "tunesmith\[{extra}\]"'):
        list(read_file(tmp_path / f"a.{ending}"))
