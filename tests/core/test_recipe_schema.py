"""What a recipe may say: every mistake is found before anything is built, and named with what to do."""

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from jsonargparse import ArgumentParser

from tunesmith.errors import RecipeError
from tunesmith.plugins.catalog import Absent, Catalog, Entry
from tunesmith.recipe.compose import compose
from tunesmith.recipe.schema import check

ACME = """
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch.optim import Optimizer
from tunesmith import Adapter, Evaluator, Formatter, Regularizer


class Full(Adapter):
    def attach(self, model): ...
    def save(self, model, directory): ...
    def load(self, model, directory): ...


class QLoRA(Full):
    def __init__(self, rank: int = 8, alpha: float = 16, targets: list[str] | None = None, dropout: float | None = 0.1):
        self.rank, self.alpha, self.targets, self.dropout = rank, alpha, targets, dropout


class Plus(QLoRA):
    def __init__(self, ratio: float = 4.0, **kwargs):
        super().__init__(**kwargs)
        self.ratio = ratio


class Columns(Formatter):
    def __init__(self, prompt: str, lexicon: Path | None = None):
        self.prompt, self.lexicon = prompt, lexicon
    def format(self, row): ...


class Style:
    def __init__(self, words: int = 1):
        self.words = words


class ROUGE(Evaluator):
    def __init__(self, stem: bool = False, style: Style | None = None, pair: tuple[int, str] = (1, "a")):
        self.stem, self.style, self.pair = stem, style, pair
    def measure(self, samples): ...


class CriticalErrors(Evaluator):
    def __init__(self, fields: list[str]):
        self.fields = fields
    def measure(self, samples): ...


class Chained(Evaluator):
    def __init__(self, inner: Evaluator, others: dict[str, Evaluator] = {}, free: Any = None,
                 code: Callable | None = None, kind: type | None = None, maker: Callable[[int], str] | None = None):
        self.inner, self.others, self.free = inner, others, free
    def measure(self, samples): ...


@dataclass
class Source:
    path: str | list[str]
    formatter: Formatter
    map: dict[str, str] | None = None
    split: Literal["train", "validation", "test"] | None = None
    task: str = ""


@dataclass
class Split:
    train: float = 0.8
    keep_together: str | None = None


@dataclass
class Threshold:
    at_least: float | None = None
    of: Literal["base"] | None = None


class Specialist:
    def __init__(self, base: str, adapter: Adapter, optimizer: Callable[[Iterable], Optimizer] | None = None,
                 regularizers: dict[str, Regularizer] = {}, precision: Literal["auto", "fp32", "bf16"] = "auto"):
        self.base, self.adapter, self.optimizer = base, adapter, optimizer


class RecipeData:
    def __init__(self, sources: dict[str, Source], split: Split = Split(), max_length: int | None = None,
                 batch_size: int = 8, reject_limit: float = 0.05, keep_rejected: bool = False):
        self.sources, self.split = sources, split


class Trainer:
    def __init__(self, *, max_epochs: int | None = None, max_steps: int = -1, logger: bool | None = None):
        self.max_epochs = max_epochs
"""
GOOD: dict[str, Any] = {
    "seed_everything": 7,
    "model": {"base": "gpt2", "adapter": {"class_path": "QLoRA", "init_args": {"rank": 16}}},
    "data": {
        "sources": {
            "intake": {"path": "/x.jsonl", "formatter": {"class_path": "Columns", "init_args": {"prompt": "p"}}}
        }
    },
    "evaluators": {"rouge": "ROUGE"},
    "success": {"rouge/rougeL": {"at_least": 0.6}},
    "trainer": {"max_epochs": 3},
}
KINDS = {
    "adapter": ("Full", "QLoRA", "Plus"),
    "formatter": ("Columns",),
    "evaluator": ("ROUGE", "CriticalErrors", "Chained"),
}


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    folder = tmp_path_factory.mktemp("acme")
    (folder / "acme_schema_plugins.py").write_text(ACME)
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module("acme_schema_plugins")
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop("acme_schema_plugins", None)


@pytest.fixture(scope="module")
def catalog(acme: ModuleType) -> Catalog:
    return Catalog(Entry(kind, getattr(acme, name), "acme", "1") for kind, names in KINDS.items() for name in names)


@pytest.fixture(scope="module")
def sections(acme: ModuleType) -> dict[str, Any]:
    from tunesmith import Evaluator

    return {
        "seed_everything": bool | int,
        "model": acme.Specialist,
        "data": acme.RecipeData,
        "evaluators": dict[str, Evaluator],
        "success": dict[str, acme.Threshold],
        "trainer": acme.Trainer,
        "requires": list[str],
    }


Checked = Callable[..., dict[str, Any]]
Refused = Callable[..., str]


@pytest.fixture
def checked(catalog: Catalog, sections: dict[str, Any], tmp_path: Path) -> Checked:
    """Checks a good recipe, changed by a map that is merged over it and by words of the command line."""

    def run(change: Any = None, *words: str, start: Any = GOOD) -> dict[str, Any]:
        (tmp_path / "r.yaml").write_text(yaml.safe_dump(start))
        (tmp_path / "o.yaml").write_text(yaml.safe_dump(change or {"seed_everything": 7}))
        recipe = compose([str(tmp_path / "r.yaml"), str(tmp_path / "o.yaml")], words)
        return check(recipe, catalog, sections)

    return run


@pytest.fixture
def refused(checked: Checked, tmp_path: Path) -> Refused:
    def run(change: Any = None, *words: str, start: Any = GOOD) -> str:
        with pytest.raises(RecipeError) as caught:
            checked(change, *words, start=start)
        return str(caught.value).replace(f"{tmp_path}/", "")

    return run


def inside(*keys: str, value: Any) -> dict[str, Any]:
    """`inside("a", "b", value=1)` is `{"a": {"b": 1}}`."""
    for key in reversed(keys):
        value = {key: value}
    return value  # type: ignore[no-any-return]


def leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for v in value.values() for leaf in leaves(v)]
    return [value]


def test_a_good_recipe_names_its_classes_by_import_path(checked: Checked) -> None:
    made = checked()
    assert made["model"]["adapter"] == {"class_path": "acme_schema_plugins.QLoRA", "init_args": {"rank": 16}}
    assert made["evaluators"] == {"rouge": {"class_path": "acme_schema_plugins.ROUGE"}}
    assert {k: made[k] for k in ("seed_everything", "success", "trainer")} == {
        k: GOOD[k] for k in ("seed_everything", "success", "trainer")
    }


def test_jsonargparse_builds_what_was_checked(checked: Checked, acme: ModuleType) -> None:
    from tunesmith import Evaluator

    optimizer = {"class_path": "AdamW", "init_args": {"lr": 2e-4, "weight_decay": 0.01}}
    change = {
        "model": {"optimizer": optimizer},
        "evaluators": {"chained": {"class_path": "Chained", "init_args": {"inner": "ROUGE"}}},
    }
    made = checked(change, "--evaluators.rouge.style.words=3", "--data.sources.intake.task=3")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(acme.Specialist, "model", sub_configs=True)
    parser.add_class_arguments(acme.RecipeData, "data", sub_configs=True)
    parser.add_argument("--evaluators", type=dict[str, Evaluator], default={})
    keys = ("model", "data", "evaluators")
    built = parser.instantiate(parser.parse_string(json.dumps({k: made[k] for k in keys})))
    assert type(built.model.adapter) is acme.QLoRA
    assert built.model.adapter.rank == 16
    import torch

    group = built.model.optimizer([torch.nn.Parameter(torch.zeros(2))]).param_groups[0]
    assert (group["lr"], group["weight_decay"]) == (2e-4, 0.01)
    assert type(built.evaluators["chained"].inner) is acme.ROUGE
    assert built.evaluators["rouge"].style.words == 3
    assert built.data.sources["intake"].formatter.prompt == "p"
    assert built.data.sources["intake"].task == "3"


def test_trap_39_nothing_that_a_recipe_says_is_dropped(checked: Checked) -> None:
    change = {
        "model": {"optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 1e-4}}, "precision": "bf16"},
        "data": {"split": {"train": 0.7}, "max_length": 99, "batch_size": 3, "keep_rejected": True},
        "evaluators": {"two": {"class_path": "CriticalErrors", "init_args": {"fields": ["f1", "f2"]}}},
        "requires": ["acme>=1"],
    }
    said = [v for v in leaves(change) if v not in ("CriticalErrors",)]
    assert all(v in leaves(checked(change)) for v in said)


def test_an_unknown_option_of_a_plugin_reads_as_the_design_shows_it(refused: Refused) -> None:
    assert refused(inside("model", "adapter", "init_args", "rnak", value=8)) == (
        "o.yaml: model.adapter.init_args.rnak is not an option of QLoRA; did you mean rank?\n"
        "QLoRA takes: rank, alpha, targets, dropout  (lightning-cli plugins describe QLoRA)"
    )


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("modle", "model"),
        ("model.bse", "base"),
        ("model.adapter.init_args.alhpa", "alpha"),
        ("data.sources.intake.formater", "formatter"),
        ("data.sources.intake.formatter.init_args.pormpt", "prompt"),
        ("data.split.tran", "train"),
        ("success.rouge/rougeL.at_last", "at_least"),
        ("trainer.max_epoch", "max_epochs"),
        ("trainer.max_step", "max_steps"),
    ],
)
def test_trap_40_a_misspelt_key_at_any_depth_names_the_nearest(refused: Refused, path: str, near: str) -> None:
    message = refused(inside(*path.split("."), value=1)).splitlines()[0]
    assert message.startswith(f"o.yaml: {path} is not ")
    assert f"did you mean {near}?" in message


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("max_epochs", "it belongs under trainer: trainer.max_epochs"),
        ("model.evaluators", "it belongs at the top level of the recipe"),
        ("model.lr", "it belongs under model.optimizer.init_args: model.optimizer.init_args.lr"),
        ("model.rank", "it belongs under model.adapter.init_args: model.adapter.init_args.rank"),
        ("trainer.batch_size", "it belongs under data: data.batch_size"),
        ("data.keep_together", "it belongs under data.split: data.split.keep_together"),
        ("data.formatter", "it belongs under data.sources.intake: data.sources.intake.formatter"),
    ],
)
def test_a_key_in_the_wrong_place_is_told_its_place(refused: Refused, path: str, place: str) -> None:
    assert place in refused(inside(*path.split("."), value=1)).splitlines()[0]


def test_an_option_beside_class_path_is_told_to_go_inside(refused: Refused) -> None:
    wrong = inside("model", "adapter", value={"class_path": "QLoRA", "rank": 8})
    assert refused(wrong).splitlines()[0] == (
        "o.yaml: model.adapter.rank is beside class_path, where it would be lost; write model.adapter.init_args.rank"
    )
    wrong = inside("model", "adapter", value={"class_path": "QLoRA", "rnak": 8})
    assert "write model.adapter.init_args.rank" in refused(wrong)


@pytest.mark.parametrize(("key", "near"), [("init_arg", "init_args"), ("init-args", "init_args"), ("dict_kwargs", "")])
def test_only_class_path_and_init_args_describe_a_class(refused: Refused, key: str, near: str) -> None:
    message = refused(inside("model", "adapter", value={"class_path": "QLoRA", key: {"rank": 8}}))
    assert f"model.adapter.{key} is not a key beside class_path" in message
    assert f"did you mean {near}?" in message or not near


def test_options_without_a_class_are_refused(refused: Refused) -> None:
    start = {**GOOD, "evaluators": {"rouge": {"stem": True}}}
    assert "r.yaml: evaluators.rouge has options but names no class" in refused(start=start)
    start = {**GOOD, "evaluators": {"rouge": {"clas_path": "ROUGE"}}}
    assert "evaluators.rouge.clas_path is not a key beside init_args; did you mean class_path?" in refused(start=start)


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("model.adapter", "QLoR", "model.adapter is QLoR: there is no adapter QLoR; did you mean QLoRA?"),
        ("model.adapter", "ROUGE", "ROUGE is an evaluator, not an adapter"),
        ("model.adapter", 3, "model.adapter is 3; it takes an adapter: Full, Plus, QLoRA"),
        ("model.adapter", {"class_path": 3}, "model.adapter.class_path is 3; it takes an adapter"),
        ("evaluators", "ROUGE", "evaluators is 'ROUGE'; it takes a map of names to an evaluator"),
        ("evaluators", ["ROUGE"], "evaluators is a list; it takes a map of names to an evaluator"),
        ("evaluators.class_path", "ROUGE", "stands where a name of your own is due"),
        ("trainer.max_epochs", "three", "trainer.max_epochs is 'three'; it takes a whole number"),
        ("trainer.max_epochs", 1.5, "trainer.max_epochs is 1.5; it takes a whole number"),
        ("trainer.max_epochs", True, "trainer.max_epochs is true; it takes a whole number"),
        ("data.reject_limit", "a lot", "data.reject_limit is 'a lot'; it takes a number"),
        ("data.keep_rejected", 1, "data.keep_rejected is 1; it takes true or false"),
        ("data.sources.intake.task", 3, "data.sources.intake.task is 3; it takes text; put it in quotes"),
        ("data.sources.intake.map", {"a": 1}, "data.sources.intake.map.a is 1; it takes text; put it in quotes"),
        ("data.sources.intake.split", "tran", "it takes train, validation or test; did you mean train?"),
        ("data.sources.intake.path", {"a": 1}, "data.sources.intake.path is a map; it takes text or a list of text"),
        ("data.split", "80/10/10", "data.split is '80/10/10'; it takes a map of: train, keep_together"),
        ("model.precision", "fp16", "model.precision is 'fp16'; it takes auto, fp32 or bf16"),
        ("model.precision", "bf61", "it takes auto, fp32 or bf16; did you mean bf16?"),
        ("model.precision", True, "model.precision is true; it takes auto, fp32 or bf16; put it in quotes"),
        ("model.adapter.targets", "q_proj", "model.adapter.init_args.targets is 'q_proj'; it takes a list of text"),
        ("model.adapter.targets", ["a", 2], "model.adapter.init_args.targets.1 is 2; it takes text"),
        ("model", "gpt2", "model is 'gpt2'; it takes a map of: base, adapter"),
        ("seed_everything", "x", "seed_everything is 'x'; it takes true or false or a whole number"),
        ("requires", "acme", "requires is 'acme'; it takes a list of text"),
        ("model.optimizer", "torch.optim.Optimizer", "there is no Optimizer torch.optim.Optimizer"),
        ("model.optimizer", "AdamX", "there is no Optimizer AdamX; did you mean Adam, AdamW or Adamax?"),
        ("model.optimizer", {"class_path": "AdamW", "init_args": {"lr": "x"}}, "lr is 'x'; it takes a number"),
        ("model.optimizer", {"class_path": "AdamW", "init_args": {"params": []}}, "params is not an option of AdamW"),
        ("model.optimizer", {"class_path": "SGD", "init_args": {"momentm": 1}}, "SGD; did you mean momentum?"),
        ("evaluators.rouge.pair", [1], "evaluators.rouge.init_args.pair has 1 entries; it takes 2"),
        ("evaluators.rouge.pair", [1, 2], "evaluators.rouge.init_args.pair.1 is 2; it takes text"),
        ("evaluators.rouge.style", {"wrds": 1}, "style.wrds is not an option of Style; did you mean words?"),
    ],
)  # fmt: skip
def test_a_wrong_value_says_what_is_allowed(refused: Refused, path: str, value: Any, says: str) -> None:
    message = refused(inside(*path.split("."), value=value))
    assert message.startswith("o.yaml: ")
    assert says in message


@pytest.mark.parametrize(
    ("start", "says"),
    [
        ({"model": {"adapter": "Full"}, "data": GOOD["data"]}, "r.yaml: model.base is missing; it takes text"),
        (
            {"model": {"base": "x"}, "data": GOOD["data"]},
            "model.adapter is missing; it takes an adapter: Full, Plus, QLoRA",
        ),
        ({"model": GOOD["model"]}, "r.yaml: data is missing; an overlay never runs alone"),
        (
            {**GOOD, "evaluators": {"a": "CriticalErrors"}},
            "a.init_args.fields is missing; CriticalErrors needs it: a list of text",
        ),
    ],
)
def test_a_missing_key_is_named_with_what_it_takes(refused: Refused, start: Any, says: str) -> None:
    assert says in refused(start=start)


def test_a_misspelt_required_key_is_one_mistake_not_two(refused: Refused) -> None:
    start = {"model": {"bas": "x", "adapter": "Full"}, "data": GOOD["data"]}
    message = refused(start=start)
    assert "did you mean base?" in message
    assert "missing" not in message


def test_several_mistakes_are_told_at_once_but_not_more_than_five(refused: Refused) -> None:
    message = refused({"data": {f"wrong{i}": 1 for i in range(7)}})
    assert message.count(" is not a key of data") == 5
    assert message.endswith("and 2 more")


def test_each_mistake_names_who_made_it(refused: Refused) -> None:
    message = refused({"model": {"bse": 1}}, "--trainer.max_epoch=3")
    assert "o.yaml: model.bse is not" in message
    assert "command line: trainer.max_epoch is not" in message


def test_text_typed_on_the_command_line_may_look_like_a_number(checked: Checked) -> None:
    made = checked(None, "--data.sources.intake.task=007", "--model.base=1e5", "--data.sources.intake.map={a: '1'}")
    assert made["data"]["sources"]["intake"]["task"] == "007"
    assert made["model"]["base"] == "1e5"


def test_null_is_a_value_where_it_means_more_than_the_default(checked: Checked) -> None:
    made = checked(
        {"model": {"adapter": {"init_args": {"dropout": None, "targets": None}}}, "trainer": {"max_epochs": None}}
    )
    assert made["model"]["adapter"]["init_args"] == {"rank": 16, "dropout": None}
    assert made["trainer"] == {}


def test_options_passed_on_by_kwargs_are_known(checked: Checked, refused: Refused) -> None:
    made = checked({"model": {"adapter": {"class_path": "Plus", "init_args": {"ratio": 2.0, "rank": 4}}}})
    assert made["model"]["adapter"]["init_args"] == {"ratio": 2.0, "rank": 4}
    assert "did you mean rank?" in refused({"model": {"adapter": {"class_path": "Plus", "init_args": {"rnk": 4}}}})


def test_a_plugin_inside_a_plugin_is_checked(checked: Checked, refused: Refused) -> None:
    chained = {"class_path": "Chained", "init_args": {"inner": {"class_path": "ROUGE", "init_args": {"stem": True}}}}
    made = checked({"evaluators": {"c": chained}})
    assert made["evaluators"]["c"]["init_args"]["inner"]["class_path"] == "acme_schema_plugins.ROUGE"
    wrong = {
        "class_path": "Chained",
        "init_args": {"inner": "ROUGE", "others": {"x": {"class_path": "ROUGE", "init_args": {"stm": 1}}}},
    }
    assert "evaluators.c.init_args.others.x.init_args.stm is not an option of ROUGE; did you mean stem?" in refused(
        {"evaluators": {"c": wrong}}
    )


def test_a_path_option_of_a_plugin_starts_from_the_file_that_names_it(checked: Checked, tmp_path: Path) -> None:
    formatter = {"class_path": "Columns", "init_args": {"prompt": "p", "lexicon": "words.json"}}
    made = checked({"data": {"sources": {"intake": {"formatter": formatter}}}})
    assert made["data"]["sources"]["intake"]["formatter"]["init_args"]["lexicon"] == str(tmp_path / "words.json")


def test_trap_41_a_missing_class_names_the_packages_that_failed_to_load(
    sections: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "r.yaml").write_text(yaml.safe_dump({"evaluators": {"a": "Bleu"}}))
    broken = Catalog(broken=[Absent("acme-metrics", "1.2", "acme", "ModuleNotFoundError: No module named 'bleu'")])
    with pytest.raises(RecipeError, match=r"acme-metrics 1\.2 failed to load: ModuleNotFoundError"):
        check(compose([str(tmp_path / "r.yaml")]), broken, {"evaluators": sections["evaluators"]})


def test_checking_changes_neither_recipe_nor_class(
    checked: Checked, catalog: Catalog, sections: Any, tmp_path: Path
) -> None:
    checked()
    recipe = compose([str(tmp_path / "r.yaml")])
    before = json.dumps(recipe.data)
    first = check(recipe, catalog, sections)
    assert json.dumps(recipe.data) == before
    assert check(recipe, catalog, sections) == first


def test_what_a_constructor_gives_to_the_next_is_not_the_recipes_to_give() -> None:
    from tunesmith.recipe.signature import options

    class Parent:
        def __init__(self, root: str, rate: int = 1) -> None: ...

    class Child(Parent):
        def __init__(self, folder: str, **kwargs: Any) -> None:
            super().__init__(root=folder, **kwargs)

    assert list(options(Child)) == ["folder", "rate"]
