"""Decontaminate: training rows that hold text of an evaluation set go, and those that share a phrase stay."""

import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith import DataError, Example, Message, RecipeError, Segment
from tunesmith.data.curate import Tally, apply_curator
from tunesmith.testing import RecipeRunner
from tunesmith_plugins.curators.decontaminate import Decontaminate

pytest_plugins = ["tunesmith.testing.pytest"]

ASKED = " ".join(f"w{n}" for n in range(40))
OTHER = " ".join(f"v{n}" for n in range(40))


def talk(prompt: str, answer: str = "yes", **more: Any) -> Example:
    return Example(messages=(Message("user", prompt), Message("assistant", answer)), **more)


def dropped(*examples: Example, held_out: tuple[Example, ...] = (), **options: Any) -> dict[int, str]:
    named = [example.with_(id=str(index)) for index, example in enumerate(examples)]
    tally = Tally(0, held_out)
    left = {e.id for e in Decontaminate(**options).apply(iter(named), tally)}
    gone = {int(e.id) for e in named if e.id not in left}
    assert sorted(tally.dropped) == sorted(str(n) for n in gone)
    reasons = list(tally.reasons["drops"])
    assert len(reasons) <= 1
    return dict.fromkeys(sorted(gone), *reasons)


def test_rows_that_hold_half_of_a_held_out_text_are_dropped() -> None:
    words = ASKED.split()
    rows = [
        talk(f"Now: {ASKED.upper().replace(' ', ', ')}!"),
        talk("what", f"{OTHER} {' '.join(words[:27])}"),  # 15 of 28 runs
        talk(" ".join(words[:25])),  # 13 of 28
        talk(" ".join(words[::-1])),
        talk(OTHER),
    ]
    reason = "overlaps with a held-out row"
    assert dropped(*rows, held_out=(talk(ASKED),)) == {0: reason, 1: reason}
    assert dropped(*rows, held_out=(talk(ASKED),), share=0.4) == {0: reason, 1: reason, 2: reason}
    assert dropped(*rows, held_out=(talk(ASKED),), share=1.0) == {0: reason}
    assert dropped(*rows) == {}


def test_a_share_of_0_drops_for_one_run() -> None:
    rows = [talk(f"{OTHER} {' '.join(ASKED.split()[5:18])}"), talk(f"{OTHER} {' '.join(ASKED.split()[5:17])}")]
    assert dropped(*rows, held_out=(talk(ASKED),), share=0.0) == {0: "overlaps with a held-out row"}
    assert list(dropped(*rows, held_out=(talk(ASKED),), share=0.0, n=12)) == [0, 1]


def test_turns_are_looked_for_one_by_one_and_system_turns_are_not() -> None:
    held = talk(OTHER, ASKED)
    assert list(dropped(talk("x", ASKED), talk(OTHER, "x"), talk("x", "x"), held_out=(held,))) == [0, 1]
    system = Example(messages=(Message("system", ASKED), *talk("a", "b").messages))
    assert dropped(talk("x", ASKED), held_out=(system,)) == {}
    assert list(
        dropped(talk("x", ASKED), held_out=(Example(segments=(Segment(ASKED[:50]), Segment(ASKED[50:]))),))
    ) == [0]


def test_the_words_of_a_template_are_not_counted() -> None:
    def asked(n: int) -> Example:
        return talk(f"{ASKED} {' '.join(f'x{n}y{k}' for k in range(14))}")

    held = tuple(asked(n) for n in range(11))
    assert dropped(asked(50), held_out=held, share=0.0) == {}
    assert list(dropped(asked(50), held_out=held[:10], share=0.0)) == [0]
    assert list(dropped(asked(50), asked(3), held_out=held, share=0.0)) == [1]


def test_short_texts_are_not_looked_for() -> None:
    assert dropped(talk("one two three"), held_out=(talk("one two three"),), share=0.0) == {}
    assert list(dropped(talk("one two three"), held_out=(talk("one two three"),), n=3)) == [0]


def test_rows_that_hold_a_text_of_a_file_are_dropped(tmp_path: Path) -> None:
    bench, more = tmp_path / "bench.jsonl", tmp_path / "more.csv"
    bench.write_text(json.dumps({"question": "short", "choices": [{"text": ASKED}, 3]}) + "\n")
    more.write_text(f"q,a\n{OTHER},x\n")
    rows = (talk(ASKED), talk(OTHER), talk("else"))
    assert dropped(*rows, against=[bench]) == {0: "overlaps with a benchmark"}
    assert list(dropped(*rows, against=[bench, more])) == [0, 1]


def test_a_file_that_is_not_there_or_cannot_be_read_stops_the_run(tmp_path: Path) -> None:
    (tmp_path / "bench.jsonl").write_text('{"a": "b"}\n{"a"\n')
    for name, said in (
        ("bensh.jsonl", "does not exist; did you mean bench.jsonl?"),
        ("bench.jsonl", ":2: the line is"),
    ):
        with pytest.raises(DataError) as caught:
            apply_curator("clean", Decontaminate([tmp_path / name]), [talk("a", id="1")], 0)
        assert str(caught.value).startswith(f"data.curators.clean: {tmp_path / name}")
        assert said in str(caught.value)


@pytest.mark.parametrize("options", [{"n": 0}, {"n": 65}, {"share": -0.1}, {"share": 1.1}, {"share": float("nan")}])
def test_options_that_cannot_be_are_mistakes_of_the_recipe(options: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=r"^data\.curators\.clean\.n is .*; n lies between 1 and 64, share between"):
        apply_curator("clean", Decontaminate(**options), [talk("a", id="1")], 0)


def test_a_recipe_names_files_beside_it(recipe_runner: RecipeRunner, tmp_path: Path, monkeypatch: Any) -> None:
    rows = [{"prompt": f"row {n} asks", "completion": "x"} for n in range(30)] + [{"prompt": ASKED, "completion": "x"}]
    recipe_runner.rows(rows)
    (recipe_runner.folder / "bench.jsonl").write_text(json.dumps({"question": ASKED}) + "\n")
    curator = {"class_path": "Decontaminate", "init_args": {"against": ["bench.jsonl"]}}
    recipe_runner.recipe(data={"curators": {"clean": curator}, "split": {"train": 1.0, "validation": 0.0, "test": 0.0}})
    monkeypatch.chdir(tmp_path)
    done = recipe_runner.done("prepare")
    assert done.counts["curators"]["clean"]["drops"] == {"overlaps with a benchmark": 1}
