"""What audits see: the base beside the tuned model, and what evaluators say of samples."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tunesmith import Audit, Evaluator, Example, Findings, Measure, Message, Sample, Subject
from tunesmith.evaluation.decoding import Answer
from tunesmith.evaluation.run_test import evaluate
from tunesmith.evaluation.subject import AuditSubject
from tunesmith.evaluation.threshold import Threshold


class Right(Evaluator):
    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        return [Measure("share", [float(s.output == s.reference) for s in samples])]


class Nats(Evaluator):
    needs: ClassVar[frozenset[Any]] = frozenset({"logprob"})

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        return [Measure("nats", [-s.logprob for s in samples])]


class Slow(Evaluator):
    needs: ClassVar[frozenset[Any]] = frozenset({"latency"})

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        return [Measure("seconds", [s.timing.seconds for s in samples if s.timing])]


class Own(Right):
    def own_rows(self) -> Sequence[Example]:
        return [Example(messages=(Message("user", "?"),), id="own")]


class Twice(Evaluator):
    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        return [Measure("share", [math.nan] * len(samples))]

    def combine(self, measures: Mapping[str, Measure]) -> list[Measure]:
        return [Measure("share", [2 * value for value in measures["right/share"].values])]


def sample(output: str, logprob: float = math.nan) -> Sample:
    return Sample("a", (Message("user", "?"),), "yes", output, logprob)


def test_samples_are_measured_by_all_evaluators_that_can() -> None:
    subject = AuditSubject(evaluators={"right": Right(), "nats": Nats()})
    found = subject.measure([sample("yes", -2.0), sample("no", -3.0)])
    assert {name: list(one.values) for name, one in found.items()} == {"right/share": [1, 0], "nats/nats": [2, 3]}


def test_what_lacks_its_numbers_or_brings_rows_is_left_out() -> None:
    evaluators = {"right": Right(), "nats": Nats(), "slow": Slow(), "own": Own(), "twice": Twice()}
    assert list(AuditSubject(evaluators=evaluators).measure([sample("yes"), sample("no", -1.0)])) == ["right/share"]
    assert list(AuditSubject().measure([sample("yes")])) == []


def test_what_combines_others_goes_with_them() -> None:
    found = AuditSubject(evaluators={"right": Right(), "twice": Twice()}).measure([sample("yes")])
    assert list(found["twice/share"].values) == [2]


class Says:
    def __init__(self, said: str) -> None:
        self.said = said

    def answers(self, prompts: Any, tools: Any = None, progress: Any = None) -> list[Answer]:
        return [Answer(self.said, True, 1)] * len(prompts)

    def logprob(self, conversations: Any, tools: Any = None, progress: Any = None) -> list[tuple[float, int]]:
        return [(-1.0, 1)] * len(conversations)


class Looks(Audit):
    needs: ClassVar[frozenset[Any]] = frozenset({"model", "outputs"})
    seen: ClassVar[list[Subject]] = []

    def produces(self) -> list[Measure]:
        return [Measure("right", [])]

    def examine(self, subject: Subject) -> Findings:
        self.seen.append(subject)
        return Findings("seen", "none", {"right": subject.measure(subject.outputs or ())["right/share"].value})


def test_the_base_stands_beside_the_tuned_model() -> None:
    Looks.seen.clear()
    rows = [Example(messages=(Message("user", "?"), Message("assistant", "yes")), id=f"r{at}") for at in range(3)]
    tuned: Any = Says("yes")
    base: Any = Says("no")
    bound = {"looks/right": Threshold(at_least=0.5)}
    found = evaluate(tuned, base, rows, {"right": Right()}, bound, audits={"looks": Looks()})
    (seen,) = Looks.seen  # a threshold that is no multiple of the base asks nothing of the base alone
    assert seen.base is not None
    assert (seen.model, seen.base.model, seen.base.base) == (tuned, base, None)
    assert [s.output for s in seen.base.outputs or ()] == ["no"] * 3
    assert seen.base.measure(seen.base.outputs or ())["right/share"].value == 0
    assert found.verdicts[0].met
    Looks.seen.clear()
    bound = {"looks/right": Threshold(improves_by=0.5)}
    found = evaluate(tuned, base, rows, {"right": Right()}, bound, audits={"looks": Looks()})
    assert [one.model for one in Looks.seen] == [tuned, base]
    assert found.verdicts[0].met


def test_without_a_base_there_is_none() -> None:
    Looks.seen.clear()
    rows = [Example(messages=(Message("user", "?"), Message("assistant", "yes")), id="r")]
    tuned: Any = Says("yes")
    evaluate(tuned, None, rows, {"right": Right()}, {}, audits={"looks": Looks()})
    assert Looks.seen[0].base is None
