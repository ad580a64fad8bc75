"""What a model has said before."""

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tunesmith.data.identity import key_of
from tunesmith.evaluation.known import KEPT_DAYS, Known


def test_what_was_put_is_found_by_another_of_the_same_model_alone(tmp_path: Path) -> None:
    Known(tmp_path, "m").put("greedy", {"a": ["yes", True, 3], "b": [-1.5, 2]})
    again = Known(tmp_path, "m")
    assert again.get("greedy", ["b", "c", "a"]) == {0: [-1.5, 2], 2: ["yes", True, 3]}
    assert again.found == 2
    assert Known(tmp_path, "other").get("greedy", ["a"]) == {}
    assert again.get("sampled", ["a"]) == {}


def test_half_a_line_of_a_killed_process_costs_that_line(tmp_path: Path) -> None:
    Known(tmp_path, "m").put("w", {"a": [1], "b": [2]})
    (path,) = tmp_path.iterdir()
    path.write_text(path.read_text()[:-5])
    again = Known(tmp_path, "m")
    assert again.get("w", ["a", "b"]) == {0: [1]}


def test_where_nothing_can_be_written_all_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    known = Known(tmp_path / "file", "m")
    known.put("w", {"a": [1]})
    assert Known(tmp_path / "file", "m").get("w", ["a"]) == {}


def test_what_nobody_read_for_long_goes(tmp_path: Path) -> None:
    for name in ("old", "new"):
        Known(tmp_path, name).put("w", {"a": [name]})
    old = tmp_path / f"{key_of('old', 'w')}.jsonl"
    then = time.time() - (KEPT_DAYS + 1) * 86400
    os.utime(old, (then, then))
    assert Known(tmp_path, "new").get("w", ["a"]) == {0: ["new"]}
    assert not old.exists()


@given(st.dictionaries(st.text(min_size=1), st.lists(st.one_of(st.text(), st.floats(allow_nan=False), st.booleans()))))
def test_anything_that_json_says_is_kept_as_it_was(said: dict[str, list[Any]]) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        Known(Path(folder), "m").put("w", said)
        assert Known(Path(folder), "m").get("w", list(said)) == dict(enumerate(said.values()))


def test_a_new_evaluator_asks_nothing_again(trained: Any) -> None:
    folder = trained.folder / "runs/tiny/answers"
    shutil.rmtree(folder, ignore_errors=True)  # of other tests of this run
    words = ("test", "--config", "tiny.yaml", "--generation.max_new_tokens=5")
    first = trained.done(*words)
    n = json.loads((trained.runs()[0] / "test/metrics.json").read_text())["n"]
    rows = (trained.runs()[0] / "test/predictions.jsonl").read_text()
    again = trained.done(*words, "--evaluators.words=TokenF1")
    assert "known from before" not in first.out
    assert f"{4 * n} answers and scores of these weights were known from before" in " ".join(again.out.split())
    now = [json.loads(line) for line in (trained.runs()[0] / "test/predictions.jsonl").read_text().splitlines()]
    for row, before in zip(now, map(json.loads, rows.splitlines()), strict=True):
        for model in ("base", "tuned"):
            for key in ("output", "stopped", "logprob", "tokens"):
                assert row[model][key] == before[model][key]
            assert "words/f1" in row[model]["measures"]
    # no prompt is written there
    assert not any("Report" in path.read_text() for path in folder.iterdir())
    longer = trained.done(*words[:-1], "--generation.max_new_tokens=6")
    assert f"{2 * n} answers and scores" in " ".join(longer.out.split())
    off = trained.done(*words, "--generation.cache=false")
    assert "known from before" not in off.out
