"""The only file that knows LightningCLI: a checked recipe becomes model, data, evaluators and a Trainer.

LightningCLI parses and instantiates (`run=False`); the verbs are functions over the `Session` that comes out, because
`test`, `predict`, `audit` and `preview` do things that a Trainer loop does not (two models side by side, no batches).
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError, Namespace
from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import Logger

from tunesmith.cli.adapter_check import check_adapter
from tunesmith.cli.arguments import Arguments, help_page, parse
from tunesmith.cli.device import device
from tunesmith.cli.errors import explain
from tunesmith.cli.loggers import filled, place
from tunesmith.cli.objective_check import check_objective
from tunesmith.cli.optimizer_check import check_optimizer
from tunesmith.cli.quiet import quieten
from tunesmith.cli.refusals import check_folder, check_loggers, check_precision
from tunesmith.cli.runs import run_of
from tunesmith.cli.screen import say
from tunesmith.cli.session import Session as Session
from tunesmith.cli.trusted import say_trusted
from tunesmith.data.module import RecipeData
from tunesmith.data.read_as import formatters_of
from tunesmith.errors import RecipeError
from tunesmith.evaluation.baseline import Baseline
from tunesmith.evaluation.generation import Generation
from tunesmith.evaluation.slices import Comparing
from tunesmith.evaluation.threshold import Threshold
from tunesmith.plugins.catalog import Catalog
from tunesmith.plugins.interfaces import Audit, Evaluator
from tunesmith.recipe.compose import Recipe, compose
from tunesmith.recipe.requires import check_requires
from tunesmith.recipe.schema import check
from tunesmith.recipe.stages import KEY as STAGES
from tunesmith.recipe.trust import seal
from tunesmith.recipe.write_yaml import write_yaml
from tunesmith.search.space import Search
from tunesmith.training.specialist import Specialist

SUMMARIES = {
    "fit": "Train the recipe's model; ends with the adapter saved in a form that peft and vLLM load.",
    "validate": "Measure tuned model and base on the validation split.",
    "test": "Measure tuned model and base on the test split and decide whether the thresholds in `success` are met.",
    "predict": "Answer a file of rows, or one --prompt, with base and tuned model side by side.",
    "audit": "Run the recipe's audits on data, model or logged outputs.",
    "preview": "Show what would be trained: tokens with their loss weights, counts, steps, estimated time and memory.",
    "search": "Train with other options and find the best; --over data: is more data worth it?",
    "prepare": "Read, format, curate and split the data, and write what happened to each row.",
}

# A recipe's top-level keys, in a line each.
ABOUT = {
    "seed_everything": "The seed of everything that draws.",
    "model": "The base, and the method by which it is trained.",
    "data": "From rows to batches.",
    "generation": "How answers are written by `test`, `validate`, `predict` and audits.",
    "evaluators": "What is measured, by the name that logs, reports and `success` use.",
    "audits": "What looks for bias, by the name that reports and `success` use.",
    "baselines": "What `test` compares the tuned model with besides the base, by the name that `success` uses.",
    "comparison": "The slices that metrics are shown for, and how small one may be.",
    "success": "What `test` decides by: `name/metric` with `at_least`, `at_most`, `improves_by` ..., and `because`.",
    "stages": "Overrides for each stage, by its name, in order: each starts from the weights of the one before.",
    "search": "What `search` tries: keys of the recipe with their values, and how many trainings.",
    "plugins": "The plugin packages that may be used beside the built-ins; all of them where it is absent.",
    "requires": "Packages that must be installed, with versions, as pip takes them: `acme-plugins>=1.2`.",
    "trainer": "Lightning's own options: `max_epochs`, `devices`, `strategy`, `callbacks`, `logger` and others.",
}


def sections() -> dict[str, Any]:
    """A recipe's top-level keys with the type that each must have."""
    return {
        "seed_everything": int,
        "model": Specialist,
        "data": RecipeData,
        "generation": Generation,
        "evaluators": dict[str, Evaluator],
        "audits": dict[str, Audit],
        "baselines": dict[str, Baseline],
        "comparison": Comparing,
        "success": dict[str, Threshold],
        "search": Search,
        "plugins": list[str],
        "requires": list[str],
        "trainer": Trainer,
    }


class _Parser(LightningArgumentParser):
    """Raises instead of printing a usage dump and leaving."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "exit_on_error": False})


_KEPT: list[LightningArgumentParser] = []
"""The parser, once it was made: that takes a tenth of a second."""


class Command(LightningCLI):
    """Parses one composed recipe. The Trainer is made by `fit`, which alone knows the run directory."""

    def __init__(self, text: str) -> None:
        super().__init__(
            Specialist,
            RecipeData,
            run=False,
            save_config_callback=None,
            seed_everything_default=0,
            trainer_defaults={
                "use_distributed_sampler": False,  # else a custom batch sampler is a TypeError under DDP (decision 1)
                "enable_model_summary": False,
                "num_sanity_val_steps": -1,  # the whole validation split: the loss that the curve starts from
                "log_every_n_steps": 10,
            },
            parser_class=_Parser,
            args=["--config", text],
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
        )

    def setup_parser(self, *args: Any, **kwargs: Any) -> None:
        """Take the parser of the command before, if there was one in this process: all have the same arguments."""
        if not _KEPT:
            super().setup_parser(*args, **kwargs)
            _KEPT.append(self.parser)
        (self.parser,) = _KEPT

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the sections that Lightning does not know."""
        parser.add_argument("--generation", type=Generation, default=Generation())
        parser.add_argument("--evaluators", type=dict[str, Evaluator], default={})
        parser.add_argument("--audits", type=dict[str, Audit], default={})
        parser.add_argument("--baselines", type=dict[str, Baseline], default={})
        parser.add_argument("--comparison", type=Comparing, default=Comparing())
        parser.add_argument("--success", type=dict[str, Threshold], default={})
        parser.add_argument("--search", type=Search, default=Search())
        parser.add_argument("--plugins", type=list[str] | None, default=None)  # an empty list would allow none
        parser.add_argument("--requires", type=list[str] | None, default=None)

    def instantiate_classes(self) -> None:
        """Instantiate all but the Trainer and its loggers."""
        config = self.config.clone()
        config["trainer"]["logger"] = None
        self.config_init = self.parser.instantiate(config)
        self.datamodule = self.config_init["data"]
        self.model = self.config_init["model"]

    def loggers(self, directory: Path) -> list[Logger]:
        """The recipe's own loggers; those that name no place write into the run directory."""
        named = filled(self.config["trainer"]["logger"], directory)
        if named in (None, True, False):
            return []
        parser = _Parser()
        parser.add_argument("--loggers", type=list[Logger])
        config = Namespace(loggers=named if isinstance(named, list) else [named])  # type: ignore[no-untyped-call]
        return list(parser.instantiate(config)["loggers"])


def open_session(arguments: Arguments, *, resolve: bool = True) -> Session:
    """Compose, check, parse and instantiate a recipe; of one with stages that which is named, else the last.

    Args:
        arguments: The command line.
        resolve: Whether a later stage's base is what the one before it trained, and not the recipe's.

    Raises:
        RecipeError: Anything in the recipe is wrong, or the stage before was not trained.
    """
    if not arguments.repeated["config"]:
        msg = f"{arguments.verb} needs a recipe: lightning-cli {arguments.verb} --config recipes/medsync.yaml"
        raise RecipeError(msg)
    recipe = compose(arguments.repeated["config"], arguments.overrides, arguments.options.get("stage"))
    check_requires(recipe)
    allow = recipe.data.get("plugins")
    catalog = Catalog.load(
        allow=allow if isinstance(allow, list) else None,
        extra_files=[Path(p) for p in arguments.repeated["plugin"]],
    )
    trust = arguments.repeated["trust"]
    place(recipe.data.get("trainer"))
    checked = check(recipe, catalog, sections(), trust=trust)
    if resolve and recipe.stage is not None:
        from tunesmith.cli.stages import start_from_weights_before  # opens sessions itself

        start_from_weights_before(arguments, recipe, checked)
    check_loggers(checked, recipe)
    check_precision(checked, recipe)
    check_folder(checked, recipe)
    seal({e.cls.__module__.partition(".")[0] for e in catalog.entries}, trust)
    try:
        command = Command(write_yaml(checked))
    except (ArgumentError, ImportError, TypeError, ValueError) as error:
        raise RecipeError(explain(error, recipe)) from error
    check_optimizer(command.model.optimizer_factory, checked, recipe)
    check_adapter(command.model, recipe)
    session = _session(arguments, recipe, checked, command, catalog)
    check_objective(session.model.objective, session.model.regularizers, session.evaluators, recipe)
    return session


def _session(
    arguments: Arguments, recipe: Recipe, checked: Mapping[str, Any], command: Command, catalog: Catalog
) -> Session:
    init: Namespace = command.config_init
    command.datamodule.formatters = formatters_of(catalog)
    command.model.runs_on = device(dict(init["trainer"]))
    home = None if recipe.remote else run_of(recipe.paths[0])
    dump = command.parser.dump(command.config.clone(), skip_unset=True, format="yaml")
    config = {key: value for key, value in yaml.safe_load(dump).items() if key != "config"}
    # the parser adds options that Lightning's loggers pass on to others, which no recipe may name
    config["trainer"]["logger"] = (checked.get("trainer") or {}).get("logger")
    session = Session(
        arguments=arguments,
        name=home.lock["recipe"] if home is not None else _name(recipe),
        config=config,
        dump=yaml.safe_dump(config, sort_keys=False, allow_unicode=True),
        model=command.model,
        data=command.datamodule,
        evaluators=dict(init["evaluators"] or {}),
        audits=dict(init["audits"] or {}),
        baselines=dict(init["baselines"] or {}),
        comparison=init["comparison"],
        success=dict(init["success"] or {}),
        generation=init["generation"],
        trainer_options={**dict(init["trainer"]), "logger": command.config["trainer"]["logger"]},
        loggers=command.loggers,
        catalog=catalog,
        paths=recipe.paths,
        remote=recipe.remote,
        home=home,
        search=init["search"],
        stages=recipe.stages,
        stage=recipe.stage,
    )
    session.data.cache_folder = session.root / session.name / "cache"
    return session


def _name(recipe: Recipe) -> str:
    """The folder of the runs: the recipe's, in which stages but for the last have one each."""
    is_early = recipe.stage is not None and recipe.stage != recipe.stages[-1]
    return f"{recipe.name}/{recipe.stage}" if is_early else recipe.name


def run(verb: str, words: Sequence[str]) -> int:
    """Run a verb; returns the exit code."""
    known = [*sections(), STAGES]
    arguments = parse(verb, words, known)
    if arguments.help:
        say(help_page(verb, SUMMARIES[verb], known))
        return 0
    quieten()
    say_trusted(arguments.repeated["plugin"], arguments.repeated["trust"])
    if verb == "fit" and "stage" not in arguments.options and not arguments.flag("print_config"):
        recipe = compose(arguments.repeated["config"], arguments.overrides) if arguments.repeated["config"] else None
        if recipe is not None and recipe.stages:
            from tunesmith.cli.stages import fit_stages

            return fit_stages(arguments, recipe.stages)
    session = open_session(arguments)
    if arguments.flag("keep-rejected"):
        session.data.keep_rejected = True
    if arguments.flag("print_config"):
        sys.stdout.write(session.dump)
        return 0
    return _verbs()[verb](session)


def _verbs() -> Mapping[str, Callable[[Session], int]]:
    from tunesmith.cli.audit import audit
    from tunesmith.cli.evaluate import test, validate
    from tunesmith.cli.fit import fit
    from tunesmith.cli.predict import predict
    from tunesmith.cli.prepare import prepare
    from tunesmith.cli.preview import preview
    from tunesmith.cli.search import search

    return {
        "fit": fit,
        "validate": validate,
        "test": test,
        "predict": predict,
        "audit": audit,
        "preview": preview,
        "prepare": prepare,
        "search": search,
    }
