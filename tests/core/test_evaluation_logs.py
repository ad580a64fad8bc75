"""Production logs of many shapes, and how audits' metrics drift between two of them."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tunesmith import Audit, Example, Findings, Measure, Message, RowError, Sample, Subject
from tunesmith.errors import DataError
from tunesmith.evaluation.drift import GROUPS, Drift, drifts
from tunesmith.evaluation.log_rows import log_row, seconds
from tunesmith.evaluation.logs import Logs, parted, read_logs
from tunesmith.evaluation.student import quantile, two_sided

ASKED = [{"role": "user", "content": "Who?"}]
REPLY = {"role": "assistant", "content": "Ann."}


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Who?", "output": "Ann."},
        {"question": "Who?", "answer": "Ann."},
        {"input": "Who?", "prediction": "Ann."},
        {"query": "Who?", "response": "Ann."},
        {"instruction": "Who?", "completion": "Ann."},
        {"prompt": ASKED, "completion": [REPLY]},
        {"messages": [*ASKED, REPLY]},
        {"messages": ASKED, "response": "Ann."},
        {"conversations": [{"from": "human", "value": "Who?"}, {"from": "gpt", "value": "Ann."}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Who?"}, {"type": "image"}]}, REPLY]},
        {"request": {"model": "m", "messages": ASKED}, "response": {"choices": [{"message": REPLY}], "model": "m"}},
        {"request": {"prompt": "Who?"}, "response": {"choices": [{"text": "Ann."}]}},
        {"request": {"body": {"messages": ASKED}}, "response": {"body": {"choices": [{"message": REPLY}]}}},
        {"request": {"messages": ASKED}, "response": {"role": "assistant", "content": [{"text": "Ann."}]}},
        {"input": "Who?", "response": {"output": [{"content": [{"type": "output_text", "text": "Ann."}]}]}},
        {"inputs": {"question": "Who?"}, "outputs": {"answer": "Ann."}},
        {"prompt": ASKED, "tuned": {"output": "Ann."}, "base": {"output": "Bob."}, "reference": "Ann."},
    ],
)
def test_shapes_of_logs_that_people_have(row: dict[str, Any]) -> None:
    read = log_row(row)
    assert ([(turn.role, turn.content) for turn in read.prompt], read.output) == ([("user", "Who?")], "Ann.")


def test_what_else_stands_in_a_row_is_kept_for_audits() -> None:
    row = {"id": 7, "prompt": "Who?", "system": "Be brief.", "output": "yes", "ward": "a", "metadata": {"age": 40}}
    read = log_row(row | {"label": ["x", "y"], "created": 1700000000, "none": None})
    assert (read.id, read.time, read.label) == ("7", 1700000000.0, ("x", "y"))
    assert [turn.role for turn in read.prompt] == ["system", "user"]
    assert dict(read.columns) == {"ward": "a", "age": 40, "created": 1700000000}
    assert log_row({"text": "I was there", "prediction": 1}).output == "1"
    assert log_row({"output": "alone"}).prompt == ()
    base = {"prompt": ASKED, "tuned": {"output": "Ann."}, "base": {"output": "Bob."}, "columns": {"g": "f"}}
    assert (log_row(base, "base").output, dict(log_row(base).columns)) == ("Bob.", {"g": "f"})


@pytest.mark.parametrize(
    ("row", "field", "said"),
    [
        ({"prompt": "secret"}, "", "no answer"),
        ({"messages": ASKED}, "messages", "ends with no answer"),
        ({"messages": ["secret"]}, "messages", "no turn"),
        ({"messages": [{"role": "secret", "content": "x"}]}, "messages", "unknown role"),
        ({"prompt": "x", "output": {"a": 1}}, "output", "holds no text"),
        ({"prompt": "x", "response": {"choices": []}}, "choices", "holds no answer"),
    ],
)
def test_rows_that_are_not_understood_are_refused_by_field_without_their_text(
    row: dict[str, Any], field: str, said: str
) -> None:
    with pytest.raises(RowError) as error:
        log_row(row)
    assert (error.value.field, said in error.value.reason) == (field, True)
    assert "secret" not in error.value.reason


def test_times_are_read_as_logs_write_them() -> None:
    same = [1764411456, 1764411456.0, 1764411456000, "1764411456", "2025-11-29T10:17:36Z", "2025-11-29 10:17:36"]
    assert {seconds(value) for value in same} == {1764411456.0}
    assert seconds("2025/11/29") == seconds("2025-11-29")
    assert all(math.isnan(seconds(value)) for value in ("last week", True, None, [1], float("nan")))
    assert log_row({"output": "x", "time": "12 ms", "created_at": "2025-11-29"}).time == seconds("2025-11-29")


def write(path: Path, rows: Sequence[Any]) -> Path:
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return path


def test_bad_lines_are_set_aside_with_file_line_and_reason(tmp_path: Path) -> None:
    rows = [{"id": "a", "prompt": "Who?", "output": "Ann."}, "{broken", {"id": "a", "output": "again"}, {"x": 1}]
    logs = read_logs(write(tmp_path / "log.jsonl", rows))
    assert [sample.id for sample in logs.samples] == ["a", "log.jsonl:3"]
    assert [(reject.line, reject.field) for reject in logs.rejects] == [(2, ""), (4, "")]
    assert logs.examples[0].reference == "Ann."
    assert str(logs.examples[1].origin) == "log.jsonl:3"
    assert [example.label for example in read_logs(tmp_path / "log.jsonl", classes=True).examples] == ["Ann.", "again"]
    with pytest.raises(DataError, match=r"no row of .*log\.jsonl can be read.*\n.*:1: no answer"):
        read_logs(write(tmp_path / "log.jsonl", [{"x": 1}]))
    with pytest.raises(DataError, match="is no file"):
        read_logs(tmp_path / "nowhere.jsonl")


def test_logs_are_parted_by_time(tmp_path: Path) -> None:
    rows = [{"output": str(at), "ts": at} for at in (1000, 3000, 2000)]
    late, early = parted(read_logs(write(tmp_path / "log.jsonl", rows)), 2000)
    assert ([s.output for s in late.samples], [s.output for s in early.samples]) == (["3000", "2000"], ["1000"])
    timeless = read_logs(write(tmp_path / "log.jsonl", [*rows, {"output": "x"}]))
    with pytest.raises(DataError, match=r"1 of 4 say none, first log\.jsonl:4"):
        parted(timeless, 2000)


class Share(Audit):
    """Share of outputs that say yes, of all and the larger of two groups' shares."""

    needs = frozenset({"examples", "outputs"})

    def examine(self, subject: Subject) -> Findings:
        said = [(s.output == "yes", s.extras.get("g")) for s in subject.outputs or ()]
        of = [[yes for yes, group in said if group == name] for name in ("a", "b")]
        shares = [sum(part) / len(part) if part else math.nan for part in of]
        share = sum(yes for yes, _ in said) / len(said) if said else math.nan
        return Findings("", "none", {"share": share, "gap": abs(shares[0] - shares[1]), "p": 0.5})

    def produces(self) -> list[Measure]:
        return [Measure("share", [], higher_is_better=False), Measure("gap", []), Measure("p", [])]


def logs_of(random: np.random.Generator, n: int, rates: tuple[float, float]) -> Logs:
    samples, examples = [], []
    for at in range(n):
        group = "ab"[at % 2]
        said = "yes" if random.random() < rates[at % 2] else "no"
        samples.append(Sample(str(at), (), "", said, extras={"g": group}))
        examples.append(Example((Message("assistant", said),), id=str(at), extras={"g": group}))
    return Logs(samples, examples, [math.nan] * n)


def moved(now: Logs, before: Logs, seed: int = 0) -> dict[str, Drift]:
    audits = {"yes": Share()}
    known = {f"yes/{measure.name}": measure for measure in Share().produces()}
    sides = [
        (logs, {f"yes/{key}": value for key, value in Share().examine(logs.subject).metrics.items()})
        for logs in (now, before)
    ]
    return {one.key: one for one in drifts(audits, known, sides[0], sides[1], seed)}


def test_students_t_is_scipys() -> None:
    for degrees in (1, 2, 3, 7, 19, 38, 101):
        for t in (0.0, 0.3, 1.0, 2.5, 6.0):
            assert two_sided(t, degrees) == pytest.approx(2 * stats.t.sf(t, degrees), abs=1e-12)
        assert quantile(0.95, degrees) == pytest.approx(stats.t.ppf(0.975, degrees), rel=1e-9)


def test_the_interval_of_a_share_is_welchs() -> None:
    random = np.random.default_rng(1)
    now, before = logs_of(random, 4000, (0.4, 0.4)), logs_of(random, 2000, (0.3, 0.3))
    found = moved(now, before)
    assert found.keys() == {"yes/share", "yes/gap"}
    share = found["yes/share"]
    sides = [np.array([s.output == "yes" for s in logs.samples], float) for logs in (now, before)]
    exact = stats.ttest_ind(*sides, equal_var=False)
    interval = exact.confidence_interval()
    assert share.interval is not None
    # twenty parts tell a standard error up to about a sixth
    assert share.difference == pytest.approx(sides[0].mean() - sides[1].mean())
    assert share.interval[1] - share.interval[0] == pytest.approx(interval.high - interval.low, rel=0.35)
    assert share.change == "worse"
    assert found["yes/gap"].change == "undecided"


def test_the_error_is_the_jackknifes_of_groups() -> None:
    logs = logs_of(np.random.default_rng(3), 60, (0.5, 0.5))
    said = np.array([s.output == "yes" for s in logs.samples], float)
    variances, sizes = [], []
    for seed in (5, 6):
        group = np.random.default_rng(seed).permutation(60) % GROUPS
        left = [said[group != g].mean() for g in range(GROUPS)]
        variances.append((GROUPS - 1) * np.var(left))
        sizes.append(variances[-1] ** 2 / (GROUPS - 1))
    found = moved(logs, logs, seed=5)["yes/share"]
    assert found.interval is not None
    half = stats.t.ppf(0.975, int(sum(variances) ** 2 / sum(sizes))) * math.sqrt(sum(variances))
    assert found.interval == pytest.approx((-half, half))
    assert found.change == "same"


def test_false_alarms_are_rare_and_drift_is_found() -> None:
    random = np.random.default_rng(11)
    same, shifted = [], []
    for seed in range(120):
        before = logs_of(random, 200, (0.3, 0.3))
        same.append(moved(logs_of(random, 200, (0.3, 0.3)), before, seed)["yes/share"].change)
        shifted.append(moved(logs_of(random, 200, (0.5, 0.5)), before, seed)["yes/share"].change)
    alarms, found = sum(c in ("better", "worse") for c in same), sum(c == "worse" for c in shifted)
    print(f"false alarms {alarms} of 120, found {found} of 120")
    # Holm over two metrics: at most 5 %, of which 120 tries show more than 12 less than once in 100
    assert alarms <= 12
    assert found >= 108


def test_too_few_rows_and_groups_without_rows_give_no_interval() -> None:
    random = np.random.default_rng(2)
    few = moved(logs_of(random, 19, (0.5, 0.5)), logs_of(random, 100, (0.5, 0.5)))["yes/share"]
    assert (few.interval, few.p_adjusted, few.note) == (None, None, "20 rows on each side are needed")
    alone = logs_of(random, 100, (0.5, 0.5))
    lonely = [i for i in range(100) if i % 2 == 0 or i == 1]
    found = moved(alone.at(lonely), alone)["yes/gap"]
    assert (found.interval, found.note) == (None, "has no value where some rows are left out")
    none = moved(alone.at([i for i in range(100) if i % 2]), alone)["yes/gap"]
    assert none.note == "has no value on one side"
    assert none.change == "undecided"
