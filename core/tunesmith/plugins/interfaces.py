"""The base classes of all plugins. One or two abstract methods each; what only some need has a default.

A plugin's constructor takes its options, typed, and stores them unchanged: no work, no I/O. Its class docstring is what
`lightning-cli plugins describe NAME` prints. Heavy libraries are imported inside methods, so that listing stays fast.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from tunesmith.data.encoded import Encoded
from tunesmith.data.example import Example
from tunesmith.errors import RowError
from tunesmith.evaluation.measure import Findings, Mark, Measure, Sample
from tunesmith.plugins.data_interfaces import Curator as Curator
from tunesmith.plugins.data_interfaces import Formatter as Formatter
from tunesmith.plugins.data_interfaces import Plugin as Plugin
from tunesmith.plugins.data_interfaces import Record as Record
from tunesmith.plugins.objective import Objective as Objective
from tunesmith.plugins.objective import Renderer as Renderer
from tunesmith.plugins.subject import Subject

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tunesmith.data.batch import Batch
    from tunesmith.training.forward import Forward, Term


class Adapter(Plugin):
    """Which parameters train, how they are saved and merged.

    Since 0.1.

    Attributes:
        layout: `padded` where the method cannot run on ragged batches (prompt and prefix methods).
        switchable: Whether `without` gives the base from the same weights, so that no second copy is needed.
        recomputable: Whether activations may be computed again in backward (`model.gradient_checkpointing`). Since
            0.13.
        virtual_tokens: How many tokens it puts before each document, which `preview` counts; most put none. Since
            0.13.
    """

    kind = "adapter"
    layout: ClassVar[Literal["ragged", "padded"]] = "ragged"
    switchable: ClassVar[bool] = True
    recomputable: ClassVar[bool] = True
    virtual_tokens: int = 0

    def check(self) -> None:
        """Refuse options that cannot be; called before a base is loaded, by `recipes check` as well. Since 0.13.

        Raises:
            RecipeError: An option has a value that cannot be, or does not go with another; names its key
                (`model.adapter.init_args.rank`).
        """

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

    def merge_refusal(self) -> str:
        """Why `merge` refuses whatever the model is, with what to do; empty where it does not. Since 0.13.

        A stage that another follows is refused by it before it trains.
        """
        return ""

    def without(self, model: "nn.Module") -> AbstractContextManager[None]:
        """Context in which `model` computes what the base did; leaves every `requires_grad` as it was (trap 45)."""
        return nullcontext()

    def groups(self, model: "nn.Module") -> list[dict[str, Any]] | None:
        """Parameter groups with learning rates of their own (`lr_scale`), or None for one group."""
        return None

    def penalty(self, model: "nn.Module") -> "Term | None":
        """An extra term of the loss, logged as `reg/adapter`; None where there is none. Since 0.13."""
        return None

    def start(self, model: "nn.Module", steps: int | None) -> None:
        """Called once before a run's first step, be it resumed or not. Since 0.13.

        A checkpoint may have been read before it: what `kept` gives is not to be begun anew here.

        Args:
            model: Where it is going to train.
            steps: Optimizer steps of the whole run; None where only the clock ends it.
        """

    def after_step(self, model: "nn.Module", step: int) -> None:
        """Called after each optimizer step, counted from 1; gradients are still there."""

    def kept(self, model: "nn.Module") -> "Mapping[str, Tensor]":
        """Tensors that steps change beside what trains, by name: checkpoints hold them, and copy into them. Since 0.13.

        The names are the same at any time.
        """
        return {}


class Regularizer(Plugin):
    """An extra term of the loss, logged as `reg/<name>`, or a perturbation while training.

    Constructors take `weight` and multiply it into the term themselves.

    Since 0.1.

    Attributes:
        model_classes: The kinds of models that it regularizes; `Forward` has no supervised tokens where an objective
            trains a head for classes. Since 0.13.
    """

    kind = "regularizer"
    model_classes: ClassVar[frozenset[Literal["causal", "masked", "classification"]]] = frozenset(
        {"causal", "masked", "classification"}
    )

    def check(self, objective: Objective, adapter: Adapter) -> None:
        """Refuse what cannot be: options out of range, and what it cannot be combined with. Since 0.13.

        Called before the base is loaded.

        Args:
            objective: The recipe's.
            adapter: The recipe's.

        Raises:
            RecipeError: Names the options, and what to do.
        """

    def setup(self, model: "nn.Module") -> None:
        """Called once with the attached model, before a checkpoint's weights are restored."""

    def advance(self, step: int, steps: int | None) -> None:
        """Called before each pass that is trained on, for what follows a schedule. Since 0.13.

        Validation, `preview` and `plugins check` do not call it: by itself a term is what it is at the run's end.

        Args:
            step: Optimizer steps that were made before, also of a resumed run.
            steps: Those of the whole run; None where only the clock ends it.
        """

    def penalty(self, forward: "Forward") -> "Term | None":
        """The extra term of this micro-batch, weight included; None where the method only perturbs."""
        return None

    def logs(self) -> Sequence[str]:
        """Names of what its terms log beside the penalty (`Term.logged`), as `reg/<name>/NAME`. Since 0.13."""
        return ()

    def module(self) -> "nn.Module | None":
        """Parameters of its own, trained beside the adapter (an adversary); `setup` may still add to it.

        Checkpoints hold them; the adapter is saved without them.
        """
        return None

    def prepare(self, forwards: Iterator["Forward"]) -> None:
        """Called once before the first step with passes over the training rows, or its own (a Fisher matrix).

        A resumed run does not call it: what it finds belongs into buffers of `module()`, which checkpoints hold.
        """

    def own_rows(self) -> Sequence[Example] | None:
        """Rows of its own, with an `id` each; None for none. Since 0.13.

        `prepare` then gets passes over them, and not over training rows: one row a pass, in evaluation mode, all of
        them on each process. With an `own_share`, `penalty` gets passes over those that go beside a micro-batch, and
        not over that; its unit is counted over them.
        """
        return None

    def own_share(self) -> float:
        """Rows of its own beside each training row, at least one for each optimizer step; 0 for none. Since 0.13."""
        return 0.0

    def encode(self, example: Example, renderer: Renderer) -> list[Encoded]:
        """Sequences of a row of its own; by default a text, or what the assistant says in a conversation. Since 0.13.

        Raises:
            RowError: It has neither.
        """
        if example.segments:
            return [renderer.text([(piece.text, piece.weight) for piece in example.segments])]
        if not example.messages:
            field, reason = "messages", "the example has neither messages nor text"
            raise RowError(field, reason)
        return [renderer.conversation(example.messages, example.tools)]

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
        needs: What the core has to produce per sample: `output` (generate an answer), `logprob` (score the reference),
            `latency` (answer some rows alone and take the time; since 0.12), `classes` (score each class that
            `classes` names as the answer; since 0.12), `rejected` (score the worse answer of pairs; since 0.13).
            Evaluators that need no generation cost none.
    """

    kind = "evaluator"
    needs: ClassVar[frozenset[Literal["output", "logprob", "latency", "classes", "rejected"]]] = frozenset({"output"})

    @abstractmethod
    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        """Measure one model's samples. Returns the same names for any samples, also for none."""

    def columns(self) -> Sequence[str]:
        """Columns of the row that it reads (gold values): they are written beside the answers."""
        return ()

    def classes(self) -> Sequence[str]:
        """Answers whose probabilities it reads from `Sample.probabilities`, where it needs `classes`. Since 0.12.

        They are normalised over the classes of all evaluators; divide by the sum of those that are named here.
        """
        return ()

    def produces(self) -> list[Measure]:
        """Names, units and directions, without values: what `success` may bound; checked before anything runs."""
        return self.measure([])

    def marks(self, samples: Sequence[Sample]) -> list[list[Mark]] | None:
        """Where in each sample lies what it measures, for `predictions.jsonl` and pages. Since 0.12.

        None points at nothing.
        """
        return None

    def ready(self) -> None:
        """Called once by `test` and `validate` before a model answers: whether a server that it needs does. Since 0.12.

        What cannot be measured is then known before minutes of generation. Verbs that only read a recipe call none.

        Raises:
            RecipeError: It could not measure.
        """

    def own_rows(self) -> Sequence[Example] | None:
        """Rows of its own, which models answer besides the test rows, and which it measures in their place. Since 0.12.

        None measures the test rows. Rows need an `id` each; a general task, or canaries, are such rows.
        """
        return None

    def needs_of(self, row: Example) -> frozenset[Literal["output", "logprob", "latency", "classes", "rejected"]]:
        """What of `needs` one of `own_rows` takes: less where not all is read, so that models need not answer.

        Since 0.13.
        """
        return self.needs

    def combine(self, measures: Mapping[str, Measure]) -> list[Measure] | None:
        """Measures made of those that other evaluators gave of the same model. Since 0.12.

        Args:
            measures: By `name in the recipe/name of the measure`; of test rows alone.

        Returns:
            What takes the place of `measure`'s; None where it measures samples, as most do.
        """
        return None


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

    def produces_beside(self, known: Mapping[str, Measure]) -> list[Measure]:
        """The same names, where units and directions follow what the recipe's evaluators measure.

        Since 0.13.

        Args:
            known: What evaluators produce, as `name in the recipe/name of the measure`, without values.
        """
        del known
        return self.produces()
