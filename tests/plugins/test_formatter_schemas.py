"""The table of row schemas says the truth: what reads each row, what becomes of it, and whether Auto finds that."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

import tunesmith_plugins.formatters
from tunesmith import DataError, Example, Formatter, Message, Origin, RowError, recognise
from tunesmith.data.annotation import TOOLS, tasks
from tunesmith.data.intake import Intake, read_sources
from tunesmith.data.sources import Source, rename
from tunesmith.plugins.catalog import Catalog
from tunesmith_plugins.formatters.auto import Auto

TABLE = Path(tunesmith_plugins.formatters.__file__).with_name("SCHEMAS.md")
BUILTINS: list[Any] = [e.cls for e in Catalog.load(allow=()).entries if e.kind == "formatter" and e.builtin]


class Entry(NamedTuple):
    schema: str
    rows: list[dict[str, Any]]
    formatter: str
    becomes: str
    auto: str

    @property
    def row(self) -> dict[str, Any]:
        """The row that is shown; others stand before it in its source."""
        return self.rows[-1]


def entries() -> list[Entry]:
    found = []
    for line in TABLE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if len(cells) == 5 and cells[1].startswith("`{"):
            rows = [json.loads(row) for row in re.findall(r"`(\{.*?\})`", cells[1])]
            found.append(Entry(cells[0], rows[::-1], *cells[2:]))
    return found


ENTRIES = entries()
READ = [entry for entry in ENTRIES if not entry.formatter.startswith("refused")]
REFUSED = [entry for entry in ENTRIES if entry.formatter.startswith("refused")]


def named(spec: str) -> tuple[Formatter, dict[str, str]]:
    """The formatter that a cell names, and the columns that it maps."""
    said, _, names = spec.strip("`").partition(", map:")
    value = yaml.safe_load(said)
    name, options = (value, {}) if isinstance(value, str) else (value["class_path"], value["init_args"])
    (cls,) = [each for each in BUILTINS if each.__name__ == name]
    return cls(**options), yaml.safe_load(names) if names else {}


def told(turns: tuple[Message, ...]) -> str:
    def parts(turn: Message) -> str:
        return f"({' '.join(f'{length}*{weight:g}' for length, weight in turn.spans)})" if turn.spans else ""

    return " ".join(m.role[0] + ("" if m.weight is None else f"*{m.weight:g}") + parts(m) for m in turns)


def becomes(example: Example) -> str:
    if example.chosen:
        return f"{told(example.chosen)} / {told(example.rejected)}"
    text = " ".join(["text", *(f"*{s.weight:g}" for s in example.segments)])
    label = "" if example.label is None else f", label {json.dumps(example.label)}"
    return (text if example.segments else told(example.messages)) + label


def test_the_table_is_whole() -> None:
    rows = [line for line in TABLE.read_text().splitlines() if line.startswith("| ")]
    assert len(ENTRIES) == len(rows) - 1
    assert len(READ) > 45
    used = {type(named(entry.formatter)[0]).__name__ for entry in READ}
    assert used >= {cls.__name__ for cls in BUILTINS} - {"Auto"}


# Names of the page of formats that other trainers document, and how rows of the table are called that stand for them.
DOCUMENTED = (
    "alpaca",
    "sharegpt",
    "sharegpt, ms-swift's",
    "OpenAI messages (chatml)",
    "tool calls inside",
    "Anthropic tool use",
    "per-turn loss, axolotl",
    "per-turn loss, ms-swift",
    "harmony",
    "prompt / completion",
    "query / response",
    "input_output (template-free)",
    "pre-tokenised",
    "raw text",
    "preference, explicit",
    "preference, implicit",
    "preference, LLaMA-Factory alpaca",
    "preference, LLaMA-Factory sharegpt",
    "preference, axolotl chat_template.default",
    "preference, argilla",
    "preference, intel",
    "preference, icr",
    "preference, ultra",
    "preference, swift",
    "ranked answers (nectar)",
    "unpaired (KTO)",
    "stepwise (PRM)",
    "prompt-only (RL)",
    "text / label",
    "csv + parent chain",
    "features table",
    "context QA",
    "multimodal, paths",
    "grounding",
    "embedding",
    "embedding, ms-swift; reranker",
    "oasst",
    "gpteacher",
    "jeopardy",
    "summarizetldr",
    "open_orca",
    "metharme",
    "reflection",
    "explainchoice",
    "creative_acr, answer",
    "creative_acr",
)


def test_every_documented_format_stands_in_the_table() -> None:
    schemas = [entry.schema for entry in ENTRIES]
    assert [name for name in DOCUMENTED if name not in schemas] == []
    assert len(set(schemas)) == len(schemas)


def read(entry: Entry, folder: Path, formatter: Formatter, names: dict[str, str] | None = None) -> Intake:
    """What a file of the entry's rows is read as."""
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in entry.rows))
    return read_sources({"rows": Source(str(file), formatter, names)}, formatters=BUILTINS)


@pytest.mark.parametrize("entry", READ, ids=lambda e: e.schema)
def test_a_file_is_read_as_the_table_says(entry: Entry, tmp_path: Path) -> None:
    formatter, names = named(entry.formatter)
    found = read(entry, tmp_path, formatter, names)
    example = list(found.examples)[-1]
    assert (becomes(example), len(found.examples)) == (entry.becomes, len(entry.rows))
    if len(entry.rows) == 1:
        assert formatter.question(rename(entry.row, names)) == formatter.format(rename(entry.row, names))
    if entry.auto == "no":
        with pytest.raises(DataError, match=r"no formatter recognises the columns: (?s:.*)\nname a formatter"):
            read(entry, tmp_path, Auto())
        return
    itself = read(entry, tmp_path, Auto())
    (choice,) = itself.counts["rows"]["read as"]
    by_itself = list(itself.examples)[-1]
    if entry.auto == "yes":
        assert by_itself == example
        assert choice["formatter"] == type(formatter).__name__
    else:
        assert choice["formatter"] == entry.auto.split("`")[1]
        assert by_itself != example
    assert all(name in entry.row for name in choice["columns"])
    assert choice["why"].startswith("column") or choice["columns"][0] in choice["why"]


@pytest.mark.parametrize("entry", REFUSED, ids=lambda e: e.schema)
def test_a_row_that_is_refused_is_so_by_name_and_by_every_formatter(entry: Entry, tmp_path: Path) -> None:
    field = entry.formatter.removeprefix("refused: ").partition(";")[0]
    fields, reasons = set(), set()
    for cls in BUILTINS:
        for formatter in cls.trial_instances():
            if cls is Auto:
                continue
            with pytest.raises(RowError) as caught:
                formatter.format(entry.row)
            fields.add(caught.value.field)
            reasons |= {caught.value.reason} if caught.value.field == field else set()
    assert field in fields
    (reason,) = reasons
    assert ";" in reason or ":" in reason, "it says what to do"
    # by itself as well: none is found, or the one that is found sets the row aside
    with pytest.raises(DataError) as told:
        read(entry, tmp_path, Auto())
    assert reason in str(told.value)


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("entry", READ, ids=lambda e: e.schema)
def test_annotators_who_agree_give_the_example_back(tool: str, entry: Entry, tmp_path: Path) -> None:
    formatter, names = named(entry.formatter)
    example = list(read(entry, tmp_path, formatter, names).examples)[-1]
    asked = example.label is None and bool(example.messages) and example.messages[-1].role != "assistant"
    (task,) = tasks(tool, [example], {"tuned": ["Yes."]} if asked else None)  # type: ignore[arg-type]
    if asked:
        example = example.with_(messages=(*example.messages, Message("assistant", "Yes.")))
    better = {"type": "pairwise", "from_name": "better", "value": {"selected": "left"}}
    results = task["predictions"][0]["result"] if "predictions" in task else [better]
    row = {**task, "answer": "accept"} if tool == "prodigy" else {**task, "annotations": [{"result": results}]}
    (tmp_path / "done.json").write_text(json.dumps([row]))
    back = read_sources({"rows": Source(str(tmp_path / "done.json"), Auto())}, formatters=BUILTINS)
    (choice,) = back.counts["rows"]["read as"]
    assert choice["formatter"] == {"prodigy": "Prodigy", "label-studio": "LabelStudio"}[tool]
    assert list(back.examples) == [example.with_(origin=Origin("rows", str(tmp_path / "done.json"), 1))]


@pytest.mark.parametrize("at", range(len(READ)), ids=[e.schema for e in READ])
def test_a_mixed_set_reads_each_row_as_alone(at: int) -> None:
    one, other = READ[at], READ[(at + 7) % len(READ)]
    if not one.auto == other.auto == "yes":
        return
    try:
        both = recognise([one.row, other.row, one.row], BUILTINS)
    except DataError:
        pytest.fail("each was recognised alone")
    names = {choice.name for choice in both.choices}  # type: ignore[attr-defined]
    for entry in (each for each in (one, other) if len(each.rows) == 1):
        alone = recognise([entry.row], BUILTINS)
        if {c.name for c in alone.choices} <= names:  # type: ignore[attr-defined]
            assert both.format(entry.row) == alone.format(entry.row)
