"""The verb `preview`: what would be trained, before anything is."""

from rich.text import Text

from tunesmith.cli.course import course
from tunesmith.cli.device import device
from tunesmith.cli.difficulty import check_difficulty
from tunesmith.cli.estimate import show_cost
from tunesmith.cli.find_rate import find_rate
from tunesmith.cli.fit import check_evidence, prepare_data
from tunesmith.cli.gpus import stated_gpu
from tunesmith.cli.judgement import check_judgement
from tunesmith.cli.opening import show_data, show_method
from tunesmith.cli.screen import console, fact, say
from tunesmith.cli.trainer_checks import (
    check_batches,
    check_length,
    check_regularizers,
    check_strategy,
    checked_callbacks,
    say_warmup,
)
from tunesmith.cli.trainer_cli import Session
from tunesmith.data.drawing import drawing
from tunesmith.data.encoded_rows import EncodedRow
from tunesmith.errors import RecipeError

_OPEN, _CLOSE = "⟦", "⟧"


def preview(session: Session) -> int:
    """Show examples token by token, counts, steps, and what a step costs; exit code 0."""
    check_length(session)
    check_judgement(session)
    check_strategy(session)
    check_difficulty(session)
    check_regularizers(session)
    shown = _number(session.arguments.options.get("examples", "2"))
    gpu, why = _stated_gpu(session)
    curated = prepare_data(session, None)
    curated.need("train")
    check_batches(session)
    check_evidence(session, curated)
    checked_callbacks(session)
    way = course(session.trainer_options, session.data, gpu=gpu is not None)
    rows = session.data.encoded("train").rows
    draw = drawing(session.model.objective, session.model.renderer, session.seed)
    for row in rows[:shown]:
        _show(session, row if draw is None else draw(row, 0))
    say(f"preview {session.name}", style="bold")
    show_data(session)
    for split, sources in curated.counts["splits"].items():
        fact(
            "" if split != "train" else "sources",
            f"{split}: {', '.join(f'{n:,} {k}' for k, n in sources.items()) or 'none'}",
        )
    fact("template", session.model.renderer.template_source)
    show_method(session)
    show_cost(session, way, gpu, why)
    say_warmup(session, way.steps)
    if session.arguments.flag("find-lr"):
        find_rate(session)
    return 0


def _number(text: str) -> int:
    if not text.isdigit():
        msg = f"--examples is {text!r}; give a number of examples to show"
        raise RecipeError(msg)
    return int(text)


def _stated_gpu(session: Session) -> tuple[int | None, str]:
    """Bytes of the GPU that is asked about, and why its format; the model is then loaded as it would be there."""
    text = session.arguments.options.get("gpu")
    if text is None:
        return None, ""
    stated = stated_gpu(text)
    session.model.kernels = "plain"  # ours run on CPUs only, and keep other things
    if device(session.trainer_options).type != "cuda" and session.model.precision == "auto":
        session.model.precision = "bf16" if stated.bf16 else "fp32"  # what `auto` chooses there
        return stated.capacity, f" (chosen: {stated.why})"
    return stated.capacity, ""


def _show(session: Session, row: EncodedRow) -> None:
    """One row: its tokens, the trained ones in colour (in brackets where there is none), and their ids."""
    say(f"{row.example.origin or row.example.id}  ({row.length} tokens)", style="bold")
    colour = console.color_system is not None
    for sequence in row.sequences:
        line, inside = Text(), False
        for token, weight in zip(sequence.ids, sequence.weights, strict=True):
            trained = weight != 0
            if trained != inside and not colour:
                line.append(_OPEN if trained else _CLOSE)
            inside = trained
            text = str(session.model.tokenizer.decode([token])).replace("\n", "⏎\n")
            line.append(text, style="bold green" if trained else "dim")
            line.append("|" if not text.endswith("\n") else "", style="dim")
        if inside and not colour:
            line.append(_CLOSE)
        console.print(line)
        say(f"ids {' '.join(map(str, sequence.ids))}", style="dim")
        if row.example.label is not None:
            say(f"label {row.example.label}", style="dim")
        if sequence.truncated:
            say("truncated to data.max_length", style="yellow")
    say("")
