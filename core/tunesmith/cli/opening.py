"""What `fit` says before and after, and `preview` and `prepare` about the rows."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Trainer

from tunesmith.cli.judgement import warn_of_few
from tunesmith.cli.kernels import show_kernels
from tunesmith.cli.runs import MERGED, Run
from tunesmith.cli.screen import fact, say
from tunesmith.cli.trainer_cli import Session
from tunesmith.data.columns import one_line
from tunesmith.data.curriculum import LOSS
from tunesmith.data.own_rows import own_rows
from tunesmith.data.plan import Plan
from tunesmith.data.sources import SplitName
from tunesmith.recipe.lock_file import lock_path
from tunesmith.training.averaging import averaging
from tunesmith.training.compiling import Choice
from tunesmith.training.fsdp2 import FSDP2

_SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
_WIDEST = 120
NO_BATCHES = "trainer.limit_val_batches is 0"


def data_lines(session: Session) -> list[str]:
    """How many rows and tokens each split holds, and what was left out and why."""
    lines = []
    where = "listed by `prepare`" if session.arguments.verb == "preview" else "see rejected.jsonl"
    curated = session.data.prepare_rows()
    for split in _SPLITS:
        if not curated.splits[split]:
            lines.append(f"{split} no rows")
            continue
        counts = session.data.encoded(split).counts
        cut = f", {counts['truncated']} truncated" if counts["truncated"] else ""
        gone = "".join(f", {n} dropped ({why})" for why, n in counts["dropped"].items())
        rows = f"{counts['rows'] - counts['pieces']:,} rows"
        rows += f" in {counts['rows']:,} pieces" if counts["pieces"] else ""
        told = f"{rows}, {counts['tokens']:,} tokens"
        if session.model.objective.model_class != "classification":  # which learns rows, and no tokens
            told += f", {counts['supervised']:,} trained"
        lines.append(f"{split} {told}{cut}{gone}")
    for name, counts in curated.counts["sources"].items():
        read_as = [f"{name}: read as {read['formatter']} ({read['why']})" for read in counts.get("read as", ())]
        lines += [one_line(line, _WIDEST) for line in read_as]
        if counts["rejected"]:
            lines.append(f"{name}: {counts['rejected']} of {counts['read']} rows set aside, {where}")
    for name, counts in curated.counts["curators"].items():
        told = ", ".join(
            f"{n} {what} ({why})" for what in ("drops", "changes", "additions") for why, n in counts[what].items()
        )
        if told:
            lines.append(f"{name}: {told}")
        lines += [f"{name}: {remark}" for remark in counts.get("remarks", ())]
    lost = curated.counts["split"]["drops"]
    lines += [f"{n} dropped by the split ({why})" for why, n in lost.items()]
    if moved := curated.counts["split"]["moved to near-duplicates"]:
        lines.append(f"{moved} rows are in the split of an earlier row that they resemble (data.split.near_duplicates)")
    if timeless := curated.counts["split"]["without by_time"]:
        lines.append(f"{timeless} rows have no {session.data.split.by_time} that can be read, and are training rows")
    if alone := curated.counts["split"]["without keep_together"]:
        lines.append(f"{alone} rows have no {session.data.split.keep_together} and are split one by one")
    for split, n in curated.counts["split"]["asked in training"].items():
        if n:
            lines.append(
                f"{n} of {len(curated.splits[split])} {split} rows have the prompt of a training row; "
                "data.split.keep_together with the prompt's column parts them"
            )
    return lines


def encoded_counts(session: Session) -> dict[str, Any]:
    """What encoding made of each split, and which rows it left out or cut, and why; never their text."""
    told = {}
    for split in _SPLITS:
        if session.data.prepare_rows().splits[split]:
            encoded = session.data.encoded(split)
            drops = [{"id": d.id, "origin": str(d.origin), "reason": d.reason} for d in encoded.drops]
            told[split] = {**encoded.counts, "left out": drops, "cut": encoded.truncated}
    return {"encoded": told}


def drawn_counts(session: Session) -> dict[str, Any]:
    """How often an epoch draws the rows of each stratum, where not each once."""
    draws, _ = session.data.drawn()
    return {} if draws is None else {"drawn": draws.told()}


def show_data(session: Session) -> None:
    """Print them as facts."""
    for number, line in enumerate(data_lines(session)):
        fact("" if number else "data", line)
    if session.data.prepare_rows().splits["train"]:
        _show_order(session)
    fact("", _curated_in(session.data.prepare_rows().seconds))


def _show_order(session: Session) -> None:
    """How often rows are drawn, and which come first."""
    draws, _ = session.data.drawn()
    if draws is not None:
        said = (f"{one['name'] or 'others'} {one['drawn']:,} of {one['rows']:,}" for one in draws.told())
        by = session.data.mixture.by
        fact("mixture", one_line(f"an epoch draws {draws.size:,} rows, by {by}: {', '.join(said)}", _WIDEST))
    curriculum, losses = session.data.curriculum, session.data.losses
    if curriculum is None:
        return
    by = "the base's loss" if curriculum.by == LOSS else curriculum.by
    if losses is not None:
        low, middle, high = np.quantile(losses, (0.1, 0.5, 0.9))
        by += f" ({low:.2f}, {middle:.2f}, {high:.2f}: 10 %, median, 90 % of the rows)"
    elif curriculum.by == LOSS:
        by += ", measured when `fit` begins"
    first = "hardest" if curriculum.hardest_first else "easiest"
    epochs = "the first epoch" if curriculum.epochs == 1 else f"{curriculum.epochs} epochs"
    fact("curriculum", f"by {by}: the {first} {curriculum.start:.0%} first, {curriculum.pacing} over {epochs}")


def _curated_in(seconds: Mapping[str, float]) -> str:
    """How long each step of curation took."""
    if not seconds:
        return "curated before, and found in the cache"
    told = ", ".join(f"{name} {spent:.1f}" for name, spent in seconds.items())
    kept = "; all before was found in the cache" if "read" not in seconds else ""
    return f"curated in {sum(seconds.values()):.1f} s: {told}{kept}"


def show_method(session: Session) -> None:
    """Print what trains and in which layout, with reasons."""
    model = session.model
    fact("trains", model.describe())
    if model.attached is not None and (left := model.attached.unreached()):
        fact("", left)
    fact("layout", f"{model.layout}: {model.layout_reason}")
    for name in own_rows(model.regularizers):
        counts = session.data.own.encoded(name).counts
        gone = "".join(f", {n} dropped ({why})" for why, n in counts["dropped"].items())
        told = f"{counts['rows']:,} rows, {counts['tokens']:,} tokens, {counts['supervised']:,} trained"
        fact("own rows", f"{name} {told}{gone}")
    average = averaging(session.callbacks)
    if average is not None:
        fact("average", f"{type(average).__name__}: validation, best checkpoint and adapter are of averaged weights")


def micro_batches(plan: Plan) -> str:
    """How many there are, and how full they are where tokens are their measure."""
    said = f"{len(plan):,} micro-batches an epoch, {plan.accumulate} a step"
    most = plan.max_tokens
    if most is None:
        return said
    if plan.used is not None:
        said += f", {plan.used:.1%} of data.max_tokens used"
    long = sum(length > most for length in plan.lengths)
    alone = f"; {long:,} of {len(plan.lengths):,} rows have more than {most:,} tokens and are alone"
    return said + (alone if long else "")


def opening(session: Session, run: Run, trainer: Trainer, checkpoint: str | None, choice: Choice) -> None:
    """What was chosen and why, before the first step."""
    model = session.model
    say(f"fit {session.name}", style="bold")
    made_of = f" (of {model.pretrained.base})" if model.pretrained.base != model.base else ""
    fact("base", f"{model.base}{' (from scratch)' if model.from_scratch else made_of}")
    if session.arguments.flag("locked"):
        fact("lock", f"{lock_path(session.paths).name if session.home is None else 'lock.json'} holds")
    show_data(session)
    show_method(session)
    if session.data.max_tokens is not None:
        limit = session.trainer_options.get("limit_train_batches")
        accumulate, world = trainer.accumulate_grad_batches, trainer.world_size
        fact("batches", micro_batches(session.data.plan("train", accumulate=accumulate, world=world, limit=limit)))
    show_kernels(session, choice)
    kind, threads = trainer.strategy.root_device.type, torch.get_num_threads()
    on_cpu = f", {threads} thread{'s' if threads > 1 else ''}" if kind == "cpu" else ""
    shards = ", weights in shards" if isinstance(trainer.strategy, FSDP2) else ""
    fact("device", f"{trainer.world_size} x {kind}{on_cpu}{shards}")
    fact("run", f"{run.path}{f', resumed from {Path(checkpoint).name}' if checkpoint else ''}")
    warn_of_few(session)


def closing(session: Session, run: Run, result: dict[str, Any]) -> None:
    """Where the adapter is, and what to do next."""
    say(f"adapter saved in {run.adapter} ({result['seconds']:.0f} s)")
    if session.follows is not None:
        say(f"whole weights for the next stage in {run.path / MERGED}")
        say(f"next: {command(session, 'fit', f'--stage={session.follows}')}")
        return
    # a recipe may bring its own validation file and no test rows
    verb = "test" if session.data.prepare_rows().splits["test"] else "validate"
    say(f"next: {command(session, verb)}")


def why_no_validation(session: Session) -> str:
    """Why no validation loss is logged; empty where one is."""
    options = session.trainer_options
    if not session.data.prepare_rows().splits["validation"]:
        return "there are no validation rows"
    if options.get("limit_val_batches") == 0:
        return NO_BATCHES
    return ""


def command(session: Session, verb: str, *more: str) -> str:
    """The command line of another verb on the same recipe, as a shell takes it."""
    given = session.arguments.repeated
    named = [word for name in ("config", "plugin", "trust") for value in given[name] for word in (f"--{name}", value)]
    return shlex.join(["lightning-cli", verb, *named, *session.arguments.overrides, *more])
