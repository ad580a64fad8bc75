"""What holds for every kind when it is put to work: nothing else is written, and nothing else decides the result."""

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tunesmith.errors import AbsentPackageError
from tunesmith.testing.check import Call, NotApplicableError, Rule, Trial, fail, quoted
from tunesmith.testing.elsewhere import Report, other_hash_seed, report_of
from tunesmith.testing.plain import plain
from tunesmith.testing.randomness import drawn, global_seed, random_states
from tunesmith.testing.same import same
from tunesmith.testing.work import calls_of, put_to_work, start, takes_calls, trains

_ADVICE = "draw from a generator of your own, seeded by what the core gives (record.seed, the row's id)"


def writes_only_where_told(trial: Trial) -> None:
    """Nothing is written, made, moved or removed outside of the folder that the core names.

    Why: a run is one directory that holds all that it produced. Caches and logs beside it are not resumed, not shared
    and not deleted with it, may hold rows before they were anonymised, and two runs at once overwrite each other's.

    It is put to work in another process, whose working directory, home, XDG and temporary folders are empty. Seen is
    what Python's functions and `sqlite3` write, anywhere; and, whoever it was, compiled code and started programs
    included, what lies in those folders afterwards, and what has changed where the plugin's code lies: in its package,
    or beside its file, hidden names left out, if there are no more than 20,000 others. Not seen is what compiled code
    or a program writes elsewhere, removes again, or writes later. Allowed are files of the module `tempfile`, bytecode,
    what Python code writes while it is imported, and the caches of libraries (`elsewhere.caches`). Starting a program
    is no finding.
    """
    report = report_of(trial)
    if report is None:
        msg = "it cannot be taken to another process, where its writes are seen: see imports_no_torch or can_be_pickled"
        raise NotApplicableError(msg)
    _refuse_failure(trial, report)
    if report.writes:
        fail(
            f"it writes {report.writes[0]}",
            "files in the folder that `save` is given, and in those of the module tempfile",
            "write there, or keep it in memory",
        )


def deterministic(trial: Trial) -> None:
    """Twice the same work gives the same, in any process; draws come from the seed that the core gives alone.

    Why: a run that is repeated, resumed or shared must give the same rows, weights and verdicts. What formatters,
    curators, evaluators and audits draw from Python's, numpy's or torch's global state depends on who drew before, and
    shifts what everybody else draws after them (trap 27). Methods that train draw from torch's state, which is seeded.
    The order of a set of texts is another in every process.

    The second time is in another process, with another PYTHONHASHSEED, and the last call first: nothing that a class or
    module keeps may decide. Every call is of a new instance; `keeps_nothing_between_calls` is about one instance.
    """
    first, report = _here(trial, 1), report_of(trial)
    if report is not None:
        _refuse_failure(trial, report)
    second = _here(trial, 2) if report is None else report.result
    if same(first, second):
        return
    if report is not None and same(first, _here(trial, 2)):
        where = f"here and in a process with PYTHONHASHSEED={other_hash_seed()}, last call first"
        advice = "iterate over sorted(...) of a set; keep nothing in a class or module, and read nothing of the machine"
        fail(f"the results differ {where}: {_difference(first, second)}", "the same in every process", advice)
    expected = (
        "the same result under one seed" if trains(trial.cls.kind) else "the same, whatever the global states are"
    )
    fail(f"two runs differ: {_difference(first, second)}", expected, _ADVICE)


def keeps_nothing_between_calls(trial: Trial) -> None:
    """A call gives what it gives as the first call of a new instance, whatever the same instance was asked before.

    Why: one instance measures the tuned model and then the base, and reads or curates one set after the other; a
    resumed run, or a second process, begins with a new one. What is learned in the first call, or counted, changes the
    second without a word. What is costly to make may be kept in a private attribute, if only options decide about it.
    """
    calls = calls_of(trial)
    expected = "the same as of a new instance"
    advice = "keep what is learned from the given data in local variables; of an attribute, only options decide"
    used = start(trial)
    after, again = _series(calls, lambda: used), _series(calls, lambda: used)
    alone = after[:1] + _series(calls, lambda: start(trial), 1)  # the first is of a new instance anyway
    for what, later in (("after other calls", after), ("when all is asked again", again)):
        if not same(alone, later):
            fail(f"first calls and those {what} differ: {_difference(alone, later)}", expected, advice)


def _here(trial: Trial, time: int) -> Any:
    """What comes of it in this process; of kinds that train under one seed, of others whatever the seed is."""
    pure = not trains(trial.cls.kind)
    if not pure:
        importlib.import_module("torch")  # whose state is seeded below
    elif trial.cls.kind == "audit" and "model" in trial.plugin.needs:
        importlib.import_module("tunesmith.testing.answering")  # libraries draw while they are imported
    with global_seed(time if pure else 1), TemporaryDirectory() as folder:
        before = random_states()
        result = put_to_work(trial, Path(folder), turned=time > 1)
        if pure and (states := drawn(before)):
            found = f"it draws from the global random state of {' and '.join(states)}"
            fail(found, "global states as they were", _ADVICE)
    return plain(result)


def _refuse_failure(trial: Trial, report: Report) -> None:
    if report.error.startswith(AbsentPackageError.__name__):
        raise NotApplicableError(report.error.partition(": ")[2])
    if report.error:
        found = f"{trial.name} failed with {report.error}, in a process of its own with an empty home"
        fail(found, "no exception but those that its interface names", "mend it there")


def _series(calls: Sequence[Call], on: Callable[[], Any], first: int = 0) -> list[Any]:
    """What calls give, from the first on; what they draw from global states is the same each time."""
    found = []
    for number in range(first, len(calls)):
        with global_seed(number):
            found.append(calls[number](on()))
    return found


def _difference(one: Any, two: Any) -> str:
    """The first part in which two results differ."""
    while isinstance(one, list | tuple) and isinstance(two, list | tuple) and len(one) == len(two):
        pair = next(((a, b) for a, b in zip(one, two, strict=True) if not same(a, b)), None)
        if pair is None:
            break
        one, two = pair
    return f"{quoted(one)} and {quoted(two)}"


def rules(kind: str) -> list[Rule]:
    """The rules of a kind; adapters are attached to one model, and may keep what they know of it."""
    return [writes_only_where_told, deterministic, *([keeps_nothing_between_calls] if takes_calls(kind) else [])]
