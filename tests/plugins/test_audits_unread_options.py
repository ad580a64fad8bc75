"""Options of audits and mitigations that nothing would read are refused before anything runs."""

import re
from pathlib import Path
from typing import Any

import pytest

from tunesmith import Audit, RecipeError
from tunesmith_plugins.audits.association import Association
from tunesmith_plugins.audits.label_parity import LabelParity
from tunesmith_plugins.audits.measure_parity import MeasureParity
from tunesmith_plugins.audits.quality_parity import QualityParity
from tunesmith_plugins.audits.refusal import Refusal
from tunesmith_plugins.audits.toxicity import Toxicity
from tunesmith_plugins.curators.reweigh import Reweigh

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


def test_a_lexicon_beside_a_column_is_refused_by_reweigh() -> None:
    with pytest.raises(RecipeError, match=r"Reweigh\.lexicon is set"):
        Reweigh("sex", lexicon=OWN).check()
