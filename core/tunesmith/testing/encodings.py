"""What objectives keep when they encode: sound sequences, whole, with the right tokens trained."""

import copy
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tunesmith.data.encoded import Encoded
from tunesmith.data.example import Example
from tunesmith.errors import RowError
from tunesmith.testing.check import Rule, Trial, fail, quoted, told
from tunesmith.testing.material import examples
from tunesmith.testing.randomness import drawn, global_seed, random_states
from tunesmith.testing.same import same

if TYPE_CHECKING:
    from tunesmith.data.render import ChatRenderer

_LENGTHS = (40, 400, 2000)
_PIECE = 96


def encodes_some_shape(trial: Trial) -> None:
    """Examples of some shape become one sequence of known token ids, or two for a pair; others raise RowError.

    Why: recipes mix sources. A RowError leaves one example out and counts it by reason; a KeyError stops the run. The
    two sequences of a pair stay in one micro-batch. Ids and weights are tuples, which cutting and counting rely on.
    """
    renderer = renderer_of()
    vocabulary = len(renderer.tokenizer)
    taken = accepted(trial, renderer)
    advice = "raise RowError(field, reason) for examples that lack what the objective needs"
    for example in examples():
        try:
            trial.plugin.encode(example, renderer)
        except RowError:
            continue
        except Exception as error:
            fail(f"encode fails with {told(error)} for {example.id} ({_shape(example)})", "RowError", advice, error)
    if not taken:
        fail("no example of any shape is accepted", "conversations, texts, pairs or labelled examples", advice)
    for example, sequences in taken:
        if len(sequences) not in (1, 2) or not all(isinstance(s, Encoded) for s in sequences):
            fail(
                f"encode gives {quoted(sequences)} for {example.id}", "a list of one Encoded, or two for a pair", advice
            )
        loose = next((p for s in sequences for p in (s.ids, s.weights) if not isinstance(p, tuple)), None)
        if loose is not None:
            what = f"{example.id} is encoded to a {type(loose).__name__}"
            fail(what, "tuples of ids and weights", "Encoded(tuple(ids), tuple(weights))")
        wrong = next((i for s in sequences for i in s.ids if not isinstance(i, int) or not 0 <= i < vocabulary), None)
        if wrong is not None or not all(s.ids for s in sequences):
            what = f"token id {wrong!r}" if wrong is not None else "a sequence without tokens"
            fail(f"{example.id} holds {what}", f"ids from 0 to {vocabulary - 1}", "let the renderer make them")


def encodes_the_same_each_time(trial: Trial) -> None:
    """Encoding leaves examples as they are, gives the same for each in any order, and draws from no global state.

    Why: every process of a run encodes all rows by itself, and a resumed one does so again. Sequences that differ there
    are other rows, under counts that no longer fit (trap 2). What is left out at random is seeded by the row's id.
    """
    renderer, given = renderer_of(), examples()
    before = copy.deepcopy(given)
    found: list[dict[str, Any]] = []
    for seed, order in ((1, 1), (2, -1)):
        with global_seed(seed):
            states = random_states()
            found.append(_encoded(trial, given[::order], renderer))
            if names := drawn(states):
                what = f"encode draws from the global random state of {' and '.join(names)}"
                fail(what, "global states as they were", "draw from random.Random(example.id)")
    changed = next((old.id for old, new in zip(before, given, strict=True) if not same(old, new)), None)
    if changed is not None:
        fail(f"encode changes {changed}", "the example as it was", "example.with_(...), or copy before changing")
    other = next((name for name in found[0] if not same(found[0][name], found[1].get(name))), None)
    if other is not None:
        fail(f"{other} is encoded otherwise the second time", "the same sequences", "keep nothing between examples")


def one_weight_a_token(trial: Trial) -> None:
    """There are as many weights as ids, each a finite number of 0 or more.

    Why: a weight belongs to the prediction of one token. One too few shifts all others, and the model learns to predict
    what it was told (traps 18, 34).
    """
    for example, sequence in _sequences(trial):
        advice = "make ids and weights together, or take both from the renderer"
        if len(sequence.ids) != len(sequence.weights):
            what = f"{example.id} has {len(sequence.ids)} ids and {len(sequence.weights)} weights"
            fail(what, "one weight for each id", advice)
        wrong = next((w for w in sequence.weights if not math.isfinite(w) or w < 0), None)
        if wrong is not None:
            fail(f"{example.id} has a weight of {wrong}", "finite weights of 0 or more", advice)


def first_token_weighs_nothing(trial: Trial) -> None:
    """The first token of a sequence has weight 0.

    Why: nothing stands before it that could predict it; in a packed batch that would be the end of another document
    (trap 9), and the count that the loss is divided by would be one too many.
    """
    for example, sequence in _sequences(trial):
        if sequence.weights and len(sequence.ids) == len(sequence.weights) and sequence.weights[0] != 0:
            what = f"the first weight of {example.id} is {sequence.weights[0]}"
            fail(what, "0", "weights = (0.0, *weights[1:])")


def supervises_every_example(trial: Trial) -> None:
    """Each accepted example has a supervised token in each of its sequences.

    Why: a row without one trains nothing and divides nothing (traps 13, 15): the core drops it, and a run whose
    rows are all dropped does not start. An objective that does not know what to supervise raises RowError.
    """
    if trial.plugin.model_class == "classification":  # a class is predicted from the sequence, not token by token
        return
    for example, sequence in _sequences(trial):
        if not any(sequence.weights[1:]):
            what = f"{example.id} ({_shape(example)}) has no supervised token"
            advice = "take the renderer's weights, whose assistant turns weigh 1; or raise RowError"
            fail(what, "one or more with a weight other than 0", advice)


def leaves_cutting_to_the_core(trial: Trial) -> None:
    """A long example is encoded whole: `data.max_length` and `data.truncation` cut it, and count what was cut.

    Why: an objective that cuts by itself hides it from the counts, and where it closes the cut text with an end token
    it teaches to stop in mid-sentence (trap 16).
    """
    renderer = renderer_of()
    shapes = {shape_of(example): example for example, _ in reversed(accepted(trial, renderer))}
    advice = "encode the whole example; never slice ids, never add an end token after a cut"
    for example in shapes.values():
        for words in _LENGTHS:
            longer = _lengthened(example, words)
            for sequence in trial.plugin.encode(longer, renderer):
                if sequence.truncated or len(sequence.ids) < words:
                    said = " and flagged as truncated" if sequence.truncated else ""
                    what = f"an answer of {words} words becomes {len(sequence.ids)} tokens{said}"
                    fail(what, "at least a token a word, not flagged", advice)


def cuts_into_whole_pieces(trial: Trial) -> None:
    """Where the objective cuts what is too long by itself, pieces are short enough and learn each token once.

    Why: `cut` takes the place of `data.truncation`. A token that no piece learns is lost without a word, one that two
    pieces learn counts twice; and a first token of a piece that has a weight is predicted from nothing (trap 9).
    """
    renderer = renderer_of()
    advice = "return sequence.pieces(longest, overlap, bos), or None"
    for example, sequences in accepted(trial, renderer):
        if len(sequences) != 1:
            continue
        for sequence in trial.plugin.encode(_lengthened(example, _LENGTHS[1]), renderer):
            for longest in (_PIECE, len(sequence.ids) - 1):
                pieces = trial.plugin.cut(sequence, longest, renderer.bos_id)
                if pieces is None:
                    continue
                wrong = next((p for p in pieces if len(p.ids) > longest or len(p.ids) != len(p.weights)), None)
                if wrong is not None or any(p.weights[0] for p in pieces):
                    given = "a first token with a weight" if wrong is None else f"{len(wrong.ids)} tokens"
                    fail(f"{example.id} is cut into a piece of {given}", f"at most {longest}, the first at 0", advice)
                found = [learnt for piece in pieces for learnt in _learnt(piece)]
                if found != _learnt(sequence):
                    what = f"pieces of {example.id} learn {len(found)} of {len(_learnt(sequence))} tokens"
                    fail(f"{what}, or others", "each token once, in order, with its weight", advice)


def _learnt(sequence: Encoded) -> list[tuple[int, float]]:
    """Ids and weights of what is learnt, in order."""
    return [(token, weight) for token, weight in zip(sequence.ids, sequence.weights, strict=True) if weight]


def trains_the_end_token(trial: Trial) -> None:
    """The end token that closes an answer is trained, also where the tokenizer pads with it.

    Why: many bases have pad == eos. Whoever masks the pad id then masks the end, and the model never stops (traps 11
    and 12). What is supervised follows from weights, never from token ids (trap 10). The end of the worse answer of a
    pair need not be trained, but is treated alike.
    """
    plain, padded = renderer_of(), renderer_of(pad_is_eos=True)
    end = plain.tokenizer.eos_token_id
    advice = "decide by turns and weights; never compare ids with pad_token_id"
    for example, sequences in accepted(trial, padded):
        if any(m.weight is not None for m in (*example.messages, *example.chosen, *example.rejected)):
            continue
        for number, (sequence, other) in enumerate(zip(sequences, trial.plugin.encode(example, plain), strict=True)):
            if not is_sound(other):
                continue  # other checks say why
            places = [at for at, token in enumerate(sequence.ids) if token == end]
            closed = places and sequence.weights[places[-1]] != 0
            # heads for classes learn no token, what fills in masked ones no special token
            closed = closed or trial.plugin.model_class != "causal" or number > 0
            if sequence != other or not closed:
                what = f"with pad == eos the end of {example.id} ({_shape(example)}) has weight "
                what += f"{sequence.weights[places[-1]]}" if places else "none, as it is not there"
                fail(what, "the weight of its turn", advice)


def renderer_of(pad_is_eos: bool = False) -> "ChatRenderer":
    """A renderer with the tiny base's tokenizer and template."""
    from tunesmith.data.render import ChatRenderer
    from tunesmith.testing.base import tokenizer_of_base

    tokenizer = tokenizer_of_base()
    if pad_is_eos:
        tokenizer.pad_token = tokenizer.eos_token
    return ChatRenderer(tokenizer)


def accepted(
    trial: Trial, renderer: "ChatRenderer", given: Sequence[Example] | None = None
) -> list[tuple[Example, list[Encoded]]]:
    """The examples that the objective encodes, with their sequences; `encodes_some_shape` tells of other errors."""
    found = []
    for example in examples() if given is None else given:
        try:
            found.append((example, list(trial.plugin.encode(example, renderer))))
        except Exception:  # noqa: S112  one shape that fails is no reason to try no other
            continue
    return found


def _encoded(trial: Trial, given: list[Example], renderer: "ChatRenderer") -> dict[str, Any]:
    """Sequences by the example's id; `encodes_some_shape` tells of those that fail."""
    found: dict[str, Any] = {}
    for example in given:
        with suppress(Exception):
            found[example.id] = list(trial.plugin.encode(example, renderer))
    return found


def is_sound(sequence: Any) -> bool:
    """Whether a sequence can be trained on; other checks tell of those that cannot."""
    return isinstance(sequence, Encoded) and len(sequence.ids) == len(sequence.weights) and any(sequence.weights[1:])


def _sequences(trial: Trial) -> list[tuple[Example, Encoded]]:
    return [(example, sequence) for example, found in accepted(trial, renderer_of()) for sequence in found]


def _lengthened(example: Example, words: int) -> Example:
    """The example with an answer of so many words, or a text."""
    said = "lamp " * (words - 1) + "end"
    if example.segments:
        return example.with_(segments=(*example.segments[:-1], replace(example.segments[-1], text=said)))
    parts = {name: turns for name in ("messages", "chosen", "rejected") if (turns := getattr(example, name))}
    return example.with_(**{name: (*turns[:-1], turns[-1].with_content(said)) for name, turns in parts.items()})


def shape_of(example: Example) -> str:
    """Which of its parts holds the content."""
    return "pair" if example.chosen else "text" if example.segments else "conversation"


def _shape(example: Example) -> str:
    return "pair" if example.chosen else "text" if example.segments else f"{len(example.messages)} turns"


CHECKS: list[Rule] = [
    encodes_some_shape,
    encodes_the_same_each_time,
    one_weight_a_token,
    first_token_weighs_nothing,
    supervises_every_example,
    leaves_cutting_to_the_core,
    cuts_into_whole_pieces,
    trains_the_end_token,
]
