"""Legal citations by their patterns: cases, reporters, neutral citations, statutes, sections and articles."""

import re
from collections.abc import Hashable, Iterable, Iterator

from tunesmith_plugins.evaluators.facts.fact import Fact, Taken

_WORD = r"(?:[A-Z][\w.'’&-]*|[A-Z]\.)"
_LINK = r"(?:of|the|for|and|de|la|van|von|d/b/a|ex rel\.|in re|&)"
_PARTY = rf"{_WORD}(?:,? (?:{_LINK} ){{0,2}}(?:{_WORD}|&)){{0,7}}"
_CASE = re.compile(rf"(?<![\w.])(?P<left>{_PARTY}),? (?:v|vs|V)\.? (?P<right>{_PARTY})")
_IN_RE = re.compile(rf"\b(?P<left>[Ii]n re|[Ee]x parte) (?P<right>{_PARTY})")
# What a sentence puts before a case's first party.
_SIGNALS = frozenset(
    ("see", "in", "under", "citing", "cf", "also", "but", "accord", "compare", "per", "and", "the", "e.g")
)
_SERIES = r"(?: ?(?:2d|3d|4th|5th|6th|7th))?"
_REPORTERS = (
    r"U\. ?S\.|S\. ?Ct\.|L\. ?Ed\.|F\.|Fed\. ?Appx?\.|F\. ?App['’]x|F\. ?Supp\.|B\. ?R\.|A\.|P\.|"
    r"N\. ?[EW]\.|S\. ?[EW]\.|So\.|Cal\.(?: ?App\.)?|Cal\. ?Rptr\.|N\. ?Y\.(?: ?S\.)?|A\. ?D\.|Misc\.|"
    r"Ill\.(?: ?App\.)?|Mass\.|Ohio St\.|Tex\.|Wis\.|Wash\.|WL|LEXIS|U\. ?S\. ?LEXIS|"
    r"All E\.?R\.?|W\.?L\.?R\.?|Q\.?B\.?|A\.?C\.?|Ch\.?|E\.?C\.?R\.?|C\.?L\.?R\.?|S\.?C\.?R\.?|D\.?L\.?R\.?"
)
_REPORTER = re.compile(
    rf"(?<![\w.])(?P<volume>\d{{1,4}}) (?P<name>(?:{_REPORTERS}){_SERIES}) (?P<page>\d{{1,7}})(?!\w)"
)
_NEUTRAL = re.compile(
    r"[\[(](?P<year>(?:1[89]|20)\d\d)[\])] (?:(?P<volume>\d{1,2}) )?"
    r"(?P<court>(?:[A-Z][A-Za-z]*\.? ?){1,4}?)(?:\((?P<part>\w+)\) )?"
    r"(?P<number>\d{1,6})(?: \((?P<after>[A-Z][A-Za-z]+)\))?(?!\w)"
)
_EU = re.compile(r"(?<!\w)(?P<court>[CTF])[-\u2011](?P<number>\d{1,4})/(?P<year>\d\d)(?!\d)")
_TAIL = r"(?P<number>\d+(?:[.:-]\d+)*[a-zA-Z]?(?:\([\w]{1,4}\))*)"
_CODE = re.compile(
    r"(?<![\w.])(?P<title>\d{1,3}) (?P<code>U\. ?S\. ?C\.|C\. ?F\. ?R\.|USC|CFR)(?: ?A\.)? ?"
    rf"(?:§§? ?|[Ss]ec(?:tion|\.) |[Pp]art )?{_TAIL}"
)
_SECTION = re.compile(
    r"(?:§§? ?|(?<!\w)(?P<what>[Ss]ections?|[Ss]ecs?\.|[Aa]rticles?|[Aa]rts?\.|[Cc]lauses?|[Pp]aragraphs?) )"
    rf"{_TAIL}(?!\w)"
)
_CORPORATE = frozenset(
    (
        "inc",
        "co",
        "corp",
        "ltd",
        "llc",
        "llp",
        "plc",
        "lp",
        "company",
        "corporation",
        "limited",
        "et",
        "al",
        "and",
        "the",
    )
)


def citations(text: str, taken: Taken) -> Iterator[Fact]:
    """Citations of a text; those with more in them first."""
    for match in (*_CODE.finditer(text), *_REPORTER.finditer(text), *_NEUTRAL.finditer(text), *_EU.finditer(text)):
        if taken.free(*match.span()):
            taken.take(*match.span())
            yield Fact(*match.span(), "citations", _key(match))
    for match in (*_CASE.finditer(text), *_IN_RE.finditer(text)):
        start = match.start() + (_signal(match["left"]) if match.re is _CASE else 0)
        end = match.end() - (match[0][-1] in ".,")
        if taken.free(start, end):
            taken.take(start, end)
            parties = (_party(text[start : match.end("left")]), _party(match["right"]))
            yield Fact(start, end, "citations", ("case", *parties))
    for match in _SECTION.finditer(text):
        if taken.free(*match.span()):
            taken.take(*match.span())
            what = (match["what"] or "section").lower()[:3]
            yield Fact(*match.span(), "citations", (what, *_parts(match["number"])))


def supports(known: Iterable[Hashable], asked: Hashable) -> bool:
    """Whether citations support one.

    A case is supported where each of its parties is named within the known party; a section by itself or by one of
    its subsections; a section without its code also by one with it.
    """
    return any(_within(asked, one) for one in known)


def _within(asked: Hashable, known: Hashable) -> bool:
    assert isinstance(asked, tuple)
    assert isinstance(known, tuple)
    if asked[0] == "case":
        return known[0] == "case" and all(one <= other for one, other in zip(asked[1:], known[1:], strict=True))
    if asked[0] == "sec" and known[0] == "code":
        known = ("sec", *known[3:])
    return known[: len(asked)] == asked


def _key(match: "re.Match[str]") -> tuple[Hashable, ...]:
    parts = match.groupdict()
    if "title" in parts:
        return ("code", parts["title"], _letters(parts["code"]), *_parts(parts["number"]))
    if "page" in parts:
        return ("reporter", parts["volume"], _letters(parts["name"]), parts["page"])
    return ("neutral", *(_letters(str(part)) for part in parts.values() if part is not None))


def _parts(number: str) -> tuple[str, ...]:
    """A number of a section with its subsections apart: 12(b)(6)."""
    first, *inner = number.replace(")", "").split("(")
    return (first.lower(), *inner)


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _signal(left: str) -> int:
    """Where the first party begins behind words such as "See"."""
    at = 0
    while (word := left[at:].partition(" ")[0]).lower().rstrip(".,") in _SIGNALS and " " in left[at:]:
        at += len(word) + 1
    return at


def _party(name: str) -> frozenset[str]:
    words = {_letters(word) for word in name.split()}
    return frozenset(words - _CORPORATE - {""}) or frozenset(words - {""})
