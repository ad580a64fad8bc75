"""The child of scale.py that times optimizer steps: `python scale_steps.py TASK`; prints JSON."""

import json
import statistics
import sys
from pathlib import Path

import torch
from train_meter import Meter
from train_ours import CLIP, backward, load, loader
from train_rows import cut, write_base

from tunesmith.cli.quiet import quieten
from tunesmith.training.optimizer import build, parameter_groups


def main() -> None:
    """Time every size, the small ones first."""
    task = json.loads(sys.argv[1])
    quieten()
    tokenizer, _ = write_base(task["source"], task["shape"], False, Path(task["base"]), task["rank"])
    model = load(task)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = build(model.optimizer_factory, parameter_groups(trained, model.adapter.groups(model.network)))
    words = list(range(10, min(len(tokenizer), 4000)))
    found = []
    for length, number in sorted(task["sizes"], key=lambda size: size[0] * size[1]):
        (batch,) = loader(cut(words, [length] * number), task | {"batch": number})
        batch = batch.to(task["device"])
        costs = []
        for _ in range(task["times"] + 1):
            with (meter := Meter(task["device"])):
                backward(model, batch)
                torch.nn.utils.clip_grad_norm_(trained, CLIP)
                optimizer.step()
                optimizer.zero_grad()
            costs.append(meter.processor if task["device"] == "cpu" else meter.wall)
        found.append((length, number, statistics.median(costs[1:])))
        print(f"{length} x {number}: {found[-1][-1]:.3f} s", file=sys.stderr, flush=True)
    print(f"\n{json.dumps(found)}")


if __name__ == "__main__":
    main()
