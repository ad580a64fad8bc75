"""Every adapter on one case study, with the same rows and tokens: what each learns, and what it costs.

    python tests/benchmarks/methods.py [--steps 60] [--methods LoRA DoRA ...] [--factors 0.3 1 3] [OVERRIDES ...]
    python tests/benchmarks/methods.py --factors 0.1 --config recipes/bases/smollm2-135m.yaml --model.base=DIRECTORY ...

`fit` of recipes/medsync.yaml, without its regularizer, by each method: the same batches in the same order. Quality is
the loss per token on all validation rows. Each method has a rate at which it is usual; of several `--factors` of it the
one with the least validation loss counts, and what is printed is the cost of one run. Memory is the process's peak,
libraries (0.6 GB) included. With `--test`, each is then asked the test rows, and the recipe's metrics are printed too.
"""

import argparse
import json
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from machine import CHECKOUT, Cost, cli, header, need, table

_LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def _peft(method: str, **options: Any) -> dict[str, Any]:
    return {"class_path": "Peft", "init_args": {"method": method, "options": options}}


def _own(name: str, **options: Any) -> dict[str, Any]:
    return {"class_path": name, "init_args": options}


# name: what `model.adapter` says, and a rate that suits it on a small base
METHODS: dict[str, tuple[dict[str, Any], float]] = {
    "Full": (_own("Full"), 1e-3),
    "Freeze, last 2": (_own("Freeze", last=2), 6e-3),
    "BitFit, added": (_own("BitFit", add=True), 3e-2),
    "LoRA": (_own("LoRA", rank=16, alpha=32), 5e-3),
    "rsLoRA": (_own("LoRA", rank=16, alpha=8, rslora=True), 5e-3),
    "DoRA": (_own("LoRA", rank=16, alpha=32, dora=True), 5e-3),
    "LoRA+": (_own("LoRA", rank=16, alpha=32, lr_ratio=16.0), 1e-3),
    "PiSSA": (_own("LoRA", rank=16, alpha=16, init="pissa"), 2e-3),
    "OLoRA": (_own("LoRA", rank=16, alpha=16, init="olora"), 1e-3),
    "QLoRA nf4": (_own("QLoRA", rank=16, alpha=32), 5e-3),
    "QLoRA nf4, LoftQ": (_own("QLoRA", rank=16, alpha=32, init="loftq"), 5e-3),
    "QLoRA int8": (_own("QLoRA", rank=16, alpha=32, quantization="int8"), 5e-3),
    "AdaLoRA": (_own("AdaLoRA", rank=8, start_rank=12), 1e-2),
    "PromptTuning": (_own("PromptTuning", virtual_tokens=20), 1e-1),
    "P-tuning": (_peft("P_TUNING", num_virtual_tokens=20, encoder_hidden_size=128), 1e-2),
    "PrefixTuning": (_own("PrefixTuning", virtual_tokens=20), 3e-2),
    "IA3": (_peft("IA3"), 5e-2),
    "VeRA": (_peft("VERA", r=64, target_modules=_LINEAR), 3e-2),
    "OFT": (_peft("OFT", oft_block_size=16, target_modules=_LINEAR), 5e-3),
    "HRA": (_peft("HRA", r=8, target_modules=_LINEAR), 5e-3),
    "LoKr": (_peft("LOKR", r=16, target_modules=_LINEAR), 5e-3),
    "MiSS": (_peft("MISS", r=16, target_modules=_LINEAR), 2e-3),
}


@dataclass(frozen=True, slots=True)
class Learned:
    """What became of one method.

    Args:
        rate: At which it trained.
        trained: Trained parameters.
        share: Their part of all, as printed.
        losses: Validation loss at the start and at the end.
        saved: Bytes of what it wrote, tokenizer left out.
        cost: Of the process.
        metrics: Of the test rows, by name; empty if they were not asked.
    """

    rate: float
    trained: int
    share: str
    losses: tuple[float, float]
    saved: int
    cost: Cost
    metrics: dict[str, float]


def main() -> None:
    """Train by each method, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=CHECKOUT / "recipes" / "medsync.yaml")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS), metavar="NAME")
    parser.add_argument("--steps", type=int, default=60, help="optimizer steps of each (60)")
    parser.add_argument(
        "--factors", type=float, nargs="+", default=[1.0], help="rates to try, of each method's own (1)"
    )
    parser.add_argument("--threads", type=int, default=0, help="threads of matrix products; 0: as the libraries choose")
    parser.add_argument("--test", action="store_true", help="ask each the test rows as well")
    options, overrides = parser.parse_known_args()
    header(f"Methods: {options.recipe.name}, {options.steps} steps each {' '.join(overrides)}".strip())
    found: dict[str, Learned] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for name in options.methods:
            tried = [learn(Path(temporary), name, factor, options, overrides) for factor in options.factors]
            found[name] = min(tried, key=lambda one: one.losses[1])
            print("\t".join(line(name, found[name])), flush=True)
    report(found)


def learn(root: Path, name: str, factor: float, options: Any, overrides: list[str]) -> Learned:
    """Fit by one method at one rate, and read what came of it.

    Args:
        root: A folder for runs and overlays.
        name: The method.
        factor: Of its own rate.
        options: What the command line says.
        overrides: What goes to `lightning-cli` as it is.
    """
    adapter, usual = METHODS[name]
    rate = usual * factor
    overlay = root / "overlay.yaml"
    model = {"adapter": adapter, "optimizer": {"init_args": {"lr": rate}}, "regularizers": None}
    overlay.write_text(yaml.safe_dump({"model": model}), encoding="utf-8")
    place = Path(tempfile.mkdtemp(dir=root))
    words = ["--config", options.recipe, *overrides, "--config", overlay, f"--trainer.default_root_dir={place}"]
    words.append(f"--trainer.max_steps={options.steps}")
    cost = cli("fit", *words, threads=options.threads)
    need(cost, f"fit by {name}")
    (run,) = (path.parent for path in place.glob("*/*/result.json"))
    losses = json.loads((run / "result.json").read_text())["validation_loss"]
    said = re.search(r": ([\d,]+) of [\d,]+ parameters \((\S+)\)", cost.output)
    assert said is not None
    saved = list((run / "adapter").glob("*.safetensors"))
    metrics: dict[str, float] = {}
    if options.test:
        need(cli("test", *words, threads=options.threads), f"test of {name}", (0, 3))
        written = json.loads((run / "test" / "metrics.json").read_text())["metrics"]
        metrics = {key: value["tuned"] for key, value in written.items()}
    return Learned(
        rate,
        int(said[1].replace(",", "")),
        said[2],
        (losses[0][1], losses[-1][1]),
        sum(path.stat().st_size for path in saved),
        cost,
        metrics,
    )


def line(name: str, one: Learned) -> tuple[str, ...]:
    """What the table says of one method."""
    return (
        name,
        f"{one.rate:g}",
        f"{one.trained:,}",
        one.share,
        f"{one.losses[1]:.3f}",
        f"{one.cost.peak / 1e9:.2f}",
        f"{one.cost.processor:.0f}",
        f"{one.saved / 1e6:.2f}",
    )


def report(found: dict[str, Learned]) -> None:
    """Print all methods, the best first."""
    best = sorted(found.items(), key=lambda item: item[1].losses[1])
    print(f"\nvalidation loss at the start of the base: {min(one.losses[0] for one in found.values()):.3f}")
    rows = [line(name, one) for name, one in best]
    columns = ("method", "rate", "trained", "share", "validation loss", "peak GB", "processor s", "saved MB")
    table(columns, rows)
    if names := sorted({key for one in found.values() for key in one.metrics}):
        table(("method", *names), [(name, *(f"{one.metrics[key]:.3f}" for key in names)) for name, one in best])


if __name__ == "__main__":
    main()
