"""A recipe made of an outsider's plugins trains, is measured and is audited."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

pytest.importorskip("tunesmith.cli.trainer_cli", exc_type=ImportError)

Command = Callable[..., subprocess.CompletedProcess[str]]
ONLY_ACME = ("acme-tunesmith",)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """Forty tickets, and a recipe in which every kind is ACME's."""
    rows = [
        {
            "subject": f"Ticket {i}",
            "body": f"The printer on floor {i} is out of {'paper' if i % 2 else 'ink'}.",
            "resolution": f"Bring {'paper' if i % 2 else 'ink'} to floor {i}.",
            "group": "odd" if i % 2 else "even",
        }
        for i in range(40)
    ]
    # One that the curator drops.
    rows.append({"subject": "", "body": "", "resolution": "x", "group": "odd"})
    (tmp_path / "tickets.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    written = {
        "seed_everything": 1,
        "plugins": ["acme-tunesmith"],
        "model": {
            "base": "package://tunesmith_plugins/bases/tiny-mistral",
            "objective": {"class_path": "SmoothedNextToken", "init_args": {"smoothing": 0.05}},
            "adapter": {"class_path": "LastLayers", "init_args": {"layers": 1}},
            "regularizers": {"close": "StayClose"},
        },
        "data": {
            "sources": {"tickets": {"path": "tickets.jsonl", "formatter": "Ticket"}},
            "curators": {"long": "Shortest"},
            "batch_size": 8,
        },
        "generation": {"max_new_tokens": 4},
        "evaluators": {"length": "AnswerLength", "strict": "acme_tunesmith.ExactMatch"},
        "audits": {"gap": "LengthGap"},
        "success": {"length/words": {"at_most": 100}, "gap/gap": {"at_most": 50}},
        "trainer": {"max_steps": 3},
    }
    path = tmp_path / "acme.yaml"
    path.write_text(yaml.safe_dump(written, sort_keys=False))
    return path


@pytest.mark.slow
def test_a_recipe_of_outside_plugins_fits_tests_and_audits(command: Command, recipe: Path) -> None:
    config = ["--config", recipe.name]
    fitted = command("fit", *config, packages=ONLY_ACME)
    assert fitted.returncode == 0, fitted.stdout + fitted.stderr
    assert list(recipe.parent.glob("runs/acme/*/adapter/last_layers.safetensors"))
    tested = command("test", *config, packages=ONLY_ACME)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "length/words" in tested.stdout
    audited = command("audit", *config, packages=ONLY_ACME)
    assert audited.returncode == 0, audited.stdout + audited.stderr


@pytest.mark.slow
def test_a_newer_release_of_a_plugin_is_refused_until_it_is_relocked(
    command: Command, recipe: Path, sites: dict[str, Path], tmp_path: Path
) -> None:
    fit = ["fit", "--config", recipe.name]
    assert command(*fit, packages=ONLY_ACME).returncode == 0
    (lock,) = recipe.parent.glob("runs/acme/*/lock.json")
    longer = [*fit, "--trainer.max_steps=4", "--ckpt_path", str(lock.parent / "checkpoints/last.ckpt")]
    shutil.copytree(sites["acme-tunesmith"], tmp_path / "newer")
    (metadata,) = (tmp_path / "newer").glob("*.dist-info/METADATA")
    metadata.write_text(metadata.read_text().replace("\nVersion: 1.2.0\n", "\nVersion: 1.3.0\n"))
    with (tmp_path / "newer/acme_tunesmith/data.py").open("a") as code:
        code.write("# more\n")
    newer = {"packages": ONLY_ACME, "PYTHONPATH": str(tmp_path / "newer")}
    own = ["fit", "--config", str(lock.parent / "config.yaml"), "--locked"]
    for words, way in ((longer, "go on with --relock"), (own, "leave --locked out")):
        refused = command(*words, **newer)
        assert refused.returncode == 2, refused.stdout
        assert refused.stderr.startswith("plugin package acme-tunesmith is not what ")
        assert re.search(rf": 1\.2\.0\+\w+ then, 1\.3\.0\+\w+ now\nrestore it, or {way}\n$", refused.stderr)
    relocked = command(*longer, "--relock", **newer)
    assert relocked.returncode == 0, relocked.stdout + relocked.stderr
    assert json.loads(lock.read_text())["plugins"]["acme-tunesmith"].startswith("1.3.0+")


@pytest.mark.slow
def test_a_recipe_can_be_checked_and_a_missing_or_blocked_package_is_named(command: Command, recipe: Path) -> None:
    good = command("recipes", "check", recipe.name, packages=ONLY_ACME)
    assert (good.returncode, good.stdout) == (0, f"{recipe.name}: good\n"), good.stderr
    missing = command("recipes", "check", recipe.name, packages=("broken-tunesmith",))
    assert missing.returncode == 2
    assert "plugins: no plugin package acme-tunesmith is installed" in missing.stdout
    blocked = command("recipes", "check", recipe.name, packages=ONLY_ACME, TUNESMITH_BLOCK="acme")
    assert blocked.returncode == 2
    assert "acme-tunesmith 1.2.0 is installed and not used: blocked by TUNESMITH_BLOCK" in blocked.stdout


@pytest.mark.slow
def test_an_allow_list_keeps_an_installed_package_out(command: Command, recipe: Path) -> None:
    recipe.write_text(recipe.read_text().replace("plugins:\n- acme-tunesmith\n", "plugins: []\n"))
    ran = command("recipes", "check", recipe.name, packages=ONLY_ACME)
    assert ran.returncode == 2
    assert "acme-tunesmith 1.2.0 is installed and not used: not in the recipe's `plugins`" in ran.stdout
