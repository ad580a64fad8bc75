"""What a model is asked, and how its answer is read."""

import hashlib
import json
import re
from collections.abc import Sequence

from tunesmith_plugins.curators.synthesis.queue import Proposal

_FENCE = re.compile(r"^```\w*\s*|\s*```$", re.MULTILINE)


def question(instruction: str, seeds: Sequence[Proposal], number: int) -> list[dict[str, str]]:
    """The turns that ask for rows like the seeds."""
    keys = '{"prompt": ..., "completion": ...}' if seeds[0].prompt else '{"completion": ...}'
    rows = "\n".join(
        json.dumps({"prompt": s.prompt, "completion": s.completion} if s.prompt else {"completion": s.completion})
        for s in seeds
    )
    system = (
        "You write training data. Answer with a JSON list of objects "
        f"{keys} and nothing else. New rows are correct, differ from the examples and from each other in content, and "
        "keep the examples' task, style and format. Invent no real person's data."
    )
    asked = f"{instruction}\n\nExamples:\n{rows}\n\nWrite {number} new rows.".strip()
    return [{"role": "system", "content": system}, {"role": "user", "content": asked}]


def answer(text: str, seeds: Sequence[Proposal], model: str) -> list[Proposal]:
    """The rows in an answer: a JSON list, an object with one, or an object a line; fences of Markdown are left out."""
    found = []
    for held in _objects(_FENCE.sub("", text.strip())):
        prompt, completion = held.get("prompt", ""), held.get("completion", held.get("text", ""))
        if not isinstance(completion, str):
            completion = json.dumps(completion, ensure_ascii=False)
        key = hashlib.sha256(json.dumps([prompt, completion]).encode()).hexdigest()[:16]
        said = prompt if isinstance(prompt, str) else json.dumps(prompt, ensure_ascii=False)
        found.append(Proposal(f"synthetic-{key}", "proposed", said, completion, "", model, tuple(s.id for s in seeds)))
    return found


def _objects(text: str) -> list[dict[str, object]]:
    try:
        held = json.loads(text)
    except ValueError:
        lines = [line.strip().rstrip(",") for line in text.splitlines()]
        held = [value for line in lines if line.startswith("{") for value in _maybe(line)]
    if isinstance(held, dict):
        lists = [value for value in held.values() if isinstance(value, list)]
        held = lists[0] if len(lists) == 1 and "completion" not in held else [held]
    return [value for value in held if isinstance(value, dict)] if isinstance(held, list) else []


def _maybe(line: str) -> list[object]:
    try:
        return [json.loads(line)]
    except ValueError:
        return []
