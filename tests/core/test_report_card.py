"""A run's model card and NIST profile: what they say is in the run, and what is not is said to be missing."""

import json
import math
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard

from tunesmith.evaluation.before import before_of
from tunesmith.evaluation.measure import Findings
from tunesmith.evaluation.records import write_findings
from tunesmith.report.model_card import BEGIN, END, with_evidence, write_card
from tunesmith.report.nist import evidence, profile, subcategories
from tunesmith.report.run_report import report_of
from tunesmith.report.run_write import write_report

Make = Callable[..., Path]
Row = Callable[..., dict[str, Any]]
ABSENT = ("test/metrics.json", "test/predictions.jsonl", "result.json", "lock.json", "metrics.csv", "config.yaml")
HOSTILE = "evil\n---\nlicense: mit\n---\n# <b>x</b> | y"
ADAPTER = """---
base_model: acme/tiny
library_name: peft
license: apache-2.0
pipeline_tag: text-generation
---

# LoRA over `acme/tiny`

| | |
|---|---|
| base | `acme/tiny` |

## Load it

```python
directory = "."  # the folder that holds this file
---
```

What people wrote.
"""


def head_of(text: str) -> dict[str, Any]:
    """A card's metadata, as huggingface_hub reads them."""
    return vars(ModelCard(text).data)


def whole(make_run: Make, predicted: Row) -> Path:
    run = make_run([predicted(str(at), at / 9, 0.5) for at in range(9)])
    sources = {"log": {"path": "hf://acme/pumps", "licence": "CC BY 4.0"}, "own": {"path": "rows.jsonl"}}
    curators = {"english": {"class_path": "Language", "init_args": {"languages": ["en"]}}}
    model = {"base": "acme/tiny", "objective": "NextToken", "adapter": {"class_path": "LoRA"}}
    recipe = {"model": model, "data": {"sources": sources, "curators": curators}, "audits": {"gap": "LabelParity"}}
    (run / "config.yaml").write_text(yaml.safe_dump(recipe))
    (run / "data.json").write_text(json.dumps({"encoded": {"train": {"rows": 30, "tokens": 900}}}))
    found = {"gap": Findings("rates differ by 0.3", "high", {"difference": 0.3}, advice="look at the rows")}
    write_findings(found, run / "audit", before_of("raw rows", {"gap": Findings("", "high", {"difference": 0.5})}))
    write_findings(found, run / "logged")
    (run / "logged/drift.json").write_text(json.dumps({"drift": [{"key": "gap/difference"}]}))
    (run / "adapter").mkdir()
    (run / "adapter/README.md").write_text(ADAPTER)
    return run


def test_the_hub_reads_the_card_with_its_results(make_run: Make, predicted: Row) -> None:
    run = whole(make_run, predicted)
    write_report(run)
    card = ModelCard.load(run / "README.md")
    data = card.data
    assert (data.base_model, data.license, data.library_name) == ("acme/tiny", "apache-2.0", "peft")
    assert (data.datasets, data.language, data.metrics) == (["acme/pumps"], ["en"], ["f1/score", "slow/steps"])
    assert data.model_name == "pumps"
    assert [(one.metric_type, one.metric_value, one.dataset_split, one.task_type) for one in data.eval_results] == [
        ("f1/score", 0.8, "test", "text-generation"),
        ("slow/steps", 0.2, "test", "text-generation"),
    ]
    # what the hub writes anew is read as the same
    assert head_of(str(card)) == head_of((run / "README.md").read_text())
    # what lies beside the weights identifies them, and stays
    assert (run / "adapter/README.md").read_text() == ADAPTER


@pytest.mark.parametrize(
    ("licences", "expected"),
    [
        (["CC BY 4.0", "MIT"], {"license": "other", "license_name": "CC BY 4.0, MIT"}),
        (["CC BY 4.0", "cc-by-4.0 "], {"license": "cc-by-4.0"}),
        (["Apache-2.0"], {"license": "apache-2.0"}),
        (["ours alone"], {"license": "other", "license_name": "ours alone"}),
        (["MIT", None], {"license": "unknown"}),
        ([], {"license": "unknown"}),
    ],
)
def test_where_the_base_states_no_licence_that_of_all_sources_counts(
    make_run: Make, predicted: Row, licences: list[str | None], expected: dict[str, str]
) -> None:
    run = whole(make_run, predicted)
    (run / "adapter/README.md").write_text(ADAPTER.replace("license: apache-2.0\n", ""))
    sources = {f"s{at}": {"path": "x.jsonl", "licence": licence} for at, licence in enumerate(licences)}
    (run / "config.yaml").write_text(yaml.safe_dump({"data": {"sources": sources}}))
    head = yaml.safe_load(write_card(report_of(run)).read_text().split("---\n")[1])
    assert {key: head[key] for key in head if key.startswith("license")} == expected


def test_the_card_says_what_the_run_shows(make_run: Make, predicted: Row) -> None:
    run = whole(make_run, predicted)
    text = write_card(report_of(run)).read_text()
    titles = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert titles == ["Intended use", "Data", "Training", "Evaluation", "Bias", "Limitations", "Load it"]
    for part in (
        "source `log`: licence CC BY 4.0",
        "source `own`: licence not stated (`data.sources.own.licence`)",
        "- train: 30 rows, 900 tokens",
        "- adapter: `LoRA`",
        "**Met: 1 of 1 threshold met**, on 9 test rows.",
        "- met: `f1/score` 0.8 ≥ 0.6",
        "| `f1/score` | 0.500 | 0.800 | +0.300 | +0.200 to +0.400 | 0.020 |",
        "- `gap` (by audit and audit of logs): severity high (raw rows: high). rates differ by 0.3",
        "`gap/difference` 0.500 before, 0.300 now",
        "- bias: `gap`, severity high (by audit and audit of logs)",
        "What people wrote.",
    ):
        assert part in text, part
    assert 'directory = "adapter"  # "." where this file lies beside the weights' in text
    assert str(run.parent.parent) not in text


def test_a_card_is_renewed_in_its_place(make_run: Make, predicted: Row) -> None:
    run = whole(make_run, predicted)
    first = write_card(report_of(run)).read_text().replace("What people wrote.", "What they wrote since.")
    (run / "README.md").write_text(first.replace("license: apache-2.0", "license: mit"))
    first = first.replace("license: apache-2.0", "license: mit")
    assert write_card(report_of(run)).read_text() == first
    assert (first.count(BEGIN), first.count(END)) == (1, 1)
    (run / "test/metrics.json").unlink()
    then = write_card(report_of(run)).read_text()
    head = yaml.safe_load(then.split("---\n")[1])
    assert not {"model-index", "metrics"} & head.keys()
    assert "**Not tested: nothing is claimed of how good it is.**" in then
    assert then.endswith("What they wrote since.\n")


def test_without_evidence_nothing_is_claimed(make_run: Make) -> None:
    run = make_run([], without=ABSENT)
    write_report(run)
    text = (run / "README.md").read_text()
    assert yaml.safe_load(text.split("---\n")[1]) == {"license": "unknown"}
    assert head_of(text)["eval_results"] is None
    assert "nothing is claimed of how good it is" in text
    assert "nothing is claimed of how fair it is" in text
    assert text.count("*Missing here: ") == 6
    assert not re.search(r"\d\.\d", text.replace("0.0", ""))
    report = report_of(run)
    assert not any(evidence(report).values())
    said = profile(report)
    assert "evidence for a part of 0;" in said
    assert "](" not in said


def test_a_run_that_was_trained_further_claims_nothing_of_its_old_test(make_run: Make, predicted: Row) -> None:
    run = whole(make_run, predicted)
    record = json.loads((run / "test/metrics.json").read_text())
    (run / "test/metrics.json").write_text(json.dumps(record | {"step": 5}))
    text = write_card(report_of(run)).read_text()
    assert "**Not tested since it was trained further: nothing is claimed" in text
    assert "model-index" not in text
    assert not evidence(report_of(run))["tested"]


def test_texts_of_the_recipe_cannot_become_metadata(make_run: Make, predicted: Row) -> None:
    run = whole(make_run, predicted)
    write_findings({"gap": Findings(HOSTILE, "high", {}, advice=HOSTILE)}, run / "audit")
    verdict = {"key": HOSTILE, "state": "missed", "sentence": HOSTILE, "because": HOSTILE}
    record = json.loads((run / "test/metrics.json").read_text())
    (run / "test/metrics.json").write_text(json.dumps(record | {"verdicts": [verdict]}))
    text = write_card(report_of(run)).read_text()
    assert head_of(text)["license"] == "apache-2.0"
    shown = text.replace("`evil --- license: mit --- # <b>x</b> \\| y`", "code")
    assert r"\<b>" in shown
    assert not re.search(r"(?<!\\)<b>", shown)
    assert with_evidence("no head, no ---\n", report_of(run)).startswith("---\n")


def test_the_framework_is_whole() -> None:
    listed = subcategories()
    numbers = {"GOVERN": (7, 3, 2, 3, 2, 2), "MAP": (6, 3, 5, 2, 2), "MEASURE": (3, 13, 3, 3), "MANAGE": (4, 4, 2, 3)}
    ids = [
        f"{name} {category}.{at}"
        for name, sizes in numbers.items()
        for category, size in enumerate(sizes, start=1)
        for at in range(1, size + 1)
    ]
    assert [one.id for one in listed] == ids
    assert (len(ids), Counter(one.split()[0] for one in ids)) == (
        72,
        {"GOVERN": 19, "MAP": 18, "MEASURE": 22, "MANAGE": 13},
    )
    assert len({one.title for one in listed}) == 72
    # where a run gives evidence, it is said what of it and what remains, and nobody's work is taken off them
    assert all(bool(one.evidence) == bool(one.people) for one in listed)
    assert not any(one.evidence for one in listed if one.id.startswith("GOVERN"))


def test_every_link_of_the_profile_leads_to_a_file_of_the_run(make_run: Make, predicted: Row) -> None:
    run = whole(make_run, predicted)
    (run.parent / "audit").mkdir()
    (run.parent / "audit/findings.json").write_text((run / "audit/findings.json").read_text())
    write_report(run)
    text = (run / "nist-ai-rmf.md").read_text()
    links = re.findall(r"\]\(([^)]*)\)", text)
    assert len(links) >= 18
    assert all((run / link).is_file() for link in links)
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in text.splitlines() if line.startswith("| M")}
    assert "[`audit/findings.json`](audit/findings.json)" in rows["MEASURE 2.11"]
    assert "[`../audit/findings.json`](../audit/findings.json)" in rows["MEASURE 2.11"]
    assert "(logged/findings.json)" in rows["MANAGE 4.1"]
    assert "(README.md)" in rows["MEASURE 2.9"]
    assert rows["MAP 1.1"].endswith("|  | all of it |")
    (run / "logged/drift.json").unlink()
    later = profile(report_of(run))
    assert "tuned beside base: [`test/metrics.json`]" in later
    assert "logged outputs beside those of before" not in later


def test_all_kinds_of_evidence_are_looked_for_and_the_base_is_no_mitigation(make_run: Make, predicted: Row) -> None:
    run = whole(make_run, predicted)
    write_report(run)
    there = evidence(report_of(run))
    assert {kind for one in subcategories() for kind in one.evidence} == there.keys()
    assert all(there.values())
    gap = {"gap": Findings("even", "none")}
    write_findings(gap, run / "audit", before_of("base", gap))
    assert evidence(report_of(run))["compared"] == []
    write_findings(gap, run / "audit", before_of("/home/ann/runs/pumps/2026", gap))
    assert "(pumps/2026: none)" in write_card(report_of(run)).read_text()


def test_an_audit_that_had_too_little_to_judge_is_no_evidence(make_run: Make, predicted: Row) -> None:
    run = whole(make_run, predicted)
    nothing = {"gap": Findings("fewer than two groups have 20 examples", "none", {"difference": math.nan})}
    write_findings(nothing, run / "audit")
    write_findings(nothing, run / "logged")
    write_report(run)
    there = evidence(report_of(run))
    assert (there["audited"], there["logged"]) == ([], [])
    card, page = (run / "README.md").read_text(), (run / "report.html").read_text()
    assert "severity none, nothing judged. fewer than two groups" in card
    assert ">none, nothing judged</span>" in page
    write_findings(nothing | {"other": Findings("even", "none", {"gap": 0.0})}, run / "audit")
    assert evidence(report_of(run))["audited"] == ["audit/findings.json"]


def test_findings_of_weights_that_were_trained_further_are_said_to_be_so(make_run: Make, predicted: Row) -> None:
    run = whole(make_run, predicted)
    (run / "audit/verdicts.json").write_text(json.dumps({"step": 4, "verdicts": []}))
    text = write_card(report_of(run)).read_text()
    assert "- `gap` (by audit of step 4 (trained further since) and audit of logs): severity high" in text
    (run / "audit/verdicts.json").write_text(json.dumps({"step": 10, "verdicts": []}))
    assert "of step" not in write_card(report_of(run)).read_text().partition("## Bias")[2].partition("## Lim")[0]


@pytest.mark.parametrize("other", [{"data": {"log": "sha256:2"}}, {"options": {"curators": {}}}])
def test_an_audit_of_other_rows_is_no_evidence(make_run: Make, predicted: Row, other: dict[str, Any]) -> None:
    """As after another recipe of the name, or an overlay: what it found says nothing of this run."""
    run = whole(make_run, predicted)
    lock = json.loads((run / "lock.json").read_text())
    (run / "lock.json").write_text(json.dumps(lock | {"data": {"log": "sha256:1"}, "method": {"data": {"split": {}}}}))
    found = {"rows": Findings("rates differ", "high", {"difference": 0.3})}
    write_findings(found, run.parent / "audit")
    same = {"data": {"log": "sha256:1"}, "options": {"split": {}}}
    for looked_at, audits in ((same, {"gap", "rows"}), (same | other, {"gap"})):
        (run.parent / "audit/verdicts.json").write_text(json.dumps({"looked_at": looked_at, "verdicts": []}))
        write_report(run)
        report = report_of(run)
        assert {one.name for one in report.audits} == audits
        assert ("../audit/findings.json" in evidence(report)["audited"]) == ("rows" in audits)
        page = (run / "report.html").read_text()
        assert ("looked at other rows than this run" in page) == ("rows" not in audits)


@pytest.mark.parametrize(
    ("gone", "kinds"),
    [
        ("test/metrics.json", {"tested", "verdicts"}),
        ("audit/findings.json", {"audited", "compared"}),
        ("logged/findings.json", {"logged"}),
        ("logged/drift.json", {"drift"}),
        ("data.json", {"data"}),
        ("result.json", {"trained"}),
        ("lock.json", {"lock"}),
        ("config.yaml", {"recipe"}),
    ],
)
def test_evidence_goes_with_its_file(make_run: Make, predicted: Row, gone: str, kinds: set[str]) -> None:
    run = whole(make_run, predicted)
    write_card(report_of(run))
    (run / gone).unlink()
    there = evidence(report_of(run))
    assert {kind for kind, names in there.items() if not names} == kinds
