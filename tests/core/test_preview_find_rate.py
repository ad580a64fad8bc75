"""The learning rate finder of `preview`."""

import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.cli.find_rate import suggested

RATES = [10 ** (-6 + 6 * at / 99) for at in range(100)]


def test_the_steepest_fall_by_the_logarithm_of_the_rate() -> None:
    losses = [4 - 2 / (1 + math.exp(-3 * (math.log10(rate) + 3))) for rate in RATES]  # steepest at 1e-3
    assert suggested(RATES, losses) == pytest.approx(1e-3, rel=0.1)


def test_where_nothing_falls_nothing_is_suggested() -> None:
    assert suggested(RATES, [2.0 + at / 100 for at in range(100)]) is None
    assert suggested(RATES, [math.nan] * 100) is None
    assert suggested([], []) is None


@given(st.lists(st.floats(0.1, 10) | st.just(math.nan), min_size=100, max_size=100))
def test_a_suggestion_is_one_of_the_rates(losses: list[float]) -> None:
    found = suggested(RATES, losses)
    assert found is None or min(abs(math.log(found / rate)) for rate in RATES) < 1e-9


def test_preview_finds_a_rate_and_leaves_nothing_behind(bench: Any) -> None:
    ran = bench.done("preview", "--config", "tiny.yaml", "--find-lr", "--trainer.accumulate_grad_batches=2")
    found = re.search(
        r"--model\.optimizer\.init_args\.lr=(\S+): the loss falls fastest there; the recipe has 0\.01", ran.out
    )
    assert found is not None, ran.out
    # a random model of this width learns from some thousandths on
    assert 1e-3 < float(found[1]) < 0.3
    assert "<- falls fastest" in ran.out
    assert ran.err == ""
    assert not list(bench.folder.glob(".lr_find*"))
    assert not bench.runs()
