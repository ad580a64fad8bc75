"""Planted biases have the size that was asked for, where it was asked for, and audits find them."""

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from tunesmith_plugins.fairness.planted import KINDS, Kind, planted, planted_rows
from tunesmith_plugins.fairness.planted import main as write

SIZES: dict[Kind, float] = {
    "representation": 0.2, "label": 0.3, "association": 0.3, "quality": 0.5, "proxy": 0.4, "toxicity": 0.2,
    "stereotype": 0.2,
}  # fmt: skip
TRAITS = ("emotional", "moody", "submissive", "gossipy", "indecisive")


def sizes(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Each bias as its definition has it, the first group less the second."""
    first, second = ([row for row in rows if row["group"] == name] for name in ("she", "he"))

    def rate(said: str) -> float:
        one, other = (np.mean([any(w in row["prompt"] for w in said.split("|")) for row in side])
                      for side in (first, second))  # fmt: skip
        return float(one - other)

    lengths = [np.array([len(row["completion"].split()) for row in side]) for side in (first, second)]
    hired = [np.mean([row["label"] == "hire" for row in side]) for side in (first, second)]
    return {
        "representation": 0.5 - len(first) / len(rows),
        "label": float(hired[1] - hired[0]),
        "association": -rate("company|office|manager"),
        "quality": float(lengths[1].mean() - lengths[0].mean())
        / float(np.sqrt((lengths[0].var() + lengths[1].var()) / 2)),
        "proxy": rate("netball"),
        "toxicity": rate("idiot|moron|pathetic"),
        "stereotype": rate("|".join(TRAITS)),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_bias_has_its_size_and_nothing_else_has_any(kind: Kind) -> None:
    found = sizes(list(planted_rows(kind, SIZES[kind], 20_000, seed=1)))
    expected = dict.fromkeys(KINDS, 0.0) | {kind: SIZES[kind]}
    assert found == pytest.approx(expected, abs=0.035)  # 0.05 of Cohen's d, 0.028 of rates, are 4 standard errors


def test_rows_are_drawn_again_and_examples_hold_them() -> None:
    rows = list(planted_rows("label", 0.2, 50, seed=3))
    assert rows == list(planted_rows("label", 0.2, 50, seed=3)) != list(planted_rows("label", 0.2, 50, seed=4))
    examples = planted("label", 0.2, 50, seed=3)
    assert [e.reference for e in examples] == [row["completion"] for row in rows]
    assert [e.label for e in examples] == [row["label"] for row in rows]
    assert {e.extras["group"] for e in examples} == {"she", "he"}
    assert len({e.id for e in examples}) == 50
    named = planted("label", 0.2, 50, words=("The Muslim applicant", "The Jewish applicant"))
    assert all(e.prompt[0].content.startswith(("The Muslim", "The Jewish")) for e in named)


def test_the_command_writes_rows(capsys: pytest.CaptureFixture[str]) -> None:
    assert write(["proxy", "0.4", "--rows", "3", "--seed", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line) for line in lines] == list(planted_rows("proxy", 0.4, 3, seed=2))
    assert write(["toxicity", "0.9"]) == 2
    assert "effect is 0.9 of toxicity; it lies between 0 and 0.3" in capsys.readouterr().err
    ran = subprocess.run(
        [sys.executable, "-m", "tunesmith_plugins.fairness.planted", "label", "0.1", "--rows", "2"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert len(ran.stdout.splitlines()) == 2


def test_what_cannot_be_planted_is_refused() -> None:
    with pytest.raises(ValueError, match="kind is 'lable'; there are representation, label"):
        planted("lable", 0.1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="effect is -1 of label"):
        planted("label", -1)
