"""Whether an objective's options go together, and what goes with it: asked before rows or weights are there."""

from collections.abc import Mapping

from tunesmith.errors import RecipeError
from tunesmith.plugins.blame import blamed
from tunesmith.plugins.interfaces import Evaluator, Objective, Regularizer
from tunesmith.recipe.compose import Recipe

_KEY = "model.objective"


def check_objective(
    objective: Objective,
    regularizers: Mapping[str, Regularizer],
    evaluators: Mapping[str, Evaluator],
    recipe: Recipe,
) -> None:
    """Let the objective refuse options that cannot be, and refuse what its kind of model cannot do.

    Args:
        objective: As the recipe makes it.
        regularizers: By name.
        evaluators: By name.
        recipe: The recipe, for the file that says the option.

    Raises:
        RecipeError: Names the file, the key, and what to do.
    """
    try:
        with blamed(_KEY, objective):
            objective.check()
    except RecipeError as error:
        key = str(error).partition(" ")[0].rstrip(":")
        msg = f"{recipe.origin(key if key.startswith(_KEY) else _KEY)}: {error}"
        raise RecipeError(msg) from error
