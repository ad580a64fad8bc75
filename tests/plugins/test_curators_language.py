"""Language: what is surely in another language goes; what nobody can tell stays."""

import sys
from typing import Any

import pytest

from tunesmith import Example, Message, RecipeError, Segment
from tunesmith.data.curate import apply_curator, check_curators
from tunesmith_plugins.curators import language
from tunesmith_plugins.curators.language import Language

ENGLISH = "The patient was seen in the clinic with chest pain and shortness of breath."
GERMAN = "Der Patient wurde mit Schmerzen in der Brust und Atemnot in die Klinik gebracht."
FRENCH = "Le patient a été vu à la clinique pour une douleur thoracique et un essoufflement."


def talk(prompt: str, answer: str) -> Example:
    return Example(messages=(Message("user", prompt), Message("assistant", answer)))


def curate(*examples: Example, **options: Any) -> tuple[list[int], dict[str, int]]:
    pytest.importorskip("py3langid")
    named = [example.with_(id=str(at)) for at, example in enumerate(examples)]
    check_curators({"language": Language(**options)})
    kept, counts = apply_curator("language", Language(**options), named, seed=7)
    return [int(example.id) for example in kept], counts["drops"]


ALL = [talk(ENGLISH, ENGLISH), talk(GERMAN, ENGLISH), talk(ENGLISH, FRENCH), talk(FRENCH, FRENCH)]


@pytest.mark.parametrize(
    ("options", "kept", "drops"),
    [
        ({"languages": ["en"]}, [0], {"answer in another language": 1, "prompt in another language": 2}),
        ({"languages": ["en", "fr"]}, [0, 2, 3], {"prompt in another language": 1}),
        ({"languages": ["en"], "where": "answers"}, [0, 1], {"answer in another language": 2}),
        ({"languages": ["en"], "where": "prompts"}, [0, 2], {"prompt in another language": 2}),
        ({"languages": ["en"], "least_letters": 500}, [0, 1, 2, 3], {}),
        ({"languages": ["it"]}, [], {"prompt in another language": 4}),
    ],
)
def test_named_languages_stay(options: dict[str, Any], kept: list[int], drops: dict[str, int]) -> None:
    assert curate(*ALL, **options) == (kept, drops)


@pytest.mark.parametrize(
    "text",
    [
        "Bonjour, merci",
        "Pt c/o CP x3d, SOB, hx HTN DM2, on metformin lisinopril ASA, NKDA, BP 120/80",
        f"```\n{FRENCH}\n``` `{FRENCH}` https://example.org/{FRENCH.replace(' ', '-')}",
        "1234 5678 90 " * 20,
    ],
)
def test_what_is_undecided_stays(text: str) -> None:
    assert curate(talk(text, text), languages=["en"])[0] == [0]


def test_the_bounds_are_where_they_are_said_to_be() -> None:
    letters = sum(map(str.isalpha, FRENCH))
    assert curate(talk(FRENCH, ""), languages=["en"], least_letters=letters)[0] == []
    assert curate(talk(FRENCH, ""), languages=["en"], least_letters=letters + 1)[0] == [0]
    chance = float(language._load().classify(FRENCH)[1])
    assert curate(talk(FRENCH, ""), languages=["en"], certainty=chance)[0] == []
    assert chance == 1 or curate(talk(FRENCH, ""), languages=["en"], certainty=min(1.0, chance + 1e-6))[0] == [0]


def test_pairs_and_texts_are_looked_at() -> None:
    pair = Example(chosen=talk(ENGLISH, ENGLISH).messages, rejected=talk(ENGLISH, FRENCH).messages)
    text = Example(segments=(Segment(ENGLISH, 0.0), Segment(FRENCH[:40]), Segment(FRENCH[40:])))
    assert curate(pair, text, languages=["en"]) == ([], {"answer in another language": 2})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"languages": []}, r"data\.curators\.language\.languages is empty; name those to keep: .*\bde\b"),
        (
            {"languages": ["en", "eng"]},
            r"data\.curators\.language\.languages: 'eng' is no language that py3langid knows; did you mean en",
        ),
        (
            {"languages": ["en"], "certainty": 0.0},
            r"data\.curators\.language\.certainty is 0\.0; a probability above 0",
        ),
    ],
)
def test_options_that_cannot_be_used_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        curate(talk("a", "b"), **options)


def test_its_package_is_named_where_it_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "py3langid.langid", None)
    language._load.cache_clear()
    with pytest.raises(
        RecipeError,
        match=r"data\.curators\.language\.languages needs the package py3langid: pip install 'tunesmith\[lang\]'",
    ):
        check_curators({"language": Language(["en"])})
