"""What jsonargparse says of the rest, in the words of a recipe."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from jsonargparse import ArgumentError, ArgumentParser
from jsonargparse.typing import PositiveInt

from tunesmith.cli.errors import explain
from tunesmith.recipe.compose import Recipe, compose


class Part:
    """A base class."""


class Fancy(Part):
    def __init__(self, count: PositiveInt = 1, when: timedelta | None = None, mode: Literal["a", "b"] = "a") -> None:
        self.count, self.when, self.mode = count, when, mode


@dataclass
class Split:
    train: float = 0.8


class Model:
    def __init__(self, base: str, part: Part, split: Split = Split(), size: int | None = None) -> None:  # noqa: B008
        self.base, self.part, self.split, self.size = base, part, split, size


FANCY = f"{Fancy.__module__}.Fancy"
GOOD = {"model": {"base": "x", "part": FANCY}}


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    (tmp_path / "r.yaml").write_text("model: {base: x, part: Fancy}\nparts: {one: {class_path: Fancy}, two: Other}\n")
    return compose([str(tmp_path / "r.yaml")], ["--model.size=q"])


def complaint(data: Any, recipe: Recipe) -> str:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Model, "model", sub_configs=True)
    parser.add_argument("--parts", type=dict[str, Part], default={})
    with pytest.raises(ArgumentError) as caught:
        parser.parse_object(data)
    return explain(caught.value, recipe).replace(f"{recipe.paths[0].parent}/", "")


def part(**init_args: Any) -> Any:
    return {"class_path": FANCY, "init_args": init_args}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"model": {**GOOD["model"], "size": "q"}}, "command line: model.size is q; it takes a whole number or null"),
        ({"model": {**GOOD["model"], "sise": 1}}, "r.yaml: model.sise is not a key of model"),
        ({"model": {"base": "x"}}, "r.yaml: model.part is missing"),
        ({**GOOD, "modle": 1}, "r.yaml: modle is not accepted there"),
        (
            {"model": {"base": "x", "part": part(mode="c")}},
            "r.yaml: model.part.init_args.mode is c; it takes a or b",
        ),
        ({"model": {"base": "x", "part": part(cuont=1)}}, "r.yaml: model.part.init_args.cuont is not accepted there"),
        ({**GOOD, "parts": {"one": part(mode="c")}}, "r.yaml: parts.one.init_args.mode is c; it takes a or b"),
    ],
)
def test_a_complaint_names_file_key_and_what_is_allowed(data: Any, says: str, recipe: Recipe) -> None:
    assert complaint(data, recipe) == says


def test_a_condition_of_a_type_is_kept(recipe: Recipe) -> None:
    message = complaint({"model": {"base": "x", "part": part(count=-1)}}, recipe)
    assert message.startswith("r.yaml: model.part.init_args.count ")
    assert "-1" in message
    assert "\n" not in message


def test_a_date_that_cannot_be_read_says_its_form(recipe: Recipe) -> None:
    message = complaint({"model": {"base": "x", "part": part(when="soon")}}, recipe)
    assert message.startswith("r.yaml: model.part.init_args.when is ")
    assert "h:m:s" in message
    assert "\n" not in message


@pytest.mark.parametrize("error", [ValueError("rank must be positive,\n  not -1"), "rank must be positive, not -1"])
def test_what_a_constructor_refuses_is_one_line_with_the_file(error: Any, recipe: Recipe) -> None:
    assert explain(error, recipe) == f"{recipe.paths[0]}: rank must be positive, not -1"


def test_the_verb_is_no_part_of_a_key(recipe: Recipe) -> None:
    text = "Parser key \"fit.model.size\":\n  Expected a <class 'int'>. Got value: q"
    assert explain(text, recipe) == "command line: model.size is q; it takes a whole number"


def test_a_long_text_is_cut_and_an_empty_one_is_named(recipe: Recipe) -> None:
    assert len(explain(ValueError("x" * 5000), recipe)) < 500
    assert explain(KeyError(), recipe).endswith("KeyError")
