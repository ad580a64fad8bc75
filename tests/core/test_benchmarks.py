"""What the benchmarks compute: rows, operations, ratios, slopes; and that they run."""

import importlib
import json
import math
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parents[1] / "benchmarks"
TINY = "package://tunesmith_plugins/bases/tiny-mistral"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """`load(name)`: a module of tests/benchmarks, which import each other by their plain names."""
    names = [path.stem for path in FOLDER.glob("*.py")]
    monkeypatch.syspath_prepend(FOLDER)
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module
    for name in names:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("number", [9, 80, 240])
def test_rows_have_the_median_and_the_spread_that_were_asked_for(load: Any, number: int) -> None:
    drawn = load("train_rows").lengths(number, 240, 0.7, 1024)
    assert len(drawn) == number
    assert statistics.median(drawn) == pytest.approx(240, rel=0.05)
    assert max(drawn) <= 1024
    assert min(drawn) >= 240**2 // 1024
    if number == 240:
        logs = [math.log(length) for length in drawn]
        assert statistics.stdev(logs) == pytest.approx(0.62, abs=0.02)  # the tails are cut
        assert statistics.fmean(logs) == pytest.approx(math.log(240), abs=0.01)
    assert drawn != sorted(drawn)


def test_rows_are_the_same_every_time_and_the_seed_changes_their_order_only(load: Any) -> None:
    lengths = load("train_rows").lengths
    assert lengths(40, 240, 0.7, 1024) == lengths(40, 240, 0.7, 1024)
    assert lengths(40, 240, 0.7, 1024, seed=6) != lengths(40, 240, 0.7, 1024)
    assert sorted(lengths(40, 240, 0.7, 1024, seed=6)) == sorted(lengths(40, 240, 0.7, 1024))


def test_a_median_above_the_longest_row_is_refused(load: Any) -> None:
    with pytest.raises(ValueError, match="240 tokens needs rows longer"):
        load("train_rows").lengths(4, 240, 0.7, 200)


def test_pieces_follow_each_other_and_only_their_ends_are_supervised(load: Any) -> None:
    first, second = load("train_rows").cut(list(range(12)), [10, 4])
    assert first == {"input_ids": list(range(10)), "labels": [-100] * 8 + [8, 9]}
    assert second == {"input_ids": [10, 11, 0, 1], "labels": [-100] * 3 + [1]}


def test_weights_of_a_base_are_those_that_lora_freezes_and_trains(load: Any, tiny_base: Path) -> None:
    from tunesmith.training.specialist import Specialist
    from tunesmith_plugins.adapters.lora import LoRA
    from tunesmith_plugins.objectives.next_token import NextToken

    model = Specialist(str(tiny_base), NextToken(), LoRA(rank=3))
    model.load()
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
    _, found = load("train_rows").write_base(str(tiny_base), None, True, tiny_base.parent / "again", 3)
    assert found.trained == trained
    assert found.head == 4096 * 64
    assert found.body + found.head + 4096 * 64 == frozen  # and the embedding, which is looked up


def test_operations_are_4_a_frozen_weight_6_a_trained_one_and_the_head_where_it_is_needed(load: Any) -> None:
    weights = load("train_meter").Weights(body=1000, head=100, trained=10)
    assert weights.operations(useful=7, supervised=2) == 7 * (4 * 1000 + 6 * 10) + 2 * 4 * 100


def test_operations_of_a_forward_and_backward_pass_are_the_rule_of_the_frozen_body(load: Any, tiny_base: Path) -> None:
    import torch
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_base).requires_grad_(False)
    embedded = model.get_input_embeddings()(torch.arange(16)[None]).requires_grad_(True)
    counter = FlopCounterMode(display=False)
    with counter:
        model(inputs_embeds=embedded).logits.sum().backward()
    counted = sum(
        n for op, n in counter.get_flop_counts()["Global"].items() if op in (torch.ops.aten.mm, torch.ops.aten.addmm)
    )
    weights = load("train_rows").weights(model, rank=1)
    norms = sum(p.numel() for p in model.parameters() if p.ndim == 1)
    assert counted == 16 * 4 * (weights.body - norms + weights.head)


def test_the_meter_adds_tokens_and_weighs_losses_by_them(load: Any) -> None:
    meter = load("train_meter").Meter("cpu")
    with meter:
        sum(n * n for n in range(400_000))
    meter.saw(10, 20, 2, 3.0)
    meter.saw(30, 30, 6, 1.0)
    got = meter.result(trained=5)
    assert (got["useful"], got["computed"], got["supervised"], got["steps"], got["trained"]) == (40, 50, 8, 2, 5)
    assert got["loss"] == pytest.approx(1.5)
    assert 0 < got["wall"] < 5
    assert 0 < got["processor"] < 5


def run_of(load: Any, processor: float, peak: float = 1e9, **changes: float) -> Any:
    whole = {"wall": processor / 2, "useful": 1000, "computed": 1250, "supervised": 200, "loss": 2.0}
    return load("train_report").Result(processor=processor, peak=peak, **(whole | changes))


def test_ratios_are_medians_of_the_repeats_and_say_whether_the_target_is_met(load: Any) -> None:
    found = {
        "tunesmith": [run_of(load, 2.0), run_of(load, 4.0), run_of(load, 8.0)],
        "loop": [run_of(load, 1.9), run_of(load, 4.0), run_of(load, 8.0)],
        "trl": [run_of(load, 10.0, 2e9), run_of(load, 40.0, 4e9), run_of(load, 20.0, 1.5e9)],
    }
    rows = {row[0]: row[1:] for row in load("train_report").ratios(found, "cpu", "fp32")}
    assert rows["processor time / loop"] == ("1.000", "1.000 to 1.053", "1.03", "met (0.97 of it)")
    assert rows["processor time / trl"] == ("0.200", "0.100 to 0.400", "0.28", "met (0.71 of it)")
    assert rows["peak memory / trl"] == ("0.500", "0.250 to 0.667", "0.45", "MISSED (1.11 of it)")
    assert rows["peak memory / loop"][2:] == ("", "")


def test_on_a_gpu_ratios_are_of_time_and_not_of_the_processor_that_waits(load: Any) -> None:
    found = {"tunesmith": [run_of(load, 9.0, wall=1.0)], "trl-flash": [run_of(load, 1.0, wall=2.0)]}
    (time, *_), _ = load("train_report").ratios(found, "cuda", "bf16"), None
    assert time[:2] == ("time / trl-flash", "0.500")


def test_a_line_holds_speed_share_of_useful_tokens_and_of_the_peak(load: Any) -> None:
    weights = load("train_meter").Weights(body=1_000_000, head=0, trained=0)
    cells = load("train_report").line("trl", [run_of(load, 4.0)], weights, peak=1e10)
    assert cells == ("trl", "1,000", "500", "250", "1.00", "80.0%", "2.0000", "20.0%", "")


def test_a_side_that_attends_across_documents_is_marked(load: Any) -> None:
    weights = load("train_meter").Weights(body=1, head=1, trained=1)
    line = load("train_report").line
    assert line("trl-packed", [run_of(load, 4.0, leak=0.02)], weights, 1e10)[-1].startswith("WRONG RESULT")
    assert line("trl-packed", [run_of(load, 4.0, leak=1e-6)], weights, 1e10)[-1] == ""


@pytest.mark.parametrize("leaks", [False, True])
def test_the_leak_is_found_where_documents_see_each_other(load: Any, tiny_base: Path, leaks: bool) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_base)
    model.config.use_cache = leaks  # transformers looks for documents in the positions only where there is no cache
    model.get_base_model = lambda: model
    batches = [
        {"input_ids": torch.tensor([ids]), "position_ids": torch.tensor([positions]), "labels": None}
        for ids, positions in (([5, 6], [0, 1]), ([5, 6, 7, 8, 9], [0, 1, 2, 0, 1]))
    ]
    trainer = SimpleNamespace(model=model, get_train_dataloader=lambda: batches)
    assert (load("train_peers")._leak(trainer) > load("train_report").LEAK) is leaks


def test_a_side_says_what_it_lacks(load: Any) -> None:
    sides = load("train_sides").SIDES
    assert sides["litgpt"].lacks({"trl"}, "cpu") == "not installed: litgpt"
    assert sides["trl-flash"].lacks({"trl", "flash_attn"}, "cpu") == "needs a GPU"
    assert sides["trl-flash"].lacks({"trl", "flash_attn"}, "cuda") == ""
    assert sides["tunesmith"].lacks((), "cpu") == ""


def test_costs_are_fitted_by_step_token_and_square(load: Any) -> None:
    scale = load("scale")
    found = {(n, b): 0.25 + 0.003 * n * b + 2e-6 * n * n * b for n in (64, 256, 1024) for b in (1, 4)}
    step, linear, quadratic, worst = scale.fit(found)
    assert (step, linear, quadratic) == pytest.approx((0.25, 0.003, 2e-6))
    assert worst < 1e-6
    assert scale.exponent({1: 0.5, 2: 1.0, 8: 4.0}) == "1.00"
    assert scale.exponent({1: 0.5}) == ""


def test_a_term_that_is_lost_in_noise_is_no_negative_cost(load: Any) -> None:
    found = {(n, b): 0.003 * n * b - 1e-8 * n * n * b for n in (64, 256, 1024) for b in (1, 4)}
    step, linear, quadratic, worst = load("scale").fit(found)
    assert (step, quadratic) == (pytest.approx(0, abs=1e-3), 0.0)
    assert linear == pytest.approx(0.003, rel=0.01)
    assert worst < 0.01


def test_packages_made_for_startup_are_found_as_plugins(load: Any, tmp_path: Path) -> None:
    scale = load("scale")
    environment = scale.install(3, tmp_path)
    cost = load("machine").cli("plugins", "list", environment=environment)
    scale.check(("plugins", "list"), 3, cost)
    with pytest.raises(SystemExit, match="3 of 4 plugins are listed"):
        scale.check(("plugins", "list"), 4, SimpleNamespace(code=0, output=cost.output))


def test_documents_with_identities_are_the_same_every_time_and_know_where_they_stand(load: Any) -> None:
    rows, names = load("anonymise_rows"), load("anonymise_names")
    styles, others = rows.styles("anonymise_styles.txt"), rows.styles("anonymise_held_out.txt")
    assert len(styles) == 6
    assert not styles.keys() & others.keys()
    known = {*names.GIVEN, *names.FAMILY}
    for held_out in ("HELD_OUT", "SECOND", "THIRD"):
        assert not known & {*getattr(names, f"{held_out}_GIVEN"), *getattr(names, f"{held_out}_FAMILY")}, held_out
    made = rows.documents(styles, 30, seed=3)
    assert made == rows.documents(styles, 30, seed=3) != rows.documents(styles, 30, seed=4)
    for document in made:
        assert "{" not in document.text
        assert all(
            document.text[start:end].strip() == document.text[start:end] for start, end, _ in document.identities
        )


def test_recall_and_precision_are_of_what_was_planted(load: Any, capsys: pytest.CaptureFixture[str]) -> None:
    benchmark, rows = load("anonymise"), load("anonymise_rows")
    from tunesmith_plugins.curators.pii.found import Found

    class First:
        """Finds the first word alone."""

        def find(self, text: str) -> list[Found]:
            return [Found(0, 4, "NAME")]

    planted = [rows.Document("Anna has 4471123", "s", ((0, 4, "NAME"), (9, 16, "RECORD")))]
    benchmark.report("title", First(), planted * 4, 0)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["RECORD", "4", "4", "0.0000"] in lines
    assert ["structured,", "all", "4", "4", "0.0000"] in lines
    assert ["NAME", "4", "0", "1.0000"] in lines
    assert ["precision", "1.0000", "of", "4", "replacements"] in lines


@pytest.mark.slow
def test_train_runs_our_sides_on_the_same_rows() -> None:
    words = ["--shape", "tiny", "--base", TINY, "--sides", "tunesmith", "tunesmith-packed", "loop"]
    words += ["--steps", "2", "--warm", "1", "--repeats", "1", "--precision", "fp32", "--threads", "1"]
    done = subprocess.run([sys.executable, FOLDER / "train.py", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    fit, packed, loop = (
        next(row for row in rows if row[:1] == [side] and row[1] != "/")
        for side in ("tunesmith", "tunesmith-packed", "loop")
    )
    assert fit[1] == packed[1] == loop[1]  # useful tokens
    assert fit[6] == loop[6]  # the same batches give the same loss
    assert float(packed[6]) == pytest.approx(float(fit[6]), abs=0.01)
    assert "processor time / loop" in done.stdout


def test_answers_are_compared_by_tokens_a_processor_second(load: Any, capsys: pytest.CaptureFixture[str]) -> None:
    numbers = {"wall": 1.0, "peak": 2e9}
    ours = {"rows": 3, "tokens": 300, "processor": 10.0, "answers": ["a", "b", "c"], **numbers}
    ours |= {"exact_match": 0.5, "bleu": 12.0, "measuring": 0.1}
    single = {"rows": 2, "tokens": 20, "processor": 4.0, "answers": ["a", "x"], **numbers}
    peer = {**ours, "processor": 25.0, "answers": ["a", "b", "x"]}
    load("generate").show({"rows": {}, "loop": single, "ours": ours, "harness": peer}, 2)
    said = capsys.readouterr().out
    assert "ours / loop: 6.00 times the tokens a processor second (goal 5: met)" in said
    assert "answers that are the same text: 1 of 2" in said
    assert "answers that are the same text: 2 of 3" in said
    assert "ours / lm-eval: 2.50 times as fast by processor time" in said


def test_every_adapter_is_among_the_methods_that_are_compared_and_takes_the_options(load: Any) -> None:
    from tunesmith.plugins.catalog import Catalog

    adapters = {entry.name: entry.cls for entry in Catalog.load(allow=()).entries if entry.kind == "adapter"}
    methods = load("methods").METHODS
    for said, rate in methods.values():
        adapters[said["class_path"]](**said["init_args"]).check()
        assert 0 < rate < 1
    assert {said["class_path"] for said, _ in methods.values()} == adapters.keys()


def test_of_several_rates_the_best_is_shown_with_the_cost_of_its_run(
    load: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    methods, machine = load("methods"), load("machine")
    commands = []

    def cli(*words: Any, threads: int = 0) -> Any:
        commands.append(words)
        overlay = yaml.safe_load(Path(words[words.index("--config", 2) + 1]).read_text())["model"]
        rate = overlay["optimizer"]["init_args"]["lr"]
        root = next(str(word).partition("=")[2] for word in words if "default_root_dir" in str(word))
        run = Path(root) / "medsync" / "now"
        (run / "adapter").mkdir(parents=True)
        (run / "adapter/adapter_model.safetensors").write_bytes(b"x" * 2_500_000)
        (run / "result.json").write_text(json.dumps({"validation_loss": [[0, 4.0], [5, 10 * rate]]}))
        return machine.Cost(0, "  trains   LoRA: 1,024 of 4,096 parameters (25.00%)\n", 9.0, 1000 * rate, 10**9)

    monkeypatch.setattr(methods, "cli", cli)
    words = [
        "methods.py",
        "--methods",
        "LoRA",
        "IA3",
        "--factors",
        "1",
        "0.1",
        "--steps",
        "5",
        "--trainer.max_epochs=1",
    ]
    monkeypatch.setattr(sys, "argv", words)
    methods.main()
    assert len(commands) == 4
    assert all({"--trainer.max_steps=5", "--trainer.max_epochs=1"} <= {*map(str, words)} for words in commands)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["LoRA", "0.0005", "1,024", "25.00%", "0.005", "1.00", "0", "2.50"] in lines
    assert ["IA3", "0.005", "1,024", "25.00%", "0.050", "1.00", "5", "2.50"] in lines
