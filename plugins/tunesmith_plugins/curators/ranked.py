"""Files of ranked rows, for people to look at."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def write_ranked(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object a line; folders that are not there are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
