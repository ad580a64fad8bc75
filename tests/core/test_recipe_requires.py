"""What a recipe needs installed is said in one message, before anything of it is looked for."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tunesmith import __version__
from tunesmith.errors import RecipeError
from tunesmith.plugins.catalog import Catalog
from tunesmith.recipe.compose import compose
from tunesmith.recipe.lock import environment
from tunesmith.recipe.requires import check_requires, requirements


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed distribution of version 1.2.dev3, with extras that need packages and each other."""
    monkeypatch.chdir(tmp_path)
    info = tmp_path / "site" / "acme_needs-1.2.dev3.dist-info"
    info.mkdir(parents=True)
    lines = [
        "Metadata-Version: 2.1",
        "Name: acme-needs",
        "Version: 1.2.dev3",
        "Provides-Extra: all",
        "Provides-Extra: Some_Thing",
        "Provides-Extra: good",
        "Requires-Dist: no-such-base",
        'Requires-Dist: no-such-extra>=3 ; extra == "all"',
        'Requires-Dist: pluggy ; extra == "all"',
        'Requires-Dist: acme-needs[All,good] ; extra == "some-thing"',
        'Requires-Dist: acme-needs[moon] ; extra == "good"',
        'Requires-Dist: acme-needs[some.thing] ; extra == "good"',
    ]
    (info / "METADATA").write_text("\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return tmp_path


def refusal(requires: Any) -> str:
    Path("mine.yaml").write_text(yaml.safe_dump({"requires": requires}))
    with pytest.raises(RecipeError) as caught:
        check_requires(compose(["mine.yaml"]))
    return str(caught.value)


def good(requires: Any) -> None:
    Path("mine.yaml").write_text(yaml.safe_dump({"requires": requires}))
    check_requires(compose(["mine.yaml"]))


def test_tunesmiths_version_is_that_of_the_code_which_runs_everywhere(site: Path) -> None:
    info = site / "site" / "tunesmith-0.1.0.dist-info"  # an editable install, made before later releases
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tunesmith\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text("[tunesmith]\nbuiltin = tunesmith_plugins\n")
    good([f"tunesmith=={__version__}"])
    assert f"tunesmith<0.2: {__version__} is installed" in refusal(["tunesmith<0.2"])
    assert environment()["tunesmith"] == __version__
    assert {entry.version for entry in Catalog.load().entries} == {__version__}


def test_all_that_is_missing_or_too_old_is_one_message_with_one_command() -> None:
    assert refusal(["acme-needs>=2,<3", "pluggy>=1", "no_such.package", "no-such-other==1.0"]) == (
        "mine.yaml: requires names what is not here:\n"
        "  acme-needs<3,>=2: 1.2.dev3 is installed\n"
        "  no_such.package is not installed\n"
        "  no-such-other==1.0 is not installed\n"
        "pip install 'acme-needs<3,>=2' no_such.package no-such-other==1.0"
    )


def test_what_is_installed_will_do_also_as_a_development_version_or_where_it_is_not_asked_for() -> None:
    good([])
    good(["Acme_Needs>=1.1", "acme.needs", 'no-such-package; python_version < "3"'])
    assert "acme-needs>=1.2: 1.2.dev3 is installed" in refusal(["acme-needs>=1.2"])


def test_an_extra_needs_what_it_brings() -> None:
    assert refusal(["acme-needs[all]>=1.1"]) == (
        "mine.yaml: requires names what is not here:\n"
        "  no-such-extra>=3 is not installed, which acme-needs[all]>=1.1 brings\n"
        "pip install 'acme-needs[all]>=1.1'"
    )


def test_extras_that_name_others_and_each_other_are_followed_once_however_they_are_spelt() -> None:
    _, *lines, last = refusal(["acme-needs[Some.thing]"]).splitlines()
    assert sorted(lines, reverse=True) == [
        "  no-such-extra>=3 is not installed, which acme-needs[Some.thing] brings",
        "  acme-needs 1.2.dev3 has no extra moon; it has Some_Thing, all, good, which acme-needs[Some.thing] brings",
    ]
    assert last == "pip install 'acme-needs[Some.thing]'"


def test_an_extra_that_the_package_does_not_have_is_named_with_those_that_it_has() -> None:
    assert refusal(["acme-needs[al,nonexist]>=1.1", "no-such-package[all]"]) == (
        "mine.yaml: requires names what is not here:\n"
        "  acme-needs 1.2.dev3 has no extra al; did you mean all?\n"
        "  acme-needs 1.2.dev3 has no extra nonexist; it has Some_Thing, all, good\n"
        "  no-such-package is not installed\n"
        "pip install --upgrade 'acme-needs[al,nonexist]>=1.1' 'no-such-package[all]'"
    )


@pytest.mark.parametrize(
    ("requires", "said"),
    [
        ("acme-needs>=1", "mine.yaml: requires is 'acme-needs>=1'; it takes a list, such as [\"acme-plugins>=1.2\"]"),
        (["acme needs >= 1"], "mine.yaml: requires.0 is 'acme needs >= 1', which is no requirement: "),
        (["pluggy", 7], "mine.yaml: requires.1 is 7; it takes a package with the versions that will do"),
        (["pluggy", ""], "mine.yaml: requires.1 is '', which is no requirement: "),
        (["x @ https://example.org/x.whl"], "an address is not taken"),
        (["--index-url https://example.org"], "which is no requirement"),
    ],
)
def test_what_is_no_requirement_is_named_with_key_and_value(requires: Any, said: str) -> None:
    assert said in refusal(requires)


def test_an_overlay_or_the_command_line_can_replace_them() -> None:
    Path("mine.yaml").write_text("requires: [no-such-package]\n")
    Path("over.yaml").write_text("requires: [no-such-other]\n")
    with pytest.raises(RecipeError, match=r"^over\.yaml: requires names .*\n  no-such-other is not installed"):
        check_requires(compose(["mine.yaml", "over.yaml"]))
    assert requirements(compose(["mine.yaml"], ["--requires=[]"])) == []


@given(st.one_of(st.text(max_size=30), st.lists(st.one_of(st.text(max_size=30), st.integers(), st.none()))))
def test_nothing_that_can_stand_there_fails_otherwise(value: Any) -> None:
    Path("mine.yaml").write_text(yaml.safe_dump({"requires": value}))
    recipe = compose(["mine.yaml"])
    with suppress(RecipeError):
        check_requires(recipe)


def test_a_package_that_is_missing_is_named_before_its_classes_are(bench: Any) -> None:
    bench.write(
        requires=["no-such-plugins>=1.2"],
        data={"sources": {"notes": {"formatter": "NoSuchFormatter"}}},
        plugins=["no-such-plugins"],
    )
    for words in (("fit", "--config", "tiny.yaml"), ("recipes", "check", "tiny.yaml")):
        ran = bench.done(*words, code=2)
        said = ran.err + ran.out
        assert "no-such-plugins>=1.2 is not installed" in said
        assert "pip install 'no-such-plugins>=1.2'" in said
        assert "NoSuchFormatter" not in said
    assert not (bench.folder / "runs").exists()


def test_what_is_there_is_kept_in_the_resolved_recipe(bench: Any) -> None:
    bench.write(requires=["tunesmith>=0.1"])
    printed = yaml.safe_load(bench.done("fit", "--config", "tiny.yaml", "--print_config").out)
    assert printed["requires"] == ["tunesmith>=0.1"]


def test_an_extra_that_tunesmith_does_not_have_is_said_by_each_verb(bench: Any) -> None:
    bench.write(requires=["tunesmith[nonexist]>=0.1"])
    for words in (("fit", "--config", "tiny.yaml"), ("recipes", "check", "tiny.yaml")):
        ran = bench.done(*words, code=2)
        assert f"tunesmith {__version__} has no extra nonexist; it has " in ran.err + ran.out
        assert "pip install --upgrade 'tunesmith[nonexist]>=0.1'" in ran.err + ran.out
    bench.write(requires=["tunesmith[testing]>=0.1"])
    assert bench.done("recipes", "check", "tiny.yaml").out == "tiny.yaml: good\n"
