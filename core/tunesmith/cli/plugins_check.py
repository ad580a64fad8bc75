"""`plugins check`: the conformance kit without pytest, with what failed, why, and what to do."""

import json
import shutil
import sys
import textwrap
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tunesmith.errors import DataError, RecipeError
from tunesmith.nearest import did_you_mean
from tunesmith.no_file import ABSENT, why_no_file
from tunesmith.plugins.catalog import Catalog, Entry
from tunesmith.plugins.installed import canonical
from tunesmith.plugins.load import BASES

if TYPE_CHECKING:
    from tunesmith.testing import Check, CheckFailedError

_PROG = "lightning-cli plugins check"
_MOST_ROWS = 200
_WIDEST = 120


@dataclass(frozen=True, slots=True)
class Outcome:
    """A plugin with its checks, and each one's failure, or the reason why it does not apply.

    What keeps users from its bare name breaks no rule, since its author may not be the one to change it; it is told.
    """

    entry: Entry
    shared: str
    results: "list[tuple[Check, CheckFailedError | str | None]]"

    @property
    def failed(self) -> "list[tuple[Check, CheckFailedError]]":
        """Those that failed."""
        return [(check, said) for check, said in self.results if isinstance(said, Exception)]

    @property
    def untried(self) -> dict[str, list[str]]:
        """The names of those that do not apply, by the reason."""
        found: dict[str, list[str]] = {}
        for check, said in self.results:
            if isinstance(said, str):
                found.setdefault(said, []).append(check.name)
        return found


def add(verbs: Any) -> None:
    """Add the verb to those of `plugins`."""
    check = verbs.add_parser("check", help="whether a plugin, or all of a package, keep their contract")
    check.add_argument("name", metavar="NAME|PACKAGE", nargs="?", help="a plugin's name or dotted path, or a package")
    check.add_argument("--kind", choices=list(BASES), metavar="KIND", help=f"only this kind: {', '.join(BASES)}")
    check.add_argument("--plugin", type=Path, action="append", default=[], metavar="FILE", help="a file of your own")
    check.add_argument("--rows", type=Path, metavar="FILE", help="rows that the formatter reads, such as yours")
    check.add_argument("--json", action="store_true", help="plain data instead of text")
    check.set_defaults(action=_check, parser=check)


def _check(arguments: Any, catalog: Catalog) -> int:
    entries = _chosen(arguments, catalog)
    formatters = [entry.name for entry in entries if entry.kind == "formatter"]
    if formatters and find_spec("hypothesis") is None:
        msg = f"{_PROG}: formatters are tried on made-up rows, which needs hypothesis: pip install 'tunesmith[testing]'"
        raise RecipeError(msg)
    if arguments.rows is not None and len(formatters) != 1:
        which = f"name the one that reads these: {', '.join(formatters)}" if formatters else "none is checked"
        msg = f"--rows {arguments.rows}: only formatters read rows, and {which}"
        raise RecipeError(msg)
    rows = _rows(arguments.rows) if arguments.rows is not None else []
    outcomes = []
    with ExitStack() as stack:
        _prepare(stack, entries)
        for entry in entries:
            outcomes.append(Outcome(entry, catalog.shared(entry), _run(entry, rows)))
            if not arguments.json:
                _show(outcomes[-1])
    failed = sum(len(outcome.failed) for outcome in outcomes)
    if arguments.json:
        json.dump({"passed": not failed, "plugins": [_data(o) for o in outcomes]}, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        print(_summary(outcomes, failed))
    return RecipeError.exit_code if failed else 0


def _chosen(arguments: Any, catalog: Catalog) -> list[Entry]:
    """The plugins that are meant: one by its name, or all of a package or file."""
    name, kind = arguments.name, arguments.kind
    of_kind = [e for e in catalog.entries if kind in (None, e.kind)]
    if name is None:
        found = [e for e in of_kind if e.package in map(str, arguments.plugin)]
        if not found:
            msg = f"{_PROG}: say which: the name of a plugin or package, or --plugin FILE"
            raise RecipeError(msg)
        return found
    files = set(map(str, arguments.plugin))
    if found := [e for e in of_kind if e.package in files and (e.name == name or e.answers_to(name))]:
        return found  # not a built-in of that name: the file is what is asked about
    if found := catalog.matching(name, kind):
        return [catalog.entry(one, name) for one in dict.fromkeys(e.kind for e in found)]
    found = [e for e in of_kind if canonical(e.package) == canonical(name)]
    # a package is whole or not: of several entry points, one that fails is not to be missed
    if found and not any(canonical(absent.package) == canonical(name) for absent in catalog.broken):
        return found
    for absent in (*catalog.broken, *catalog.blocked):
        if canonical(name) in (canonical(absent.package), canonical(absent.entry_point)):
            what = "failed to load" if absent in catalog.broken else "is not used"
            msg = f"{absent} {what}: {absent.reason}"
            raise RecipeError(msg)
    known = [e.name for e in of_kind] + [e.package for e in of_kind]
    what = f"no plugin{' of kind ' + kind if kind else ''} and no package is called {name}{did_you_mean(name, known)}"
    raise RecipeError("\n".join([what, "all of them: lightning-cli plugins list", *catalog.unusable()]))


def _rows(file: Path) -> list[dict[str, Any]]:
    from tunesmith.data.read import read_file
    from tunesmith.data.rows import Row

    if why := why_no_file(file):
        msg = f"--rows {file}: {'there is no such file' if why == ABSENT else why}"
        raise DataError(msg)
    rows = [row.values for row in islice(read_file(file), _MOST_ROWS) if isinstance(row, Row)]
    if not rows:
        msg = f"--rows {file}: no row could be read"
        raise DataError(msg)
    return rows


def _prepare(stack: ExitStack, entries: Sequence[Entry]) -> None:
    """Keep libraries quiet, and their caches out of the user's folder."""
    if any(entry.kind == "formatter" for entry in entries):
        from hypothesis.configuration import set_hypothesis_home_dir

        set_hypothesis_home_dir(stack.enter_context(TemporaryDirectory()))
    if any(entry.kind in ("objective", "adapter", "regularizer", "audit") for entry in entries):
        from tunesmith.cli.quiet import quieten

        quieten()


def _run(entry: Entry, rows: Sequence[dict[str, Any]]) -> "list[tuple[Check, CheckFailedError | str | None]]":
    from tunesmith.testing import CheckFailedError, NotApplicableError, checks_for

    results: list[tuple[Check, CheckFailedError | str | None]] = []
    for check in checks_for(entry.cls, rows if entry.kind == "formatter" else ()):
        try:
            check()
        except CheckFailedError as error:
            results.append((check, error))
        except NotApplicableError as error:
            results.append((check, str(error)))
        else:
            results.append((check, None))
    return results


def _show(outcome: Outcome) -> None:
    entry, failed, number = outcome.entry, outcome.failed, len(outcome.results)
    untried = sum(map(len, outcome.untried.values()))
    said = f"{number - untried} checks passed" if not failed else f"{len(failed)} of {number} checks failed"
    print(f"{entry.name}  {entry.kind}  {said}{_besides(untried)}")
    if outcome.shared:
        _tell("warning", outcome.shared)
    for check, error in failed:
        print(f"  {check.name}")
        _tell("rule", check.summary)
        _tell("found", error.found)
        _tell("expected", error.expected)
        _tell("to do", error.advice)
        _tell("why", check.reason)
    for reason, names in outcome.untried.items():
        _tell("not tried", ", ".join(names))
        _tell("why", reason)


def _tell(what: str, text: str) -> None:
    width = min(_WIDEST, shutil.get_terminal_size().columns)
    lead = f"    {what:<10}"
    print(textwrap.fill(text, width, initial_indent=lead, subsequent_indent=" " * len(lead), break_long_words=False))


def _summary(outcomes: Sequence[Outcome], failed: int) -> str:
    total = sum(len(outcome.results) for outcome in outcomes)
    plugins = f"{len(outcomes)} plugin{'s' if len(outcomes) > 1 else ''}, {total} checks"
    untried = sum(len(names) for outcome in outcomes for names in outcome.untried.values())
    if not failed:
        said = f"{total - untried} passed{_besides(untried)}" if untried else "all passed"
        return f"{plugins}: {said}"
    names = ", ".join(outcome.entry.name for outcome in outcomes if outcome.failed)
    return f"{plugins}: {failed} failed, of {names}{_besides(untried)}"


def _besides(untried: int) -> str:
    """How many checks do not apply, as the end of a line."""
    return f", {untried} not applicable" if untried else ""


def _data(outcome: Outcome) -> dict[str, Any]:
    entry = outcome.entry
    checks = []
    for check, said in outcome.results:
        told = {"name": check.name, "passed": said is None, "rule": check.summary, "why": check.reason}
        if isinstance(said, str):
            told |= {"passed": None, "not applicable": said}
        elif said is not None:
            told |= {"found": said.found, "expected": said.expected, "to do": said.advice}
        checks.append(told)
    return {
        "name": entry.name,
        "kind": entry.kind,
        "package": entry.package,
        "path": entry.path,
        "passed": not outcome.failed,
        "warning": outcome.shared,
        "checks": checks,
    }
