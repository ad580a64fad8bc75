"""The tiny model with a regularizer: what it is tried on, and the work that a run asks of it."""

import copy
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.plugins.interfaces import Regularizer
from tunesmith.testing.check import Call, Trial
from tunesmith.testing.material import examples

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tunesmith.data.batch import Batch
    from tunesmith.data.encoded_rows import EncodedRow
    from tunesmith.training.forward import Forward
    from tunesmith.training.specialist import Specialist

NAME = "it"
"""How it is called on the model."""


def exercise(trial: Trial, _: Path) -> Any:
    """Take two steps with it."""
    from tunesmith.testing import models

    module, rows = on_model(trial.plugin, moved=False)
    models.train(module, rows)
    return models.logits(module, models.batch_of(module, rows))


def start(trial: Trial) -> Any:
    """The tiny model with the regularizer, away from its base; and rows."""
    return on_model(trial.plugin)


def calls(trial: Trial) -> list[Call]:
    """The penalty and the perturbed embeddings of a few rows, and of all."""
    return [partial(_terms, trial, part) for part in (slice(2), slice(None))]


def _terms(trial: Trial, part: slice, on: Any) -> Any:
    from tunesmith.testing import models

    module, rows = on
    module.train()
    batch = models.batch_of(module, rows[part])
    found = []
    if penalizes(trial):
        term = penalty_of(module)(module.passes(batch, perturbed=False))
        found.append(term and term.sum.detach())
    if perturbs(trial):
        embeddings = module.passes.model.get_input_embeddings()(batch.input_ids).detach()
        found.append(module.regularizers[NAME].perturb(embeddings, batch).detach())
    return found


def on_model(
    plugin: Regularizer | None, moved: bool = True, prepared: bool = True
) -> "tuple[Specialist, list[EncodedRow]]":
    """The tiny model, away from its base, with a copy of the regularizer set up; and rows, one of them a pair."""
    from tunesmith.testing import models
    from tunesmith.testing.second_pass import DroppingPasses

    given = {} if plugin is None else {NAME: copy.deepcopy(plugin)}
    module = models.specialist(regularizers=given)
    whole = examples()
    pair = next(example for example in whole if example.chosen)
    rows = models.encoded(module, [whole[0], pair, *whole[2:6]])
    module.passes = DroppingPasses.of(module.passes)
    if moved:
        models.move(module)
        if prepared and plugin is not None and type(plugin).prepare is not Regularizer.prepare:
            given[NAME].prepare(_forwards(module, rows, alone=type(plugin).own_rows is not Regularizer.own_rows))
    return module, rows


def _forwards(module: "Specialist", rows: "list[EncodedRow]", *, alone: bool) -> "Iterator[Forward]":
    """Passes for `prepare`: of training rows, or row by row as of rows of its own."""
    from tunesmith.testing import models
    from tunesmith.training.modes import evaluating

    parts = [[row] for row in rows] if alone else [rows[:3], rows[3:]]
    with evaluating(module.network) if alone else nullcontext():
        for part in parts:
            yield module.passes(models.batch_of(module, part), perturbed=False)


def penalty_of(module: "Specialist") -> Any:
    """Its method on the model."""
    return module.regularizers[NAME].penalty


def sum_of(module: "Specialist", batch: "Batch") -> float:
    """What its penalty of one micro-batch is."""
    return float(penalty_of(module)(module.passes(batch, perturbed=False)).sum.detach())


def penalizes(trial: Trial) -> bool:
    """Whether it has a penalty."""
    return getattr(trial.cls, "penalty") is not Regularizer.penalty  # noqa: B009  mypy knows no penalty of a Plugin


def perturbs(trial: Trial) -> bool:
    """Whether it changes embeddings."""
    return getattr(trial.cls, "perturb") is not Regularizer.perturb  # noqa: B009
