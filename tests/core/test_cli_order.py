"""Curators, sources and regularizers stand in maps whose order counts, in what identifies a run and in a lock."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith import Curator
from tunesmith.cli.lean import orders
from tunesmith.cli.runs import compared, digest

CONFIG = ("--config", "tiny.yaml")
LOCK = ("recipes", "lock", "tiny.yaml")
SAME = "ExactDuplicates"


def in_order(*names: str) -> dict[str, Any]:
    return {"curators": dict.fromkeys(names, SAME)}


def test_a_run_with_curators_in_another_order_is_another_run(bench: Any) -> None:
    bench.write(data=in_order("one", "two"), trainer={"max_steps": 2})
    bench.done("fit", *CONFIG)
    (run,) = bench.runs()
    then = json.loads((run / "lock.json").read_text())
    bench.done("test", *CONFIG)
    bench.write(data=in_order("two", "one"), trainer={"max_steps": 2})
    said = "order of data.curators was ['one', 'two'] there and is ['two', 'one'] now"
    assert said in bench.done("test", *CONFIG, code=2).err
    further = ("fit", *CONFIG, "--run", str(run), "--ckpt_path", "last", "--trainer.max_steps=3")
    # of an earlier release, which wrote the recipe down in its order, and a fingerprint without it
    old = {name: value for name, value in then.items() if name not in ("lock", "code")}
    (run / "lock.json").write_text(json.dumps({**old, "fingerprint": "0123456789abcdef"}))
    assert said in bench.done("test", *CONFIG, code=2).err
    (run / "lock.json").write_text(json.dumps(then))
    told = " ".join(bench.done(*further).err.split())
    assert "goes on with another recipe: trainer.max_steps was 2, is 3" in told
    now = json.loads((run / "lock.json").read_text())
    assert now["fingerprint"] not in ("0123456789abcdef", then["fingerprint"])
    bench.write(data=in_order("one", "two"), trainer={"max_steps": 3})
    told = " ".join(bench.done(*further).err.split())
    assert "goes on with another recipe: order of data.curators was ['two', 'one'], is ['one', 'two']" in told


@pytest.mark.parametrize("what", ["curators", "sources", "regularizers"])
def test_a_lock_does_not_hold_in_another_order(bench: Any, what: str) -> None:
    rows = bench.recipe["data"]["sources"]["notes"]
    entries = {
        "curators": dict.fromkeys(("one", "two"), SAME),
        "sources": {"one": {**rows, "split": "train"}, "two": {**rows, "split": "test"}},
        "regularizers": {name: {"class_path": "KLToBase", "init_args": {"weight": 0.1}} for name in ("one", "two")},
    }[what]
    section = "model" if what == "regularizers" else "data"
    if what == "sources":
        del bench.recipe["data"]["sources"]["notes"]
    bench.write(**{section: {what: entries}})
    bench.done(*LOCK)
    bench.write(**{section: {what: dict(reversed(entries.items()))}})
    said = bench.done(*LOCK, "--check", code=2).err
    assert f'\n  order of {section}.{what}: ["one", "two"] then, ["two", "one"] now\n' in said


class Replacing(Curator):
    def __init__(self, rules: dict[str, str] | None = None, limit: int = 1) -> None:
        self.rules = rules
        self.limit = limit


def test_maps_of_names_have_an_order_and_options_have_none() -> None:
    path = f"{Replacing.__module__}.{Replacing.__qualname__}"
    curators = {
        "b": {"class_path": path, "init_args": {"limit": 2, "rules": {"z": "1", "a": "2"}}},
        "a": {"class_path": "no.such.Thing", "init_args": {"z": {"b": 1, "a": 2}, "a": 3}},
    }
    assert orders({"data": {"curators": curators, "sources": {"only": {"path": "x"}}}, "trainer": {"devices": 1}}) == {
        "data.curators": ["b", "a"],
        "data.curators.b.rules": ["z", "a"],
    }


NAMES = st.lists(st.sampled_from("abcde"), unique=True)


@given(NAMES, NAMES)
def test_two_methods_are_the_same_where_their_names_stand_in_the_same_order(one: list[str], other: list[str]) -> None:
    first, second = ({"data": {"curators": dict.fromkeys(names, "X"), "batch_size": 2}} for names in (one, other))
    assert (compared(first) == compared(second)) == (one == other)
    assert (digest(compared(first)) == digest(compared(second))) == (one == other)
    assert compared({"data": dict(reversed(first["data"].items()))}) == compared(first)
