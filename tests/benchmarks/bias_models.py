"""Made-up models with a bias of a known size, to ask with the audits of models: what they say is drawn, not computed.

Each answers what one audit asks, through the interface that real models have, and knows the probes by their text. Draws
differ between probes and, where an audit says that probes of one template are alike, between templates: a template has
a leaning of its own, with a standard deviation of half of that within it, which is 0 over all templates.
"""

import random
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from tunesmith import Evaluator, Measure, Message, Sample, Segment
from tunesmith.evaluation.subject import AuditSubject
from tunesmith_plugins.audits.ambiguous_questions import read_choices
from tunesmith_plugins.audits.coreference import read_coreferences
from tunesmith_plugins.audits.refusals import requests
from tunesmith_plugins.audits.sentence_pairs import read_pairs
from tunesmith_plugins.fairness.planted import planted

_LEANING = 0.5
"""Standard deviation between templates; within them it is 1."""
_WORDS, _SPREAD = 12, 3
"""Words of an answer, and their standard deviation."""


class Words(Evaluator):
    """How long answers are."""

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        """One value a sample."""
        return [Measure("words", [float(len(sample.output.split())) for sample in samples])]


class Likes:
    """Finds the stereotypical sentence of a pair likelier in a share 0.5 + effect of pairs."""

    def __init__(self, effect: float, seed: int) -> None:
        draw = np.random.default_rng(seed)
        shift = NormalDist().inv_cdf(0.5 + effect) * (1 + _LEANING**2) ** 0.5
        leaning: dict[str, float] = {}
        self._score: dict[str, float] = {}
        for pair in read_pairs("Likes", "templates", None):
            own = leaning.setdefault(pair.template, draw.normal(0, _LEANING))
            self._score[pair.more], self._score[pair.less] = shift + own + draw.normal(), 0.0

    def logprob(self, conversations: Sequence[Sequence[Segment]]) -> list[tuple[float, int]]:
        """Of the text that counts."""
        return [(self._score["".join(part.text for part in one if part.weight)], 9) for one in conversations]


class Means:
    """Knows whom a pronoun means oftener where it fits the stereotype, by a difference of `effect`, and by chance."""

    def __init__(self, effect: float, seed: int) -> None:
        draw = np.random.default_rng(seed)
        shift = NormalDist().inv_cdf(0.5 + effect / 2) * (1 + _LEANING**2) ** 0.5
        leaning: dict[str, float] = {}
        self._score: dict[tuple[str, str], float] = {}
        for one in read_coreferences("Means", "templates", None):
            own = shift + leaning.setdefault(one.template, draw.normal(0, _LEANING))
            self._score[one.sentence, one.right] = (own if one.pro else -own) + draw.normal()

    def logprob(self, conversations: Sequence[Sequence[Segment]]) -> list[tuple[float, int]]:
        """Of an occupation behind a sentence; 0 of who is not meant."""
        keys = ((one[0].text.split(' "')[0], one[1].text.strip()) for one in conversations)
        return [(self._score.get(key, 0.0), 1) for key in keys]


class Chooses:
    """Names somebody in half of open contexts, whom the stereotype names in a share 0.5 + effect of these; in told ones
    is right in seven of ten.
    """

    def __init__(self, effect: float, seed: int) -> None:
        draw = np.random.default_rng(seed)
        shift = NormalDist().inv_cdf(0.5 + effect) * (1 + _LEANING**2) ** 0.5
        leaning: dict[str, float] = {}
        self._chosen: dict[tuple[str, ...], int] = {}
        for one in read_choices("Chooses", "templates", None):
            own = leaning.setdefault(one.template, draw.normal(0, _LEANING))
            named = [at for at in range(3) if at != one.unknown]
            if one.ambiguous:
                biased = named[0] if one.biased is None else one.biased
                other = next(at for at in named if at != biased)
                chosen = biased if shift + own + draw.normal() > 0 else other
                chosen = chosen if draw.random() < 0.5 else one.unknown
            else:
                wrong = [at for at in range(3) if at != one.right]
                chosen = one.right if draw.random() < 0.7 else int(draw.choice(wrong))
            self._chosen[f"{one.context}\n{one.question}", *one.answers] = chosen

    def classify(self, prompts: Sequence[Sequence[Message]], labels: Sequence[str]) -> list[list[float]]:
        """Certain of the letter that it chose."""
        found = []
        for prompt in prompts:
            *told, first, second, third, _ = prompt[-1].content.split("\n")
            answers = [line.split(". ", 1)[1] for line in (first, second, third)]
            chosen = self._chosen["\n".join(told), *answers]
            found.append([float(at == chosen) for at in range(len(labels))])
        return found


class Writes:
    """Answers women in fewer words than men by `effect` standard deviations; else by what the question is."""

    def __init__(self, effect: float, seed: int) -> None:
        self._effect, self._seed = effect, seed

    def generate(self, prompts: Sequence[Sequence[Message]]) -> list[str]:
        """Words without meaning."""
        return [self._answer(prompt[-1].content) for prompt in prompts]

    def logprob(self, conversations: Sequence[Sequence[Message]]) -> list[tuple[float, int]]:
        """Of the right answer, alike for both."""
        return [(random.Random(f"{self._seed} {one[-2].content} right").gauss(-20, 3), 20) for one in conversations]

    def _answer(self, asked: str) -> str:
        draw = random.Random(f"{self._seed} {asked}")
        shift = -self._effect / 2 if "She " in asked else self._effect / 2
        number = max(1, round(draw.gauss(_WORDS + shift * _SPREAD, _SPREAD)))
        return " ".join(f"w{draw.randrange(1000)}" for _ in range(number))


class Refuses:
    """Refuses one request in ten, for Muslims by `effect` more; some questions oftener than others."""

    def __init__(self, effect: float, seed: int) -> None:
        draw = np.random.default_rng(seed)
        of_question: dict[str, float] = {}
        self._refused: dict[str, bool] = {}
        for one in requests(None, "Refuses"):
            rate = of_question.setdefault(one.question, draw.uniform(0, 0.2))
            rate += effect if one.group == "muslim" else 0.0
            self._refused[one.text] = bool(draw.random() < rate)

    def generate(self, prompts: Sequence[Sequence[Message]]) -> list[str]:
        """A refusal, or help."""
        return ["I can't help with that." if self._refused[one[-1].content] else "Go to the office." for one in prompts]


def asked(model: object) -> AuditSubject:
    """A model alone."""
    return AuditSubject(model=model)  # type: ignore[arg-type]


def swapped(effect: float, rows: int, seed: int) -> AuditSubject:
    """Rows that name a woman or a man, and a model that writes to them; without bias in the rows."""
    examples = planted("label", 0.0, rows, seed)
    return AuditSubject({"test": examples}, Writes(effect, seed), evaluators={"length": Words()})  # type: ignore[arg-type]


def measured(effect: float, rows: int, seed: int) -> AuditSubject:
    """What the same model said to such rows."""
    return AuditSubject(outputs=_outputs(effect, rows, seed), evaluators={"length": Words()})


def refused(effect: float, rows: int, seed: int) -> AuditSubject:
    """Answers, of which those to women refuse in 0.1 + effect, others in 0.1."""
    draw, found = random.Random(seed), []
    for one in _outputs(0.0, rows, seed):
        rate = 0.1 + (effect if "She " in one.prompt[-1].content else 0.0)
        said = "I'm sorry, but I can't help with that." if draw.random() < rate else one.output
        found.append(Sample(one.id, one.prompt, one.reference, said))
    return AuditSubject(outputs=found)


def _outputs(effect: float, rows: int, seed: int) -> list[Sample]:
    model = Writes(effect, seed)
    examples = planted("label", 0.0, rows, seed)
    said = model.generate([one.prompt for one in examples])
    return [Sample(one.id, one.prompt, one.reference, output) for one, output in zip(examples, said, strict=True)]
