"""Audits of data, model and outputs as `success` bounds them: `test`, `audit`, and what is refused before either."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

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
