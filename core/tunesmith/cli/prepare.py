"""The verb `prepare`: the curated rows in files, with a card that says what they are and what became of the others."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tunesmith import __version__
from tunesmith.cli.fit import prepare_data
from tunesmith.cli.opening import encoded_counts, show_data
from tunesmith.cli.runs import write_json
from tunesmith.cli.screen import fact, say
from tunesmith.cli.tasks import stated_tool, write_tasks
from tunesmith.cli.trainer_cli import Session
from tunesmith.data.as_row import as_row
from tunesmith.evaluation.records import plain
from tunesmith.report.data_card import Told, data_card
from tunesmith.report.page import data_page


def prepare(session: Session) -> int:
    """Curate and split, and write the examples with what happened to each row; exit code 0."""
    directory = session.root / session.name / "data"
    tool = stated_tool(session.arguments)
    curated = prepare_data(session, directory)
    for split, examples in curated.splits.items():
        _write_lines(directory / f"{split}.jsonl", map(as_row, examples))
    write_json(directory / "counts.json", curated.counts | encoded_counts(session))
    card = _card(session)
    write_json(directory / "card.json", card)
    (directory / "card.html").write_text(data_page(card), encoding="utf-8", errors="xmlcharrefreplace")
    say(f"prepare {session.name}", style="bold")
    show_data(session)
    for dimension in card["quality"]:
        _show(dimension)
    fact("card", f"{directory / 'card.html'} (its numbers: card.json)")
    for split, examples in curated.splits.items():
        if tool is not None and examples:
            write_tasks(tool, examples, directory / split)
    fact("written", f"{directory} (train, validation, test, rejected .jsonl; counts.json)")
    return 0


def _card(session: Session) -> dict[str, Any]:
    data = session.data
    curated = data.prepare_rows()
    told = Told(
        session.name,
        datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        __version__,
        str(session.model.base),
        data.max_length,
    )
    encoded = {name: data.encoded(name) for name, examples in curated.splits.items() if examples}  # type: ignore[arg-type]
    card: dict[str, Any] = plain(data_card(told, data.sources, data.curators, curated, encoded))
    return card


def _show(dimension: dict[str, Any]) -> None:
    score = "-" if dimension["score"] is None else f"{dimension['score']:.0f}"
    said = "; ".join([*dimension["found"][:1], *dimension["advice"][:1]])
    fact(
        "quality" if dimension["name"] == "relevance" else "", f"{dimension['name']} {score}: {said or 'nothing found'}"
    )


def _write_lines(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
        for line in lines:
            file.write(json.dumps(plain(line), ensure_ascii=False) + "\n")
