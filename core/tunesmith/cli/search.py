"""The verb `search`: which options train best, or whether more data would."""

import json
import math
import time
from collections.abc import Mapping
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tunesmith.cli.opening import command
from tunesmith.cli.runs import compared, digest, method, value_at, write_json
from tunesmith.cli.screen import fact, say
from tunesmith.cli.search_data import search_data
from tunesmith.cli.trainer_checks import validated
from tunesmith.cli.trainer_cli import Session
from tunesmith.cli.trials import lighten, open_trial, reason, train
from tunesmith.data.tasks import tasks_stated, told_apart
from tunesmith.errors import AbsentPackageError, RecipeError
from tunesmith.report.search_page import search_page
from tunesmith.search.distribution import distribution, shown
from tunesmith.search.space import LOSS, Search, Value, overlay, overrides

if TYPE_CHECKING:
    import optuna

_NAME = "search"
_FAILURES = 3  # in a row from the beginning: the recipe is wrong, not its options


def search(session: Session) -> int:
    """Search; exit code 0 with the best options written as an overlay."""
    over = session.arguments.options.get("over")
    if over is not None:
        if over != "data":
            msg = f"--over {over} is nothing to search over; --over data, or leave it out to search the recipe's space"
            raise RecipeError(msg)
        return search_data(session)
    wanted: Search = session.search
    wanted.check(validated(session, told_apart(tasks_stated(session.data.sources, "validation"))))
    if find_spec("optuna") is None:
        msg = "search needs the package optuna: pip install 'tunesmith[search]'"
        raise AbsentPackageError(msg)
    open_trial(session.arguments, [])
    for key, values in wanted.space.items():
        for value in values.extremes():  # what fit would refuse is said before the first trial
            _opened(session, key, value)
    return _Searching(session, wanted).run()


def _opened(session: Session, key: str, value: Value) -> None:
    try:
        open_trial(session.arguments, overrides({key: value}))
    except RecipeError as error:
        msg = f"search.space.{key}, {value}: {error}"
        raise RecipeError(msg) from error


class _Searching:
    """A search in its folder, which may be gone on with."""

    def __init__(self, session: Session, wanted: Search) -> None:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.session, self.wanted = session, wanted
        self.made_by: dict[str, Any] = {
            "method": compared(method(session.config)),
            "space": session.config["search"].get("space"),
        }
        if wanted.by != LOSS:
            self.made_by["by"] = [wanted.by, wanted.mode]
        self.is_max = wanted.mode == "max"
        self.folder = self._folder()
        storage = JournalStorage(JournalFileBackend(str(self.folder / "journal.log")))
        done = sum(1 for _ in storage.get_all_studies())
        self.study = optuna.create_study(
            study_name=_NAME,
            storage=storage,
            load_if_exists=True,
            direction="maximize" if self.is_max else "minimize",
            sampler=optuna.samplers.TPESampler(seed=session.seed, n_startup_trials=wanted.startup, multivariate=True),
            pruner=optuna.pruners.MedianPruner() if wanted.prune else optuna.pruners.NopPruner(),
        )
        self.distributions = {key: distribution(values) for key, values in wanted.space.items()}
        if not done:
            self._enqueue_own()
        self.begin = time.monotonic()

    def _folder(self) -> Path:
        """A new folder, or the one to go on with."""
        root = self.session.root / self.session.name / _NAME
        chosen = self.session.arguments.options.get("run")
        if self.session.arguments.options.get("ckpt_path") not in (None, "last"):
            msg = "--ckpt_path of a search is last, which goes on with the newest; --run FOLDER names another"
            raise RecipeError(msg)
        if chosen is None and "ckpt_path" not in self.session.arguments.options:
            folder = root / datetime.now().astimezone().strftime("%Y-%m-%d_%H-%M-%S")
            folder.mkdir(parents=True)
            return folder
        there = sorted(path.parent for path in root.glob("*/journal.log"))
        folder = Path(chosen) if chosen is not None else there[-1] if there else root / "none"
        known = _read(folder / "search.json")
        if not known:
            where = (
                f"; searches: {', '.join(map(str, there))}" if there else ", and there is none; leave --ckpt_path out"
            )
            msg = f"{folder} is no search that can be gone on with{where}"
            raise RecipeError(msg)
        if known.get("made_by") != digest(self.made_by):
            msg = f"{folder} searched another recipe or space; its trials say nothing of this one: begin a new search"
            raise RecipeError(msg)
        return folder

    def _enqueue_own(self) -> None:
        """What the recipe says itself comes first, where the space holds it: the one to beat."""
        own = {key: _own(self.session.config, key) for key in self.wanted.space}
        held = {key: value for key, value in own.items() if self.wanted.space[key].holds(value)}
        if len(held) == len(own):
            self.study.enqueue_trial(held, user_attrs={"own": True})

    def run(self) -> int:
        """Train trial after trial."""
        import optuna

        for trial in self.study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
            self.study.tell(trial.number, state=optuna.trial.TrialState.FAIL)  # the one of a killed search
            self.study.enqueue_trial(trial.params, user_attrs=dict(trial.user_attrs))
        say(f"search {self.session.name}", style="bold")
        fact("space", "; ".join(f"{key} {shown(values)}" for key, values in self.wanted.space.items()))
        fact("folder", str(self.folder))
        self._write()
        waiting = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED, optuna.trial.TrialState.FAIL)
        while (number := len(self.study.get_trials(deepcopy=False, states=waiting))) < self.wanted.trials:
            self._one(self.study.ask(self.distributions), number)
            self._write()
        return self._end()

    def _one(self, trial: "optuna.Trial", number: int) -> None:
        import optuna

        said = ", ".join(f"{key.rpartition('.')[2]} {_short(value)}" for key, value in trial.params.items())

        def report(done: int, value: float) -> bool:
            trial.report(value, done)
            return self.wanted.prune and math.isfinite(value) and trial.should_prune()

        folder = str(self.folder.relative_to(self.session.root))
        try:
            found = train(self.session.arguments, overrides(trial.params), folder, report, self.wanted.by)
        except KeyboardInterrupt:
            raise
        except Exception as error:  # out of memory, a loss that is no number: these options are no good
            trial.set_user_attr("failed", reason(error))
            self.study.tell(trial, state=optuna.trial.TrialState.FAIL)
            say(f"trial {number + 1}/{self.wanted.trials}  {said}: failed: {reason(error)}")
            if number + 1 >= _FAILURES and not self._values():
                msg = f"the first {number + 1} trials failed, the last of them: {error}"
                raise RecipeError(msg) from error
            return
        trial.set_user_attr("run", str(found.run.path))
        trial.set_user_attr("seconds", found.seconds)
        trial.set_user_attr("loss", found.loss)
        trial.set_user_attr("value", found.value)
        state = optuna.trial.TrialState.PRUNED if found.ended else optuna.trial.TrialState.COMPLETE
        self.study.tell(trial, None if found.ended else found.value, state=state)
        self._keep()
        best = self._values()[:1]
        note = "  ended early" if found.ended else "  the best so far" if best == [found.value] else ""
        told = f"{self.wanted.by} {found.value:.4f} ({found.seconds:.0f} s){note}"
        say(f"trial {number + 1}/{self.wanted.trials}  {said}: {told}")

    def _values(self) -> list[float]:
        """Of the trials that ended, the best first."""
        values = [one.value for one in self._ended() if one.value is not None]
        return sorted(values, reverse=self.is_max)

    def _ended(self) -> "list[optuna.trial.FrozenTrial]":
        """Trials that ran to their end."""
        import optuna

        return self.study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))

    def _keep(self) -> None:
        """Leave weights to the best trials only: those of all would fill a disk."""
        from tunesmith.cli.runs import Run

        done = [one for one in self.study.get_trials(deepcopy=False) if "run" in one.user_attrs]
        done.sort(key=self._rank)
        for one in done[self.wanted.keep :]:
            lighten(Run(Path(one.user_attrs["run"])))

    def _rank(self, trial: "optuna.trial.FrozenTrial") -> float:
        """Less is better; infinite for a trial that did not end."""
        if trial.state.name != "COMPLETE" or trial.value is None:
            return math.inf
        return -trial.value if self.is_max else trial.value

    def _write(self) -> dict[str, Any]:
        content = {
            "recipe": self.session.name,
            "by": self.wanted.by,
            "mode": self.wanted.mode,
            "made_by": digest(self.made_by),
            "space": {key: shown(values) for key, values in self.wanted.space.items()},
            "log": [key for key, values in self.wanted.space.items() if values.log],
            "own": {key: _own(self.session.config, key) for key in self.wanted.space},
            "trials": [
                {
                    "number": one.number + 1,
                    "state": one.state.name.lower(),
                    "values": one.params,
                    "loss": one.user_attrs.get("loss"),
                    "value": one.user_attrs.get("value", one.user_attrs.get("loss")),
                    **{
                        key: one.user_attrs[key] for key in ("run", "seconds", "failed", "own") if key in one.user_attrs
                    },
                }
                for one in self.study.get_trials(deepcopy=False)
                if one.state.is_finished()
            ],
            "importance": self._importance(),
        }
        write_json(self.folder / "search.json", content)
        return content

    def _importance(self) -> dict[str, float]:
        """What mattered: PED-ANOVA (Watanabe et al. 2023, arXiv:2304.10255); nothing where too few trials ended."""
        import optuna

        ended = self._ended()
        if len(ended) < 2 * len(self.wanted.space) or len({one.value for one in ended}) < 4 or len(ended) < 5:
            return {}
        try:
            evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.25)
            found = optuna.importance.get_param_importances(self.study, evaluator=evaluator)
        except (ValueError, RuntimeError):  # all trials have one value of an option
            return {}
        return {key: float(share) for key, share in found.items() if math.isfinite(share)}

    def _end(self) -> int:
        content = self._write()
        ended = self._ended()
        if not ended:
            msg = f"no trial of {len(content['trials'])} ended; see {self.folder / 'search.json'}"
            raise RecipeError(msg)
        best = min(ended, key=self._rank)
        path = self.folder / "best.yaml"
        trials = f"{len(content['trials'])} trials"
        head = f"# Found by a search over {trials}: {self.wanted.by} {best.value:.4f}, trial {best.number + 1}.\n"
        path.write_text(head + yaml.safe_dump(overlay(best.params), sort_keys=False), encoding="utf-8")
        (self.folder / "search.html").write_text(search_page(content), encoding="utf-8")
        own = next((one for one in ended if one.user_attrs.get("own")), None)
        beside = (
            "" if own is None else f"; the recipe's own {own.value:.4f}" if own is not best else ": the recipe's own"
        )
        say(f"best: {self.wanted.by} {best.value:.4f}, trial {best.number + 1}{beside}", style="bold")
        for key, value in best.params.items():
            share = content["importance"].get(key)
            fact("", f"{key}: {_short(value)}{'' if share is None else f'  ({share:.0%} of what mattered)'}")
        fact("report", str(self.folder / "search.html"))
        fact("overlay", str(path))
        say(f"next: {command(self.session, 'fit', '--config', str(path))}")
        return 0


def _own(config: Mapping[str, Any], key: str) -> Any:
    """What the recipe says itself; options of a class may be named without `init_args`."""
    found = value_at(config, key)
    if found is None:
        *parents, last = key.split(".")
        found = value_at(config, ".".join([*parents, "init_args", last]))
    if isinstance(found, Mapping) and isinstance(found.get("class_path"), str):
        return found["class_path"].rpartition(".")[2]
    return found


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
