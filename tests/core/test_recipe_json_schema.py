"""The JSON Schema for editors says what the checker says."""

import copy
import json
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
from tunesmith.recipe.json_schema import json_schema
from tunesmith.recipe.merge import merge
from tunesmith.recipe.read_yaml import read_tree
from tunesmith.recipe.schema import check
from tunesmith.recipe.tree import Map, Mark

FOLDER = Path(__file__).parents[2] / "recipes"
SHIPPED = sorted(f for f in FOLDER.rglob("*.yaml"))
# What has data of its own is a recipe, not an overlay.
RECIPES = [f for f in SHIPPED if "\ndata:" in f.read_text()]
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
    st.sampled_from(_NAMES),
    st.sampled_from(["torch.optim.SGD", "tunesmith_plugins.evaluators.rouge.ROUGE", "torch.optim.Optimizer"]),
)
VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=2),
    st.dictionaries(
        st.sampled_from(["class_path", "init_args", "name", "rank", "at_least", "path"]), SCALARS, max_size=2
    ),
    st.fixed_dictionaries({"class_path": st.sampled_from(_NAMES)}, optional={"init_args": st.just({"rank": 4})}),
)
KEYS = st.sampled_from(["class_path", "init_args", "rank", "lr", "weight", "path", "max_steps", "at_most", "x"])


@st.composite
def mutated(draw: st.DrawFn) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """A recipe that has been changed at one place, and that place."""
    data = copy.deepcopy(draw(st.sampled_from(_GOOD)))
    path = draw(st.sampled_from(list(paths(data))))
    parent: Any = data
    for key in path[:-1]:
        parent = parent[key]
    change = draw(st.sampled_from(["replace", "remove", "null", "add", "rename"]))
    if change == "add" and isinstance(parent[path[-1]], dict):
        parent[path[-1]][draw(KEYS)] = draw(VALUES)
    elif change == "rename" and isinstance(parent, dict) and not _told_apart(parent[path[-1]]):
        parent[draw(KEYS)] = parent.pop(path[-1])
    elif change == "null" and not any(isinstance(key, int) for key in path):
        parent[path[-1]] = None  # within lists null is a value, which a schema with shared parts does not tell
    elif change == "remove" and isinstance(parent, dict):
        del parent[path[-1]]
    else:
        parent[path[-1]] = draw(VALUES)
    return data, path


def _told_apart(value: Any) -> bool:
    """Whether the two differ by what they are: 1.0 is a whole number of JSON; null under no known key is nothing."""
    return value is None or (isinstance(value, float) and value.is_integer())


_GOOD = [yaml.safe_load(f.read_text()) for f in RECIPES] + [yaml.safe_load(FORMS)]


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(case=mutated())
def test_the_schema_and_the_check_agree_on_changed_recipes(
    case: tuple[dict[str, Any], tuple[Any, ...]], recipe: Editor, accepted: Callable[..., str]
) -> None:
    data, path = case
    said = accepted(data)
    found = recipe.wrong(data)
    assert bool(found) == bool(said), f"changed at {path}\ncheck: {said or 'good'}\nschema: {found or 'valid'}"


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
