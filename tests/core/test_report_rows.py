"""The rows of a run's report: which are chosen, what is wrong with answers, and differences marked inside the text."""

import json
import re
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from tunesmith.report.loss_plot import is_logarithmic, loss_plot
from tunesmith.report.losses import Thinned, read_losses
from tunesmith.report.markup import against, plainly, shortened, visible
from tunesmith.report.mishaps import copied, is_loop, mishaps
from tunesmith.report.pointed import Stretch, apart, legend
from tunesmith.report.seen_rows import rows_at, see_rows
from tunesmith.report.shown_rows import ROOM, shown_rows
from tunesmith.report.word_diff import word_diff

HIGHER = {"f1/score": True, "slow/steps": False}
Row = Callable[..., dict[str, Any]]


def written(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "predictions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def ids(path: Path, places: Any) -> list[str]:
    return [row["id"] for row in rows_at(path, places)]


def test_the_rows_that_moved_most_in_either_direction_are_chosen_and_some_at_random(
    tmp_path: Path, predicted: Row
) -> None:
    rows = [predicted(str(at), 0.5 + (at - 100) / 1000 * (at % 7 != 3), 0.5) for at in range(200)]
    path = written(tmp_path, rows)
    seen = see_rows(path, HIGHER, shown=28, at_random=4)
    chosen = ids(path, seen.chosen)
    assert seen.rows == 200
    assert 12 <= len(chosen) <= 28
    for best_or_worst in (["198", "197", "196", "195", "194", "193"], ["0", "1", "2", "4", "5", "6"]):
        assert set(best_or_worst) <= set(chosen)
    score, steps = seen.changes
    still = sum(at % 7 == 3 or at == 100 for at in range(200))
    assert (score.better, score.worse, score.same) == (steps.better, steps.worse, steps.same)
    assert score.same == still
    assert score.better + score.worse == 200 - still
    assert see_rows(path, HIGHER, shown=28, at_random=4).chosen == seen.chosen


def test_few_rows_are_all_shown_and_without_metrics_some_at_random(tmp_path: Path, predicted: Row) -> None:
    path = written(tmp_path, [predicted(str(at), 0.5, 0.5) for at in range(30)])
    assert len(see_rows(path, HIGHER, shown=30).chosen) == 30
    assert len(see_rows(path, {}, shown=20, at_random=8).chosen) == 8


def test_the_rows_at_the_worst_value_are_an_error_unless_nothing_is_wrong(tmp_path: Path, predicted: Row) -> None:
    rows = [predicted(str(at), value, 0.5) for at, value in enumerate((0.9, 0.2, 0.9, 0.2))]
    rows.append(predicted("4", 0.9, 0.5, tuned={"measures": {"f1/score": None}}))
    for row in rows:
        row["tuned"]["measures"] |= {"wrong": 0.0, "valid": 1.0, "exact": 0.0}
    path = written(tmp_path, rows)
    directions = {"f1/score": True, "slow/steps": False, "wrong": False, "valid": True, "exact": True, "absent": True}
    worst = {one.name: one for one in see_rows(path, directions).worst}
    assert (worst["f1/score"].value, worst["f1/score"].rows) == (0.2, 2)
    assert ids(path, worst["f1/score"].places) == ["1", "3"]
    assert worst["slow/steps"].value == 0.8
    assert [name for name, one in worst.items() if one.is_error] == ["f1/score", "slow/steps", "exact"]


def test_mishaps_are_counted_for_both_models(tmp_path: Path, predicted: Row) -> None:
    rows = [predicted("1", 1, 1, tuned={"output": " "}), predicted("2", 1, 1, base={"stopped": False})]
    seen = see_rows(written(tmp_path, rows), HIGHER)
    counts = {one.kind: dict(one.counts) for one in seen.mishaps}
    assert counts == {"cut": {"base": 1}, "empty": {"tuned": 1}, "loop": {}, "copy": {}}
    assert seen.said
    nobody = {"output": ""}
    assert not see_rows(written(tmp_path, [predicted("1", 1, 1, tuned=nobody, base=nobody)]), HIGHER).said


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("ha " * 8, True),
        ("ha " * 7, False),
        ("it begins well " + "and then goes on " * 4, True),
        ("it begins well " + "and then goes on " * 3, False),
        ("one two three four five six seven eight nine ten eleven twelve " * 4, True),
        ("a b c d e f g h a b c d e f g h", False),
        ("first\nsecond\nthird", False),
        ("", False),
    ],
)
def test_loops_are_words_that_stand_four_times_in_a_row(text: str, is_one: bool) -> None:
    assert is_loop(text) is is_one


def test_a_copy_of_the_prompt_is_one_unless_it_was_wanted() -> None:
    prompt = "Please summarise: the pump ran hot at nine and the crew stopped it before any harm was done to it"
    assert mishaps(prompt, prompt, "pump stopped") == ["copy"]
    assert mishaps(prompt, prompt, prompt) == []
    assert mishaps("the pump ran", prompt, "pump stopped") == []
    assert copied("THE pump ran hot at nine and the", prompt) == 1
    assert copied("the pumps ran hot at nine and the", prompt) == 0


def test_differences_are_marked_word_by_word() -> None:
    assert word_diff("the pump is cold.", "The pump was cold") == [
        ("missing", "The"),
        ("added", "the "),
        ("same", "pump "),
        ("missing", "was"),
        ("added", "is "),
        ("same", "cold"),
        ("added", "."),
    ]
    assert word_diff("a\nb", "a b") == [("same", "a\nb")]
    assert against("is <b>", "was <b>", 99) == Markup("<del>was</del><ins>is </ins>&lt;b&gt;")
    assert against("is", "", 99) == "is"


texts = st.text(alphabet="ab c\n.<&\x00\ud83d\u05d0", max_size=40)


@given(texts, texts)
def test_a_marked_text_holds_the_text_and_all_words_of_the_other(text: str, wanted: str) -> None:
    parts = word_diff(text, wanted)
    assert "".join(said for kind, said in parts if kind != "missing") == text
    theirs = "".join(said for kind, said in parts if kind != "added")
    assert "".join(theirs.split()) == "".join(wanted.split())
    assert all(one[0] != other[0] for one, other in pairwise(parts))


def marks_of(*marks: tuple[str, int, int], where: str = "output") -> list[dict[str, Any]]:
    return [{"what": what, "kind": "numbers", "start": a, "end": b, "where": where} for what, a, b in marks]


def test_what_evaluators_point_at_is_marked_in_answers_and_references(predicted: Row, tmp_path: Path) -> None:
    tuned = {"output": "the pump 7 is cold", "marks": {"ground": marks_of(("invented", 9, 10), ("old", 99, 100))}}
    tuned["marks"]["ground"] += marks_of(("missed", 0, 3), where="reference")
    base = {"output": "no", "marks": {"ground": marks_of(("missed", 0, 3), where="reference")}}
    row = predicted("1", 0.9, 0.1, reference="the pump is cold", tuned=tuned, base=base)
    path = written(tmp_path, [row])
    seen = see_rows(path, HIGHER)
    ((shown,), _) = shown_rows(path, seen, HIGHER)
    parts = {who: (what, lines) for who, what, lines in shown.parts}
    wanted = '<mark title="ground: missed numbers, by tuned and base">the</mark> pump is cold'
    assert parts["reference"] == (wanted, ("ground: missed numbers, by tuned and base: the",))
    said = 'the pump <ins><mark title="ground: invented numbers">7</mark> </ins>is cold'
    assert parts["tuned"] == (said, ("ground: invented numbers: 7",))
    assert parts["base"][1] == ()
    counts = [(one.label, dict(one.counts), ids(path, one.places)) for one in seen.pointed]
    # a mark that lies outside of its text is counted, as its file says it, and is nowhere to be seen
    assert counts == [
        ("ground: missed numbers", {"tuned": 1, "base": 1}, ["1"]),
        ("ground: invented numbers", {"tuned": 1}, ["1"]),
        ("ground: old numbers", {"tuned": 1}, ["1"]),
    ]


def test_marks_that_lie_over_each_other_are_told_apart() -> None:
    one, two = Stretch(0, 4, "a"), Stretch(2, 6, "b")
    assert apart([two, one, one]) == [Stretch(0, 2, "a"), Stretch(2, 4, "b; a"), Stretch(4, 6, "b")]
    assert against("abcdef", "", 99, [one, two]) == (
        '<mark title="a">ab</mark><mark title="a; b">cd</mark><mark title="b">ef</mark>'
    )


def test_a_legend_says_each_word_once_and_not_too_many() -> None:
    text = " ".join(f"w{at:02d}" for at in range(20)) + " w00 " + "x" * 50
    points = [Stretch(4 * at, 4 * at + 3, "new") for at in range(21)]
    first = ", ".join(f"w{at:02d}" for at in range(12))
    assert legend(text, points) == [f"new: {first} and 8 more"]
    assert legend(text, [Stretch(84, 134, "long")]) == [f"long: {'x' * 40}…"]


@pytest.mark.parametrize(
    "marks",
    [
        None,
        [],
        {"e": None},
        {"e": ["x", {}, {"start": "0", "end": 2}, {"start": 2, "end": 1}, {"start": -1, "end": 1}]},
        {"e": [{"start": 0, "end": 10**9, "what": "<b>"}]},
    ],
)
def test_marks_that_make_no_sense_mark_nothing(marks: Any, predicted: Row, tmp_path: Path) -> None:
    path = written(tmp_path, [predicted("1", 0.9, 0.1, tuned={"marks": marks})])
    ((shown,), _) = shown_rows(path, see_rows(path, HIGHER), HIGHER)
    assert not any("<mark" in what or lines for _, what, lines in shown.parts)


@given(texts, texts, st.data())
def test_a_mark_holds_what_it_points_at_wherever_differences_are(text: str, wanted: str, data: Any) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    most = data.draw(st.sampled_from([6, 1000]))
    found = str(against(text, wanted, most, [Stretch(start, end, "here")] if start < end else []))
    inside = Markup("".join(re.findall(r'<mark title="here">(.*?)</mark>', found, re.DOTALL))).unescape()
    if len(text) <= most:
        assert inside == visible(text[start:end])
    else:
        half = most // 2
        outside = " ".join([text[:half], text[len(text) - half :]])
        assert bool(inside) == (start < end and (start < half or end > len(text) - half)), outside
    without = re.sub("</?mark.*?>", "", found)
    assert without == str(against(text, wanted, most))


def test_texts_too_long_to_compare_are_shown_unmarked() -> None:
    assert word_diff("a " * 2000, "b") == [("same", "a " * 2000)]
    assert word_diff("a " * 500, "a b " * 400) == [("same", "a " * 500)]  # short, but 200,000 pairs of words


def test_long_texts_are_cut_in_the_middle_with_a_note() -> None:
    assert shortened("abcdefghij", 10) == "abcdefghij"
    assert shortened("abcdefghij", 4) == "ab [… 6 characters left out …] ij"
    assert plainly("<" * 100_000, 4) == "&lt;&lt; [… 99,996 characters left out …] &lt;&lt;"


def test_rows_of_any_length_stay_within_the_room(tmp_path: Path, predicted: Row) -> None:
    long = "<&\u4e2d word " * 9_000  # 100 kB
    rows = [predicted(str(at), at, 0.5, reference=long + str(at), tuned={"output": long}) for at in range(60)]
    path = written(tmp_path, rows)
    shown, cut_at = shown_rows(path, see_rows(path, HIGHER), HIGHER)
    assert len(shown) == 60
    assert sum(row.size for row in shown) <= ROOM
    assert cut_at == 4_000
    assert "characters left out" in {who: what for who, what, _ in shown[0].parts}["tuned"]
    assert [row.id for row in shown] == [str(at) for at in reversed(range(60))]
    many = written(tmp_path, [predicted(str(at), at, 0.5, reference=long, tuned={"output": long}) for at in range(200)])
    shown, cut_at = shown_rows(many, see_rows(many, HIGHER), HIGHER)
    assert len(shown) == 200
    assert sum(row.size for row in shown) <= ROOM
    assert cut_at < 4_000


def test_memory_does_not_grow_with_the_rows(tmp_path: Path, predicted: Row) -> None:
    peaks = []
    for number in (500, 5_000):
        path = written(tmp_path, [predicted(str(at), at % 97, 0.5) for at in range(number)])
        tracemalloc.start()
        see_rows(path, HIGHER)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 100_000  # the rows that are more take 3 MB


def test_what_rows_have_in_common_can_be_chosen(tmp_path: Path, predicted: Row) -> None:
    columns = {"ward": ["a", "b"], "note": "x" * 99, "n": 3, "nothing": None, "deep": {"a": 1}}
    path = written(tmp_path, [predicted("1", 1, 1, task="sum", columns=columns)])
    (row,), _ = shown_rows(path, see_rows(path, HIGHER), HIGHER)
    assert row.facets == ("task: sum", "source: log", "ward: a", "ward: b", "n: 3")
    assert row.origin == "rows.jsonl:1"


@given(st.lists(st.floats(-9, 9), max_size=90), st.integers(1, 8))
def test_a_thinned_curve_keeps_the_mean_and_the_order(values: list[float], half: int) -> None:
    thinned = Thinned(2 * half)
    for at, value in enumerate(values):
        thinned.add(at, value)
    points = thinned.points
    assert len(points) <= 2 * half
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    whole = points[: len(values) // thinned.each]
    if values:
        covered = values[: len(whole) * thinned.each]
        assert sum(y for _, y in whole) * thinned.each == pytest.approx(sum(covered), abs=1e-6)


def test_losses_are_those_of_the_file_without_broken_lines(tmp_path: Path) -> None:
    file = tmp_path / "metrics.csv"
    file.write_text("step,loss,val/loss\n9,2.0,\n9,,1.5\n19,nan,\nx,1,\n29,1.0,\n3")
    losses = read_losses(file)
    assert (losses.train, losses.validation, losses.each) == ([(10, 2.0), (30, 1.0)], [(10, 1.5)], 1)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.floats()), max_size=6), st.none() | st.integers(0, 10**6))
def test_any_losses_can_be_drawn(points: list[tuple[float, float]], kept: int | None) -> None:
    svg = loss_plot(points, points[:2], kept, "t")
    assert "nan" not in svg
    assert "inf" not in svg
    assert svg or not any(abs(loss) < 1e12 for _, loss in points)
    for circle in ElementTree.fromstring(svg).iter("circle") if svg else ():
        assert 30 <= float(circle.get("cy", 0)) <= 256.1


def test_losses_that_fall_far_are_on_a_logarithmic_scale() -> None:
    assert is_logarithmic([(1, 4.0), (2, 0.1)], [])
    assert not is_logarithmic([(1, 4.0), (2, 1.0)], [])
    assert not is_logarithmic([(1, 4.0), (2, -0.1)], [])


def test_texts_whose_differences_are_not_marked_say_so(tmp_path: Path, predicted: Any) -> None:
    path = tmp_path / "predictions.jsonl"
    loop = {"reference": "a b " * 400, "tuned": {"output": "a " * 500}, "base": {"output": "a b " * 400}}
    path.write_text("".join(json.dumps(row) + "\n" for row in (predicted("1", 1, 0, **loop), predicted("2", 1, 0))))
    rows, _ = shown_rows(path, see_rows(path, {}), {})
    said = {(row.id, who): lines for row in rows for who, _, lines in row.parts}
    assert said["1", "tuned"][0].startswith("how it differs from the reference is not marked")
    assert said["1", "base"] == said["2", "tuned"] == said["2", "base"] == ()
