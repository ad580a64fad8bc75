"""A script: runs commands one after the other in this one process, since loading torch is what a command mostly takes.

Reads a list of [folder, words] from standard input; writes [exit code, standard output, standard error] of each.
"""

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from tunesmith.cli.main import main
from tunesmith.testing.runner import isolated

if __name__ == "__main__":
    done = []
    for folder, words in json.load(sys.stdin):
        out, err = io.StringIO(), io.StringIO()
        with (
            pytest.MonkeyPatch.context() as patch,
            isolated(Path(folder), patch),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            code = main(words)
        done.append([code, out.getvalue(), err.getvalue()])
    json.dump(done, sys.stdout)
