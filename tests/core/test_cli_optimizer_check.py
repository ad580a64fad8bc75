"""Options that an optimizer's constructor refuses are named, with what is allowed, before anything is loaded."""

from typing import Any

import pytest

CHECK = ("recipes", "check", "tiny.yaml")
REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "a rate below 0": ("torch.optim.AdamW", {"lr": -1}, ".init_args.lr is -1; AdamW takes 0.0 <= lr"),
    "one of two": (
        "AdamW",
        {"betas": [5, 7]},
        ".init_args.betas is [5, 7]; AdamW takes 0.0 <= betas[0] < 1.0",
    ),
    "a condition the other way round": (
        "SGD",
        {"lr": 0.1, "momentum": -2},
        ".init_args.momentum is -2; SGD takes momentum >= 0.0",
    ),
    "of bitsandbytes": (
        "bitsandbytes.optim.AdamW8bit",
        {"eps": -1.0},
        ".init_args.eps is -1.0; AdamW8bit takes 0.0 <= eps",
    ),
    "without what it needs": (
        "SGD",
        {"nesterov": True},
        ".init_args.nesterov is true: Nesterov momentum requires a momentum and zero dampening",
    ),
    "two that do not go together": ("SGD", {"nesterov": True, "momentum": 0.0}, " cannot be used so: Nesterov"),
    "no comparison": (
        "AdamW",
        {"fused": True, "foreach": True},
        ".init_args.foreach is true: `fused` and `foreach` cannot be `True` together.",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_option_that_an_optimizer_refuses_is_wrong(name: str, bench: Any) -> None:
    cls, options, said = REFUSED[name]
    bench.write(model={"optimizer": {"class_path": cls, "init_args": options}})
    assert bench.done(*CHECK, code=2).out.startswith(f"tiny.yaml: wrong\n  tiny.yaml: model.optimizer{said}")


def test_fit_refuses_it_before_a_base_is_loaded(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from tunesmith.training.specialist import Specialist

    def load(_: Specialist) -> None:
        pytest.fail("the base was loaded")

    monkeypatch.setattr(Specialist, "load", load)
    bench.write(model={"optimizer": {"class_path": "AdamW", "init_args": {"lr": -1}}})
    ran = bench.done("fit", "--config", "tiny.yaml", code=2)
    assert ran.err == "tiny.yaml: model.optimizer.init_args.lr is -1; AdamW takes 0.0 <= lr\n"
    ran = bench.done("fit", "--config", "tiny.yaml", "--model.optimizer.lr=-2", code=2)
    assert "model.optimizer.init_args.lr is -2; AdamW takes 0.0 <= lr" in ran.err
    assert not bench.runs()


@pytest.mark.parametrize("optimizer", ["Muon", "LBFGS", "Adafactor", "bitsandbytes.optim.PagedAdamW8bit"])
def test_an_optimizer_with_fitting_options_is_good(optimizer: str, bench: Any) -> None:
    bench.write(model={"optimizer": {"class_path": optimizer, "init_args": {"lr": 0.1}}})
    assert bench.done(*CHECK).out == "tiny.yaml: good\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"default_root_dir": "file:///x"}, "trainer.default_root_dir is 'file:///x', which is no folder"),
        ({"strategy": "ddpp"}, "trainer.strategy is ddpp, which there is none of; did you mean ddp?"),
        ({"limit_train_batches": 1.5}, "trainer.limit_train_batches: You have passed invalid value"),
    ],
)
def test_what_a_trainer_refuses_is_wrong(options: dict[str, Any], said: str, bench: Any) -> None:
    bench.write(trainer=options)
    assert said in bench.done(*CHECK, code=2).out
