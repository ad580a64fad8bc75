"""The tiny model as audits see it. Imports torch."""

import functools

from tunesmith.evaluation.generation import Generation
from tunesmith.evaluation.language_model import TransformersModel
from tunesmith.testing.models import specialist

_LONGEST_ANSWER = 4


def fresh_model() -> TransformersModel:
    """A tiny specialist behind the `LanguageModel` protocol; its baseline is a copy."""
    return TransformersModel(specialist(), Generation(max_new_tokens=_LONGEST_ANSWER))


@functools.cache
def tiny_model() -> TransformersModel:
    """The same one each time."""
    return fresh_model()
