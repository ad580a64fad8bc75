"""An error in one of several processes is said once, by the process that met it, and decides about the exit code."""

from typing import Any

import pytest
import torch

from tunesmith.cli import ranks
from tunesmith.cli.ranks import LostError, SaidError, failing_together
from tunesmith.errors import RecipeError
from tunesmith.training.checkpoint import StoppedError

GLOO = RuntimeError("[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]")
PLUGIN = """
import os

from tunesmith import RecipeError, hookimpl
from tunesmith_plugins.objectives.next_token import NextToken


class Picky(NextToken):
    \"\"\"Refuses the second process's rows.\"\"\"

    def loss(self, forward):
        if forward.batch.window is not None and os.environ.get("LOCAL_RANK") == "1":
            raise RecipeError("model.objective: Picky takes no row of the second process")
        return super().loss(forward)


@hookimpl
def tunesmith_register_objectives():
    return [Picky]
"""


class Processes:
    """Several processes, one after the other."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.store = torch.distributed.HashStore()
        self.lingers: list[Any] = []
        self.patch = patch
        patch.setattr(ranks, "_TURN", 0.1)
        patch.setattr(ranks, "_store", lambda: self.store)
        patch.setattr(ranks.atexit, "register", lambda *call: self.lingers.append(call))

    def meets(self, rank: int, error: BaseException) -> BaseException:
        """What comes out where this process meets an error."""
        self.patch.setattr(torch.distributed, "get_rank", lambda: rank)
        with pytest.raises(BaseException) as raised, failing_together():
            raise error
        return raised.value


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Processes:
    return Processes(monkeypatch)


def test_the_process_that_failed_says_it_and_the_others_take_its_exit_code(processes: Processes) -> None:
    own = RecipeError("row 7")
    assert processes.meets(2, own) is own
    assert len(processes.lingers) == 1, "so that the first is not killed before it has ended"
    heard = processes.meets(0, GLOO)
    assert isinstance(heard, SaidError)
    assert heard.exit_code == 2
    assert isinstance(processes.meets(1, GLOO), SaidError)


def test_what_all_processes_find_is_said_by_the_first(processes: Processes) -> None:
    own = KeyError("x")
    assert processes.meets(0, own) is own
    told = processes.meets(1, RecipeError("x"))
    assert isinstance(told, SaidError)
    assert told.exit_code == 1
    assert not processes.lingers


def test_a_process_that_was_killed_is_missed_by_the_first_alone(processes: Processes) -> None:
    missing = processes.meets(0, GLOO)
    assert isinstance(missing, LostError)
    assert "killed" in str(missing)
    assert isinstance(processes.meets(1, GLOO), SaidError)


def test_a_store_that_went_with_the_first_process_is_no_news(processes: Processes) -> None:
    class Gone:
        def check(self, *_: Any) -> bool:
            raise torch.distributed.DistNetworkError("recvValue failed")

    processes.store = Gone()
    assert isinstance(processes.meets(1, RecipeError("x")), SaidError)


def test_a_stop_that_was_asked_for_and_an_only_process_are_left_alone(processes: Processes) -> None:
    stop, own = StoppedError("stopped"), RuntimeError("gloo/")
    assert processes.meets(1, stop) is stop
    processes.store = None
    assert processes.meets(0, own) is own


@pytest.mark.slow
def test_an_error_in_the_second_process_is_the_one_line_that_is_shown(bench: Any, apart: Any) -> None:
    (bench.folder / "picky.py").write_text(PLUGIN)
    words = ("fit", "--config", "tiny.yaml", "--plugin", "picky.py", "--model.objective=Picky")
    two = ("--trainer.devices=2", "--trainer.strategy=ddp", "--trainer.num_sanity_val_steps=0")
    ran = apart.command(*words, *two, cwd=bench.folder)  # Lightning starts the second process itself
    assert ran.returncode == 2, ran.stderr
    trusted, said = ran.stderr.split("\n", 1)
    assert trusted == "trusted: the plugins in picky.py (--plugin)"
    assert said == "model.objective: Picky takes no row of the second process\n"
