"""Points in time, or other numbers that grow, by which rows are split."""

import math
from datetime import UTC, datetime
from typing import Any


def moment(value: Any) -> tuple[str, float] | None:
    """A value as something that can be compared with others of its kind; None where it is none.

    Args:
        value: A number, text that is one, or a date or time in ISO 8601; without an offset it is taken as UTC.

    Returns:
        `number` or `time`, and its place among these.
    """
    if isinstance(value, bool):
        return None
    try:
        number = float(value) if isinstance(value, str | int | float) else math.nan
        return ("number", number) if math.isfinite(number) else None
    except (ValueError, OverflowError):
        pass
    try:
        read = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    return "time", (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
