"""Drawings and pages: every number is drawn to scale, and nothing that data says is markup."""

import json
import re
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith import Example, Message, Origin, Segment
from tunesmith.data.as_row import as_row
from tunesmith.report.flow import flow
from tunesmith.report.svg import bars, histogram, number, scale
from tunesmith.testing.tiny import make_rows, write_rows

HOSTILE = "<script>alert(1)</script> & \"quoted\" 'so'"


def drawn(svg: str, kind: str) -> list[tuple[float, float]]:
    """Width and height of the bars of a kind."""
    root = ElementTree.fromstring(svg)
    return [(float(r.get("width", 0)), float(r.get("height", 0))) for r in root.iter("rect") if r.get("class") == kind]


def said(svg: str) -> str:
    return " ".join(ElementTree.fromstring(svg).itertext())


def test_bars_of_a_histogram_are_to_scale() -> None:
    svg = histogram([0, 10, 20], {"train": [40, 10], "test": [0, 10]}, "Lengths", "tokens", (15, "limit"))
    tall = [height for _, height in drawn(svg, "bar train")]
    assert tall[0] / tall[1] == pytest.approx(4, rel=0.01)
    assert len(drawn(svg, "bar test")) == 1
    assert "train: 40 rows of 0 to 10 tokens" in said(svg)
    assert "limit" in said(svg)


def test_bars_of_values_are_to_scale_and_the_rest_is_one_bar() -> None:
    values = {f"v{at}": {"train": 20 - at} for at in range(15)}
    svg = bars(values, "Values", most=3)
    widths = [width for width, _ in drawn(svg, "bar train")]
    assert len(widths) == 4
    assert widths[0] / widths[1] == pytest.approx(20 / 19, rel=0.01)
    assert "12 others" in said(svg)
    assert f"{sum(20 - at for at in range(3, 15))} (" in said(svg)


def test_the_flow_says_every_drop_and_narrows() -> None:
    steps = [
        {"name": "read", "what": "f", "in": 100, "out": 90, "drops": {"broken": 10}},
        {"name": "twice", "what": "T", "in": 60, "out": 80, "beside": 30, "additions": {"said twice": 20}},
        {"name": "many", "what": "M", "in": 110, "out": 104, "drops": {f"reason {at}": 1 for at in range(6)}},
    ]
    svg = flow(steps, {"train": 74, "validation": 30}, "Rows")
    kept = [width for width, _ in drawn(svg, "kept")]
    assert [width / kept[0] for width in kept] == pytest.approx([1, 1, 104 / 90], rel=0.01)
    assert drawn(svg, "gone")[0][0] / kept[0] == pytest.approx(10 / 90, rel=0.01)
    assert drawn(svg, "made")[0][0] / kept[0] == pytest.approx(20 / 90, rel=0.01)
    for note in ("−10 broken", "+20 said twice", "and 2 more reasons", "train 74, validation 30"):  # noqa: RUF001
        assert note in said(svg)


@pytest.mark.parametrize(
    "svg",
    [
        histogram([0, 1], {HOSTILE: [1]}, HOSTILE, HOSTILE, (1, HOSTILE)),
        bars({HOSTILE: {"train": 1}}, HOSTILE),
        flow([{"name": HOSTILE, "what": HOSTILE, "in": 1, "out": 0, "drops": {HOSTILE: 1}}], {"train": 0}, HOSTILE),
        scale(7, [(1, None, HOSTILE)], HOSTILE),
    ],
)
def test_data_is_no_markup(svg: str) -> None:
    assert not list(ElementTree.fromstring(svg).iter("script"))
    assert "<script" not in svg


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=30), st.integers(0, 10**7))
def test_any_counts_can_be_drawn(counts: list[int], rows: int) -> None:
    edges = [float(at) for at in range(len(counts) + 1)]
    for svg in (histogram(edges, {"train": counts}, "t", "u"), scale(rows, [(100, 500, "a")], "t")):
        assert not re.search(r"nan|inf\b", svg)
        ElementTree.fromstring(svg)


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (950, "950"), (1200, "1,200"), (12_000, "12k"), (3_400_000, "3.4M"), (0.25, "0.25")]
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text


class Page(HTMLParser):
    """The tags and texts of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_prepare_writes_a_card(bench: Any) -> None:
    rows = [{"prompt": f"Read {n} {HOSTILE}", "completion": f"it is {n % 7}", "ward": "ab"[n % 2]} for n in range(60)]
    rows += [rows[3], {"prompt": "no answer"}, {"prompt": "Read 1", "completion": "\ud83d half"}]
    (bench.folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    bench.write(data={"curators": {"twins": "ExactDuplicates"}, "reject_limit": 0.5})
    recipe = bench.recipe["data"]["sources"]
    name = next(iter(recipe))
    told = f"--data.sources.{name}.licence=CC BY 4.0", f"--data.sources.{name}.approved_by=Dr. B. Wendt"
    ran = bench.done("prepare", "--config", "tiny.yaml", *told)
    directory = next(bench.folder.glob("runs/*/data"))
    card = json.loads((directory / "card.json").read_text())
    html = (directory / "card.html").read_text()
    page = Page(html)
    assert page.open == []
    assert "script" not in page.tags
    assert not [value for key, value in page.attributes if key in {"src", "href"} and value]
    assert HOSTILE not in html
    for fact in ("CC BY 4.0", "Dr. B. Wendt", "ward", "exact duplicate", "rejected.jsonl"):
        assert fact in html
    assert card["steps"][0]["in"] == 63
    assert card["steps"][0]["out"] == 61
    for before, after in zip(card["steps"], card["steps"][1:], strict=False):
        assert before["out"] == after["in"]
    assert card["steps"][-1]["out"] == sum(split["rows"] for split in card["splits"].values())
    lines = {split: (directory / f"{split}.jsonl").read_text().splitlines() for split in card["splits"]}
    assert {split: len(found) for split, found in lines.items()} == {k: v["rows"] for k, v in card["splits"].items()}
    assert [d["name"] for d in card["quality"]] == [
        "relevance",
        "diversity",
        "accuracy (proxies)",
        "consistency",
        "volume",
    ]
    assert all(d["name"] in ran.out for d in card["quality"])
    assert card["balance"][0]["of"] == "ward"
    assert set(card["repeats"]) == {"rows", "exact", "near", "numbers", "rate"}
    assert card["repeats"]["rows"] == card["splits"]["train"]["rows"]
    assert "training rows repeat another: " in html
    assert card["personal data"] is None
    assert "nothing was looked for" in html


def test_the_card_says_which_personal_data_were_found_and_what_curators_remark(bench: Any) -> None:
    rows = [
        {"prompt": f"Call {n % 20}", "completion": f"Mail to anna.{n}@acme.com" if n % 3 else "ok"} for n in range(30)
    ]
    (bench.folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = {"class_path": "Contradictions", "init_args": {"action": "report"}}
    bench.write(data={"curators": {"private": "Anonymise", "same": report}})
    bench.done("prepare", "--config", "tiny.yaml")
    directory = next(bench.folder.glob("runs/*/data"))
    assert json.loads((directory / "card.json").read_text())["personal data"] == {"EMAIL replaced": 20}
    html = (directory / "card.html").read_text()
    assert "EMAIL replaced" in html
    assert "@acme.com" not in html
    assert "<p><code>same</code> found: " in html
    assert "examples say different things of" in html


def test_groups_are_counted_as_they_were_split_and_not_by_what_is_left_of_their_names(bench: Any) -> None:
    rows = [{**row, "patient_id": f"P-{at // 4:07d}"} for at, row in enumerate(make_rows(60))]
    write_rows(bench.folder / "rows.jsonl", rows)
    private = {"class_path": "Anonymise", "init_args": {"columns": {"patient_id": "ID"}}}
    together = {"sources": {"notes": {"formatter": "Auto"}}, "split": {"keep_together": "patient_id"}}
    bench.write(data={**together, "curators": {"private": private}})
    for _ in ("made", "found in the cache"):
        bench.done("prepare", "--config", "tiny.yaml")
        card = json.loads((bench.folder / "runs/tiny/data/card.json").read_text())
        assert card["groups"] == {"column": "patient_id", "rows": 60, "groups": 15, "largest": 4}
    page = (bench.folder / "runs/tiny/data/card.html").read_text()
    assert "60 rows lie in 15 groups by <code>patient_id</code>" in page
    assert "read as PromptCompletion: columns prompt and completion" in page


def test_prepared_rows_hold_all_of_an_example() -> None:
    call = {"tool_calls": [{"name": "find"}]}
    turns = (Message("user", "q"), Message("assistant", "", 0.5, call))
    shared: dict[str, Any] = {"id": "1", "origin": Origin("notes", "notes.jsonl", 4), "task": "t"}
    known = {"id": "1", "origin": "notes.jsonl:4", "task": "t"}
    said = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "", **call, "weight": 0.5}]
    whole = Example(messages=turns, tools=({"name": "find"},), label=0, extras={"n": 1}, **shared)
    assert as_row(whole) == known | {"messages": said, "tools": [{"name": "find"}], "extras": {"n": 1}, "label": 0}
    pair = Example(chosen=turns, rejected=turns[:1], **shared)
    assert as_row(pair) == known | {"chosen": said, "rejected": said[:1]}
    text = Example(segments=(Segment("a", 0.0), Segment("b")), **shared)
    assert as_row(text) == known | {"segments": [{"text": "a", "weight": 0.0}, {"text": "b", "weight": 1.0}]}
