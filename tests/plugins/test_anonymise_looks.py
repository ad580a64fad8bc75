"""Looking at a few places only saves time and changes nothing: what is found is what is found by looking everywhere."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith_plugins.curators.pii import (
    ages,
    anchors,
    contacts,
    dates,
    identifiers,
    name_lines,
    name_runs,
    places,
    plates,
)
from tunesmith_plugins.curators.pii.patterns import Patterns

ENGINE = Patterns({})
MODULES = (ages, contacts, dates, identifiers, name_lines, places, plates)
LOOKS = [(module, name) for module in MODULES for name in vars(module) if name.startswith("MAYBE_")]
PIECES = """
a.b@c.de|www.x.com|clinic.org|1.2.3.4|fe80::1|2a02:1::|00:1b:44:11:3a:b7|DE89370400440532013000|GB82|1HGCM82633A004352
1EG4-TE5-MK73|4111 1111 4111 1111|4111-1111-1111-1111|3f2504e0-4f89-11d3-9a0c-0305e82c3301|XKT 4821|AB1234563
dob 19310314|born 1931|03/14/2021|2021-03-14|14.3.21|3/14|on May 5|aged 93|ninety years|one hundred and two years|:
AB-123-CD|12345678|Lindenstraße 7|12 Elm Street, Ashford, OH 44101|70173 Stuttgart|SW1A 2AA|+49 711 123456|3 May 2021
lat: 41.40338, lon: 2.17403|41°24'12.2"N 2°10'26.5"E|QQ 12 34 56 C|AB123456C
march of 2020|hi anna|it's tomasz|my name is xhaka
Anna: hi there|Agent: no|(0711) 123456|ninety-one|plate|1.2/3/2021|Z|A|a|1
""".strip().replace("\n", "|")
pieces = st.sampled_from(PIECES.split("|")) | st.text("0123456789ABFZabf.:-/@ ", max_size=6)


def test_all_looks_are_tried() -> None:
    assert {name for _, name in LOOKS} >= {"MAYBE_IP6", "MAYBE_MAC", "MAYBE_AGE", "MAYBE_URL", "MAYBE_UUID"}
    assert sum("matches_at" in vars(module) for module in MODULES) == 5


def check_looks(text: str) -> None:
    looked = ENGINE.find(text)
    with pytest.MonkeyPatch.context() as patch:
        for module, name in LOOKS:
            patch.setattr(module, name, re.compile(""))
        for module in MODULES:
            if "matches_at" in vars(module):
                patch.setattr(module, "matches_at", lambda pattern, text, starts: pattern.finditer(text))
        patch.setattr(anchors.Digits, "near", lambda self, before, after: [(0, len(text))])
        patch.setattr(ages, "_WORDS", ("",))
        patch.setattr(dates, "_BIRTHS", ("",))
        patch.setattr(name_lines, "_may_speak", lambda text, at: True)
        assert ENGINE.find(text) == looked


@pytest.mark.parametrize("piece", PIECES.split("|"))
def test_a_look_lets_each_shape_through(piece: str) -> None:
    for text in (piece, f"on {piece}, ", f"car {piece}\n{piece}"):
        check_looks(text)


@given(st.lists(pieces, max_size=14), st.sampled_from(["", " ", "\n", ": "]))
def test_a_look_changes_no_find(said: list[str], between: str) -> None:
    check_looks(between.join(said))


@given(st.text("AZÉßbz'\u2019- .@/:_19", max_size=40))
def test_capitalised_words_are_the_same_without_the_short_ways(text: str) -> None:
    short = list(name_runs.runs(text))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(name_runs, "_ASCII", name_runs.CAPITAL)
        patch.setattr(name_runs, "_plain", frozenset)
        assert list(name_runs.runs(text)) == short


@given(st.text("12aÉ_ -.\u0663", max_size=20))
def test_digits_and_their_words_are_those_of_re(text: str) -> None:
    digits = anchors.digits_of(text)
    assert list(zip(*digits, strict=True)) == [match.span() for match in re.finditer(r"\d+", text)]
    assert anchors.words_with(text, digits) == [m.start() for m in re.finditer(r"\w+", text) if re.search(r"\d", m[0])]
