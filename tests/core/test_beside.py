"""Rows that regularizers bring along: the same with the same windows, whatever the layout, and all counted."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tunesmith import Encoded, Example, Forward, Message, RecipeError, Regularizer, Renderer, Segment, Term
from tunesmith.data.beside import Companion, assembled, fetched
from tunesmith.data.encoded_rows import EncodedRow
from tunesmith.data.loader import PlanLoader
from tunesmith.data.own_rows import OwnRows, own_rows
from tunesmith.data.plan import MicroBatch, Plan
from tunesmith.testing import models

NAME = "reg/replay"
OWN = 10


def row(name: str, length: int) -> EncodedRow:
    return EncodedRow(Example(id=name), (Encoded((7,) * length, (0.0,) + (1.0,) * (length - 1)),))


TRAINING = [row(f"t{i}", 4 + i % 5) for i in range(37)]
GENERAL = [row(f"g{i}", 3 + i) for i in range(OWN)]


def units(rows: Sequence[EncodedRow]) -> Any:
    return {unit: [one.units[unit] for one in rows] for unit in ("token", "example", "pair")}


def companion(share: float = 0.25, **options: Any) -> Companion:
    return Companion(NAME, units(GENERAL), [float(one.length) for one in GENERAL], share, seed=3, **options)


def plan(batch_size: int, accumulate: int, world: int, share: float = 0.25, **options: Any) -> Plan:
    beside = [companion(share, accumulate=accumulate, world=world)]
    sizes = {"batch_size": batch_size, "accumulate": accumulate, "world": world}
    return Plan([one.length for one in TRAINING], units(TRAINING), seed=3, beside=beside, **sizes, **options)


def drawn(micros: Sequence[MicroBatch]) -> dict[int, Counter[int]]:
    """The rows beside each window's micro-batches."""
    found: dict[int, Counter[int]] = {}
    for micro in micros:
        assert micro.window is not None
        found.setdefault(micro.window.index, Counter())
        if (own := micro.beside.get(NAME)) is not None and not own.ghost:
            found[micro.window.index].update(own.rows)
    return found


@pytest.mark.parametrize("layout", [(8, 1, 1), (4, 2, 1), (2, 2, 2), (1, 4, 2), (1, 2, 4), (1, 8, 1)])
def test_a_window_has_the_same_rows_beside_it_in_any_layout(layout: tuple[int, int, int]) -> None:
    one, other = plan(8, 1, 1), plan(*layout)
    for epoch in range(3):
        expected, found = drawn(one.everywhere(epoch)), drawn(other.everywhere(epoch))
        assert found == expected
        assert [sum(rows.values()) for rows in found.values()] == [2, 2, 2, 2, 1]  # 8, 8, 8, 8 and 5 training rows


@pytest.mark.parametrize("layout", [(4, 2, 1), (1, 4, 2), (1, 2, 4), (3, 1, 3)])
@pytest.mark.parametrize("share", [0.01, 0.25, 1.5])
def test_counts_are_of_all_ranks_and_micro_batches_of_a_window(layout: tuple[int, int, int], share: float) -> None:
    _, accumulate, world = layout
    made = plan(*layout, share)
    micros = made.everywhere(0)
    for window, rows in drawn(micros).items():
        mine = [micro for micro in micros if micro.window is not None and micro.window.index == window]
        examples = sum(len(micro.rows) for micro in mine if not micro.ghost)
        assert sum(rows.values()) == max(1, round(share * examples))
        counts = {unit: sum(values[at] * n for at, n in rows.items()) for unit, values in units(GENERAL).items()}
        owns = [own for micro in mine if (own := micro.beside.get(NAME)) is not None]
        counts["step"] = sum(not own.ghost for own in owns)
        for micro in mine:
            assert micro.window is not None
            assert micro.window.beside == {NAME: counts}
        for own in owns:
            assert own.window is not None
            assert own.window.counts == counts
            assert own.window.factor == (0 if own.ghost else accumulate * world)
        # all ranks of a round run a pass, or none: else they would wait for each other under FSDP2
        rounds = [mine[at : at + world] for at in range(0, len(mine), world)]
        assert all(len({NAME in micro.beside for micro in each}) == 1 for each in rounds)
        assert all(micro.beside[NAME].ghost for micro in mine if micro.ghost and NAME in micro.beside)


def test_ranks_get_as_many_rows_as_can_be() -> None:
    for index in range(4):
        micros = [micro for micro in plan(1, 4, 2, 1.0).everywhere(0) if micro.window and micro.window.index == index]
        assert [len(micro.beside[NAME].rows) for micro in micros] == [1] * 8
    few = [micro for micro in plan(1, 4, 2, 0.5).everywhere(0) if micro.window and micro.window.index == 0]
    assert [len(micro.beside[NAME].rows) if NAME in micro.beside else 0 for micro in few] == [0, 0, 1, 1, 0, 0, 1, 1]


def test_each_row_has_its_turn_and_epochs_have_other_orders() -> None:
    orders = []
    for epoch in range(2):
        rows = [at for own in drawn(plan(4, 1, 1, 0.5).everywhere(epoch)).values() for at in own.elements()]
        assert len(rows) == 9 * 2 + 1
        turns = Counter(rows)
        assert set(turns.values()) <= {1, 2}
        assert len(turns) == OWN
        orders.append(rows)
    assert orders[0] != orders[1]
    other = replace(companion(), name="reg/other")
    assert list(zip(range(OWN), other._order(0), strict=False)) != list(
        zip(range(OWN), companion()._order(0), strict=False)
    )


def test_training_rows_are_dealt_as_without_them() -> None:
    made = plan(2, 2, 2)
    without = replace(made, beside=())
    assert [micro.rows for micro in made.everywhere(1)] == [micro.rows for micro in without.everywhere(1)]
    assert made.layout() == without.layout()
    micro = next(micro for micro in made.everywhere(0) if NAME in micro.beside and not micro.beside[NAME].ghost)
    assert made.cost_of(micro) == made.cost(micro.rows) + sum(GENERAL[at].length for at in micro.beside[NAME].rows)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
def test_batches_come_with_those_beside_them(workers: int) -> None:
    made = plan(2, 2, 2)
    for rank in range(2):
        loader = PlanLoader(TRAINING, made, rank, workers, {NAME: GENERAL})
        for micro, batch in zip(made.epoch(0, rank), loader, strict=True):
            assert [e.id for e in batch.examples] == [TRAINING[at].example.id for at in micro.rows]
            assert batch.beside.keys() == micro.beside.keys()
            for name, own in batch.beside.items():
                wanted = micro.beside[name]
                assert [e.id for e in own.examples] == [GENERAL[at].example.id for at in wanted.rows]
                assert own.window == wanted.window
                assert own.ghost == wanted.ghost
                assert bool(own.loss_weights.any()) == (not wanted.ghost)
                assert batch.to("meta").beside[name].input_ids.is_meta
                assert any(tensor is own.input_ids for tensor in batch.tensors())
        if workers:
            break


def test_a_micro_batch_knows_its_rows_from_those_beside() -> None:
    micro = MicroBatch((1, 2), beside={"reg/a": MicroBatch((0,)), "reg/b": MicroBatch((3, 4))})
    batch = assembled(None, fetched(micro, TRAINING, {"reg/a": GENERAL, "reg/b": GENERAL[::-1]}))
    ids = [[e.id for e in one.examples] for one in (batch, batch.beside["reg/a"], batch.beside["reg/b"])]
    assert ids == [["t1", "t2"], ["g0"], ["g6", "g5"]]


class Brings(Regularizer):
    """Brings rows along."""

    def __init__(self, rows: Sequence[Example] | None, share: float = 0.5) -> None:
        self.rows = rows
        self.share = share

    def own_rows(self) -> Sequence[Example] | None:
        return self.rows

    def own_share(self) -> float:
        return self.share

    def penalty(self, forward: Forward) -> Term:
        return Term(forward.hidden.square().sum(), "token")


TEXTS = [Example(segments=(Segment("one two three"),), id="a"), Example(segments=(Segment("four"),), id="b")]
TALK = Example(messages=(Message("user", "one"), Message("assistant", "two")), id="c")


def test_rows_are_encoded_as_texts_and_conversations_or_as_the_regularizer_says() -> None:
    class Whole(Brings):
        def encode(self, example: Example, renderer: Renderer) -> list[Encoded]:
            return [renderer.text([("all of it", 1.0)])]

    module = models.specialist()
    own = OwnRows({"plain": Brings([*TEXTS, TALK]), "own": Whole([TALK]), "none": Brings(None, 0.0)}, module.renderer)
    rows = own.encoded("plain").rows
    assert [one.sequences[0].ids for one in rows[:2]] == [
        tuple(module.renderer.text([(text, 1.0)]).ids) for text in ("one two three", "four")
    ]
    talk = module.renderer.conversation(TALK.messages)
    assert rows[2].sequences[0].ids == tuple(talk.ids)
    assert rows[2].sequences[0].weights == tuple(talk.weights)
    assert own.encoded("own").rows[0].sequences[0].ids == tuple(module.renderer.text([("all of it", 1.0)]).ids)
    assert own.beside().keys() == {"reg/plain", "reg/own"}
    assert [(one.name, one.share, one.world) for one in own.companions(2, 3)] == [
        ("reg/plain", 0.5, 3),
        ("reg/own", 0.5, 3),
    ]
    short = OwnRows({"plain": Brings(TEXTS)}, module.renderer, longest=3)
    assert all(one.length == 3 for one in short.encoded("plain").rows)


@pytest.mark.parametrize(
    ("rows", "said"), [(None, "brings no rows"), ([], "brings no rows"), ([TALK, TALK], "brings rows that share an id")]
)
def test_a_share_of_no_rows_is_refused(rows: Any, said: str) -> None:
    with pytest.raises(RecipeError, match=rf"model\.regularizers\.keep {said}"):
        own_rows({"keep": Brings(rows)})
    assert own_rows({"keep": Brings(None, 0.0)}) == {}


def test_a_loader_that_brings_no_rows_along_is_no_silent_end_of_a_term() -> None:
    module = models.specialist(regularizers={"keep": Brings(TEXTS)})
    rows = models.encoded(module)[:2]
    batch = models.batch_of(module, rows)
    assert batch.window is not None
    terms = module.terms(module.passes(batch))
    assert set(terms) == {"loss", "reg/keep"}
    bare = replace(batch, beside={}, window=replace(batch.window, beside={}))
    with pytest.raises(RuntimeError, match="the loader brings no rows along for reg/keep"):
        module.terms(module.passes(bare))
    # a micro-batch of a window whose rows go with others of it
    assert set(module.terms(module.passes(replace(batch, beside={})))) == {"loss"}
