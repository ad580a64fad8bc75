"""The JSON Schema for editors says what the checker says."""

import contextlib
import copy
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from tunesmith.errors import RecipeError
from tunesmith.plugins.catalog import Catalog
from tunesmith.recipe.compose import Recipe
from tunesmith.recipe.json_prose import markdown, plain
from tunesmith.recipe.json_schema import json_schema
from tunesmith.recipe.merge import merge
from tunesmith.recipe.read_yaml import read_tree
from tunesmith.recipe.schema import check
from tunesmith.recipe.tree import Map, Mark

FOLDER = Path(__file__).parents[2] / "recipes"
SHIPPED = sorted(f for f in FOLDER.rglob("*.yaml"))
# What has data of its own is a recipe, not an overlay.
RECIPES = [f for f in SHIPPED if "\n  sources:" in f.read_text()]
OVERLAYS = [f for f in SHIPPED if f not in RECIPES]
assert len(RECIPES) > 2
assert len(OVERLAYS) > 2
MARK = Mark("r.yaml", FOLDER)
# Every form that the shipped recipes have none of.
FORMS = """
seed_everything: 1
model:
  base: x/y
  objective: tunesmith_plugins.objectives.next_token.NextToken
  adapter: {class_path: tunesmith_plugins.adapters.lora.LoRA, init_args: {rank: 2, targets: [q_proj]}}
  regularizers: {anchor: {class_path: KLToBase, init_args: {weight: 0.1}}}
  optimizer: AdamW8bit
  template: null
data:
  sources:
    a:
      path: [a.jsonl, b.jsonl]
      map: {prompt: question}
      split: train
      formatter: {class_path: Template, init_args: {prompt: "{a}", completion: "{b}"}}
  curators: {}
evaluators: {rouge: ROUGE, gone: null}
success: {rouge/rougeL: {between: [0.1, 0.2]}}
plugins: [acme]
trainer:
  strategy: {class_path: lightning.pytorch.strategies.ddp.DDPStrategy, init_args: {process_group_backend: gloo}}
  callbacks: [{class_path: EarlyStopping, init_args: {monitor: val/loss, patience: 2}}, LearningRateMonitor]
  logger: {class_path: CSVLogger, init_args: {save_dir: x}}
  max_time: "00:01:00:00"
  val_check_interval: 0.5
  precision: 32
"""


class Editor:
    """What an editor says of a recipe."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self.schema = schema
        self._validator = Draft7Validator(schema)

    def wrong(self, data: Any) -> list[str]:
        """What is wrong, with its place."""
        return [f"{e.json_path} {e.message[:200]}" for e in self._validator.iter_errors(data)]


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.load(allow=())


@pytest.fixture(scope="module")
def sections() -> dict[str, Any]:
    from tunesmith.cli.trainer_cli import sections

    return sections()


@pytest.fixture(scope="module")
def recipe(sections: dict[str, Any], catalog: Catalog) -> Editor:
    return Editor(json_schema(sections, catalog))


@pytest.fixture(scope="module")
def overlay(sections: dict[str, Any], catalog: Catalog) -> Editor:
    return Editor(json_schema(sections, catalog, overlay=True))


@pytest.fixture(scope="module")
def accepted(sections: dict[str, Any], catalog: Catalog) -> Callable[..., str]:
    """What the real check says of a recipe, with what is laid over it; empty where it says nothing."""

    def ask(data: Any, above: Any = None) -> str:
        tree = read_tree(json.dumps(data), MARK)
        tree = tree if above is None else merge(tree, read_tree(json.dumps(above), MARK))
        assert isinstance(tree, Map)
        try:
            check(Recipe("r", [FOLDER / "r.yaml"], tree), catalog, sections)
        except RecipeError as error:
            return str(error)
        return ""

    return ask


def test_both_schemas_are_valid_themselves(recipe: Editor, overlay: Editor) -> None:
    for validator in (recipe, overlay):
        assert validator.schema["$schema"] == Draft7Validator.META_SCHEMA["$id"]
        Draft7Validator.check_schema(validator.schema)
        json.loads(json.dumps(validator.schema, allow_nan=False))


def described(shape: Any) -> Iterator[tuple[str, str]]:
    """All descriptions of a schema, each with its Markdown."""
    if isinstance(shape, dict) and isinstance(shape.get("description"), str):
        yield shape["description"], shape.get("markdownDescription", shape["description"])
    for inner in shape.values() if isinstance(shape, dict) else shape if isinstance(shape, list) else ():
        yield from described(inner)


def test_descriptions_are_plain_text_and_have_markdown_beside_them(recipe: Editor, overlay: Editor) -> None:
    texts = [*described(recipe.schema), *described(overlay.schema)]
    assert len(texts) > 500
    for bare, marked in texts:
        assert bare.strip() == bare != ""
        assert not re.search(r"`|:\w+:`|<https?:|\\\*", bare), bare
        assert bare.replace("\n", "").isprintable(), bare
        assert not re.search(r"``|:\w+:`|<https?:", marked), marked


@pytest.mark.parametrize(
    ("text", "marked", "bare"),
    [
        (":class:`~a.b.Logger` and :mod:`!tqdm.auto`", "`Logger` and `tqdm.auto`", "Logger and tqdm.auto"),
        (":py:func:`The profiler <a.b>` is ``on``", "The profiler is `on`", "The profiler is on"),
        (
            "`rich text <https://a.b/c_d>`_, ``None``",
            "[rich text](https://a.b/c_d), `None`",
            "rich text (https://a.b/c_d), None",
        ),
        (r"\**kwargs of `x`", "**kwargs of `x`", "**kwargs of x"),
        ("a < b, 3:4 and c:d", "a < b, 3:4 and c:d", "a < b, 3:4 and c:d"),
    ],
)
def test_docstrings_of_libraries_lose_their_marks(text: str, marked: str, bare: str) -> None:
    assert (markdown(text), plain(text)) == (marked, bare)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda f: f.stem)
def test_every_shipped_file_validates(file: Path, recipe: Editor, overlay: Editor) -> None:
    data = yaml.safe_load(file.read_text())
    validator = recipe if file in RECIPES else overlay
    assert validator.wrong(data) == []
    assert bool(recipe.wrong(data)) == (file in OVERLAYS)


def test_every_form_of_a_name_validates(recipe: Editor, accepted: Callable[..., str]) -> None:
    data = yaml.safe_load(FORMS)
    assert accepted(data) == ""
    assert recipe.wrong(data) == []


def paths(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in inner:
        yield (*path, key)
        yield from paths(value, (*path, key))


_NAMES = [
    "ROUGE",
    "LoRA",
    "CriticalErrors",
    "AdamW",
    "EarlyStopping",
    "train",
    "auto",
    "base",
    "fp32",
    "os.system",
    "a b",
]
SCALARS = st.one_of(
    st.booleans(),
    st.integers(-2, 300),
    st.floats(0.01, 0.99),
    st.sampled_from([0.0, 1.0, 8.0, 32.0]),
    st.sampled_from(_NAMES),
    st.sampled_from(["torch.optim.SGD", "tunesmith_plugins.evaluators.rouge.ROUGE", "torch.optim.Optimizer"]),
)
VALUES = st.one_of(
    st.none(),
    SCALARS,
    st.lists(st.none() | SCALARS, max_size=2),
    st.dictionaries(
        st.sampled_from(["class_path", "init_args", "name", "rank", "at_least", "path"]),
        st.none() | SCALARS,
        max_size=2,
    ),
    st.fixed_dictionaries(
        {"class_path": st.sampled_from(_NAMES)},
        optional={"init_args": st.sampled_from([None, {}, {"rank": 4}, {"rank": 4.0}, {"rank": None}, {"x": None}])},
    ),
)
KEYS = st.sampled_from(["class_path", "init_args", "rank", "lr", "weight", "path", "max_steps", "at_most", "x"])


@st.composite
def mutated(draw: st.DrawFn) -> tuple[dict[str, Any], list[tuple[Any, ...]]]:
    """A recipe that has been changed at one to three places, and these."""
    data = copy.deepcopy(draw(st.sampled_from(_GOOD)))
    return data, [_edit(draw, data) for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3])))]


def _edit(draw: st.DrawFn, data: dict[str, Any]) -> tuple[Any, ...]:
    places = list(paths(data))
    if not places:
        return ()
    path = draw(st.sampled_from(places))
    parent: Any = data
    for key in path[:-1]:
        parent = parent[key]
    here = parent[path[-1]]
    value = copy.deepcopy(draw(VALUES))  # what is drawn may be drawn again, and is changed by later edits
    change = draw(st.sampled_from(["replace", "remove", "null", "add", "rename", "whole"]))
    if change == "add" and isinstance(here, dict):
        here[draw(KEYS)] = value
    elif change == "add" and isinstance(here, list):
        here.append(value)
    elif change == "rename" and isinstance(parent, dict):
        parent[draw(KEYS)] = parent.pop(path[-1])
    elif change == "null":
        parent[path[-1]] = None
    elif change == "remove":
        del parent[path[-1]]
    elif change == "whole" and isinstance(here, int | float):
        parent[path[-1]] = float(int(here))
    else:
        parent[path[-1]] = value
    return path


_GOOD = [yaml.safe_load(f.read_text()) for f in RECIPES] + [yaml.safe_load(FORMS)]


@pytest.mark.slow
@settings(max_examples=300)
@given(case=mutated())
def test_the_schema_and_the_check_agree_on_changed_recipes(
    case: tuple[dict[str, Any], list[tuple[Any, ...]]], recipe: Editor, accepted: Callable[..., str]
) -> None:
    data, path = case
    said = accepted(data)
    found = recipe.wrong(data)
    assert bool(found) == bool(said), f"changed at {path}\ncheck: {said or 'good'}\nschema: {found or 'valid'}"


LISTED: dict[str, Any] = {"class_path": "EarlyStopping", "init_args": {"monitor": "val/loss"}}


@pytest.mark.parametrize(
    ("change", "good"),
    [
        ({"data": {"batch_size": 8.0}}, True),
        ({"data": {"batch_size": 8.5}}, False),
        ({"data": {"batch_size": None}}, True),
        ({"data": {"batch_sise": None}}, False),
        ({"trainer": {"precision": 32.0, "devices": [0.0], "limit_val_batches": 1.0}}, True),
        ({"trainer": {"precision": 33.0}}, False),
        ({"trainer": {"callbacks": [{**LISTED, "init_args": {"monitor": "x", "patience": None}}]}}, True),
        ({"trainer": {"callbacks": [{**LISTED, "init_args": {"monitor": None}}]}}, False),
        ({"trainer": {"callbacks": [{**LISTED, "init_args": {"monitor": "x", "patients": None}}]}}, False),
        ({"trainer": {"callbacks": [{"class_path": "LearningRateMonitor", "init_args": None}]}}, True),
        ({"trainer": {"callbacks": [{**LISTED, "patience": None}]}}, False),
        ({"trainer": {"callbacks": [None]}}, False),
        ({"model": {"adapter": {"class_path": "LoRA", "init_args": {"targets": [None]}}}}, False),
        ({"model": {"adapter": {"class_path": "LoRA", "init_args": {"rnak": None}}}}, False),
        ({"model": {"adapter": {"class_path": "LoRA", "rank": None}}}, False),
        ({"evaluators": {"gone": None}}, True),
        ({"evaluators": {"class_path": None}}, False),
        ({"evaluator": None}, False),
        ({"audits": None}, True),
    ],
)
def test_whole_numbers_and_nulls_are_to_editors_what_they_are_to_the_check(
    change: dict[str, Any], good: bool, recipe: Editor, accepted: Callable[..., str]
) -> None:
    data = {**yaml.safe_load(FORMS), "trainer": {}}
    data = {**data, **{key: {**(data.get(key) or {}), **value} if value else value for key, value in change.items()}}
    said, found = accepted(data), recipe.wrong(data)
    assert (said == "", found == []) == (good, good), (said, found)


def test_one_point_nothing_is_a_number_where_one_may_stand_and_else_a_count(
    sections: dict[str, Any], catalog: Catalog
) -> None:
    # a share of 1.0 is all batches, a count of 1 is one
    trainer = {"limit_val_batches": 1.0, "max_steps": 1.0, "precision": 32.0, "devices": [0.0]}
    tree = read_tree(json.dumps({**yaml.safe_load(FORMS), "trainer": trainer}), MARK)
    assert isinstance(tree, Map)
    made = check(Recipe("r", [FOLDER / "r.yaml"], tree), catalog, sections)["trainer"]
    assert json.dumps(made) == '{"limit_val_batches": 1.0, "max_steps": 1, "precision": 32, "devices": [0]}'


@pytest.mark.parametrize(
    "above",
    [
        {"model": {"adapter": {"rank": 4}}},
        {"model": {"adapter": {"init_args": {"rank": 4}}}},
        {"model": {"adapter": "Full", "optimizer": {"init_args": {"lr": 0.1}}}},
        {"model": {"regularizers": None}, "success": {"critical/error_rate": None}, "audits": {"balance": None}},
        {"data": {"sources": {"intake": {"path": "other.jsonl"}}}, "trainer": None},
        {"evaluators": {"rouge": {"stem": True}, "critical": {"fields": ["a"]}}},
    ],
)
def test_what_an_overlay_may_say_validates_as_one(
    above: dict[str, Any], recipe: Editor, overlay: Editor, accepted: Callable[..., str]
) -> None:
    below = yaml.safe_load((FOLDER / "medsync.yaml").read_text())
    assert accepted(below, above) == ""
    assert overlay.wrong(above) == []
    assert recipe.wrong(above)


@pytest.mark.parametrize(
    "above",
    [
        {"model": {"adapter": {"rnak": 4}}},
        {"model": {"adapter": {"init_args": {"rank": "four"}}}},
        {"evaluators": {"rouge": {"class_path": "ROUGE", "stem": True}}},
        {"success": {"a/b": {"at_leest": 1}}},
    ],
)
def test_what_an_overlay_may_not_say_does_not(
    above: dict[str, Any], overlay: Editor, accepted: Callable[..., str]
) -> None:
    assert accepted(yaml.safe_load((FOLDER / "medsync.yaml").read_text()), above) != ""
    assert overlay.wrong(above)


def test_options_carry_type_default_and_meaning(recipe: Editor) -> None:
    options = recipe.schema["definitions"]["tunesmith_plugins.adapters.lora.LoRA"]["properties"]
    assert options["rank"]["default"] == 16
    assert options["rank"]["type"] == ["integer", "null"]
    assert options["rank"]["description"]
    trainer = recipe.schema["definitions"]["lightning.pytorch.trainer.trainer.Trainer"]["properties"]
    assert "epochs" in trainer["max_epochs"]["description"]
    names = [s["const"] for s in recipe.schema["definitions"]["a.formatter"]["anyOf"] if "const" in s]
    assert "PromptCompletion" in names
    assert "Template" not in names, "its prompt has no default, so that its bare name is not enough"


class Free:
    def __init__(self, given, other=None) -> None: ...


@pytest.mark.parametrize(("given", "good"), [(1, True), ([None], True), ({"a": None}, True), (None, False)])
def test_an_option_of_any_type_that_has_to_be_given_is_not_null(given: Any, good: bool) -> None:
    kinds, data = {"free": Free}, {"free": {"given": given}}
    tree = read_tree(json.dumps(data), MARK)
    assert isinstance(tree, Map)
    assert (Editor(json_schema(kinds, Catalog())).wrong(data) == []) == good
    with contextlib.nullcontext() if good else pytest.raises(RecipeError, match=r"free\.given is missing"):
        check(Recipe("r", [FOLDER / "r.yaml"], tree), Catalog(), kinds)


OWN = '''
from tunesmith import Evaluator

class Style:
    def __init__(self, words: int = 1):
        self.words = words

class Nested(Evaluator):
    """Measures within.

    Args:
        inner: What measures.
    """

    def __init__(self, inner: Evaluator, style: Style | None = None):
        self.inner, self.style = inner, style

    def measure(self, samples):
        return []
'''


def schema_of(said: str) -> Editor:
    schema = json.loads(said)
    Draft7Validator.check_schema(schema)
    return Editor(schema)


def test_the_verb_prints_it_with_the_users_own_plugins_and_trust(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "nested_of_schema", raising=False)
    (bench.folder / "nested_of_schema.py").write_text(OWN)
    words = ("recipes", "schema", "--plugin", "nested_of_schema.py", "--trust", "acme.callbacks")
    mine, plain = schema_of(bench.done(*words).out), schema_of(bench.done("recipes", "schema").out)
    inner = {"class_path": "Nested", "init_args": {"inner": "ROUGE", "style": {"words": 2}}}
    spec = {"class_path": "Nested", "init_args": {"inner": inner}}
    for changes, only_mine in (
        ({"evaluators": {"n": spec}}, True),
        ({"trainer": {"callbacks": ["acme.callbacks.Bell"]}}, True),
        ({"evaluators": {"n": "Perplexity"}}, False),
    ):
        data = {**bench.recipe, **changes}
        assert mine.wrong(data) == [], changes
        assert bool(plain.wrong(data)) == only_mine, changes
    for wrong in ({"inner": "RUOGE"}, {"inner": "ROUGE", "style": {"wrods": 2}}, {}):
        assert mine.wrong({**bench.recipe, "evaluators": {"n": {"class_path": "Nested", "init_args": wrong}}})
    about = plain.schema["properties"]
    assert all(about[key]["description"] for key in about)


def test_the_verb_writes_it_and_says_the_line_for_the_editor(bench: Any) -> None:
    said = bench.done("recipes", "schema", "--output", "editor/recipe.json").out
    assert "# yaml-language-server: $schema=./editor/recipe.json" in said
    schema_of((bench.folder / "editor/recipe.json").read_text())
    # its own file is written anew, which is what newer plugins ask for; another is not
    bench.done("recipes", "schema", "--overlay", "--output", "editor/recipe.json")
    assert schema_of((bench.folder / "editor/recipe.json").read_text()).wrong({}) == []
    refused = bench.done("recipes", "schema", "--output", "tiny.yaml", code=2)
    assert "tiny.yaml is there already and holds no such schema" in refused.err
    assert yaml.safe_load((bench.folder / "tiny.yaml").read_text()) == bench.recipe
    bench.done("recipes", "schema", "--output", "tiny.yaml", "--force")
    schema_of((bench.folder / "tiny.yaml").read_text())
