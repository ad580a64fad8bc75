"""From a recipe's `data` and what the rest of it brings to encoded rows of each split."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only

from tunesmith.data.cache import Cache
from tunesmith.data.curate import check_curators
from tunesmith.data.curriculum import Curriculum
from tunesmith.data.encode import EncodedSplit
from tunesmith.data.encoded_cache import encode_kept
from tunesmith.data.mixture import Mixture
from tunesmith.data.ordering import weights_of
from tunesmith.data.own_rows import OwnRows
from tunesmith.data.pipeline import Curated, curate, part_of
from tunesmith.data.render import ChatRenderer
from tunesmith.data.sources import Source, SplitName
from tunesmith.data.split import Split
from tunesmith.data.tasks import tasks_there
from tunesmith.data.truncate import Truncation
from tunesmith.errors import RecipeError
from tunesmith.plugins.interfaces import Curator, Formatter, Objective, Regularizer


class RecipeRows:
    """The rows of a recipe, read, curated, split and encoded once each. Options are those of `RecipeData`.

    Attributes:
        formatters: All that the recipe may name; the command says it.
        cache_folder: Where results are kept; the same.
        share: The part of the training rows that is trained on, and which of several such parts; smaller ones lie
            within larger ones. All rows where it is None.
    """

    sources: dict[str, Source]
    curators: dict[str, Curator]
    split: Split
    mixture: Mixture
    curriculum: Curriculum | None
    max_length: int | None
    truncation: Truncation
    batch_size: int
    max_tokens: int | None
    workers: int
    reject_limit: float
    keep_rejected: bool
    cache: bool

    def __init__(self) -> None:
        super().__init__()
        self.formatters: list[type[Formatter]] | None = None
        self.cache_folder: Path | None = None
        self.share: tuple[float, int] | None = None
        self.own = OwnRows()  # of regularizers
        self._bound: tuple[ChatRenderer, Objective, int, Path | None] | None = None
        self._longest: int | None = None
        self._quadratic = 0.0
        self._padded = False
        self._curated: Curated | None = None
        self._seed: int | None = None  # that of the curated rows
        self._encoded: dict[SplitName, EncodedSplit] = {}
        self._tasks: dict[SplitName, dict[str, str]] = {}

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
        regularizers: Mapping[str, Regularizer] = {},
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
            regularizers: They may bring rows along.

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
        self._encoded, self._tasks = {}, {}
        self.own = OwnRows(regularizers, renderer, self._longest, self.truncation, quadratic, seed)

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
            if self.share is not None:
                self._curated = part_of(self._curated, *self.share)
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

    def tasks(self, split: SplitName) -> dict[str, str]:
        """The task of each source that has encoded rows of a split, by the source's name."""
        if split not in self._tasks:
            self._tasks[split] = tasks_there(self.sources, split, self.encoded(split))
        return self._tasks[split]

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
        self.mixture.check(weights_of(self.sources))
        if self.curriculum is not None:
            self.curriculum.check()
