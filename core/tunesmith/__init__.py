"""Tunesmith turns a general language model into a specialist, and proves that it did.

Plugin authors import everything they need from here; nothing in it loads torch.
"""

from tunesmith.data.columns import Columns
from tunesmith.data.encoded import Encoded, Unit
from tunesmith.data.example import Example, Message, Origin, Segment
from tunesmith.data.near import NearDuplicateIndex
from tunesmith.data.ngrams import ngram_hashes
from tunesmith.data.normal import normal_text
from tunesmith.data.parts import Parts, parts_of
from tunesmith.data.read_as import recognise
from tunesmith.data.read_rows import read_rows
from tunesmith.data.recognise import Recognised
from tunesmith.deprecation import DeprecatedWarning, deprecated
from tunesmith.endpoint import chat, check_host
from tunesmith.errors import AbsentPackageError, DataError, RecipeError, RowError, TunesmithError
from tunesmith.evaluation.measure import Findings, Mark, Measure, Sample, Table, Timing
from tunesmith.evaluation.rating import rating_key
from tunesmith.nearest import did_you_mean
from tunesmith.plugins.hookspecs import hookimpl
from tunesmith.plugins.interfaces import (
    Adapter,
    Audit,
    Curator,
    Evaluator,
    Formatter,
    Objective,
    Record,
    Regularizer,
    Renderer,
)
from tunesmith.plugins.subject import LanguageModel, Subject
from tunesmith.training.forward import Chunk, Forward, Term
from tunesmith.training.kernels import fused_kernels
from tunesmith.training.reach import out_of_reach
from tunesmith.version import __version__ as __version__

__all__ = [
    "AbsentPackageError",
    "Adapter",
    "Audit",
    "Chunk",
    "Columns",
    "Curator",
    "DataError",
    "DeprecatedWarning",
    "Encoded",
    "Evaluator",
    "Example",
    "Findings",
    "Formatter",
    "Forward",
    "LanguageModel",
    "Mark",
    "Measure",
    "Message",
    "NearDuplicateIndex",
    "Objective",
    "Origin",
    "Parts",
    "RecipeError",
    "Recognised",
    "Record",
    "Regularizer",
    "Renderer",
    "RowError",
    "Sample",
    "Segment",
    "Subject",
    "Table",
    "Term",
    "Timing",
    "TunesmithError",
    "Unit",
    "chat",
    "check_host",
    "deprecated",
    "did_you_mean",
    "fused_kernels",
    "hookimpl",
    "ngram_hashes",
    "normal_text",
    "out_of_reach",
    "parts_of",
    "rating_key",
    "read_rows",
    "recognise",
]
