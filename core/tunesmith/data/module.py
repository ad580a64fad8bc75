"""The data of a recipe for Lightning: sources to curated, encoded splits, and their loaders."""

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import lightning
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from lightning.pytorch.utilities import rank_zero_only

from tunesmith.data.cache import Cache
from tunesmith.data.curate import check_curators
from tunesmith.data.encode import EncodedSplit
from tunesmith.data.encoded_cache import encode_kept
from tunesmith.data.loader import PlanLoader
from tunesmith.data.pipeline import Curated, curate
from tunesmith.data.plan import Plan
from tunesmith.data.rejected import LIMIT
from tunesmith.data.render import ChatRenderer
from tunesmith.data.sources import Source, SplitName
from tunesmith.data.split import Split
from tunesmith.errors import RecipeError
from tunesmith.plugins.interfaces import Curator, Formatter, Objective


class RecipeData(lightning.LightningDataModule):
    """The data of a recipe, from rows to batches.

    Args:
        sources: Where rows come from, by name.
        curators: What improves them, by name, in order.
        split: How rows are split whose source does not say.
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
        self.max_length = max_length
        self.truncation = truncation
        self.batch_size = batch_size
        self.max_tokens = max_tokens
        self.workers = workers
        self.reject_limit = reject_limit
        self.keep_rejected = keep_rejected
        self.cache = cache
        self.formatters: list[type[Formatter]] | None = None  # all that the recipe may name; the command says it
        self.cache_folder: Path | None = None  # the same
        self._bound: tuple[ChatRenderer, Objective, int, Path | None] | None = None
        self._longest = max_length
        self._quadratic = 0.0
        self._padded = False
        self._curated: Curated | None = None
        self._seed: int | None = None  # that of the curated rows
        self._encoded: dict[SplitName, EncodedSplit] = {}
        self._restored: dict[str, Any] | None = None
        self.leaves_cut_epoch = False  # what a training loader does with a position of other rows

    def bind(
        self,
        renderer: ChatRenderer,
        objective: Objective,
        seed: int,
        directory: Path | None,
        *,
        max_positions: int | None = None,
        quadratic: float = 0.0,
        padded: bool = False,
    ) -> None:
        """Say what the rest of the recipe brings; before any use.

        Args:
            renderer: The base's tokenizer and chat template.
            objective: Says how an example becomes sequences.
            seed: Seed of curators and of the order of rows.
            directory: The run's, for `rejected.jsonl`; None writes nothing.
            max_positions: Tokens that the base can tell the places of; longer rows are truncated to it.
            quadratic: As in `Plan`.
            padded: Whether documents are padded to the longest of their micro-batch.

        Raises:
            RecipeError: An option has a value that cannot be.
        """
        self.check(max_positions)
        self._quadratic, self._padded = quadratic, padded
        limits = [limit for limit in (self.max_length, max_positions) if limit is not None]
        self._longest = min(limits, default=None)
        if self._seed != seed:
            self._curated = None
        self._bound = (renderer, objective, seed, directory)
        self._encoded = {}

    def prepare_rows(self) -> Curated:
        """Read, curate and split the rows, once.

        Raises:
            DataError: A source cannot be read.
        """
        _, _, seed, directory = self._ready()
        # All ranks read the same rows; the first writes what was set aside
        first = rank_zero_only.rank == 0  # type: ignore[attr-defined]  # Lightning sets it
        return self.read_rows(seed, directory / "rejected.jsonl" if directory is not None and first else None)

    def read_rows(self, seed: int, rejected_file: Path | None = None) -> Curated:
        """Read, curate and split the rows, once; needs no base.

        Args:
            seed: The recipe's.
            rejected_file: Where rows that were set aside are written; None writes nothing.

        Raises:
            DataError: A source cannot be read.
        """
        if self._curated is None:
            self._curated = curate(
                self.sources,
                self.curators,
                self.split,
                seed=seed,
                reject_limit=self.reject_limit,
                keep_rejected=self.keep_rejected,
                rejected_file=rejected_file,
                formatters=self.formatters,
                cache=self._kept,
            )
            self._seed = seed
        return self._curated

    def encoded(self, split: SplitName) -> EncodedSplit:
        """The rows of a split as sequences, once.

        Raises:
            DataError: The split has examples, and not one can be trained on.
        """
        if split not in self._encoded:
            renderer, objective, _, _ = self._ready()
            curated = self.prepare_rows()
            self._encoded[split] = encode_kept(
                self._kept,
                (curated.key, split),
                curated.splits[split],
                objective,
                renderer,
                self._longest,
                self.truncation,
            )
        return self._encoded[split]

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
        )
        return replace(whole, limit=int(len(whole) * limit) if isinstance(limit, float) else limit)

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
            msg = (
                "trainer.callbacks: GradientAccumulationScheduler changes the accumulation between epochs, which the "
                "loss of a window cannot follow; set trainer.accumulate_grad_batches to one number"
            )
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
        loader = PlanLoader(self.encoded(split).rows, plan, rank, self.workers)
        loader.leaves_cut_epoch = self.leaves_cut_epoch
        return loader

    @cached_property
    def _kept(self) -> Cache:
        folder = self.cache_folder
        return Cache(folder if self.cache else None, None if folder is None else folder.parent)

    def _ready(self) -> tuple[ChatRenderer, Objective, int, Path | None]:
        if self._bound is None:
            msg = "RecipeData.bind comes before any use of its rows"
            raise RuntimeError(msg)
        return self._bound

    def check(self, max_positions: int | None = None) -> None:
        """Raise RecipeError where an option has a value that cannot be.

        Args:
            max_positions: Tokens that the base can tell the places of, where it is known.
        """
        least = {"max_length": 2, "batch_size": 1, "max_tokens": 1, "workers": 0}
        for name, smallest in least.items():
            value = getattr(self, name)
            if value is not None and value < smallest:
                msg = f"data.{name} is {value}; it is a whole number of at least {smallest}"
                raise RecipeError(msg)
        if self.truncation not in ("right", "left", "drop"):
            msg = f"data.truncation is {self.truncation}; it takes right, left or drop"
            raise RecipeError(msg)
        if max_positions is not None and self.max_length is not None and self.max_length > max_positions:
            msg = f"data.max_length is {self.max_length}, but the base has {max_positions} positions; set at most that"
            raise RecipeError(msg)
        check_curators(self.curators)
