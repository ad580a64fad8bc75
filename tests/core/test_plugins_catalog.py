"""Which class a name means, and what happens to packages that do not keep the contract."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from tunesmith import Evaluator, Formatter, Measure, RecipeError
from tunesmith.plugins.catalog import Catalog, Entry
from tunesmith.plugins.load import BASES, HOOKS

Install = Callable[..., None]

GOOD = """
    from tunesmith import Evaluator, Measure, hookimpl

    class {name}(Evaluator):
        '''Counts.'''
        def measure(self, samples):
            return [Measure("count", [1.0 for _ in samples])]

    @hookimpl
    def tunesmith_register_evaluators():
        return [{name}]
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a distribution with one module into a folder at the front of the path."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delenv("TUNESMITH_BLOCK", raising=False)
    before = set(sys.modules)

    def install_one(package: str, code: str, version: str = "1.0", points: str | None = None) -> None:
        module = package.replace("-", "_")
        (site / f"{module}.py").write_text(textwrap.dedent(code))
        info = site / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(points or f"[tunesmith]\n{module}_plugin = {module}\n")

    yield install_one
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def reason(catalog: Catalog, package: str) -> str:
    (absent,) = [a for a in catalog.broken if a.package == package]
    return absent.reason


def test_an_outside_class_is_found_by_bare_name_and_by_dotted_path(install: Install) -> None:
    install("acme-one", GOOD.format(name="Count"), version="1.5")
    catalog = Catalog.load()
    entry = catalog.entry("evaluator", "Count")
    assert (entry.package, entry.version, entry.path) == ("acme-one", "1.5", "acme_one.Count")
    assert catalog.find("evaluator", "acme_one.Count") is entry.cls
    assert "Count" in catalog.names("evaluator")
    assert not catalog.namesakes(entry)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import not_there_at_all", "ModuleNotFoundError: No module named 'not_there_at_all'"),
        ("def broken(:", "SyntaxError: invalid syntax (acme_bad.py, line 1)"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("raise Exception", "Exception"),
        (GOOD.replace("return [{name}]", "raise ValueError('no luck\\nsecond line')"), "ValueError: no luck"),
        (GOOD.replace("return [{name}]", "return [{name}()]"), "which is no class"),
        (GOOD.replace("return [{name}]", "return {name}"), "not an iterable of classes"),
        (GOOD.replace("return [{name}]", "return None"), "returned None, not an iterable of classes"),
        (GOOD.replace("return [{name}]", "return '{name}'"), "not an iterable of classes"),
        (GOOD.replace("register_evaluators", "register_audits"), "returned Count, which is no Audit"),
        (GOOD.replace("def measure", "def mesure"), "Count lacks measure"),
        (
            GOOD.replace("register_evaluators", "register_evaluator"),
            "tunesmith_register_evaluator is not a hook; did you mean tunesmith_register_evaluators?",
        ),
        (GOOD.replace("@hookimpl", ""), "tunesmith_register_evaluators is not marked @tunesmith.hookimpl"),
        ("'''Nothing.'''", "has no hook"),
        (GOOD.replace("evaluators()", "evaluators(catalog)"), "PluginValidationError"),
        (GOOD.replace("return [{name}]", "return [type('Count', ({name},), {{}})]"), "cannot be imported as"),
    ],
)
def test_trap_41_a_plugin_that_fails_is_recorded_and_stops_no_other(install: Install, code: str, expected: str) -> None:
    install("acme-good", GOOD.format(name="Fine"))
    install("acme-bad", code.format(name="Count") if "{name}" in code else code, version="0.9")
    catalog = Catalog.load()
    assert expected in reason(catalog, "acme-bad")
    assert "\n" not in reason(catalog, "acme-bad")
    assert catalog.find("evaluator", "Fine").__module__ == "acme_good"
    with pytest.raises(RecipeError, match=r"acme-bad 0\.9 failed to load: "):
        catalog.find("evaluator", "Count")


def test_a_file_of_entry_points_that_cannot_be_read_stops_no_other(install: Install) -> None:
    install("acme-good", GOOD.format(name="Fine"))
    install("acme-torn", "", points="[tunesmith]\nno equals sign\n")
    catalog = Catalog.load()
    assert "entry_points.txt cannot be read" in reason(catalog, "acme-torn")
    assert catalog.find("evaluator", "Fine")


def test_a_file_of_entry_points_that_is_no_text_stops_no_other(install: Install, tmp_path: Path) -> None:
    install("acme-good", GOOD.format(name="Fine"))
    install("acme-bytes", "")
    (tmp_path / "site/acme_bytes-1.0.dist-info/entry_points.txt").write_bytes(b"[tunesmith]\n\xff = x\n")
    catalog = Catalog.load()
    assert "entry_points.txt cannot be read: UnicodeDecodeError" in reason(catalog, "acme-bytes")
    assert catalog.find("evaluator", "Fine")


def test_of_two_distributions_of_one_name_the_first_on_the_path_counts(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("acme-one", GOOD.format(name="Old"))
    front = tmp_path / "front"
    info = front / "acme_one-2.0.dist-info"
    info.mkdir(parents=True)
    monkeypatch.syspath_prepend(str(front))
    assert Catalog.load().find("evaluator", "Old"), "a folder that an uninstallation left over hides nothing"
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme_one\nVersion: 2.0\n")
    assert "Old" not in Catalog.load().names("evaluator"), "the one in front brings no plugin"


def test_of_packages_without_plugins_no_metadata_is_parsed(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("acme-one", GOOD.format(name="Fine"))
    install("acme-tool", "", points="[console_scripts]\nacme = acme_tool:main\n")
    parsed = []
    parse = metadata.Distribution.metadata.fget  # type: ignore[attr-defined]

    def noting(self: metadata.Distribution) -> Any:
        parsed.append(parse(self)["Name"])
        return parse(self)

    monkeypatch.setattr(metadata.Distribution, "metadata", property(noting))
    assert Catalog.load().find("evaluator", "Fine")
    assert "acme-one" in parsed
    assert not {"acme-tool", "pluggy", "PyYAML"} & set(parsed)


def test_two_packages_with_one_name_are_an_error_only_where_it_is_used(install: Install) -> None:
    install("acme-one", GOOD.format(name="Count"))
    install("acme-two", GOOD.format(name="Count"))
    catalog = Catalog.load()
    with pytest.raises(RecipeError) as error:
        catalog.find("evaluator", "Count")
    assert str(error.value) == (
        "2 packages have an evaluator called Count; write which one:\n"
        "  acme_one.Count  (acme-one 1.0)\n"
        "  acme_two.Count  (acme-two 1.0)\n"
        "or do without: TUNESMITH_BLOCK=acme-one or `pip uninstall acme-one`, "
        "TUNESMITH_BLOCK=acme-two or `pip uninstall acme-two`"
    )
    assert catalog.find("evaluator", "acme_two.Count").__module__ == "acme_two"
    assert all(catalog.namesakes(e) for e in catalog.entries if e.name == "Count")
    assert catalog.find("evaluator", "ROUGE"), "others are found all the same"
    assert Catalog.load(block=["acme-one"]).find("evaluator", "Count").__module__ == "acme_two"


def test_a_class_exported_again_by_its_package_answers_to_both_paths(install: Install) -> None:
    install("acme-inner", GOOD.format(name="Count"))
    install("acme-outer", "from acme_inner import Count, tunesmith_register_evaluators")
    catalog = Catalog.load()
    assert len([e for e in catalog.entries if e.name == "Count"]) == 1
    assert catalog.find("evaluator", "acme_outer.Count") is catalog.find("evaluator", "acme_inner.Count")


class Lines(Formatter):
    def format(self, row):
        raise AssertionError


class ROUGE(Evaluator):
    def measure(self, samples):
        return [Measure("a", [])]


def builtin_and_outsider() -> tuple[Catalog, Entry, Entry]:
    builtin = Entry("evaluator", ROUGE, "tunesmith", "0.1.0")
    outsider = Entry("evaluator", type("ROUGE", (ROUGE,), {"__module__": "acme.measures"}), "acme", "1.0")
    return Catalog([outsider, builtin, Entry("formatter", Lines, "tunesmith", "0.1.0")]), builtin, outsider


def test_nobody_takes_the_bare_name_of_a_builtin_and_none_is_ignored_who_has_it() -> None:
    catalog, builtin, outsider = builtin_and_outsider()
    with pytest.raises(RecipeError, match=r"2 packages have an evaluator called ROUGE") as error:
        catalog.find("evaluator", "ROUGE")
    assert f"\n  {builtin.path}  (built-in)\n  acme.measures.ROUGE  (acme 1.0)\n" in str(error.value)
    assert catalog.find("evaluator", "acme.measures.ROUGE") is outsider.cls
    assert catalog.find("evaluator", builtin.path) is builtin.cls
    assert (catalog.namesakes(outsider), catalog.namesakes(builtin)) == ([builtin], [outsider])


def test_a_file_with_a_builtins_name_is_named_with_what_to_do(install: Install, tmp_path: Path) -> None:
    file = tmp_path / "my_measures.py"
    file.write_text(textwrap.dedent(GOOD.format(name="ExactMatch")))
    catalog = Catalog.load(extra_files=[file])
    with pytest.raises(RecipeError) as error:
        catalog.find("evaluator", "ExactMatch")
    assert str(error.value) == (
        "2 packages have an evaluator called ExactMatch; write which one:\n"
        "  tunesmith_plugins.evaluators.exact_match.ExactMatch  (built-in)\n"
        f"  my_measures.ExactMatch  (--plugin {file})\n"
        f"or rename the class in {file}"
    )


def test_an_unknown_name_is_answered_with_the_nearest_and_all_that_there_are() -> None:
    catalog, *_ = builtin_and_outsider()
    with pytest.raises(RecipeError) as error:
        catalog.find("evaluator", "rogue")
    assert str(error.value) == (
        "there is no evaluator rogue; did you mean ROUGE?\navailable: ROUGE  (lightning-cli plugins list)"
    )


def test_a_name_of_another_kind_is_called_what_it_is() -> None:
    catalog, *_ = builtin_and_outsider()
    with pytest.raises(RecipeError, match=r"^ROUGE is an evaluator, not a formatter\navailable: Lines"):
        catalog.find("formatter", "ROUGE")


@pytest.mark.parametrize("name", ["acme-one", "ACME_one", "acme_one_plugin"])
def test_a_blocked_package_is_not_imported_and_is_named(
    install: Install, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    install("acme-one", GOOD.format(name="Count"))
    monkeypatch.setenv("TUNESMITH_BLOCK", f"acme-not-there, {name}")
    catalog = Catalog.load()
    assert "acme_one" not in sys.modules
    (blocked,) = catalog.blocked
    assert (blocked.package, blocked.reason) == ("acme-one", "blocked by TUNESMITH_BLOCK")
    assert catalog.unknown_blocks == ["acme-not-there"]
    with pytest.raises(RecipeError, match=r"acme-one 1\.0 is installed and not used: blocked"):
        catalog.find("evaluator", "Count")


def test_an_allow_list_keeps_out_what_it_does_not_name_but_never_the_builtins(install: Install) -> None:
    install("acme-one", GOOD.format(name="Count"))
    install("acme-two", GOOD.format(name="Other"))
    catalog = Catalog.load(allow=["acme_two"])
    assert "acme_one" not in sys.modules
    assert [b.package for b in catalog.blocked] == ["acme-one"]
    assert catalog.find("evaluator", "Other")
    assert [b.package for b in Catalog.load(allow=[]).blocked] == ["acme-one", "acme-two"]


def test_a_block_is_stronger_than_an_allowance(install: Install) -> None:
    install("acme-one", GOOD.format(name="Count"))
    catalog = Catalog.load(allow=["acme-one"], block=["acme-one"])
    assert [b.reason for b in catalog.blocked] == ["blocked by TUNESMITH_BLOCK"]


def test_an_allow_list_that_names_what_is_not_installed_is_wrong(install: Install) -> None:
    install("acme-one", GOOD.format(name="Count"))
    with pytest.raises(RecipeError, match="no plugin package acme-oen is installed; did you mean acme-one"):
        Catalog.load(allow=["acme-oen"])


def test_a_single_file_is_a_plugin_with_or_without_hooks(install: Install, tmp_path: Path) -> None:
    with_hook, without = tmp_path / "my_hooked.py", tmp_path / "my_bare.py"
    with_hook.write_text(textwrap.dedent(GOOD.format(name="Hooked")))
    without.write_text(textwrap.dedent(GOOD.format(name="Bare")).partition("@hookimpl")[0])
    catalog = Catalog.load(extra_files=[with_hook, without])
    assert catalog.find("evaluator", "Hooked") is catalog.find("evaluator", "my_hooked.Hooked")
    assert catalog.entry("evaluator", "Bare").package == str(without)
    assert Catalog.load(extra_files=[without]).find("evaluator", "Bare") is catalog.find("evaluator", "Bare")


def test_a_single_file_has_its_content_for_a_version_so_that_a_lock_notices_a_change(tmp_path: Path) -> None:
    file = tmp_path / "my_locked.py"
    file.write_text(textwrap.dedent(GOOD.format(name="Locked")))
    before = Catalog.load(extra_files=[file]).entry("evaluator", "Locked").version
    assert Catalog.load(extra_files=[file]).entry("evaluator", "Locked").version == before != ""
    file.write_text(file.read_text() + "# changed\n")
    assert Catalog.load(extra_files=[file]).entry("evaluator", "Locked").version != before


@pytest.mark.parametrize(
    ("name", "code", "expected"),
    [
        ("mine_a.py", "1 / 0", "ZeroDivisionError: division by zero"),
        ("mine_b.py", "x = 1", "has no plugin class"),
        ("json.py", "x = 1", "another module is called json; rename the file"),
        ("mine_c.txt", "x = 1", "is no Python file"),
        ("mine_d.py", None, "there is no such file"),
    ],
)
def test_a_single_file_that_fails_is_the_users_mistake(
    tmp_path: Path, name: str, code: str | None, expected: str
) -> None:
    file = tmp_path / name
    if code is not None:
        file.write_text(code)
    with pytest.raises(RecipeError, match=expected) as error:
        Catalog.load(extra_files=[file])
    assert str(error.value).startswith(f"--plugin {file}: ")


def test_every_kind_has_a_hook_and_every_hook_a_kind() -> None:
    assert sorted(HOOKS.values()) == sorted(BASES)
    assert all(base.kind == kind for kind, base in BASES.items())


def test_loading_the_catalog_imports_neither_torch_nor_lightning_nor_transformers() -> None:
    code = (
        "import sys; from tunesmith.plugins.catalog import Catalog; Catalog.load(); "
        "print([m for m in ('torch', 'lightning', 'transformers', 'datasets', 'peft') if m in sys.modules])"
    )
    environment = {k: v for k, v in os.environ.items() if k != "TUNESMITH_BLOCK"}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert ran.stdout.strip() == "[]"


def test_the_builtins_load_through_their_entry_point() -> None:
    catalog = Catalog.load()
    assert [str(b) for b in catalog.broken if b.package == "tunesmith"] == []
    assert {e.kind for e in catalog.entries if e.builtin} == set(BASES)
    assert catalog.find("evaluator", "ROUGE").__module__ == "tunesmith_plugins.evaluators.rouge"


@pytest.mark.parametrize("name", ["tunesmith", "builtin"])
def test_the_built_ins_cannot_be_blocked(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNESMITH_BLOCK", name)
    with pytest.raises(RecipeError, match=f"TUNESMITH_BLOCK names {name}, the built-in plugins"):
        Catalog.load()
