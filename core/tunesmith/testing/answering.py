"""The tiny model as audits see it. Imports torch."""

import functools

from tunesmith.evaluation.generation import Generation
from tunesmith.evaluation.language_model import TransformersModel
from tunesmith.testing.models import specialist

_LONGEST_ANSWER = 4


@functools.cache
def tiny_model() -> TransformersModel:
    """The tiny specialist behind the `LanguageModel` protocol; its baseline is a copy."""
    return TransformersModel(specialist(), Generation(max_new_tokens=_LONGEST_ANSWER))
