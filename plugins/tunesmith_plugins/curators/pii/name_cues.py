"""What stands around a capitalised word and says that it names somebody: a title, a label, a verb, an age, a degree."""

import re

from tunesmith_plugins.curators.pii.lexicon import UPPER, is_word, sure_names
from tunesmith_plugins.curators.pii.name_words import (
    CUES,
    DOUBTFUL_TITLES,
    GREETINGS,
    LABELS,
    NOT_PERSONS,
    RELATIONS,
    TITLES,
    VAGUE_CUES,
)
from tunesmith_plugins.curators.pii.word_list import words

# A label of names; a word that names follow; one that anything follows; nothing.
LABEL, CUE, VAGUE, NONE = 3, 2, 1, 0
_CUES = {**dict.fromkeys(CUES, CUE), **dict.fromkeys(TITLES - DOUBTFUL_TITLES, CUE)}
_CUES |= {**dict.fromkeys(RELATIONS | GREETINGS, CUE), **dict.fromkeys(VAGUE_CUES, VAGUE)}
_UNMARKED = dict(_CUES)
_CUES |= dict.fromkeys(LABELS, LABEL)
# Labels of one word name somebody only before a colon: "name: Weber" and not "the name Weber".
_BY_THEMSELVES = frozenset(("name's", "/s/", "attn", "attn."))
# A cheap look: most of what stands before a capital ends no cue.
_LAST = frozenset(cue.rsplit(" ", 1)[-1] for cue in _CUES)
_LAST_OF_LABELS = frozenset(label.rsplit(" ", 1)[-1] for label in LABELS)
_AROUND = "(.,>|*"
_BACK, _SHORT = 40, 2

_CAPITALS = rf"[{UPPER}][^\W\d_]+(?:['’-][^\W\d_]+)*"
_KIN = "|".join(sorted(RELATIONS))
_AGED = r"\d{1,3}(?:[ -]?(?:y\b|yo\b|y/o|yrs?\b|years?\b|[MF]\b))"
_DOES = (
    "told|asked|advised|seen|discharged|admitted|informed|hurt|injured|absent|late|hired|promoted|arrested|driving|vomiting|coughing|counsell?ed|reassured|diagnosed|referred|b"
    r"rought|accompanied|born|"
    "married|transferred|examined|interviewed|return|call|come|drive|bring|phone|help|attend|visit|meet|live|sleep|eat|walk|"
    "pay|sign|send|ask|stay|join|speak|write|decide|try|worried|anxious|tearful|alert|oriented|pregnant|retired|divorced|"
    "unable|keen|aware|allergic|happy|unhappy|upset|angry|concerned|ambulating|eating|sleeping|coping|living|working|known|"
    "feeling|asking|complaining|visiting|waiting|calling|travelling|moving|years? old|sitting|resting|crying|smoking"
)
_IS_PERSON = re.compile(
    rf"['’]s (?!(?:[\w-]+ )?(?:{'|'.join(sorted(NOT_PERSONS))}))[a-z]"
    rf"| (?:will|would|can|could|should|must|may|might|did|does|has|had|is|was|gets|got)(?: not|n['’]t)?"
    rf"(?: (?:also|now|still|already|been|being|be|always|never|very|quite|not))* (?:{_DOES})\b"
    r"|, (?:please|you|your|we|can you|could you|thank|thanks)\b"
    rf"|(?:,| \(| [-–]) ?(?:(?:her|his|my|our|the|their|an?|your|pt['’]?s|patient['’]?s) )?(?:[a-z-]+ )?(?:{_KIN})\b"
    r"|,? (?:who|whom|whose)\b"
    rf"|,? \(?(?:aged? )?{_AGED}|(?:, | \()\d{{1,3}}(?=[,)])"
    rf"| (?:is|was|turned|turns) (?:now )?{_AGED}"
    rf"| is an? (?:{_AGED}|(?:[a-z-]+ ){{0,2}}(?:man|woman|gentleman|lady|boy|girl|patient|male|female|{_KIN})\b)"
    rf"| (?:and|&) (?:her|his|their) (?:{_KIN})\b"
    r"| (?:here(?=[.,!\n])|speaking\b)"
    r"| from (?:the )?[A-Z]\w+ (?:called|rang|phoned|wrote|here|department|team)\b"
    r"| at the (?:desk|front desk|ward|counter)\b"
    r"| is (?:still |now |very |quite )?(?:comfortable|asleep|awake|drowsy|afebrile|confused|agitated|unwell|sick|ill|"
    r"tired|hungry|sorry|mobilising|doing well)\b"
    r"| (?:has|had) (?:(?:had|an?|no|two|three|some|severe|chronic|mild) )*(?:history|pain|fever|cough|headaches?|"
    r"migraines?|diabetes|asthma|children|kids|questions?|concerns?)\b"
)
_BEFORE_ADDRESS = frozenset(
    words(
        """
        yes no ok okay right sure sorry well please alright so you worries problem course great perfect thanks cheers
        thx understood absolutely certainly lovely exactly bye goodbye welcome pleasure
        """
    )
)
_AND = re.compile(rf" (?:and|&) ({_CAPITALS})")
_REVERSED = re.compile(rf", ({_CAPITALS})(?!\w)")
_OF_RECORD = re.compile(
    r"(?: [A-Z]\.?)?[ \t]*(?:[-–(|,][ \t]*)?(?:\d{1,3} ?(?:y|yo|yrs?|years?|[MF])\b|[MF]\b|DOB|D\.O\.B|MRN|NHS|born|"
    r"male\b|female\b|aged?\b)"
)
_DEGREE = re.compile(
    r",? (?:M\.?D\.?|R\.?N\.?|D\.O\.|NP|FNP|APRN|CRNA|PA-C|Pharm\.?D\.?|Ph\.?D\.?|DDS|DMD|LPN|LCSW|MSW|CNM|RPh|DPT|"
    r"MBBS|FRCS|FRCP|FACS|FACP|Esq|CPA|CFA|JD|BSN|MPH|DNP|LMFT|CCRN)(?!\w)|, (?:DO|PT|OT|RD)(?!\w)"
)


def cue_before(low: str, at: int, least: int = VAGUE) -> int:
    """What stands before a place of a text in lower case; nothing where it is less than `least`."""
    before = low[max(0, at - _BACK) : at]
    stripped = before.rstrip(" \t*\"'`(:=-|_")
    last = stripped[stripped.rfind(" ") + 1 :]
    last_of_cues = _LAST if least < LABEL else _LAST_OF_LABELS
    if last.strip(_AROUND) not in last_of_cues and "\n" not in last and "_" not in last:
        return NONE
    words = stripped[stripped.rfind("\n") + 1 :].replace("_", " ").rsplit(" ", 3)[-3:]
    if words[-1].strip(_AROUND) not in last_of_cues:
        return NONE
    gap = before[len(stripped) :]
    if "\n" in gap or stripped.endswith("\n"):
        return NONE
    # Columns of a form stand apart as if a colon were between them.
    marked = ":" in gap or "=" in gap or "|" in gap or "  " in gap or "\t" in gap
    for first in range(len(words)):
        said = " ".join(words[first:]).strip(_AROUND)
        rank = _CUES.get(said, NONE)
        if rank == LABEL and not (marked or " " in said or said in _BY_THEMSELVES):
            rank = _UNMARKED.get(said, NONE)
        if rank:
            return CUE if rank == VAGUE and marked else rank
    return NONE


def is_addressed(text: str, start: int, end: int) -> bool:
    """Whether somebody is called by what stands there, as in "Okay, Xolani, we will"."""
    if text[start - 2 : start] != ", " or text[end : end + 1] not in (".", "!", "?", ",", "", "\n"):
        return False
    return text[max(0, start - 12) : start - 2].lower().rpartition(" ")[2].lstrip("\n\"'") in _BEFORE_ADDRESS


def stands_in_record(text: str, end: int) -> bool:
    """Whether an age, a sex or a day of birth follows, as in the heads of records."""
    return _OF_RECORD.match(text, end) is not None


def tells_a_person(text: str, start: int, end: int) -> bool:
    """Whether what follows a capitalised word shows that it names a person; it is no word of the language."""
    if _IS_PERSON.match(text, end):
        return True
    other = _AND.match(text, end)
    if other is not None and other[1].lower() in sure_names():
        return True
    given = _REVERSED.match(text, end)
    if given is None or is_word(given[1].lower()):
        return False
    if _OF_RECORD.match(text, given.end()):
        return end - start > _SHORT or not text[start:end].isupper()
    return text[start:end].isupper() and not given[1].isupper() and end - start > _SHORT


def has_degree(text: str, end: int) -> bool:
    """Whether a degree or a profession's letters follow: "Weber, MD"."""
    return _DEGREE.match(text, end) is not None
