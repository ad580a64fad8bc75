"""What can go wrong, by whose fault it is: the exit code of the command follows from the class."""

from collections.abc import Sequence


class TunesmithError(Exception):
    """A message for the user, shown without a traceback; the command exits with `exit_code`."""

    exit_code = 1


class RecipeError(TunesmithError):
    """The recipe is wrong: the message names the key, the value, what is allowed and what to do."""

    exit_code = 2


class DataError(TunesmithError):
    """The data or the base model cannot be used as the recipe asks."""

    exit_code = 2


class AbsentDataError(DataError):
    """Files are not where a source looks for them; the recipe may be good all the same.

    Args:
        missing: One message a file.
    """

    def __init__(self, missing: Sequence[str]) -> None:
        super().__init__("\n".join(missing))
        self.missing = tuple(missing)


class RowError(ValueError):
    """One row cannot be read; it is set aside and the others go on.

    Args:
        field: The column at fault.
        reason: What is wrong with it and what was there. Never the row's text: it ends in `rejected.jsonl`.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason

    def __reduce__(self) -> tuple[type["RowError"], tuple[str, str]]:
        return type(self), (self.field, self.reason)
