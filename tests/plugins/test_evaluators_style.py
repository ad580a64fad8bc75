"""Style against scipy's z-scores, against counts by hand, and on two voices that it has to tell apart."""

import math
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import zscore

from tunesmith import RecipeError, Sample
from tunesmith_plugins.evaluators.style import Style

HOUSE = [
    "the dog and the cat",
    "a dog, a cat and the bird",
    "The cat of the house",
    "and so the dog",
    "a bird and a cat",
]


def sample(output: str) -> Sample:
    return Sample("r", (), "", output)


def corpus(folder: Path, texts: list[str]) -> Path:
    path = folder / "house.txt"
    path.write_text("\n \n".join(texts), encoding="utf-8")
    return path


def test_delta_is_the_mean_of_z_scores(tmp_path: Path) -> None:
    output = "The dog and the dog, so a bird"
    [measure] = Style(corpus(tmp_path, HOUSE), features=4).measure([sample(output)])
    texts = [Counter(text.lower().replace(",", "").split()) for text in [*HOUSE, output]]
    frequent = ["the", "a", "and", "cat"]  # 5, 4, 4, 4; then dog, 3
    shares = np.array([[text[word] / text.total() for word in frequent] for text in texts])
    # the output's own shares are no part of the scale
    mean, deviation = shares[:-1].mean(axis=0), shares[:-1].std(axis=0, ddof=1)
    assert measure.values[0] == pytest.approx(np.abs((shares[-1] - mean) / deviation).mean())
    assert (measure.name, measure.higher_is_better) == ("delta", False)
    own = np.abs(zscore(shares[:-1], ddof=1)).mean()
    assert measure.note == f"the 5 texts of the reference are {own:.2f} from their own mean"


def test_what_is_equally_frequent_in_all_texts_does_not_count(tmp_path: Path) -> None:
    things = ("fan hot", "belt off", "gate hot", "door off", "pump hot", "bell loud")
    texts = [f"the {one.replace(' ', ' is ')} and the house is warm people say" for one in things]
    shares = np.array([[text.split().count(word) / 11 for word in ("the", "hot", "off")] for text in texts])
    # a rounding error, by which nobody may divide
    assert 0 < shares[:, 0].std(ddof=1) < 1e-15
    [measure] = Style(corpus(tmp_path, texts), features=9).measure([sample(texts[0])])
    # the seven most frequent are in all texts alike; then come hot and off
    assert measure.values[0] == pytest.approx(np.abs(zscore(shares[:, 1:], ddof=1)[0]).mean())


def test_runs_of_letters_are_counted_with_spaces_and_signs(tmp_path: Path) -> None:
    texts = ["ab, ab", "ab. ab", "ab,  ab", "ab ab", "ab, cd"]
    [measure] = Style(corpus(tmp_path, texts), by="characters", features=1).measure([sample("ab,\nab"), sample("ab")])
    # "ab," stands once in three of five texts, as each of " ab" in four; the first of the most frequent is " ab"
    shares = [1 / 4, 1 / 4, 1 / 4, 1 / 3, 0]
    expected = abs(1 / 4 - np.mean(shares)) / np.std(shares, ddof=1)
    assert measure.values[0] == pytest.approx(expected)
    assert math.isnan(measure.values[1])  # shorter than a run


def test_the_house_voice_is_nearer_than_another_on_any_subject(tmp_path: Path) -> None:
    draw = random.Random(4)
    voices = {
        "plain": ["the", "a", "of", "and", "to", "in", "is", "it", "you", "we"],
        "stiff": ["which", "whereby", "thereof", "upon", "the", "of", "herein"],
    }

    def text(voice: str, subject: str) -> str:
        content = [f"{subject}{at}" for at in range(20)]
        return " ".join(draw.choice(voices[voice] if at % 2 else content) for at in range(80))

    style = Style(corpus(tmp_path, [text("plain", "bank") for _ in range(30)]))
    outputs = {voice: [sample(text(voice, "pump")) for _ in range(20)] for voice in voices}
    near, far = (style.measure(outputs[voice])[0] for voice in ("plain", "stiff"))
    assert max(near.values) < min(far.values)


def test_words_are_compared_in_lower_case_and_an_output_without_any_has_no_value(tmp_path: Path) -> None:
    style = Style(corpus(tmp_path, [*HOUSE, "it's a dog, it's"]))
    one, other, none = style.measure([sample("IT'S a Cat"), sample("it\u2019s a cat"), sample("12 %")])[0].values
    assert one == other
    assert math.isnan(none)


@pytest.mark.parametrize(
    ("texts", "options", "says"),
    [
        (HOUSE[:4], {}, "house.txt, which holds 4 texts; give 5 or more"),
        (["a"] * 5, {}, "house.txt, whose texts are all alike"),
        (HOUSE, {"features": 0}, "features is 0; look at one word or more"),
    ],
)
def test_a_corpus_that_cannot_be_is_refused(tmp_path: Path, texts: list[str], options: Any, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        Style(corpus(tmp_path, texts), **options).produces()


def test_a_corpus_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"Style\.reference is .*none\.txt, which cannot be read as text"):
        Style(tmp_path / "none.txt").produces()
