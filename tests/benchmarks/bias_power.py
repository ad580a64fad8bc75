"""How often each audit of data finds a planted bias of a stated size, and how often it sees one where there is none.

    python tests/benchmarks/bias_power.py [--trials 200] [--rows 400] [--audits Proxy ...] [--seed 0]

Rows are made by `tunesmith_plugins.fairness.planted`, anew in each trial: with the bias that the audit looks for, and
with none. An audit finds one where its severity is above none and its smallest corrected p-value below 0.05. Intervals
are of 95 % (Wilson 1927). Targets: power 0.9 or more, false alarms 5 % or less; a right test at 5 % is above 5 % of a
few trials half of the time, so that the lower end of the interval tells.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tunesmith import Audit
from tunesmith.evaluation.subject import AuditSubject
from tunesmith_plugins.audits.association import Association
from tunesmith_plugins.audits.label_parity import LabelParity
from tunesmith_plugins.audits.proxy import Proxy
from tunesmith_plugins.audits.quality_parity import QualityParity
from tunesmith_plugins.audits.representation import Representation
from tunesmith_plugins.audits.statistics import wilson
from tunesmith_plugins.audits.stereotypes import Stereotypes
from tunesmith_plugins.audits.toxicity import Toxicity
from tunesmith_plugins.fairness.planted import Kind, planted

_STATED = {"gender": {"female": 0.5, "male": 0.5}}


@dataclass(frozen=True)
class Case:
    """An audit, and the bias that it has to find.

    Args:
        kind: Of the bias, as `planted` names it.
        effect: Its size.
        meaning: The effect in words.
        audit: Makes the audit.
    """

    kind: Kind
    effect: float
    meaning: str
    audit: Callable[[], Audit]


@dataclass(frozen=True)
class Rates:
    """In how many of `trials` the bias was found, and in how many without one something was."""

    hits: int
    alarms: int
    trials: int


def cases() -> dict[str, Case]:
    """By the audit's name; `Representation` twice, with a stated population and without one."""
    gender: dict[str, Any] = {"categories": ["gender"]}
    return {
        "Representation": Case(
            "representation", 0.2, "a group's share 0.3 where 0.5 is even", lambda: Representation(**gender)
        ),
        "Representation, population": Case(
            "representation",
            0.15,
            "a group's share 0.35 of a stated 0.5",
            lambda: Representation(**gender, reference=_STATED),
        ),
        "LabelParity": Case("label", 0.2, "rates 0.4 and 0.6", lambda: LabelParity(**gender)),
        "Association": Case("association", 0.2, "rates 0.2 and 0.4", lambda: Association(**gender)),
        "QualityParity": Case("quality", 0.5, "Cohen's d 0.5 of length", lambda: QualityParity(**gender)),
        "Proxy": Case("proxy", 0.4, "rates of a word 0.7 and 0.3", lambda: Proxy(**gender, columns=["town"])),
        "Stereotypes": Case("stereotype", 0.15, "rates 0.225 and 0.075", lambda: Stereotypes(**gender)),
        "Toxicity": Case("toxicity", 0.15, "rates 0.225 and 0.075", lambda: Toxicity(**gender)),
    }  # fmt: skip


def found(audit: Audit, kind: Kind, effect: float, rows: int, seed: int) -> bool:
    """Whether an audit sees a bias in rows drawn with `seed`."""
    findings = audit.examine(AuditSubject({"train": planted(kind, effect, rows, seed)}))
    return findings.severity != "none" and findings.metrics["p"] < 0.05


def measure(case: Case, trials: int, rows: int, seed: int = 0) -> Rates:
    """Try a case so often with its bias, and so often without, on rows drawn anew each time."""
    audit = case.audit()
    hits = sum(found(audit, case.kind, case.effect, rows, seed + at) for at in range(trials))
    alarms = sum(found(audit, case.kind, 0.0, rows, seed + 1_000_000 + at) for at in range(trials))
    return Rates(hits, alarms, trials)


def main() -> None:
    """Measure all audits, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = cases()
    parser.add_argument("--trials", type=int, default=200, help="with a bias, and as many without (200)")
    parser.add_argument("--rows", type=int, default=400, help="of each trial (400)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--audits", nargs="+", choices=list(known), default=list(known), metavar="AUDIT")
    options = parser.parse_args()
    print(
        f"{options.rows} rows, {options.trials} trials with a bias and {options.trials} without; seed {options.seed}\n"
    )
    print("| audit | planted | effect | power | 95 % interval | false alarms | 95 % interval | seconds a trial |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for name in options.audits:
        case, start = known[name], time.process_time()
        rates = measure(case, options.trials, options.rows, options.seed)
        seconds = (time.process_time() - start) / (2 * rates.trials)
        shown = []
        for count in (rates.hits, rates.alarms):
            low, high = wilson(count, rates.trials)
            shown += [f"{count / rates.trials:.3f}", f"{low:.3f} to {high:.3f}"]
        print(
            f"| {name} | {case.kind} {case.effect} | {case.meaning} | {' | '.join(shown)} | {seconds:.3f} |", flush=True
        )


if __name__ == "__main__":
    main()
