"""Processor seconds of the verbs that must not import torch: `--help`, `plugins list`, `recipes ls`.

    python tests/benchmarks/startup.py [--times 10]

Target: the median of each under 0.5 s.
"""

import argparse
import statistics

from machine import against, cli, header, need, table

LIMIT = 0.5
COMMANDS = (("--help",), ("plugins", "list"), ("recipes", "ls"))


def main() -> None:
    """Run each command several times and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=10, help="runs of each command; one more comes first, unmeasured")
    times = parser.parse_args().times
    header("Startup")
    rows = []
    for words in COMMANDS:
        need(cli(*words), f"lightning-cli {' '.join(words)}")  # the first one reads files from disk and compiles them
        costs = [cli(*words) for _ in range(times)]
        middle = statistics.median(c.processor for c in costs)
        spread = f"{min(c.processor for c in costs):.2f} to {max(c.processor for c in costs):.2f}"
        wall = statistics.median(c.wall for c in costs)
        peak = f"{max(c.peak for c in costs) / 2**20:.0f} MiB"
        rows.append(
            (f"lightning-cli {' '.join(words)}", f"{middle:.2f}", spread, f"{wall:.2f}", peak, against(middle, LIMIT))
        )
    table(("command", "processor s", "min to max", "wall s", "peak", f"under {LIMIT} s"), rows)


if __name__ == "__main__":
    main()
