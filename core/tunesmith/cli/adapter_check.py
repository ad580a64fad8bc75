"""Whether an adapter's options go together, and with the rest: it is asked before rows or weights are there."""

from tunesmith.errors import RecipeError
from tunesmith.recipe.compose import Recipe
from tunesmith.training.specialist import Specialist


def check_adapter(model: Specialist, recipe: Recipe) -> None:
    """Let the adapter refuse options that cannot be.

    Args:
        model: As the recipe makes it; nothing is loaded.
        recipe: The recipe, for the file that says the option.

    Raises:
        RecipeError: It refuses; names the file before the adapter's own words. Or it cannot run as the model is to.
    """
    name = type(model.adapter).__name__
    if model.gradient_checkpointing and not model.adapter.recomputable:
        key = "model.gradient_checkpointing"
        is_on = f"{recipe.origin(key)}: {key} is {str(model.gradient_checkpointing).lower()}"
        msg = f"{is_on}, but what {name} trains is lost where activations are computed again; set it to false"
        raise RecipeError(msg)
    try:
        model.adapter.check()
    except RecipeError as error:
        key = str(error).partition(" ")[0].rstrip(":")
        msg = f"{recipe.origin(key if key.startswith('model.adapter') else 'model.adapter')}: {error}"
        raise RecipeError(msg) from error
