"""Drugs, by the stems of their international names and by lists."""

import re
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

from tunesmith_plugins.evaluators.facts.fact import Fact, Taken

_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
# Of "The use of stems in the selection of International Nonproprietary Names" (WHO, 2018).
_STEMS = re.compile(
    r"[a-z-]{2,}(?:[aei]pril|prilat|sartan|olol|statin|pril|azole|conazole|cillin|mycin|floxacin|tidine|prazole|[lmx]imab|"
    r"[uz]umab|tamab|tinib|ciclib|rafenib|metinib|zomib|parib|gliptin|gliflozin|glutide|glitazone|xaban|gatran|parin|"
    r"azepam|azolam|oxetine|traline|opram|triptan|dipine|semide|thiazide|cycline|[ao]ciclovir|cyclovir|navir|buvir|asvir|"
    r"amivir|tegravir|citabine|platin|taxel|rubicin|profen|coxib|setron|lukast|dronate|dronic|barbital|caine|terol|"
    r"tropium|onide|asone|olone|fibrate|oxacin|penem|zolid|vaptan|curonium|perazine|triptyline|ipramine|ergoline)"
)
_NO_DRUGS = frozenset(["cholesterol", "ergosterol", "stigmasterol", "lanosterol", "hassle", "cocaine", "methadone"])


def drugs(text: str, taken: Taken, further: Collection[str] = ()) -> Iterator[Fact]:
    """Words that are drugs.

    Args:
        text: The text.
        taken: What other facts have taken of it.
        further: More names, in lower case.
    """
    for match in _WORD.finditer(text):
        low = match[0].lower()
        if taken.free(*match.span()) and (low in further or is_drug(low)):
            taken.take(*match.span())
            yield Fact(*match.span(), "drugs", low)


def is_drug(low: str) -> bool:
    """Whether a word, in lower case, is a drug's name, as far as stems and the list tell."""
    return low in _listed() or (low not in _NO_DRUGS and _STEMS.fullmatch(low) is not None)


@cache
def _listed() -> frozenset[str]:
    lines = Path(__file__).with_name("drugs.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())
