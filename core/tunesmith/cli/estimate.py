"""What `preview` says of a run's steps, memory and time on this machine, from a few measured micro-batches."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch

from tunesmith.cli.course import Course
from tunesmith.cli.device import device
from tunesmith.cli.gpu_fit import show_gpu
from tunesmith.cli.kernels import choice_of, show_kernels
from tunesmith.cli.opening import micro_batches
from tunesmith.cli.place import Place
from tunesmith.cli.progress import clock
from tunesmith.cli.screen import fact
from tunesmith.cli.trainer_cli import Session
from tunesmith.data.batch import Batch
from tunesmith.data.beside import EncodedOf, assembled, fetched
from tunesmith.data.drawing import Drawing, drawing
from tunesmith.data.encoded_rows import EncodedRow
from tunesmith.data.plan import MicroBatch, Plan
from tunesmith.plugins.interfaces import Regularizer
from tunesmith.training.averaging import averaging
from tunesmith.training.compiling import Choice
from tunesmith.training.optimizer_states import ASSUMED, optimizer_bytes
from tunesmith.training.portions import portion
from tunesmith.training.probing import pass_footprint, size_with, warm_up
from tunesmith.training.process_memory import peak_resident, resident
from tunesmith.training.rehearsal import Pace, Timing, pace, rehearse, step_seconds
from tunesmith.training.specialist import Specialist

# Seconds that measuring may take: training's micro-batches, and validation's.
_TRAINING, _VALIDATION = 15.0, 4.0
# Where in the order of costs the measured micro-batches lie, beside the largest of the whole run.
_QUANTILES = (0.1, 0.5, 0.9)
# A run is planned anew in each epoch; of so many the largest micro-batch is looked for.
_EPOCHS = 16


@dataclass(frozen=True, slots=True)
class Clocked:
    """Seconds of a run by one clock.

    Args:
        training: Micro-batches and optimizer steps.
        validation: All passes over the validation rows.
    """

    training: float
    validation: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run on this machine takes.

    Args:
        memory: Bytes at most, of one process.
        computed: Whether the largest micro-batch was too long to be tried, so that its memory is computed.
        assumed: Whether the optimizer's states are not known.
        largest: Tokens of it.
        wall: Seconds on the clock; of one epoch where the run has no end of its own.
        processor: Processor seconds likewise.
        speed: Tokens a second while training.
    """

    memory: float
    computed: bool
    assumed: bool
    largest: int
    wall: Clocked
    processor: Clocked
    speed: float


def show_cost(session: Session, way: Course, gpu: int | None, why: str) -> None:
    """Print steps, memory and time: of this machine, or memory on a GPU that is stated.

    Args:
        session: With rows and model.
        way: What the run goes through.
        gpu: Bytes of the GPU; None where none is stated.
        why: Said of its number format, where that was chosen.
    """
    place = way.place
    layers = choice_of(session, place.trainer) if place.here else None
    show_kernels(session, layers, why)
    steps = f"{way.steps:,}" if way.steps else "until max_time, an unknown number of"
    fact("steps", f"{steps} optimizer steps: {micro_batches(way.plan)}")
    if place.processes > 1:
        fact("processes", str(place))
    for line in [*_uncounted(place, layers), *_before(session)]:
        fact("", line)
    here = device(session.trainer_options)
    if gpu is not None and here.type != "cuda":
        show_gpu(session, way, gpu)
        return
    found = estimate(session, way, here)
    fact("memory", _memory(place, here, found))
    fact("time", _time(session, way, found))
    if here.type == "cuda":
        show_gpu(session, way, gpu or torch.cuda.get_device_properties(here).total_memory)


def _uncounted(place: Place, layers: Choice | None) -> list[str]:
    """What the figures leave out."""
    lines = []
    if place.guessed:
        lines.append("trainer.devices is left to the machine that trains; counted as one")
    elif not place.here and place.device.type == "cpu":
        lines.append("the devices that the recipe asks for are not here; measured on one that is")
    if place.processes > 1:
        lines.append("what processes send each other is not in the time")
    if layers is not None and layers.on:
        lines.append("layers are measured as they are before compiling, which takes minutes and is not in the time")
    return lines


def _before(session: Session) -> list[str]:
    """What regularizers look at before the first step."""
    lines = []
    for name, regularizer in session.model.regularizers.items():
        if type(regularizer).prepare is not Regularizer.prepare:
            own = regularizer.own_rows() is not None
            rows = (session.data.own.encoded(name) if own else session.data.encoded("train")).rows
            lines.append(f"{len(rows):,} rows that model.regularizers.{name} looks at first are not in the time")
    return lines


def _memory(place: Place, here: torch.device, found: Estimate) -> str:
    where = "on the GPU" if here.type == "cuda" else "of the process"
    if place.processes > 1:
        where = "on each GPU" if here.type == "cuda" else "of each process"
        if here.type == "cpu" and place.beside > 1:
            where += f", {place.beside * found.memory / 2**30:.2f} GiB together"
    how = "; computed, it takes too long to try" if found.computed else ""
    how += f"; the optimizer's states are {ASSUMED}" if found.assumed else ""
    return f"about {found.memory / 2**30:.2f} GiB {where} (largest micro-batch: {found.largest:,} tokens{how})"


def _time(session: Session, way: Course, found: Estimate) -> str:
    speed = f"{found.speed:,.0f} tokens/s"
    if not way.steps:
        return f"{speed}; trainer.max_time ends it"
    whole = found.wall.training + found.wall.validation
    parts = f"training {clock(found.wall.training)}, validation {clock(found.wall.validation)}"
    everyone = way.place.processes * (found.processor.training + found.processor.validation)
    busy = f"{everyone:,.0f} s of processor time"
    until = ", if trainer.max_time does not end it" if session.trainer_options.get("max_time") else ""
    return f"about {clock(whole)} ({parts}; {busy}) at {speed}{until}"


def estimate(session: Session, way: Course, here: torch.device) -> Estimate:
    """Measure a few micro-batches of the run, and add up the whole of it."""
    with _threads(way.place, here):
        return _estimate(session, way, here)


def _estimate(session: Session, way: Course, here: torch.device) -> Estimate:
    place, model = way.place, session.model.to(here)
    model.on_fit_start()  # another device may run another layout
    rows, beside = session.data.encoded("train").rows, session.data.own.beside()
    chosen = _chosen(way.plan, rows, beside, way.begun(_EPOCHS), model)
    loaded = resident() if here.type == "cpu" else 0
    warm_up(model, rows[0])  # else `before` would lack a copy of the base
    own = portion(model, place.processes if place.sharded else 1)
    # what optimizer and averages will hold, while passes are measured; filled, or the system would not give it yet
    states = optimizer_bytes(model)
    average = own.trained if averaging(session.callbacks) is not None else 0
    moments = torch.full((int(own.share * states.held) + average,), 1, dtype=torch.uint8, device=here)
    before = _held(here)
    draw = drawing(model.objective, model.renderer, session.seed)
    timings = rehearse(model, [_make(way.plan, rows, beside, micro, draw) for micro in chosen], _TRAINING)
    largest = size_with(chosen[-1], rows, beside, model.layout, model.adapter.virtual_tokens)
    computed = max(t.cost for t in timings) < way.plan.cost_of(chosen[-1])
    validated = _validated(session, way)
    memory = _peak(here)
    model.zero_grad(set_to_none=True)
    del moments
    if computed:
        memory = max(memory, before + pass_footprint(model, rows[chosen[-1].rows[0]]).peak(largest))
    if place.sharded:  # each process loads all, and then keeps its shards
        whole = portion(model, 1)
        cut = whole.frozen - own.frozen + 2 * (whole.trained - own.trained)  # and gradients of what trains
        memory = max(loaded, memory - cut + own.gathered)
    stepping = step_seconds(model)
    wall, processor = (
        _clocked(way, timings, validated, stepping[kind], ("wall", "processor")[kind]) for kind in range(2)
    )
    wall = Clocked(place.crowding * wall.training, place.crowding * wall.validation)
    tokens = sum(way.plan.lengths) * _micros(way) / way.plan.whole
    return Estimate(memory, computed, states.assumed, largest.tokens, wall, processor, tokens / wall.training)


@contextmanager
def _threads(place: Place, here: torch.device) -> Iterator[None]:
    """Context with as many threads as each of several processes on this machine has."""
    before = torch.get_num_threads()
    if here.type == "cpu" and place.here:
        torch.set_num_threads(place.threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _clocked(way: Course, training: Sequence[Timing], validation: Sequence[Timing], step: float, kind: str) -> Clocked:
    """Add up a run by one of the two clocks."""
    steps = way.steps if way.steps is not None else -(-len(way.plan) // way.plan.accumulate)
    trained = _pace(training, kind).seconds(_micros(way), way.cost()) + steps * step
    if way.validation is None or not validation:
        return Clocked(trained, 0.0)
    micros = way.validation.epoch(0, 0)[: len(way.validation)]
    once = _pace(validation, kind).seconds(len(micros), sum(way.validation.cost(micro.rows) for micro in micros))
    return Clocked(trained, way.validations * once)


def _pace(timings: Sequence[Timing], kind: str) -> Pace:
    return pace([(timing.cost, max(getattr(timing, kind), 1e-9)) for timing in timings])


def _validated(session: Session, way: Course) -> list[Timing]:
    """Timings of validation's micro-batches, the longest of which may hold more than training's."""
    if way.validation is None:
        return []
    rows = session.data.encoded("validation").rows
    micros = way.validation.epoch(0, 0)[: len(way.validation)]
    chosen = _chosen(way.validation, rows, {}, micros, session.model)
    draw = drawing(session.model.objective, session.model.renderer, session.seed)
    makes = [_make(way.validation, rows, {}, micro, draw) for micro in chosen]
    return rehearse(session.model, makes, _VALIDATION, training=False)


def _chosen(
    plan: Plan, rows: Sequence[EncodedRow], beside: EncodedOf, micros: Sequence[MicroBatch], model: Specialist
) -> list[MicroBatch]:
    """A few micro-batches of all costs; the one with most tokens is the last."""
    real = [micro for micro in micros if not micro.ghost]
    by_cost = sorted(real, key=plan.cost_of)
    virtual = model.adapter.virtual_tokens
    largest = max(real, key=lambda micro: size_with(micro, rows, beside, model.layout, virtual).tokens)
    places = sorted({round(share * (len(by_cost) - 1)) for share in _QUANTILES})
    few = [by_cost[place] for place in places if by_cost[place] is not largest]
    return [*few, largest]


def _make(
    plan: Plan, rows: Sequence[EncodedRow], beside: EncodedOf, micro: MicroBatch, draw: Drawing | None
) -> tuple[float, Callable[[], Batch]]:
    return plan.cost_of(micro), partial(assembled, draw, fetched(micro, rows, beside))


def _micros(way: Course) -> int:
    return way.micros if way.micros is not None else len(way.plan)


def _held(here: torch.device) -> float:
    return float(torch.cuda.memory_allocated(here) if here.type == "cuda" else resident())


def _peak(here: torch.device) -> float:
    if here.type == "cuda":
        return float(torch.cuda.max_memory_allocated(here))
    return float(peak_resident())
