"""What stands on both sides of a capitalised word that is in no list, and together says that it names somebody."""

import re

# What persons do, after "could", "let", "was" and the word itself.
_DO = (
    "know|sign|call|speak|talk|phone|ring|come|visit|attend|walk|sleep|sit|stand|drive|bring|pay|send|write|ask|say|"
    "tell|agree|remember|understand|decide|look|see|have a look|review|check|join|reply|email|text|confirm|approve|"
    "step in|cover|wait|stay|go home|get back|be told|be asked|leave|move"
)
_WAS = (
    "hurt|injured|there|at home|with (?:you|her|him|them)|driving|told|asked|seen|absent|late|present|aware|upset|"
    "awake|asleep|alone|discharged|admitted|informed|married|born|working today|in today|around|available|"
    "ok|okay|alright"
)
_OBJECT_OF = frozenset(
    ("let", "had", "have", "get", "got", "make", "made", "could", "would", "should", "can", "will", "did", "does", "do")
)
_ASKED = frozenset(("is", "was", "were", "isn't", "wasn't"))
_SEEN = frozenset(("saw", "see", "seen", "reviewed", "review", "visited", "met", "assessed", "examined", "admitted",
                   "discharged", "saw"))  # fmt: skip
_MYSELF = ("i am", "i'm", "i’m", "this is", "it's", "it’s")
_DOES_IT = re.compile(rf" (?:not )?(?:please )?(?:to )?(?:{_DO})\b")
_IS_IT = re.compile(rf" (?:{_WAS})\b")
_WHEN = re.compile(
    r" (?:today|yesterday|tonight|again|(?:this|last) (?:morning|afternoon|evening|week|month)|in (?:the )?(?:clinic|"
    r"office)|on the (?:ward|phone)|at (?:home|work|school|clinic)|with (?:her|his|their) (?:mother|father|parents?|"
    r"wife|husband|partner|son|daughter|sister|brother|carer|family))\b"
)
_ONE_SELF = re.compile(
    r",? (?:here\b|again\b|speaking\b|calling\b|from\b|with the\b|how\b|your\b|and I\b|I\b)|, (?:the|an?)\b"
)
_AGED_BEFORE = re.compile(r"\b\d{1,3} ?(?:[MF]|yo|y/o|yr|yrs)[,]? (?:called |named )?$")
_AGED_BEHIND = re.compile(r",? (?:with|who|presents?|presented|admitted|seen|came|comes|under|on)\b")
_PRONOUNS = re.compile(r" [\[(](?:he|she|they|ze)/(?:him|her|them|hir|they)")
_BESIDE = re.compile(r" and I\b|(?: [-–—]|:) (?:please|can you|could you|would you|will you|thanks|thank you)\b")
_HOUSE = re.compile(r" (?:household|siblings|twins|couple|residence|estate)\b")
_BACK = 24


def is_told_around(text: str, start: int, end: int) -> bool:
    """Whether both sides of a word say that it names a person: "let Xolani know", "45M Dube with"."""
    if _PRONOUNS.match(text, end) or _BESIDE.match(text, end):
        return True
    before = text[max(0, start - _BACK) : start]
    low = before.lower().rstrip()
    if low.endswith(_MYSELF):
        return _ONE_SELF.match(text, end) is not None
    last = low.rpartition(" ")[2].rpartition("\n")[2]
    if last in _OBJECT_OF:
        return _DOES_IT.match(text, end) is not None
    if last in _ASKED:
        return _IS_IT.match(text, end) is not None
    if last in _SEEN:
        return _WHEN.match(text, end) is not None
    if last == "the":
        return _HOUSE.match(text, end) is not None
    return _AGED_BEFORE.search(before) is not None and _AGED_BEHIND.match(text, end) is not None
