"""What `preview` says that a run will take, beside what `fit` of the same recipe then takes.

    python tests/benchmarks/estimate.py [--recipe FILE] [--threads 2] [OVERRIDES ...]

Target: memory and time within 20 %. Wall time is comparable on an idle machine only; processor time on any, though it
grows too when other programs take the caches. Training of a few steps is enough: `--trainer.max_steps=40`.
"""

import argparse
import json
import re
import tempfile
from pathlib import Path
from typing import Any

from machine import CHECKOUT, cli, header, need, table

WITHIN = 0.2
_MEMORY = re.compile(r"memory +about ([\d.]+) GiB")
_TIME = re.compile(r"time +about ([\d:]+) \(.*; ([\d,]+) s of processor time\)")


def main() -> None:
    """Preview, fit, and print both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=CHECKOUT / "recipes" / "medsync.yaml")
    parser.add_argument("--threads", type=int, default=0, help="threads of matrix products; 0: as the libraries choose")
    options, overrides = parser.parse_known_args()
    header(f"Estimates of preview: {options.recipe.name} {' '.join(overrides)}".strip())
    with tempfile.TemporaryDirectory() as root:
        words = ["--config", options.recipe, f"--trainer.default_root_dir={root}", *overrides]
        preview = cli("preview", "--examples=0", *words, threads=options.threads)
        need(preview, "preview")
        fit = cli("fit", *words, threads=options.threads)
        need(fit, "fit")
        path = next(Path(root).glob("*/*/result.json"))
        result: dict[str, Any] = json.loads(path.read_text())
    memory, times = _MEMORY.search(preview.output), _TIME.search(preview.output)
    if memory is None or times is None:
        raise SystemExit(preview.output)
    compared = [
        ("peak memory of the process, GiB", float(memory[1]), fit.peak / 2**30),
        ("wall seconds of training", float(seconds(times[1])), result["seconds"]),
        ("processor seconds of training", float(times[2].replace(",", "")), result["processor_seconds"]),
    ]
    table(
        ("what", "preview", "fit", "ratio", "verdict"),
        [
            (what, f"{said:.2f}", f"{found:.2f}", f"{said / found:.2f}", verdict(said / found))
            for what, said, found in compared
        ],
    )
    print(f"preview itself: {preview.wall:.0f} s, {preview.processor:.0f} s of processor time")


def seconds(clock: str) -> int:
    """Of `1:02:03`."""
    total = 0
    for part in clock.split(":"):
        total = 60 * total + int(part)
    return total


def verdict(ratio: float) -> str:
    """Whether an estimate is near enough."""
    return "met" if 1 - WITHIN <= ratio <= 1 + WITHIN else "MISSED"


if __name__ == "__main__":
    main()
