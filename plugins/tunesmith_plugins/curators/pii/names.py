"""Names of persons by what surrounds them and by lists of words: titles, labels, greetings, signatures, given names."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tunesmith_plugins.curators.pii.found import Found
from tunesmith_plugins.curators.pii.lexicon import AMBIGUOUS, UPPER, WORDS_TOO, common_words, given_names, sure_names
from tunesmith_plugins.curators.pii.name_words import (
    CUES,
    DOUBTFUL_TITLES,
    GREETINGS,
    LABELS,
    NOT_PERSONS,
    PARTICLES,
    RELATIONS,
    SUFFIXES,
    TITLES,
    VAGUE,
)
from tunesmith_plugins.curators.pii.word_list import words

_CAPITAL = re.compile(rf"[{UPPER}](?<![\w@/.].)[^\W\d_]*(?:['’-][^\W\d_]+)*(?![\d_@])")
_GIVEN_AND_MORE = rf"[{UPPER}][^\W\d_]*(?:[ .'’-]{{1,2}}[{UPPER}][^\W\d_]*){{0,3}}"
_CLOSE = re.compile(
    r"\b(?i:regards|sincerely|truly|faithfully|thanks|thank you|cheers|best|love|warmly|cordially|respectfully|wishes|"
    rf"grüße|grüßen|yours)[,.!]?[ \t]*\n\s*(?:[-–—] ?)?(?P<name>{_GIVEN_AND_MORE})"
)
_CLOSES = ("regards", "sincerely", "truly", "faithfully", "thank", "cheers", "best", "love", "warmly", "cordially",
           "respectfully", "wishes", "grüß", "yours")  # fmt: skip
_DASHED = re.compile(rf"(?:^|\n|\s{{2}})[-–—~] ?(?P<name>[{UPPER}][^\W\d_]+(?: [{UPPER}][^\W\d_]+)?)[ \t]*(?=\n|$)")
_SAYS = ("name", "i am", "i'm", "i’m", "im ", "this is", "it's", "hi ", "hi,", "hello", "hey", "dear", "thanks")
_LOWER = re.compile(
    r"\b(?P<cue>my (?:full |first |last )?name is|name['’]?s|name is|i am|i['’]?m|this is|it['’]?s|hi|hello|hey|dear|"
    r"thanks)[ ,]+"
    r"(?=(?P<name>[^\W\d_]+(?:['’-][^\W\d_]+)*(?: [^\W\d_]+(?:['’-][^\W\d_]+)*)?))"
)
_BACK, _MOST, _SHORT = 40, 5, 3
_LABEL, _CUE, _VAGUE, _NONE = 3, 2, 1, 0
_CUES = {**dict.fromkeys(CUES, _CUE), **dict.fromkeys(TITLES - DOUBTFUL_TITLES, _CUE)}
_CUES |= {**dict.fromkeys(RELATIONS | GREETINGS, _CUE), **dict.fromkeys(VAGUE, _VAGUE), **dict.fromkeys(LABELS, _LABEL)}
# Labels of one word name somebody only before a colon: "name: Weber" and not "the name Weber".
_BY_THEMSELVES = frozenset(("name's", "c/o", "/s/", "attn", "attn."))
_LEADS = TITLES | DOUBTFUL_TITLES | RELATIONS | GREETINGS


# What dialogues are full of, and lists of words are not.
_EXCLAIMED = frozenset(
    words(
        "oh ah hm hmm hmmm mm mmm um uh uhm aw ow nah nope yep yup yeah huh wow ouch oops gosh gee lets lemme gimme "
        "gonna wanna gotta alright ok okay congratulations goodbye bye hurray aha mhm ugh eh er erm well"
    )
)
_SHORTENED = frozenset(words("m ve ll d re s t"))
_COLONS = frozenset((": ", ":\t", "= ", "| ", ">:"))


class Word(NamedTuple):
    """A capitalised word: where it stands, and itself in lower case."""

    start: int
    end: int
    low: str
    capitals: bool


def names(text: str, low: str) -> Iterator[Found]:
    """Names without titles; labels and greetings before them make sure of them."""
    common = common_words()
    for run in _runs(text):
        if len(run) > 1 or run[0].low not in common or text[run[0].start - 2 : run[0].start] in _COLONS:
            yield from _in_run(text, low, run)
    if "\n" in text and any(word in low for word in _CLOSES):
        yield from (Found(*m.span("name"), "NAME") for m in _CLOSE.finditer(text) if _is_signature(text, m))
    if "-" in text or "–" in text or "~" in text:
        yield from (Found(*m.span("name"), "NAME") for m in _DASHED.finditer(text) if _is_signature(text, m))
    if any(word in low for word in _SAYS):
        yield from _in_lower_case(text, low)


def _runs(text: str) -> Iterator[list[Word]]:
    """Capitalised words that stand beside each other, with particles, initials and the dots of titles between them.

    A common word by itself, as sentences begin with, is left out where no label stands before it.
    """
    common = common_words()
    run: list[Word] = []
    for match in _CAPITAL.finditer(text):
        start, end = match.span()
        word = match[0]
        if word.endswith(("'s", "’s", "'S", "’S")):
            end, word = end - 2, word[:-2]
        low = word.lower()
        if run and not _joined(text[run[-1].end : start], run[-1]):
            yield run
            run = []
        if not run and low in common and _alone(text, start, end):
            continue
        run.append(Word(start, end, low, len(word) > 1 and word.isupper()))
    if run:
        yield run


def _alone(text: str, start: int, end: int) -> bool:
    """Whether nothing stands beside a word that could make a name of it."""
    after = text[end : end + 2]
    beside = (after[:1] == " " and not after[1:].islower()) or after[:1] in (".", "\u00a0", ",")
    return not beside and text[start - 2 : start] not in _COLONS


def _joined(gap: str, before: Word) -> bool:
    if gap in (" ", "\u00a0", "  "):
        return True
    if gap in (". ", ".", ".\u00a0"):
        return (
            before.end - before.start == 1
            or before.low in TITLES
            or before.low in DOUBTFUL_TITLES
            or before.low in ("med", "st")
        )
    return gap[:1] == " " and gap[-1:] == " " and len(gap) < 12 and all(part in PARTICLES for part in gap.split())


def _in_run(text: str, low: str, run: Sequence[Word]) -> Iterator[Found]:
    cue = _cue(low, run[0].start)
    at = 0
    while at < len(run):
        word = run[at].low
        if at + 1 < len(run) and word in _LEADS:
            cue, at = max(cue, _LABEL if word in TITLES and word not in DOUBTFUL_TITLES else _CUE), at + 1
            continue
        length = _length(text, run[at:], cue)
        if length:
            words = run[at : at + length]
            yield Found(words[0].start, words[-1].end, "NAME")
            yield from _after_comma(text, words, cue)
        at, cue = at + max(1, length), _NONE


def _length(text: str, words: Sequence[Word], cue: int) -> int:
    """How many of the words are a name; 0 where the first begins none."""
    size = 0
    for word in words[:_MOST]:
        if word.low in SUFFIXES and size:
            break
        leads = size == 0 and (cue == _LABEL or _before_given(text, word.end))
        if _is_common(word) and not leads and not _is_surname(text, words, size, cue):
            break
        size += 1
    while size and words[size - 1].low in TITLES | DOUBTFUL_TITLES:
        size -= 1
    if not size:
        return 0
    name = words[:size]
    following = words[size].low if size < len(words) else _next(text, name[-1].end)
    if name[-1].low in NOT_PERSONS or (following in NOT_PERSONS and cue < _LABEL):
        return 0
    return size if _is_name(text, name, cue) else 0


def _is_name(text: str, name: Sequence[Word], cue: int) -> bool:
    if cue == _LABEL:
        return not (len(name) == 1 and name[0].low in common_words() and _ends_label(text, name[0].end))
    lone = len(name) == 1
    if lone and _before_given(text, name[0].end):
        return True
    if cue == _CUE:
        return len(name[0].low) > 1 and (not name[0].capitals or not lone or name[0].low in given_names())
    sure = any(word.low.partition("-")[0] in sure_names() and len(word.low) > 2 for word in name)
    if sure:
        return not (lone and name[0].capitals and len(name[0].low) <= _SHORT)
    if lone and name[0].low in WORDS_TOO and not name[0].capitals and _is_within(text, name[0].start):
        return True
    if lone:
        return (
            cue == _VAGUE and name[0].low in given_names() and name[0].low not in AMBIGUOUS and not _is_common(name[0])
        )
    known = any(word.low in given_names() for word in name)
    plain = [word for word in name if not word.capitals and len(word.low) >= _SHORT]
    return (len(plain) >= 2 and not _german(text)) or (known and len(plain) >= 1 and len(name) > 1)


def _german(text: str) -> bool:
    """Whether all nouns are capitalised, so that two capitals say nothing."""
    return any(word in text for word in (" und ", " der ", " ist ", " zum ", " für "))


def _is_within(text: str, at: int) -> bool:
    """Whether a sentence has begun in lower case before a place, so that a capital there is a name's."""
    before = text[max(0, at - _BACK) : at]
    return before[-1:] == " " and before[-2:-1].islower()


def _is_surname(text: str, words: Sequence[Word], size: int, cue: int) -> bool:
    """Whether a common word stands where a surname does: after a given name, and before no colon ("Anna Young")."""
    if not size or size + 1 != len(words):
        return False
    before = words[size - 1].low
    given = before in sure_names() or (cue >= _VAGUE and before in given_names()) or _is_initial(words, size - 1)
    word = words[size]
    given = given or cue == _LABEL or (cue == _CUE and text[word.end : word.end + 1] in (",", "\n"))
    return given and not _ends_label(text, word.end) and word.low not in NOT_PERSONS | TITLES


def _is_initial(words: Sequence[Word], at: int) -> bool:
    return at > 0 and len(words[at].low) == 1 and words[at - 1].low in sure_names()


def _is_common(word: Word) -> bool:
    """Whether a word is one of the language, a contraction of one ("I'm", "Don't") included."""
    low = word.low
    if low in common_words() or low in _EXCLAIMED:
        return True
    first, quote, rest = low.replace("’", "'").partition("'")
    return bool(quote) and (rest in _SHORTENED and (first == "i" or first in common_words()))


def _cue(low: str, at: int) -> int:
    """What stands before: a label of names, a word that names follow, one that anything follows, or none."""
    before = low[max(0, at - _BACK) : at]
    stripped = before.rstrip(" \t*\"'`(:=-|_")
    gap = before[len(stripped) :]
    if "\n" in gap or stripped.endswith("\n"):
        return _NONE
    colon = ":" in gap or "=" in gap or "|" in gap
    words = stripped[stripped.rfind("\n") + 1 :].replace("_", " ").rsplit(" ", 3)[-3:]
    for first in range(len(words)):
        said = " ".join(words[first:]).strip("(.,>|*")
        rank = _CUES.get(said, _NONE)
        if rank == _LABEL and not (colon or " " in said or said in _BY_THEMSELVES):
            rank = _CUE if said in CUES or said in RELATIONS else _NONE
        if rank:
            return _CUE if rank == _VAGUE and colon else rank
    return _NONE


def _after_comma(text: str, name: Sequence[Word], cue: int) -> Iterator[Found]:
    """The given name of "Weber, Anna" and the initials behind it."""
    if text[name[-1].end : name[-1].end + 2] != ", ":
        return
    match = _CAPITAL.match(text, name[-1].end + 2)
    if match is None:
        return
    low = match[0].lower()
    if low in sure_names() or (cue >= _CUE and low not in common_words() and low not in SUFFIXES):
        yield Found(name[0].start, match.end(), "NAME")


def _before_given(text: str, at: int) -> bool:
    """Whether a comma and a given name follow: "Young, Robert"."""
    match = _CAPITAL.match(text, at + 2) if text[at : at + 2] == ", " else None
    return match is not None and match[0].lower() in sure_names()


def _ends_label(text: str, at: int) -> bool:
    return text[at : at + 3].lstrip(" *").startswith((":", "="))


def _next(text: str, at: int) -> str:
    """The word behind, in lower case."""
    rest = text[at : at + 20]
    return rest[1:].split(" ", 1)[0].rstrip(".,;:)\n").lower() if rest[:1] in (" ", "-") else ""


def _is_signature(text: str, match: "re.Match[str]") -> bool:
    """Whether the words below a farewell are a name, and not who speaks next ("Doctor: ...")."""
    said = match["name"].replace(".", " ").split()
    plain = [word for word in said if word.lower() not in common_words() and word.lower() not in _LEADS | _EXCLAIMED]
    return bool(plain) and said[0][0].isupper() and not _ends_label(text, match.end("name"))


def _in_lower_case(text: str, low: str) -> Iterator[Found]:
    """Names of chats: "hi i'm anna weber"."""
    common, sure = common_words(), sure_names()
    for match in _LOWER.finditer(low):
        first, _, second = match["name"].partition(" ")
        told = "name" in match["cue"]
        if first in sure or (told and len(first) > 1 and first not in common):
            both = len(second) > 1 and (second not in common or (told and first in sure)) and second not in PARTICLES
            yield Found(match.start("name"), match.end("name") if both else match.start("name") + len(first), "NAME")
