"""The base classes of all plugins. One or two abstract methods each; what only some need has a default.

A plugin's constructor takes its options, typed, and stores them unchanged: no work, no I/O. Its class docstring is what
`lightning-cli plugins describe NAME` prints. Heavy libraries are imported inside methods, so that listing stays fast.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self

from tunesmith.data.columns import Columns
from tunesmith.data.encoded import Encoded
from tunesmith.data.example import Example, Message
from tunesmith.data.recognise import Recognised
from tunesmith.evaluation.measure import Findings, Measure, Sample
from tunesmith.plugins.subject import Subject

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tunesmith.data.batch import Batch
    from tunesmith.training.forward import Forward, Term


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
    """

    kind = "curator"
    scope: ClassVar[Literal["all", "train"]] = "all"
    by_row: ClassVar[bool] = False

    @abstractmethod
    def apply(self, examples: Iterable[Example], record: Record) -> Iterable[Example]:
        """Return the examples that stay, in order, with `id` and `origin` kept."""

    def check(self) -> None:
        """Refuse options that cannot be; called before any row is read, by `recipes check` as well. Since 0.9.

        Raises:
            RecipeError: An option has a value that cannot be; names the option, without the curator's name in the
                recipe, which the core puts before it.
        """

    def question(self, examples: Iterable[Example], record: Record) -> Iterable[Example]:
        """Change rows that `predict` is given to answer as `apply` changes those that are trained on. Since 0.9.

        Here belongs what a model must never see (identities), or always sees so (repaired text). Drops and adds none.
        """
        return examples


class Renderer(Protocol):
    """Text to token ids with loss weights, by the base's tokenizer and chat template.

    Since 0.1.
    """

    def conversation(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()) -> Encoded:
        """Render a whole conversation once; weights come from the template's own segments (traps 12, 13, 18).

        A turn with `weight=None` weighs 1 if the assistant speaks, else 0. The end-of-turn token belongs to its turn.
        """

    def prompt(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()) -> Encoded:
        """Render turns and open the assistant's: what generation starts from."""

    def text(self, pieces: Sequence[tuple[str, float]], end: bool = True) -> Encoded:
        """Tokenise template-free pieces of text with a weight each, as one text; `end` closes it with EOS."""


class Objective(Plugin):
    """The training objective: how an example becomes sequences, and what the loss is.

    Since 0.1.

    Attributes:
        model_class: Which head of transformers it needs.
    """

    kind = "objective"
    model_class: ClassVar[Literal["causal", "masked", "classification"]] = "causal"

    @abstractmethod
    def encode(self, example: Example, renderer: Renderer) -> list[Encoded]:
        """Sequences of one example; two for a preference pair, which stay in one micro-batch.

        Raises:
            RowError: The example lacks what the objective needs.
        """

    @abstractmethod
    def loss(self, forward: "Forward") -> "Term":
        """The loss of a micro-batch as a sum with its unit."""

    def module(self, config: Any) -> "nn.Module | None":
        """A head of its own, trained and saved with the adapter; None for the model's own."""
        return None


class Adapter(Plugin):
    """Which parameters train, how they are saved and merged.

    Since 0.1.

    Attributes:
        layout: `padded` where the method cannot run on ragged batches (prompt and prefix methods).
        switchable: Whether `without` gives the base from the same weights, so that no second copy is needed.
    """

    kind = "adapter"
    layout: ClassVar[Literal["ragged", "padded"]] = "ragged"
    switchable: ClassVar[bool] = True

    def load_options(self) -> dict[str, Any]:
        """Further keyword arguments for `from_pretrained` (a quantisation, a dtype)."""
        return {}

    @abstractmethod
    def attach(self, model: "nn.Module") -> "nn.Module":
        """Set `requires_grad` and add modules; returns the model that trains.

        What lies in `out_of_reach(model)` is frozen after it.
        """

    @abstractmethod
    def save(self, model: "nn.Module", directory: Path) -> None:
        """Write what was trained in the form that plain transformers or peft load."""

    @abstractmethod
    def load(self, model: "nn.Module", directory: Path) -> None:
        """Read into an attached model what `save` wrote; refuses missing and unexpected names."""

    def loading(self, base: str) -> str:
        """Python that loads what `save` wrote, for the README beside it; empty where plain libraries cannot.

        Args:
            base: Python that loads the base as `model`, quantisation included. Lines that begin with an import are
                moved to the top.

        Returns:
            Python that makes `model` from the folder `directory`; it may begin with `base`.
        """
        return ""

    def merge(self, model: "nn.Module") -> "nn.Module":
        """Return a plain model with the adapter folded in; one that has nothing to fold returns it as it is."""
        return model

    def without(self, model: "nn.Module") -> AbstractContextManager[None]:
        """Context in which `model` computes what the base did; leaves every `requires_grad` as it was (trap 45)."""
        return nullcontext()

    def groups(self, model: "nn.Module") -> list[dict[str, Any]] | None:
        """Parameter groups with learning rates of their own (`lr_scale`), or None for one group."""
        return None

    def after_step(self, model: "nn.Module", step: int) -> None:
        """Called after each optimizer step, counted from 1."""


class Regularizer(Plugin):
    """An extra term of the loss, logged as `reg/<name>`, or a perturbation while training.

    Constructors take `weight` and multiply it into the term themselves.

    Since 0.1.
    """

    kind = "regularizer"

    def setup(self, model: "nn.Module") -> None:
        """Called once with the attached model, before a checkpoint's weights are restored."""

    def penalty(self, forward: "Forward") -> "Term | None":
        """The extra term of this micro-batch, weight included; None where the method only perturbs."""
        return None

    def module(self) -> "nn.Module | None":
        """Parameters of its own, trained beside the adapter (an adversary)."""
        return None

    def prepare(self, forwards: Iterator["Forward"]) -> None:
        """Called once before the first step with passes over the training rows (a Fisher matrix).

        A resumed run does not call it: what it finds belongs into buffers of `module()`, which checkpoints hold.
        """

    def perturb(self, embeddings: "Tensor", batch: "Batch") -> "Tensor":
        """Change input embeddings `[T, width]` in training; never called in evaluation (trap 36).

        The embeddings are those of the batch's documents one after the other (`batch.cu_seqlens`), padding left out.
        A method that draws random numbers draws each row's from a generator that is seeded by the row's id
        (`batch.examples[int(at)].id for at in batch.sequence_example`), and by its document where a row has two: the
        result is then the same however rows are batched, packed or padded, accumulated and shared among processes.
        """
        return embeddings


class Evaluator(Plugin):
    """Turns samples into measures.

    Since 0.1.

    Attributes:
        needs: What the core has to produce per sample: `output` (generate an answer) and/or `logprob` (score the
            reference). Evaluators that need no generation cost none.
    """

    kind = "evaluator"
    needs: ClassVar[frozenset[Literal["output", "logprob"]]] = frozenset({"output"})

    @abstractmethod
    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        """Measure one model's samples. Returns the same names for any samples, also for none."""

    def columns(self) -> Sequence[str]:
        """Columns of the row that it reads (gold values): they are written beside the answers."""
        return ()

    def produces(self) -> list[Measure]:
        """Names, units and directions, without values: what `success` may bound; checked before anything runs."""
        return self.measure([])


class Audit(Plugin):
    """Looks for bias in the data, the model or its outputs.

    Since 0.1.

    Attributes:
        needs: Which parts of the subject it reads.
    """

    kind = "audit"
    needs: ClassVar[frozenset[Literal["examples", "model", "outputs"]]] = frozenset({"examples"})

    @abstractmethod
    def examine(self, subject: Subject) -> Findings:
        """Look, and say what was found with its evidence. Works on empty groups and empty subjects."""

    def produces(self) -> list[Measure]:
        """Metrics that `success` may bound, as empty measures with a name, a unit and a direction."""
        return []
