"""Personal names: which group they tell of, which takes whose place in a swap, and where a name in a text is one."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from functools import lru_cache

from tunesmith_plugins.audits.lexicon import Names, plain_name
from tunesmith_plugins.audits.matching import Remembered
from tunesmith_plugins.curators.pii.lexicon import given_names, is_word
from tunesmith_plugins.curators.pii.word_list import words
from tunesmith_plugins.fairness.english import begins_sentence

LEAST = {"given": 0.98, "surname": 0.8}
"""By kind, the share of a name's bearers that have to belong to a group for the name to tell of it."""
# Letters of Latin alphabets; those of U+0100 to U+017F come in both cases, by turns.
_UPPER, _LOWER = "A-ZÀ-ÖØ-Þ\u0100-\u017f", "a-zß-öø-ÿ\u0100-\u017f"
CAPITALISED = re.compile(rf"(?<![\w@#&/.-])(?:[{_UPPER}][{_LOWER}]+|[{_UPPER}]{{3,}})(?![\w@]|-\w)")
_NEXT = re.compile(r"[ \t]+([A-Z][\w’'-]*)")  # noqa: RUF001
_BEFORE = re.compile(r"([A-Za-z][\w'’]*)(\.?)[ \t]+$")  # noqa: RUF001
_FORMAL = frozenset(
    words(
        """
        mr mrs ms miss mx dr doctor prof professor judge justice president senator captain
        """
    )
)
_PLACES = frozenset(
    words(
        """
        st saint san santa lake mount mt fort port cape new hurricane camp
        """
    )
)
_THINGS = frozenset(
    words(
        """
        street st road rd avenue ave lane drive hospital university college school inc corp ltd llc airport bridge
        park county island islands syndrome disease act law theorem award prize foundation bank group company
        """
    )
)
_BESIDE = frozenset(
    words(
        """
        nurse sister brother baby patient client customer employee applicant candidate dear hi hello uncle aunt cousin
        grandma grandpa mother father sir dame lord lady and or when if but as for with from the
        """
    )
)


def matched(names: Names, first: str, second: str, least: float) -> dict[str, str]:
    """For each name that is sure of one group, the name of the other that takes its place; in both directions.

    Names with the same first letter are matched in the order of their frequency, then those that are left. So a name is
    always replaced by the same one, two names never by one, and a swap of a swap is what was there.

    Args:
        names: The lexicon's.
        first: A group.
        second: The other one.
        least: Share of a name's bearers that have to belong to the group.
    """
    sure = [names.sure(group, least) for group in (first, second)]
    most = min(map(len, sure))
    by_letter: list[dict[str, list[str]]] = [defaultdict(list), defaultdict(list)]
    for side, found in zip(by_letter, sure, strict=True):
        for name in found[:most]:
            side[name[0]].append(name)
    pairs: list[tuple[str, str]] = []
    for letter in sorted(by_letter[0].keys() & by_letter[1].keys()):
        pairs += zip(by_letter[0][letter], by_letter[1][letter], strict=False)
    taken = {name for pair in pairs for name in pair}
    left = [[name for name in found[:most] if name not in taken] for found in sure]
    pairs += zip(*left, strict=True)
    return dict(pairs) | {other: one for one, other in pairs}


def is_person(text: str, start: int, end: int, names: Names) -> bool:
    """Whether the name at a place is somebody's, of the kind that the lexicon holds.

    No place (`St. Louis`), no street or firm (`Henry Street`); and of given names none that stands where a surname
    does: behind a title (`Mr James`), a given name, an initial or another capitalised word, and last (`Henry James`).
    """
    after = _NEXT.match(text, end)
    if after and after[1].casefold() in _THINGS:
        return False
    before = _BEFORE.search(text[max(0, start - 40) : start])
    if before is None:
        return True
    word = before[1].casefold()
    if before[1][0].isupper() and word in _PLACES:
        return False
    if names.kind == "surname" or not before[1][0].isupper() or after:
        return True
    if word in _FORMAL or len(word) == 1:
        return False
    if before[2]:  # a sentence ends there
        return True
    return word not in names.persons and (word in _BESIDE or begins_sentence(text, start - len(before[0])))


def told(names: Names, texts: Iterable[str]) -> Counter[str]:
    """How often names in texts tell of which group; those that are not sure tell of none.

    A surname counts behind a title, an initial or a given name only (`Ms Garcia`, `Jamal Washington`): alone it may be
    a town or a firm.

    Args:
        names: The lexicon's.
        texts: In which they stand.
    """
    found: Counter[str] = Counter()
    of_text = _told_by(names)
    for text in texts:
        if one := of_text(text):
            found.update(one)
    return found


@lru_cache(maxsize=16)
def _told_by(names: Names) -> Remembered[Mapping[str, int] | None]:
    """What says of a text how often names in it tell of which group; None where none does."""
    telling = names.telling(LEAST[names.kind])

    def read(text: str) -> Mapping[str, int] | None:
        found: Counter[str] = Counter()
        for match in CAPITALISED.finditer(text):
            group = telling.get(match[0].casefold())
            if group is None and not match[0].isascii():
                group = telling.get(plain_name(match[0]))
            if group is None or not is_person(text, *match.span(), names):
                continue
            if names.kind == "given" or _is_full(text, match.start()):
                found[group] += 1
        return found or None

    return Remembered(read)


def _is_full(text: str, start: int) -> bool:
    """Whether what stands before a surname is of the same person's name."""
    before = _BEFORE.search(text[max(0, start - 40) : start])
    if before is None or not before[1][0].isupper():
        return False
    word = before[1].casefold()
    return word in _FORMAL or len(word) == 1 or (not before[2] and (word in given_names() or not is_word(word)))
