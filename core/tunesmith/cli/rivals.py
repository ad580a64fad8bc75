"""The baselines that a recipe names, ready to be asked."""

import gc
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from tunesmith.cli.answers import answers_folder, known_answers
from tunesmith.cli.arguments import Arguments
from tunesmith.cli.device import device
from tunesmith.cli.models import Answering, answering, asked
from tunesmith.cli.pinned import pin
from tunesmith.cli.runs import Run, checkpoint_of, chosen_run, digest
from tunesmith.cli.screen import warn
from tunesmith.cli.trainer_cli import Session, open_session
from tunesmith.data.pipeline import Curated
from tunesmith.errors import RecipeError
from tunesmith.evaluation.baseline import Baseline, Endpoint, Rival
from tunesmith.evaluation.collect import Asked
from tunesmith.evaluation.decoding import Answer
from tunesmith.evaluation.questions import Question

_Tools = Sequence[Sequence[Mapping[str, Any]]] | None
_Told = Callable[[int, int], None] | None


@dataclass
class OtherRun:
    """The tuned model of another run, loaded when it is asked, beside the one under test.

    Args:
        session: The recipe under test, whose decoding, device, `--plugin` and `--trust` it is asked with.
        run: Where it lies.
        checkpoint: One of its checkpoints, which is asked in place of what it ended with.
    """

    session: Session
    run: Run
    checkpoint: Path | None = None

    def answers(self, prompts: Sequence[Question], tools: _Tools = None, progress: _Told = None) -> list[Answer]:
        """Answers to prompts, in order."""
        return self._model.answers(prompts, tools, progress)

    def logprob(
        self,
        conversations: Sequence[Question],
        tools: _Tools = None,
        progress: _Told = None,
    ) -> list[tuple[float, int]]:
        """Log-probabilities of what has a weight, and the number of its tokens: its own, not those of another base."""
        return self._model.logprob(conversations, tools, progress)

    def classify(
        self,
        prompts: Sequence[Question],
        labels: Sequence[str],
        tools: _Tools = None,
        progress: _Told = None,
    ) -> list[list[float]]:
        """Probabilities of labels as the whole answer."""
        return self._model.classify(prompts, labels, tools, progress)

    def release(self) -> None:
        """Let go of the model, which would be loaded again where it were asked again."""
        self.__dict__.pop("_model", None)
        gc.collect()  # modules and their hooks hold each other
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    @cached_property
    def _model(self) -> Answering:
        given = self.session.arguments.repeated
        config = [str(self.run.path / "config.yaml")]
        other = open_session(Arguments("test", repeated={**given, "config": config}))
        pin(other, self.run)
        other.model.load()
        if self.checkpoint is None:
            other.model.load_adapter(self.run.adapter)
        else:
            state = torch.load(self.checkpoint, map_location="cpu", weights_only=True)["state_dict"]
            other.model.restore_trained(state)
        other.model.to(device(self.session.trainer_options))
        other.model.eval()
        model = answering(other, self.session.generation, self.session.seed)
        if self.session.generation.cache:
            model.known, _ = known_answers(other, self.run, self.checkpoint)
        return model


@dataclass(frozen=True)
class Rivals:
    """The baselines of a recipe, checked before a model is loaded.

    Args:
        session: The recipe.
        curated: Its rows.
        run: The run under test.
    """

    session: Session
    curated: Curated
    run: Run
    _runs: dict[str, tuple[Run, Path | None]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        for name, baseline in self.session.baselines.items():
            if baseline.run is None and baseline.checkpoint is None:
                continue
            run = self.run if baseline.run is None else self._run(name, Path(baseline.run))
            wanted, said = baseline.checkpoint, f"baselines.{name}.checkpoint"
            self._runs[name] = run, None if wanted is None else checkpoint_of(run, wanted, said)

    def beside(self, base: Asked) -> dict[str, Rival]:
        """Those that can be asked, by name.

        Args:
            base: Who is asked where a baseline names nobody else.
        """
        train, seed = asked(self.session, self.curated.splits["train"], quiet=True), self.session.seed
        return {
            name: Rival(self._who(name, baseline, base), baseline.asking(train, seed, name), self._training(name))
            for name, baseline in self.session.baselines.items()
        }

    def _training(self, name: str) -> float:
        if self.session.baselines[name].endpoint is not None:
            return math.nan
        if name not in self._runs:
            return 0.0
        run, checkpoint = self._runs[name]
        return run.processor_seconds if checkpoint is None else math.nan

    def _who(self, name: str, baseline: Baseline, base: Asked) -> Asked:
        if baseline.endpoint is not None:
            generation = self.session.generation
            folder = answers_folder(self.session) if generation.cache else None
            return Endpoint(baseline, name, generation, self.session.seed, folder)
        return OtherRun(self.session, *self._runs[name]) if name in self._runs else base

    def _run(self, name: str, path: Path) -> Run:
        try:
            run = chosen_run(str(path))
        except RecipeError as error:
            msg = f"baselines.{name}.run: {str(error).replace('--run ', '')}"
            raise RecipeError(msg) from None
        if not run.complete:
            msg = f"baselines.{name}.run: {path} did not end, so that it has no model to compare with"
            raise RecipeError(msg)
        then, now = (run.lock.get("method") or {}).get("data") or {}, self.session.config["data"]
        same = run.lock.get("data") == self.curated.hashes
        if not same or digest(then.get("split")) != digest(now.get("split")):
            warn(
                f"baselines.{name}: {path} was trained on other sources or another split, and may have seen rows that "
                "are test rows here"
            )
        return run
