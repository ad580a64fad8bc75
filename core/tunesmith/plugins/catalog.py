"""What plugins there are, and which class a name in a recipe means."""

import hashlib
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tunesmith.errors import RecipeError
from tunesmith.nearest import did_you_mean
from tunesmith.plugins.installed import (
    BLOCK_VARIABLE,
    BUILTIN,
    Absent,
    block_list,
    installed,
    refuse_blocked_builtins,
    refuse_uninstalled,
)
from tunesmith.plugins.interfaces import Plugin
from tunesmith.plugins.load import BASES, classes, classes_of_file, guarded


@dataclass(frozen=True, slots=True)
class Entry:
    """A plugin class that recipes can name.

    Args:
        kind: `formatter`, `curator`, `objective`, `adapter`, `regularizer`, `audit` or `evaluator`.
        cls: The class.
        package: The distribution that it came with, or the file of `--plugin`.
        version: The distribution's version; for a file, a hash of its content, so that a run's lock notices a change.
        from_file: Whether it came with a file of `--plugin`.
    """

    kind: str
    cls: type[Plugin]
    package: str
    version: str
    from_file: bool = False

    @property
    def name(self) -> str:
        """Its name in a recipe."""
        return self.cls.__name__

    @property
    def path(self) -> str:
        """Its dotted import path, which always names this class and no other."""
        return f"{self.cls.__module__}.{self.name}"

    @property
    def builtin(self) -> bool:
        """Whether it comes with tunesmith itself."""
        return self.package == BUILTIN

    @property
    def origin(self) -> str:
        """What brings it, in words."""
        if self.builtin:
            return "built-in"
        return f"--plugin {self.package}" if self.from_file else f"{self.package} {self.version}".rstrip()

    def answers_to(self, path: str) -> bool:
        """Whether a dotted path means this class, be it one under which its package exports the class again."""
        module, _, name = path.rpartition(".")
        return path == self.path or getattr(sys.modules.get(module), name, None) is self.cls


class Catalog:
    """All plugin classes by kind and name, and the packages that could not be used.

    Attributes:
        entries: The classes, the built-in ones first.
        broken: Packages that failed to load. Never silent: `plugins list` shows them, and `find` names them.
        blocked: Packages that were left out, by the environment or by the recipe's `plugins`.
        unknown_blocks: Names in the block-list that are not installed.
    """

    def __init__(
        self,
        entries: Iterable[Entry] = (),
        broken: Iterable[Absent] = (),
        blocked: Iterable[Absent] = (),
        unknown_blocks: Iterable[str] = (),
    ) -> None:
        by_class: dict[tuple[str, type], Entry] = {}
        for entry in sorted(entries, key=lambda e: not e.builtin):
            # A package that returns another's class adds nothing.
            by_class.setdefault((entry.kind, entry.cls), entry)
        self.entries = list(by_class.values())
        self.broken = list(broken)
        self.blocked = list(blocked)
        self.unknown_blocks = list(unknown_blocks)

    @classmethod
    def load(
        cls, allow: Sequence[str] | None = None, block: Sequence[str] | None = None, extra_files: Sequence[Path] = ()
    ) -> "Catalog":
        """Load what is installed, each package guarded from the others' mistakes.

        Args:
            allow: Distributions or entry points that may be used beside the built-ins (a recipe's `plugins`); None
                allows all. What is not allowed is not imported.
            block: Distributions or entry points that may not; None reads the variable `TUNESMITH_BLOCK`.
            extra_files: Files of the user's own (`--plugin ./file.py`).

        Raises:
            RecipeError: `allow` names a package that is not installed, `block` names the built-ins, or one of
                `extra_files` fails to load.
        """
        block = block_list() if block is None else block
        entries: list[Entry] = []
        blocked: list[Absent] = []
        packages, broken = installed()
        refuse_uninstalled(allow or (), packages)
        refuse_blocked_builtins(block, packages)
        for package in packages:
            if reason := package.refused(allow, block):
                blocked.append(package.absent(reason))
                continue
            found, error = guarded(lambda p: classes(p.load()), package)
            entries += [Entry(kind, found_class, package.package, package.version) for kind, found_class in found]
            if error:
                broken.append(package.absent(error))
        for file in extra_files:
            found, error = guarded(classes_of_file, file)
            if error:
                msg = f"--plugin {file}: {error}"
                raise RecipeError(msg)
            version = hashlib.sha256(file.expanduser().read_bytes()).hexdigest()[:12]
            entries += [Entry(kind, found_class, str(file), version, from_file=True) for kind, found_class in found]
        unknown = [name for name in block if not any(p.is_any_of([name]) for p in packages)]
        return cls(entries, broken, blocked, unknown)

    def names(self, kind: str) -> list[str]:
        """The bare names of a kind, sorted."""
        return sorted({e.name for e in self.entries if e.kind == kind})

    def find(self, kind: str, name: str) -> type[Plugin]:
        """The class that `name` means: a bare name, or a dotted path.

        Raises:
            RecipeError: There is none, or several packages claim the bare name.
        """
        return self.entry(kind, name).cls

    def entry(self, kind: str, name: str) -> Entry:
        """Like `find`, with where the class came from."""
        matching = self.matching(name, kind)
        if not matching:
            raise RecipeError(self._unknown(kind, name))
        if len(matching) > 1:
            raise RecipeError(_shared(kind, name, matching))
        return matching[0]

    def matching(self, name: str, kind: str | None = None) -> list[Entry]:
        """All classes that a name may mean; of one kind there are several only where packages share a bare name.

        Not even a built-in's name means the built-in then: whoever installed the other may have meant that one.
        """
        kinds = BASES if kind is None else (kind,)
        return [
            e
            for one in kinds
            for e in self.entries
            if e.kind == one and (e.answers_to(name) if "." in name else e.name == name)
        ]

    def namesakes(self, entry: Entry) -> list[Entry]:
        """The other classes of its kind that have its bare name, so that a recipe has to write its path."""
        return [other for other in self.matching(entry.name, entry.kind) if other.cls is not entry.cls]

    def shared(self, entry: Entry) -> str:
        """Who else has its bare name, and what a recipe has to write; empty where nobody has."""
        others = ", ".join("a built-in" if other.builtin else other.origin for other in self.namesakes(entry))
        return f"{others} has this name too; in a recipe, write {entry.path}" if others else ""

    def unusable(self) -> list[str]:
        """Packages whose plugins are not here, with the reason: a missing name may be one of theirs."""
        broken = [f"{absent} failed to load: {absent.reason}" for absent in self.broken]
        return broken + [f"{absent} is installed and not used: {absent.reason}" for absent in self.blocked]

    def _unknown(self, kind: str, name: str) -> str:
        others = [e for e in self.matching(name) if e.kind != kind]
        known = self.names(kind)
        if others:
            what = f"{name} is {_a(others[0].kind)}, not {_a(kind)}"
        else:
            hint = did_you_mean(name, [e.path for e in self.entries if e.kind == kind] if "." in name else known)
            what = f"there is no {kind} {name}{hint}"
        return "\n".join(
            [what, f"available: {', '.join(known) or 'none'}  (lightning-cli plugins list)", *self.unusable()]
        )


def _shared(kind: str, name: str, entries: Sequence[Entry]) -> str:
    """Who has a name, which paths mean each of them, and how to do without those that were not meant."""
    lines = [f"{len(entries)} packages have {_a(kind)} called {name}; write which one:"]
    lines += [f"  {entry.path}  ({entry.origin})" for entry in entries]
    installed = list(dict.fromkeys(e.package for e in entries if not e.builtin and not e.from_file))
    files = list(dict.fromkeys(e.package for e in entries if e.from_file))
    ways = [f"{BLOCK_VARIABLE}={package} or `pip uninstall {package}`" for package in installed]
    if ways:
        lines.append(f"or do without: {', '.join(ways)}")
    if files:
        lines.append(f"or rename the class in {', '.join(files)}")
    return "\n".join(lines)


def _a(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"
