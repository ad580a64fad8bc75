"""The sides of train.py, by name: what runs, with which options, and what that needs.

A further side is one more entry: of ours, `model` are options of `Specialist`; of the peers, `config` are arguments of
their Trainer's configuration.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

OURS, PEERS = "train_ours.py", "train_peers.py"


@dataclass(frozen=True)
class Side:
    """One way to train on the rows.

    Args:
        script: The program, run by this environment's Python if it is ours, by the peers' otherwise.
        kind: The function in it.
        options: What the function is told beside the task.
        needs: Modules that must be importable.
        gpu: Whether it runs on a GPU only.
    """

    script: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    gpu: bool = False

    @property
    def ours(self) -> bool:
        """Whether it is tunesmith."""
        return self.script == OURS

    def lacks(self, modules: Collection[str], device: str) -> str:
        """Why it cannot run where these modules are importable; empty if it can."""
        absent = [name for name in self.needs if name not in modules]
        if absent:
            return f"not installed: {', '.join(absent)}"
        return "needs a GPU" if self.gpu and device == "cpu" else ""


def _trl(*needs: str, gpu: bool = False, **options: Any) -> Side:
    return Side(PEERS, "trl", options, ("trl", *needs), gpu)


SIDES = {
    "tunesmith": Side(OURS, "fit"),
    "tunesmith-packed": Side(OURS, "fit", {"packed": True}),
    "tunesmith-compiled": Side(OURS, "fit", {"compiled": True}),
    "loop": Side(OURS, "loop"),
    "trl": _trl(),
    "trl-grouped": _trl(config={"train_sampling_strategy": "group_by_length"}),
    "trl-packed": _trl(config={"packing": True}, packed=True),
    "trl-padding-free": _trl(config={"padding_free": True}),
    "trl-liger": _trl("liger_kernel", gpu=True, config={"use_liger_kernel": True}),
    "trl-flash": _trl("flash_attn", gpu=True, config={"packing": True}, packed=True, attention="flash_attention_2"),
    "trl-flash-liger": _trl(
        "flash_attn",
        "liger_kernel",
        gpu=True,
        config={"packing": True, "use_liger_kernel": True},
        packed=True,
        attention="flash_attention_2",
    ),
    "transformers": Side(PEERS, "transformers", needs=("transformers", "peft")),
    "litgpt": Side(PEERS, "litgpt", needs=("litgpt",)),
}
MODULES = sorted({name for side in SIDES.values() for name in side.needs})
