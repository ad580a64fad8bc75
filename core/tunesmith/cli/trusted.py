"""Says what a command line trusts beside the list, before any of it is imported."""

import sys
from collections.abc import Sequence
from pathlib import Path

from tunesmith.cli.screen import is_first_rank


def say_trusted(files: Sequence[str | Path], prefixes: Sequence[str] = ()) -> None:
    """Name what `--plugin` and `--trust` add to what a recipe may name; nothing where they are not given.

    On standard error, which leaves the other to data (`--json`, `--print_config`).

    Args:
        files: Files of `--plugin`, which are run.
        prefixes: Prefixes of `--trust`.
    """
    said = [f"the plugins in {file} (--plugin)" for file in dict.fromkeys(map(str, files))]
    said += [f"any class below {prefix} (--trust)" for prefix in dict.fromkeys(prefixes)]
    if said and is_first_rank():
        print(f"trusted: {'; '.join(said)}", file=sys.stderr)
