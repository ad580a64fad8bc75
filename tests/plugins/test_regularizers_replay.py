"""Replay: the loop over windows by hand, whatever the accumulation, and rows that are read as they should be."""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, LightningDataModule, Trainer
from torch import Tensor

from tunesmith import DataError, Example, Message, RecipeError, Segment
from tunesmith.data.beside import Companion
from tunesmith.data.collate import collate
from tunesmith.data.encoded_rows import EncodedRow
from tunesmith.data.loader import PlanLoader
from tunesmith.data.plan import Plan
from tunesmith.testing import models
from tunesmith.training.schedule import Schedule
from tunesmith.training.specialist import Specialist
from tunesmith_plugins.adapters.lora import LoRA
from tunesmith_plugins.objectives.next_token import NextToken
from tunesmith_plugins.regularizers.replay import Replay

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*have no `val_dataloader`.*"),
    pytest.mark.filterwarnings("ignore:.*smaller than the logging interval.*"),
]
WEIGHT, SHARE, RATE = 0.7, 0.5, 0.05
WORDS = "the pump is hot and the gate is stuck while a belt runs"


def make() -> Specialist:
    module = models.specialist(LoRA(rank=2), regularizers={"keep": Replay(Path("general.jsonl"), WEIGHT, SHARE)})
    module.optimizer_factory = lambda groups: torch.optim.SGD(groups, lr=RATE)
    module.schedule = Schedule("constant", warmup=0)
    return module


def rows(module: Specialist, count: int, general: bool) -> list[EncodedRow]:
    words = WORDS.split()
    found = []
    for number in range(count):
        said = " ".join(words[: 2 + number * 5 % 9])
        if general:
            found.append(Example(segments=(Segment(said),), id=f"general-{number}"))
        else:
            turns = (Message("user", f"Report {number}"), Message("assistant", said))
            found.append(Example(messages=turns, id=f"task-{number}"))
    return models.encoded(module, found)


def plan(training: Sequence[EncodedRow], general: Sequence[EncodedRow], size: int, accumulate: int) -> Plan:
    def units(some: Sequence[EncodedRow]) -> Any:
        return {unit: [one.units[unit] for one in some] for unit in ("token", "example", "pair")}

    costs = [float(one.length) for one in general]
    beside = Companion("reg/keep", units(general), costs, SHARE, accumulate, seed=3)
    lengths = [one.length for one in training]
    return Plan(lengths, units(training), batch_size=size, accumulate=accumulate, seed=3, beside=[beside])


class Logged(Callback):
    """What each optimizer step logged."""

    def __init__(self) -> None:
        self.steps: list[dict[str, float]] = []

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if not trainer.fit_loop._should_accumulate():
            self.steps.append({name: float(value) for name, value in trainer.callback_metrics.items()})


def mean(module: Specialist, some: Sequence[EncodedRow]) -> Tensor:
    """Cross-entropy of all supervised tokens of some rows, each row alone."""
    losses = []
    for one in some:
        forward = module.passes(collate([one]))
        logits = forward.head(forward.hidden[forward.supervised])
        losses.append(F.cross_entropy(logits, forward.targets, reduction="none"))
    return torch.cat(losses).mean()


@pytest.mark.parametrize(("size", "accumulate"), [(4, 1), (2, 2), (1, 4)])
def test_a_run_equals_the_loop_over_its_windows_by_hand(size: int, accumulate: int) -> None:
    module = make()
    training, general = rows(module, 10, general=False), rows(module, 5, general=True)

    class Data(LightningDataModule):
        def train_dataloader(self) -> PlanLoader:
            beside = {"reg/keep": general}
            return PlanLoader(training, plan(training, general, size, accumulate), beside=beside)

    logged = Logged()
    trainer = Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        callbacks=[logged],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        accumulate_grad_batches=accumulate,
        log_every_n_steps=1,
    )
    trainer.fit(module, Data())
    hand = make()
    hand.train()
    optimizer = torch.optim.SGD([p for p in hand.parameters() if p.requires_grad], lr=RATE)
    by_hand = []
    whole = plan(training, general, 4, 1)  # a window's rows are the same in any layout
    for micro in itertools.chain(whole.everywhere(0), whole.everywhere(1)):
        own = [general[at] for at in micro.beside["reg/keep"].rows]
        assert len(own) == max(1, len(micro.rows) // 2)
        loss, kept = mean(hand, [training[at] for at in micro.rows]), WEIGHT * mean(hand, own)
        optimizer.zero_grad()
        (loss + kept).backward()
        optimizer.step()
        by_hand.append((float(loss.detach()), float(kept.detach())))
    assert len(logged.steps) == len(by_hand) == 6
    for step, (loss_by_hand, kept_by_hand) in zip(logged.steps, by_hand, strict=True):
        assert step["loss"] == pytest.approx(loss_by_hand, rel=1e-4)
        assert step["reg/keep"] == pytest.approx(kept_by_hand, rel=1e-4)
    for name, tensor in hand.state_dict().items():
        torch.testing.assert_close(module.state_dict()[name], tensor, rtol=1e-3, atol=1e-5)


def test_rows_are_questions_with_answers_and_texts(tmp_path: Path) -> None:
    file = tmp_path / "general.jsonl"
    lines = [{"q": "2 + 2?", "a": "4"}, {"body": "A pump moves water."}]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = Replay(file, prompt="q", completion="a", text="body").own_rows()
    assert [(one.id, one.origin.line) for one in found] == [("general.jsonl:1", 1), ("general.jsonl:2", 2)]
    assert found[0].messages == (Message("user", "2 + 2?"), Message("assistant", "4"))
    assert found[1].segments == (Segment("A pump moves water."),)
    with pytest.raises(DataError, match=r"row 1 has neither prompt with completion nor text; its columns are q, a"):
        Replay(file).own_rows()
    with pytest.raises(DataError, match=r"other\.jsonl"):
        Replay(tmp_path / "other.jsonl").own_rows()


def test_numbers_out_of_range_are_refused() -> None:
    for wrong, said in ((Replay(Path("x"), -1.0), "weight is -1"), (Replay(Path("x"), share=0.0), "share is 0")):
        with pytest.raises(RecipeError, match=rf"Replay\.{said}"):
            wrong.check(NextToken(), LoRA())
