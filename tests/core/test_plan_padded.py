"""`max_tokens` where a model runs padded: it bounds what is computed, padding included, in every epoch."""

import random as std_random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from tunesmith.data.loader import layout_differences
from tunesmith.data.packing import Shape, area, bins_needed, next_fit, pack
from tunesmith.data.plan import MicroBatch, Plan
from tunesmith.training import checkpoint

SHAPES = st.lists(st.builds(Shape, st.integers(1, 2), st.integers(1, 40)), min_size=1, max_size=50)
SMALL = st.integers(1, 3)
CONFIG = ("--config", "tiny.yaml")


def plan_of(shapes: list[Shape], **options: Any) -> Plan:
    lengths = [shape.documents * shape.longest for shape in shapes]
    units = {"token": lengths, "example": [1] * len(lengths), "pair": [shape.documents - 1 for shape in shapes]}
    return Plan(lengths, units, shapes=shapes, **options)  # type: ignore[arg-type]


def micros(plan: Plan, epoch: int) -> list[MicroBatch]:
    return [micro for rank in range(plan.world) for micro in plan.epoch(epoch, rank)]


def test_one_long_row_among_short_ones_is_not_padded_beyond_the_budget() -> None:
    lengths = [1000, *[10] * 7]
    ragged, padded = Plan(lengths, max_tokens=1500), plan_of([Shape(1, n) for n in lengths], max_tokens=1500)
    assert [len(micro.rows) for micro in ragged.epoch(0, 0)] == [8]
    assert sorted(len(micro.rows) for micro in padded.epoch(0, 0)) == [1, 7]


@given(SHAPES, st.integers(5, 120), SMALL, SMALL)
def test_no_padded_micro_batch_computes_more_than_the_budget(
    shapes: list[Shape], budget: int, accumulate: int, world: int
) -> None:
    plan = plan_of(shapes, max_tokens=budget, accumulate=accumulate, world=world, seed=3)
    for epoch in range(2):
        made = micros(plan, epoch)
        assert len(made) == len(plan) * world
        assert Counter(row for m in made if not m.ghost for row in m.rows) == Counter(range(len(shapes)))
        assert all(area(m.rows, shapes) <= budget or len(m.rows) == 1 for m in made)
        assert made == micros(plan_of(shapes, max_tokens=budget, accumulate=accumulate, world=world, seed=3), epoch)


@given(SHAPES, st.integers(5, 120))
def test_the_same_rows_meet_in_a_window_for_every_layout(shapes: list[Shape], budget: int) -> None:
    def windows(accumulate: int, world: int) -> list[set[int]]:
        plan = plan_of(shapes, max_tokens=budget, accumulate=accumulate, world=world)
        return [{row for rows in window for row in rows} for window in plan.windows(1)]

    assert windows(4, 1) == windows(1, 4) == windows(2, 2)


@given(SHAPES, st.integers(5, 120), st.randoms())
def test_the_number_of_padded_micro_batches_is_that_of_any_order(
    shapes: list[Shape], budget: int, random: std_random.Random
) -> None:
    order = list(range(len(shapes)))
    random.shuffle(order)
    lengths = [shape.documents * shape.longest for shape in shapes]
    most = bins_needed(lengths, budget, shapes)
    bins = pack(order, lengths, budget, most, shapes)
    assert len(bins) <= most
    assert sorted(row for rows in bins for row in rows) == sorted(order)


@given(st.lists(st.integers(1, 12), min_size=1, max_size=7), st.integers(3, 40))
def test_no_other_way_needs_fewer_padded_micro_batches(lengths: list[int], budget: int) -> None:
    shapes = [Shape(1, length) for length in sorted(lengths, reverse=True)]

    def fewest(rows: tuple[int, ...]) -> int:
        if not rows:
            return 0
        first, rest = rows[0], rows[1:]
        best = 1 + fewest(rest)
        for mask in range(1, 1 << len(rest)):
            chosen = [row for at, row in enumerate(rest) if mask >> at & 1]
            if area([first, *chosen], shapes) <= budget:
                best = min(best, 1 + fewest(tuple(row for row in rest if row not in chosen)))
        return best

    assert len(next_fit(range(len(shapes)), shapes, budget)) == fewest(tuple(range(len(shapes))))


def test_padded_rows_meet_others_in_every_epoch_and_fill_most_of_the_budget() -> None:
    draw = np.random.default_rng(0)
    shapes = [Shape(1, int(n)) for n in np.clip(draw.lognormal(np.log(240), 0.6, 2000), 20, 1500)]
    plan = plan_of(shapes, max_tokens=4096)
    assert plan.used is not None
    assert plan.used == pytest.approx(sum(plan.lengths) / (4096 * len(plan)))
    assert plan.used > 0.87
    mates = [
        {frozenset((a, b)) for m in plan.epoch(epoch, 0) for a in m.rows for b in m.rows if a < b} for epoch in range(2)
    ]
    assert len(mates[0] & mates[1]) < 0.5 * len(mates[0])


def test_a_position_counts_only_under_the_same_kind_of_budget() -> None:
    shapes = [Shape(1, 5), Shape(1, 7)]
    padded, ragged = plan_of(shapes, max_tokens=20), Plan([5, 7], max_tokens=20)
    assert padded.layout() != ragged.layout()
    assert layout_differences(ragged.layout(), padded.layout()) == ["padding within data.max_tokens was 0 and is 1"]
    assert layout_differences(padded.layout(), padded.layout()) == []


@pytest.fixture
def padded_bench(bench: Any) -> Any:
    """A base that mixes packed documents, rows of very unequal lengths, and a budget."""
    config = transformers.StableLmConfig(
        vocab_size=4096, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=256,
    )  # fmt: skip
    directory = bench.folder / "stable"
    torch.manual_seed(0)
    transformers.StableLmForCausalLM(config).save_pretrained(directory)
    transformers.AutoTokenizer.from_pretrained(bench.recipe["model"]["base"]).save_pretrained(directory)
    rows = (bench.folder / "rows.jsonl").read_text().splitlines()
    rows[::7] = [row.replace("Report", "Report " + "of the pump " * 20) for row in rows[::7]]
    (bench.folder / "rows.jsonl").write_text("\n".join(rows) + "\n")
    lora = {"class_path": "LoRA", "init_args": {"rank": 4, "alpha": 8, "dropout": 0.1}}
    model = {"base": str(directory), "adapter": lora}
    bench.write(
        model=model, data={"max_tokens": 150}, trainer={"max_steps": -1, "max_epochs": 2, "val_check_interval": 2}
    )
    return bench


def test_padded_runs_are_previewed_bounded_and_resumed_exactly(
    padded_bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunesmith.training.specialist import Specialist

    seen: list[int] = []
    step = Specialist.training_step

    def noting(self: Specialist, batch: Any, index: int) -> Any:
        if len(batch.examples) > 1:
            seen.append(batch.max_seqlen * (len(batch.cu_seqlens) - 1))
        return step(self, batch, index)

    monkeypatch.setattr(Specialist, "training_step", noting)
    preview = padded_bench.done("preview", *CONFIG, "--examples=0").out
    seen.clear()
    fit = padded_bench.done("fit", *CONFIG).out
    assert "layout      padded" in fit
    assert 100 < max(seen) <= 150
    [line] = [line for line in fit.splitlines() if line.startswith("  batches ")]
    said = line.split(maxsplit=1)[1]
    assert "of data.max_tokens used" in said
    [steps] = [line for line in preview.splitlines() if line.startswith("  steps ")]
    assert steps.endswith(f"optimizer steps: {said}")
    (whole,) = padded_bench.runs()
    real, saved = checkpoint.save, []

    def dying(trainer: Any, *targets: Path) -> None:
        real(trainer, *targets)
        saved.append(trainer.global_step)
        if len(saved) == 2:
            raise SystemExit(1)

    with monkeypatch.context() as within:
        within.setattr(checkpoint, "save", dying)
        padded_bench.done("fit", *CONFIG, code=130)
    assert saved[1] % int(said.split()[0]), "in mid-epoch"
    (part,) = set(padded_bench.runs()) - {whole}
    padded_bench.done("fit", *CONFIG, "--run", str(part), "--ckpt_path=last")
    ours, theirs = (load_file(Path(run) / "adapter/adapter_model.safetensors") for run in (whole, part))
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
