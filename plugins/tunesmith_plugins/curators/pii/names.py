"""Names of persons by what surrounds them and by lists of words: titles, labels, greetings, signatures, given names."""

from collections.abc import Iterator, Sequence

from tunesmith_plugins.curators.pii.found import Found
from tunesmith_plugins.curators.pii.lexicon import (
    AMBIGUOUS,
    SURNAMES_TOO,
    WORDS_TOO,
    given_names,
    sure_names,
)
from tunesmith_plugins.curators.pii.name_around import is_told_around
from tunesmith_plugins.curators.pii.name_cues import (
    CUE,
    LABEL,
    NONE,
    VAGUE,
    cue_before,
    has_degree,
    is_addressed,
    stands_in_record,
    tells_a_person,
)
from tunesmith_plugins.curators.pii.name_initials import has_initial, is_initial
from tunesmith_plugins.curators.pii.name_lines import begins_list, ends_label, reversed_names, signed, speakers
from tunesmith_plugins.curators.pii.name_lower import lower_names
from tunesmith_plugins.curators.pii.name_mails import of_mails
from tunesmith_plugins.curators.pii.name_runs import (
    CAPITAL,
    COLONS,
    LEADS,
    TITLED,
    Word,
    is_common,
    runs,
    with_particles,
)
from tunesmith_plugins.curators.pii.name_tables import in_columns
from tunesmith_plugins.curators.pii.name_words import (
    DOUBTFUL_TITLES,
    NOT_PERSONS,
    PERSON_VERBS,
    ROLES,
    SUFFIXES,
    TITLES,
)

_BACK, _AROUND, _MOST, _SHORT = 40, 20, 5, 3
_NEXT = frozenset((", ", "; ", "/", " / "))
_ANDS = frozenset((" and ", " & ", " und ", "/", " and/or "))
_ARTICLES = frozenset(("der", "die", "dem", "den", "des", "the"))
_GERMAN = (" und ", " der ", " ist ", " zum ", " für ", " die ", " mit ", " Sie ", " geehrte", " Ihre ")
_MAYBE_NAMES = LEADS | SURNAMES_TOO


def names(text: str, low: str) -> Iterator[Found]:
    """Names without titles; labels and greetings before them make sure of them."""
    last, listing = -1, False
    for run in runs(text):
        first = run[0]
        lone_word = len(run) == 1 and first.common and first.low not in _MAYBE_NAMES
        # What most runs are: a word of the language, which only a label makes a name of.
        if lone_word and cue_before(low, with_particles(text, low, first.start), LABEL) < LABEL:
            continue
        listing = listing and "\n" not in text[last : first.start]
        after = last >= 0 and (_is_with(text, last, run) or (listing and text[last : first.start] in _NEXT))
        for found in _in_run(text, low, run, after):
            yield found
            last, listing = found.end, listing or begins_list(low, found.start)
    if "\n" in text:
        yield from signed(text, low)
        yield from in_columns(text)
    yield from reversed_names(text)
    yield from speakers(text)
    yield from lower_names(text, low)
    yield from of_mails(text)


def _is_with(text: str, last: int, run: Sequence[Word]) -> bool:
    """Whether words stand beside a name that was found: "Anna and Xolani", "Anna, Xolani and Peter"."""
    gap = text[last : run[0].start]
    return gap in _ANDS or (gap == ", " and text[run[-1].end : run[-1].end + 5] == " and ")


def _in_run(text: str, low: str, run: Sequence[Word], after_name: bool) -> Iterator[Found]:
    start = with_particles(text, low, run[0].start)
    words = all(word.common for word in run)
    # Words of the language are a name behind a label, and else only where one of them looks like a part of one.
    least = LABEL if words and _MAYBE_NAMES.isdisjoint([word.low for word in run]) else VAGUE
    cue = cue_before(low, start, least)
    if cue < LABEL and words and not _may_be_name(text, run, cue):
        return
    cue = max(cue, CUE) if after_name else cue
    at = 0
    while at < len(run):
        word = run[at].low
        if at + 2 < len(run) and word in _ARTICLES and run[at + 1].low in LEADS:  # "Der Patient Müller"
            at += 1
            continue
        if at + 1 < len(run) and word in LEADS:
            cue, at = max(cue, LABEL if word in TITLES and word not in DOUBTFUL_TITLES else CUE), at + 1
            start = with_particles(text, low, run[at].start)
            continue
        length, cue = _length(text, run[at:], cue)
        if length:
            name = run[at : at + length]
            yield Found(start if cue >= CUE else name[0].start, name[-1].end, "NAME")
            yield from _after_comma(text, name, cue)
        at += max(1, length)
        if at < len(run):
            start, cue = run[at].start, NONE if length or run[at].common else cue_before(low, run[at].start)


def _may_be_name(text: str, run: Sequence[Word], cue: int) -> bool:
    """Whether words of the language may be a name without a label: after a title, or before a given name."""
    return any(word.low in LEADS or _is_lone_surname(text, word, cue) for word in run)


def _is_lone_surname(text: str, word: Word, cue: int) -> bool:
    """Whether a word of the language is a surname by itself: "Young, Robert", "her husband Young"."""
    if word.low not in SURNAMES_TOO:
        # "1000 IU, Omega 3" and "NG, WEI"
        is_unit = word.capitals and len(word.low) < _SHORT and not text[word.end + 2 : word.end + 4].isupper()
        return not word.common and not is_unit and _before_given(text, word.end, cue)
    said = cue == CUE and not word.capitals and text[word.start - 2 : word.start] not in COLONS
    return said or _before_given(text, word.end, cue)


def _length(text: str, words: Sequence[Word], cue: int) -> tuple[int, int]:
    """How many of the words are a name, 0 where the first begins none; and the cue, with what stands behind."""
    size = 0
    for word in words[:_MOST]:
        if word.low in SUFFIXES and size:
            break
        leads = size == 0 and (cue == LABEL or _is_lone_surname(text, word, cue))
        if word.common and not leads and not _is_surname(text, words, size, cue):
            break
        size += 1
    while size and words[size - 1].low in TITLED:
        size -= 1
    if not size:
        return 0, cue
    name = words[:size]
    following = words[size].low if size < len(words) else _next(text, name[-1].end)
    if (following in NOT_PERSONS and cue < LABEL) or (name[-1].low in NOT_PERSONS and not _is_all_the_same(name, cue)):
        return 0, cue
    if cue < LABEL and _is_told(text, name, following):
        cue = LABEL
    return (size, cue) if _is_name(text, name, cue) else (0, cue)


def _is_all_the_same(name: Sequence[Word], cue: int) -> bool:
    """Whether a word that ends names of organisations is a surname: "Mrs. Church", "her aunt Sigrún Hall"."""
    return name[-1].low in SURNAMES_TOO and (cue == LABEL or (cue == CUE and len(name) > 1))


def _is_told(text: str, name: Sequence[Word], following: str) -> bool:
    """Whether something behind words that are in no list says that they name a person, or an initial before them."""
    first, last = name[0], name[-1]
    if last.common or first.common or first.low in LEADS or first.low in ROLES:
        return False
    if has_degree(text, last.end):
        return not last.capitals or len(last.low) > _SHORT
    if len(name) > 1:
        return (
            has_initial(text, name)
            or (all(word.capitals for word in name) and stands_in_record(text, last.end))
            or (
                len(last.low) == 1
                and len(first.low) > _SHORT
                and not first.capitals
                and text[last.end : last.end + 1] == "."
            )
        )
    if len(first.low) < _SHORT or (first.capitals and len(first.low) <= _SHORT):
        return False
    if following in PERSON_VERBS and not first.capitals:
        return text[last.end + 1 : last.end + 2].islower()
    if is_addressed(text, first.start, last.end):
        return not first.capitals
    if not first.capitals and is_told_around(text, first.start, last.end):
        return True
    return tells_a_person(text, first.start, last.end) and (not first.capitals or text[last.end : last.end + 2] == ", ")


def _is_name(text: str, name: Sequence[Word], cue: int) -> bool:
    lone = len(name) == 1
    if cue == LABEL:
        if lone and name[0].capitals and text[name[0].end + 1 : name[0].end + 2].isdigit():  # "Driver: BP 120/80"
            return False
        said = text[name[0].start - 2 : name[0].start] in COLONS and text[name[0].end + 1 : name[0].end + 2].islower()
        return not (lone and name[0].common and (said or ends_label(text, name[0].end)))
    if lone and name[0].low not in LEADS and _is_lone_surname(text, name[0], cue):
        return True
    if cue == CUE:
        return len(name[0].low) > 1 and (not name[0].capitals or not lone or _is_shouted(text, name[0], cue))
    sure = any(word.low.partition("-")[0] in sure_names() and len(word.low) > 2 for word in name)
    if sure:
        return not (lone and name[0].capitals and not _is_shouted(text, name[0], cue))
    if lone and name[0].low in WORDS_TOO and not name[0].capitals and _is_within(text, name[0].start):
        return True
    if lone:
        return cue == VAGUE and name[0].low in given_names() and name[0].low not in AMBIGUOUS and not name[0].common
    known = any(word.low in given_names() for word in name)
    plain = [word for word in name if not word.capitals and (len(word.low) >= _SHORT or word.low in SURNAMES_TOO)]
    return (len(plain) >= 2 and not _german(text)) or (known and len(plain) >= 1 and len(name) > 1)


def _is_shouted(text: str, word: Word, cue: int) -> bool:
    """Whether a word in capitals may be a name: a given one after a cue, or where all around is in capitals."""
    if len(word.low) <= _SHORT:
        return cue == CUE and word.low in given_names()
    if word.low in given_names() and cue == CUE:
        return True
    return text[max(0, word.start - _AROUND) : word.end + _AROUND].isupper()


def _german(text: str) -> bool:
    """Whether all nouns are capitalised, so that two capitals say nothing; " der " alone is a Dutch name's too."""
    return sum(word in text for word in _GERMAN) > 1


def _is_within(text: str, at: int) -> bool:
    """Whether a sentence has begun in lower case before a place, so that a capital there is a name's."""
    before = text[max(0, at - _BACK) : at]
    return before[-1:] == " " and before[-2:-1].islower()


def _is_surname(text: str, words: Sequence[Word], size: int, cue: int) -> bool:
    """Whether a common word stands where a surname does: after a given name, and before no colon ("Anna Young")."""
    word = words[size]
    if not size or (size + 1 != len(words) and words[size + 1].low not in SUFFIXES):
        return False
    before = words[size - 1].low
    given = has_degree(text, word.end) or cue == LABEL
    given = given or (word.low in SURNAMES_TOO and _is_given_like(words[0], word))
    given = (
        given
        or before in sure_names()
        or (cue >= VAGUE and before in given_names())
        or is_initial(text, words, size - 1)
    )
    given = given or (cue == CUE and text[word.end : word.end + 1] in (",", "\n"))
    return given and not ends_label(text, word.end) and word.low not in NOT_PERSONS | TITLES


def _is_given_like(first: Word, surname: Word) -> bool:
    """Whether a word that is in no list may be the given name before a surname that is a word: "Xolani Wise"."""
    return (
        not first.common and len(first.low) >= _SHORT and first.capitals == surname.capitals and first.low not in ROLES
    )


def _after_comma(text: str, name: Sequence[Word], cue: int) -> Iterator[Found]:
    """The given name of "Weber, Anna" and the initials behind it."""
    if text[name[-1].end : name[-1].end + 2] != ", ":
        return
    match = CAPITAL.match(text, name[-1].end + 2)
    if match is None or match[0] == "I":
        return
    low = match[0].lower()
    if low in sure_names() or (cue >= CUE and not is_common(low) and low not in SUFFIXES):
        yield Found(name[0].start, match.end(), "NAME")


def _before_given(text: str, at: int, cue: int = NONE) -> bool:
    """Whether a comma and a given name follow: "Young, Robert"; behind a cue, one that is in no list too."""
    match = CAPITAL.match(text, at + 2) if text[at : at + 2] == ", " else None
    if match is None:
        return False
    low = match[0].lower()
    return low in sure_names() or (len(low) > 1 and cue == CUE and not is_common(low) and low not in SUFFIXES | LEADS)


def _next(text: str, at: int) -> str:
    """The word behind, in lower case."""
    rest = text[at : at + 20]
    return rest[1:].split(" ", 1)[0].rstrip(".,;:)\n").lower() if rest[:1] in (" ", "-") else ""
