"""What can go wrong, by whose fault it is: the exit code of the command follows from the class."""

from collections.abc import Iterable, Sequence

_LISTED = 20


class TunesmithError(Exception):
    """A message for the user, shown without a traceback; the command exits with `exit_code`.

    Since 0.1.
    """

    exit_code = 1


class RecipeError(TunesmithError):
    """The recipe is wrong: the message names the key, the value, what is allowed and what to do.

    Since 0.1.
    """

    exit_code = 2


class AbsentPackageError(RecipeError):
    """A package that a plugin needs, or one of its options, is not installed: says how to install it.

    The conformance kit then says that a check cannot be tried, and not that the plugin fails it.

    Since 0.9.
    """


class DataError(TunesmithError):
    """The data or the base model cannot be used as the recipe asks.

    Since 0.1.
    """

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

    Since 0.1.

    Args:
        field: The column at fault.
        reason: What is wrong with it. Never the row's text: it ends in `rejected.jsonl`.
        columns: The columns that are there, where that helps; shown, never stored: a file without a header has its
            first row for names.
    """

    def __init__(self, field: str, reason: str, columns: Iterable[str] = ()) -> None:
        self.field = field
        self.reason = reason
        self.columns = tuple(columns)
        super().__init__(f"{field}: {reason}{listed(self.columns)}")

    def __reduce__(self) -> tuple[type["RowError"], tuple[str, str, tuple[str, ...]]]:
        return type(self), (self.field, self.reason, self.columns)


def listed(columns: Sequence[str]) -> str:
    """Columns for the end of a message; empty where there are none."""
    shown = [*columns[:_LISTED], *(["..."] if len(columns) > _LISTED else [])]
    return f"; columns: {', '.join(shown)}" if columns else ""
