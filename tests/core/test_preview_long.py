"""What passes hold on long documents and on many lengths, by the kernels of the device that is asked about."""

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from tunesmith.cli import gpu_fit
from tunesmith.cli.arguments import parse
from tunesmith.cli.fit import prepare_data
from tunesmith.cli.quiet import quieten
from tunesmith.cli.trainer_cli import Session, open_session, sections
from tunesmith.data.collate import collate
from tunesmith.training import probing
from tunesmith.training.probing import _stretched, _timeline, pass_footprint, size_of
from tunesmith.training.specialist import Specialist

CONFIG = ("--config", "tiny.yaml")


def opened(*words: str) -> Session:
    quieten()
    session = open_session(parse("preview", [*CONFIG, *words], list(sections())))
    prepare_data(session, None)
    return session


@pytest.mark.parametrize("on", [False, True], ids=["kept", "checkpointing"])
@pytest.mark.parametrize("kernels", ["auto", "plain"], ids=["here", "gpu"])
def test_a_long_document_holds_what_small_ones_foretell(bench: Any, on: bool, kernels: str) -> None:
    words = (f"--model.kernels={kernels}", f"--model.gradient_checkpointing={str(on).lower()}")
    session = opened("--model.precision=bf16", *words)
    model, row = session.model, session.data.encoded("train").rows[0]
    found = pass_footprint(model, row)
    for documents, length in ((1, 4000), (2, 1000), (2, 500), (8, 100)):
        rows = [_stretched(row, length, 20)] * documents
        counted = max(_timeline(model, collate(rows)))
        # on a CPU, documents of up to 768 tokens hold less than SDPA's
        within = 0.01 if kernels == "plain" or length > 768 else 0.12
        assert found.peak(size_of(rows, model.layout)) == pytest.approx(counted, rel=within), (documents, length)


def functions(model: Specialist, batch: Any) -> set[str]:
    """Names of the derivatives that a pass leaves behind."""
    seen, todo = set(), [term.sum.grad_fn for term in model.terms(model.passes(batch)).values()]
    while todo:
        node = todo.pop()
        if node is not None and node not in seen:
            seen.add(node)
            todo += [following for following, _ in node.next_functions]
    return {node.name() for node in seen}


def test_what_is_asked_about_a_gpu_is_counted_by_what_runs_there(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = {"_CausalBackward", "_NormBackward", "_SharedBackward", "_GatedBackward", "_AdaptedBackward"}
    met: list[set[str]] = []
    real = probing.pass_footprint

    def noting(model: Specialist, row: Any, **options: Any) -> Any:
        met.append(functions(model, collate([_stretched(row, 40, 20)])))
        return real(model, row, **options)

    monkeypatch.setattr(gpu_fit, "pass_footprint", noting)
    out = bench.done("preview", *CONFIG, "--examples=0", "--gpu=24", "--model.adapter=LoRA").out
    assert "layers of transformers and peft (ours gain on CPUs)" in out
    assert met
    assert not any(ours & names for names in met)
    session = opened("--model.precision=bf16", "--model.adapter=LoRA")
    row = session.data.encoded("train").rows[0]
    assert ours <= functions(session.model, collate([_stretched(row, 40, 20)]))


_CHILD = """
import sys
from tunesmith.cli.main import main
from tunesmith.training.process_memory import peak_resident
code = main(sys.argv[1:])
print("peak", peak_resident())
sys.exit(code)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs Linux's account of a process")
@pytest.mark.skipif(not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="a processor without products in bf16")
def test_many_lengths_in_bf16_take_the_memory_that_preview_says(bench: Any, tiny_base: Path) -> None:
    config = transformers.LlamaConfig(
        vocab_size=4096,
        hidden_size=256,
        intermediate_size=896,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=2,
        max_position_embeddings=4096,
    )
    base = bench.folder / "base"
    transformers.LlamaForCausalLM(config).save_pretrained(base)
    transformers.AutoTokenizer.from_pretrained(tiny_base).save_pretrained(base)
    draw, words = random.Random(0), ["valve", "pump", "gate", "lamp", "door", "fan", "belt", "bell", "hot", "cold"]
    lengths = [int(min(400, max(8, draw.lognormvariate(4.4, 0.7)))) for _ in range(200)]
    rows = [{"prompt": " ".join(draw.choices(words, k=length)), "completion": "pump"} for length in lengths]
    (bench.folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    bench.write(model={"base": str(base), "precision": "bf16"})

    def child(*words: str) -> str:
        command = [sys.executable, "-c", _CHILD, *words, *CONFIG, "--trainer.max_steps=28"]
        own = {k: v for k, v in os.environ.items() if not k.endswith("CACHE_CAPACITY")}  # of a command in this process
        ran = subprocess.run(command, cwd=bench.folder, env=own, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    said = re.search(r"about ([\d.]+) GiB of the process", child("preview", "--examples=0"))
    found = re.search(r"peak (\d+)", child("fit"))
    assert said is not None
    assert found is not None
    assert float(said[1]) == pytest.approx(int(found[1]) / 2**30, rel=0.2)
