"""Anonymise: identities of persons out, placeholders or surrogates in."""

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Literal, Self

from tunesmith import Curator, DataError, Example, Record, did_you_mean
from tunesmith_plugins.curators.pii.aliases import Placeholders, Writer
from tunesmith_plugins.curators.pii.anonymiser import Anonymiser, Engine, Person
from tunesmith_plugins.curators.pii.custom import check_kinds, compiled
from tunesmith_plugins.curators.pii.date_policy import DatePolicy
from tunesmith_plugins.curators.pii.document import content_of
from tunesmith_plugins.curators.pii.key import Key, need_key
from tunesmith_plugins.curators.pii.outside import Outside
from tunesmith_plugins.curators.pii.patterns import Patterns
from tunesmith_plugins.curators.pii.presidio import Presidio
from tunesmith_plugins.curators.pii.surrogates import Surrogates
from tunesmith_plugins.curators.pii.vault import VARIABLE, Vault, check_vault, need_cryptography


class Anonymise(Curator):
    """Replaces what identifies persons, in every text of an example: turns, columns, tool calls, labels.

    A name that is found once is found again in the same document in other forms ("Mr. Weber", "Anna", "WEBER"), and the
    same identity gets the same replacement: a number however it is spaced, a telephone number with +1 or without, an
    address of mail in capitals or not. Ids that a formatter sets, and names of files and columns, are written as they
    are: rows are refused where one of these holds an identity. Nothing finds all: look at what `prepare` writes before
    you share it. How each of the 18 identifiers of HIPAA's Safe Harbor is found, and what is not:
    `python -m tunesmith_plugins.curators.pii.safe_harbor`.

    Since 0.9.

    Args:
        replace: `placeholders` are typed and numbered ([NAME_1]); `surrogates` look like what they replace, belong to
            nobody, and need a key.
        dates: `placeholder`; `year` keeps the year; `shift` moves all dates of a person (or document) back by the
            same number of weeks, 1 to 104, in the same format, and needs a key; days of the week stay right.
        columns: Columns that hold an identity, with its kind: {patient_name: NAME, patient_id: ID}. Replaced whole, and
            looked for in all other texts of the document.
        person: Column that names the person whose document it is: replacements, shifts and known names are the same in
            all documents of one person.
        patterns: Regular expressions for kinds of your own: {BADGE: 'B-[0-9]{6}'}.
        keep: Kinds that stay: [URL, AGE].
        key_file: File with the key, at least 16 characters.
        key_env: Variable of the environment that holds the key, where no file is named.
        vault: File that keeps what each replacement stands for, encrypted with the key; extra `pii`. Written anew by
            every curation; what is no vault is not written over. Rows that `predict` gets go to `-predict`.
            `python -m tunesmith_plugins.curators.pii.vault VAULT FILE.jsonl` turns answers back.
        engine: `patterns`: fast, no dependency, needs a hint beside a name that is in no list (a title, a label, a
            greeting). `presidio` also asks a named-entity model for names and places in free text, some 50 times
            slower; extra `pii`.
        model: Installed package of a spaCy model, or its folder (`./model`, from the working directory on), for
            `engine: presidio`.
    """

    anonymises = True
    unlocked = frozenset({"key_file", "vault"})

    def __init__(
        self,
        replace: Literal["placeholders", "surrogates"] = "placeholders",
        dates: Literal["placeholder", "year", "shift"] = "placeholder",
        columns: dict[str, str] = {},  # noqa: B006  jsonargparse shows it; never changed
        person: str | None = None,
        patterns: dict[str, str] = {},  # noqa: B006  the same
        keep: list[str] = [],  # noqa: B006  the same
        key_file: Path | None = None,
        key_env: str = VARIABLE,
        vault: Path | None = None,
        engine: Literal["patterns", "presidio"] = "patterns",
        model: str = "en_core_web_sm",
    ) -> None:
        self.replace = replace
        self.dates = dates
        self.columns = columns
        self.person = person
        self.patterns = patterns
        self.keep = keep
        self.key_file = key_file
        self.key_env = key_env
        self.vault = vault
        self.engine = engine
        self.model = model

    @property
    def by_row(self) -> bool:  # type: ignore[override]  # a class variable of most curators
        """Whether rows are independent: not where one person's documents share their replacements."""
        return self.person is None

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """Without a key, since none is at hand: both forms of dates, and persons."""
        return [
            cls(),
            cls(dates="year", keep=["URL"], patterns={"BADGE": r"B-\d{6}"}),
            cls(person="group", columns={"mark": "ID"}),
        ]

    def check(self) -> None:
        """Refuse patterns, kinds, keys and models that cannot be."""
        self._key()
        engine = self._engine()
        if isinstance(engine, Presidio):
            engine.check()
        if self.vault is not None:
            need_cryptography()
            check_vault(self.vault)

    def fingerprint(self) -> str:
        """The key, which may stand in the environment."""
        key = self._key()
        return "" if key is None else key.derived("fingerprint").hex()

    def apply(self, examples: Iterable[Example], record: Record) -> Iterator[Example]:
        """Pass on each example without identities."""
        wanted = {*self.columns, *([self.person] if self.person is not None else [])}
        missing, last = set(wanted), None
        for last, made in self._changed(examples, record, self.vault):
            if missing:
                missing -= last.extras.keys()
            yield made
        if last is not None and missing:
            raise DataError(self._absent(min(missing), sorted(last.extras)))

    def question(self, examples: Iterable[Example], record: Record) -> Iterator[Example]:
        """The same for rows to answer, which may lack columns."""
        vault = None if self.vault is None else self.vault.with_stem(f"{self.vault.stem}-predict")
        return (made for _, made in self._changed(examples, record, vault))

    def _changed(
        self, examples: Iterable[Example], record: Record, vault: Path | None
    ) -> Iterator[tuple[Example, Example]]:
        key = self._key()

        def writer(scope: str) -> Writer:
            return Placeholders() if self.replace == "placeholders" or key is None else Surrogates(key, scope)

        dates = DatePolicy(self.dates, key)
        engine = self._engine()
        outside = Outside(engine, self.keep)
        anonymiser = Anonymiser(engine, writer, dates, self.columns, self.keep)
        persons: dict[str, Person] = {}
        if self.person is not None:
            examples = list(examples)
            for example in examples:
                anonymiser.learn(example, self._person(anonymiser, example, persons, key is not None))
        with nullcontext() if vault is None or key is None else Vault(vault, key) as kept:
            for example in examples:
                made = anonymiser.change(example, self._person(anonymiser, example, persons, key is not None))
                outside.check(example, made.replaced)
                for kind in made.kinds:
                    record.change(example, f"{kind} replaced")
                if kept is not None and made.replaced:
                    kept.add(example.id, made.replaced)
                yield example, made.example

    def _person(self, anonymiser: Anonymiser, example: Example, persons: dict[str, Person], keyed: bool) -> Person:
        """Whose document it is: the person of its column, or who is in this document alone."""
        value = example.extras.get(self.person) if self.person is not None else None
        if value is None or not str(value).strip():
            # Numbers are made from it with the key alone.
            return anonymiser.person(f"document {content_of(example)}" if keyed else "document")
        scope = f"person {str(value).strip()}"
        if scope not in persons:
            persons[scope] = anonymiser.person(scope)
        return persons[scope]

    def _engine(self) -> Engine:
        patterns = Patterns(compiled(self.patterns))
        check_kinds("columns", self.columns, self.patterns)
        check_kinds("keep", self.keep, self.patterns)
        return patterns if self.engine == "patterns" else Presidio(patterns, self.model)

    def _key(self) -> Key | None:
        asks = {"replace: surrogates": self.replace == "surrogates", "dates: shift": self.dates == "shift"}
        asks |= {"vault": self.vault is not None}
        why = next((name for name, asked in asks.items() if asked), None)
        return None if why is None else need_key(self.key_file, self.key_env, why)

    def _absent(self, missing: str, there: list[str]) -> str:
        option = "person" if missing == self.person else "columns"
        return (
            f"{option}: no row keeps a column {missing}{did_you_mean(missing, there)}; columns of the last row: "
            f"{', '.join(there)}\na column that a formatter has put into text is none any more; patterns look there"
        )
