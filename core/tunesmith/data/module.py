"""The data of a recipe for Lightning: sources to curated, encoded splits, and their loaders."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import lightning
import numpy as np
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from numpy.typing import NDArray

from tunesmith.data.curriculum import Curriculum, Order
from tunesmith.data.drawing import drawing
from tunesmith.data.loader import PlanLoader
from tunesmith.data.mixture import Draws, Mixture
from tunesmith.data.ordering import draws_of, order_of
from tunesmith.data.plan import Plan
from tunesmith.data.recipe_rows import RecipeRows
from tunesmith.data.rejected import LIMIT
from tunesmith.data.sources import Source, SplitName
from tunesmith.data.split import Split
from tunesmith.errors import RecipeError
from tunesmith.plugins.interfaces import Curator

if TYPE_CHECKING:
    from tunesmith.data.encode import EncodedSplit


class RecipeData(RecipeRows, lightning.LightningDataModule):
    """The data of a recipe, from rows to batches.

    Args:
        sources: Where rows come from, by name.
        curators: What improves them, by name, in order.
        split: How rows are split whose source does not say.
        mixture: How often rows are trained on, where some are more or less often than once an epoch.
        curriculum: Which rows come first; any where it is not set.
        max_length: Tokens a sequence at most; the base's positions where it is not set.
        truncation: What to do with a longer one: cut its end, cut the prompt's front, or drop the row.
        batch_size: Examples a micro-batch and device; the two of a pair are one.
        max_tokens: Tokens a micro-batch and device at most, instead of `batch_size`, padding included where the base
            needs it; a longer row is alone in its own.
        workers: Processes that make batches; 0 makes them in the training process.
        reject_limit: Share of a source's rows that may be unreadable before the run stops.
        keep_rejected: Whether `rejected.jsonl` holds the rows' text.
        cache: Whether curated and encoded rows are kept in the recipe's folder of runs, so that the next run begins
            where something has changed; those before the last curator that anonymises never are.
    """

    def __init__(
        self,
        sources: dict[str, Source],
        curators: dict[str, Curator] = {},  # noqa: B006  jsonargparse shows it; never changed
        split: Split = Split(),  # noqa: B008  the same
        mixture: Mixture = Mixture(),  # noqa: B008  the same
        curriculum: Curriculum | None = None,
        max_length: int | None = None,
        truncation: Literal["right", "left", "drop"] = "right",
        batch_size: int = 8,
        max_tokens: int | None = None,
        workers: int = 0,
        reject_limit: float = LIMIT,
        keep_rejected: bool = False,
        cache: bool = True,
    ) -> None:
        super().__init__()
        self.sources = sources
        self.curators = curators
        self.split = split
        self.mixture = mixture
        self.curriculum = curriculum
        self.max_length = max_length
        self.truncation = truncation
        self.batch_size = batch_size
        self.max_tokens = max_tokens
        self.workers = workers
        self.reject_limit = reject_limit
        self.keep_rejected = keep_rejected
        self.cache = cache
        self.losses: NDArray[np.float64] | None = None  # of training rows under the base, for a curriculum by loss
        self._drawn: tuple[EncodedSplit, Draws | None, Order | None] | None = None
        self._restored: dict[str, Any] | None = None
        self.leaves_cut_epoch = False  # what a training loader does with a position of other rows

    def plan(
        self, split: SplitName, *, accumulate: int = 1, world: int = 1, limit: float | None = None, shuffle: bool = True
    ) -> Plan:
        """Micro-batches of a split; training's are shuffled and know their windows.

        Args:
            split: Which rows.
            accumulate: Micro-batches a rank and optimizer step.
            world: Ranks.
            limit: Micro-batches a rank and epoch at most, or a share of them if it is a float, as Lightning counts.
            shuffle: Whether training's rows are permuted in every epoch.
        """
        if accumulate < 1:
            msg = f"trainer.accumulate_grad_batches is {accumulate}; it must be 1 or more"
            raise RecipeError(msg)
        rows = self.encoded(split)
        training = split == "train"
        draws, order = self.drawn() if training else (None, None)
        whole = Plan(
            rows.lengths,
            rows.units if training else None,
            batch_size=self.batch_size,
            max_tokens=self.max_tokens,
            accumulate=accumulate,
            world=world,
            seed=self._ready()[2],
            shuffle=training and shuffle,
            quadratic=self._quadratic,
            shapes=rows.shapes if self._padded and self.max_tokens is not None else None,
            draws=draws,
            order=order,
            beside=self.own.companions(accumulate, world) if training else (),
        )
        return replace(whole, limit=int(len(whole) * limit) if isinstance(limit, float) else limit)

    def drawn(self) -> tuple[Draws | None, Order | None]:
        """How often each training row is drawn in an epoch, and in which order; None for once, and for any."""
        rows = self.encoded("train")
        if self._drawn is None or self._drawn[0] is not rows:
            draws = draws_of(rows, self.mixture, self.sources, self._ready()[2])
            self._drawn = (rows, draws, order_of(rows, self.curriculum, self.losses))
        return self._drawn[1:]

    def set_losses(self, losses: NDArray[np.float64]) -> None:
        """Take the training rows' losses under the base, `[rows]`, for a curriculum by loss; before training."""
        self.losses, self._drawn = losses, None

    def plan_for(self, trainer: Any) -> Plan:
        """Training's micro-batches as a Trainer runs them."""
        return self.plan(
            "train",
            accumulate=trainer.accumulate_grad_batches,
            world=trainer.world_size,
            limit=trainer.limit_train_batches,
            shuffle=trainer.overfit_batches == 0,
        )

    def train_dataloader(self) -> PlanLoader:
        """Training batches of this rank, with the windows that Trainer will run (trap 46).

        Raises:
            RecipeError: The accumulation changes while training.
            DataError: There is no row to train on.
        """
        trainer: Any = self.trainer
        if trainer is None:
            return self._load("train", self.plan("train"))
        if any(isinstance(callback, GradientAccumulationScheduler) for callback in trainer.callbacks):
            why = "changes the accumulation, which windows cannot follow; set trainer.accumulate_grad_batches"
            msg = f"trainer.callbacks: GradientAccumulationScheduler {why}"
            raise RecipeError(msg)
        loader = self._load("train", self.plan_for(trainer))
        if self._restored is not None:
            loader.load_state_dict(self._restored)
            self._restored = None
        return loader

    def val_dataloader(self) -> PlanLoader:
        """Validation batches of this rank: every row once over all ranks, in order."""
        return self._evaluate("validation")

    def test_dataloader(self) -> PlanLoader:
        """Test batches of this rank: every row once over all ranks, in order."""
        return self._evaluate("test")

    def state_dict(self) -> dict[str, Any]:
        """The training loader's position.

        Lightning saves and restores a loader's own state too, but not where the loader was made before the checkpoint
        was read, as `trainer.estimated_stepping_batches` in `configure_optimizers` does: the epoch would begin anew.
        """
        loader = self.trainer.train_dataloader if self.trainer is not None else None
        return {"train": loader.state_dict()} if isinstance(loader, PlanLoader) else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the position for the training loader, which is made next."""
        self._restored = state_dict.get("train")

    def _evaluate(self, split: SplitName) -> PlanLoader:
        return self._load(split, self.plan(split, world=self.trainer.world_size if self.trainer is not None else 1))

    def _load(self, split: SplitName, plan: Plan) -> PlanLoader:
        if split == "train":
            self.prepare_rows().need(split)
        rank = self.trainer.global_rank if self.trainer is not None else 0
        renderer, objective, seed, _ = self._ready()
        beside, draw = self.own.beside() if plan.beside else {}, drawing(objective, renderer, seed)
        loader = PlanLoader(self.encoded(split).rows, plan, rank, self.workers, beside, draw)
        loader.leaves_cut_epoch = self.leaves_cut_epoch
        return loader
