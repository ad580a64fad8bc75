"""Whether an objective's options go together, and what goes with it: asked before rows or weights are there."""

from collections.abc import Mapping

from tunesmith.errors import RecipeError
from tunesmith.plugins.blame import blamed
from tunesmith.plugins.interfaces import Evaluator, Objective, Regularizer
from tunesmith.recipe.compose import Recipe

_KEY = "model.objective"
_A = {
    "causal": "a model that says the next token",
    "masked": "a model that fills in what is masked",
    "classification": "a head for classes, which scores no tokens",
}


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
    kind = objective.model_class
    for name, regularizer in regularizers.items():
        if kind not in regularizer.model_classes:
            key = f"model.regularizers.{name}"
            said = f"{type(regularizer).__name__} is for {' and '.join(sorted(regularizer.model_classes))} models"
            msg = f"{recipe.origin(key)}: {key}: {said}, and {type(objective).__name__} trains {_A[kind]}; leave it out"
            raise RecipeError(msg)
    for name, evaluator in evaluators.items():
        if kind == "classification" and (asked := {"logprob", "rejected"} & set(evaluator.needs)):
            key = f"evaluators.{name}"
            said = f"{type(evaluator).__name__} reads the probabilities of texts ({min(asked)})"
            msg = f"{recipe.origin(key)}: {key}: {said}, and {type(objective).__name__} trains {_A[kind]}; leave it out"
            raise RecipeError(msg)
