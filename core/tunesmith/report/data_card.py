"""What a data set is, in numbers: where it comes from, what became of each row, and how good what is left looks."""

import heapq
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.data.encode import EncodedSplit
from tunesmith.data.example import Example
from tunesmith.data.pipeline import Curated
from tunesmith.data.rows import digest
from tunesmith.data.sources import Source
from tunesmith.data.split import SPLITS
from tunesmith.data.store import ids_of
from tunesmith.plugins.data_interfaces import Curator
from tunesmith.report.balance import balances
from tunesmith.report.lengths import lengths, round_edges
from tunesmith.report.quality import SIZES, Judged, quality
from tunesmith.report.words import diversity

if TYPE_CHECKING:
    from tunesmith.data.encoded_rows import EncodedRow

Json = Any
_AT_RANDOM = 4
_EXTREME = 2
_LONGEST = 700
# Looked at for words: more would take longer than it tells.
_SAMPLED = 20_000


@dataclass(frozen=True)
class Told:
    """What a card says of itself.

    Args:
        recipe: Name of the recipe.
        made: When, in ISO 8601.
        version: Of Tunesmith.
        base: Whose tokens are counted.
        max_length: Tokens at most; None for no limit.
    """

    recipe: str
    made: str
    version: str
    base: str
    max_length: int | None


def data_card(
    told: Told,
    sources: Mapping[str, Source],
    curators: Mapping[str, Curator],
    curated: Curated,
    encoded: Mapping[str, EncodedSplit],
) -> dict[str, Json]:
    """The card as plain data, as `card.json` holds it; `page` draws it.

    Args:
        told: What the card says of itself.
        sources: The recipe's sources.
        curators: The recipe's curators.
        curated: What became of the rows.
        encoded: The splits that have rows, as sequences.

    Returns:
        JSON-able. Texts in it are those of curated examples: what an anonymising curator left.
    """
    counts = curated.counts
    splits: dict[str, Sequence[Example]] = {name: curated.splits[name] for name in SPLITS}
    cut = [key for split in encoded.values() for key in split.truncated]
    judged = Judged.of(splits)
    edges = {
        what: round_edges([length for split in encoded.values() for length in _measured(split)[what]])
        for what in ("lengths", "trained")
    }
    return {
        **asdict(told),
        "sources": {name: _source(source, counts["sources"][name]) for name, source in sources.items()},
        "steps": list(_steps(curated, curators, encoded)),
        "splits": {name: _split(encoded[name], edges) for name in SPLITS if name in encoded},
        "balance": [asdict(b) | {"skewed": b.skewed} for b in balances(splits, [curated.split.keep_together or ""])],
        "groups": _groups(curated),
        "personal data": _personal(curators, counts["curators"]),
        "words": {
            what: asdict(diversity(texts)) for what, texts in _texts(_sampled(splits["train"])).items() if any(texts)
        },
        "repeats": asdict(judged.repeats) | {"rate": judged.repeats.rate},
        "quality": [asdict(d) | {"grade": d.grade} for d in quality(judged, cut)],
        "sizes": [list(size) for size in SIZES],
        "asked in training": counts["split"]["asked in training"],
        "examples": _shown(encoded.get("train")),
    }


def _source(source: Source, counts: Mapping[str, Json]) -> dict[str, Json]:
    paths = [source.path] if isinstance(source.path, str) else list(source.path)
    return {
        "paths": [_told(path) for path in paths],
        "formatter": type(source.formatter).__name__,
        "about": source.about.strip(),
        "licence": source.licence.strip(),
        "approved_by": source.approved_by.strip(),
        "split": source.split,
        **counts,
    }


def _told(path: str) -> str:
    """A path as it is said: from the current folder where it lies there, since cards are passed on."""
    file = Path(path)
    return str(file.relative_to(Path.cwd())) if file.is_relative_to(Path.cwd()) else path


def _steps(
    curated: Curated, curators: Mapping[str, Curator], encoded: Mapping[str, EncodedSplit]
) -> Iterator[dict[str, Json]]:
    """Every step that rows go through, in order, with the rows that go in and come out."""
    counts = curated.counts
    read = sum(source["read"] for source in counts["sources"].values())
    made = sum(source["examples"] for source in counts["sources"].values())
    reasons: dict[str, int] = {}
    for source in counts["sources"].values():
        for reason, number in source["reasons"].items():
            reasons[reason] = reasons.get(reason, 0) + number
    yield {"name": "read", "what": "formatters", "in": read, "out": made, "drops": reasons}
    at, ran = made, counts["curators"]
    for name, step in ran.items():
        if step["scope"] == "all":
            yield {"name": name, "what": type(curators[name]).__name__, **step}
            at = step["out"]
    lost = dict(counts["split"]["drops"])
    yield {"name": "split", "what": "train, validation, test", "in": at, "out": at - sum(lost.values()), "drops": lost}
    held_out = sum(len(curated.splits[name]) for name in ("validation", "test"))
    for name, step in ran.items():
        if step["scope"] == "train":
            yield {"name": name, "what": f"{type(curators[name]).__name__}, training rows", "beside": held_out, **step}
    at = sum(len(examples) for examples in curated.splits.values())
    unfit: dict[str, int] = {}
    for split in encoded.values():
        for drop in split.drops:
            unfit[drop.reason] = unfit.get(drop.reason, 0) + 1
    yield {"name": "encode", "what": "tokens", "in": at, "out": at - sum(unfit.values()), "drops": unfit}


def _measured(split: EncodedSplit) -> dict[str, list[int]]:
    """Tokens of each row, and those that are trained on."""
    return {"lengths": split.lengths, "trained": split.units["token"]}


def _split(split: EncodedSplit, edges: Mapping[str, Sequence[float]]) -> dict[str, Json]:
    measured = {what: asdict(lengths(values, edges[what])) for what, values in _measured(split).items()}
    return {**split.counts, **measured}


def _personal(curators: Mapping[str, Curator], counts: Mapping[str, Json]) -> dict[str, int] | None:
    """Rows in which curators found personal data, by what they say of it; None where no curator looked for some."""
    looked = [name for name, curator in curators.items() if curator.anonymises]
    found: dict[str, int] = {}
    for name in looked:
        for what in ("changes", "drops"):
            for reason, number in counts[name][what].items():
                found[reason] = found.get(reason, 0) + number
    return dict(sorted(found.items(), key=lambda item: -item[1])) if looked else None


def _groups(curated: Curated) -> dict[str, Json] | None:
    """How rows lie in groups that stay together, where the recipe names their column."""
    column = curated.split.keep_together
    return None if column is None else {"column": column, **curated.counts["split"]["groups"]}


def _texts(examples: Sequence[Example]) -> dict[str, list[str]]:
    return {
        "prompts": [turn.content for e in examples for turn in e.prompt if turn.role == "user"],
        "answers": [e.reference for e in examples if e.reference],
        "texts": ["".join(segment.text for segment in e.segments) for e in examples if e.segments],
    }


def _sampled(examples: Sequence[Example]) -> list[Example]:
    """Examples at random, always the same; not more than words are looked for in."""
    order = heapq.nsmallest(_SAMPLED, ((digest("card", key), at) for at, key in enumerate(ids_of(examples))))
    return [examples[at] for _, at in order]


def _shown(split: EncodedSplit | None) -> dict[str, list[Json]]:
    rows: Sequence[EncodedRow] = [] if split is None else split.rows
    lengths = [] if split is None else split.lengths
    by_length = sorted(range(len(rows)), key=lengths.__getitem__)
    at_random = random.Random(0).sample(range(len(rows)), min(_AT_RANDOM, len(rows)))  # noqa: S311  no secret
    shown = {"at random": at_random, "shortest": by_length[:_EXTREME], "longest": by_length[-_EXTREME:]}
    return {name: [_example(rows[at].example, lengths[at]) for at in chosen] for name, chosen in shown.items()}


def _example(example: Example, tokens: int) -> dict[str, Json]:
    parts: list[tuple[str, str]] = [(turn.role, turn.content) for turn in example.messages]
    parts += [(f"{turn.role} (chosen)", turn.content) for turn in example.chosen]
    parts += [("assistant (rejected)", example.rejected[-1].content)] if example.rejected else []
    parts += [("text", "".join(segment.text for segment in example.segments))] if example.segments else []
    parts += [("label", str(example.label))] if example.label is not None else []
    return {
        "origin": f"{_told(example.origin.file)}:{example.origin.line}",
        "tokens": tokens,
        "parts": [[role, _shortened(text)] for role, text in parts],
    }


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} […] {text[-_LONGEST // 2 :]}"
