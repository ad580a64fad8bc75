"""What a LightningModule does with regularizers: terms beside the loss, and a look before the first step."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from tunesmith.data.batch import Batch
from tunesmith.data.collate import collate
from tunesmith.errors import RecipeError
from tunesmith.plugins.blame import blamed
from tunesmith.plugins.interfaces import Adapter, Regularizer
from tunesmith.training.forward import Forward, Term
from tunesmith.training.modes import evaluating
from tunesmith.training.passes import ModelForward
from tunesmith.training.router import NAME as ROUTER
from tunesmith.training.terms import names_of
from tunesmith.training.with_base import WithBase


class Regularizing(WithBase):
    """A LightningModule whose loss has further terms.

    Attributes:
        adapter: Which parameters train.
        regularizers: By the name under which they are logged.
    """

    adapter: Adapter
    regularizers: dict[str, Regularizer]

    def check_regularizers(self) -> None:
        """Let each refuse what it cannot be combined with.

        Raises:
            RecipeError: One does; names it.
        """
        for name, regularizer in self.regularizers.items():
            try:
                with blamed(f"model.regularizers.{name}", regularizer):
                    regularizer.check(self.objective, self.adapter)
            except RecipeError as error:
                msg = f"model.regularizers.{name}: {error}"
                raise RecipeError(msg) from error

    def terms(self, forward: ModelForward) -> dict[str, Term]:
        """The loss, the experts' and the regularizers' terms of one pass, as sums with their units.

        Raises:
            RuntimeError: The loader brings no rows along for a regularizer that takes a share of its own.
        """
        batch = forward.batch
        terms = {"loss": self.objective.loss(forward), ROUTER: forward.router_term()}
        for name, regularizer in self.regularizers.items():
            term = f"reg/{name}"
            if regularizer.own_share() <= 0:
                terms[term] = regularizer.penalty(forward)
            elif term in batch.beside:
                terms[term] = regularizer.penalty(self.passes(batch.beside[term]))
            elif batch.window is not None and term not in batch.window.beside:
                msg = f"the loader brings no rows along for {term}"
                raise RuntimeError(msg)
        return {name: term for name, term in terms.items() if term is not None}

    def term_names(self) -> list[str]:
        """Names of what every step logs of its terms; before the model is loaded with those that it may have."""
        router = self.attached is None or self.attached.router is not None
        return names_of(self.objective, self.regularizers, router=router)

    def weighed(self, batch: Batch, terms: Mapping[str, Term]) -> Tensor:
        """What backward gets of a micro-batch: each term by its window's count on all ranks (traps 1, 2, 4)."""
        scaled = []
        for name, term in terms.items():
            total = self.averaged(term.sum) if term.unit == "step" else term.sum
            window = batch.beside.get(name, batch).window
            scaled.append(total if window is None else window.scale(total, term.unit))
        return torch.stack(scaled).sum()

    def prepare_regularizers(self) -> None:
        """Let each that asks for it look at passes over training rows or its own, before a new run's first step."""
        for name, regularizer in self.regularizers.items():
            if type(regularizer).prepare is Regularizer.prepare:
                continue
            own = regularizer.own_rows() is not None
            regularizer.prepare(self._own_forwards(name) if own else self._training_forwards())

    def _training_forwards(self) -> Iterator[Forward]:
        for batch in self.trainer.datamodule.train_dataloader():  # type: ignore[attr-defined]
            forward = self.passes(batch.to(self.device), perturbed=False)
            if not batch.ghost:
                yield forward

    def _own_forwards(self, name: str) -> Iterator[Forward]:
        """One row a pass, so that each has a gradient of its own; the same on all processes."""
        rows = self.trainer.datamodule.own.encoded(name).rows  # type: ignore[attr-defined]
        self.print(f"before the first step reg/{name} looks at {len(rows):,} rows of its own")
        with evaluating(self.network):
            for row in rows:
                yield self.passes(collate([row]).to(self.device), perturbed=False)
