"""A run's report: what it says of files made by hand, what is absent, and that nothing in it is obeyed."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tunesmith.report.audited import audited
from tunesmith.report.compared import by_slices, compared, important
from tunesmith.report.intervals import interval
from tunesmith.report.markup import visible, yaml
from tunesmith.report.provenance import data_summary, lock_groups, run_facts
from tunesmith.report.run_files import read_run
from tunesmith.report.run_markdown import code, run_markdown, said
from tunesmith.report.run_page import run_page
from tunesmith.report.run_report import report_of
from tunesmith.report.run_write import write_report
from tunesmith.report.verdict import decision

HOSTILE = "<script>window.hit=1</script></script><img src=x onerror=window.hit=1>\x00\x1b[2J\u202eabc \ud83d `|` \"'"


class Page(HTMLParser):
    """The tags, attributes and text of a page whose tags are closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self.text += " " if tag == "div" else ""
        if tag not in {"meta", "br", "input"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.text += " " if tag in {"div", "dt", "dd", "td", "th", "p"} else ""

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in {"script", "style"}:
            self.text += data


def page(run: Path) -> Page:
    return Page(run_page(report_of(run)))


def flat(text: str) -> str:
    return " ".join(text.split())


Make = Callable[..., Path]
Row = Callable[..., dict[str, Any]]


def test_the_verdict_comes_first_with_each_threshold_and_its_reason(make_run: Make, predicted: Row) -> None:
    text = flat(page(make_run([predicted("1", 0.9, 0.1)])).text)
    assert "Met: 1 of 1 threshold met met f1/score 0.8 ≥ 0.6 because: the plant asks for it" in text
    assert text.index("Met:") < text.index("How much better") < text.index("How it learned")


@pytest.mark.parametrize(
    ("states", "state", "headline"),
    [
        (("met", "met"), "met", "Met: 2 of 2 thresholds met"),
        (("met", "pending"), "pending", "Pending: 1 of 2 thresholds met, 1 pending"),
        (("met", "pending", "undecided"), "undecided", "Undecided: 1 of 3 thresholds met, 1 undecided, 1 pending"),
        (("undecided", "missed"), "missed", "Missed: 0 of 2 thresholds met, 1 missed, 1 undecided"),
        ((), "undecided", "Nothing was decided: the recipe states no success"),
    ],
)
def test_the_worst_threshold_is_the_verdict(states: tuple[str, ...], state: str, headline: str) -> None:
    found = decision({"verdicts": [{"key": "a/b", "state": s, "sentence": "", "because": ""} for s in states]}, {})
    assert (found.state, found.headline) == (state, headline)


def test_without_a_test_the_thresholds_are_shown_as_untested() -> None:
    lock = {"success": {"f1/score": {"between": [0.5, 0.75], "of": "base", "because": "why not"}}}
    found = decision(None, lock)
    assert found.state == "untested"
    assert [(line.key, line.sentence, line.because) for line in found.lines] == [
        ("f1/score", "between 0.500 to 0.750, of base", "why not")
    ]


def test_every_part_that_is_absent_names_the_command_that_runs_it(make_run: Make) -> None:
    everything = ("test/metrics.json", "test/predictions.jsonl", "result.json", "lock.json", "metrics.csv")
    run = make_run([], without=everything)
    text, marked = flat(page(run).text), run_markdown(report_of(run))
    for verb in ("test", "fit", "audit", "prepare"):
        assert f"lightning-cli {verb} --config {run / 'config.yaml'}" in text
        assert f"lightning-cli {verb} --config {run / 'config.yaml'}" in marked
    assert "No losses were logged" in text
    assert "There is no lock.json" in text
    (run / "config.yaml").unlink()
    assert "There is no config.yaml" in page(run).text


def test_where_there_is_no_test_validation_is_shown_and_named(make_run: Make, predicted: Row) -> None:
    run = make_run([predicted("1", 0.9, 0.1)])
    content = json.loads((run / "test/metrics.json").read_text())
    (run / "test").rename(run / "validate")
    (run / "validate/metrics.json").write_text(json.dumps(content | {"split": "validation", "verdicts": []}))
    text, marked = flat(page(run).text), run_markdown(report_of(run))
    assert "Not tested yet: nothing is known" in text
    assert f"The test was not run: lightning-cli test --config {run / 'config.yaml'}" in text
    assert "Measured on 1 row of the validation split." in text
    for said_in in (text, marked):
        assert "What follows is no test: metrics, rows and errors are of the validation split" in said_in
    for title in ("How much better", "Parts of the rows", "Rows that got better and worse", "Errors by kind"):
        assert f"{title}, on validation rows" in text
    for title in ("## Metrics against base", "## Rows that got better and worse"):
        assert f"{title}, on validation rows" in marked
    assert "all are in validate/predictions.jsonl" in text
    assert "f1/score" in text
    # a test is what counts once it is there
    (run / "test").mkdir()
    (run / "test/metrics.json").write_text(json.dumps(content | {"n": 0}))
    tested = flat(page(run).text) + run_markdown(report_of(run))
    assert "validation rows" not in tested
    assert "Met: 1 of 1 threshold met" in tested


@pytest.mark.parametrize(("kept", "now"), [(20, "its weights are of step 20"), (None, "it has not ended yet")])
def test_a_test_of_weights_of_before_is_said_to_be_one(make_run: Make, predicted: Row, kept: Any, now: str) -> None:
    run = make_run([predicted("1", 0.9, 0.1)], metrics={"step": 10})
    assert "trained further" not in page(run).text  # `result.json` says step 10
    (run / "result.json").unlink()
    if kept is not None:
        (run / "result.json").write_text(json.dumps({"complete": True, "kept_step": kept}))
    (run / "audit").mkdir()
    (run / "audit/verdicts.json").write_text(json.dumps({"step": 10, "verdicts": []}))
    text, marked = flat(page(run).text), run_markdown(report_of(run))
    for verb in ("test", "audit"):
        said_of_it = f"The {verb} is of step 10, and the run was trained further since: {now}. Run it again: "
        assert said_of_it + report_of(run).command(verb) in text
    assert "Not tested since it was trained further. Before: Met: 1 of 1 threshold met" in text
    assert "Not tested since it was trained further. Before: Met" in marked
    assert report_of(run).decision.state == "untested"


def test_what_audit_decided_stands_with_the_audits(make_run: Make, predicted: Row) -> None:
    run = make_run([predicted("1", 0.9, 0.1)])
    for folder, state in ((run / "audit", "met"), (run.parent / "audit", "missed")):
        folder.mkdir()
        verdict = {"key": "swap/gap", "state": state, "sentence": "0.1 ≤ 0.2", "because": "fair <all>"}
        (folder / "verdicts.json").write_text(json.dumps({"verdicts": [verdict]}))
    text, marked = flat(page(run).text), run_markdown(report_of(run))
    said_of_it = "as audit decided them met swap/gap 0.1 ≤ 0.2 because: fair <all>"
    assert said_of_it in text
    assert "as audit decided them, of the data alone missed swap/gap" in text
    assert text.index("Audits") < text.index(said_of_it)
    assert "Thresholds, as `audit` decided them:\n\n- met: `swap/gap` 0.1 ≤ 0.2 (because: fair \\<all>)" in marked
    assert "of the data alone:\n\n- missed: `swap/gap`" in marked


def test_files_that_cannot_be_read_are_named(make_run: Make, predicted: Row) -> None:
    run = make_run([predicted("1", 0.9, 0.1)])
    (run / "lock.json").write_text('{"recipe": ')
    (run / "result.json").write_text("[]")
    with (run / "test/predictions.jsonl").open("a") as file:
        file.write('{"id": \n\n')
    assert [trouble.split(":")[0] for trouble in read_run(run).troubles] == ["lock.json", "result.json"]
    text = page(run).text
    assert "Cannot be read: lock.json" in text
    assert "1 line of test/predictions.jsonl cannot be read" in text


def test_metrics_are_drawn_each_on_its_own_scale_with_better_to_the_right() -> None:
    same = {"tuned": 0, "base": 0, "higher_is_better": False, "change": "better"}
    small, large = (
        compared({"m": same | {"difference": -d, "interval": [-1.5 * d, -0.5 * d]}})[0] for d in (0.01, 90.0)
    )
    points = [ElementTree.fromstring(interval(one)).find("circle") for one in (small, large)]
    assert all(point is not None for point in points)
    at = [float(point.get("cx", 0)) for point in points if point is not None]
    assert at[0] == at[1]  # two thirds of the way from the middle to the right
    assert at[0] == pytest.approx(180 + 170 * 2 / 3, abs=0.1)
    lines = ElementTree.fromstring(interval(small)).iter("line")
    ends = next((line.get("x1"), line.get("x2")) for line in lines if line.get("class") == "reach better")
    assert sorted(float(end or 0) for end in ends) == pytest.approx([180 + 170 / 3, 180 + 170], abs=0.1)
    assert "−0.010 (−0.015 to −0.005), better" in interval(small)  # noqa: RUF001
    assert interval(compared({"m": {"tuned": 1.0, "base": None, "difference": None}})[0]) == ""
    without = interval(compared({"m": {"tuned": 1.0, "base": 0.0, "difference": 1.0, "interval": None}})[0])
    assert "no interval" in without
    assert "reach" not in without


def test_the_table_says_all_of_a_comparison(make_run: Make, predicted: Row) -> None:
    other = {"tuned": 0.8, "base": 0.7, "difference": 0.1, "interval": None, "n": 9, "notes": ["few rows"]}
    html = page(make_run([predicted("1", 0.9, 0.1)], metrics={"baselines": {"larger": {"f1/score": other}}}))
    text = flat(html.text)
    for said_there in ("0.500", "0.200", "−0.300", "−0.400 to −0.200", "0.020", "+0.500", "240"):  # noqa: RUF001
        assert said_there in text
    assert "Against base: 1 better, 1 undecided" in text
    assert "Against larger: 1 undecided" in text
    assert "few rows: all metrics" in text


def test_metrics_of_thresholds_come_first_whatever_signs_they_hold() -> None:
    metrics = ["a/x", "k/f1/@urgent", "k/f1/b"]
    assert important(metrics, ["k/f1/b@task", "k/f1/@urgent@task", "gone/y"]) == ["k/f1/b", "k/f1/@urgent", "a/x"]


def test_slices_say_the_smallest_and_how_many_metrics_are_shown(make_run: Make, predicted: Row) -> None:
    assert "By ward: 2 slices, the smallest of 7 rows" in page(make_run([predicted("1", 0.9, 0.1)])).text
    many = [
        {"kind": "task", "value": str(at), "n": at + 3, "metrics": {f"m{m}": {"n": 1} for m in range(20)}}
        for at in range(100)
    ]
    (cut,) = by_slices(many, ["m7", *(f"m{m}" for m in range(20) if m != 7)])
    assert (cut.values, cut.smallest, cut.metrics) == (100, 3, (6, 20))
    assert len(cut.lines) == 600
    assert cut.lines[0][1].name == "m7"


def test_losses_of_tasks_are_drawn_beside_each_other(make_run: Make) -> None:
    run = make_run([])
    lines = ["step,loss,val/loss,val/loss/notes,val/loss/<b>codes", "9,2.5,,,", "9,,2.0,1.5,2.5", "19,1.0,1.8,1.4,2.2"]
    (run / "metrics.csv").write_text("\n".join(lines) + "\n")
    report = report_of(run)
    assert report.tasks == {"<b>codes": [(10, 2.5), (20, 2.2)], "notes": [(10, 1.5), (20, 1.4)]}
    page = run_page(report)
    assert '<i class="task0"></i>&lt;b&gt;codes<i class="task1"></i>notes' in page
    assert page.count('class="curve validation task0"') == page.count('class="curve validation task1"') == 1
    assert page.count('class="dot validation task1"') == 2
    assert "Last validation loss by task: `<b>codes` 2.200, `notes` 1.400" in run_markdown(report)
    (run / "metrics.csv").write_text("step,loss,val/loss,val/loss/notes\n9,,2.0,1.5\n")
    alone = run_page(report_of(run))
    assert "Validation loss by task" not in alone
    assert "task0" not in alone.partition("</style>")[2]


def test_losses_are_drawn_with_what_fit_said(make_run: Make) -> None:
    html = page(make_run([]))
    assert "it rose after that (overfitting); step 10 is kept." in html.text
    assert "step 10 kept" in html.text
    assert html.tags.count("polyline") == 2


def test_nothing_that_rows_models_or_recipes_say_is_markup(make_run: Make, predicted: Row) -> None:
    row = predicted("1", 0.9, 0.1, reference=f"{HOSTILE} x", columns={HOSTILE: HOSTILE})
    row["id"], row["task"] = HOSTILE, HOSTILE
    row["tuned"]["output"] = HOSTILE + " y"
    row[HOSTILE] = {"output": HOSTILE}  # another baseline, of such a name
    row["prompt"] = [{"role": "user", "content": HOSTILE}]
    verdict = {"key": HOSTILE, "state": "missed", "sentence": HOSTILE, "because": HOSTILE}
    slices = [{"kind": HOSTILE, "value": HOSTILE, "n": 1, "metrics": {"f1/score": {"n": 1}}}]
    changed = {"verdicts": [verdict], "slices": slices, "split": HOSTILE, "baselines": {HOSTILE: {HOSTILE: {"n": 1}}}}
    lock = {"recipe": HOSTILE, "packages": {HOSTILE: HOSTILE}}
    run = make_run([row, row], metrics=changed, lock=lock, result={"said": HOSTILE, "stopped_early": HOSTILE})
    (run / "config.yaml").write_bytes(f"a: '{HOSTILE}'\nb: x {HOSTILE}\n# {HOSTILE}\n".encode("utf-8", "replace"))
    finding = {
        "severity": HOSTILE,
        "summary": HOSTILE,
        "advice": HOSTILE,
        "metrics": {HOSTILE: 1},
        "evidence": [HOSTILE],
    }
    table = {"title": HOSTILE, "columns": [HOSTILE], "rows": [[HOSTILE]]}
    (run / "test/findings.json").write_text(json.dumps({HOSTILE: {**finding, "tables": [table]}}))
    write_report(run)
    html = (run / "report.html").read_bytes().decode()
    found = Page(html)
    assert found.tags.count("script") == 1
    assert "img" not in found.tags
    assert not [key for key, _ in found.attributes if key.startswith("on") or key == "src"]
    assert not set(html) & {"\x00", "\x1b", "\ud83d"}
    assert found.text.count("<script>window.hit=1</script>") > 15
    assert "\\ud83d" in found.text
    outside_code = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", (run / "report.md").read_text())
    assert "<" not in outside_code.replace("\\<", "")
    assert "script" in outside_code


def test_the_page_fetches_nothing_and_runs_its_own_script_alone(make_run: Make, predicted: Row) -> None:
    found = page(make_run([predicted("1", 0.9, 0.1)]))
    (policy,) = [value for key, value in found.attributes if key == "content" and value and "default-src" in value]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-")
    assert {v for k, v in found.attributes if k == "href" and v and not v.startswith("#")} <= {
        *("../data/card.html", "README.md", "nist-ai-rmf.md")
    }


def test_what_evaluators_point_at_is_marked_counted_and_shown(make_run: Make, predicted: Row) -> None:
    mark = {"what": "invented", "kind": "numbers", "start": 9, "end": 10, "where": "output"}
    rows = [predicted("7", 0.9, 0.1, tuned={"marks": {"ground": [mark]}}), predicted("8", 0.9, 0.1)]
    run = make_run(rows)
    report = report_of(run)
    html = run_page(report)
    assert html.count('<mark title="ground: invented numbers">7</mark>') >= 2  # among the rows and in the gallery
    text = flat(Page(html).text)
    assert "What evaluators point at is marked too" in text
    assert "ground: invented numbers: 1 of 2 answers of the tuned model, 0 of the base" in text
    assert "ground: invented numbers: 7" in text
    assert "## What evaluators point at\n\n- ground: invented numbers: 1 of 2 answers, 0 of the base" in run_markdown(
        report
    )
    (run / "test/predictions.jsonl").write_text(json.dumps(rows[1]) + "\n")
    assert "point at" not in run_page(report_of(run))


def test_it_can_be_made_again_and_is_the_same(make_run: Make, predicted: Row) -> None:
    run = make_run([predicted(str(at), at / 9, 0.5) for at in range(9)])
    first = write_report(run).read_bytes(), (run / "report.md").read_bytes()
    assert (write_report(run).read_bytes(), (run / "report.md").read_bytes()) == first
    assert not list(run.glob("*.part"))


def test_what_two_verbs_found_alike_is_said_once() -> None:
    same, other = (
        {"severity": "low", "summary": s, "metrics": {"a": 0.5, "b": None}, "evidence": [str(n) for n in range(7)]}
        for s in ("a", "b")
    )
    found = audited({"audit": {"x": same, "y": same}, "test": {"x": same, "y": other}, "nobody": None})
    assert [(one.name, one.where, one.summary) for one in found] == [
        ("x", "audit and test", "a"),
        ("y", "audit", "a"),
        ("y", "test", "b"),
    ]
    assert (len(found[0].evidence), found[0].more_evidence) == (5, 2)
    assert found[0].metrics == (("x/a", "0.500"),)


def test_a_card_of_other_rows_is_told_apart() -> None:
    encoded = {"encoded": {"train": {"rows": 8, "tokens": 80, "dropped": {"too long": 2}, "truncated": 1}}}
    card = {"splits": {"train": {"rows": 8}}, "quality": [{"name": "volume", "score": None, "grade": "unknown"}]}
    assert not data_summary(encoded, card).is_other
    assert data_summary(encoded, {"splits": {"train": {"rows": 9}}}).is_other
    assert data_summary(encoded, card).facts == [("train", "2 left out (too long), 1 cut by data.max_length")]


def test_locks_of_any_depth_and_times_are_facts() -> None:
    lock = {"method": {"a": 1}, "seed": 7, "packages": {"torch": "2"}, "data": {"a": {"b": None}}, "folders": {}}
    assert lock_groups(lock) == [
        ("run", [("seed", "7")]),
        ("packages", [("torch", "2")]),
        ("data", [("a.b", "not set")]),
    ]
    result = {"steps": 1200, "epochs": 1, "seconds": 9000, "processor_seconds": 100, "machine": {"device": "1 x cpu"}}
    assert run_facts(result) == [
        ("trained", "1,200 steps in 1 epoch"),
        ("took", "2 h 30 min, 100 s of processor time"),
        ("device", "1 x cpu"),
    ]


def test_yaml_is_marked_and_otherwise_as_it_stands() -> None:
    text = "a: 1  # why\nb:\n- 'x: <y>'\n- {c: true}\n# end\nurl: http://x:1/#a\n"
    marked = yaml(text)
    assert Page(f"<pre>{marked}</pre>").text == text
    assert '<b class="key">a</b>: <i class="value">1</i>  <i class="comment"># why</i>' in marked
    assert '- <i class="string">&#39;x: &lt;y&gt;&#39;</i>' in marked
    assert "http://x:1/#a" in marked


def test_notes_on_metrics_stand_in_both(make_run: Make, predicted: Row) -> None:
    noted = {"metrics": {"f1/score": {"notes": ["of other tokens: cannot be compared"]}}}
    run = make_run([predicted("1", 0.9, 0.1)], metrics=noted)
    assert "of other tokens: cannot be compared: f1/score" in flat(page(run).text)
    assert "\n- of other tokens: cannot be compared: f1/score\n" in run_markdown(report_of(run))


def test_markdown_shows_texts_as_they_stand() -> None:
    assert said("a|b <c> [d](e) *f*\n# g") == r"a\|b \<c> \[d\](e) \*f\* \# g"
    assert code("a`b``c") == "```a`b``c```"
    assert code("`a`") == "`` `a` ``"
    assert said("x" * 400).endswith("\\[…\\]")


def test_what_cannot_be_seen_is_shown() -> None:
    assert visible("a\r\nb\x00\ud83d\tc") == "a\nb\\x00\\ud83d\tc"


def test_the_verbs_renew_the_report(bench: Any) -> None:
    parts = {"evaluators": {"exact": "ExactMatch"}, "audits": {"balance": "Representation"}}
    success = {"exact/exact_match": {"at_least": 0.0}, "balance/imbalance": {"at_most": 1.0}}
    bench.write(success=success, **parts)
    ran = bench.done("fit", "--config", "tiny.yaml", "--trainer.max_steps", "2")
    (run,) = bench.runs()
    shown = run.relative_to(bench.folder) / "report.html"
    assert f"report      {shown}" in ran.out
    assert json.loads((run / "result.json").read_text())["said"] in ran.out
    assert "The test was not run" in (run / "report.html").read_text()
    # the rows name nobody, so that the audit's metric has no value
    for verb, ends, there in (
        ("audit", 3, "Thresholds, as <code>audit</code> decided them, of the data alone"),
        ("validate", 0, "How much better, on validation rows"),
        ("test", 3, "Missed: 1 of 2 thresholds met, 1 missed"),
    ):
        assert there not in (run / "report.html").read_text()
        ran = bench.done(verb, "--config", "tiny.yaml", "--trainer.max_steps", "2", code=ends)
        assert f"report      {shown}" in ran.out
        assert there in (run / "report.html").read_text()
    assert "(by audit of the data and test)" in (run / "report.html").read_text()
    assert json.loads((run / "test/metrics.json").read_text())["step"] == 2
    further = ("--trainer.max_steps", "4", "--ckpt_path", "last", "--run", str(run), "--relock")
    bench.done("fit", "--config", "tiny.yaml", *further)
    assert json.loads((run / "result.json").read_text())["kept_step"] > 2
    assert "Not tested since it was trained further" in (run / "report.html").read_text()
    (run / "report.md.part").mkdir()  # in the way
    ran = bench.done("test", "--config", "tiny.yaml", "--trainer.max_steps", "4", code=3)
    assert "report.html could not be written" in ran.err
