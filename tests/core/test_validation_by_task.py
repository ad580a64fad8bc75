"""Validation losses by task: each the mean over its own rows, of which the whole is the mean as well."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from lightning.pytorch import Trainer

from tunesmith import Encoded, Example, Forward, Objective, Origin, Term
from tunesmith.data.encode import EncodedSplit
from tunesmith.data.encoded_rows import EncodedRow
from tunesmith.data.loader import PlanLoader
from tunesmith.data.module import RecipeData
from tunesmith.data.plan import Plan
from tunesmith.data.sources import Source
from tunesmith.testing.tiny import make_rows, write_rows
from tunesmith.training.specialist import Specialist
from tunesmith_plugins.adapters.full import Full
from tunesmith_plugins.formatters.prompt_completion import PromptCompletion

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
]
CONFIG = ("--config", "tiny.yaml")
SOURCES = ("notes", "letters", "notes", "mails", "letters", "notes", "mails", "notes")
TASKS = {"notes": "notes", "letters": "post", "mails": "post"}


class Surprise(Objective):
    """Cross-entropy of rows that are encoded already; tells how many targets are odd."""

    def encode(self, example: Example, renderer: Any) -> list[Encoded]:
        raise NotImplementedError

    def logs(self) -> Sequence[str]:
        return ("odd",)

    def loss(self, forward: Forward) -> Term:
        def term(chunk: Any) -> torch.Tensor:
            logits = forward.head(chunk.hidden).float()
            return torch.nn.functional.cross_entropy(logits, chunk.targets, reduction="none") @ chunk.weights

        return Term(forward.total(term), "token", {"odd": (forward.targets % 2).float().sum()})


def row(index: int) -> EncodedRow:
    generator = torch.Generator().manual_seed(index)
    ids = torch.randint(10, 4000, (4 + 3 * index,), generator=generator).tolist()
    encoded = Encoded(tuple(ids), (0.0, 0.0, *(1.0,) * (len(ids) - 2)))
    return EncodedRow(Example(id=f"row-{index}", origin=Origin(SOURCES[index], "x", index)), (encoded,))


class Rows(RecipeData):
    """Rows that need no files."""

    def __init__(self, plan: dict[str, Any], **sources: Source) -> None:
        super().__init__(sources)
        self.rows, self.cut = [row(at) for at in range(len(SOURCES))], plan

    def encoded(self, split: Any) -> EncodedSplit:
        return EncodedSplit(self.rows)

    def val_dataloader(self) -> PlanLoader:
        return PlanLoader(self.rows, Plan([r.length for r in self.rows], **self.cut, shuffle=False))


def alone(base: Path, rows: Sequence[EncodedRow]) -> tuple[float, float]:
    """Loss and share of odd targets by transformers alone, row by row."""
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    total, odd, number = 0.0, 0, 0
    for encoded in (one.sequences[0] for one in rows):
        ids = torch.tensor([encoded.ids])
        with torch.no_grad():
            logits = model(input_ids=ids).logits[0, 1:-1]
        total += float(torch.nn.functional.cross_entropy(logits, ids[0, 2:], reduction="sum"))
        odd, number = odd + int((ids[0, 2:] % 2).sum()), number + ids.shape[1] - 2
    return total / number, odd / number


@pytest.mark.parametrize("layout", ["ragged", "padded"])
@pytest.mark.parametrize("plan", [{"batch_size": 8}, {"batch_size": 3}, {"batch_size": 1}, {"max_tokens": 40}])
def test_the_loss_of_each_task_is_that_of_its_rows_alone(tiny_base: Path, layout: str, plan: dict[str, Any]) -> None:
    adapter = type("Padded", (Full,), {"layout": layout})()
    module = Specialist(str(tiny_base), Surprise(), adapter, precision="fp32")
    module.load()
    data = Rows(plan, **{name: Source("x", PromptCompletion(), task=task) for name, task in TASKS.items()})
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    trainer.validate(module, datamodule=data, verbose=False)
    logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
    expected = {"": alone(tiny_base, data.rows)}
    for task in ("notes", "post"):
        expected[f"/{task}"] = alone(tiny_base, [one for one in data.rows if TASKS[one.example.origin.source] == task])
    assert set(logged) == {f"val/{name}{task}" for name in ("loss", "odd") for task in expected}
    for task, (loss, odd) in expected.items():
        assert logged[f"val/loss{task}"] == pytest.approx(loss, rel=1e-6)
        assert logged[f"val/odd{task}"] == pytest.approx(odd, rel=1e-6)
    assert module.task_losses == {task: pytest.approx(expected[f"/{task}"][0], rel=1e-6) for task in ("notes", "post")}


def test_one_task_is_told_by_the_whole(tiny_base: Path) -> None:
    module = Specialist(str(tiny_base), Surprise(), Full(), precision="fp32")
    module.load()
    data = Rows({"batch_size": 3}, **{name: Source("x", PromptCompletion(), task="all") for name in TASKS})
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    trainer.validate(module, datamodule=data, verbose=False)
    assert set(trainer.callback_metrics) == {"val/loss", "val/odd"}


def two_tasks(bench: Any, *, letters: bool = True, **changes: Any) -> None:
    rows = make_rows(64)
    for name, part in {"rows": rows[:40], "notes": rows[40:50], "letters": rows[50:]}.items():
        shaped = [
            {"prompt": one["prompt"], "chosen": one["completion"], "rejected": f"no {at} {one['completion']}"}
            for at, one in enumerate(part)
        ]
        write_rows(bench.folder / f"{name}.jsonl", shaped)
    sources: dict[str, Any] = {
        "rows": {"path": "rows.jsonl", "formatter": "Preference", "split": "train"},
        "notes": {"path": "notes.jsonl", "formatter": "Preference", "split": "validation"},
    }
    if letters:
        sources["letters"] = {"path": "letters.jsonl", "formatter": "Preference", "split": "validation", "task": "post"}
    bench.recipe["data"]["sources"] = sources
    bench.recipe["evaluators"] = {"preference": "PreferenceAccuracy"}
    bench.write(model={"objective": "Preference"}, **changes)


def test_pairs_with_their_base_are_told_apart_by_task_as_they_would_be_alone(bench: Any) -> None:
    two_tasks(bench, trainer={"val_check_interval": 2, "max_steps": 4})
    bench.done("fit", *CONFIG)
    two_tasks(bench, letters=False, trainer={"val_check_interval": 2, "max_steps": 4})
    bench.done("fit", *CONFIG)
    both, one = bench.runs()
    whole, part = ([row for row in bench.curve(run) if row["val/loss"]] for run in (both, one))
    assert len(whole) == len(part) == 2
    for name in ("loss", "rewards/accuracy", "rewards/margin"):
        for left, right in zip(whole, part, strict=True):
            assert float(left[f"val/{name}/notes"]) == pytest.approx(float(right[f"val/{name}"]), rel=1e-5)
            assert f"val/{name}/notes" not in right
            # ten and fourteen pairs
            mean = (10 * float(left[f"val/{name}/notes"]) + 14 * float(left[f"val/{name}/post"])) / 24
            assert float(left[f"val/{name}"]) == pytest.approx(mean, rel=1e-5)
    assert whole[-1]["val/loss/notes"] != whole[-1]["val/loss/post"]
    told = json.loads((both / "result.json").read_text())["task_losses"]
    assert list(told) == ["notes", "post"]
    assert [step for step, _ in told["post"]] == [0, 2, 4]
    assert told["post"][-1][1] == pytest.approx(float(whole[-1]["val/loss/post"]))
    assert "task_losses" not in json.loads((one / "result.json").read_text())


def test_the_loss_of_a_task_may_be_watched_and_one_that_is_none_is_refused_before_rows_are_read(bench: Any) -> None:
    watched = {
        "class_path": "EarlyStopping",
        "init_args": {"monitor": "val/loss/post", "patience": 0, "min_delta": 9.0},
    }
    two_tasks(bench, trainer={"val_check_interval": 1, "max_steps": 4, "callbacks": [watched]})
    ran = bench.done("fit", *CONFIG)
    assert "stopped early at step 2 of 4: EarlyStopping: val/loss/post did not improve" in ran.out
    watched["init_args"]["monitor"] = "val/loss/pos"
    two_tasks(bench, trainer={"callbacks": [watched]})
    (bench.folder / "letters.jsonl").unlink()
    ran = bench.done("recipes", "check", "tiny.yaml", code=2)
    said = "trainer.callbacks: EarlyStopping monitors val/loss/pos, which is not logged; did you mean val/loss/post?"
    assert said in ran.out
