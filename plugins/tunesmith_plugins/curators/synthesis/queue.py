"""The rows that a model proposed, in a file that people decide on, one line of JSON each."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from tunesmith import DataError, did_you_mean

Status = Literal["proposed", "approved", "rejected", "filtered"]
STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True)
class Proposal:
    """One row that was proposed.

    Args:
        id: Of the row; stable.
        status: `proposed` waits for a person, who writes `approved` or `rejected`; `filtered` rows never reached one.
        prompt: What is asked; empty for a plain text.
        completion: The answer, or the text.
        reason: Why it was filtered; or what the person wants to say.
        model: Who proposed it.
        seeds: Ids of the rows that it was shown.
    """

    id: str
    status: Status
    prompt: str
    completion: str
    reason: str = ""
    model: str = ""
    seeds: tuple[str, ...] = ()


def read(path: Path) -> list[Proposal]:
    """All proposals of a queue; none where there is no file.

    Raises:
        DataError: A line is none; names file, line and what is wrong.
    """
    if not path.exists():
        return []
    found = []
    for number, line in enumerate(path.read_text("utf-8").split("\n"), 1):
        if line.strip():
            found.append(_proposal(line, f"{path}:{number}"))
    twice = [key for key, number in Counter(proposal.id for proposal in found).items() if number > 1]
    if twice:
        msg = f"{path}: id {twice[0]} stands there twice"
        raise DataError(msg)
    return found


def _proposal(line: str, place: str) -> Proposal:
    try:
        held: Any = json.loads(line)
    except ValueError as error:
        msg = f"{place} is not JSON: {error}"
        raise DataError(msg) from error
    if not isinstance(held, dict) or not all(isinstance(held.get(k), str) for k in ("id", "prompt", "completion")):
        msg = f"{place} is no proposal; it has the texts id, status, prompt, completion"
        raise DataError(msg)
    status = held.get("status")
    if status not in STATUSES:
        msg = f"{place}: status is {status!r}; it is one of {', '.join(STATUSES)}{did_you_mean(str(status), STATUSES)}"
        raise DataError(msg)
    more = {name: str(held.get(name, "")) for name in ("reason", "model")}
    seeds = tuple(map(str, held.get("seeds") or ()))
    return Proposal(held["id"], status, held["prompt"], held["completion"], **more, seeds=seeds)


def append(path: Path, proposals: Iterable[Proposal]) -> None:
    """Write proposals behind those that are there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(asdict(p), ensure_ascii=False) + "\n" for p in proposals)
