"""Rows beside the same ones with another group in them, and what models say to both."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tunesmith import Example, LanguageModel, Message, RecipeError, Sample, normal_text
from tunesmith_plugins.audits.questions import answered, question, right_answer
from tunesmith_plugins.fairness.exchange import Exchange
from tunesmith_plugins.fairness.names import CAPITALISED, LEAST

_MOST_CLASSES = 50


@dataclass(frozen=True)
class SwappedRow:
    """A row and its swap.

    Args:
        row: As it stands.
        swap: With the groups exchanged.
        pair: The groups.
        group: The one of them that the row's question names alone; empty where it names both.
    """

    row: Example
    swap: Example
    pair: tuple[str, str]
    group: str


@dataclass(frozen=True)
class Said:
    """What a model says to rows and their swaps; of each list the rows come first, then their swaps.

    Args:
        outputs: Answers.
        scores: Log-probabilities (nats) of the right answers with their numbers of tokens; None where the model scores
            none.
    """

    outputs: Sequence[str]
    scores: Sequence[tuple[float, int]] | None


def swapped_rows(exchange: Exchange, examples: Iterable[Example], columns: Sequence[str]) -> list[SwappedRow]:
    """The examples whose question reads otherwise with the groups exchanged.

    Args:
        exchange: What is exchanged.
        examples: Of a split.
        columns: Of the rows, those that are swapped with the text.
    """
    found = []
    for example in examples:
        pair = exchange.pair(example, 0) if question(example) else None
        swap = exchange.made(example, pair, columns) if pair is not None else None
        if pair is not None and swap is not None and question(swap) != question(example):
            found.append(SwappedRow(example, swap, pair, _named(exchange, example, pair)))
    return found


def ask(model: LanguageModel, rows: Sequence[SwappedRow]) -> Said:
    """Answers of a model to rows and swaps, and how likely the right answers are to it."""
    both = [row.row for row in rows] + [row.swap for row in rows]
    turns, right = [question(one) for one in both], [right_answer(one) for one in both]
    return Said(model.generate(turns), _scores(model, turns, right) if all(right) else None)


def samples(rows: Sequence[SwappedRow], said: Said) -> list[Sample]:
    """What was said as evaluators read it: the rows, then their swaps."""
    both = [row.row for row in rows] + [row.swap for row in rows]
    scores: Sequence[tuple[float, int]] = said.scores or [(math.nan, 0)] * len(both)
    return [
        Sample(one.id, question(one), right_answer(one), output, total, tokens, one.task, one.extras, label=one.label)
        for one, output, (total, tokens) in zip(both, said.outputs, scores, strict=True)
    ]


def expected(exchange: Exchange, row: SwappedRow, output: str) -> str:
    """The answer to a row as it would be to its swap, if nothing but the group mattered."""
    made = exchange.made(Example(messages=(Message("assistant", output),)), row.pair)
    return made.reference if made is not None else output


def words_changed(one: str, other: str) -> float:
    """How much two answers differ, 0 to 1: one less the F1 of their words, order aside."""
    first, second = Counter(normal_text(one).split()), Counter(normal_text(other).split())
    both = first.total() + second.total()
    return 1 - 2 * (first & second).total() / both if both else 0.0


def _scores(
    model: LanguageModel, turns: Sequence[tuple[Message, ...]], right: Sequence[str]
) -> list[tuple[float, int]] | None:
    """Log-probabilities of the right answers; where a model has a head for classes, of the right ones among them."""
    try:
        return model.logprob([answered(asked, answer) for asked, answer in zip(turns, right, strict=True)])
    except RecipeError:  # a head for classes scores no tokens
        named = list(dict.fromkeys(right))
    if len(named) > _MOST_CLASSES:
        return None
    try:
        shares = model.classify(turns, named)
    except RecipeError:  # what is right here is none of its classes
        return None
    return [(math.log(max(row[named.index(answer)], 1e-12)), 1) for row, answer in zip(shares, right, strict=True)]


def _named(exchange: Exchange, example: Example, pair: tuple[str, str]) -> str:
    """The group of a pair that a question names alone, by words and by names that are sure."""
    text = "\n".join(turn.content for turn in question(example))
    mentions = exchange.category.mentions(text)
    counts = {group: mentions.get(group, 0) for group in pair}
    names = exchange.category.names
    if names is not None and exchange.names:
        for match in CAPITALISED.finditer(text):
            sure = names.group(match[0].casefold(), LEAST[names.kind])
            counts |= {sure: counts[sure] + 1} if sure in counts else {}
    held = [group for group, count in counts.items() if count]
    return held[0] if len(held) == 1 else ""
