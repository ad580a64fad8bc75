"""Installs the packages of this folder as a user would, and runs the real command beside them."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PACKAGES = ("acme-tunesmith", "broken-tunesmith", "misspelt-tunesmith")
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def pip_install() -> Callable[..., None]:
    """`(target, *packages)`: build packages and install them into a folder by pip, without a network."""

    def install(target: Path, *packages: Path) -> None:
        options = [
            "--no-deps",
            "--no-build-isolation",
            "--no-index",
            "--disable-pip-version-check",
            "--no-warn-conflicts",
        ]
        words = ["install", *options, "--target", str(target), *map(str, packages)]
        ran = subprocess.run([sys.executable, "-m", "pip", *words], capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout + ran.stderr

    return install


@pytest.fixture(scope="session")
def sites(tmp_path_factory: pytest.TempPathFactory, pip_install: Callable[..., None]) -> dict[str, Path]:
    """One folder a package."""
    found = {package: tmp_path_factory.mktemp(package) for package in PACKAGES}
    for package, target in found.items():
        pip_install(target, Path(__file__).parent / package)
    return found


@pytest.fixture
def command(sites: dict[str, Path], tmp_path: Path, apart: Any) -> Command:
    """Runs `lightning-cli` in a fresh folder with some of the packages installed."""

    def run(*words: str, packages: tuple[str, ...] = PACKAGES, **environment: str) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join(str(sites[package]) for package in packages)
        changed = {"PYTHONPATH": path, "COLUMNS": "80", "TUNESMITH_BLOCK": ""} | environment
        if words[0] == "plugins" and words[1] != "check":  # loads no libraries
            script = str(Path(sys.executable).with_name("lightning-cli"))
            return subprocess.run(
                [script, *words], env=os.environ | changed, cwd=tmp_path, capture_output=True, text=True
            )
        ran: subprocess.CompletedProcess[str] = apart.command(*words, cwd=tmp_path, env=changed)
        return ran

    return run
