"""Entailment: whether what the output says follows from its input or its reference, by a model of inference."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from tunesmith import Evaluator, Measure, RecipeError, Sample, did_you_mean
from tunesmith_plugins.evaluators.english import split_sentences

if TYPE_CHECKING:
    from tunesmith_plugins.evaluators.classifier import Classifier

_TRIAL = Path(__file__).with_name("entailment_trial")
_WORD = re.compile(r"\w")


class Entailment(Evaluator):
    """Whether an output follows from its prompt (or its reference), sentence by sentence, by a model that judges pairs.

    The model is any transformer with a head for sequence classification that was trained on natural language inference
    (MNLI, ANLI), and reads premise and hypothesis as a pair of texts. Each sentence of the output is a hypothesis. A
    premise longer than the model reads goes through it in windows, and the one that supports the sentence most counts
    (Laban et al. 2022, SummaC, https://doi.org/10.1162/tacl_a_00453). What the model was not trained on it judges
    badly: look at some rows before trusting the mean.

    Measures, each the mean over rows of the mean over a row's sentences, in [0, 1]: `entailment`, the probability that
    the premise entails the sentence (higher is better); `entailed`, the share of sentences of which that is the most
    probable class; and, of a model that has such a class, `contradicted`, the share that the best window contradicts
    (lower is better). An output without a sentence entails nothing and has 0; a row with an empty premise is left out.

    The model is read from a folder, nothing is downloaded, and it runs on the processor. Pairs go through it one at a
    time, so that a value does not depend on other rows.

    Since 0.12.

    Args:
        model: Folder of the model.
        premise: From what outputs have to follow: the turns of the prompt, or the reference.
        entailment: Name of the class that stands for it, where it is not called so (`LABEL_2`).
        contradiction: Name of the opposite class, likewise.
    """

    def __init__(
        self,
        model: Path,
        premise: Literal["prompt", "reference"] = "prompt",
        entailment: str | None = None,
        contradiction: str | None = None,
    ) -> None:
        self.model = model
        self.premise = premise
        self.entailment = entailment
        self.contradiction = contradiction

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """By a model that knows letters only, and draws its judgements."""
        return [cls(_TRIAL), cls(_TRIAL, premise="reference", entailment="neutral")]

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        """Judge each sentence of each output.

        Raises:
            RecipeError: The folder holds no such model, or its classes cannot be told.
        """
        from tunesmith_plugins.evaluators.classifier import Classifier, classes_of

        try:
            known = classes_of(self.model)
            entails = self._place(known, "entailment", "entail")
            opposes = self._place(known, "contradiction", "contradict")
            model = Classifier(self.model) if samples else None
        except RecipeError as error:
            msg = f"Entailment.{error}"
            raise RecipeError(msg) from error
        if entails is None or entails == opposes:
            what = "none of which is called entailment" if entails is None else "one of which cannot be both"
            msg = f"Entailment.model has the classes {', '.join(known)}, {what}: name the right one as entailment"
            raise RecipeError(msg)
        rows = [self._judged(model, sample, entails, opposes) for sample in samples if model is not None]
        entailment, entailed, contradicted = ([row[at] for row in rows] for at in range(3))
        found = [Measure("entailment", entailment), Measure("entailed", entailed)]
        if opposes is not None:
            found.append(Measure("contradicted", contradicted, higher_is_better=False))
        return found

    def _place(self, known: Sequence[str], option: str, usual: str) -> int | None:
        said: str | None = getattr(self, option)
        if said is not None and said.lower() not in known:
            there = f"{did_you_mean(said.lower(), known)} (classes: {', '.join(known)})"
            msg = f"{option} is {said}, which is no class of the model{there}"
            raise RecipeError(msg)
        if said is not None:
            return known.index(said.lower())
        places = [at for at, name in enumerate(known) if name.startswith(usual)]
        return places[0] if len(places) == 1 else None

    def _judged(
        self, model: "Classifier", sample: Sample, entails: int, opposes: int | None
    ) -> tuple[float, float, float]:
        """Of a row's sentences: mean probability of entailment, shares of those entailed and contradicted."""
        from_prompt = "\n".join(turn.content for turn in sample.prompt)
        premise = sample.reference if self.premise == "reference" else from_prompt
        if not premise.strip():
            return math.nan, math.nan, math.nan
        said = [part.strip() for part in split_sentences(sample.output) if _WORD.search(part)]
        if not said:
            return 0.0, 0.0, 0.0
        best = [max(model.probabilities(premise, part), key=lambda row: row[entails]) for part in said]
        most = [row.index(max(row)) for row in best]
        return (
            math.fsum(row[entails] for row in best) / len(best),
            most.count(entails) / len(most),
            0.0 if opposes is None else most.count(opposes) / len(most),
        )
