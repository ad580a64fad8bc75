"""Audits of data, model, outputs and logs: what `success` bounds, `test` and `audit` decide, and each refuses."""

import json
import re
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard

from tunesmith.cli import progress

CONFIG = ("--config", "bounded.yaml", "--plugin", "looks.py")
PLUGINS = '''"""An audit of each kind."""

from tunesmith import Audit, Findings, Measure, Message, Table, hookimpl


class Rows(Audit):
    """Share of examples that name a lamp."""

    def examine(self, subject):
        held = [e for split in subject.examples.values() for e in split]
        lamps = [e.id for e in held if any("lamp" in text for text in e.texts())]
        share = len(lamps) / len(held) if held else float("nan")
        tables = (Table("lamps", ("what", "rows"), (("lamp", len(lamps)),)),)
        said, metrics = f"{len(lamps)} rows name a lamp", {"share": share, "p": 0.04}
        return Findings(said, "low", metrics, tables, tuple(lamps), "swap")

    def produces(self):
        return [Measure("share", [], higher_is_better=False), Measure("p", [])]


class Likely(Audit):
    """Nats a token of one sentence."""

    needs = frozenset({"model"})

    def examine(self, subject):
        ((total, tokens),) = subject.model.logprob([[Message("user", "?"), Message("assistant", "the lamp is on")]])
        return Findings("asked", "none", {"nats": -total / tokens, "p": 0.03})

    def produces(self):
        return [Measure("nats", [], higher_is_better=False), Measure("p", [])]


class Long(Audit):
    """Mean length of outputs in letters."""

    needs = frozenset({"outputs"})

    def examine(self, subject):
        lengths = [len(s.output) for s in subject.outputs or ()]
        mean = sum(lengths) / len(lengths) if lengths else float("nan")
        longest = sorted(subject.outputs or (), key=lambda s: -len(s.output))
        return Findings("measured", "none", {"letters": mean}, evidence=tuple(s.id for s in longest[:7]))

    def produces(self):
        return [Measure("letters", [], higher_is_better=False)]


@hookimpl
def tunesmith_register_audits():
    return [Rows, Likely, Long]
'''
AUDITS = {"rows": "Rows", "likely": "Likely", "long": "Long"}
METRICS = {"rows": "rows/share", "likely": "likely/nats", "long": "long/letters"}


@pytest.fixture
def looked(trained: Any) -> Iterator[Any]:
    """The trained run, with an audit of each kind and no evaluators."""
    (trained.folder / "looks.py").write_text(PLUGINS)
    trained.write("bounded.yaml", audits=AUDITS, evaluators=None)
    yield trained
    (trained.folder / "bounded.yaml").unlink()


def run_of(looked: Any) -> tuple[str, ...]:
    return ("--run", str(looked.runs()[0]))


@pytest.mark.parametrize("name", AUDITS)
def test_test_runs_the_audit_of_each_kind_that_success_names_and_no_other(looked: Any, name: str) -> None:
    run, key = looked.runs()[0], METRICS[name]
    met = looked.done("test", *CONFIG, *run_of(looked), f"--success.{key}.at_most=1e6")
    assert "success: all 1 met" in met.out
    assert json.loads((run / "test/findings.json").read_text()).keys() == {name}
    missed = looked.done("test", *CONFIG, *run_of(looked), f"--success.{key}.at_most=0", code=3)
    assert "success: 1 of 1 not met" in missed.out
    (verdict,) = json.loads((run / "test/metrics.json").read_text())["verdicts"]
    assert (verdict["key"], verdict["state"]) == (key, "missed")


@pytest.mark.parametrize("name", AUDITS)
def test_audit_obeys_the_threshold_of_each_kind(looked: Any, name: str) -> None:
    for bound, code in ((1e6, 0), (0, 3)):
        looked.done("audit", *CONFIG, *run_of(looked), f"--success.{METRICS[name]}.at_most={bound}", code=code)


@pytest.mark.parametrize("verb", ["fit", "test", "audit", "preview"])
@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("rows/shares", "success.rows/shares is not measured by any evaluator or audit; did you mean rows/share?"),
        ("likely/p@task", "asks for a slice, and likely/p is one value of an audit"),
        ("longer/letters", "metrics of this recipe: likely/nats, likely/p, long/letters, rows/p, rows/share"),
    ],
)
def test_a_metric_that_no_audit_produces_is_refused_before_anything_runs(
    looked: Any, verb: str, key: str, said: str
) -> None:
    before = {path.name for path in (looked.folder / "runs").rglob("*")}
    ran = looked.done(verb, *CONFIG, f"--success.{key}.at_least=1", code=2)
    assert said in ran.err
    assert {path.name for path in (looked.folder / "runs").rglob("*")} == before


def log(looked: Any, name: str, answers: Sequence[str], **more: Any) -> str:
    """A log of answers, the last one of now and one an hour before each other."""
    now = datetime.now(UTC)
    rows = [
        {"question": "How is it?", "answer": said, "time": (now - timedelta(hours=len(answers) - at)).isoformat()}
        for at, said in enumerate(answers)
    ]
    (looked.folder / name).write_text("".join(json.dumps(row | more) + "\n" for row in rows))
    return name


def test_logs_are_audited_without_model_and_data(looked: Any) -> None:
    outputs = ("--outputs", log(looked, "now.jsonl", ["the lamp is on", "no"] * 15))
    bounds = ("--success.rows/share.at_most=0.6", "--success.likely/nats.at_most=1")
    rows = looked.folder / "rows.jsonl"
    rows.rename(looked.folder / "away.jsonl")
    try:
        ran = looked.done("audit", *CONFIG, *run_of(looked), *outputs, *bounds)
    finally:
        (looked.folder / "away.jsonl").rename(rows)
    assert "30 logged outputs of now.jsonl" in ran.out
    assert "likely: asks the model, and not what was logged; not judged: likely/nats" in ran.out
    assert "15 rows name a lamp" in ran.out
    assert "success: all 1 met" in ran.out
    missed = looked.done("audit", *CONFIG, *run_of(looked), *outputs, "--success.long/letters.at_most=7.9", code=3)
    assert "success: 1 of 1 not met" in missed.out
    folder = looked.runs()[0] / "logged"
    found = json.loads((folder / "findings.json").read_text())
    assert (found["rows"]["metrics"]["share"], found["long"]["metrics"]["letters"]) == (0.5, 8.0)
    # rows of a log are named and not copied
    assert "lamp is on" not in (folder / "findings.json").read_text()
    assert found["rows"]["evidence"][0] == "now.jsonl:1"


def test_drift_against_earlier_logs_is_one_line_for_a_machine(looked: Any) -> None:
    old, new = ["the lamp is on", "no", "no", "no"] * 10, ["the lamp is on", "the lamp", "no"] * 10
    earlier = ("--baseline", log(looked, "old.jsonl", old))
    words = (*CONFIG, "--outputs", log(looked, "now.jsonl", new), "--json")
    ran = looked.done("audit", *words, *earlier, "--success.rows/share.at_most=0.6", code=3)
    (line,) = ran.out.splitlines()
    said = json.loads(line)
    assert (said["met"], said["rows"], said["set_aside"], said["left_out"]) == (False, 30, 0, ["likely"])
    assert said["baseline"] == {"what": "old.jsonl", "rows": 40}
    assert said["verdicts"][0]["state"] == "missed"
    moved = {one["key"]: one for one in said["drift"]}
    assert moved.keys() == {"rows/share", "long/letters"}
    share = moved["rows/share"]
    assert (share["before"], share["value"], share["change"]) == (0.25, pytest.approx(2 / 3), "worse")
    assert share["interval"][0] < share["difference"] < share["interval"][1]
    assert json.loads((looked.folder / said["written"] / "drift.json").read_text())["drift"] == said["drift"]
    # a threshold that is relative to the base is one relative to the baseline here
    relative = ("--success.long/letters.at_most=2", "--success.long/letters.of=base")
    assert json.loads(looked.done("audit", *words, *earlier, *relative).out)["met"] is True
    alone = looked.run("audit", *words, *relative)
    assert (alone.code, "long/letters.of is base, but no base is measured here" in alone.err) == (2, True)


def test_a_run_is_a_baseline_by_what_it_said_in_its_test(looked: Any) -> None:
    run, words = looked.runs()[0], (*CONFIG, "--outputs", log(looked, "now.jsonl", ["no"] * 25))
    looked.done("test", *CONFIG, *run_of(looked), "--success.long/letters.at_most=1e6")
    ran = looked.done("audit", *words, "--baseline", str(run))
    assert "drift: 25 outputs, against " in ran.out
    assert max(map(len, ran.out.splitlines())) <= 80
    for baseline, said in (("looks.py", "ends in .py"), (str(run.parent), "is not a run directory")):
        assert said in looked.done("audit", *words, "--baseline", baseline, code=2).err


def test_since_parts_a_log_by_time(looked: Any) -> None:
    words = (*CONFIG, "--outputs", log(looked, "now.jsonl", ["the lamp is on"] * 48 + ["no"] * 24), "--since")
    ran = looked.done("audit", *words, "24.5h")
    assert "24 logged outputs of now.jsonl since 24.5h" in ran.out
    assert "against 48 of rows before 24.5h" in ran.out
    assert "holds no row since 2199-01-01" in looked.done("audit", *words, "2199-01-01", code=2).err
    assert "--since yesterday is no time; write a date" in looked.done("audit", *words, "yesterday", code=2).err
    without = looked.done("audit", *CONFIG, "--since", "7d", code=2)
    assert "--since 7d is of logged answers" in without.err


def test_bad_lines_are_set_aside_up_to_the_recipes_limit(looked: Any) -> None:
    name = log(looked, "now.jsonl", ["no"] * 25)
    (looked.folder / name).write_text((looked.folder / name).read_text() + "{broken\n")
    ran = looked.done("audit", *CONFIG, *run_of(looked), "--outputs", name)
    assert "1 of 26 rows of now.jsonl cannot be read and are left out" in ran.err
    (bad,) = (looked.runs()[0] / "logged/rejected.jsonl").read_text().splitlines()
    assert (json.loads(bad)["line"], "broken" in bad) == (26, False)
    refused = looked.done("audit", *CONFIG, "--outputs", name, "--data.reject_limit=0.01", code=2)
    assert "1 of 26 rows cannot be read; data.reject_limit allows 1 %" in refused.err
    only = {"audits": {"rows": None, "long": None}}
    (looked.folder / "asking.yaml").write_text(yaml.safe_dump(only))
    none = looked.done("audit", *CONFIG, "--config", "asking.yaml", "--outputs", name, code=2)
    assert "--outputs now.jsonl is read by no audit of this recipe: likely ask the model" in none.err


def test_base_stands_beside_tuned_and_rows_show_what_was_found(looked: Any) -> None:
    ran = looked.done("audit", *CONFIG, *run_of(looked))
    run = looked.runs()[0]
    found = json.loads((run / "audit/findings.json").read_text())
    assert found["long"]["before"]["what"] == "base"
    assert "before" not in found["rows"]
    assert len(found["long"]["rows"]) == 5
    assert found["rows"]["rows"][0]["origin"].startswith("rows.jsonl:")
    assert "lamp" in found["rows"]["rows"][0]["text"]
    assert "audit long: severity none (base: none)" in ran.out
    # two audits tell a p-value: 0.03 and 0.04, the smaller one twice
    assert [found[name].get("p_among_audits") for name in ("rows", "likely", "long")] == [0.06, 0.06, None]
    assert "corrected for 2 audits (Holm): rows 0.060, likely 0.060" in ran.out
    assert "audit rows: severity low; p 0.060 among all audits: chance may explain it" in ran.out
    beside = looked.done("audit", *CONFIG, *run_of(looked), "--baseline", str(run))
    assert f"audit rows: severity low ({run}: low)" in " ".join(beside.out.split())
    assert json.loads((run / "audit/findings.json").read_text())["likely"]["before"]["what"] == str(run)


def test_a_run_holds_a_card_for_the_hub_and_a_profile_whose_links_resolve(trained: Any) -> None:
    run = trained.runs()[0]
    card, profile = ModelCard.load(run / "README.md"), (run / "nist-ai-rmf.md").read_text()
    assert card.data.pipeline_tag == "text-generation"
    assert "## Load it" in card.text
    assert 'directory = "adapter"' in card.text
    links = re.findall(r"\]\(([^)]*)\)", profile)
    assert {"lock.json", "data.json", "result.json", "config.yaml"} <= set(links)
    assert all((run / link).is_file() for link in links)


def test_the_card_names_the_licence_that_the_base_states(bench: Any, tiny_base: Path) -> None:
    base = bench.folder / "licensed"
    shutil.copytree(tiny_base, base)
    (base / "README.md").write_text("---\nlicense: cc-by-sa-4.0\n---\n# A base\n")
    sources = {name: one | {"licence": "MIT"} for name, one in bench.recipe["data"]["sources"].items()}
    bench.write(model={"base": "./licensed"}, data={"sources": sources}, trainer={"max_steps": 1})
    bench.done("fit", "--config", "tiny.yaml")
    (run,) = bench.runs()
    for place in (run / "adapter", run):
        card = ModelCard.load(place / "README.md")
        assert card.data.license == "cc-by-sa-4.0"
        assert "| the base's licence | `cc-by-sa-4.0` |" in card.text


def test_data_is_audited_before_and_after_curators(bench: Any) -> None:
    (bench.folder / "looks_at_data.py").write_text(PLUGINS)
    copies = 40 * [json.dumps({"prompt": "Report 99: the lamp is on.", "completion": "lamp is on"})]
    rows = bench.folder / "rows.jsonl"
    rows.write_text(rows.read_text() + "\n".join(copies) + "\n")
    data = {"curators": {"same": "ExactDuplicates"}}
    bench.write("bounded.yaml", audits={"rows": "Rows"}, evaluators=None, data=data)
    ran = bench.done("audit", *CONFIG[:2], "--plugin", "looks_at_data.py", "--baseline", "raw")
    found = json.loads((bench.folder / "runs/bounded/audit/findings.json").read_text())["rows"]
    lamps = sum("lamp" in line for line in rows.read_text().splitlines())
    assert found["before"] == {"what": "raw rows", "severity": "low", "metrics": {"share": lamps / 100, "p": 0.04}}
    assert found["metrics"]["share"] == pytest.approx((lamps - 39) / 61)
    shown = next(line.split() for line in ran.out.splitlines() if line.split()[:1] == ["rows/share"])
    assert shown[1:] == [f"{lamps / 100:.3f}", f"{(lamps - 39) / 61:.3f}", f"{(lamps - 39) / 61 - lamps / 100:+.3f}"]


PAIRS = {"pairs": {"class_path": "StereotypePairs", "init_args": {"limit": 12, "min_pairs": 2}}}


def test_a_base_of_which_nothing_was_trained_is_audited_alone(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_SECONDS", 0.0)
    words = ("--config", "bounded.yaml", "--plugin", "alone_looks.py")
    (bench.folder / "alone_looks.py").write_text(PLUGINS)
    bench.write("bounded.yaml", audits={**AUDITS, **PAIRS}, evaluators=None, generation={"batch_size": 4})
    told = bench.done("audit", *words)
    assert f"no run of bounded yet: its base {bench.recipe['model']['base']} is audited alone" in told.out.replace(
        "\n", " "
    )
    written = bench.folder / "runs/bounded/audit-of-base/findings.json"
    found = json.loads(written.read_text())
    assert set(found) == {*AUDITS, *PAIRS}
    assert {table["title"].split(":")[0] for table in found["pairs"]["tables"]} == {"model"}
    assert found["likely"]["metrics"]["nats"] > 0
    assert found["long"]["metrics"]["letters"] >= 0
    assert re.search(r"^pairs: base scores texts \d+/24$", told.err, re.MULTILINE)
    assert re.search(r"^base answers \d/\d", told.err, re.MULTILINE)
    assert not bench.runs("bounded")

    relative = {"likely/nats": {"at_most": 1.0, "of": "base"}}
    bench.write("bounded.yaml", audits=AUDITS, evaluators=None, success=relative)
    refused = bench.done("audit", *words, code=2)
    assert "no base is measured here" in refused.err

    bench.write("bounded.yaml", audits=AUDITS, evaluators=None, success={"likely/nats": {"at_most": 0.0}})
    missed = bench.done("audit", *words, "--json", code=3)
    line = json.loads(missed.out)
    assert (line["met"], set(line["findings"])) == (False, set(AUDITS))
    assert line["findings"]["likely"]["metrics"] == found["likely"]["metrics"]  # the same model, asked anew


def test_a_run_that_another_recipe_made_is_named_and_no_base_is_audited_in_its_place(looked: Any) -> None:
    looked.write("begun.yaml", audits=AUDITS, evaluators=None, seed_everything=99)
    (looked.folder / "runs/begun").symlink_to(looked.runs()[0].parent)
    try:
        refused = looked.done("audit", "--config", "begun.yaml", "--plugin", "looks.py", code=2)
    finally:
        (looked.folder / "runs/begun").unlink()
        (looked.folder / "begun.yaml").unlink()
    assert "no run of begun was made by this recipe" in refused.err
    assert "audited alone" not in refused.out


def test_what_an_untrained_adapter_would_say_is_what_the_base_says(looked: Any) -> None:
    """The base alone, and the base beside a run, are the same model."""
    beside = looked.done("audit", *CONFIG, *run_of(looked), "--json")
    assert json.loads(beside.out)["findings"]["likely"]["metrics"]["nats"] > 0
    bounds = {"likely/nats": {"at_most": 99.0, "of": "base"}}
    looked.write("bounded.yaml", audits={"likely": "Likely"}, evaluators=None, success=bounds)
    looked.done("audit", *CONFIG, *run_of(looked))
    record = json.loads((looked.runs()[0] / "audit/findings.json").read_text())
    looked.write("alone.yaml", audits={"likely": "Likely"}, evaluators=None)
    try:
        alone = looked.done("audit", "--config", "alone.yaml", "--plugin", "looks.py", "--json")
    finally:
        (looked.folder / "alone.yaml").unlink()
    value = json.loads(alone.out)["findings"]["likely"]["metrics"]["nats"]
    assert value == pytest.approx(record["likely"]["before"]["metrics"]["nats"], rel=1e-6)
