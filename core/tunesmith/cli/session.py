"""What a checked recipe becomes, and every verb works with."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback
from lightning.pytorch.loggers import Logger

from tunesmith.cli.arguments import Arguments
from tunesmith.cli.runs import Run
from tunesmith.data.module import RecipeData
from tunesmith.evaluation.baseline import Baseline
from tunesmith.evaluation.generation import Generation
from tunesmith.evaluation.slices import Comparing
from tunesmith.evaluation.threshold import Threshold
from tunesmith.plugins.catalog import Catalog
from tunesmith.plugins.interfaces import Audit, Evaluator
from tunesmith.search.space import Search
from tunesmith.training.specialist import Specialist


@dataclass(slots=True)
class Session:
    """All that a verb works with."""

    arguments: Arguments
    name: str
    config: dict[str, Any]
    dump: str
    model: Specialist
    data: RecipeData
    evaluators: dict[str, Evaluator]
    audits: dict[str, Audit]
    baselines: dict[str, Baseline]
    comparison: Comparing
    success: dict[str, Threshold]
    generation: Generation
    trainer_options: dict[str, Any]
    loggers: Callable[[Path], list[Logger]]
    """Makes the recipe's own loggers, given the run directory."""
    catalog: Catalog
    paths: list[Path]
    """The recipe's file and its overlays', but for what was read from the net."""
    remote: list[str]
    """The addresses that were read from the net."""
    home: Run | None
    """The run that the recipe's file lies in, where it is a `config.yaml` that `fit` wrote."""
    search: Search
    stages: list[str]
    """The recipe's stages, in order; none where it has none."""
    stage: str | None
    """The one that this is the session of."""
    beside: list[Callback] = field(default_factory=list)
    """Callbacks of the verb that trains, beside the recipe's."""

    @property
    def seed(self) -> int:
        """The recipe's seed."""
        return int(self.config["seed_everything"])

    @property
    def follows(self) -> str | None:
        """The stage that starts from this one's weights."""
        later = self.stages[self.stages.index(self.stage) + 1 :] if self.stage is not None else []
        return later[0] if later else None

    @property
    def callbacks(self) -> list[Callback]:
        """The recipe's own callbacks."""
        given = self.trainer_options.get("callbacks") or []
        return list(given) if isinstance(given, list) else [given]

    @property
    def root(self) -> Path:
        """The folder that holds all runs."""
        return Path(self.trainer_options.get("default_root_dir") or "runs")
