"""The learning rate finder of `preview --find-lr`: Lightning's range test on the recipe's own batches and optimizer."""

import math
import warnings
from collections.abc import Sequence
from contextlib import redirect_stderr
from io import StringIO
from tempfile import TemporaryDirectory

from lightning.pytorch import Trainer
from lightning.pytorch.tuner.tuning import Tuner

from tunesmith.cli.refusals import making
from tunesmith.cli.screen import console, fact, say
from tunesmith.cli.trainer_cli import Session

STEPS = 100
_LOWEST, _HIGHEST = 1e-6, 1.0
_SKIPPED = 10  # of the first: their smoothed loss says little yet
_ROWS, _BAR = 10, 32


def find_rate(session: Session) -> None:
    """Raise the learning rate step by step from 1e-6 to 1, and say where the loss falls fastest.

    The range test of Smith (2017, WACV, arXiv:1506.01186), by Lightning's tuner; it ends where the loss is four times
    its lowest. The weights that it leaves are not used.
    """
    options = dict(session.trainer_options)
    for key in ("callbacks", "max_time", "min_steps", "min_epochs", "num_sanity_val_steps"):
        options.pop(key, None)
    with TemporaryDirectory() as folder, making(options):
        options |= {
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "num_sanity_val_steps": 0,
            "limit_val_batches": 0,
            "max_epochs": -1,
            "max_steps": STEPS,
            "devices": 1,
            "num_nodes": 1,
            "default_root_dir": folder,
        }
        trainer = Trainer(**options)
        with redirect_stderr(StringIO()), warnings.catch_warnings(action="ignore"):  # a bar of its own
            found = Tuner(trainer).lr_find(
                session.model,
                datamodule=session.data,
                min_lr=_LOWEST,
                max_lr=_HIGHEST,
                num_training=STEPS,
                update_attr=False,
            )
    rates, losses = (list(map(float, found.results[key])) for key in ("lr", "loss")) if found is not None else ([], [])
    if (best := suggested(rates, losses)) is None:
        say(f"--find-lr: the loss did not fall at any rate from {_LOWEST:g} to {_HIGHEST:g}; nothing is suggested")
        return
    _show(rates, losses, best)
    now = float(getattr(session.model.optimizer_factory, "keywords", {}).get("lr", math.nan))
    has = "" if math.isnan(now) else f"; the recipe has {now:g}"
    fact("suggested", f"--model.optimizer.init_args.lr={best:.2g}: the loss falls fastest there{has}")


def suggested(rates: Sequence[float], losses: Sequence[float]) -> float | None:
    """The rate at which the loss falls fastest, by the logarithm of the rate.

    Args:
        rates: Of each step, rising.
        losses: Of each step, smoothed.

    Returns:
        None where it falls nowhere.
    """
    points = [
        (math.log(rate), loss)
        for rate, loss in list(zip(rates, losses, strict=False))[_SKIPPED:]
        if math.isfinite(loss) and rate > 0
    ]
    slopes = [
        ((points[at + 1][1] - points[at - 1][1]) / (points[at + 1][0] - points[at - 1][0]), points[at][0])
        for at in range(1, len(points) - 1)
    ]
    slope, where = min(slopes, default=(0.0, 0.0))
    return math.exp(where) if slope < 0 else None


def _show(rates: Sequence[float], losses: Sequence[float], best: float) -> None:
    """The smoothed loss by rate, as bars."""
    say("learning rate and loss, smoothed", style="bold")
    step = max(1, len(rates) // _ROWS)
    shown = [at for at in range(_SKIPPED, min(len(rates), len(losses)), step) if math.isfinite(losses[at])]
    most = max(losses[at] for at in shown)
    nearest = min(shown, key=lambda at: abs(math.log(rates[at] / best)))
    for at in shown:
        bar = "#" * max(1, round(_BAR * losses[at] / most))
        console.print(f"  {rates[at]:8.1e}  {losses[at]:8.3f}  {bar}{'  <- falls fastest' if at == nearest else ''}")
