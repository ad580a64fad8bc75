"""What a run was made from and how it went: its rows, its lock, its times."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tunesmith.report.numerals import count, duration

Json = Any
Facts = list[tuple[str, str]]
_SPLITS = ("train", "validation", "test")
# The recipe is shown as such; thresholds are those of the verdict.
_SHOWN_ELSEWHERE = {"method", "success", "lock", "recipe", "version"}


@dataclass(frozen=True)
class DataSummary:
    """What a run's rows are.

    Args:
        splits: Rows and tokens by split.
        facts: What became of rows by source, curator and split.
        quality: The data card's dimensions: name, score, grade.
        card: Whether there is a card.
        is_other: Whether that card is of other rows than the run's.
    """

    splits: list[tuple[str, int, int]]
    facts: Facts
    quality: list[tuple[str, float | None, str]]
    card: bool
    is_other: bool


def data_summary(data: Mapping[str, Json] | None, card: Mapping[str, Json] | None) -> DataSummary:
    """Summarise `data.json` and the data card's numbers."""
    encoded = (data or {}).get("encoded") or {}
    splits = [(name, int(encoded[name]["rows"]), int(encoded[name]["tokens"])) for name in _SPLITS if name in encoded]
    told = {name: split.get("rows") for name, split in ((card or {}).get("splits") or {}).items()}
    quality = [(str(d["name"]), d.get("score"), str(d["grade"])) for d in (card or {}).get("quality") or ()]
    is_other = bool(card) and bool(splits) and told != {name: rows for name, rows, _ in splits}
    return DataSummary(splits, _rows(data or {}), quality, card is not None, is_other)


def _rows(data: Mapping[str, Json]) -> Facts:
    facts: Facts = []
    for name, counts in (data.get("sources") or {}).items():
        facts.append((str(name), f"{count(counts['read'], 'row')} read, {counts['rejected']:,} set aside"))
    for name, counts in (data.get("curators") or {}).items():
        told = [
            f"{number:,} {verb} ({why})"
            for key, verb in (("drops", "dropped"), ("changes", "changed"), ("additions", "added"))
            for why, number in (counts.get(key) or {}).items()
        ]
        facts.append((str(name), ", ".join(told) or "nothing to do"))
    for split, counts in (data.get("encoded") or {}).items():
        told = [f"{number:,} left out ({why})" for why, number in (counts.get("dropped") or {}).items()]
        told += [f"{counts['truncated']:,} cut by data.max_length"] if counts.get("truncated") else []
        facts += [(str(split), ", ".join(told))] if told else []
    return facts


def lock_groups(lock: Mapping[str, Json] | None) -> list[tuple[str, Facts]]:
    """What a lock holds, by its keys, but for the recipe; single values are one group."""
    alone: Facts = []
    groups: list[tuple[str, Facts]] = []
    for key, content in (lock or {}).items():
        if key in _SHOWN_ELSEWHERE:
            continue
        if isinstance(content, Mapping):
            groups += [(key, _flat(content))] if content else []
        else:
            alone.append((key, str(content)))
    return [("run", alone), *groups] if alone else groups


def _flat(content: Mapping[str, Json]) -> Facts:
    facts: Facts = []
    for key, inner in content.items():
        if isinstance(inner, Mapping):
            facts += [(f"{key}.{name}", said) for name, said in _flat(inner)]
        else:
            facts.append((str(key), "not set" if inner is None else str(inner)))
    return facts


def run_facts(result: Mapping[str, Json] | None) -> Facts:
    """How long training took, how far it went, and on what machine."""
    if not result:
        return []
    facts: Facts = []
    if "steps" in result:
        facts.append(("trained", f"{count(result['steps'], 'step')} in {count(result.get('epochs') or 0, 'epoch')}"))
    if "seconds" in result:
        busy = result.get("processor_seconds")
        of_it = f", {duration(busy)} of processor time" if busy is not None else ""
        facts.append(("took", f"{duration(result['seconds'])}{of_it}"))
    if result.get("stopped_early"):
        facts.append(("stopped early", str(result["stopped_early"])))
    return [*facts, *((key, str(said)) for key, said in (result.get("machine") or {}).items())]
