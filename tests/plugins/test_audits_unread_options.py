"""Options of audits and mitigations that nothing would read are refused before anything runs."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tunesmith import Audit, Example, Message, RecipeError
from tunesmith.data.curate import apply_curator
from tunesmith_plugins.adapters.lora import LoRA
from tunesmith_plugins.audits.association import Association
from tunesmith_plugins.audits.label_parity import LabelParity
from tunesmith_plugins.audits.measure_parity import MeasureParity
from tunesmith_plugins.audits.quality_parity import QualityParity
from tunesmith_plugins.audits.refusal import Refusal
from tunesmith_plugins.audits.toxicity import Toxicity
from tunesmith_plugins.curators.balance import Balance
from tunesmith_plugins.curators.reweigh import Reweigh
from tunesmith_plugins.objectives.next_token import NextToken
from tunesmith_plugins.regularizers.adversarial_debiasing import AdversarialDebiasing

OWN = Path("own.json")


@pytest.mark.parametrize(
    ("audit", "options", "named"),
    [
        (LabelParity, {"group": "sex", "lexicon": OWN}, "LabelParity.lexicon is set"),
        (QualityParity, {"group": "sex", "lexicon": OWN}, "QualityParity.lexicon is set"),
        (QualityParity, {"group": "sex", "categories": ["age"]}, "QualityParity.categories is set"),
        (MeasureParity, {"group": "sex", "lexicon": OWN}, "MeasureParity.lexicon is set"),
        (Refusal, {"prompts": "rows", "group": "sex", "lexicon": OWN}, "Refusal.lexicon is set"),
        (Refusal, {"group": "sex"}, "Refusal.group is set, and nothing would read it, since prompts is templates"),
        (Refusal, {"lexicon": OWN}, "Refusal.lexicon is set"),
        (Toxicity, {"toxic": "toxic"}, "Toxicity.toxic is set, and nothing would read it, since no model judges"),
        (Toxicity, {"kinds": ["insult"], "model": Path("m")}, "Toxicity.kinds is set"),
        (Association, {"weat": ["career/family"]}, "Association.weat is set"),
    ],
)
def test_an_option_that_nothing_reads_is_refused(audit: type[Audit], options: dict[str, Any], named: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(named)):
        audit(**options).produces()


def test_a_lexicon_beside_a_column_is_refused_by_mitigations() -> None:
    with pytest.raises(RecipeError, match=r"Reweigh\.lexicon is set"):
        Reweigh("sex", lexicon=OWN).check()
    with pytest.raises(RecipeError, match=r"Balance\.lexicon is set, and nothing would read it, since by is sex"):
        Balance("sex", lexicon=OWN).check()
    with pytest.raises(RecipeError, match=r"AdversarialDebiasing\.lexicon is set"):
        AdversarialDebiasing(group="sex", groups=["f", "m"], lexicon=OWN).check(NextToken(), LoRA())


def test_balance_reads_a_lexicon_of_ones_own(tmp_path: Path) -> None:
    own = tmp_path / "own.json"
    own.write_text(json.dumps({"categories": {"shift": {"groups": {"day": ["early shift"], "night": ["late shift"]}}}}))
    texts = ["The early shift."] * 6 + ["The late shift."] * 2
    rows = [Example(messages=(Message("user", text),), id=str(at)) for at, text in enumerate(texts)]
    balance = Balance("lexicon:shift", ratio=1.0, lexicon=own)
    balance.check()
    kept = list(apply_curator("even", balance, rows, 1)[0])
    assert sum("early" in row.texts()[0] for row in kept) == sum("late" in row.texts()[0] for row in kept) == 2
