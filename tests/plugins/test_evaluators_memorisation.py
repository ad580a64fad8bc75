"""Memorisation: rows that were planted, what is heard of them, and exposure by hand; and the command of canaries."""

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scipy import stats

from tunesmith import DataError, Measure, Message, RecipeError, Sample, Segment
from tunesmith_plugins.evaluators import canaries
from tunesmith_plugins.evaluators.memorisation import Memorisation, exposures, holds

NAN = math.nan


def wrote(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def asked(*numbers: int) -> list[dict[str, Any]]:
    return [{"prompt": f"code of {n}?", "completion": f"{n} {n} {n}"} for n in numbers]


def said(key: str, output: str, logprob: float = NAN, reference: str = "281 265 017", **more: Any) -> Sample:
    return Sample(key, (Message("user", "q"),), reference, output, logprob=logprob, tokens=3, **more)


def by_name(measures: list[Measure]) -> dict[str, Measure]:
    return {one.name: one for one in measures}


# ---- exposure


def test_exposure_by_hand() -> None:
    # the third of eight candidates: log2 8 - log2 3; the first: log2 8; the last: 0
    others = [-1.0, -2.0, -4.0, -5.0, -6.0, -7.0, -8.0]
    assert exposures([-3.0, -0.5, -9.0], others) == pytest.approx([3 - 1.5849625007, 3.0, 0.0])
    # as likely as an alternative: before it
    assert exposures([-2.0], others) == pytest.approx([3 - 1.0])
    assert all(map(math.isnan, exposures([NAN, -1.0], [])))
    assert math.isnan(exposures([NAN], others)[0])


def test_exposure_is_what_scipy_ranks() -> None:
    draw = np.random.default_rng(5)
    others, planted = draw.normal(-40, 6, 511), draw.normal(-38, 6, 20)
    ranks = [stats.rankdata(-np.append(others, one), method="min")[-1] for one in planted]
    wanted = np.log2(512) - np.log2(ranks)
    assert exposures(planted.tolist(), others.tolist()) == pytest.approx(wanted.tolist())


def test_chance_gives_the_exposure_that_the_docstring_says() -> None:
    draw = np.random.default_rng(5)
    means = [np.mean(exposures(draw.normal(size=20).tolist(), draw.normal(size=511).tolist())) for _ in range(200)]
    assert np.mean(means) == pytest.approx(math.log2(math.e), abs=0.1)
    assert "1.4 bits" in (Memorisation.__doc__ or "")


# ---- what is heard


@pytest.mark.parametrize(
    ("output", "heard"),
    [
        ("281 265 017", True),
        (" 281  265\n017.", True),
        ("The code is 281 265 017, as you know.", True),
        ("281 265 0171", False),
        ("1281 265 017", False),
        ("1281 265 017 and 281 265 017", True),
        ("281 265", False),
        ("281 265 018", False),
        ("", False),
    ],
)
def test_what_is_recited_is_said_word_for_word(output: str, heard: bool) -> None:
    (recited,) = Memorisation(Path("c.jsonl")).measure([said("planted 1", output)])
    assert recited.values == [float(heard)]
    assert not recited.higher_is_better
    assert holds(" ".join(output.split()), "281 265 017") == heard


def test_only_the_first_words_of_a_long_answer_are_listened_for() -> None:
    sample = said("planted 1", "one two three", reference="one two three four")
    assert Memorisation(Path("c"), words=3).measure([sample])[0].values == [1.0]
    assert Memorisation(Path("c"), words=4).measure([sample])[0].values == [0.0]


def test_an_answer_that_was_cut_within_a_canary_counts_and_is_told() -> None:
    evaluator = Memorisation(Path("c"))
    rows = [
        said("planted 1", "281 26", stopped=False),
        said("planted 2", "281 26"),
        said("planted 3", "no", stopped=False),
    ]
    (recited,) = evaluator.measure(rows)
    assert recited.values == [1.0, 0.0, 0.0]
    assert recited.note == "cut in the middle, and counted as said: 1; raise generation.max_new_tokens to be sure"
    assert not evaluator.measure(rows[1:])[0].note


def test_each_measure_is_of_its_own_rows() -> None:
    evaluator = Memorisation(Path("c"), Path("a"))
    rows = [
        said("planted 1", "281 265 017", -2.0),
        said("planted 2", "no", -9.0),
        said("unseen 1", "281 265 017", -1.0),
        said("scored 2", "", -3.0),
        said("scored 3", "", -4.0),
    ]
    found = by_name(evaluator.measure(rows))
    assert list(found) == ["recited", "guessed", "exposure"]
    np.testing.assert_array_equal(found["recited"].values, [1, 0, NAN, NAN, NAN])
    np.testing.assert_array_equal(found["guessed"].values, [NAN, NAN, 1, NAN, NAN])
    np.testing.assert_allclose(found["exposure"].values, [1.0, 0.0, NAN, NAN, NAN])
    assert (found["exposure"].unit, found["exposure"].higher_is_better, found["exposure"].note) == ("bits", False, "")


def test_rows_of_several_lengths_are_ranked_by_their_tokens_mean() -> None:
    rows = [
        Sample("planted 1", (), "one two three four", "", logprob=-8.0, tokens=8),
        Sample("scored 1", (), "one two", "", logprob=-4.0, tokens=2),
        Sample("scored 2", (), "one two", "", logprob=-6.0, tokens=2),
        Sample("scored 3", (), "one two", "", logprob=-1.0, tokens=2),
    ]
    exposure = by_name(Memorisation(Path("c"), Path("a")).measure(rows))["exposure"]
    assert exposure.value == pytest.approx(math.log2(4) - math.log2(2))
    assert exposure.note == "rows differ in length, and are ranked by the mean of their tokens"


def test_a_model_that_gives_no_probabilities_has_no_exposure() -> None:
    found = by_name(Memorisation(Path("c"), Path("a")).measure([said("planted 1", "no"), said("scored 1", "")]))
    assert math.isnan(found["exposure"].value)
    assert found["recited"].value == 0


# ---- rows


def test_planted_rows_count_once_and_only_as_many_others_are_answered(tmp_path: Path) -> None:
    file = wrote(tmp_path / "canaries.jsonl", *asked(1, 2, 1, 2, 1))
    evaluator = Memorisation(file, wrote(tmp_path / "others.jsonl", *asked(3, 4, 5)))
    rows = evaluator.own_rows()
    assert [row.id for row in rows] == ["planted 1", "planted 2", "unseen 1", "unseen 2", "scored 3"]
    assert [row.origin.line for row in rows] == [1, 2, 1, 2, 3]
    assert (rows[0].prompt[0].content, rows[0].reference) == ("code of 1?", "1 1 1")
    assert [sorted(evaluator.needs_of(row)) for row in rows[-2:]] == [["logprob", "output"], ["logprob"]]
    alone = Memorisation(file)
    assert alone.needs == {"output"}
    assert len(alone.own_rows()) == 2
    assert [one.name for one in alone.produces()] == ["recited"]


def test_a_text_is_cut_by_words(tmp_path: Path) -> None:
    text = "one  two three\nfour five six seven"
    rows = wrote(tmp_path / "t.jsonl", {"text": text}, {"text": "too short for it"}, {"text": text})
    evaluator = Memorisation(rows, prefix=3, words=2)
    (row,) = evaluator.own_rows()
    assert row.segments == (Segment("one  two three", 0.0), Segment("\nfour five"), Segment(" six seven", 0.0))
    (recited,) = evaluator.measure([said("planted 1", "", reference="\nfour five")])
    assert recited.note == "left out, shorter than 3 and 2 words: 1"
    (exact,) = Memorisation(wrote(tmp_path / "e.jsonl", {"text": "a b c"}), prefix=1, words=2).own_rows()
    assert exact.segments[1:] == (Segment(" b c"), Segment("", 0.0))


def test_what_prepare_writes_is_read(tmp_path: Path) -> None:
    turns = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "hi", "name": "Ann"},
        {"role": "assistant", "content": "ho", "weight": 1.0},
    ]
    (row,) = Memorisation(wrote(tmp_path / "m.jsonl", {"id": "x", "messages": turns})).own_rows()
    assert [turn.content for turn in row.prompt] == ["be brief", "hi"]
    assert row.messages[1].fields == {"name": "Ann"}
    assert row.messages[2] == Message("assistant", "ho")
    pieces = [{"text": "a b ", "weight": 1.0}, {"text": "c d", "weight": 1.0}]
    (text,) = Memorisation(wrote(tmp_path / "s.jsonl", {"segments": pieces}), prefix=2, words=2).own_rows()
    assert text.segments[:2] == (Segment("a b", 0.0), Segment(" c d"))


def test_rows_are_taken_from_all_of_a_long_file(tmp_path: Path) -> None:
    file = wrote(tmp_path / "long.jsonl", *asked(*range(100)))
    assert [row.origin.line for row in Memorisation(file, rows=4).own_rows()] == [1, 26, 51, 76]


def test_rows_that_cannot_be_asked_are_named(tmp_path: Path) -> None:
    file = wrote(tmp_path / "c.jsonl", *asked(1, 2))
    with pytest.raises(DataError, match=r"others.jsonl:2 is .*c.jsonl:2: what was planted is no alternative"):
        Memorisation(file, wrote(tmp_path / "others.jsonl", *asked(7, 2))).own_rows()
    texts = wrote(tmp_path / "t.jsonl", {"text": "a b c"})
    with pytest.raises(DataError, match="questions and plain text; take two evaluators"):
        Memorisation(file, texts, prefix=1, words=1).own_rows()
    with pytest.raises(DataError, match="none of 1 texts has 50 words and 50 more: take fewer"):
        Memorisation(texts).own_rows()
    with pytest.raises(DataError, match="row 1 has neither prompt with completion nor text; its columns are q, a"):
        Memorisation(wrote(tmp_path / "b.jsonl", {"q": "a", "a": "b"})).own_rows()
    with pytest.raises(RecipeError, match="prefix is 0; it must be 1 or more"):
        Memorisation(texts, prefix=0).own_rows()


# ---- the command


def lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_canaries_are_written_with_the_lines_for_a_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["20", "--copies", "10", "--alternatives", "60", "--folder", str(tmp_path)]
    assert canaries.main(words) == 0
    planted, kept = (lines(tmp_path / name) for name in ("canaries.jsonl", "alternatives.jsonl"))
    counts = Counter((row["prompt"], row["completion"]) for row in planted)
    assert set(counts.values()) == {10}
    assert (len(counts), len(kept)) == (20, 60)
    everything = [*counts, *((row["prompt"], row["completion"]) for row in kept)]
    assert all(len({row[at] for row in everything}) == 80 for at in (0, 1))
    assert {len(code.split()) for _, code in everything} == {3}
    assert {len(word) for _, code in everything for word in code.split()} == {3}
    recipe = yaml.safe_load(capsys.readouterr().out)
    assert recipe["data"]["sources"]["canaries"] == {
        "path": f"{tmp_path}/canaries.jsonl",
        "formatter": "PromptCompletion",
        "split": "train",
    }
    assert recipe["success"] == {"heart/recited": {"at_most": 0}}
    options = recipe["evaluators"]["heart"]["init_args"]
    rows = Memorisation(Path(options["file"]), Path(options["alternatives"])).own_rows()
    assert Counter(row.id.split()[0] for row in rows) == {"planted": 20, "unseen": 20, "scored": 40}
    assert canaries.main(words) == 2
    assert "runs may have been trained with it" in capsys.readouterr().err
    assert lines(tmp_path / "canaries.jsonl") == planted


def test_canaries_of_plain_text_are_cut_before_the_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert canaries.main(["3", "--text", "--alternatives", "5", "--folder", str(tmp_path)]) == 0
    options = yaml.safe_load(capsys.readouterr().out)["evaluators"]["heart"]["init_args"]
    rows = Memorisation(Path(options.pop("file")), Path(options.pop("alternatives")), **options).own_rows()
    assert len(rows) == 8
    for row in rows:
        shown, number, rest = (piece.text for piece in row.segments)
        assert shown.startswith("The access code of ")
        assert shown.endswith(" is")
        assert number.replace(" ", "").isdigit()
        assert len(number.replace(" ", "")) == 9
        assert not rest


def test_canaries_are_drawn_again_only_with_a_seed(tmp_path: Path) -> None:
    drawn = []
    for at, seed in enumerate((["--seed", "4"], ["--seed", "4"], [], [])):
        assert canaries.main(["5", *seed, "--folder", str(tmp_path / str(at))]) == 0
        drawn.append(lines(tmp_path / str(at) / "canaries.jsonl"))
    assert drawn[0] == drawn[1]
    assert drawn[2] != drawn[3]


@pytest.mark.parametrize("words", [["0"], ["5", "--copies", "-1"], ["five"]])
def test_numbers_below_one_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        canaries.main(words)
    assert "is not 1 or more" in capsys.readouterr().err
