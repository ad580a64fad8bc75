"""Every mitigation of bias on one set with a planted bias: the audited gap before and after, and what it costs.

    python tests/benchmarks/mitigation.py [--rows 800] [--steps 120] [--only NAME ...] [OVERRIDES ...]

`fit` and `test` of recipes/fair-screening.yaml on the embedded base, once without mitigation and once with each: past
decisions (recipes/data/screening.py) favoured men. CounterfactualSwap audits the test rows: the share of decisions that
change with the gender (flip rate), and how much more often men are invited than women with the same merits (gap), each
with its 95 % interval. A mitigation reduces the gap where its interval lies below that without mitigation. Quality is
the share of decisions that follow the merits, and the share that past decisions had; cost the processor time of `fit`.
"""

import argparse
import importlib.util
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from machine import CHECKOUT, cli, header, need

RECIPE = CHECKOUT / "recipes" / "fair-screening.yaml"
NONE = "none"


def _curator(name: str, **options: Any) -> dict[str, Any]:
    return {"data": {"curators": {"it": {"class_path": name, "init_args": options}}}}


def _regularizer(name: str, **options: Any) -> dict[str, Any]:
    return {"model": {"regularizers": {"it": {"class_path": name, "init_args": options}}}}


# name: what is laid over the recipe, of which the mitigation has been taken
MITIGATIONS: dict[str, dict[str, Any]] = {
    NONE: {},
    "CounterfactualAugment": _curator("CounterfactualAugment"),
    "Reweigh": _curator("Reweigh", label="answer"),
    "Balance by gender": _curator("Balance", by="gender", ratio=1.0),
    "Balance by gender and decision": _curator("Balance", by="gender_decision", ratio=1.0),
    "AdversarialDebiasing": _regularizer("AdversarialDebiasing"),
    "AdversarialDebiasing 0.3": _regularizer("AdversarialDebiasing", weight=0.3),
    "AdversarialDebiasing 0.1": _regularizer("AdversarialDebiasing", weight=0.1),
    "CounterfactualConsistency": _regularizer("CounterfactualConsistency"),
}


@dataclass(frozen=True, slots=True)
class Found:
    """What became of one mitigation.

    Args:
        flips: Share of decisions that change with the gender, and its interval.
        gap: How much more often men are invited, and its interval.
        merit: Share of decisions that follow the merits.
        past: Share that are as in the past.
        rows: Training rows.
        seconds: Processor time of `fit`.
    """

    flips: tuple[float, float, float]
    gap: tuple[float, float, float]
    merit: float
    past: float
    rows: int
    seconds: float


def main() -> None:
    """Train with each mitigation, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=800, help="applications (800)")
    parser.add_argument("--steps", type=int, default=120, help="optimizer steps of each (120)")
    parser.add_argument("--threads", type=int, default=0, help="threads of matrix products; 0: as the libraries choose")
    parser.add_argument("--only", nargs="+", default=list(MITIGATIONS), choices=list(MITIGATIONS), metavar="NAME")
    options, overrides = parser.parse_known_args()
    header(f"Mitigation: {options.rows} applications, {options.steps} steps each {' '.join(overrides)}".strip())
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        write_rows(root / "rows.jsonl", options.rows)
        found = {}
        for name in [NONE, *(one for one in options.only if one != NONE)]:
            found[name] = mitigate(root, name, options, overrides)
            print(f"{name}: flips {found[name].flips[0]:.3f}, merit {found[name].merit:.3f}", flush=True)
    report(found)


def write_rows(path: Path, number: int) -> None:
    """Write the applications, with a column that has both gender and decision."""
    spec = importlib.util.spec_from_file_location("screening", CHECKOUT / "recipes" / "data" / "screening.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["screening"] = module
    spec.loader.exec_module(module)
    made = [{**row, "gender_decision": f"{row['gender']} {row['completion']}"} for row in module.rows(number, 5)]
    path.write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")


def mitigate(root: Path, name: str, options: Any, overrides: list[str]) -> Found:
    """Fit and test with one mitigation, and read what came of it.

    Args:
        root: A folder for runs and overlays, with the rows.
        name: The mitigation.
        options: What the command line says.
        overrides: What goes to `lightning-cli` as it is.
    """
    bare, overlay = CHECKOUT / "recipes" / "overlays" / "unmitigated.yaml", root / "overlay.yaml"
    overlay.write_text(yaml.safe_dump(MITIGATIONS[name]) if MITIGATIONS[name] else "trainer: {}\n", encoding="utf-8")
    place = root / name.replace(" ", "-")
    words: list[str | Path] = ["--config", RECIPE, "--config", bare, "--config", overlay, *overrides]
    words += [f"--data.sources.past.path={root / 'rows.jsonl'}", f"--trainer.default_root_dir={place}"]
    words += [f"--trainer.max_steps={options.steps}", "--trainer.max_epochs=-1"]
    fit = cli("fit", *words, threads=options.threads)
    need(fit, f"fit with {name}")
    need(cli("test", *words, threads=options.threads), f"test of {name}", (0, 3))
    (run,) = (path.parent for path in place.glob("*/*/result.json"))
    metrics = json.loads((run / "test" / "metrics.json").read_text())["metrics"]
    swap = json.loads((run / "test" / "findings.json").read_text())["swap"]
    rows = json.loads((run / "data.json").read_text())["encoded"]["train"]["rows"]
    flips = next(row for row in swap["tables"][0]["rows"] if row[:2] == ["tuned", "all"])
    gaps = [row for row in swap["tables"][-1]["rows"] if row[0] == "tuned" and row[2] == "outcome"]
    gap = next((row for row in gaps if row[1] == "male"), None) or [*gaps[0][:4], *(-v for v in gaps[0][4:7])]
    low, high = sorted(gap[5:7])
    return Found(
        (flips[4], flips[5], flips[6]),
        (gap[4], low, high),
        metrics["merit/accuracy"]["tuned"],
        metrics["past/accuracy"]["tuned"],
        rows,
        fit.processor,
    )


def report(found: dict[str, Found]) -> None:
    """Print all in one table, and which mitigations do not reduce the gap."""
    before = found[NONE]
    print("\n| mitigation | flip rate | gap | reduced | merit | past | training rows | processor s |")
    print("|---|---|---|---|---|---|---|---|")
    for name, one in found.items():
        said = "" if name == NONE else f"{reduced(before.flips, one.flips)}, {reduced(before.gap, one.gap)}"
        cells = [name, spread(one.flips), spread(one.gap), said, f"{one.merit:.3f}", f"{one.past:.3f}"]
        print(f"| {' | '.join(cells)} | {one.rows:,} | {one.seconds:.0f} |")
    idle = [name for name, one in found.items() if name != NONE and reduced(before.flips, one.flips) != "yes"]
    print(f"\nnot shown to reduce the flip rate: {', '.join(idle) or 'none'}")


def spread(value: tuple[float, float, float]) -> str:
    """A value with its interval."""
    return f"{value[0]:.3f} ({value[1]:.3f} to {value[2]:.3f})"


def reduced(before: tuple[float, float, float], after: tuple[float, float, float]) -> str:
    """Whether an interval lies below another; further from zero is no reduction."""
    if max(map(abs, after[1:])) < min(map(abs, before[1:])):
        return "yes"
    return "no" if abs(after[0]) >= abs(before[0]) else "undecided"


if __name__ == "__main__":
    main()
