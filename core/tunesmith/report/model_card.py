"""The model's card, as the hub reads it: what a run shows, and who has to say the rest. No claim without evidence."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tunesmith.report.compared import Compared
from tunesmith.report.licences import of_sources
from tunesmith.report.markup import visible
from tunesmith.report.mishaps import MEANINGS
from tunesmith.report.numerals import count, duration, probability, signed, span, value
from tunesmith.report.provenance import data_summary
from tunesmith.report.run_markdown import code, said
from tunesmith.report.run_report import RunReport

BEGIN, END = "<!-- what the run shows -->", "<!-- end of what the run shows -->"
_BLOCK = re.compile(rf"{BEGIN}.*?{END}\n*", re.DOTALL)
FILE = "README.md"
_HERE = 'directory = "."  # the folder that holds this file'
_BELOW = 'directory = "adapter"  # "." where this file lies beside the weights, as on the hub'
_HUB = "hf://"
_WORST = ("low", "medium", "high")
_MOST = 60


def write_card(report: RunReport) -> Path:
    """Write `README.md` of a run: the adapter's own, with what the run shows; what people wrote there stays.

    The adapter's folder is left as `fit` wrote it: what is in it identifies its weights.

    Returns:
        The card.
    """
    run = report.files.path
    path = run / FILE
    own = run / "adapter" / FILE
    if path.is_file():
        before = path.read_text("utf-8")
    elif own.is_file():
        before = own.read_text("utf-8").replace(_HERE, _BELOW)
    else:
        before = f"# {said(report.recipe)}\n"
    part = path.with_name(f"{path.name}.part")
    part.write_text(with_evidence(before, report), encoding="utf-8", errors="backslashreplace")
    part.replace(path)
    return path


def with_evidence(card: str, report: RunReport) -> str:
    """A card with what a run shows, in the place of what an earlier one said.

    Args:
        card: Markdown, with or without YAML metadata.
        report: What the run says.
    """
    head, body = _parted(card)
    sections = visible("\n\n".join(_sections(report)))
    block = f"{BEGIN}\n\n{sections}\n\n{END}\n\n"
    body = _BLOCK.sub("", body)
    at = body.find("## Load it")
    body = f"{body[:at]}{block}{body[at:]}" if at >= 0 else f"{body.rstrip()}\n\n{block}"
    metadata = yaml.safe_dump(metadata_of(head, report), sort_keys=False, allow_unicode=True)
    return f"---\n{metadata}---\n\n{body.lstrip()}"


def metadata_of(head: Mapping[str, Any], report: RunReport) -> dict[str, Any]:
    """The YAML at a card's head: what it held, with what the run knows; only what it knows.

    Args:
        head: What stood there.
        report: What the run says.
    """
    found = {key: content for key, content in head.items() if key not in ("model-index", "metrics")}
    sources = (report.options.get("data") or {}).get("sources") or {}
    # the base's, which `fit` wrote, and what people wrote stay: who publishes knows better
    if found.get("license") in (None, "unknown"):
        stated = [source.get("licence") if isinstance(source, Mapping) else None for source in sources.values()]
        found |= of_sources(str(licence or "") for licence in stated)
    paths = [str(source.get("path") or "") for source in sources.values() if isinstance(source, Mapping)]
    if names := sorted({path.removeprefix(_HUB) for path in paths if path.startswith(_HUB)}):
        found["datasets"] = names
    if languages := _languages(report):
        found["language"] = languages
    results = _results(report)
    if results:
        task = str(found.get("pipeline_tag") or "text-generation")
        dataset = {"name": f"{report.recipe}, test rows", "type": report.recipe, "split": "test"}
        found["metrics"] = [one["type"] for one in results]
        found["model-index"] = [
            {"name": report.recipe, "results": [{"task": {"type": task}, "dataset": dataset, "metrics": results}]}
        ]
    return found


def _parted(card: str) -> tuple[dict[str, Any], str]:
    parts = card.split("---\n", 2)
    if len(parts) < 3 or parts[0].strip():
        return {}, card
    try:
        head = yaml.safe_load(parts[1])
    except yaml.YAMLError:
        return {}, parts[2]
    return (head if isinstance(head, dict) else {}), parts[2]


def _languages(report: RunReport) -> list[str]:
    """The languages that a curator of the recipe kept the rows to."""
    curators = (report.options.get("data") or {}).get("curators") or {}
    given = [(c.get("init_args") or {}).get("languages") for c in curators.values() if isinstance(c, Mapping)]
    return sorted({str(name) for names in given if isinstance(names, list) for name in names})


def _is_tested(report: RunReport) -> bool:
    return report.files.test is not None and report.files.outdated(report.files.test) is None


def _results(report: RunReport) -> list[dict[str, Any]]:
    against_base = report.compared.get("base", []) if _is_tested(report) else []
    return [{"type": one.name, "name": one.name, "value": one.tuned} for one in against_base if one.tuned is not None]


def _sections(report: RunReport) -> Iterator[str]:
    yield "## Intended use\n\n" + _intended(report)
    yield "## Data\n\n" + _data(report)
    yield "## Training\n\n" + _training(report)
    yield "## Evaluation\n\n" + "\n\n".join(_evaluation(report))
    yield "## Bias\n\n" + "\n\n".join(_bias(report))
    yield "## Limitations\n\n" + _limitations(report)


def _intended(report: RunReport) -> str:
    success = (report.files.lock or {}).get("success") or report.options.get("success") or {}
    reasons = [f"- {code(key)}: {said(one['because'])}" for key, one in success.items() if (one or {}).get("because")]
    asked = f"It was tuned by the recipe {code(report.recipe)}"
    asked += f", which judges it by {', '.join(map(code, success))}." if success else ", which states no success."
    missing = _missing("what it is for, for whom, and what it must not be used for", "who publishes it")
    return "\n".join([asked, *(["", *reasons] if reasons else []), "", missing])


def _data(report: RunReport) -> str:
    known = data_summary(report.files.data, report.files.card)
    sources = (report.options.get("data") or {}).get("sources") or {}
    lines = []
    for name, source in sources.items():
        source = source if isinstance(source, Mapping) else {}
        licence = source.get("licence")
        stated = f"licence {said(licence)}" if licence else f"licence not stated (`data.sources.{said(name)}.licence`)"
        about = f"; {said(source['about'])}" if source.get("about") else ""
        lines.append(f"- source {code(str(name))}: {stated}{about}")
    lines += [f"- {name}: {count(rows, 'row')}, {count(tokens, 'token')}" for name, rows, tokens in known.splits]
    lines += [f"- {said(name)}: {said(what)}" for name, what in known.facts]
    whom = _missing("whom the rows are about, and whether they consented", "who collected them")
    return "\n".join([*lines, "", whom]) if lines else _missing("which rows it was trained on", "who trained it")


def _training(report: RunReport) -> str:
    result, lock, model = report.files.result or {}, report.files.lock or {}, report.options.get("model") or {}
    lines = []
    for key in ("objective", "adapter"):
        named = model.get(key)
        named = named.get("class_path") if isinstance(named, Mapping) else named
        lines += [f"- {key}: {code(str(named).rpartition('.')[2])}"] if named else []
    if "steps" in result:
        epochs = count(result.get("epochs") or 0, "epoch")
        lines.append(f"- {count(result['steps'], 'step')} in {epochs}, {duration(result.get('seconds') or 0)}")
    if report.kept is not None:
        lines.append(f"- weights of step {report.kept}")
    if report.validation:
        losses = [loss for _, loss in report.validation]
        lines.append(f"- validation loss {losses[0]:.3f} before, {min(losses):.3f} at its lowest")
    lines += [f"- by Tunesmith {said(lock['version'])}"] if lock.get("version") else []
    return "\n".join(lines) or _missing("how it was trained", "who trained it")


def _evaluation(report: RunReport) -> Iterator[str]:
    if not _is_tested(report):
        later = " since it was trained further" if report.files.test is not None else ""
        yield f"**Not tested{later}: nothing is claimed of how good it is.** {_missing('a test', 'who trained it')}"
        return
    yield f"**{said(report.decision.headline)}**, on {count((report.files.test or {}).get('n') or 0, 'test row')}."
    lines = [f"- {line.state}: {code(line.key)} {said(line.sentence)}" for line in report.decision.lines]
    yield from ["\n".join(lines)] if lines else []
    metrics = report.compared.get("base", [])
    if metrics:
        rule = "| metric | base | tuned | difference | 95 % interval | p (Holm) |\n|---|---:|---:|---:|---:|---:|"
        yield "\n".join([rule, *(_metric(one) for one in metrics[:_MOST])])
        yield "Intervals are those of a paired bootstrap over rows; p is corrected for all metrics."


def _metric(one: Compared) -> str:
    cells = [value(one.base, one.unit), value(one.tuned, one.unit), signed(one.difference)]
    cells += [span(one.interval) or "none", probability(one.p)]
    return f"| {code(one.name)} | {' | '.join(said(cell) for cell in cells)} |"


def _bias(report: RunReport) -> Iterator[str]:
    if not report.audits:
        yield "**Not audited: nothing is claimed of how fair it is.** " + _missing("audits", "who trained it")
        return
    for one in report.audits:
        before = f" ({said(_place(one.before))}: {said(one.before_severity)})" if one.before else ""
        lines = [f"- {code(one.name)} (by {one.where}): severity {said(one.level)}{before}. {said(one.summary)}"]
        lines += [f"  - to do: {said(one.advice)}"] if one.advice else []
        moved = [f"{code(name)} {old} before, {new} now" for name, old, new, _ in one.changes]
        measured = [f"{code(name)} {number}" for name, number in one.metrics]
        lines += [f"  - measured: {', '.join([*moved, *measured][:12])}"] if moved or measured else []
        yield "\n".join(lines)
    yield "Groups and harms that these audits do not look at were not looked at."


def _place(what: str) -> str:
    """Where findings of before are of; of a path its end: all of it would tell whose machine it was."""
    return "/".join(Path(what).parts[-2:]) if "/" in what else what


def _limitations(report: RunReport) -> str:
    lines = [
        f"- {line.state}: {code(line.key)} {said(line.sentence)}"
        for line in report.decision.lines
        if line.state in ("missed", "undecided", "pending")
    ]
    worse = [one for one in report.compared.get("base", []) if one.change == "worse"] if _is_tested(report) else []
    lines += [f"- worse than the base: {code(one.name)} {said(signed(one.difference))}" for one in worse[:_MOST]]
    grave = [one for one in report.audits if one.severity in _WORST]
    lines += [f"- bias: {code(one.name)}, severity {said(one.severity)} (by {one.where})" for one in grave]
    cut = [one for one in (report.seen.mishaps if report.seen else ()) if one.counts.get("tuned")]
    lines += [f"- {count(one.counts['tuned'], 'answer')} of the test: {said(MEANINGS[one.kind])}" for one in cut]
    known = "\n".join(lines) or "None is recorded in the run, which says little: it knows its own rows alone."
    return f"{known}\n\n{_missing('limits beyond the rows that were measured', 'who knows the field')}"


def _missing(what: str, who: str) -> str:
    return f"*Missing here: {what}; {who} has to add it.*"
