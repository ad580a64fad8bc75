"""Writes what was checked as YAML that means the same to every reader of it."""

import json
import re
from typing import Any

_BEYOND = re.compile(r"[^\x20-\x7e]")


def write_yaml(data: Any) -> str:
    """Plain data as one line of YAML, every text in quotes and in ASCII.

    YAML's own dump leaves `1e5` bare, which is read back as a number. JSON spells what lies beyond 16 bits, such as an
    emoji, as two escapes, of which YAML makes two halves of a character.
    """
    return _BEYOND.sub(lambda found: f"\\U{ord(found[0]):08x}", json.dumps(data, ensure_ascii=False))
