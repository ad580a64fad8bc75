"""Notes on metrics, as a report says them: each once, with the metrics that it is on."""

from collections.abc import Sequence

from tunesmith.report.compared import Compared


def noted(metrics: Sequence[Compared]) -> list[tuple[str, str]]:
    """Each note with the names of the metrics that it is on."""
    names: dict[str, list[str]] = {}
    for one in metrics:
        for note in one.notes:
            names.setdefault(note, []).append(one.name)
    everything = len(metrics)
    return [(note, "all metrics" if len(on) == everything else ", ".join(on)) for note, on in names.items()]


def tally(metrics: Sequence[Compared]) -> str:
    """How many metrics moved which way, in words."""
    changes = [one.change for one in metrics if one.difference is not None]
    said = {"better": "better", "worse": "worse", "undecided": "undecided", "same": "the same"}
    counts = [f"{changes.count(change)} {what}" for change, what in said.items() if change in changes]
    return ", ".join(counts) or "nothing to compare"
