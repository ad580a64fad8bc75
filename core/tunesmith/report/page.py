"""Pages of HTML that stand alone: style and plots inside, no script, nothing loaded from anywhere."""

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from tunesmith.report.flow import flow
from tunesmith.report.svg import bars, histogram, scale

_HERE = Path(__file__).parent


def data_page(card: Mapping[str, Any]) -> str:
    """The data card as HTML: a pure function of what `card.json` holds."""
    rows = {name: split["rows"] for name, split in card["splits"].items()}
    mark = (card["max_length"], "data.max_length") if card["max_length"] else None
    found = {kind: {"gone": number} for kind, number in (card["personal data"] or {}).items()}
    return render(
        "data_card.html.jinja",
        card=card,
        rows=rows,
        flow=flow(card["steps"], rows, "What became of the rows, step by step"),
        sizes=scale(rows.get("train", 0), card["sizes"], "Training rows against sizes that are advised"),
        lengths=_lengths(card, "lengths", "Tokens of whole rows", mark),
        trained=_lengths(card, "trained", "Tokens that are trained on", None),
        personal=bars(found, "Rows with personal data", shares=False),
        balance=[(balance, bars(_by_value(balance), f"Rows by {balance['of']}")) for balance in card["balance"]],
    )


def _lengths(card: Mapping[str, Any], what: str, title: str, mark: tuple[float, str] | None) -> str:
    splits = card["splits"]
    if not splits:
        return ""
    edges = next(iter(splits.values()))[what]["edges"]
    return histogram(edges, {name: split[what]["counts"] for name, split in splits.items()}, title, "tokens", mark)


def _by_value(balance: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    values: dict[str, dict[str, int]] = {}
    for split, counts in balance["counts"].items():
        for value, count in counts.items():
            values.setdefault(value, {})[split] = count
    return values


def render(template: str, styles: Sequence[str] = ("style.css",), **values: Any) -> str:
    """A page of this room's templates, with its style inside.

    Args:
        template: Its file.
        styles: Files of its style, in order.
        values: What the template names; whatever is no markup is escaped.
    """
    style = "".join((_HERE / name).read_text("utf-8") for name in styles)
    return _environment().get_template(template).render(style=style, **values)


@functools.cache
def _environment() -> jinja2.Environment:
    """One for all pages: it keeps the templates that it has compiled, and sees where one has changed."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda share: f"{100 * share:.3g} %"
    environment.filters["grouped"] = lambda value: f"{value:,.0f}"
    environment.filters["json"] = lambda content: json.dumps(content, separators=(",", ":"))
    return environment
