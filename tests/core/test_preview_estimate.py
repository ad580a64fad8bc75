"""What `preview` says of memory and time, against what training then takes and against counts made by hand."""

import json
import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers
from torch import nn

from tunesmith.cli.arguments import parse
from tunesmith.cli.course import course
from tunesmith.cli.estimate import _time, estimate
from tunesmith.cli.fit import prepare_data
from tunesmith.cli.gpu_fit import _each, budget_size, more_beside, own_sizes
from tunesmith.cli.gpus import GPUS, OLDER, stated_gpu
from tunesmith.cli.main import main
from tunesmith.cli.progress import clock
from tunesmith.cli.quiet import quieten
from tunesmith.cli.trainer_cli import Session, open_session, sections
from tunesmith.data.collate import collate
from tunesmith.errors import RecipeError
from tunesmith.testing.tiny import make_rows, write_rows
from tunesmith.training import rehearsal
from tunesmith.training.attention import by_sdpa
from tunesmith.training.footprint import Footprint, LiveBytes, Size, footprint, storages
from tunesmith.training.needs import Needs
from tunesmith.training.optimizer_states import optimizer_bytes
from tunesmith.training.probing import (
    _stretched,
    _timeline,
    checkpointing,
    held_tensors,
    kept_tensors,
    pass_footprint,
    size_of,
    size_with,
)
from tunesmith.training.rehearsal import pace, rehearse

GIB = 2**30
CONFIG = ("--config", "tiny.yaml")
BASE = "--model.base=package://tunesmith_plugins/bases/tiny-mistral"


def opened(*words: str) -> Session:
    quieten()
    session = open_session(parse("preview", [*CONFIG, *words], list(sections())))
    prepare_data(session, None)
    return session


def test_bytes_held_by_two_layers_are_those_counted_by_hand() -> None:
    first, second = nn.Linear(16, 32, bias=False), nn.Linear(32, 4, bias=False)
    rows = torch.randn(8, 16)
    with LiveBytes([*first.parameters(), *second.parameters(), rows]) as counted:
        wide = first(rows)
        hidden = torch.relu(wide)
        del wide
        out = second(hidden)
        del hidden
        held = counted.timeline[-1]
        out.sum().backward()
        del out
        torch.zeros(1)
        after = counted.timeline[-1]
    # relu keeps its result for backward, and nothing else is kept beside the output
    assert held == 4 * (8 * 32 + 8 * 4)
    assert after == 4 * (16 * 32 + 32 * 4) + 4, "the two gradients"
    # the most: hidden states and their gradient (relu's made while the layer's is there), both weights' gradients
    assert max(counted.timeline) >= 4 * (8 * 32 * 3 + 32 * 4)


def test_a_view_is_held_once_and_until_the_last_of_its_tensors_goes() -> None:
    with LiveBytes() as counted:
        whole = torch.zeros(100)
        part = whole[10:20]
        del whole
        torch.zeros(1)
        assert counted.timeline[-1] == 404
        del part
        torch.zeros(1)
        assert counted.timeline[-1] == 4


@pytest.mark.parametrize(
    "words",
    [
        ("--model.adapter=LoRA",),
        ("--model.adapter=Full",),
        ("--model.adapter=LoRA", "--model.precision=bf16"),
        ("--model.adapter=LoRA", "--model.gradient_checkpointing=true"),
        (BASE, "--model.adapter=QLoRA", "--model.regularizers.anchor.class_path=KLToBase",
         "--model.regularizers.anchor.init_args.weight=0.1"),
        ("--model.adapter=LoRA", "--model.adapter.dropout=0.1", "--model.regularizers={agree: RDrop, noise: NEFTune}"),
        ("--model.adapter=Full", "--model.regularizers={near: {class_path: L2SP, init_args: {weight: 0.1}}}"),
    ],
    ids=lambda words: " ".join(words)[:60],
)  # fmt: skip
@pytest.mark.parametrize(("documents", "length", "supervised"), [(5, 90, 3), (1, 250, 200)])
def test_the_footprint_of_small_passes_is_that_of_a_large_one(
    bench: Any, words: tuple[str, ...], documents: int, length: int, supervised: int
) -> None:
    model = (session := opened(*words)).model
    row = session.data.encoded("train").rows[0]
    found = pass_footprint(model, row)
    large = [_stretched(row, length, supervised)] * documents
    with by_sdpa():
        counted = max(_timeline(model, collate(large)))
    assert found.peak(size_of(large, model.layout)) == pytest.approx(counted, rel=0.01)


def test_the_footprint_holds_one_chunk_of_logits_at_most(bench: Any) -> None:
    session = opened("--model.adapter=LoRA")
    model, row = session.model, session.data.encoded("train").rows[0]
    model.passes = replace(model.passes, logits_bytes=4 * 4096 * 64)
    assert model.passes.chunk_size == 64
    found = pass_footprint(model, row)
    large = [_stretched(row, 250, 240)] * 2
    counted = max(_timeline(model, collate(large)))
    assert found.peak(size_of(large, model.layout)) == pytest.approx(counted, rel=0.15)
    whole = replace(found, most_supervised=10**9).peak(size_of(large, model.layout))
    assert whole > 1.5 * counted, "without chunks"


def test_squares_of_lengths_are_told_from_lengths() -> None:
    def line(size: Size) -> list[int]:
        return [100 + 7 * size.tokens, 3 * size.squares + 5 * size.supervised, 11]

    sizes = [Size(8, 2, 32), Size(12, 2, 72), Size(16, 2, 128), Size(8, 6, 32)]
    found = footprint(line, sizes, 10**6, 0)
    assert found.peak(Size(1000, 10, 1000)) == pytest.approx(7100)
    assert found.peak(Size(1000, 10, 10**6)) == pytest.approx(3 * 10**6 + 50)
    assert found.slope(Size(1000, 10, 1000))[0] == pytest.approx(7)


def test_the_optimizers_states_are_found_without_memory(bench: Any) -> None:
    model = opened("--model.adapter=LoRA").model
    trained = [p for p in model.parameters() if p.requires_grad]
    own = sum(p.numel() for p in trained) * 4
    moments, beside, assumed = optimizer_bytes(model)
    assert not assumed
    assert moments == 2 * own + 4 * len(trained), "two moments, and a counter for each tensor"
    assert beside == 0, "one kernel needs no table besides"
    model.optimizer_factory = lambda groups: torch.optim.AdamW(groups, lr=0.1, fused=False)
    assert optimizer_bytes(model)[:2] == (moments, own)
    model.optimizer_factory = lambda groups: torch.optim.SGD(groups, lr=0.1)
    assert optimizer_bytes(model)[0] == 0
    model.optimizer_factory = lambda groups: torch.optim.SGD(groups, lr=0.1, momentum=0.9)
    assert optimizer_bytes(model)[0] == own


def test_scales_of_quantised_weights_are_weights_too(bench: Any) -> None:
    model = opened(BASE, "--model.adapter=QLoRA").model
    packed = next(p for p in model.parameters() if hasattr(p, "quant_state"))
    held = {id(tensor) for tensor in held_tensors(model)}
    assert id(packed.quant_state.absmax) in held
    assert id(packed.quant_state.state2.absmax) in held
    model.load_baseline()
    assert len(held_tensors(model)) > len(held), "and those of a second copy of the base"


def needs(each: int = 1000) -> Needs:
    import numpy as np

    held = np.array([[1e6, each, 10 * each, 0.0], [5e6, each / 2, 0.0, 0.0]])
    return Needs(10**8, 10**7, 10**6, 10**6, False, Footprint(held, 512, 100))


@pytest.mark.parametrize("capacity", [GIB, 2 * GIB, 8 * GIB])
def test_the_largest_budget_fits_and_the_next_does_not(capacity: int) -> None:
    asked = needs()

    def size(tokens: int) -> Size:
        return Size(tokens, tokens // 4, 0)

    most = asked.largest(capacity, size, 2**30)
    assert asked.at(size(most)).total <= capacity < asked.at(size(most + 1)).total
    assert asked.largest(capacity + GIB, size, 2**30) > most
    assert asked.largest(10**8, size, 2**30) == 0, "not even the weights fit"
    assert needs(each=2000).largest(capacity, size, 2**30) < most


def test_gradients_of_earlier_micro_batches_are_there_while_a_pass_runs() -> None:
    size = Size(1000, 10, 0)
    alone, accumulating = needs(), replace(needs(), accumulates=True)
    assert accumulating.at(size).step - alone.at(size).step == alone.gradients
    stepping = replace(alone, gradients=10**9, stepping=10**9).at(size).step
    assert stepping == 2 * 10**9, "the optimizer's step may hold more than any pass"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("24", 24 * GIB), ("24 GiB", 24 * GIB), ("24gib", 24 * GIB), ("24 GB", 24 * 10**9), ("1.5", 1.5 * GIB)],
)
def test_a_gpu_is_stated_by_its_memory(text: str, expected: float) -> None:
    assert stated_gpu(text).capacity == expected


def test_a_gpu_is_stated_by_its_name() -> None:
    assert stated_gpu("H100").capacity == int(GPUS["h100"] * GIB)
    for wrong, said in (("h10", "did you mean"), ("0", "give its memory"), ("24 TB", "give its memory")):
        with pytest.raises(RecipeError, match=re.escape(said)):
            stated_gpu(wrong)


def much(bench: Any) -> None:
    """More rows than fit at once."""
    write_rows(bench.folder / "rows.jsonl", [row | {"prompt": 12 * row["prompt"]} for row in make_rows(1100)])


@pytest.mark.parametrize("model", ["mistral", "padded"])
def test_a_budget_that_all_training_rows_keep_is_not_searched_further(bench: Any, model: str) -> None:
    if model == "padded":
        torch.manual_seed(0)
        sizes = {"vocab_size": 4096, "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1}
        config = transformers.StableLmConfig(**sizes, num_attention_heads=4, num_key_value_heads=4)
        transformers.AutoModelForCausalLM.from_config(config).save_pretrained(bench.folder / "padded")
        transformers.AutoTokenizer.from_pretrained(bench.recipe["model"]["base"]).save_pretrained(
            bench.folder / "padded"
        )
        bench.recipe["model"]["base"] = "./padded"
        bench.write()
    rows = opened().data.encoded("train").rows
    longest, tokens = max(row.length for row in rows), sum(row.length for row in rows)
    padding = f", {len(rows) * longest:,} with padding" if model == "padded" else ""
    said = (
        f"max_tokens any data.max_tokens fits: all {len(rows)} training rows ({tokens:,} tokens{padding}) fit at once"
    )
    assert said in " ".join(bench.done("preview", *CONFIG, "--examples=0", "--gpu=h100").out.split())


@pytest.mark.slow
def test_preview_names_the_largest_budget_for_a_gpu(bench: Any) -> None:
    much(bench)
    told = {}
    for gpu in ("1", "1.5"):
        out = bench.done("preview", *CONFIG, "--examples=0", f"--gpu={gpu}").out
        assert f"gpu         {float(gpu):.1f} GiB; the recipe needs 0." in out
        assert "(computed) and fits" in out
        found = re.search(r"max_tokens  ([\d,]+) is the largest data.max_tokens that fits", out)
        assert found is not None
        told[gpu] = int(found[1].replace(",", ""))
        assert "of the process" not in out, "another machine's"
    assert told["1.5"] > 1.5 * told["1"] > 1000
    kept = bench.done("preview", *CONFIG, "--examples=0", "--gpu=1", f"--data.max_tokens={told['1']}").out
    assert "and fits" in kept


def test_preview_says_what_does_not_fit_and_what_would_help(bench: Any) -> None:
    out = bench.done("preview", *CONFIG, "--examples=0", "--gpu=0.66", "--data.max_tokens=2000").out
    assert re.search(r"needs 0\.\d+ GiB \(computed\) and does NOT fit: 0\.\d+ GiB too much", out)
    assert "with model.gradient_checkpointing: true it needs 0." in out
    tiny = bench.done("preview", *CONFIG, "--examples=0", "--gpu=0.5").out
    assert "nothing fits, and the longest row has" in tiny
    assert "did you mean l4 or l40s?" in bench.done("preview", *CONFIG, "--gpu=l40", code=2).err


@pytest.mark.slow
def test_a_gpu_computes_in_bf16_unless_the_recipe_says_otherwise(bench: Any) -> None:
    much(bench)

    def largest(precision: str) -> str:
        out = bench.done("preview", *CONFIG, "--examples=0", "--gpu=1", f"--model.precision={precision}").out
        return out[out.index("max_tokens") :]

    auto, bf16, fp32 = map(largest, ("auto", "bf16", "fp32"))
    assert auto == bf16 != fp32


@pytest.mark.parametrize(
    ("gpu", "said"),
    [
        ("t4", "fp32 (chosen: the T4 has no bf16)"),
        ("v100-32", "fp32 (chosen: the V100-32 has no bf16)"),
        ("l4", "bf16 (chosen: the L4 has bf16)"),
        ("24", "bf16 (chosen: GPUs since 2020 have bf16; name yours if it is older)"),
    ],
)
def test_a_gpu_without_bf16_computes_in_fp32(bench: Any, gpu: str, said: str) -> None:
    words = ("preview", *CONFIG, "--examples=0", f"--gpu={gpu}")
    auto, stated = (
        " ".join(bench.done(*words, f"--model.precision={precision}").out.split())
        for precision in ("auto", said.partition(" ")[0])
    )
    assert f"precision {said}" in auto
    assert auto[auto.index(" gpu ") :] == stated[stated.index(" gpu ") :]
    assert "chosen" not in stated, "the recipe's own"


@pytest.mark.parametrize(
    ("supervised", "said"),
    [
        (0.02, "0.050 MiB a token, 0.020 MiB more a trained one"),
        (1e-9, "0.050 MiB a token, trained or not"),
        (-1e-9, "0.050 MiB a token, trained or not"),
    ],
)
def test_what_a_token_takes_reads_well(supervised: float, said: str) -> None:
    assert _each(0.05 * 2**20, supervised * 2**20) == said


def test_gpus_without_bf16_are_gpus() -> None:
    assert set(GPUS) > OLDER


def test_a_budget_holds_rows_of_the_longest_kind(bench: Any) -> None:
    rows = opened().data.encoded("train").rows
    longest = max(r.length for r in rows)
    worst = budget_size(500, rows)
    assert (worst.tokens, worst.squares) == (500, 500 * longest)
    assert budget_size(5, rows).squares == 25


def test_measuring_changes_no_weight_and_leaves_no_gradient(bench: Any) -> None:
    session = opened("--model.optimizer.init_args.lr=1.0")
    before = {name: tensor.clone() for name, tensor in session.model.network.state_dict().items()}
    found = estimate(session, course(session.trainer_options, session.data), torch.device("cpu"))
    after = session.model.network.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert all(p.grad is None for p in session.model.parameters())
    assert session.model.training
    assert found.memory > 0
    assert not found.computed
    assert found.wall.training > 0
    assert found.wall.validation > 0


def test_a_copy_of_the_base_counts_where_memory_is_computed(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from tunesmith.cli import estimate

    anchor = "--model.regularizers={anchor: {class_path: KLToBase, init_args: {weight: 0.1}}}"
    session = opened("--model.adapter=Full", anchor)
    model, rows = session.model, session.data.encoded("train").rows
    own = storages(held_tensors(model))
    monkeypatch.setattr(estimate, "_TRAINING", 0.0)
    monkeypatch.setattr(estimate, "_held", lambda here: float(storages(held_tensors(model))))
    monkeypatch.setattr(estimate, "_peak", lambda here: 0.0)
    way = course(session.trainer_options, session.data)
    found = estimate.estimate(session, way, torch.device("cpu"))
    assert found.computed
    largest = max((size_of([rows[i] for i in m.rows], model.layout) for m in way.begun(1)), key=lambda s: s.tokens)
    passing = pass_footprint(model, rows[0]).peak(largest)
    weights = 4 * sum(p.numel() for p in model.network.parameters())
    assert found.memory - passing == pytest.approx(own + weights, rel=0.01)


def test_rows_beside_a_micro_batch_count_with_it(bench: Any) -> None:
    from tunesmith.data.beside import assembled, fetched

    write_rows(bench.folder / "general.jsonl", [{"text": "A pump moves water. " * n} for n in range(4, 12)])
    keep = "--model.regularizers={keep: {class_path: Replay, init_args: {file: general.jsonl, share: 0.5}}}"
    session = opened("--model.adapter=LoRA", "--data.batch_size=6", keep)
    model, rows, beside = session.model, session.data.encoded("train").rows, session.data.own.beside()
    way = course(session.trainer_options, session.data)
    micro = max(way.plan.everywhere(0), key=lambda one: size_with(one, rows, beside, model.layout).tokens)
    size, alone = size_with(micro, rows, beside, model.layout), size_of([rows[at] for at in micro.rows], model.layout)
    assert size.tokens > 1.5 * alone.tokens
    with by_sdpa():
        counted = max(_timeline(model, assembled(None, fetched(micro, rows, beside))))
    found = pass_footprint(model, rows[0])
    assert found.peak(size) == pytest.approx(counted, rel=0.05)
    assert own_sizes(way, rows, beside, model.layout).count(size) >= 1
    assert 1.3 < more_beside(way, rows, beside, model.layout) < 6
    assert way.cost() > sum(way.plan.cost(one.rows) for one in way.plan.epoch(0, 0)[: way.micros])


def test_copies_and_averages_of_trained_weights_count(bench: Any) -> None:
    near = "--model.regularizers={near: {class_path: L2SP, init_args: {weight: 0.1}}}"
    model, plain = opened("--model.adapter=Full", near).model, opened("--model.adapter=Full").model
    size = 4 * sum(p.numel() for p in plain.parameters())
    assert storages(kept_tensors(model)) == size
    assert storages(held_tensors(model)) == storages(held_tensors(plain)) + size
    assert kept_tensors(plain) == []
    passes = pass_footprint(plain, opened().data.encoded("train").rows[0])
    without, averaged = (Needs.of(plain, passes, 1, averaged=on) for on in (False, True))
    assert averaged.trained - without.trained == size
    halves = Needs.of(model, passes, 1, 2)
    assert halves.weights < 0.6 * Needs.of(model, passes, 1).weights


def test_measuring_stops_in_time_and_measures_the_first_in_any_case(bench: Any) -> None:
    session = opened()
    rows = session.data.encoded("train").rows
    makes = [(float(cost), lambda: collate(rows[:1])) for cost in (1, 2, 3)]
    assert [t.cost for t in rehearse(session.model, makes, 0.0)] == [1]
    assert [t.cost for t in rehearse(session.model, makes, 1e9)] == [1, 2, 3, 1, 2, 3, 1, 2]


def test_seconds_are_fitted_to_costs() -> None:
    exact = pace([(c, 0.02 + 0.003 * c) for c in (100, 400, 900)])
    assert exact.seconds(10, 5000) == pytest.approx(0.2 + 15)
    noisy = pace([(100, 0.35), (400, 1.15), (900, 2.6), (100, 0.3), (400, 1.3)])
    assert noisy.seconds(1, 900) == pytest.approx(2.7, rel=0.1)
    same = pace([(100, 1.0), (101, 1.2)])
    assert same.seconds(10, 1000) == pytest.approx(11, rel=0.01), "alike: no constant part can be told"
    falling = pace([(100, 2.0), (900, 1.0)])
    assert falling.seconds(2, 1000) > 0


@dataclass
class Machine:
    """Two clocks that only the work of a model moves: of the wall, and of the processor, which runs two threads.

    Attributes:
        quadratic: What a pass takes more for a token and token of its row before it, against the rest of a token.
    """

    quadratic: float
    wall: float = 0.0
    processor: float = 0.0
    warm: set[str] = field(default_factory=set)

    def work(self, kind: str, seconds: float, threads: float) -> None:
        """What is done for the first time takes half a second more."""
        seconds += 0.0 if kind in self.warm else 0.5
        self.warm.add(kind)
        self.wall += seconds
        self.processor += threads * seconds

    def seconds(self, training: bool, lengths: list[int]) -> float:
        """Of a micro-batch: a constant part, one for each token, one for each pair of tokens of a row."""
        tokens, squares = sum(lengths), sum(length**2 for length in lengths)
        return (0.03 if training else 0.01) + (7e-4 if training else 2e-4) * (tokens + self.quadratic * squares)


@pytest.mark.parametrize(
    ("options", "epochs", "steps", "validations"),
    [
        # nine micro-batches an epoch, three a validation; before the first step all of validation runs, or none
        ({"max_epochs": 3, "accumulate_grad_batches": 2, "num_sanity_val_steps": -1}, 3, 15, 4),
        ({"max_epochs": 2, "val_check_interval": 3, "num_sanity_val_steps": 0}, 2, 18, 6),
    ],
    ids=["accumulated", "validated often"],
)
def test_the_time_of_a_run_is_added_up_from_measured_micro_batches(
    bench: Any, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], epochs: int, steps: int, validations: int
) -> None:
    rows = [{"prompt": f"Report {n}:" + " valve" * (1 + n * 17 % 90), "completion": "pump"} for n in range(60)]
    (bench.folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    bench.write(trainer={"max_steps": -1, **options})
    session = opened()
    config, model = session.model.network.config, session.model
    body = sum(parameter.numel() for parameter in model.passes.model.base_model.parameters())
    # scores and sums of values, 2 * 2 operations a width and layer, of half a row; against 2 for each weight
    machine = Machine(config.hidden_size * config.num_hidden_layers / body)

    class Working(type(model.objective)):  # type: ignore[misc]
        def loss(self, forward: Any) -> Any:
            seconds = machine.seconds(model.training, forward.batch.cu_seqlens.diff().tolist())
            machine.work("training" if model.training else "validation", seconds, 1.5 if model.training else 1.0)
            return super().loss(forward)

    class Stepping(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            machine.work("step", 1e-6 * sum(p.numel() for g in self.param_groups for p in g["params"]), 2.0)
            return super().step(closure)

    monkeypatch.setattr(model, "objective", Working())
    monkeypatch.setattr(model, "optimizer_factory", lambda groups: Stepping(groups, lr=0.1))
    clocks = SimpleNamespace(perf_counter=lambda: machine.wall, process_time=lambda: machine.processor)
    monkeypatch.setattr(rehearsal, "time", clocks)
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    monkeypatch.setattr(rehearsal, "_STEPPED", trained // 2)  # as of a large model: a part is stepped
    way = course(session.trainer_options, session.data)
    found = estimate(session, way, torch.device("cpu"))

    split = {name: [row.length for row in session.data.encoded(name).rows] for name in ("train", "validation")}
    assert {name: len(lengths) for name, lengths in split.items()} == {"train": 35, "validation": 9}
    assert max(split["train"]) > 5 * min(split["train"])
    # the constant part of each micro-batch, and what the rows take however they are laid out
    passes = epochs * (
        9 * machine.seconds(True, []) + machine.seconds(True, split["train"]) - machine.seconds(True, [])
    )
    stepped = steps * 1e-6 * trained
    empty = machine.seconds(False, [])
    validated = validations * (3 * empty + machine.seconds(False, split["validation"]) - empty)
    assert found.wall.training == pytest.approx(passes + stepped, rel=1e-9)
    assert found.wall.validation == pytest.approx(validated, rel=1e-9)
    assert found.processor.training == pytest.approx(1.5 * passes + 2 * stepped, rel=1e-9)
    assert found.processor.validation == pytest.approx(validated, rel=1e-9)
    assert found.speed == pytest.approx(epochs * sum(split["train"]) / (passes + stepped), rel=1e-9)
    said = _time(session, way, found)
    assert said.startswith(f"about {clock(passes + stepped + validated)} (training {clock(passes + stepped)}, ")
    assert f"validation {clock(validated)}; {1.5 * passes + 2 * stepped + validated:,.0f} s of processor" in said


@pytest.mark.parametrize(
    "options",
    [
        {"max_epochs": 2, "max_steps": -1},
        {"max_epochs": 3, "max_steps": -1, "check_val_every_n_epoch": 2, "num_sanity_val_steps": 0},
        {"max_epochs": 2, "max_steps": 11, "val_check_interval": 0.25},
        {"max_epochs": 2, "max_steps": -1, "accumulate_grad_batches": 3, "limit_train_batches": 7},
        {"max_epochs": 3, "max_steps": -1, "val_check_interval": 5, "check_val_every_n_epoch": None},
        {"max_epochs": 1, "max_steps": -1, "limit_val_batches": 0},
        {"max_steps": 5, "overfit_batches": 2, "max_epochs": -1},
        {"fast_dev_run": 2},
    ],
    ids=str,
)
def test_steps_and_validations_are_those_that_fit_makes(bench: Any, options: dict[str, Any]) -> None:
    from lightning.pytorch import Callback, Trainer

    class Counting(Callback):
        micros = validations = 0

        def on_train_batch_end(self, *_: Any) -> None:
            self.micros += 1

        def on_validation_end(self, *_: Any) -> None:
            self.validations += 1

    bench.write(trainer=options)
    session = opened()
    said = course(session.trainer_options, session.data)
    made = Counting()
    ours = {"logger": False, "callbacks": [made], "enable_checkpointing": False}
    trainer = Trainer(**{**session.trainer_options, **ours})
    trainer.fit(session.model, datamodule=session.data)
    assert said.steps == trainer.global_step
    assert said.micros == made.micros
    assert said.validations == made.validations


def test_the_cost_of_a_run_is_that_of_its_micro_batches(bench: Any) -> None:
    session = opened("--trainer.max_steps=4", "--data.max_tokens=100")
    way = course(session.trainer_options, session.data)
    each = [sum(way.plan.costs[row] for row in micro.rows) for micro in way.plan.epoch(0, 0)]
    assert way.cost() == pytest.approx(sum(each[:4]))
    assert len(way.begun(4)) == len(each)
    twice = course({**session.trainer_options, "max_steps": -1, "max_epochs": 2}, session.data)
    assert twice.cost() == pytest.approx(2 * sum(each))
    assert len(twice.begun(4)) == 2 * len(each)


def test_processes_share_the_rows(bench: Any) -> None:
    session = opened()
    alone = course(session.trainer_options, session.data)
    shared = course({**session.trainer_options, "devices": 2, "num_nodes": 2, "strategy": "ddp"}, session.data)
    assert len(shared.plan) == -(-len(alone.plan) // 4)


def run_and_tell_the_peak(folder: str, *words: str) -> None:
    """A command in a process of its own, and the most memory that this has taken."""
    os.chdir(folder)
    assert main(list(words)) == 0
    lines = Path("/proc/self/status").read_text().splitlines()
    print("peak", *(line.split()[1] for line in lines if line.startswith("VmHWM")))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs Linux's account of a process")
@pytest.mark.parametrize("adapter", ["LoRA", "Full"])
def test_a_run_takes_the_memory_that_preview_says(bench: Any, call_apart: Any, adapter: str) -> None:
    text = " ".join("valve pump gate" for _ in range(60))
    rows = [{"prompt": f"Report {n}: {text}", "completion": text} for n in range(20)]
    (bench.folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = None if adapter == "Full" else {"rank": 8, "alpha": 16}
    model = {"base": BASE.partition("=")[2], "adapter": {"class_path": adapter, "init_args": options}}
    bench.write(model=model, data={"max_tokens": 3000})

    def told(*words: str) -> str:
        # two steps: the second has the optimizer's state beside its activations
        words = (*words, *CONFIG, "--trainer.max_steps=2", "--trainer.num_sanity_val_steps=0")
        said: str = call_apart(run_and_tell_the_peak, bench.folder, *words, ranks=1).stdout
        return said

    said = re.search(r"about ([\d.]+) GiB of the process", told("preview", "--examples=0"))
    found = re.search(r"peak (\d+)", told("fit"))
    assert said is not None
    assert found is not None
    used = int(found[1]) / 2**20
    assert used > 0.6, "more than the libraries alone take: activations matter"
    assert float(said[1]) == pytest.approx(used, rel=0.2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("adapter", ["LoRA", "QLoRA", "Full"])
@pytest.mark.parametrize("on", [False, True])
def test_a_gpu_holds_what_was_computed(bench: Any, adapter: str, on: bool) -> None:
    session = opened(BASE, f"--model.adapter={adapter}", "--model.precision=bf16")
    model, row = session.model, session.data.encoded("train").rows[0]
    with checkpointing(model, on=on):
        computed = Needs.of(model, pass_footprint(model, row), 1)
        large = [_stretched(row, 500, 100)] * 16
        model.to("cuda")
        model.on_fit_start()
        batch = collate(large).to("cuda")
        _timeline(model, batch)
        torch.cuda.reset_peak_memory_stats()
        _timeline(model, batch)
    used = torch.cuda.max_memory_allocated()
    said = computed.weights + computed.gradients + computed.footprint.peak(size_of(large, model.layout))
    assert said == pytest.approx(used, rel=0.2)
