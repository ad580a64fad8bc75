"""Words of lexicons are found as their patterns find them, each text being read once."""

import random
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tunesmith import Audit, Example, Message
from tunesmith.evaluation.subject import AuditSubject
from tunesmith_plugins.audits import lexicon, matching
from tunesmith_plugins.audits.association import Association
from tunesmith_plugins.audits.label_parity import LabelParity
from tunesmith_plugins.audits.lexicon import Category, read_lexicon, read_part
from tunesmith_plugins.audits.matching import Finder, Remembered, first_words, word_set
from tunesmith_plugins.audits.proxy import Proxy
from tunesmith_plugins.audits.quality_parity import QualityParity
from tunesmith_plugins.audits.representation import Representation
from tunesmith_plugins.audits.stereotypes import Stereotypes
from tunesmith_plugins.audits.toxicity import Toxicity
from tunesmith_plugins.audits.word_forms import forms, pattern, slots
from tunesmith_plugins.fairness.planted import planted

CATEGORIES = read_lexicon("Test", None, None)
FILLERS = (
    "the",
    "is",
    "44-year-old",
    "old",
    "of",
    "and",
    "in",
    "l'",
    "it's",
    "who",
    "letter",
    "people",
    "\n",
    "—",
    "Zoë",
)


def filled(entry: str, category: Category, draw: random.Random) -> str:
    form = draw.choice(forms(entry))
    for name in slots(form):
        form = form.replace(f"{{{name}}}", draw.choice(forms(draw.choice(category.sets[name]))))
    return form


def texts(number: int, seed: int = 0) -> Iterator[str]:
    """Entries of all groups among other words, in any case, joined by blanks, hyphens and marks or cut."""
    draw = random.Random(seed)
    stereotypes = [one for groups in read_part("Test", None, "stereotypes").values() for held in groups.values()
                   for key in ("traits", "acts") for one in held.get(key, [])]  # fmt: skip
    abuse = [word for words in read_part("Test", None, "toxicity").values() for word in words]
    for _ in range(number):
        made = ""
        for _ in range(draw.randint(1, 12)):
            category = draw.choice(CATEGORIES)
            word = draw.choice([
                filled(draw.choice(category.words[draw.choice(list(category.words))]), category, draw),
                draw.choice(FILLERS), draw.choice(FILLERS), draw.choice(forms(draw.choice([*stereotypes, *abuse]))),
            ])  # fmt: skip
            word = draw.choice([word, word, word.upper(), word.capitalize(), word[:-1], word.replace("i", "\u0131")])
            made += word + draw.choice([" ", " ", " ", "  ", "-", "\u2011", ", ", ". ", "", "'s ", "_", "\n"])
        yield made


def test_every_category_counts_what_its_patterns_find() -> None:
    mentioned = 0
    for text in texts(600):
        for category in CATEGORIES:
            expected = {g: n for g, words in category.patterns.items() if (n := len(words.findall(text)))}
            assert category.mentions(text) == expected, text
            assert set(expected) <= category.may_mention(text)
            mentioned += len(expected)
    assert mentioned > 500


@pytest.mark.parametrize(
    ("entry", "text", "n"),
    [
        ("sister(s)", "Si\u017fter\u017f, SISTERS and sisterly", 2),  # a long s
        ("kin", "\u212ain, k\u0131n, K\u0130N, akin", 3),  # a sign of kelvin, an i without dot and one with
        ("'em", "get 'em", 1),
        ("old man|man", "an old man, a man, a 44-year-old man", 3),
        ("{kind} worker", "a care worker, a CARE-WORKER", 2),
        ("na\u00efve", "na\u00efve, NA\u00cfVE", 2),
        ("she", "\u0345she she_ 2she", 1),
    ],
)
def test_signs_and_letters_of_several_forms(entry: str, text: str, n: int) -> None:
    sets = {"kind": ["care", "social"]}
    assert len(pattern([entry], sets).findall(text)) == n
    assert dict(Finder({"x": ([entry], sets)}).count(text)) == {"x": n}


def test_first_words_are_of_all_forms() -> None:
    assert first_words(["woman|women", "{who} of colour"], {"who": ["person(s)", "lady"]}) == {
        "woman", "women", "person", "persons", "lady"
    }  # fmt: skip
    assert first_words(["she", "'em"]) is None
    assert word_set("She, she-wolf's 44") == {"she", "wolf", "s", "44"}


def test_a_text_is_read_once_until_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "_MOST", 10)
    read: list[str] = []

    def length(text: str) -> int:
        read.append(text)
        return len(text)

    kept = Remembered(length)
    assert [kept("abc"), kept("abc"), kept("defg"), kept("abc")] == [3, 3, 4, 3]
    assert read == ["abc", "defg"]
    assert kept("hijklm") == 6  # 13 characters: what came before is forgotten
    assert [kept("hijklm"), kept("abc")] == [6, 3]
    assert read == ["abc", "defg", "hijklm", "abc"]


def test_categories_that_were_read_before_know_their_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    (gender,) = read_lexicon("Test", None, ["gender"])
    assert gender.mentions("A text of its own: she knows.") == {"female": 1}
    monkeypatch.setattr(matching, "word_set", None)  # it is not read again
    assert read_lexicon("Other", None, None)[0].finder is gender.finder
    assert read_lexicon("Other", None, ["gender"])[0].mentions("A text of its own: she knows.") == {"female": 1}


@pytest.mark.parametrize(
    "audit",
    [Association(min_examples=5), LabelParity(min_examples=5), Proxy(min_examples=5), QualityParity(min_examples=5),
     Representation(), Stereotypes(min_examples=5), Toxicity(min_examples=5)],
    ids=lambda audit: type(audit).__name__,
)  # fmt: skip
def test_findings_are_those_of_the_patterns_alone(audit: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept, looked up by first words and shared changes nothing that an audit finds."""
    made = list(texts(200, seed=1))
    asked = [example.prompt[0].content for example in planted("proxy", 0.5, 150, seed=2)]
    examples = [
        Example((Message("user", asked[at] if at < 150 else made[at - 150]), Message("assistant", made[at])),
                id=str(at), label="xy"[at % 2], extras={"town": "ab"[at % 3 == 0]})
        for at in range(200)
    ]  # fmt: skip
    quick = [audit.examine(AuditSubject({"train": examples})) for _ in range(2)]

    def alone(self: Category, text: str) -> Mapping[str, int]:
        return {g: n for g, words in self.patterns.items() if (n := len(words.findall(text)))}

    def anew(self: Remembered[Any], text: str) -> Any:
        finder = getattr(self._function, "__self__", None)
        if not isinstance(finder, Finder):
            return self._function(text)
        return {key: n for key, words in finder._patterns.items() if (n := len(words.findall(text)))}

    monkeypatch.setattr(lexicon.Category, "mentions", alone)
    monkeypatch.setattr(lexicon.Category, "may_mention", lambda self, text: set(self.patterns))
    monkeypatch.setattr(Remembered, "__call__", anew)
    monkeypatch.setattr("tunesmith_plugins.audits.predication.Sayings.may_be_among", lambda self, words: True)
    plain = audit.examine(AuditSubject({"train": examples}))
    for found in quick:
        assert repr(found) == repr(plain)  # nan is not itself
    assert plain.tables
