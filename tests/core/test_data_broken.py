"""Broken files as people have them: each row is read right, or set aside and counted by its reason."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunesmith.data.intake import Intake, read_sources
from tunesmith.data.lines import TOO_LONG
from tunesmith.data.sources import Source
from tunesmith_plugins.formatters.auto import Auto
from tunesmith_plugins.formatters.prompt_completion import PromptCompletion

LONGEST = 4096
GOOD = {"prompt": "a", "completion": "b"}
# Each kind of line, and why it is set aside; nothing for what is read.
LINES: dict[bytes, str] = {
    json.dumps(GOOD).encode(): "",
    b'{"prompt": "a", "completion": "b", "more": {"deep": [[[[[1]]]]]}}': "",
    b'  {"prompt": "\\u00e9 \xf0\x9f\x92\xa1", "completion": 5}\r': "",
    b'{"prompt": "\xff", "completion": "b"}': "the line is not UTF-8; save the file as UTF-8",
    b'{"prompt": "a\\u0000", "completion": "b"}': "prompt: the text holds a NUL character",
    b'{"prompt": "a\x00", "completion": "b"}': "the line is not JSON: Invalid control character at",
    b'{"prompt": "a", "completion": NaN}': "completion: is not a finite number",
    b'{"prompt": "a", "prompt": "c", "completion": "b"}': "prompt: a key stands twice in one object",
    b'{"prompt": "a", "completion": "b", "n": ' + b"[" * 60 + b"]" * 60 + b"}": "n: is nested more than 32 deep",
    b'{"prompt": "a", "completion": ' + b"[" * 3000: "the line is not JSON: it is nested too deep",
    b'{"prompt": "' + b"x" * LONGEST + b'", "completion": "b"}': TOO_LONG,
    b'{"prompt": "a", "completion"': "the line is not JSON: Expecting ':' delimiter",
    b'["a", "b"]': "the row is no JSON object but a list",
    b'{"messages": [{"role": "user", "content": "a"}]}': "prompt: is not a column",
    b'{"prompt": "a"}': "completion: is not a column",
    b'{"prompt": "a", "completion": " "}': "completion: is empty",
    b'{"prompt": "a", "completion": "b", "images": ["a.png"]}': (
        "images: holds images; only text is read: say it in words, or leave such rows out"
    ),
}


@pytest.fixture(autouse=True)
def short_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunesmith.data.lines.LONGEST_LINE", LONGEST)
    monkeypatch.setattr("tunesmith.data.tables.LONGEST_LINE", LONGEST)


def counted(intake: Intake, folder: Path) -> dict[str, Any]:
    """The counts of the only source, once it is sure that they and `rejected.jsonl` add up."""
    counts = intake.counts["rows"]
    assert counts["read"] == counts["examples"] + counts["rejected"]
    assert counts["examples"] == len(intake.examples)
    intake.rejected.write(folder / "rejected.jsonl")
    written = [json.loads(line) for line in (folder / "rejected.jsonl").read_text().splitlines()]
    assert len(written) == counts["rejected"] == sum(counts["reasons"].values())
    places = [entry["line"] for entry in written] + [example.origin.line for example in intake.examples]
    assert len(set(places)) == len(places)
    return counts


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    picked=st.lists(st.sampled_from(sorted(LINES)), max_size=12),
    packed=st.sampled_from(["", ".gz", ".zst"]),
    blank=st.sampled_from([b"", b"\n", b" \n\n"]),
)
def test_every_line_is_read_or_counted_by_its_reason(
    tmp_path: Path, picked: list[bytes], packed: str, blank: bytes
) -> None:
    lines = [next(iter(LINES)), *picked]
    data = b"\n".join(lines) + b"\n" + blank
    pack = {"": bytes, ".gz": gzip.compress, ".zst": lambda raw: pa.Codec("zstd").compress(raw, asbytes=True)}
    path = tmp_path / f"rows.jsonl{packed}"
    path.write_bytes(pack[packed](data))  # type: ignore[operator]
    counts = counted(read_sources({"rows": Source(str(path), PromptCompletion())}, reject_limit=1), tmp_path)
    wanted = Counter(LINES[line] for line in lines)
    good = wanted.pop("")
    assert (counts["read"], counts["examples"], counts["reasons"]) == (len(lines), good, dict(wanted))


CELLS = st.sampled_from(
    ["a", '"a"', '"a ""b"""', '"a\nb"', '"open', 'a"b', "\x00", "é", "x" * LONGEST, "", "nan", "1;2"]
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.lists(CELLS, min_size=1, max_size=3).map(",".join), max_size=8), formatter=st.booleans())
def test_tables_with_stray_quotes_lose_no_line_without_a_count(
    tmp_path: Path, rows: list[str], formatter: bool
) -> None:
    text = "\n".join(["prompt,completion", "a,b", *rows]) + "\n"
    (tmp_path / "rows.csv").write_bytes(text.encode())
    source = Source(str(tmp_path / "rows.csv"), Auto() if formatter else PromptCompletion())
    counts = counted(read_sources({"rows": source}, reject_limit=1), tmp_path)
    assert counts["examples"] >= 1
    assert counts["read"] <= text.count("\n") - 1
