"""`plugins new` for each kind, end to end: written, installed, checked, tested by its own tests, used from a recipe."""

import csv
import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

pytest.importorskip("tunesmith.cli.trainer_cli", exc_type=ImportError)

ROOT = Path(__file__).parents[2]
NAMES = {
    "formatter": "ShiftNotes",
    "curator": "NoBeeps",
    "objective": "HardTokens",
    "adapter": "NormsAlone",
    "regularizer": "QuietLogits",
    "audit": "ShiftGap",
    "evaluator": "NumberRecall",
}
VERBS = {
    "formatter": ["preview"],
    "curator": ["prepare"],
    "objective": ["fit"],
    "adapter": ["fit"],
    "regularizer": ["fit"],
    "audit": ["audit"],
    "evaluator": ["fit", "test"],
}
KINDS = sorted(NAMES)
Done = tuple[int, str, str]
Commands = dict[tuple[str, str], Done]


@dataclass(frozen=True)
class Packages:
    """The seven packages.

    Args:
        folder: Where they were written.
        written: What `plugins new` said, by kind.
        environment: With all of them installed.
    """

    folder: Path
    written: dict[str, str]
    environment: dict[str, str]

    def of(self, kind: str) -> Path:
        return self.folder / module(kind).replace("_", "-")

    def python(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run Python in their folder."""
        command = [sys.executable, *words]
        return subprocess.run(command, env=self.environment, cwd=self.folder, capture_output=True, text=True)


def at_once() -> Callable[..., None]:
    """The function of the file beside this one, which is no package."""
    spec = importlib.util.spec_from_file_location("at_once", Path(__file__).with_name("at_once.py"))
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    run: Callable[..., None] = found.run
    return run


def module(kind: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", r"_\1", NAMES[kind]).lower()


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory, pip_install: Callable[..., None]) -> Packages:
    """One of each kind, written by the real command, all installed by one pip."""
    folder, site = tmp_path_factory.mktemp("new"), tmp_path_factory.mktemp("site")
    path = os.pathsep.join(part for part in (str(site), os.environ.get("PYTHONPATH")) if part)
    packages = Packages(folder, {}, os.environ | {"PYTHONPATH": path, "COLUMNS": "80"})
    for kind, name in NAMES.items():
        command = [str(Path(sys.executable).with_name("lightning-cli")), "plugins", "new", kind, name]
        made = subprocess.run(command, env=packages.environment, cwd=folder, capture_output=True, text=True)
        assert made.returncode == 0, made.stderr
        packages.written[kind] = made.stdout
    pip_install(site, *map(packages.of, NAMES))
    return packages


@pytest.fixture(scope="module")
def done(packages: Packages, tmp_path_factory: pytest.TempPathFactory, apart: Any) -> dict[Any, Done]:
    """By kind and verb, what `plugins check` and the package's recipe gave, and all suites; in one process."""
    place = tmp_path_factory.mktemp("done")
    words = ["-p", "no:cacheprovider", "-p", "no:xdist", "-q", "-W", "error", f"--junitxml={place / 'report.xml'}"]
    # by then libraries have loaded what some of pytest's plugins want to see first
    words += ["-W", "ignore::pytest.PytestAssertRewriteWarning", "-p", "no:hypothesispytest"]
    wanted: dict[Any, tuple[Path, list[str]]] = {
        (kind, "check"): (packages.of(kind), ["plugins", "check", packages.of(kind).name]) for kind in KINDS
    }
    for kind in KINDS:
        wanted |= {(kind, verb): (packages.of(kind), [verb, "--config", "recipe.yaml"]) for verb in VERBS[kind]}
    tests = [str(packages.of(kind) / "tests") for kind in KINDS]
    wanted["suites"] = (packages.folder, ["pytest", *words, *tests])
    (place / "given.json").write_text(json.dumps([[str(folder), words] for folder, words in wanted.values()]))
    ran = apart.call(at_once(), place / "given.json", place / "done.json", env=packages.environment)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = json.loads((place / "done.json").read_text())
    return {key: tuple(one) for key, one in zip(wanted, found, strict=True)} | {"report": place / "report.xml"}


@pytest.fixture(scope="module")
def suites(done: dict[Any, Any]) -> dict[str, dict[str, str]]:
    """By kind, the outcome of each test of the package's own suite; warnings are errors."""
    report = done["report"]
    assert report.is_file(), done["suites"]
    found: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}
    for case in ElementTree.parse(report).iter("testcase"):
        (kind,) = [kind for kind in KINDS if case.attrib["classname"].endswith(f"test_{module(kind)}")]
        found[kind][case.attrib["name"]] = "".join(f"{part.tag}: {part.text}" for part in case) or "passed"
    return found


@pytest.fixture(scope="module")
def commands(done: dict[Any, Any]) -> Commands:
    """By kind and verb, what `plugins check` and the package's recipe gave."""
    return {key: found for key, found in done.items() if isinstance(key, tuple)}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_new_package_passes_its_own_tests_and_the_kits(kind: str, suites: dict[str, dict[str, str]]) -> None:
    outcomes = suites[kind]
    assert set(outcomes.values()) == {"passed"}, outcomes
    kit = [name for name in outcomes if "rules_of_a" in name]
    assert len(kit) >= 8
    assert len(outcomes) > len(kit)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_new_package_passes_the_check(kind: str, commands: Commands) -> None:
    code, out, err = commands[kind, "check"]
    assert code == 0, out + err
    assert f"{NAMES[kind]}  {kind}" in out


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_does_its_work_in_its_recipe(kind: str, packages: Packages, commands: Commands) -> None:
    for verb in VERBS[kind]:
        code, out, err = commands[kind, verb]
        assert code == 0, out + err
    EFFECTS[kind](packages.of(kind), out, commands)


def instruction_is_trained_with(folder: Path, out: str, commands: Commands) -> None:
    assert "Answer from the text alone." in out.replace("|", "")


def beeps_are_dropped(folder: Path, out: str, commands: Commands) -> None:
    assert "no_beeps: 6 drops (repeats itself)" in out
    rows = "".join(path.read_text() for path in folder.glob("runs/recipe/data/t*.jsonl"))
    assert '"content": "pump' in rows
    assert '"content": "beep' not in rows


def easy_tokens_count_less(folder: Path, out: str, commands: Commands) -> None:
    # the evaluator's recipe is the same but for the objective, and the first step is of the base itself
    first = re.compile(r"step 1/\d+ +loss ([\d.]+)")
    plain = first.search(commands["evaluator", "fit"][1])
    focal = first.search(out)
    assert focal
    assert plain
    assert 0 < float(focal[1]) < float(plain[1])


def norms_train_alone(folder: Path, out: str, commands: Commands) -> None:
    from safetensors import safe_open

    assert "trains      NormsAlone: 3,328 of" in out
    (saved,) = folder.glob("runs/recipe/*/adapter/norms_alone.safetensors")
    with safe_open(saved, "pt") as file:
        assert all("norm" in name for name in file.keys())  # noqa: SIM118  no mapping


def term_is_logged(folder: Path, out: str, commands: Commands) -> None:
    (curve,) = folder.glob("runs/recipe/*/metrics.csv")
    with curve.open(newline="") as file:
        terms = [float(row["reg/quiet_logits"]) for row in csv.DictReader(file) if row["reg/quiet_logits"]]
    assert terms
    assert min(terms) > 0


def shorter_group_is_found(folder: Path, out: str, commands: Commands) -> None:
    assert "audit shift_gap: severity high" in out
    assert "words where group is night" in out
    assert "evidence: rows" in out


def numbers_are_measured(folder: Path, out: str, commands: Commands) -> None:
    (record,) = folder.glob("runs/recipe/*/test/metrics.json")
    measured = json.loads(record.read_text())["metrics"]["number_recall/recall"]
    assert measured["tuned"] > measured["base"]
    assert "number_recall/recall" in out


EFFECTS = {
    "formatter": instruction_is_trained_with,
    "curator": beeps_are_dropped,
    "objective": easy_tokens_count_less,
    "adapter": norms_train_alone,
    "regularizer": term_is_logged,
    "audit": shorter_group_is_found,
    "evaluator": numbers_are_measured,
}


@pytest.mark.slow
def test_new_packages_pass_ruff_with_the_projects_settings_and_mypy_strict(packages: Packages) -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]
    lint = settings["lint"]
    lines = [
        f"line-length = {settings['line-length']}",
        f'target-version = "{settings["target-version"]}"',
        'src = ["*/src"]',  # where such a package has its own code
        "[lint]",
        f"select = {lint['select']}",
        f"ignore = {lint['ignore']}",
        "[lint.per-file-ignores]",
        f'"**/tests/**" = {lint["per-file-ignores"]["tests/**"]}',
        "[lint.pydocstyle]",
        f'convention = "{lint["pydocstyle"]["convention"]}"',
    ]
    config = packages.folder / "ruff.toml"
    config.write_text("\n".join(lines))
    sources = [str(packages.of(kind) / part) for kind in KINDS for part in ("src", "tests")]
    for words in (["check"], ["format", "--check"]):
        ran = packages.python("-m", "ruff", *words, "--no-cache", "--config", str(config), *sources)
        assert ran.returncode == 0, ran.stdout + ran.stderr
    # in the project's folder and with its settings, whose cache knows torch already: without it this takes 90 s
    environment = packages.environment | {"MYPYPATH": os.pathsep.join(sources)}
    words = [sys.executable, "-m", "mypy", "--strict", *sources]
    ran = subprocess.run(words, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.slow
def test_what_is_written_is_said_with_what_comes_next(kind: str, packages: Packages) -> None:
    lines = packages.written[kind].splitlines()
    name = packages.of(kind).name
    assert re.fullmatch(rf"wrote {name}: {NAMES[kind]}, an? {kind}", lines[0])
    files = {str(path.relative_to(packages.of(kind))) for path in packages.of(kind).rglob("*") if path.is_file()}
    listed = [line.strip() for line in lines[1 : lines.index("next:")]]
    assert set(listed) <= files
    assert f"src/{module(kind)}/{module(kind)}.py" in listed
    assert [line.strip() for line in lines[lines.index("next:") + 1 :]] == [
        f"cd {name} && pip install -e '.[test]'",
        f"lightning-cli plugins check {name}",
        f"pytest && lightning-cli {VERBS[kind][0]} --config recipe.yaml",
    ]
