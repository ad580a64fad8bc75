"""The verbs `preview` and `prepare`: what would be trained, before anything is."""

import json
import resource
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from rich.text import Text

from tunesmith.cli.device import device
from tunesmith.cli.fit import check_batches, check_evidence, check_judgement, check_length, prepare_data
from tunesmith.cli.opening import encoded_counts, show_data, show_method
from tunesmith.cli.progress import clock
from tunesmith.cli.runs import write_json
from tunesmith.cli.screen import console, fact, say
from tunesmith.cli.trainer_cli import Session
from tunesmith.data.collate import collate
from tunesmith.data.encode import EncodedRow
from tunesmith.data.plan import Plan
from tunesmith.errors import RecipeError
from tunesmith.evaluation.records import plain

_OPTIMIZER_BYTES = 8  # AdamW's two moments in fp32, per trained parameter
_OPEN, _CLOSE = "⟦", "⟧"


def preview(session: Session) -> int:
    """Show examples token by token, counts, steps, and what a step costs; exit code 0."""
    check_length(session)
    check_judgement(session)
    shown = _number(session.arguments.options.get("examples", "2"))
    curated = prepare_data(session, None)
    curated.need("train")
    check_batches(session)
    check_evidence(session, curated)
    rows = session.data.encoded("train").rows
    for row in rows[:shown]:
        _show(session, row)
    say(f"preview {session.name}", style="bold")
    show_data(session)
    for split, sources in curated.counts["splits"].items():
        fact(
            "" if split != "train" else "sources",
            f"{split}: {', '.join(f'{n:,} {k}' for k, n in sources.items()) or 'none'}",
        )
    fact("template", session.model.renderer.template_source)
    show_method(session)
    _cost(session, rows)
    return 0


def prepare(session: Session) -> int:
    """Curate and split, and write the examples with what happened to each row; exit code 0."""
    directory = session.root / session.name / "data"
    curated = prepare_data(session, directory)
    for split, examples in curated.splits.items():
        lines = [
            {
                "id": e.id,
                "origin": str(e.origin),
                "messages": [{"role": m.role, "content": m.content} for m in e.messages],
                "segments": [{"text": s.text, "weight": s.weight} for s in e.segments],
                "extras": dict(e.extras),
            }
            for e in examples
        ]
        _write_lines(directory / f"{split}.jsonl", [{k: v for k, v in line.items() if v} for line in lines])
    write_json(directory / "counts.json", curated.counts | encoded_counts(session))
    say(f"prepare {session.name}", style="bold")
    show_data(session)
    fact("written", f"{directory} (train, validation, test, rejected .jsonl; counts.json)")
    return 0


def _write_lines(path: Path, lines: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(plain(line), ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")


def _number(text: str) -> int:
    if not text.isdigit():
        msg = f"--examples is {text!r}; give a number of examples to show"
        raise RecipeError(msg)
    return int(text)


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
        if sequence.truncated:
            say("truncated to data.max_length", style="yellow")
    say("")


def _cost(session: Session, rows: list[EncodedRow]) -> None:
    """Optimizer steps, and time and memory from one measured pass over the largest micro-batch."""
    options = session.trainer_options
    accumulate = int(options.get("accumulate_grad_batches") or 1)
    plan = session.data.plan("train", accumulate=accumulate, limit=options.get("limit_train_batches"))
    an_epoch = -(-len(plan) // accumulate)
    steps = _steps(options, an_epoch)
    each = f"{len(plan)} micro-batches an epoch, {accumulate} a step"
    each += f", {plan.used:.0%} of data.max_tokens used" if plan.used is not None else ""
    fact("steps", f"{f'{steps:,}' if steps else 'until max_time, an unknown number of'} optimizer steps: {each}")
    seconds, tokens, peak = _measure(session, plan, rows)
    trained = sum(p.numel() for p in session.model.parameters() if p.requires_grad)
    memory = peak + trained * _OPTIMIZER_BYTES
    where = "on the GPU" if session.model.device.type == "cuda" else "of the process"
    fact("memory", f"about {memory / 2**30:.1f} GiB {where} (largest micro-batch: {tokens} tokens)")
    whole = sum(session.data.encoded("train").lengths) * len(plan) / plan.whole
    left = f"about {clock(whole * steps / an_epoch / tokens * seconds)} of training at " if steps else ""
    fact("time", f"{left}{tokens / seconds:,.0f} tokens/s, measured once")


def _steps(options: Mapping[str, Any], an_epoch: int) -> int | None:
    """Optimizer steps of the whole run; None where only the clock ends it."""
    if options.get("fast_dev_run"):
        return int(options["fast_dev_run"])
    epochs, most = options.get("max_epochs"), options.get("max_steps") or -1
    limits = [an_epoch * epochs] if epochs is not None and epochs >= 0 else []
    return min([*limits, *([most] if most > 0 else [])], default=None)


def _measure(session: Session, plan: Plan, rows: list[EncodedRow]) -> tuple[float, int, int]:
    """Seconds, tokens and peak bytes of a forward and backward pass over the largest micro-batch."""
    model = session.model.to(device(session.trainer_options))
    largest = max(plan.epoch(0, 0), key=lambda m: sum(rows[i].length for i in m.rows))
    batch = collate([rows[i] for i in largest.rows], largest.window, largest.ghost).to(model.device)
    on_gpu = model.device.type == "cuda"
    for _ in range(2):  # the first pass pays for lazy initialisation
        begin = time.perf_counter()
        terms = model.terms(model.passes(batch))
        torch.stack([t.sum for t in terms.values()]).sum().backward()  # type: ignore[no-untyped-call]
        if on_gpu:
            torch.cuda.synchronize()
        seconds = time.perf_counter() - begin
    model.zero_grad(set_to_none=True)
    peak = torch.cuda.max_memory_allocated() if on_gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return seconds, sum(rows[i].length for i in largest.rows), peak
