"""A tiny base, a tiny recipe, and the command run on it; for tests that go through the door that a user takes."""

import csv
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tunesmith.testing.runner import isolated
from tunesmith.testing.tiny import make_base, make_rows, merged, tiny_recipe, write_rows


@pytest.fixture(scope="session")
def call_apart(apart: Any) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`(function, *arguments, code=0, ranks=2)`: call a test module's function in processes of their own.

    `code` None leaves the exit code to the caller.
    """

    def call(
        function: Callable[..., None], *arguments: object, code: int | None = 0, ranks: int = 2
    ) -> subprocess.CompletedProcess[str]:
        ran: subprocess.CompletedProcess[str] = apart.call(function, *arguments, ranks=ranks)
        assert code is None or ran.returncode == code, ran.stderr[-20000:]
        return ran

    return call


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Mistral of two layers and 64 wide, with the embedded base's tokenizer and chat template."""
    return make_base(tmp_path_factory.mktemp("tiny-base"))


@pytest.fixture
def hub_cache(tmp_path: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the hub that holds one base, at one commit."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "cache" / "models--acme--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text(commit)
    shutil.copytree(tiny_base, repository / "snapshots" / commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    return repository


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


@pytest.fixture
def bench(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Bench]:
    """Sixty rows and a recipe in a folder of its own, at 80 columns."""
    with isolated(tmp_path, monkeypatch):
        write_rows(tmp_path / "rows.jsonl", make_rows(60))
        made = Bench(tmp_path, tiny_recipe(tiny_base), capsys.readouterr)
        made.write()
        yield made


def _compared(tuned: float, base: float, **more: Any) -> dict[str, Any]:
    """What `metrics.json` says of a metric."""
    difference = tuned - base
    shown = {"interval": [difference - 0.1, difference + 0.1], "p_value": 0.01, "p_adjusted": 0.02, "effect_size": 0.5}
    plain = {"n": 30, "higher_is_better": True, "unit": "", "notes": [], "rows_needed": None, "change": "better"}
    return {"tuned": tuned, "base": base, "difference": difference, **shown, **plain, **more}


def _predicted(key: str, mine: float, theirs: float, /, **more: Any) -> dict[str, Any]:
    """A line of `predictions.jsonl`; `more` replaces what it says."""
    wanted = f"the pump {key} is hot and must stop"
    answers = {"base": (theirs, "no idea"), "tuned": (mine, f"the pump {key} is cold and must stop")}
    said = {
        name: {"output": output, "stopped": True, "measures": {"f1/score": value, "slow/steps": 1 - value}}
        for name, (value, output) in answers.items()
    }
    asked = {"task": "", "prompt": [{"role": "user", "content": f"How is pump {key}?"}], "reference": wanted}
    where = {"origin": {"source": "log", "file": "rows.jsonl", "line": 1}, "columns": {"ward": "a"}}
    return merged({"id": key, **where, **asked, **said}, more)


@pytest.fixture(scope="session")
def predicted() -> Callable[..., dict[str, Any]]:
    """`(id, its value for tuned, for base, **more)`: a line of `predictions.jsonl`; `more` replaces what it says."""
    return _predicted


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """`(rows, without=(), **files)`: the directory of a run whose files are made by hand.

    `files` replace parts of `metrics`, `lock`, `result`; `without` names files that are not there.
    """

    def make(rows: list[dict[str, Any]], without: tuple[str, ...] = (), **files: Any) -> Path:
        run = tmp_path / "runs/pumps/2026-01-02_03-04-05"
        (run / "test").mkdir(parents=True)
        metrics = {
            "f1/score": _compared(0.8, 0.5),
            "slow/steps": _compared(0.2, 0.5, higher_is_better=False, change="undecided", rows_needed=240),
        }
        verdict = {"key": "f1/score", "state": "met", "sentence": "0.8 ≥ 0.6", "because": "the plant asks for it"}
        slices = [
            {"kind": "ward", "value": v, "n": n, "metrics": {"f1/score": _compared(0.8, 0.5, n=n)}}
            for v, n in (("a", 23), ("b", 7))
        ]
        test = {"split": "test", "n": len(rows), "metrics": metrics, "verdicts": [verdict], "slices": slices}
        losses = {"validation_loss": [[0, 4.0], [10, 2.0], [20, 2.5]], "kept_step": 10, "seconds": 75.0, "steps": 20}
        result = {"complete": True, "said": "it rose after that (overfitting); step 10 is kept", "epochs": 1, **losses}
        lock = {"recipe": "pumps", "packages": {"torch": "2.13.0"}, "success": {"f1/score": {"at_least": 0.6}}}
        content = {
            "test/metrics.json": json.dumps(merged(test, files.get("metrics", {}))),
            "test/predictions.jsonl": "".join(json.dumps(row) + "\n" for row in rows),
            "result.json": json.dumps(merged(result, files.get("result", {}))),
            "lock.json": json.dumps(merged(lock, files.get("lock", {}))),
            "metrics.csv": "step,loss,val/loss\n9,2.5,\n9,,2.0\n19,1.0,\n",
            "config.yaml": "model:\n  base: tiny  # small\naudits: {balance: Representation}\n",
        }
        for name, text in content.items():
            if name not in without:
                (run / name).write_text(text, encoding="utf-8")
        return run

    return make


@pytest.fixture(scope="session")
def trained_folder(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe and one complete run of it."""
    from tunesmith.cli.main import main

    folder = tmp_path_factory.mktemp("trained")
    write_rows(folder / "rows.jsonl", make_rows(150))
    Bench(folder, tiny_recipe(tiny_base), lambda: None).write()
    with pytest.MonkeyPatch.context() as patch, isolated(folder, patch):
        assert main(["fit", "--config", "tiny.yaml"]) == 0
    return folder


@pytest.fixture
def trained(
    trained_folder: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Bench]:
    """That folder, shared by tests that only read its run."""
    with isolated(trained_folder, monkeypatch):
        capsys.readouterr()
        yield Bench(trained_folder, tiny_recipe(tiny_base), capsys.readouterr)
