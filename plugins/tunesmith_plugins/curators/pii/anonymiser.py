"""One example after the other: find what identifies, agree on who is who, put something else in its place."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from tunesmith import Example
from tunesmith_plugins.curators.pii.aliases import Aliases, Writer
from tunesmith_plugins.curators.pii.date_policy import DatePolicy
from tunesmith_plugins.curators.pii.document import Text, texts_of, with_texts, words_of
from tunesmith_plugins.curators.pii.found import Found, settled
from tunesmith_plugins.curators.pii.known import Known

_SEARCHABLE = 4
# Found wherever they stand: a day or an age is nobody's.
_NOT_SOUGHT = frozenset(("NAME", "AGE", "DATE"))


class Engine(Protocol):
    """Finds identities in a text."""

    def find(self, text: str) -> list[Found]:
        """Identities of a text, the most certain kind first; they may overlap."""


@dataclass
class Person:
    """What is known of the persons of one document, or of the documents of one person.

    Args:
        scope: What keyed numbers of theirs are made from.
        aliases: Who is called what.
        names: Names as they were found.
        values: What columns state, with kinds.
    """

    scope: str
    aliases: Aliases
    names: dict[str, None] = field(default_factory=dict)
    values: dict[tuple[str, str], None] = field(default_factory=dict)


@dataclass(frozen=True)
class Anonymised:
    """What became of an example.

    Args:
        example: It.
        kinds: Kinds of what was replaced, in order of the alphabet.
        replaced: What was put in, with what it stands for.
    """

    example: Example
    kinds: tuple[str, ...]
    replaced: dict[str, str]


class Anonymiser:
    """Replaces identities.

    Args:
        engine: What finds them.
        writer: Makes what writes aliases, for a scope.
        dates: What becomes of dates.
        columns: Kinds of what columns hold, whole.
        keep: Kinds that stay.
    """

    def __init__(
        self,
        engine: Engine,
        writer: Callable[[str], Writer],
        dates: DatePolicy,
        columns: Mapping[str, str],
        keep: Iterable[str] = (),
    ) -> None:
        self.engine = engine
        self.writer = writer
        self.dates = dates
        self.columns = columns
        self.keep = frozenset(keep)

    def person(self, scope: str) -> Person:
        """Nobody known yet."""
        return Person(scope, Aliases(self.writer(scope)))

    def learn(self, example: Example, person: Person) -> None:
        """Note the names of an example, without changing it."""
        self._found(texts_of(example), person)

    def change(self, example: Example, person: Person) -> Anonymised:
        """Replace the identities of an example.

        Args:
            example: It.
            person: Whose it is; what the example tells of them is noted.
        """
        texts = texts_of(example)
        finds = self._found(texts, person)
        if not person.names and not person.values and not any(finds.values()):
            return Anonymised(example, (), {})
        known = Known(person.names, person.values)
        spans = {text: settled(text, [*found, *known.find(text)]) for text, found in finds.items()}
        spans = {text: kept for text, found in spans.items() if (kept := [f for f in found if f.kind not in self.keep])}
        if not spans:
            return Anonymised(example, (), {})
        person.aliases.reserve(texts)
        told = (text[f.start : f.end] for text, found in spans.items() for f in found if f.kind == "NAME")
        person.aliases.meet([*person.names, *told])
        said = [text[f.start : f.end] for text, found in spans.items() for f in found if f.kind == "DATE"]
        dating = self.dates.of(person.scope, said)
        replaced: dict[str, str] = {}
        table: dict[str, str] = {}
        for text, found in spans.items():
            pieces, at = [], 0
            for one in found:
                old = text[one.start : one.end]
                new = dating(old) if one.kind == "DATE" else None
                new = person.aliases.of(one.kind, old) if new is None else new
                if len(old) > len(replaced.get(new, "")):
                    replaced[new] = old
                pieces += [text[at : one.start], new]
                at = one.end
            table[text] = "".join(pieces) + text[at:]
        changed = with_texts(example, lambda text: table.get(text, text))
        if changed is example:
            return Anonymised(example, (), {})
        kinds = {f.kind for text, found in spans.items() for f in found if table[text] != text}
        return Anonymised(changed, tuple(sorted(kinds)), replaced)

    def _found(self, texts: Mapping[str, Text], person: Person) -> dict[str, list[Found]]:
        finds: dict[str, list[Found]] = {}
        for text, about in texts.items():
            found: list[Found] = []
            stated = next((self.columns[key] for key in sorted(about.keys) if key in self.columns), None)
            if stated is not None and text.strip():
                found.append(Found(0, len(text), stated))
                if stated == "NAME":
                    person.names[text] = None
                elif len(text.strip()) >= _SEARCHABLE:
                    person.values[text.strip(), stated] = None
            for key in sorted(about.keys) or [""]:
                found += self._under(key, text, about.number)
            finds[text] = found
            person.names |= dict.fromkeys(text[f.start : f.end] for f in found if f.kind == "NAME")
            person.values |= dict.fromkeys(
                (text[f.start : f.end], f.kind)
                for f in found
                if f.kind not in _NOT_SOUGHT and f.end - f.start >= _SEARCHABLE
            )
        return finds

    def _under(self, key: str, text: str, number: bool) -> list[Found]:
        """What is found in a text that stands under a name, as if the name stood before it as a label."""
        if number and not key:
            return []
        before = f"{words_of(key)}: " if key else ""
        shift = len(before)
        found = self.engine.find(before + text)
        moved = (
            [Found(max(0, f.start - shift), f.end - shift, f.kind) for f in found if f.end > shift] if key else found
        )
        # A long number is an identity by itself in a text; a column of numbers may hold any quantity.
        return [f for f in moved if f.kind != "ID" or not number or words_of(key).lower().endswith(("id", "number"))]
