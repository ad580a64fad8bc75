"""Toxicity: rates by hand, tests by scipy, and a classifier by transformers itself."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from tunesmith import DataError, Example, Findings, Message, RecipeError, Segment
from tunesmith.evaluation.subject import AuditSubject
from tunesmith_plugins.audits.lexicon import read_part
from tunesmith_plugins.audits.toxicity import _TRIAL, Toxicity
from tunesmith_plugins.audits.word_forms import forms, pattern


def rows(counts: dict[str, int], **extras: Any) -> list[Example]:
    return [
        Example(messages=(Message("user", text),), id=f"{text}-{at}", extras=extras)
        for text, number in counts.items()
        for at in range(number)
    ]


def examine(examples: list[Example], **options: Any) -> Findings:
    return Toxicity(**{"categories": ["gender"], **options}).examine(AuditSubject({"train": examples}))


COUNTS = {"She is an idiot.": 20, "She sings.": 60, "He is a moron.": 5, "He sings.": 75, "What idiots they are.": 2}


def test_rates_and_p_are_those_of_hand_and_scipy() -> None:
    found = examine(rows(COUNTS))
    shown = {row[0]: row[1:] for row in found.tables[1].rows}
    assert shown["female"][:3] == (80, 20, 0.25)
    assert shown["female"][3:] == pytest.approx(proportion_confint(20, 80, method="wilson"))
    assert shown["male"][:3] == (80, 5, 5 / 80)
    assert found.metrics["rate"] == 27 / 162
    assert found.metrics["difference"] == found.metrics["gender_difference"] == pytest.approx(0.25 - 5 / 80)
    assert found.metrics["p"] == pytest.approx(stats.fisher_exact([[20, 60], [5, 75]]).pvalue)
    assert found.severity == "high"
    assert found.evidence[0].startswith("She is an idiot")
    assert "of those that name female 20 of 80, of those that name male 5 of 80, 0.19 more" in found.summary
    assert found.tables[0].rows[0][:3] == ("insult", 27, 27 / 162)


def test_p_is_corrected_for_the_categories() -> None:
    both = {text.replace("She", "The Muslim woman").replace("He", "The Jewish man"): n for text, n in COUNTS.items()}
    found = examine(rows(both), categories=["gender", "religion"])
    assert found.metrics["p"] == pytest.approx(2 * stats.fisher_exact([[20, 60], [5, 75]]).pvalue)


def test_of_many_groups_chi_square_is_asked() -> None:
    counts = {
        "A Jew, a moron": 20,
        "A Jew": 20,
        "A Sikh, a moron": 10,
        "A Sikh": 30,
        "A Hindu, a moron": 5,
        "A Hindu": 25,
    }
    found = examine(rows(counts), categories=["religion"])
    expected = stats.chi2_contingency([[20, 20], [10, 30], [5, 25]], correction=False).pvalue
    assert found.metrics["p"] == pytest.approx(expected)


@pytest.mark.parametrize(("number", "severity"), [(0, "none"), (9, "none"), (10, "low"), (50, "medium"), (200, "high")])
def test_much_toxicity_is_a_finding_whoever_is_named(number: int, severity: str) -> None:
    found = examine(rows({"What a moron.": number, "It rains.": 1000 - number}))
    assert found.severity == severity
    assert math.isnan(found.metrics["difference"])


def test_a_difference_by_chance_is_none() -> None:
    found = examine(rows({"She is a jerk.": 1, "She sings.": 199, "He sings.": 200}))
    assert found.metrics["difference"] == pytest.approx(0.005)
    assert (found.severity, found.evidence) == ("none", ())


def test_answers_alone_are_read_if_asked_and_a_column_tells_the_group() -> None:
    asked = [
        Example(messages=(Message("user", "You moron."), Message("assistant", "No." if at % 2 else "Shut up.")),
                id=str(at), extras={"site": "ab"[at % 2]})
        for at in range(60)
    ]  # fmt: skip
    assert examine(asked).metrics["rate"] == 1
    found = examine(asked, of="answers", categories=None, group="site")
    assert (found.metrics["rate"], found.metrics["site_difference"]) == (0.5, 1)
    assert set(found.evidence) <= {e.id for e in asked[::2]}
    assert examine([Example(segments=(Segment("You moron."),), id="s")], of="answers").metrics["rate"] == 1


def test_every_word_of_the_lexicon_is_found_and_harmless_words_are_not() -> None:
    lexicon = read_part("Test", None, "toxicity")
    assert set(lexicon) == {"insult", "profanity", "threat", "dehumanising", "slur"}
    for words in lexicon.values():
        assert len(words) == len(set(words))
        assert all(pattern(words).search(f"So: {form.upper()}!") for entry in words for form in forms(entry))
    harmless = "Scunthorpe, classic, a chink in the armour, the snipers, retardation of growth, shiitake, cockpit, Dick"
    assert not any(pattern(words).search(harmless) for words in lexicon.values())


def test_kinds_and_words_of_ones_own(tmp_path: Path) -> None:
    examples = rows({"What a moron.": 1, "What shit.": 1, "A blockhead.": 1})
    assert examine(examples, kinds=["insult"]).metrics["rate"] == pytest.approx(1 / 3)
    own = tmp_path / "own.json"
    own.write_text(json.dumps({"toxicity": {"mild": ["blockhead(s)"]}}))
    assert examine(examples, lexicon=own).metrics["rate"] == 1
    assert examine(examples, lexicon=own, kinds=["mild"]).evidence == ("A blockhead.-0",)


def test_a_classifier_judges_as_transformers_does(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = tmp_path / "model"
    shutil.copytree(_TRIAL, folder)
    texts = [f"she {'a' * (at % 7)} {'xyz ' * (at % 5)}" for at in range(40)]
    examples = [Example(messages=(Message("user", text),), id=str(at)) for at, text in enumerate(texts)]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for kind, of in [("single_label_classification", "softmax"), ("multi_label_classification", "sigmoid")]:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"problem_type": kind}))
        model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
        with torch.inference_mode():
            logits = torch.cat([model(**tokenizer(text, return_tensors="pt")).logits for text in texts]).double()
        shares = (logits.softmax(-1) if of == "softmax" else logits.sigmoid())[:, 0]
        middle = float(shares.sort().values[19:21].mean())
        found = examine(examples, model=folder, toxic="Contradiction", threshold=middle, min_examples=1)
        assert found.metrics["rate"] == pytest.approx(float((shares >= middle).double().mean()))
        assert set(found.evidence) == {str(at) for at in range(40) if shares[at] >= middle}


def test_a_long_text_is_read_to_its_end() -> None:
    from tunesmith_plugins.evaluators.classifier import Classifier

    model = Classifier(_TRIAL)
    assert len(model.of_text("ab " * 10)) == 1
    assert len(model.of_text("ab " * 3000)) > 1


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"kinds": ["insults"]}, RecipeError, r"Toxicity\.kinds: 'insults' is not in the lexicon; did you mean insult"),
        ({"model": _TRIAL}, RecipeError, r"Toxicity\.model has no class that is called toxic.*classes: contradiction"),
        ({"model": _TRIAL, "toxic": "contra"}, RecipeError, "toxic is contra, which is no class of the model"),
        ({"model": Path("gone")}, RecipeError, r"Toxicity\.model is gone, which has no config.json"),
        ({"group": "sit"}, RecipeError, "group and categories are both given"),
        ({"group": "sit", "categories": None}, DataError, "group is 'sit', no column; did you mean site"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        examine(rows({"She": 1}, site="a"), **options)
