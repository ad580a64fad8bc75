"""A cheap look before a pattern saves time and changes nothing: what is found is what is found without it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith_plugins.curators.pii import ages, contacts, dates, identifiers, name_lines, name_runs, plates
from tunesmith_plugins.curators.pii.patterns import Patterns

ENGINE = Patterns({})
LOOKS = [
    (module, name)
    for module in (ages, contacts, dates, identifiers, plates)
    for name in vars(module)
    if name.startswith("MAYBE_")
]
PIECES = """
a.b@c.de|www.x.com|clinic.org|1.2.3.4|fe80::1|2a02:1::|00:1b:44:11:3a:b7|DE89370400440532013000|GB82|1HGCM82633A004352
1EG4-TE5-MK73|4111 1111 4111 1111|4111-1111-1111-1111|3f2504e0-4f89-11d3-9a0c-0305e82c3301|XKT 4821|AB1234563
dob 19310314|born 1931|03/14/2021|2021-03-14|14.3.21|3/14|on May 5|aged 93|ninety years|one hundred and two years|:
AB-123-CD|12345678|Anna: hi there|Agent: no|(0711) 123456|ninety-one|plate|1.2/3/2021|Z|A|a|1
""".strip().replace("\n", "|")
pieces = st.sampled_from(PIECES.split("|")) | st.text("0123456789ABFZabf.:-/@ ", max_size=6)


def test_all_looks_are_tried() -> None:
    assert {name for _, name in LOOKS} >= {"MAYBE_IP6", "MAYBE_CARD", "MAYBE_AGE", "MAYBE_PLATE", "MAYBE_COMPACT"}


def check_looks(text: str) -> None:
    looked = ENGINE.find(text)
    with pytest.MonkeyPatch.context() as patch:
        for module, name in LOOKS:
            patch.setattr(module, name, re.compile(""))
        patch.setattr(ages, "_PARTS", ("",))
        patch.setattr(plates, "_VEHICLES", ("", *plates._VEHICLES))
        patch.setattr(name_lines, "_may_speak", lambda text, at: True)
        assert ENGINE.find(text) == looked


def check_dates(text: str) -> None:
    """Forms in numbers are tried at some places only: all that they match anywhere begins at one of these."""
    starts = [match.start() for match in dates._NUMERIC_START.finditer(text)]
    for form in (dates._ISO, dates._NUMERIC, dates._SHORT, dates._MONTHLY):
        tried = [match.span() for match in dates._at(form, text, starts)]
        assert tried == [match.span() for match in form.finditer(text)]


@pytest.mark.parametrize("piece", PIECES.split("|"))
def test_a_look_lets_each_shape_through(piece: str) -> None:
    for text in (piece, f"on {piece}, ", f"car {piece}\n{piece}"):
        check_looks(text)
        check_dates(text)


@given(st.lists(pieces, max_size=14), st.sampled_from(["", " ", "\n", ": "]))
def test_a_look_changes_no_find(said: list[str], between: str) -> None:
    check_looks(between.join(said))
    check_dates(between.join(said))


@given(st.text("AZÉßbz'\u2019- .@/:_19", max_size=40))
def test_capitalised_words_are_the_same_without_the_short_ways(text: str) -> None:
    short = list(name_runs.runs(text))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(name_runs, "_ASCII", name_runs.CAPITAL)
        patch.setattr(name_runs, "_plain", frozenset)
        assert list(name_runs.runs(text)) == short
