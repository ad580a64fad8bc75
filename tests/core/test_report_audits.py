"""What audits found, in a run's report: worst first, beside what they found elsewhere, with rows and drift."""

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.text import Text

from tunesmith.evaluation.before import EvidenceRow, before_of, recorded
from tunesmith.evaluation.drift import Drift
from tunesmith.evaluation.finding_tables import findings_tables
from tunesmith.evaluation.measure import Findings, Table
from tunesmith.evaluation.records import plain, write_findings
from tunesmith.report.audited import audited
from tunesmith.report.numerals import NOTHING, value
from tunesmith.report.run_markdown import run_markdown
from tunesmith.report.run_page import run_page
from tunesmith.report.run_report import report_of

Make = Callable[..., Path]
HOSTILE = "<b>rude</b> | `x`"


def found(severity: Any, gap: float, p: float) -> Findings:
    table = Table("rates", ("group", "rate", "from", "to"), (("a", 0.5, 0.4, 0.6),))
    metrics = {"gap": gap, "p": p, "empty": float("nan")}
    return Findings(f"gap of {gap}", severity, metrics, (table,), tuple("abcdefg"), "swap the words")


def audited_run(make_run: Make) -> Path:
    run = make_run([])
    findings = {"small": found("low", 0.1, 0.03), "large": found("high", 0.4, 0.001)}
    before = before_of("base", {"large": found("medium", 0.3, 0.2)})
    rows = {"large": [EvidenceRow("a", "rows.jsonl:7", HOSTILE)]}
    write_findings(findings, run / "audit", before, rows)
    write_findings({"large": findings["large"]}, run / "test")
    return run


def words(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page.partition('id="audits"')[2])).split())


def test_findings_stand_worst_first_with_rows_and_what_they_were_before(make_run: Make) -> None:
    report = report_of(audited_run(make_run))
    assert [(one.name, one.where, one.severity) for one in report.audits] == [
        ("large", "audit and test", "high"),
        ("small", "audit", "low"),
    ]
    page, marked = run_page(report), run_markdown(report)
    said = words(page)
    assert "large : severity high , medium of base (by audit and test)" in said
    assert "large/gap 0.300 0.400 +0.100" in said
    assert "group rate from to a 0.500 0.400 0.600" in said
    assert "swap the words" in said
    assert "p 0.001; among all audits 0.002 (Holm)" in said
    assert "rows.jsonl:7 <b>rude</b> | `x`" in said
    assert "<b>rude</b>" not in page
    assert "shown by rows a, b, c, d, e and 2 more" in said
    assert "- `large` (by audit and test): severity high (base: medium). gap of 0.4\n  - to do: swap" in marked
    assert "| `large/gap` | 0.300 | 0.400 | +0.100 |" in marked
    assert "  - shown by rows `a`, `b`, `c`, `d`, `e` and 2 more" in marked


def test_drift_of_logs_stands_with_what_was_decided_by_it(make_run: Make) -> None:
    run = make_run([])
    write_findings({"logs": found("none", 0.1, 0.5)}, run / "logged")
    moved = [
        {**plain({"key": "logs/gap", "value": 0.4, "before": 0.1, "interval": [0.2, 0.4], "p_adjusted": 0.001}),
         "difference": 0.3, "change": "worse"},
        {"key": "logs/few", "value": 0.4, "before": None, "difference": None, "note": HOSTILE, "change": "undecided"},
    ]  # fmt: skip
    drift = {"rows": 1200, "baseline": {"what": "old.jsonl", "rows": 900}, "drift": moved}
    (run / "logged/drift.json").write_text(json.dumps(drift))
    verdict = {"key": "logs/gap", "state": "missed", "sentence": "0.4 > 0.2"}
    (run / "logged/verdicts.json").write_text(json.dumps({"verdicts": [verdict]}))
    report = report_of(run)
    said, marked = words(run_page(report)), run_markdown(report)
    assert "(by audit of logs)" in said
    assert "1,200 logged outputs, against 900 of old.jsonl" in said
    assert "logs/gap 0.100 0.400 +0.300 worse +0.200 to +0.400 0.001" in said
    assert f"logs/few {NOTHING} 0.400 {NOTHING} undecided {HOSTILE} {NOTHING}" in said
    assert "as audit decided them, of logged outputs missed logs/gap 0.4 > 0.2" in said
    assert "The verb audit was not run" not in said
    assert "| `logs/gap` | 0.100 | 0.400 | +0.300 | worse | +0.200 to +0.400 | 0.001 |" in marked
    assert "of logged outputs:\n\n- missed: `logs/gap`" in marked


def test_a_probability_is_never_shown_as_nothing() -> None:
    table = {"title": "t", "columns": ["group", "rate", "p"], "rows": [["a", 1e-5, 1e-5], ["b", 0.5, None]]}
    (one,) = audited({"audit": {"x": {"metrics": {"p": 1e-5, "age_p": 0.25, "gap": 1e-5}, "tables": [table]}}})
    assert one.metrics == (("x/p", "<0.001"), ("x/age_p", "0.250"), ("x/gap", value(1e-5)))
    assert [[text for text, _ in row] for row in one.tables[0].rows] == [
        ["a", value(1e-5), "<0.001"],
        ["b", "0.500", NOTHING],
    ]
    findings = Findings("s", "none", {"p": 1e-5, "gap": 0.5})
    said = [part.plain for part in findings_tables("x", findings) if isinstance(part, Text)]
    assert "metrics: x/p <0.001, x/gap 0.500" in said


def test_chance_is_named_where_severity_rests_on_a_p_value_alone() -> None:
    """A flip rate of 0.3 is severe, and its audit's p says something else: whether one group gains."""

    def head(severity: Any, p: float, among: float) -> str:
        first = next(findings_tables("swap", found(severity, 0.3, p), among=among))
        assert isinstance(first, Text)
        return first.plain.splitlines()[0]

    assert head("low", 0.03, 0.06) == "audit swap: severity low; p 0.060 among all audits: chance may explain it"
    assert head("low", 0.03, 0.04) == head("low", 0.5, 1.0) == "audit swap: severity low"
    assert head("none", 0.03, 0.06) == "audit swap: severity none"


def test_what_stands_in_a_record_is_read_as_before() -> None:
    (one,) = recorded("there", {"x": {"severity": "low", "metrics": {"gap": 0.5, "none": None}}}).values()
    assert (one.what, one.severity, one.metrics["gap"], one.metrics["none"] != one.metrics["none"]) == (
        "there",
        "low",
        0.5,
        True,
    )


def test_files_that_differ_in_what_was_before_alone_say_the_same() -> None:
    bare = {"severity": "low", "summary": "a", "metrics": {"gap": 0.5}}
    beside = bare | {"before": {"what": "base", "severity": "none", "metrics": {"gap": 0.1}}, "p_among_audits": 0.1}
    (one,) = audited({"audit": {"x": beside}, "test": {"x": bare}})
    assert (one.where, one.changes) == ("audit and test", (("x/gap", "0.100", "0.500", "+0.400"),))


def test_drift_says_better_and_worse_by_the_metrics_direction() -> None:
    for higher, change in ((True, "better"), (False, "worse")):
        assert Drift("x/y", 0.5, 0.2, higher, (0.1, 0.5), 0.001, 0.002).change == change
    assert Drift("x/y", 0.5, 0.2, True, (-0.1, 0.5), 0.04, 0.08).change == "undecided"
