"""What `preview` says of runs on several processes: how many there are, what each holds, which kernels they use."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch.distributed.device_mesh import init_device_mesh

from tunesmith.cli import estimate
from tunesmith.cli.arguments import parse
from tunesmith.cli.course import course
from tunesmith.cli.device import device
from tunesmith.cli.fit import prepare_data
from tunesmith.cli.place import Place, place_of
from tunesmith.cli.quiet import quieten
from tunesmith.cli.trainer_checks import check_strategy
from tunesmith.cli.trainer_cli import Session, open_session, sections
from tunesmith.data.collate import collate
from tunesmith.errors import RecipeError
from tunesmith.training.fsdp2 import FSDP2
from tunesmith.training.needs import Needs
from tunesmith.training.portions import portion
from tunesmith.training.probing import _stretched, _timeline, pass_footprint, size_of
from tunesmith.training.sharding import local, shard

CONFIG = ("--config", "tiny.yaml")
SHARDED = ("--trainer.strategy=fsdp2", "--trainer.devices=2")
BUSY = """
import os
import time

from tunesmith import hookimpl
from tunesmith_plugins.objectives.next_token import NextToken


class Busy(NextToken):
    \"\"\"Keeps the second process busy for two seconds a step.\"\"\"

    def loss(self, forward):
        until = time.process_time() + 2
        while forward.batch.window is not None and os.environ.get("LOCAL_RANK") == "1" and time.process_time() < until:
            pass
        return super().loss(forward)


@hookimpl
def tunesmith_register_objectives():
    return [Busy]
"""


def opened(*words: str) -> Session:
    quieten()
    session = open_session(parse("preview", [*CONFIG, *words], list(sections())))
    check_strategy(session)
    prepare_data(session, None)
    return session


@pytest.fixture
def mesh() -> Iterator[Any]:
    """Three processes, of which this is the first and the others never answer."""
    from torch.testing._internal.distributed.fake_pg import FakeStore

    torch.distributed.init_process_group("fake", store=FakeStore(), rank=0, world_size=3)
    yield init_device_mesh("cpu", (3,))
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("adapter", ["LoRA", "Full"])
def test_a_portion_is_what_a_process_keeps_of_its_weights(bench: Any, adapter: str, mesh: Any) -> None:
    model = opened(f"--model.adapter={adapter}").model
    said = portion(model, 3)
    trained = {name for name, parameter in model.network.named_parameters() if parameter.requires_grad}
    shard(model.network, mesh)
    kept = {name: local(p).untyped_storage().nbytes() for name, p in model.network.named_parameters()}
    buffers = sum(buffer.nbytes for buffer in model.network.buffers())
    assert said.trained == sum(kept[name] for name in trained)
    assert said.frozen == sum(size for name, size in kept.items() if name not in trained) + buffers


def test_one_process_keeps_all_and_gathers_nothing(bench: Any) -> None:
    model = opened().model
    alone, three = portion(model, 1), portion(model, 3)
    assert alone.share == 1
    assert alone.gathered == 0
    assert alone.frozen + alone.trained == 4 * sum(p.numel() for p in model.parameters()) + sum(
        b.nbytes for b in model.buffers()
    )
    # embeddings and head, and the next layer beside the one that runs
    body = model.passes.model.model
    layer = 4 * sum(p.numel() for p in body.layers[0].parameters())
    assert three.gathered == 4 * (2 * 4096 * 64 + 64) + 2 * layer


def test_gradients_in_shards_are_not_counted_with_the_pass(bench: Any) -> None:
    session = opened("--model.adapter=Full")
    model, row = session.model, session.data.encoded("train").rows[0]
    made, held = pass_footprint(model, row), pass_footprint(model, row, held=True)
    large = [_stretched(row, 100, 30)] * 2
    size = size_of(large, model.layout)
    assert held.peak(size) == pytest.approx(max(_timeline(model, collate(large), held=True)), rel=0.01)
    left = [_timeline(model, collate(large), held=shards)[-1] for shards in (False, True)]
    embeddings = 4096 * 64  # whose gradient comes last, and is there before it is added to the shards
    assert left[0] - left[1] == 4 * (sum(p.numel() for p in model.parameters()) - embeddings)
    alone, halved = Needs.of(model, made, 1).at(size), Needs.of(model, held, 1, 2).at(size)
    assert halved.trained == pytest.approx(alone.trained / 2, rel=0.01)
    assert halved.gathered > 0 == alone.gathered


def test_preview_divides_a_gpus_weights_among_its_processes(bench: Any) -> None:
    def told(*words: str) -> tuple[str, float, float]:
        out = bench.done("preview", *CONFIG, "--examples=0", "--gpu=24", "--model.adapter=Full", *words).out
        trained = re.search(r"([\d.]+) MiB trained weights", out)
        gathered = re.search(r"([\d.]+) MiB weights that are gathered", out)
        assert trained is not None
        return out, float(trained[1]), float(gathered[1]) if gathered else 0.0

    alone, two, four = told(), told(*SHARDED), told(SHARDED[0], "--trainer.devices=4")
    assert alone[1] == pytest.approx(2 * two[1], rel=0.02)
    assert alone[1] == pytest.approx(4 * four[1], rel=0.02)
    assert alone[2] == 0 < two[2] == four[2]
    assert "2 x cuda, weights in shards" in two[0]
    assert "each of 2: 24.0 GiB; the recipe needs" in two[0]
    assert "trainer.devices is left to the machine that trains; counted as one" in alone[0]
    assert "left to the machine" not in two[0]


def test_preview_says_what_each_of_several_processes_takes(bench: Any) -> None:
    out = bench.done("preview", *CONFIG, "--examples=0", *SHARDED, "--trainer.num_nodes=2").out
    assert "4 x cpu on 2 machines, 1 thread each, weights in shards" in out
    assert "what processes send each other is not in the time" in out
    said = re.search(r"about ([\d.]+) GiB of each process, ([\d.]+) GiB together", out)
    assert said is not None
    assert float(said[2]) == pytest.approx(2 * float(said[1]), abs=0.011), "of those on one machine"
    assert "30 rows" in out
    assert "4 optimizer steps: 2 micro-batches an epoch" in out


def test_processes_on_one_machine_share_its_cores(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunesmith.cli.place._suggested_max_num_threads", lambda beside: max(1, 4 // beside))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    four = place_of({"accelerator": "cpu", "devices": 4, "strategy": "ddp"})
    assert (four.threads, four.crowding) == (1, 1.0)
    assert replace(four, processes=8).crowding == 2.0
    assert replace(four, processes=8, machines=2).crowding == 1.0
    monkeypatch.setenv("OMP_NUM_THREADS", str(torch.get_num_threads()))
    assert four.threads == torch.get_num_threads()
    assert replace(four, processes=1).crowding == 1.0


def test_time_grows_where_processes_crowd(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    session = opened()
    way = course(session.trainer_options, session.data)
    monkeypatch.setattr(Place, "crowding", 1000.0)
    found = estimate.estimate(session, way, torch.device("cpu"))
    assert found.wall.training > 100 * found.processor.training


@pytest.mark.parametrize(
    ("options", "processes", "guessed"),
    [
        ({"devices": 2, "num_nodes": 3}, 6, False),
        ({"devices": "2"}, 2, False),
        ({"devices": "0,1,3"}, 3, False),
        ({"devices": [0, 1]}, 2, False),
        ({"devices": "auto"}, 1, True),
        ({"devices": -1, "num_nodes": 2}, 2, True),
    ],
    ids=str,
)
def test_gpus_of_another_machine_are_counted(options: dict[str, Any], processes: int, guessed: bool) -> None:
    place = place_of({"accelerator": "gpu", **options}, gpu=True)
    assert (place.processes, place.guessed, place.here) == (processes, guessed, False)
    assert place.device.type == "cuda"


def test_processors_are_counted_as_lightning_counts_them() -> None:
    here = {"accelerator": "cpu", "max_epochs": 1}
    assert place_of({**here, "devices": "auto"}).processes == 1
    assert place_of({**here, "devices": 3}).processes == 3
    assert place_of({**here, "devices": 2, "num_nodes": 2, "strategy": FSDP2()}).sharded
    with pytest.raises(RecipeError, match=r"^trainer: .*devices"):
        place_of({**here, "devices": 0})


def test_the_largest_micro_batch_is_that_of_any_process(bench: Any) -> None:
    session = opened("--data.max_tokens=100", "--trainer.devices=2", "--trainer.strategy=ddp")
    way = course(session.trainer_options, session.data)
    ranks = [micro for rank in range(2) for micro in way.plan.epoch(0, rank)]
    assert {m.rows for m in ranks if not m.ghost} == {m.rows for m in way.begun(1) if not m.ghost}
    assert len(ranks) == len(way.begun(1))


def test_rows_that_have_more_than_max_tokens_are_counted(bench: Any) -> None:
    lengths = opened().data.encoded("train").lengths
    most = sorted(lengths)[len(lengths) // 2]
    for limit, alone in ((most, sum(length > most for length in lengths)), (max(lengths), 0), (1, len(lengths))):
        out = bench.done("preview", *CONFIG, "--examples=0", f"--data.max_tokens={limit}").out
        said = f"; {alone} of {len(lengths)} rows have more than {limit} tokens and are alone"
        assert (said in out) == bool(alone)
    assert "rows have more than" not in bench.done("preview", *CONFIG, "--examples=0").out


@pytest.mark.parametrize("wanted", ["false", "auto"])
def test_preview_and_fit_name_the_same_kernels(bench: Any, wanted: str) -> None:
    def told(verb: str) -> list[str]:
        out = bench.done(verb, *CONFIG, f"--model.compile={wanted}", "--trainer.max_steps=1").out
        return [line for line in out.splitlines() if line.startswith(("  precision ", "  kernels "))]

    assert told("preview") == told("fit")
    assert len(told("preview")) == 2


def test_preview_refuses_kernels_that_fit_refuses(bench: Any) -> None:
    words = ("--model.compile=true", "--model.gradient_checkpointing=true")
    fit, preview = (bench.done(verb, *CONFIG, *words, code=2).err for verb in ("fit", "preview"))
    assert preview == fit
    assert "model.compile is true, but" in fit


def test_all_layers_are_advised_where_every_second_one_is_recomputed(bench: Any) -> None:
    words = ("--gpu=0.652", "--data.max_tokens=2000", "--model.gradient_checkpointing")
    out = {how: bench.done("preview", *CONFIG, "--examples=0", *words[:2], f"{words[2]}={how}").out for how in
           ("selective", "true")}  # fmt: skip
    assert "with model.gradient_checkpointing: true it needs" in out["selective"]
    assert "with model.gradient_checkpointing" not in out["true"]


@pytest.mark.filterwarnings("ignore:.*GPU available but not used")
@pytest.mark.parametrize("apple", [False, True], ids=["", "with an Apple GPU"])
@pytest.mark.parametrize(
    "options", [{}, {"accelerator": "auto"}, {"accelerator": "cpu"}, {"accelerator": "gpu"}], ids=str
)
def test_verbs_without_a_trainer_run_where_fit_does(
    apple: bool, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not apple and options.get("accelerator") == "gpu" and not torch.cuda.is_available():
        pytest.skip("Lightning refuses it")
    if apple:
        monkeypatch.setattr("lightning.fabric.accelerators.mps.MPSAccelerator.is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    trainer = Trainer(**options, devices=1, logger=False, enable_checkpointing=False)
    assert device(options) == trainer.strategy.root_device


@pytest.mark.slow
def test_a_run_on_several_processes_is_said_to_take_the_processor_time_of_all(bench: Any, apart: Any) -> None:
    (bench.folder / "busy.py").write_text(BUSY)
    words = ("fit", "--config", "tiny.yaml", "--plugin", "busy.py", "--model.objective=Busy", "--trainer.max_steps=4")
    two = ("--trainer.devices=2", "--trainer.strategy=ddp", "--trainer.limit_val_batches=0")
    ran = apart.command(*words, *two, cwd=bench.folder, ranks=2)
    assert ran.returncode == 0, ran.stderr
    (run,) = bench.runs()
    result = json.loads((run / "result.json").read_text())
    assert 4 * 2 < result["processor_seconds"] < 2 * result["seconds"] + 4
