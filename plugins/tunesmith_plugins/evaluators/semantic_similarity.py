"""SemanticSimilarity: whether output and reference mean the same, as a model of sentence embeddings sees it."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tunesmith import Evaluator, Measure, RecipeError, Sample

_TRIAL = Path(__file__).parents[1] / "curators" / "embedding" / "letters"


class SemanticSimilarity(Evaluator):
    """Cosine of the embeddings of output and reference, in [-1, 1]; higher is better. Measures `similarity`.

    What is near depends on the model: compare only numbers of the same one. Models hardly see a "not", a wrong number,
    or who does what to whom; measure these by themselves (`Grounding`, `CriticalErrors`). All of a long text counts.

    The model is read from a folder and nothing is ever downloaded: a static model (of model2vec, with `pip install
    'tunesmith[semantic]'`), or a transformer for sentence embeddings such as all-MiniLM-L6-v2, both on the processor.
    Each text goes through it alone, so that a value does not depend on the others. An output of which the model knows
    nothing, an empty one too, has 0; a row with such a reference is left out.

    Since 0.12.

    Args:
        model: Folder of the model.
    """

    def __init__(self, model: Path) -> None:
        self.model = model

    @classmethod
    def trial_instances(cls) -> list[Self]:
        """By a model that knows letters only."""
        return [cls(_TRIAL)]

    def measure(self, samples: Sequence[Sample]) -> list[Measure]:
        """The cosine of each row.

        Raises:
            RecipeError: The folder holds no model that can be used.
            AbsentPackageError: It is a static model, and the extra `semantic` is not installed.
        """
        import numpy as np

        from tunesmith_plugins.curators.embedding.encode import check_model, encoder
        from tunesmith_plugins.curators.embedding.rows import distinct

        try:
            check_model(self.model)
            encode = encoder(self.model) if samples else None
        except RecipeError as error:
            msg = f"SemanticSimilarity.{error}"
            raise type(error)(msg) from error
        values = []
        if encode is not None:
            texts = [text for sample in samples for text in (sample.output, sample.reference)]
            vectors, places = distinct(texts, lambda batch: np.concatenate([encode([text]) for text in batch]))
            known = [bool(vector.any()) for vector in vectors]
            for output, reference in places.reshape(-1, 2).tolist():
                cosine = min(1.0, max(-1.0, float(vectors[output] @ vectors[reference])))
                values.append(cosine if known[reference] else math.nan)
        return [Measure("similarity", values)]
