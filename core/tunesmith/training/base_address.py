"""Whether a base is where `model.base` says, without loading anything of it."""

from tunesmith.recipe.package_fs import resolve
from tunesmith.training.base_place import locate
from tunesmith.training.hub_commit import newest_commit


def check_address(base: str) -> str:
    """Look whether a base is there.

    Args:
        base: What `model.base` says.

    Returns:
        Why it cannot be told; empty where it is there.

    Raises:
        RecipeError: The address is malformed, or a path or package that does not exist.
        DataError: It is there and no base, or the hub knows none of that name.
    """
    found = resolve(base)
    if not isinstance(found, str):
        locate(base, found)
        return ""
    try:
        newest_commit(found)
    except LookupError as error:
        return f"model.base: whether the hub has {base} cannot be told: {error}"
    return ""
