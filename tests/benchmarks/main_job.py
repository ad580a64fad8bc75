"""The main job: `fit` and `test` of recipes/medsync.yaml, as a newcomer runs them.

    python tests/benchmarks/main_job.py [--threads 2] [--keep FOLDER] [OVERRIDES ...]

Targets: `fit` under 3 minutes of wall time on 2 idle cores and under 2 GB; `test` ends with exit code 0, which means
that all success thresholds were met. Overrides (`--trainer.max_epochs=1`) go to both commands.
"""

import argparse
import json
import re
import tempfile
from pathlib import Path
from typing import Any

from machine import CHECKOUT, Cost, against, cli, header, need, table

SECONDS, BYTES = 180.0, 2 * 10**9
VERDICTS = {0: "success met", 3: "success NOT met"}


def main() -> None:
    """Fit, test, and print what each cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=CHECKOUT / "recipes" / "medsync.yaml")
    parser.add_argument("--threads", type=int, default=0, help="threads of matrix products; 0: as the libraries choose")
    parser.add_argument("--keep", type=Path, help="folder in which the run stays")
    options, overrides = parser.parse_known_args()
    header(f"Main job: {options.recipe.name} {' '.join(overrides)}".strip())
    with tempfile.TemporaryDirectory() as temporary:
        root = (options.keep or Path(temporary)).absolute()
        words = ["--config", options.recipe, f"--trainer.default_root_dir={root}", *overrides]
        fit = cli("fit", *words, threads=options.threads)
        need(fit, "fit")
        result = newest(root, options.recipe.stem)
        test = cli("test", *words, threads=options.threads)
        need(test, "test", tuple(VERDICTS))
    cut = ("--trainer.limit_train_batches", "--trainer.max_steps", "--trainer.overfit_batches")
    report(fit, test, result, whole=not any(word.startswith(cut) for word in overrides))


def newest(root: Path, recipe: str) -> dict[str, Any]:
    """`result.json` of the run that was just made."""
    path = max((root / recipe).glob("*/result.json"), key=lambda p: p.stat().st_mtime_ns)
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def report(fit: Cost, test: Cost, result: dict[str, Any], whole: bool) -> None:
    """Print both commands' cost, and the training in numbers."""
    rows = [
        (verb, f"{c.wall:.1f}", f"{c.processor:.1f}", f"{c.peak / 1e9:.2f}", str(c.code))
        for verb, c in (("fit", fit), ("test", test))
    ]
    table(("command", "wall s", "processor s", "peak GB", "exit code"), rows)
    curve = result["validation_loss"]
    facts = [
        ("fit: wall seconds", f"{fit.wall:.0f}", f"{SECONDS:.0f}", against(fit.wall, SECONDS)),
        ("fit: peak GB", f"{fit.peak / 1e9:.2f}", f"{BYTES / 1e9:.0f}", against(fit.peak, BYTES)),
        ("test: exit code", str(test.code), "0", VERDICTS[test.code]),
        ("validation loss", f"{curve[0][1]:.3f} -> {curve[-1][1]:.3f}" if curve else "none", "", ""),
        ("optimizer steps", str(result["steps"]), "", ""),
    ]
    found = re.search(r"train ([\d,]+) rows, ([\d,]+) tokens", fit.output)
    if found and whole:
        tokens = int(found[2].replace(",", "")) * int(result["epochs"])
        facts.append(("training tokens", f"{tokens:,}", "", ""))
        facts.append(("tokens / processor s, with loading and validation", f"{tokens / fit.processor:,.0f}", "", ""))
    table(("what", "value", "target", "verdict"), facts)
    print(test.output)


if __name__ == "__main__":
    main()
