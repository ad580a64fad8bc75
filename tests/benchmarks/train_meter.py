"""What a side of train.py measures of itself, and how many operations that was."""

import os
import time
from dataclasses import dataclass
from typing import Any

# Dense matrix products a second, without sparsity, by the name that the driver gives; from the makers' data sheets.
_DEVICES = {
    "H200": {"bf16": 989e12, "fp32": 67e12},
    "H100": {"bf16": 989e12, "fp32": 67e12},
    "A100": {"bf16": 312e12, "fp32": 19.5e12},
    "L40S": {"bf16": 362e12, "fp32": 91.6e12},
    "RTX 4090": {"bf16": 165e12, "fp32": 82.6e12},
}


@dataclass(frozen=True)
class Weights:
    """Numbers of parameters that take part in a token's products; norms' vectors are among them and negligible.

    Args:
        body: Frozen ones without the input embedding, which is looked up and not multiplied, and without the head.
        head: The head's, frozen, be it tied to the embedding or not.
        trained: The adapter's.
    """

    body: int
    head: int
    trained: int

    def operations(self, useful: int, supervised: int) -> int:
        """Floating point operations that training on so many tokens needs, for the share of the peak that was used.

        A product with a weight is a multiplication and an addition forward, as many for the gradient of its input, and
        as many again for its own gradient if it trains: 4 a frozen weight and token, 6 a trained one. The head counts
        at supervised tokens only, as no loss needs other logits; padding and scores of attention do not count.
        """
        return useful * (4 * self.body + 6 * self.trained) + supervised * 4 * self.head


class Meter:
    """Measures one call that trains, from inside its process: `with meter: trainer.fit(...)`.

    Args:
        device: `cpu` or `cuda`.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self._seen: list[tuple[Any, Any, Any, Any]] = []

    def saw(self, useful: Any, computed: Any, supervised: Any, loss: Any) -> None:
        """Note a step: numbers of tokens, and its mean loss; tensors are read at the end only."""
        self._seen.append((useful, computed, supervised, loss))

    def __enter__(self) -> "Meter":
        if self.device == "cuda":
            import torch

            torch.cuda.reset_peak_memory_stats()
        self._begin = self._now()
        return self

    def __exit__(self, *_: object) -> None:
        end = self._now()
        self.processor, self.wall = (end[0] - self._begin[0], end[1] - self._begin[1])

    def result(self, trained: int) -> dict[str, float]:
        """Times, tokens, and the mean loss of a supervised token.

        Args:
            trained: Number of trained parameters, which has to be every side's.
        """
        rows = [tuple(float(value) for value in step) for step in self._seen]
        useful, computed, supervised, _ = (sum(column) for column in zip(*rows, strict=True))
        loss = sum(count * mean for _, _, count, mean in rows) / supervised
        peak = 0
        if self.device == "cuda":
            import torch

            peak = torch.cuda.max_memory_allocated()
        return {
            "processor": self.processor,
            "wall": self.wall,
            "steps": len(rows),
            "useful": useful,
            "computed": computed,
            "supervised": supervised,
            "loss": loss,
            "trained": trained,
            "device_peak": peak,
        }

    def _now(self) -> tuple[float, float]:
        if self.device == "cuda":
            import torch

            torch.cuda.synchronize()
        used = os.times()
        return used.user + used.system, time.perf_counter()


def peak_operations(device: str, precision: str, times: int = 8) -> tuple[float, str]:
    """Operations a second that the device reaches, and where the number is from.

    A GPU's is the data sheet's where it is known. Else it is measured: the best of some products of square matrices.
    """
    import torch

    if device == "cuda":
        name = torch.cuda.get_device_name()
        for known, speeds in _DEVICES.items():
            if known in name:
                return speeds[precision], f"{name}, data sheet"
    width = 2048 if device == "cpu" else 8192
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = (torch.randn(width, width, device=device).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(times + 1):
        meter = Meter(device)
        with meter:
            a @ b
        best = min(best, meter.wall)
    return 2 * width**3 / best, f"measured, product of two matrices {width} wide"
