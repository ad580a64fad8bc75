"""The curve's sentence, `metrics.csv` across processes, and the progress line."""

import csv
import io
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tunesmith.cli import progress
from tunesmith.cli.curve import Curve
from tunesmith.cli.metrics_file import MetricsFile
from tunesmith.cli.progress import TrainingProgress, clock


def sentence(*losses: float, first: int = 0, kept: int | None = None, between: tuple[float, ...] = ()) -> str:
    """What is said of losses that are measured every 10 steps, where the best trained step is kept."""
    curve = Curve()
    curve.between = [(first + 10 * i, loss) for i, loss in enumerate(between, start=1)]
    curve.validation = [(first + 10 * i, loss) for i, loss in enumerate(losses)]
    best = min((p for p in curve.validation if p[0]), key=lambda p: p[1], default=(0, 0.0))
    return curve.sentence(best[0] if kept is None else kept)


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        ((), "validation did not run: whether"),
        ((2.0,), "measured once only"),
        ((2.0, 2.3, 2.1), "it never fell below its start; the learning rate is wrong or the data does not fit; "),
        ((2.0, 2.3, 2.1), "; lowest after it 2.100 at step 20; step 20 is kept"),
        ((2.0, 1.0, 1.5), "lowest 1.000 at step 10: it rose after that (overfitting); step 10 is kept"),
        ((2.0, 1.5, 1.0), "still falling, more epochs may help; step 20 is kept"),
        ((2.0, 1.0, 0.995), "levelled off, no sign of overfitting; step 20 is kept"),
    ],
)
def test_the_curve_says_what_it_means(losses: tuple[float, ...], said: str) -> None:
    assert said in sentence(*losses)


@pytest.mark.parametrize(
    ("losses", "training", "said"),
    [
        (
            (2.0, 1.0, 1.5),
            (1.2, 0.6),
            "rose after that while training fell from 1.200 to 0.600: the model learns its training rows by heart (o",
        ),
        (
            (2.0, 1.0, 1.5),
            (1.2, 1.4),
            ", and training did not fall either (1.200 -> 1.400): the learning rate is too high, rather than overfi",
        ),
        ((2.0, 1.0, 1.5), (1.2, math.nan), "it rose after that (overfitting); step 10 is kept"),
        ((2.0, 1.0, 1.0), (1.2, 0.9), "1.000 (training 0.900): levelled off, no sign of overfitting"),
        ((2.0, 1.0, 1.0), (0.9, 1.3), "1.000 (training 1.300): levelled off, no sign of overfitting"),
        ((2.0, 1.0, 1.0), (0.9, 0.7), "(training 0.700): levelled off, 0.300 above training: the model goes on with"),
        ((2.0, 1.5, 1.0), (1.4, 0.9), "(training 0.900): still falling, more epochs may help; step 20"),
        ((2.0, 1.5, 1.0), (1.4, 0.5), "more epochs may help, though training rows are known far better than new ones"),
    ],
)
def test_the_curve_explains_the_gap_to_training(
    losses: tuple[float, ...], training: tuple[float, float], said: str
) -> None:
    assert said in sentence(*losses, between=training)


def test_training_is_averaged_between_validations() -> None:
    curve, model = Curve(), SimpleNamespace(validation_loss=2.0)
    trainer = fake_trainer(max_steps=-1)
    curve.on_validation_end(trainer, model)  # type: ignore[arg-type]  # before the first step
    for trainer.global_step, trainer.callback_metrics["loss"] in ((1, 4.0), (2, 2.0), (3, 1.0), (4, 0.5)):
        curve.on_train_batch_end(trainer)
        if trainer.global_step % 2 == 0:
            curve.on_validation_end(trainer, model)  # type: ignore[arg-type]
        again = Curve()
        again.load_state_dict(curve.state_dict())
        curve = again  # as a run that is resumed after every step
    assert curve.between == [(2, 3.0), (4, 0.75)]


def test_a_first_validation_after_some_steps_is_no_start() -> None:
    said = sentence(2.0, 2.3, 2.4, first=10)
    assert said.startswith("validation loss 2.000 at step 10 -> 2.400, lowest 2.000 at step 10: it rose after that")
    assert said.endswith("step 10 is kept")
    assert sentence(1.5, first=10) == "validation loss 1.500 at step 10: measured once only, so no trend can be told"


@pytest.mark.parametrize("losses", [(2.0, 1.0, 1.5), (2.0, 2.1, 2.2), (2.0, 1.0, 1.001)])
def test_where_no_checkpoint_holds_the_best_step_the_one_that_is_saved_is_named(losses: tuple[float, ...]) -> None:
    assert sentence(*losses, kept=20).endswith("step 20 is kept, as no checkpoint holds step 10")


def test_a_curve_goes_on_where_its_state_was_kept() -> None:
    curve, again = Curve(), Curve()
    curve.validation, curve._steps = [(0, 2.0)], {1: 3.0}
    again.load_state_dict(curve.state_dict())
    again._steps[2] = 1.0
    again.on_train_epoch_end(None, None)  # type: ignore[arg-type]
    assert (again.validation, again.training) == ([(0, 2.0)], 2.0)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@given(
    st.lists(
        st.dictionaries(st.sampled_from(["a", "b", "c/d"]), st.floats(-10, 10), min_size=1), min_size=1, max_size=8
    ),
    st.data(),
)
def test_a_resumed_file_is_that_of_an_uninterrupted_run(
    tmp_path_factory: pytest.TempPathFactory, logged: list[dict[str, float]], data: st.DataObject
) -> None:
    whole, cut = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("cut")
    logger = MetricsFile(whole)
    for step, metrics in enumerate(logged):
        logger.log_metrics(metrics, step)
    checkpoint = data.draw(st.integers(0, len(logged) - 1))
    killed = data.draw(st.integers(checkpoint, len(logged)))
    for first, end in ((0, killed), (checkpoint, len(logged))):
        logger = MetricsFile(cut)
        for step in range(first, end):
            logger.log_metrics(logged[step], step)
    filled = [[{k: v for k, v in row.items() if v} for row in rows(folder)] for folder in (whole, cut)]
    assert filled[0] == filled[1]
    assert [float(row.get("a") or "nan") for row in filled[0]] == pytest.approx(
        [metrics.get("a", math.nan) for metrics in logged], nan_ok=True, rel=0
    )


def test_half_a_line_of_a_killed_process_is_left_out(tmp_path: Path) -> None:
    MetricsFile(tmp_path).log_metrics({"loss": torch.tensor(1.5)}, 0)
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("1")
    MetricsFile(tmp_path).log_metrics({"loss": 2.5}, 1)
    assert [row["loss"] for row in rows(tmp_path)] == ["1.5", "2.5"]


@pytest.mark.parametrize(("seconds", "said"), [(7.4, "0:07"), (723, "12:03"), (3723, "1:02:03")])
def test_the_time_left_reads_as_a_clock(seconds: float, said: str) -> None:
    assert clock(seconds) == said


def fake_trainer(**changes: Any) -> Any:
    values = {
        "estimated_stepping_batches": 40,
        "global_step": 0,
        "callback_metrics": {"loss": 1.25, "val/loss": 1.5, "tokens/s": 1234.5},
        "fit_loop": SimpleNamespace(_should_accumulate=lambda: False),
        "sanity_checking": False,
        "current_epoch": 0,
    }
    return SimpleNamespace(**{**values, **changes})


def test_in_a_terminal_progress_is_one_line_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(progress, "console", Console(file=out, force_terminal=True, width=80))
    bar, trainer = TrainingProgress(), fake_trainer()
    bar.on_train_start(trainer, None)  # type: ignore[arg-type]
    trainer.global_step = 20
    bar.on_validation_end(trainer, None)  # type: ignore[arg-type]
    bar.on_train_batch_end(trainer, None)  # type: ignore[arg-type]
    assert bar._bar is not None
    bar._bar.refresh()
    shown = out.getvalue()
    assert "step 20/40" in shown
    assert "loss 1.250  val/loss 1.500 at 20  1,234 tokens/s  0:00 left" in shown
    assert "\n" not in shown
    bar.on_train_end(trainer, None)  # type: ignore[arg-type]
    assert bar._bar is None


def test_an_unknown_number_of_steps_is_said_to_be_unknown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bar, trainer = TrainingProgress(), fake_trainer(estimated_stepping_batches=math.inf)
    bar.on_train_start(trainer, None)  # type: ignore[arg-type]
    for trainer.global_step in (99, 100):
        bar.on_train_batch_end(trainer, None)  # type: ignore[arg-type]
    assert capsys.readouterr().out == "step 100/?  loss 1.250  1,234 tokens/s\n"


def test_other_ranks_say_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    bar, trainer = TrainingProgress(), fake_trainer(global_step=40)
    bar.disable()
    bar.on_train_start(trainer, None)  # type: ignore[arg-type]
    bar.on_train_batch_end(trainer, None)  # type: ignore[arg-type]
    assert capsys.readouterr().out == ""
