"""What every plugin keeps, of whatever kind: constructor, options, documentation, and that it travels."""

import inspect
import pickle
from typing import Any

from tunesmith.plugins import describe
from tunesmith.recipe.kinds import is_any, is_list, is_map, union_of
from tunesmith.recipe.signature import options, passes_all_on
from tunesmith.testing.argument import Argument, UsedError
from tunesmith.testing.check import Rule, Trial, fail, quoted, told
from tunesmith.testing.fresh import heavy_imports
from tunesmith.testing.recipe import through_a_recipe
from tunesmith.testing.same import same, state_of
from tunesmith.testing.watch import worked

_STORES = "self.<option> = <option> for each option, and nothing else"
_EMPTY: tuple[Any, ...] = (None, 0, False, "", [], {}, (), set())


def constructor_only_stores(trial: Trial) -> None:
    """The constructor stores each option unchanged under its own name: no work, no check, no file, no import.

    Why: `plugins list`, `recipes check` and the kit make plugins without using them; what a recipe says must be what a
    run's `config.yaml` writes; and a check of options belongs where a message can name the recipe's key.
    """
    cls, known = trial.cls, options(trial.cls)
    given = {name: Argument(name) for name in known}
    advice = "move the work into the method that needs it; a default of None is filled in there too"
    with worked() as work:
        try:
            plugin = cls(**given)
        except UsedError as used:
            fail(f"__init__ does something with {used}", _STORES, advice)
        except Exception as error:
            fail(f"__init__ does something with its arguments: {told(error)}", _STORES, advice)
    if work:
        fail(f"__init__ works: {work[0]}", _STORES, advice)
    held = state_of(plugin)
    for name, argument in given.items():
        if getattr(plugin, name, None) is not argument:
            what = f"holds {quoted(getattr(plugin, name))}" if hasattr(plugin, name) else "does not exist"
            fail(f"self.{name} {what} after __init__({name}=<a value>)", _STORES, advice)
    # None is the one value that a constructor can tell apart without using it
    for name in known:
        plugin = cls(**{**given, name: None})
        if getattr(plugin, name) is not None:
            fail(f"__init__({name}=None) stores {quoted(getattr(plugin, name))}", _STORES, advice)
    for name in held.keys() - known.keys():
        if not (name.startswith("_") and any(type(held[name]) is type(e) and held[name] == e for e in _EMPTY)):
            what = f"__init__ makes self.{name} = {quoted(held[name])}, which is no option"
            fail(what, f"{_STORES}; a private attribute may begin as None or empty", advice)


def options_are_typed(trial: Trial) -> None:
    """Every option has a name and a type; no bare map, list or Any, no *args, no **kwargs but for a base's options.

    Why: recipes are checked against these types before anything runs. What is not typed swallows a misspelt key or a
    wrong value without a word (trap 40), and has no place in the schema that editors complete from. `**kwargs` that go
    whole to a base class's constructor stand for the options that it names.
    """
    expected = "an annotation such as int, str, bool, list[str], Literal['a', 'b'], Path | None"
    more = None  # the `**kwargs` of the classes so far
    for owner in trial.cls.__mro__:
        init = vars(owner).get("__init__")
        if owner is object or init is None:
            continue
        more = None
        for parameter in list(inspect.signature(init).parameters.values())[1:]:
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
                fail(f"__init__ takes {parameter}", "options by name", "give each option a name; a recipe has no order")
            if parameter.kind is parameter.VAR_KEYWORD:
                more = parameter
            elif parameter.annotation is parameter.empty:
                fail(f"option {parameter.name} has no type", expected, f"annotate {parameter.name} in __init__")
        if more is None or not passes_all_on(init, more.name):
            break
    if more is not None:
        advice = f"name each option, or give all of it to a base class that names them: super().__init__(**{more.name})"
        fail(f"__init__ takes {more}, which swallows a misspelt option", "options by name", advice)
    for name, option in options(trial.cls).items():
        if _loose(option.hint):
            shown = describe.annotation(option.hint)
            fail(f"option {name} is typed {shown}, which takes anything", expected, f"say what {name} holds")


def _loose(hint: Any) -> bool:
    from typing import get_args

    for one in union_of(hint):
        inner = get_args(one)
        if is_any(one) or ((is_map(one) or is_list(one)) and (not inner or _loose(inner[-1]))):
            return True
    return False


def options_are_documented(trial: Trial) -> None:
    """The class has a docstring, whose Args section says what each option does, and names no other.

    Why: it is the only documentation that users of the plugin see, in `plugins describe` and on help pages. A stale
    name in it is an option that nothing reads (trap 39).
    """
    cls = trial.cls
    expected = 'a docstring of the class with "Args:" and one line "name: what it does" for each option'
    if not describe.summary(cls):
        fail(f"{cls.__name__} has no docstring", expected, "write what the plugin does in its first line")
    documented = describe.options(cls)
    for option in documented:
        if not option.doc:
            advice = f"add `{option.name}: ...` below Args in the docstring of {cls.__name__}"
            fail(f"option {option.name} is not documented", expected, advice)
    known = {option.name for option in documented}
    for name in describe.arguments(cls.__dict__.get("__doc__") or ""):
        if name not in known:
            advice = f"remove `{name}` from the docstring, or add the option"
            fail(f"the docstring documents {name}, which is no option", expected, advice)


def can_be_pickled(trial: Trial) -> None:
    """An instance goes through pickle and comes back equal.

    Why: loader workers and the processes of a distributed run get their plugins by pickle; one that cannot be pickled
    works until somebody sets `data.workers` or a second device.
    """
    expected = "pickle.loads(pickle.dumps(plugin)) equals plugin"
    advice = "store plain options only, no lambdas or open files; define the class at the top level of its module"
    try:
        back = pickle.loads(pickle.dumps(trial.plugin))  # noqa: S301  our own bytes
    except Exception as error:
        fail(f"pickling fails with {told(error)}", expected, advice, error)
    if type(back) is not trial.cls or not same(state_of(trial.plugin), state_of(back)):
        fail(f"{quoted(state_of(trial.plugin))} came back as {quoted(state_of(back))}", expected, advice)


def survives_a_recipe(trial: Trial) -> None:
    """Options written to a recipe as YAML and read back through the real reader give an equal instance.

    Why: a run writes its resolved recipe and is resumed, tested and shared from it. An option that YAML or the recipe's
    check cannot carry gives another plugin there, or none.
    """
    expected = "an instance with equal options after YAML, the recipe's check and jsonargparse"
    advice = "give options plain types: text, numbers, true/false, lists and maps of these, paths, or null"
    try:
        back = through_a_recipe(trial.plugin)
    except Exception as error:
        fail(f"the recipe is refused: {error}", expected, advice, error)
    for name in options(trial.cls):
        before, after = getattr(trial.plugin, name, None), getattr(back, name, None)
        if not same(before, after):
            fail(f"option {name} was {quoted(before)} and came back as {quoted(after)}", expected, advice)


def imports_no_torch(trial: Trial) -> None:
    """Importing the plugin's module loads neither torch nor lightning nor transformers.

    Why: `plugins list`, help pages and the check of a recipe load every installed plugin. Torch alone takes seconds
    there, for each user and each command, also of those who never use the plugin.
    """
    loaded = heavy_imports(trial.cls)
    if loaded:
        fail(
            f"importing {trial.cls.__module__} loads {', '.join(loaded)}",
            "no torch, lightning or transformers until a method needs it",
            "import them inside the methods; for annotations, under `if TYPE_CHECKING:`",
        )


CLASS_CHECKS: list[Rule] = [constructor_only_stores, options_are_typed, options_are_documented, imports_no_torch]
INSTANCE_CHECKS: list[Rule] = [can_be_pickled, survives_a_recipe]
