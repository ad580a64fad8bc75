"""Whether an adapter's options go together: it is asked before rows or weights are there."""

from tunesmith.errors import RecipeError
from tunesmith.plugins.interfaces import Adapter
from tunesmith.recipe.compose import Recipe


def check_adapter(adapter: Adapter, recipe: Recipe) -> None:
    """Let the adapter refuse options that cannot be.

    Args:
        adapter: As the recipe makes it.
        recipe: The recipe, for the file that says the option.

    Raises:
        RecipeError: It refuses; names the file before the adapter's own words.
    """
    try:
        adapter.check()
    except RecipeError as error:
        key = str(error).partition(" ")[0].rstrip(":")
        msg = f"{recipe.origin(key if key.startswith('model.adapter') else 'model.adapter')}: {error}"
        raise RecipeError(msg) from error
