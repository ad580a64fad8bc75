"""Runs commands and a pytest one after the other in one process, since loading torch is what each mostly takes."""

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from tunesmith.cli.main import main
from tunesmith.testing.runner import isolated


def run(given: str, result: str) -> None:
    """Write [exit code, standard output, standard error] of each.

    Args:
        given: A file with a list of [folder, words]; `pytest` is the first of the words where it is meant.
        result: The file that is written.
    """
    done = []
    for folder, words in json.loads(Path(given).read_text()):
        out, err = io.StringIO(), io.StringIO()
        with (
            pytest.MonkeyPatch.context() as patch,
            isolated(Path(folder), patch),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            code = pytest.main(words[1:]) if words[0] == "pytest" else main(words)
        done.append([int(code), out.getvalue(), err.getvalue()])
    Path(result).write_text(json.dumps(done))
