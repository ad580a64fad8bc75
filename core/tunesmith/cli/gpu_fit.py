"""What `preview` says of a GPU that is stated: what the run needs there, part by part, and the largest batch."""

import math
from collections.abc import Sequence

from tunesmith.cli.course import Course
from tunesmith.cli.screen import fact
from tunesmith.cli.trainer_cli import Session
from tunesmith.data.beside import EncodedOf
from tunesmith.data.encoded_rows import EncodedRow
from tunesmith.training.averaging import averaging
from tunesmith.training.footprint import Size
from tunesmith.training.needs import CONTEXT, GAPS, Needs, Parts
from tunesmith.training.optimizer_states import ASSUMED
from tunesmith.training.probing import checkpointing, pass_footprint, size_of, size_with

_EPOCHS = 4
_GIB, _MIB = 2**30, 2**20


def show_gpu(session: Session, way: Course, capacity: int) -> None:
    """Print whether the recipe's largest micro-batch fits, what holds how much, and the largest `max_tokens`.

    Args:
        session: Loaded as on the GPU.
        way: How far the run goes.
        capacity: Bytes of the card.
    """
    model, rows = session.model, session.data.encoded("train").rows
    longest = max(rows, key=lambda row: row.length)
    shards = way.place.processes if way.place.sharded else 1
    averaged = averaging(session.callbacks) is not None
    passes = pass_footprint(model, longest, held=shards > 1)
    needs = Needs.of(model, passes, way.plan.accumulate, shards, averaged=averaged)
    beside, virtual = session.data.own.beside(), model.adapter.virtual_tokens
    worst = needs.worst(own_sizes(way, rows, beside, model.layout, virtual))
    more = more_beside(way, rows, beside, model.layout, virtual)
    parts = needs.at(worst)
    fits = parts.total <= capacity
    verdict = "fits" if fits else f"does NOT fit: {(parts.total - capacity) / _GIB:.2f} GiB too much"
    each = f"each of {way.place.processes}: " if way.place.processes > 1 else ""
    needed = f"the recipe needs {parts.total / _GIB:.2f} GiB (computed) and {verdict}"
    fact("gpu", f"{each}{capacity / _GIB:.1f} GiB; {needed}")
    for line in _lines(needs, parts, worst):
        fact("", line)
    fact("max_tokens", _largest(needs, capacity, rows, more, model.layout, virtual))
    if fits or model.gradient_checkpointing is True or not model.passes.model.supports_gradient_checkpointing:
        return
    with checkpointing(model, on=True):
        leaner = needs.with_passes(pass_footprint(model, longest, held=shards > 1))
    total = leaner.at(worst).total
    told = "fits" if total <= capacity else "does not fit either"
    fact("", f"with model.gradient_checkpointing: true it needs {total / _GIB:.2f} GiB and {told}")
    fact("", f"and then: {_largest(leaner, capacity, rows, more, model.layout, virtual)}")


def _lines(needs: Needs, parts: Parts, worst: Size) -> list[str]:
    token, supervised = needs.footprint.slope(worst)
    each = _each(token, supervised)
    states = f"the optimizer's states{f' ({ASSUMED})' if needs.assumed else ''}"
    whole = [f"{_told(parts.gathered)} weights that are gathered for a pass"] if parts.gathered else []
    return [
        f"{_told(parts.weights)} frozen weights",
        *whole,
        f"{_told(parts.trained)} trained weights and {states}",
        f"{_told(parts.step)} a step on {worst.tokens:,} tokens: activations, logits, gradients ({each})",
        f"{_told(parts.gaps)} reserve: {GAPS:.0%} of a step for gaps that torch's allocator leaves",
        f"{_told(CONTEXT)} reserve: CUDA's context, kernels and workspaces",
    ]


def _each(token: float, supervised: float) -> str:
    """What one token more takes; fitted numbers are never quite zero."""
    more = f"{supervised / _MIB:.3f}"
    trained = f"{more} MiB more a trained one" if float(more) > 0 else "trained or not"
    return f"{token / _MIB:.3f} MiB a token, {trained}"


def _told(size: float) -> str:
    return f"{size / _GIB:.2f} GiB" if size >= _GIB / 10 else f"{size / _MIB:.1f} MiB"


def _largest(needs: Needs, capacity: int, rows: Sequence[EncodedRow], more: float, layout: str, virtual: int) -> str:
    longest = max(row.length for row in rows)
    whole = size_of(rows, layout, virtual)
    if needs.at(_times(whole, more)).total <= capacity:
        padded = f", {whole.tokens:,} with padding" if layout == "padded" else ""
        tokens = sum(row.length for row in rows)
        return f"any data.max_tokens fits: all {len(rows):,} training rows ({tokens:,} tokens{padded}) fit at once"
    most = needs.largest(capacity, lambda tokens: _times(budget_size(tokens, rows, virtual), more), whole.tokens)
    if most < longest:
        room = f"{most:,} tokens fit" if most else "nothing fits"
        return f"{room}, and the longest row has {longest:,}, which is trained alone in whatever data.max_tokens says"
    return f"{most:,} is the largest data.max_tokens that fits"


def _times(size: Size, more: float) -> Size:
    return Size(*(math.ceil(part * more) for part in size))


def own_sizes(way: Course, rows: Sequence[EncodedRow], beside: EncodedOf, layout: str, virtual: int = 0) -> list[Size]:
    """Sizes of the recipe's own micro-batches; a longer run's later epochs are packed alike."""
    return [size_with(micro, rows, beside, layout, virtual) for micro in way.begun(_EPOCHS) if not micro.ghost]


def more_beside(way: Course, rows: Sequence[EncodedRow], beside: EncodedOf, layout: str, virtual: int = 0) -> float:
    """How many times larger a micro-batch is with the rows that regularizers bring along, at most."""
    micros = [micro for micro in way.begun(_EPOCHS) if micro.beside and not micro.ghost]
    both = [
        (size_with(micro, rows, beside, layout, virtual), size_of([rows[at] for at in micro.rows], layout, virtual))
        for micro in micros
    ]
    return max((whole.tokens / own.tokens for whole, own in both), default=1.0)


def budget_size(tokens: int, rows: Sequence[EncodedRow], virtual: int = 0) -> Size:
    """The worst micro-batch that a budget of so many tokens allows, which counts no virtual ones.

    Its rows are the most supervised ones, all as long as the longest.
    """
    longest = max(row.length for row in rows)
    share = max(sum(s.supervised for s in row.sequences) / row.length for row in rows)
    one = min(tokens, longest)
    documents = math.ceil(tokens / max(1, one))
    return Size(
        tokens + documents * virtual,
        math.ceil(tokens * share),
        tokens * one + documents * virtual * (2 * one + virtual),
    )
