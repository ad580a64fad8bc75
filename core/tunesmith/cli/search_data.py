"""`search --over data`: is more data worth it? Trains on parts of the training rows and extrapolates."""

import math
from datetime import datetime
from typing import Any

from tunesmith.cli.fit import prepare_data
from tunesmith.cli.runs import write_json
from tunesmith.cli.screen import fact, say
from tunesmith.cli.trainer_cli import Session
from tunesmith.cli.trials import lighten, open_trial, train
from tunesmith.errors import RecipeError
from tunesmith.report.search_page import data_page
from tunesmith.search.power_law import LearningCurve, learning_curve

_SHARES = "0.1,0.2,0.4,0.8"
_REPEATS = "2"
# Parts have epochs of another length than the recipe counts validations by.
_EVERY_EPOCH = ("--trainer.val_check_interval=1.0", "--trainer.check_val_every_n_epoch=1")
_WORTH = 0.02
"""A fall of the loss by this share of itself is worth labelling for."""


def search_data(session: Session) -> int:
    """Train on shares of the rows, fit a curve, and say what twice as many rows would bring; exit code 0."""
    shares, repeats = _shares(session), _repeats(session)
    rows = _rows(session, min(shares))
    open_trial(session.arguments, [])
    folder = session.root / session.name / "search" / datetime.now().astimezone().strftime("data_%Y-%m-%d_%H-%M-%S")
    folder.mkdir(parents=True)
    say(f"search {session.name} over data", style="bold")
    fact(
        "rows", f"{rows:,} training rows; {', '.join(f'{share:.0%}' for share in shares)} of them, {repeats} times each"
    )
    fact("folder", str(folder))
    found: list[dict[str, Any]] = []
    name = str(folder.relative_to(session.root))
    for share in shares:
        for repeat in range(repeats):
            # parts of one repeat hold each other; others are drawn apart, and train with another seed
            changes = [*_EVERY_EPOCH, *([f"--seed_everything={session.seed + repeat}"] if repeat else [])]
            one = train(session.arguments, changes, name, lambda *_: False, share=(share, repeat))
            lighten(one.run)
            used = round(share * rows)
            found.append({"rows": used, "share": share, "repeat": repeat, "loss": one.loss, "run": str(one.run.path)})
            say(
                f"{used:,} rows ({share:.0%}, {repeat + 1} of {repeats}): val/loss {one.loss:.4f} ({one.seconds:.0f} s)"
            )
    curve = learning_curve([one["rows"] for one in found], [one["loss"] for one in found], session.seed)
    content = _told(session, rows, found, curve)
    write_json(folder / "search.json", content)
    (folder / "search.html").write_text(data_page(content), encoding="utf-8")
    for line in content["said"]:
        say(line)
    fact("report", str(folder / "search.html"))
    return 0


def _rows(session: Session, smallest: float) -> int:
    prepare_data(session, None).need("train")
    rows = len(session.data.encoded("train").rows)
    if not len(session.data.encoded("validation").rows):
        msg = "search --over data decides by val/loss, and there are no validation rows; raise data.split.validation"
        raise RecipeError(msg)
    if round(smallest * rows) < 1:
        msg = f"--shares: {smallest:g} of {rows} training rows is none; give larger shares"
        raise RecipeError(msg)
    return rows


def _told(session: Session, rows: int, found: list[dict[str, Any]], curve: LearningCurve) -> dict[str, Any]:
    reach = sorted({rows, 2 * rows, 4 * rows})
    points = [
        {"rows": number, "loss": curve.at(number), "interval": list(curve.interval(number))}
        for number in sorted({*(round(x) for x in _grid(min(one["rows"] for one in found), reach[-1])), *reach})
    ]
    fall, low, high = curve.fall(rows, 2 * rows)
    then, now = curve.at(2 * rows), curve.at(rows)
    between = f"{curve.interval(2 * rows)[0]:.4f} to {curve.interval(2 * rows)[1]:.4f}"
    if low > _WORTH:
        verdict = "more rows help"
    elif high < _WORTH:
        verdict = "more rows hardly help: better ones, or another method, may"
    else:
        verdict = "whether more rows help cannot be told from these trainings; more --repeats narrow it"
    said = [
        f"all {rows:,} rows: val/loss {now:.4f} expected; twice as many: {then:.4f} ({between}, 95 %)",
        f"the loss falls by {fall:.1%} of itself ({low:.1%} to {high:.1%}): {verdict}",
        f"curve: {curve.limit:.4f} + {curve.factor:.4g} rows^-{curve.exponent:.3g}",
    ]
    return {
        "recipe": session.name,
        "rows": rows,
        "trained": found,
        "curve": {"limit": curve.limit, "factor": curve.factor, "exponent": curve.exponent, "spread": curve.spread},
        "points": points,
        "fall": {"share": fall, "interval": [low, high], "worth": _WORTH},
        "said": said,
    }


def _grid(low: float, high: float, number: int = 25) -> list[float]:
    return [low * (high / low) ** (at / (number - 1)) for at in range(number)]


def _shares(session: Session) -> list[float]:
    text = session.arguments.options.get("shares", _SHARES)
    try:
        shares = sorted({float(part) for part in text.split(",")})
    except ValueError:
        shares = []
    if len(shares) < 3 or not all(0 < share <= 1 and math.isfinite(share) for share in shares):
        msg = f"--shares is {text!r}; three or more shares above 0 and at most 1, such as {_SHARES}"
        raise RecipeError(msg)
    return shares


def _repeats(session: Session) -> int:
    text = session.arguments.options.get("repeats", _REPEATS)
    if not text.isdigit() or not int(text):
        msg = f"--repeats is {text!r}; a number of 1 or more"
        raise RecipeError(msg)
    return int(text)
