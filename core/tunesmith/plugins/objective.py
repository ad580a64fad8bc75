"""The base class of objectives, and what they make token ids by; `interfaces` has all base classes."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from tunesmith.data.encoded import Encoded
from tunesmith.data.example import Example, Message
from tunesmith.plugins.data_interfaces import Plugin

if TYPE_CHECKING:
    from numpy.random import Generator
    from torch import nn

    from tunesmith.training.forward import Forward, Term


class Renderer(Protocol):
    """Text to token ids with loss weights, by the base's tokenizer and chat template.

    Since 0.1.

    Attributes:
        tokenizer: The base's, of transformers. Since 0.13.
    """

    tokenizer: Any

    def conversation(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()) -> Encoded:
        """Render a whole conversation once; weights come from the template's own segments (traps 12, 13, 18).

        A turn with `weight=None` weighs 1 if the assistant speaks, else 0. The end-of-turn token belongs to its turn.
        """

    def prompt(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()) -> Encoded:
        """Render turns and open the assistant's: what generation starts from."""

    def text(self, pieces: Sequence[tuple[str, float]], end: bool | None = True) -> Encoded:
        """Tokenise template-free pieces of text with a weight each, as one text.

        `end` closes it with EOS, or as encoders do; None closes it where the tokenizer itself does, since 0.13.
        """


class Objective(Plugin):
    """The training objective: how an example becomes sequences, and what the loss is.

    Since 0.1.

    Attributes:
        model_class: Which head of transformers it needs. Where a base has none for `masked`, as a decoder, the one that
            says the next token takes its place, and attention looks to both sides.
    """

    kind = "objective"
    model_class: ClassVar[Literal["causal", "masked", "classification"]] = "causal"

    def check(self) -> None:
        """Refuse options that cannot be; called before a base is loaded, by `recipes check` as well. Since 0.13.

        Raises:
            RecipeError: An option has a value that cannot be, or does not go with another; names its key
                (`model.objective.init_args.beta`).
        """

    def base_config(self) -> dict[str, Any]:
        """What the base's config is loaded with beside its own, and saved with: names of classes. Since 0.13."""
        return {}

    @abstractmethod
    def encode(self, example: Example, renderer: Renderer) -> list[Encoded]:
        """Sequences of one example; two for a preference pair, which stay in one micro-batch.

        Raises:
            RowError: The example lacks what the objective needs.
        """

    def encode_beside(self, example: Example, other: Example | None, renderer: Renderer) -> list[Encoded]:
        """Sequences of one example where another row of its split has a part in them; by default, `encode` alone.

        Called in place of `encode`, the same for all rows. Since 0.13.

        Args:
            example: The example.
            other: One that stands shortly before it and asks something else; None where there is none such.
            renderer: Text to token ids.

        Raises:
            RowError: The example lacks what the objective needs.
        """
        return self.encode(example, renderer)

    def cut(self, sequence: Encoded, longest: int, bos: int | None, closing: int | None = None) -> list[Encoded] | None:
        """Pieces of a sequence that is too long, each a row of its own; None leaves it to `data.truncation`.

        Not asked for pairs. Since 0.13.

        Args:
            sequence: As `encode` made it.
            longest: Tokens that a piece may have.
            bos: Id that opens every sequence, where the base has one.
            closing: Id that closes every sequence of an encoder.
        """
        return None

    def draw(self, sequence: Encoded, renderer: Renderer, random: "Generator") -> Encoded:
        """What of a sequence an epoch learns, where that is drawn: `sequence.supervised` of its tokens. Since 0.13.

        Called for each epoch; in validation always as for the first.

        Args:
            sequence: As `encode` made it, with a `share`, and cut.
            renderer: Text to token ids.
            random: To draw from; seeded by the recipe's seed, the epoch and the row.

        Returns:
            As many tokens, with a weight at those that are learnt, and with `targets` where these are changed.
        """
        return sequence

    @abstractmethod
    def loss(self, forward: "Forward") -> "Term":
        """The loss of a micro-batch as a sum with its unit."""

    def prepare(self, examples: Iterable[Example]) -> None:
        """Called before training, a resumed one too, with what the training rows are made of. Since 0.13."""

    def after_step(self, logged: Mapping[str, float]) -> None:
        """Called after each optimizer step with the means over its window of what `logs` names. Since 0.13.

        What the loss of further steps depends on belongs into buffers of `module()`, which checkpoints hold.
        """

    def asked(self, example: Example) -> Example:
        """The example as a model is asked it and judged by: its turns, with the right answer last. Since 0.13.

        By default the example itself; another where what is learnt is no answer, as a class.
        """
        return example

    def read(self, example: Example, renderer: Renderer) -> Encoded:
        """What a model with a head for classes reads of an example that `asked` gave. Since 0.13.

        Raises:
            RowError: The example lacks it.
        """
        raise NotImplementedError

    def logs(self) -> Sequence[str]:
        """Names of what its terms log beside the loss (`Term.logged`): `NAME` in training, `val/NAME` in validation.

        Since 0.13.
        """
        return ()

    def module(self, config: Any) -> "nn.Module | None":
        """A head of its own, trained and saved with the adapter; None for the model's own."""
        return None
