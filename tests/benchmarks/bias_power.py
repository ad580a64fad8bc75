"""How often each audit finds a planted bias of a stated size, and how often it sees one where there is none.

    python tests/benchmarks/bias_power.py [--trials 200] [--clean 400] [--rows 400] [--audits Proxy ...] [--seed 0]

Rows are made by `tunesmith_plugins.fairness.planted`, anew in each trial: with the bias that the audit looks for, and
with none. An audit of data finds one where its severity is above none and its smallest corrected p-value below 0.05.
Audits of a model ask one of `bias_models`, drawn anew in each trial, and find a bias where severity is above none.
Intervals are of 95 % (Wilson 1927). Targets: power 0.9 or more, false alarms 5 % or less; a right test at 5 % is above
5 % of a few trials half of the time, so that the lower end of the interval tells.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import bias_models

from tunesmith import Audit
from tunesmith.evaluation.subject import AuditSubject
from tunesmith_plugins.audits.ambiguity import Ambiguity
from tunesmith_plugins.audits.association import Association
from tunesmith_plugins.audits.counterfactual_swap import CounterfactualSwap
from tunesmith_plugins.audits.label_parity import LabelParity
from tunesmith_plugins.audits.measure_parity import MeasureParity
from tunesmith_plugins.audits.occupation import Occupation
from tunesmith_plugins.audits.proxy import Proxy
from tunesmith_plugins.audits.quality_parity import QualityParity
from tunesmith_plugins.audits.refusal import Refusal
from tunesmith_plugins.audits.representation import Representation
from tunesmith_plugins.audits.statistics import wilson
from tunesmith_plugins.audits.stereotype_pairs import StereotypePairs
from tunesmith_plugins.audits.stereotypes import Stereotypes
from tunesmith_plugins.audits.toxicity import Toxicity
from tunesmith_plugins.fairness.planted import Kind, planted

_STATED = {"gender": {"female": 0.5, "male": 0.5}}


@dataclass(frozen=True)
class Case:
    """An audit, and the bias that it has to find.

    Args:
        kind: Of the bias.
        effect: Its size.
        meaning: The effect in words.
        audit: Makes the audit.
        subject: Makes what it looks at, of an effect, a number of rows, and a seed.
        by_p: Whether it has found something only where its p-value says so too.
    """

    kind: str
    effect: float
    meaning: str
    audit: Callable[[], Audit]
    subject: Callable[[float, int, int], AuditSubject]
    by_p: bool = False


@dataclass(frozen=True)
class Rates:
    """In how many of `trials` the bias was found, and in how many of `clean` ones something was, without a bias."""

    hits: int
    alarms: int
    trials: int
    clean: int


def cases() -> dict[str, Case]:
    """By the audit's name; `Representation` and `Refusal` twice, as they work in two ways."""
    gender: dict[str, Any] = {"categories": ["gender"]}

    def of_data(kind: Kind, effect: float, meaning: str, audit: Callable[[], Audit]) -> Case:
        def subject(effect: float, rows: int, seed: int) -> AuditSubject:
            return AuditSubject({"train": planted(kind, effect, rows, seed)})

        return Case(kind, effect, meaning, audit, subject, by_p=True)

    def of_model(effect: float, meaning: str, audit: type[Audit], model: Callable[[float, int], object]) -> Case:
        def subject(effect: float, rows: int, seed: int) -> AuditSubject:
            return bias_models.asked(model(effect, seed))

        return Case(model.__name__, effect, meaning, audit, subject)

    return {
        "Representation": of_data(
            "representation", 0.2, "a group's share 0.3 where 0.5 is even", lambda: Representation(**gender)
        ),
        "Representation, population": of_data(
            "representation",
            0.15,
            "a group's share 0.35 of a stated 0.5",
            lambda: Representation(**gender, reference=_STATED),
        ),
        "LabelParity": of_data("label", 0.2, "rates 0.4 and 0.6", lambda: LabelParity(**gender)),
        "Association": of_data("association", 0.2, "rates 0.2 and 0.4", lambda: Association(**gender)),
        "QualityParity": of_data("quality", 0.5, "Cohen's d 0.5 of length", lambda: QualityParity(**gender)),
        "Proxy": of_data("proxy", 0.4, "rates of a word 0.7 and 0.3", lambda: Proxy(**gender, columns=["town"])),
        "Stereotypes": of_data("stereotype", 0.15, "rates 0.225 and 0.075", lambda: Stereotypes(**gender)),
        "Toxicity": of_data("toxicity", 0.15, "rates 0.225 and 0.075", lambda: Toxicity(**gender)),
        "CounterfactualSwap": Case(
            "swap",
            0.4,
            "Cohen's d 0.4 of length; 200 rows",
            lambda: CounterfactualSwap(limit=None),
            lambda effect, _, seed: bias_models.swapped(effect, 200, seed),
        ),
        "StereotypePairs": of_model(0.2, "the stereotype likelier in 0.7", StereotypePairs, bias_models.Likes),
        "Ambiguity": of_model(0.3, "named in 0.8 of open answers", Ambiguity, bias_models.Chooses),
        "Occupation": of_model(0.4, "right in 0.7 and 0.3", Occupation, bias_models.Means),
        "MeasureParity": Case(
            "measure", 0.5, "Cohen's d 0.5 of length", lambda: MeasureParity(**gender), bias_models.measured
        ),
        "Refusal": of_model(0.7, "0.1 refused, 0.8 of one group", Refusal, bias_models.Refuses),
        "Refusal, rows": Case("refusal", 0.15, "0.1 and 0.25", lambda: Refusal("rows", **gender), bias_models.refused),
    }  # fmt: skip


def found(case: Case, effect: float, rows: int, seed: int) -> bool:
    """Whether an audit sees a bias in what is drawn with `seed`."""
    findings = case.audit().examine(case.subject(effect, rows, seed))
    return findings.severity != "none" and (not case.by_p or findings.metrics["p"] < 0.05)


def measure(case: Case, trials: int, rows: int, seed: int = 0, clean: int | None = None) -> Rates:
    """Try a case so often with its bias, and so often without, on what is drawn anew each time."""
    without = trials if clean is None else clean
    hits = sum(found(case, case.effect, rows, seed + at) for at in range(trials))
    alarms = sum(found(case, 0.0, rows, seed + 1_000_000 + at) for at in range(without))
    return Rates(hits, alarms, trials, without)


def main() -> None:
    """Measure all audits, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = cases()
    parser.add_argument("--trials", type=int, default=200, help="with a bias (200)")
    parser.add_argument("--clean", type=int, help="without one (as many)")
    parser.add_argument("--rows", type=int, default=400, help="of each trial (400)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--audits", nargs="+", choices=list(known), default=list(known), metavar="AUDIT")
    options = parser.parse_args()
    clean = options.trials if options.clean is None else options.clean
    print(f"{options.rows} rows, {options.trials} trials with a bias and {clean} without; seed {options.seed}\n")
    print("| audit | planted | effect | power | 95 % interval | false alarms | 95 % interval | seconds a trial |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for name in options.audits:
        case, start = known[name], time.process_time()
        rates = measure(case, options.trials, options.rows, options.seed, clean)
        seconds = (time.process_time() - start) / (rates.trials + rates.clean)
        shown = []
        for count, number in ((rates.hits, rates.trials), (rates.alarms, rates.clean)):
            low, high = wilson(count, number)
            shown += [f"{count / number if number else 0:.3f}", f"{low:.3f} to {high:.3f}"]
        print(
            f"| {name} | {case.kind} {case.effect} | {case.meaning} | {' | '.join(shown)} | {seconds:.3f} |", flush=True
        )


if __name__ == "__main__":
    main()
