"""Where a run ends, and where its validations come, by the options of its Trainer."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.errors import RecipeError
from tunesmith.training.extent import check_interval, check_least

FEW = st.integers(1, 12)


def trainer(**options: Any) -> Any:
    """What Lightning keeps of its options."""
    known = {
        "limit_val_batches": 1.0,
        "accumulate_grad_batches": 1,
        "max_epochs": -1,
        "max_steps": -1,
        "min_epochs": None,
        "min_steps": None,
        "fast_dev_run": False,
        "check_val_every_n_epoch": None,
    }
    return SimpleNamespace(**{**known, "_val_check_time_interval": None, **options})


def inside(batches: int, accumulate: int, every: int, epochs: int, steps: int, *, across: bool) -> bool:
    """Batch by batch as Lightning counts: whether a validation comes while a window is open."""
    total = made = 0
    for _ in range(epochs if epochs > 0 else 400):
        for batch in range(1, batches + 1):
            if made == steps:
                return False
            total += 1
            ends = batch % accumulate == 0 or batch == batches
            made += ends
            if (total if across else batch) % every == 0 and not ends:
                return True
    return False


@given(FEW, FEW, st.integers(1, 30), st.sampled_from([-1, 1, 2, 5]), st.sampled_from([-1, 1, 3, 7]), st.booleans())
def test_validation_is_refused_exactly_where_it_would_come_inside_a_window(
    batches: int, accumulate: int, every: int, epochs: int, steps: int, across: bool
) -> None:
    given = trainer(
        accumulate_grad_batches=accumulate,
        val_check_interval=every,
        max_epochs=epochs,
        max_steps=steps,
        check_val_every_n_epoch=None if across else 1,
    )
    refused = False
    try:
        check_interval(given, batches)
    except RecipeError:
        refused = True
    if across:
        assert refused == inside(batches, accumulate, every, epochs, steps, across=True)
    else:  # a run may end before it
        assert refused == (every > batches or inside(batches, accumulate, every, -1, -1, across=False))


@given(FEW, FEW, st.integers(1, 30), st.integers(0, 40), st.data())
def test_a_resumed_run_is_checked_from_where_its_epoch_began(
    batches: int, accumulate: int, every: int, begun: int, data: st.DataObject
) -> None:
    """An epoch that was left early moves all that come after it."""
    windows = data.draw(st.integers(0, (batches - 1) // accumulate))
    done = begun + windows * accumulate
    total, bad = done, False
    for batch in range(windows * accumulate + 1, windows * accumulate + 1 + 2 * every * batches):
        total += 1
        within = (batch - 1) % batches + 1
        bad = bad or (total % every == 0 and within % accumulate != 0 and within != batches)
    given = trainer(accumulate_grad_batches=accumulate, val_check_interval=every)
    if bad:
        with pytest.raises(RecipeError, match="between two optimizer steps"):
            check_interval(given, batches, begun, done)
    else:
        check_interval(given, batches, begun, done)


@given(FEW, FEW, st.sampled_from([-1, 1, 2, 5]), st.sampled_from([-1, 1, 3, 7]), st.integers(0, 6), st.integers(0, 30))
def test_a_least_length_is_refused_exactly_where_the_run_ends_before_it(
    batches: int, accumulate: int, epochs: int, steps: int, min_epochs: int, min_steps: int
) -> None:
    an_epoch = len(range(0, batches, accumulate))
    made = min([limit for limit in (epochs * an_epoch, steps) if limit > 0], default=None)
    given = trainer(
        accumulate_grad_batches=accumulate,
        max_epochs=epochs,
        max_steps=steps,
        min_epochs=min_epochs or None,
        min_steps=min_steps or None,
    )
    if made is not None and max(min_steps, min_epochs * an_epoch) > made:
        with pytest.raises(RecipeError, match=r"trainer\.min_(steps|epochs) is \d+"):
            check_least(given, batches)
    else:
        check_least(given, batches)


def test_where_nothing_validates_any_interval_will_do() -> None:
    check_interval(trainer(val_check_interval=100, check_val_every_n_epoch=1, limit_val_batches=0), 40)
