"""A tiny base, a tiny recipe, and the command run on it; for tests that go through the door that a user takes."""

import csv
import importlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

TOKENIZER = Path(__file__).parents[2] / "plugins/tunesmith_plugins/bases/tiny-mistral"
_THINGS = ("lamp", "door", "pump", "fan", "gate", "belt", "valve", "bell")
_STATES = ("is on", "is off", "is hot", "is cold", "is stuck", "is loud")
# Lightning starts a script again for each further process, with the same arguments.
_CALL = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("kit", sys.argv[1])
kit = importlib.util.module_from_spec(spec)
sys.modules["kit"] = kit
spec.loader.exec_module(kit)
getattr(kit, sys.argv[2])(*sys.argv[3:])
"""


@pytest.fixture(scope="session")
def call_apart(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`(function, *arguments, code=0)`: call a test module's function in a script; two processes if it asks for them.

    `code` None leaves the exit code to the caller.
    """
    script = tmp_path_factory.mktemp("call") / "call.py"
    script.write_text(_CALL)

    def call(
        function: Callable[..., None], *arguments: object, code: int | None = 0
    ) -> subprocess.CompletedProcess[str]:
        words = [function.__code__.co_filename, function.__name__, *map(str, arguments)]
        command = [sys.executable, str(script), *words]
        # a session of its own: where a rank dies, Lightning ends the whole process group, which would be that of tests
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        try:
            out, err = process.communicate(timeout=900)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        assert code is None or process.returncode == code, err[-20000:]
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    return call


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Mistral of two layers and 64 wide, with the embedded base's tokenizer and chat template."""
    import torch
    import transformers

    directory = tmp_path_factory.mktemp("tiny-base")
    config = transformers.MistralConfig(
        vocab_size=4096,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.MistralForCausalLM(config).save_pretrained(directory)
    transformers.AutoTokenizer.from_pretrained(TOKENIZER).save_pretrained(directory)
    return directory


def make_rows(count: int) -> list[dict[str, Any]]:
    """Notes with what has to be said about them; no two alike."""
    draw = random.Random(3)
    rows = []
    for number in range(count):
        thing, state = draw.choice(_THINGS), draw.choice(_STATES)
        rows.append({"prompt": f"Report {number}: the {thing} {state}.", "completion": f"{thing} {state}"})
    return rows


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    """One JSON object a line."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str


@dataclass
class Bench:
    """A folder with rows and a recipe, in which the command runs."""

    folder: Path
    recipe: dict[str, Any]
    read: Callable[[], Any]
    sent: list[Ran] = field(default_factory=list)

    def write(self, name: str = "tiny.yaml", **changes: Any) -> Path:
        """Write the recipe; `changes` replace top-level keys, maps are merged key by key."""
        path = self.folder / name
        path.write_text(yaml.safe_dump(merged(self.recipe, changes), sort_keys=False))
        return path

    def run(self, *words: str) -> Ran:
        """Run the command in this process."""
        from tunesmith.cli.main import main

        code = main(list(words))
        said = self.read()
        ran = Ran(code, said.out, said.err)
        self.sent.append(ran)
        return ran

    def done(self, *words: str, code: int = 0) -> Ran:
        """Run the command and insist on its exit code."""
        ran = self.run(*words)
        assert ran.code == code, f"exit {ran.code}\n{ran.out}\n{ran.err}"
        return ran

    def runs(self, name: str = "tiny") -> list[Path]:
        """Run directories, oldest first."""
        return sorted(p.parent for p in self.folder.glob(f"runs/{name}/*/lock.json"))

    def curve(self, run: Path) -> list[dict[str, str]]:
        """All of `metrics.csv` but the speed."""
        with (run / "metrics.csv").open(newline="") as file:
            return [{k: v for k, v in row.items() if k != "tokens/s"} for row in csv.DictReader(file)]

    def adapter(self, run: Path) -> dict[str, Any]:
        """The tensors of the adapter."""
        from safetensors.torch import load_file

        return load_file(run / "adapter/adapter_model.safetensors")

    def assert_same(self, run: Path, other: Path) -> None:
        """Bit by bit: logged values, adapters, and results but for their clocks."""
        assert self.curve(run) == self.curve(other)
        one, two = self.adapter(run), self.adapter(other)
        assert one.keys() == two.keys()
        assert all(tensor.equal(two[name]) for name, tensor in one.items())
        clocks = {"seconds": 0, "processor_seconds": 0}
        left, right = (json.loads((r / "result.json").read_text()) for r in (run, other))
        assert {**left, **clocks} == {**right, **clocks}

    def fit_whole_and_in_two_parts(self, config: str = "tiny.yaml", *more: str) -> Path:
        """Eight steps at once, and four with four after them: the same bit by bit. Returns the run at once.

        The recipe must not decay its rates: the first part would decay them faster.
        """
        words, before = ("fit", "--config", config, *more, "--trainer.max_steps"), self.runs()
        self.done(*words, "8")
        (whole,) = set(self.runs()) - set(before)
        self.done(*words, "4")
        (part,) = set(self.runs()) - {whole, *before}
        self.done(*words, "8", "--run", str(part), "--ckpt_path", "last", "--relock")
        self.assert_same(part, whole)
        return whole


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Maps key by key, all else replaced; None removes."""
    out = dict(below)
    for key, value in above.items():
        if value is None:
            out.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(out.get(key), Mapping):
            out[key] = merged(out[key], value)
        else:
            out[key] = value
    return out


def tiny_recipe(base: Path) -> dict[str, Any]:
    """A recipe that trains LoRA on `rows.jsonl` in seconds."""
    return {
        "seed_everything": 1,
        "model": {
            "base": str(base),
            "objective": "NextToken",
            "precision": "fp32",  # on any processor, in processes of their own as well
            "adapter": {"class_path": "LoRA", "init_args": {"rank": 4, "alpha": 8}},
            "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.01}},
        },
        "data": {
            "sources": {"notes": {"path": "rows.jsonl", "formatter": "PromptCompletion"}},
            "split": {"train": 0.6, "validation": 0.2, "test": 0.2},
            "batch_size": 4,
        },
        "generation": {"max_new_tokens": 4},
        "evaluators": {"perplexity": "Perplexity", "exact": "ExactMatch"},
        "trainer": {"max_steps": 4, "accelerator": "cpu", "log_every_n_steps": 1},
    }


@pytest.fixture
def bench(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Bench:
    """Sixty rows and a recipe in a folder of its own, at 80 columns."""
    _enter(tmp_path, monkeypatch)
    write_rows(tmp_path / "rows.jsonl", make_rows(60))
    made = Bench(tmp_path, tiny_recipe(tiny_base), capsys.readouterr)
    made.write()
    return made


@pytest.fixture(scope="session")
def trained_folder(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe and one complete run of it."""
    from tunesmith.cli.main import main

    folder = tmp_path_factory.mktemp("trained")
    write_rows(folder / "rows.jsonl", make_rows(150))
    Bench(folder, tiny_recipe(tiny_base), lambda: None).write()
    with pytest.MonkeyPatch.context() as patch:
        _enter(folder, patch)
        assert main(["fit", "--config", "tiny.yaml"]) == 0
    return folder


@pytest.fixture
def trained(
    trained_folder: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Bench:
    """That folder, shared by tests that only read its run."""
    _enter(trained_folder, monkeypatch)
    capsys.readouterr()
    return Bench(trained_folder, tiny_recipe(tiny_base), capsys.readouterr)


def _enter(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.chdir(folder)
    patch.setenv("COLUMNS", "80")
    # set first: else what a command sets in the test would stay there for all tests after it
    patch.setenv("TUNESMITH_RUN_DIRECTORY", "")
    patch.delenv("TUNESMITH_RUN_DIRECTORY")
    # the command seals jsonargparse for its process, which is that of all tests here
    settings = importlib.import_module("jsonargparse._common").parsing_settings
    patch.setitem(settings, "import_path_verdicts", dict(settings["import_path_verdicts"]))
