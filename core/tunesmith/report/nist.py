"""A profile by NIST's AI risk management framework: for which of its subcategories a run gives evidence."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunesmith.report.audited import has_judged
from tunesmith.report.run_markdown import code, said
from tunesmith.report.run_report import RunReport

FILE = "nist-ai-rmf.md"
_CORE = Path(__file__).with_name("nist_ai_rmf.json")


@dataclass(frozen=True, slots=True)
class Subcategory:
    """One of the framework's 72 subcategories.

    Args:
        id: As NIST numbers it (`MEASURE 2.11`).
        title: What it asks for, in our words.
        evidence: Kinds of evidence that a run may give for it, with what each says; none where it is for people alone.
        people: What remains for people where there is some.
    """

    id: str
    title: str
    evidence: Mapping[str, str] = field(default_factory=dict)
    people: str = ""


def subcategories() -> list[Subcategory]:
    """All of NIST AI 100-1 (January 2023), in its order."""
    listed = json.loads(_CORE.read_text("utf-8"))["subcategories"]
    return [Subcategory(**one) for one in listed]


def profile(report: RunReport) -> str:
    """The profile as Markdown; each claim is a link to a file of the run, relative to its directory."""
    there = evidence(report)
    everything = subcategories()
    backed = [one for one in everything if any(there.get(kind) for kind in one.evidence)]
    framework = json.loads(_CORE.read_text("utf-8"))
    opening = (
        f"Of {len(everything)} subcategories this run gives evidence for a part of {len(backed)}; none of them is done "
        "by it alone. Evidence is a file of the run, and what it says may be good or bad: read it. All else is for "
        f"people to do and to write down. Source: {framework['source']}."
    )
    parts = [f"# {framework['name']}: a profile of {said(report.recipe)}", opening]
    for function in dict.fromkeys(one.id.split()[0] for one in everything):
        mine = [one for one in everything if one.id.split()[0] == function]
        some = sum(one in backed for one in mine)
        parts.append(f"## {function.capitalize()}: evidence for {some} of {len(mine)}")
        rows = [f"| {one.id} | {one.title} | {_given(one, there)} | {_left(one, there)} |" for one in mine]
        head = "| | outcome | evidence in this run | for people |\n|---|---|---|---|"
        parts.append("\n".join([head, *rows]))
    return "\n\n".join(parts) + "\n"


def evidence(report: RunReport) -> dict[str, list[str]]:
    """Files that give evidence, by its kind, relative to the run's directory; only those that say something."""
    files, path = report.files, report.files.path
    tested = files.test is not None and files.outdated(files.test) is None
    audited = {
        "test/findings.json": files.test_findings if tested else None,
        "audit/findings.json": files.audit_findings if files.outdated(files.audit_verdicts) is None else None,
        "../audit/findings.json": files.data_findings,
    }
    found = [name for name, said_there in audited.items() if _judges(said_there)]
    kinds = {
        "recipe": ["config.yaml"] if report.options else [],
        "data": ["data.json"] if files.data else [],
        "lock": ["lock.json"] if files.lock else [],
        "trained": ["result.json"] if _has(files.result, "seconds") else [],
        "tested": ["test/metrics.json"] if tested and _has(files.test, "metrics") else [],
        "verdicts": ["test/metrics.json"] if tested and _has(files.test, "verdicts") else [],
        "audited": found,
        "compared": [name for name in found if any(map(_is_after, (audited[name] or {}).values()))],
        "logged": ["logged/findings.json"] if _judges(files.logged_findings) else [],
        "drift": ["logged/drift.json"] if _has(files.drift, "drift") else [],
        "card": ["README.md"] if tested or found else [],
    }
    return {kind: [name for name in names if (path / name).is_file()] for kind, names in kinds.items()}


def _judges(findings: Mapping[str, Any] | None) -> bool:
    """Whether an audit says more than that there was too little to judge."""
    return any(map(has_judged, (findings or {}).values()))


def _is_after(found: Mapping[str, Any]) -> bool:
    """Whether an audit says what it found before a change; the base beside the tuned model is none."""
    return (found.get("before") or {}).get("what") not in (None, "base")


def _has(content: Mapping[str, Any] | None, key: str) -> bool:
    return bool((content or {}).get(key))


def _given(one: Subcategory, there: Mapping[str, Sequence[str]]) -> str:
    """What there is, with links; nothing of what there is not."""
    parts = []
    for kind, what in one.evidence.items():
        links = ", ".join(f"[{code(name)}]({name})" for name in there.get(kind, ()))
        parts += [f"{what}: {links}"] if links else []
    return "; ".join(parts)


def _left(one: Subcategory, there: Mapping[str, Sequence[str]]) -> str:
    if any(there.get(kind) for kind in one.evidence):
        return one.people
    return "all of it" if not one.evidence else "all of it: this run holds no such evidence"
