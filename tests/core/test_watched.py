"""A watched model says what the model says, and how far it is."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from tunesmith import Message
from tunesmith.evaluation.decoding import Answer
from tunesmith.evaluation.subject import AuditSubject
from tunesmith.evaluation.watched import watched

ASKED = [(Message("user", "a"),), (Message("user", "b"),)]
Told = Callable[[int, int], None]


class Model:
    def __init__(self, name: str) -> None:
        self.name = name

    def answers(self, prompts: Sequence[Any], tools: Any = None, progress: Told | None = None) -> list[Answer]:
        assert progress is not None
        progress(1, len(prompts))
        return [Answer(self.name + turns[-1].content, stopped=True, tokens=1) for turns in prompts]

    def logprob(self, rows: Sequence[Any], tools: Any = None, progress: Told | None = None) -> list[tuple[float, int]]:
        assert progress is not None
        progress(len(rows), len(rows))
        return [(-1.0, 2)] * len(rows)

    def classify(
        self, prompts: Sequence[Any], labels: Sequence[str], tools: Any = None, progress: Told | None = None
    ) -> list[list[float]]:
        assert progress is not None
        progress(0, 4)
        return [[0.25, 0.75]] * len(prompts)

    def embed(self, texts: Sequence[str]) -> torch.Tensor:
        return torch.zeros(len(texts), 3)

    def baseline(self, name: str = "base") -> "Model":
        return Model(name)


def test_audits_are_told_apart_and_models_too() -> None:
    told: list[tuple[str, int, int]] = []
    base = AuditSubject(model=Model("b"))  # type: ignore[arg-type]
    subject = AuditSubject({"test": ()}, Model("t"), base=base)  # type: ignore[arg-type]
    seen = watched(subject, "swap", lambda *one: told.append(one))
    assert seen.model is not None
    assert seen.base is not None
    assert seen.base.model is not None
    assert seen.model.generate(ASKED) == ["ta", "tb"]
    assert seen.base.model.generate(ASKED) == ["ba", "bb"]
    assert seen.model.logprob(ASKED) == [(-1.0, 2)] * 2
    assert seen.base.model.classify(ASKED, ["x", "y"]) == [[0.25, 0.75]] * 2
    assert seen.model.embed(["a"]).shape == (1, 3)
    assert isinstance(seen.model.baseline(), Model)
    assert told == [
        ("swap: tuned answers", 1, 2), ("swap: base answers", 1, 2), ("swap: tuned scores texts", 2, 2),
        ("swap: base scores choices", 0, 4),
    ]  # fmt: skip
    assert seen.examples is subject.examples
    assert watched(AuditSubject(), "swap", lambda *_: None).model is None
