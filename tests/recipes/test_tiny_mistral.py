"""The embedded base: small enough to ship, in the form promised, from text that no recipe's generator made."""

import json
import os
import subprocess
import sys
from hashlib import sha256
from itertools import chain
from pathlib import Path

import pytest
from safetensors import safe_open

ROOT = Path(__file__).parents[2]
BASE = ROOT / "plugins/tunesmith_plugins/bases/tiny-mistral"
MAKERS = ROOT / "recipes/data/tiny_mistral"
FILES = ("text.jsonl", "tasks.jsonl")
SHINGLE = 7
TEXTS, TASKS = 300, 1500
# of the files that `generate.py --texts 300 --tasks 1500` writes
BYTES = {
    "text.jsonl": "a47ef7f3419cb61443feb4411e1af6232c3fe9b0a4b16f35c4b8de49c361a588",
    "tasks.jsonl": "3d2fc2e7c0e1d344758a48e1cdfa140dd63b8652413df7308b022ad3685ca1e4",
}


def generate(folder: Path, hash_seed: str = "0") -> Path:
    counts = ["--texts", str(TEXTS), "--tasks", str(TASKS), "--out", str(folder)]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    subprocess.run([sys.executable, str(MAKERS / "generate.py"), *counts], check=True, env=environment)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("made"))


def said(row: dict[str, object]) -> list[str]:
    if "messages" in row:
        return [str(message["content"]) for message in row["messages"]]  # type: ignore[attr-defined]
    return [str(row.get("text", "")), str(row.get("prompt", "")), str(row.get("completion", ""))]


def shingles(file: Path) -> set[tuple[str, ...]]:
    """Every run of seven words."""
    found: set[tuple[str, ...]] = set()
    for line in file.read_text(encoding="utf-8").splitlines():
        for text in said(json.loads(line)):
            words = text.lower().split()
            found.update(zip(*(words[k:] for k in range(SHINGLE)), strict=False))
    return found


def test_the_weights_are_five_million_in_bf16_with_widths_in_multiples_of_64() -> None:
    file = BASE / "model.safetensors"
    assert sum(path.stat().st_size for path in BASE.iterdir()) <= 12_000_000
    with safe_open(file, "pt") as tensors:
        slices = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118
        assert {part.get_dtype() for part in slices.values()} == {"BF16"}
        shapes = [part.get_shape() for part in slices.values()]
    assert all(width % 64 == 0 for shape in shapes for width in shape)
    counts = [shape[0] * (shape[1] if len(shape) > 1 else 1) for shape in shapes]
    assert 4_500_000 < sum(counts) < 5_500_000


def test_it_is_a_mistral_with_a_tokenizer_and_a_chat_template_of_its_own() -> None:
    config = json.loads((BASE / "config.json").read_text())
    assert config["architectures"] == ["MistralForCausalLM"]
    assert config["dtype"] == "bfloat16"
    tokenizer = json.loads((BASE / "tokenizer.json").read_text())
    assert tokenizer["model"]["type"] == "BPE"
    assert len(tokenizer["model"]["vocab"]) == config["vocab_size"] == 4096
    assert "{% generation %}" in (BASE / "chat_template.jinja").read_text()
    assert config["pad_token_id"] not in (config["bos_token_id"], config["eos_token_id"])


def test_its_text_is_the_same_bytes_on_every_machine(made: Path, tmp_path: Path) -> None:
    again = generate(tmp_path, hash_seed="7")
    for name in FILES:
        assert (again / name).read_bytes() == (made / name).read_bytes()
        assert sha256((made / name).read_bytes()).hexdigest() == BYTES[name]


def test_its_text_never_comes_from_the_generator_of_medsync(made: Path) -> None:
    assert not any("medsync" in file.read_text() for file in MAKERS.glob("*.py"))
    own = set(chain.from_iterable(shingles(made / name) for name in FILES))
    notes = shingles(ROOT / "recipes/data/medsync.jsonl")
    assert min(len(own), len(notes)) > 10_000
    assert not own & notes
