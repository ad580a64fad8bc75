"""No recipe is trusted by where it lies: it names what is on the list, and nothing else is imported."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from inspect import isclass
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, Literal, TypeVar

import pytest
import yaml

from tunesmith import Evaluator
from tunesmith.errors import RecipeError
from tunesmith.plugins.catalog import Catalog
from tunesmith.recipe.compose import compose
from tunesmith.recipe.kinds import is_any, union_of
from tunesmith.recipe.schema import check
from tunesmith.recipe.signature import options
from tunesmith.recipe.trust import FAMILIES, Trust, allowed, members
from tunesmith.recipe.values import names_class

CANARY = "tunesmith_canary_x"


@pytest.fixture
def canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module that leaves a file behind when it is imported."""
    sung = tmp_path / "sung"
    (tmp_path / f"{CANARY}.py").write_text(
        f"from pathlib import Path\nfrom lightning.pytorch.callbacks import Callback\nPath({str(sung)!r}).touch()\n"
        "class Bird(Callback): pass\nclass Cage: pass\ndef sing(*a, **k): return Bird()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, CANARY, raising=False)
    return sung


@dataclass
class Theme:
    colour: str = "red"


T = TypeVar("T")


class Box(Generic[T]):
    def __init__(self, x: int = 1) -> None: ...


class Helper:
    def __init__(self, x: int = 1) -> None: ...


@pytest.fixture(scope="module")
def sections() -> dict[str, Any]:
    from lightning.pytorch import Trainer
    from torch.optim import Optimizer

    class Open:
        """Everything through which a text or a map might reach an import."""

        def __init__(
            self,
            optimizer: Callable[[Iterable[Any]], Optimizer] | None = None,
            anything: Any = None,
            code: Callable[..., Any] | None = None,
            code_or_text: str | Callable[[int], int] = "x",
            kind: type | None = None,
            kind_of: type[Helper] | None = None,
            module: ModuleType | None = None,
            helper: Helper | None = None,
            helper_or_text: str | Helper = "x",
            things: list[Any] | None = None,
            named: dict[str, Any] | None = None,
            text_or_map: str | dict[str, Any] = "x",
            theme: Theme | None = None,
            helpers: dict[str, Helper] | None = None,
            box: Box[int] | None = None,
            just_box: Box[int] = None,  # type: ignore[assignment]
            when: timedelta | str | None = None,
            choice: Literal["a", "b"] = "a",
            untyped=None,  # type: ignore[no-untyped-def]
        ) -> None: ...

    return {"trainer": Trainer, "open": Open, "evaluators": dict[str, Evaluator]}


def attempt(data: Any, sections: Any, folder: Path, trust: tuple[str, ...] = ()) -> dict[str, Any]:
    (folder / "r.yaml").write_text(yaml.safe_dump(data))
    return check(compose([str(folder / "r.yaml")]), Catalog(), sections, trust=trust)


def refusal(data: Any, sections: Any, folder: Path, trust: tuple[str, ...] = ()) -> str:
    with pytest.raises(RecipeError) as caught:
        attempt(data, sections, folder, trust)
    return str(caught.value)


BIRD = f"{CANARY}.Bird"
NAMES = ["os.system", "subprocess.Popen", "builtins.eval", BIRD, f"{CANARY}.sing", f"{CANARY}.Cage", f"{CANARY}.absent"]
PLACES: dict[str, Callable[[Any], Any]] = {
    "callbacks": lambda v: {"trainer": {"callbacks": [v]}},
    "one callback": lambda v: {"trainer": {"callbacks": v}},
    "logger": lambda v: {"trainer": {"logger": v}},
    "strategy": lambda v: {"trainer": {"strategy": v}},
    "accelerator": lambda v: {"trainer": {"accelerator": v}},
    "profiler": lambda v: {"trainer": {"profiler": v}},
    "plugins": lambda v: {"trainer": {"plugins": [v]}},
    "optimizer": lambda v: {"open": {"optimizer": v}},
    "evaluator": lambda v: {"evaluators": {"a": v}},
    "code": lambda v: {"open": {"code": v}},
    "code or text": lambda v: {"open": {"code_or_text": v}},
    "type": lambda v: {"open": {"kind": v}},
    "subtype": lambda v: {"open": {"kind_of": v}},
    "module": lambda v: {"open": {"module": v}},
    "helper": lambda v: {"open": {"helper": v}},
    "helper or text": lambda v: {"open": {"helper_or_text": v}},
    "helpers": lambda v: {"open": {"helpers": {"a": v}}},
    "generic": lambda v: {"open": {"box": v}},
    "generic alone": lambda v: {"open": {"just_box": v}},
    "theme": lambda v: {"open": {"theme": v}},
    "a callable of an allowed class": lambda v: {
        "trainer": {"strategy": {"class_path": "DDPStrategy", "init_args": {"ddp_comm_wrapper": v}}}
    },
    "a hook of an allowed strategy": lambda v: {
        "trainer": {"strategy": {"class_path": "DDPStrategy", "init_args": {"ddp_comm_hook": v}}}
    },
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("form", ["text", "map"])
def test_no_place_takes_a_name_that_is_not_on_the_list(
    place: str, name: str, form: str, sections: Any, tmp_path: Path, canary: Path
) -> None:
    value = name if form == "text" else {"class_path": name, "init_args": {"command": "true"}}
    refusal(PLACES[place](value), sections, tmp_path)
    assert CANARY not in sys.modules
    assert not canary.exists()


@pytest.mark.parametrize(
    "place",
    ["anything", "things", "named", "text_or_map", "helper_or_text", "when", "choice", "untyped", "code_or_text"],
)
@pytest.mark.parametrize("hidden", ["map", "text", "json", "escaped"])
def test_a_class_cannot_hide_where_any_value_may_stand(
    place: str, hidden: str, sections: Any, tmp_path: Path, canary: Path
) -> None:
    spec = {"class_path": BIRD}
    value: Any = {
        "map": spec,
        "text": f"{{class_path: {BIRD}}}",
        "json": json.dumps([{"deep": spec}]),
        "escaped": f'{{"class\\x5fpath": {BIRD}}}',
    }[hidden]
    given = {"things": [value], "named": {"x": value}}.get(place, value)
    refusal({"open": {place: given}}, sections, tmp_path)
    assert not canary.exists()


def smuggled() -> Iterator[tuple[str, str, str, str, bool]]:
    """Place, class, option and form of all options of allowed classes where code, a class or anything might stand."""
    from lightning.pytorch.callbacks import Callback
    from lightning.pytorch.loggers import Logger
    from lightning.pytorch.profilers import Profiler
    from lightning.pytorch.strategies import Strategy
    from torch.optim import Optimizer

    bases = {
        Optimizer: "optimizer",
        Callback: "one callback",
        Logger: "logger",
        Profiler: "profiler",
        Strategy: "strategy",
    }
    assert {base.__name__ for base in bases} == FAMILIES.keys()
    for base, place in bases.items():
        for cls, names, _ in members(base):
            for option in options(cls, skip=1 if base is Optimizer else 0).values():
                alternatives = union_of(option.hint)
                text = any(is_any(a) or a is str or not (isclass(a) or names_class(a)) for a in alternatives)
                if any(is_any(a) or names_class(a) for a in alternatives):
                    yield place, names[-1], option.name, "text", text
                    yield place, names[-1], option.name, "map", False


def test_no_option_of_an_allowed_class_takes_code(sections: Any, tmp_path: Path, canary: Path) -> None:
    tried = 0
    for place, name, option, form, as_text in smuggled():
        value = BIRD if form == "text" else {"class_path": BIRD}
        data = PLACES[place]({"class_path": name, "init_args": {option: value}})
        said = ""
        try:
            checked = attempt(data, sections, tmp_path)
        except RecipeError as error:
            said = str(error)
        if as_text and f".init_args.{option} " not in said:
            # where anything may stand a text is one
            assert said or f"'{option}': '{BIRD}'" in str(checked), f"{name}.{option} as {form}"
        else:
            assert f".init_args.{option}" in said, f"{name}.{option} as {form}: {said}"
        tried += 1
        assert CANARY not in sys.modules
        assert not canary.exists()
    assert tried > 60


def test_callbacks_that_take_code_are_refused_with_the_reason(sections: Any, tmp_path: Path) -> None:
    hook = {"class_path": "LambdaCallback", "init_args": {"on_fit_start": "os.system"}}
    message = refusal({"trainer": {"callbacks": [hook]}}, sections, tmp_path)
    assert "trainer.callbacks.0 is LambdaCallback: a recipe may not name LambdaCallback here: it takes code" in message
    dotted = {**hook, "class_path": "lightning.pytorch.callbacks.LambdaCallback"}
    assert "it takes code" in refusal({"trainer": {"callbacks": [dotted]}}, sections, tmp_path)
    assert "set trainer.accumulate_grad_batches" in refusal(
        {"trainer": {"callbacks": ["GradientAccumulationScheduler"]}}, sections, tmp_path
    )


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("StochasticWeightAveraging", "as the adapter is that of the best checkpoint; use SWA"),
        ("WeightAveraging", "it copies the frozen base too, and checkpoints hold what trains only; use SWA, or EMA"),
        ("EMAWeightAveraging", "it copies the frozen base too, and checkpoints hold what trains only; use EMA"),
        ("ModelSummary", "RichModelSummary shows the same"),
    ],
)
@pytest.mark.parametrize("module", ["", "lightning.pytorch.callbacks."])
def test_trap_39_callbacks_without_an_effect_are_refused_with_the_reason(
    module: str, name: str, reason: str, sections: Any, tmp_path: Path
) -> None:
    said = refusal({"trainer": {"callbacks": [{"class_path": module + name}]}}, sections, tmp_path)
    assert reason in said
    assert name not in said.partition("allowed: ")[2].split(", ")


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("EarlyStopping", "lightning.pytorch.callbacks.EarlyStopping"),
        ("lightning.pytorch.callbacks.EarlyStopping", "lightning.pytorch.callbacks.EarlyStopping"),
        ("lightning.pytorch.callbacks.early_stopping.EarlyStopping", "lightning.pytorch.callbacks.EarlyStopping"),
    ],
)
def test_allowed_callbacks_are_named_by_their_public_path(given: str, path: str, sections: Any, tmp_path: Path) -> None:
    spec = {"class_path": given, "init_args": {"monitor": "val/loss"}}
    made = attempt({"trainer": {"callbacks": [spec]}}, sections, tmp_path)
    assert made["trainer"]["callbacks"] == [{"class_path": path, "init_args": {"monitor": "val/loss"}}]


@pytest.mark.parametrize("name", ["EMA", "SWA"])
@pytest.mark.parametrize("module", ["", "tunesmith.training.averaging."])
def test_our_own_callbacks_are_named_as_lightnings_are(module: str, name: str, sections: Any, tmp_path: Path) -> None:
    spec = {"class_path": module + name, "init_args": {"every_n_steps": 2}}
    made = attempt({"trainer": {"callbacks": [spec]}}, sections, tmp_path)
    path = f"tunesmith.training.averaging.{name}"
    assert made["trainer"]["callbacks"] == [{"class_path": path, "init_args": {"every_n_steps": 2}}]
    assert "there is no Callback" in refusal(
        {"trainer": {"callbacks": ["tunesmith.training.averaging.EarlyStopping"]}}, sections, tmp_path
    )
    refusal({"trainer": {"callbacks": ["tunesmith.training.averaging.Averaging"]}}, sections, tmp_path)


def test_loggers_and_strategies_are_named_and_plain_names_stay(sections: Any, tmp_path: Path) -> None:
    logger = {"class_path": "CSVLogger", "init_args": {"save_dir": "x"}}
    made = attempt({"trainer": {"logger": logger, "strategy": "ddp", "accelerator": "cpu"}}, sections, tmp_path)
    assert made["trainer"]["logger"]["class_path"] == "lightning.pytorch.loggers.CSVLogger"
    assert (made["trainer"]["strategy"], made["trainer"]["accelerator"]) == ("ddp", "cpu")
    made = attempt({"trainer": {"strategy": "DDPStrategy", "logger": False}}, sections, tmp_path)
    assert made["trainer"]["strategy"] == {"class_path": "lightning.pytorch.strategies.DDPStrategy"}


@pytest.mark.parametrize("name", ["AdamW", "torch.optim.AdamW", "torch.optim.adamw.AdamW"])
def test_optimizers_are_named_by_their_public_path(name: str, sections: Any, tmp_path: Path) -> None:
    made = attempt({"open": {"optimizer": {"class_path": name, "init_args": {"lr": 0.1}}}}, sections, tmp_path)
    assert made["open"]["optimizer"]["class_path"] == "torch.optim.AdamW"


@pytest.mark.parametrize(
    "name",
    ["torch.optim.os.system", "torch.optim.lr_scheduler.LambdaLR", "torch.optim.Optimizer", "torch.hub.load", "_x"],
)
def test_what_only_lies_near_the_list_is_refused(name: str, sections: Any, tmp_path: Path) -> None:
    refusal({"open": {"optimizer": name}}, sections, tmp_path)


def test_every_name_on_the_list_exists() -> None:
    import importlib

    for group in FAMILIES.values():
        for name in group.names:
            assert any(hasattr(importlib.import_module(module), name) for module in group.modules), name


def test_a_trusted_package_may_be_named(canary: Path, sections: Any, tmp_path: Path) -> None:
    data = {"trainer": {"callbacks": [BIRD]}}
    assert f"--trust {CANARY}" in refusal(data, sections, tmp_path)
    assert not canary.exists()
    made = attempt(data, sections, tmp_path, trust=(CANARY,))
    assert made["trainer"]["callbacks"] == [{"class_path": BIRD}]
    assert canary.exists()


@pytest.mark.parametrize("name", [f"{CANARY}.sing", f"{CANARY}.Cage", f"{CANARY}.absent"])
@pytest.mark.usefixtures("canary")
def test_trust_is_for_classes_of_the_kind_that_is_due(name: str, sections: Any, tmp_path: Path) -> None:
    assert "there is no Callback" in refusal({"trainer": {"callbacks": [name]}}, sections, tmp_path, trust=(CANARY,))


def test_trust_covers_what_lies_below_a_prefix_and_nothing_beside_it() -> None:
    trust = Trust(["acme.callbacks"])
    assert trust.covers("acme.callbacks.Mine")
    assert not trust.covers("acme.other.Mine")
    assert not trust.covers("acme.callbacks_evil.Mine")
    with pytest.raises(RecipeError, match="is not the name of a package"):
        Trust(["../acme"])


def test_the_list_of_optimizers_is_torchs_own() -> None:
    from torch.optim import Optimizer

    assert {"AdamW", "SGD", "Adafactor"} <= set(allowed(Optimizer))
    assert "Optimizer" not in allowed(Optimizer)


def test_the_room_loads_neither_torch_nor_lightning_nor_transformers() -> None:
    code = (
        "import sys, tunesmith.recipe.schema, tunesmith.recipe.package_fs, tunesmith.cli.errors\n"
        "print(*{'torch', 'lightning', 'transformers', 'datasets'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == ""


SEALED = """
import sys
from typing import Any
from jsonargparse import ArgumentParser
from tunesmith.recipe.trust import seal
class Base: ...
class Model:
    def __init__(self, part: Base | None = None, anything: Any = None, code: Any = None): ...
seal(["acme"])
parser = ArgumentParser(exit_on_error=False)
parser.add_class_arguments(Model, "model", sub_configs=True, fail_untyped=False)
for key in ("part", "anything"):
    try:
        parser.instantiate(parser.parse_object({"model": {key: {"class_path": "%s.Bird"}}}))
    except Exception as error:
        print(type(error).__name__)
print("%s" in sys.modules)
"""


def test_the_second_wall_stops_jsonargparse_itself(canary: Path, tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    code = SEALED % (CANARY, CANARY)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False)
    assert done.stdout.split()[-1] == "False", done.stdout + done.stderr
    assert not canary.exists()
