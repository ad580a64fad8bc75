"""The base classes of all plugins, and of those that make and improve examples; `interfaces` has all of them."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self

from tunesmith.data.columns import Columns
from tunesmith.data.example import Example
from tunesmith.data.recognise import Recognised

if TYPE_CHECKING:
    from tunesmith.errors import RowError


class Plugin(ABC):  # noqa: B024  abstract by its subclasses
    """What all plugins share: a kind, as `plugins list` shows it.

    Since 0.1.
    """

    kind: ClassVar[str] = ""

    @classmethod
    def trial_instances(cls) -> Sequence[Self]:
        """Instances that `plugins check` and `tunesmith.testing` try; one or more where an option is required."""
        return [cls()]


class Formatter(Plugin):
    """Turns a row into an example.

    Since 0.1.
    """

    kind = "formatter"

    @abstractmethod
    def format(self, row: Mapping[str, Any]) -> Example:
        """Read one row. Pure: same row, same example.

        Columns that the formatter does not consume belong into `Example.extras`.

        Raises:
            RowError: The row cannot be read; names the field and the columns that are there.
        """

    def question(self, row: Mapping[str, Any]) -> Example:
        """Read a row that is to be answered, so that its own answer may be absent; as `format` if it is there. Pure.

        Raises:
            RowError: As `format`.
        """
        return self.format(row)

    @classmethod
    def recognises(cls, columns: Columns) -> Iterable[Recognised]:
        """How rows with such columns would be read; nothing where they are of other schemas. Pure.

        `formatter: Auto` and `recipes new` ask all formatters. Since 0.9.
        """
        return ()

    def settle(self, rows: Sequence[Mapping[str, Any]], formatters: "Sequence[type[Formatter]]") -> "Formatter":
        """The formatter that reads a source which begins with these rows: itself, unless it chooses among others. Pure.

        Since 0.9.

        Args:
            rows: The first rows, as `map` names their columns.
            formatters: All that the recipe may name.

        Raises:
            DataError: The rows do not say which.
        """
        return self

    def gathers(self) -> bool:
        """Whether `gather` has to be called, for which all rows of the source are held; where a class has its own.

        Since 0.11.
        """
        return type(self).gather is not Formatter.gather

    def gather(self, rows: Sequence[Mapping[str, Any]]) -> "Iterable[Mapping[str, Any] | RowError]":
        """What each row gains from others of its source, as columns that `format` is given beside its own. Pure.

        Called once with all rows, for formatters whose rows go on from others. Since 0.11.

        Args:
            rows: All rows of the source, as `map` names their columns.

        Returns:
            For each row, in order: the columns that it gains, or why it cannot be read.
        """
        return [{} for _ in rows]

    @classmethod
    def trial_rows(cls) -> Sequence[Mapping[str, Any]]:
        """Rows that the trial instances read, where `tunesmith.testing` cannot find some by the fields of errors."""
        return []


class Record(Protocol):
    """Where a curator says what it did; the core counts by reason.

    Since 0.1.

    Attributes:
        seed: For curators that draw: made from the recipe's seed and the curator's name in it.
        held_out: Validation and test examples, to compare with, for curators of scope `train`; empty for the others,
            which run before the split. Since 0.9.
    """

    seed: int
    held_out: Sequence[Example]

    def drop(self, example: Example, reason: str) -> None:
        """Note that `example` was left out."""

    def change(self, example: Example, reason: str) -> None:
        """Note that `example` was changed."""

    def add(self, example: Example, reason: str) -> None:
        """Note that `example` was made."""

    def remark(self, said: str) -> None:
        """Say in a few words what was found in the data as a whole, and acted on or not; `fit` prints it.

        Since 0.9. What single rows say does not belong into it.
        """


class Curator(Plugin):
    """Improves a data set: drops, changes or makes examples, and records each by reason.

    Since 0.1.

    Attributes:
        scope: `all` runs before the split (clean, anonymise, deduplicate); `train` after it, on training rows only
            (augment, balance), so that no test row is ever made or changed.
        by_row: Whether what becomes of an example depends on nothing but the example, the options and the seed, so that
            parts of a data set may be curated apart. A property where options decide. Since 0.9.
        anonymises: Whether it replaces personal data; the data card says what it found, or that nothing looked. Since
            0.9.
        unlocked: Options that name files whose content `recipes lock` does not tell: a key, which could be guessed from
            its hash where it is weak, and what the curator itself writes. Since 0.12.
    """

    kind = "curator"
    scope: ClassVar[Literal["all", "train"]] = "all"
    by_row: ClassVar[bool] = False
    anonymises: ClassVar[bool] = False
    unlocked: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def apply(self, examples: Iterable[Example], record: Record) -> Iterable[Example]:
        """Return the examples that stay, in order, with `id` and `origin` kept.

        `examples` may be walked through more than once; each time they are read anew, so they need not be held.
        """

    def check(self) -> None:
        """Refuse options that cannot be; called before any row is read, by `recipes check` as well. Since 0.9.

        Raises:
            RecipeError: An option has a value that cannot be; names the option, without the curator's name in the
                recipe, which the core puts before it.
        """

    def fingerprint(self) -> str | None:
        """What the result depends on beside examples, options, seed and the files and folders that options name.

        The core keeps what a curator made, and takes it from there as long as none of these has changed. A key in the
        environment or the version of a model belongs into it; installed packages need not be said. Since 0.10.

        Returns:
            A text that is another where the result may be, and tells no secret; None where nobody can say, as where a
            server is asked: such a curator runs each time.
        """
        return ""

    def question(self, examples: Iterable[Example], record: Record) -> Iterable[Example]:
        """Change rows that `predict` is given to answer as `apply` changes those that are trained on. Since 0.9.

        Here belongs what a model must never see (identities), or always sees so (repaired text). Drops and adds none.
        """
        return examples
