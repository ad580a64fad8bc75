"""What patterns find and what they leave: each kind by hand, check digits against references, hostile lines in time."""

import random
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith_plugins.curators.pii import checksums
from tunesmith_plugins.curators.pii.custom import compiled
from tunesmith_plugins.curators.pii.found import KINDS, Found, settled
from tunesmith_plugins.curators.pii.known import Known
from tunesmith_plugins.curators.pii.patterns import Patterns
from tunesmith_plugins.curators.pii.safe_harbor import ITEMS

ENGINE = Patterns({})


def found(text: str) -> list[tuple[str, str]]:
    return [(f.kind, text[f.start : f.end]) for f in settled(text, ENGINE.find(text))]


@pytest.mark.parametrize(
    ("text", "kind", "identity"),
    [
        ("card 4111 1111 1111 1111 expires", "CARD", "4111 1111 1111 1111"),
        ("paid with 378282246310005.", "CARD", "378282246310005"),
        ("to GB82 WEST 1234 5698 7654 32 today", "IBAN", "GB82 WEST 1234 5698 7654 32"),
        ("to DE89370400440532013000", "IBAN", "DE89370400440532013000"),
        ("SSN 219-09-9999", "SSN", "219-09-9999"),
        ("her social security number is 219099999", "SSN", "219099999"),
        ("NPI: 1234567893", "LICENCE", "1234567893"),
        ("DEA AB1234563", "LICENCE", "AB1234563"),
        ("routing 021000021", "ROUTING", "021000021"),
        ("wire to 021000021 then", "ROUTING", "021000021"),
        ("VIN 1HGCM82633A004352", "VEHICLE", "1HGCM82633A004352"),
        ("plate HUJ 9996.", "VEHICLE", "HUJ 9996"),
        ("MRN# 4471123", "RECORD", "4471123"),
        ("medical record number: 162-4118", "RECORD", "162-4118"),
        ("policy no. AB-1234567", "PLAN", "AB-1234567"),
        ("my account number is 12345678", "ACCOUNT", "12345678"),
        ("Your customer number?\nuser: C344873", "ACCOUNT", "C344873"),
        ("passport number K12345678", "LICENCE", "K12345678"),
        ("serial number SN774411", "DEVICE", "SN774411"),
        ("id 3f2504e0-4f89-11d3-9a0c-0305e82c3301", "ID", "3f2504e0-4f89-11d3-9a0c-0305e82c3301"),
        ("(415) 555-7132", "PHONE", "(415) 555-7132"),
        ("+1 415.555.7132 ext. 9 please", "PHONE", "+1 415.555.7132 ext. 9"),
        ("+49 711 123456-0", "PHONE", "+49 711 123456-0"),
        ("Tel. 0711/123456", "PHONE", "0711/123456"),
        ("o'brien+x@mail.co.uk,", "EMAIL", "o'brien+x@mail.co.uk"),
        ("see https://a.org/u/1?x=2.", "URL", "https://a.org/u/1?x=2"),
        ("on www.mybank.com", "URL", "www.mybank.com"),
        ("from 81.2.69.160", "IP", "81.2.69.160"),
        ("from 2a02:26f7::1", "IP", "2a02:26f7::1"),
        ("mac 00:1b:44:11:3a:b7", "MAC", "00:1b:44:11:3a:b7"),
        ("a 93-year-old man", "AGE", "93"),
        ("aged 101", "AGE", "101"),
        ("on 03/14/2021", "DATE", "03/14/2021"),
        ("am 14.03.2021", "DATE", "14.03.2021"),
        ("2021-03-14T10:00:00Z", "DATE", "2021-03-14T10:00:00Z"),
        ("Monday, March 3rd, 2021", "DATE", "Monday, March 3rd, 2021"),
        ("3 Mar 2021", "DATE", "3 Mar 2021"),
        ("since March 2021", "DATE", "March 2021"),
        ("seen on 3/14 again", "DATE", "3/14"),
        ("DOB: 19310314", "DATE", "19310314"),
        ("born in 1931", "DATE", "1931"),
        ("at 221 Baker Street, Springfield, IL 62704", "ADDRESS", "221 Baker Street, Springfield, IL 62704"),
        ("Lindenstraße 7, 70173 Stuttgart", "ADDRESS", "Lindenstraße 7, 70173 Stuttgart"),
        ("P.O. Box 123", "ADDRESS", "P.O. Box 123"),
        ("ZIP: 02139", "ADDRESS", "02139"),
        ("She lives in Springfield.", "PLACE", "Springfield"),
        ("Dr. Anna Weber called", "NAME", "Anna Weber"),
        ("Patient: Weber, Anna M", "NAME", "Weber, Anna M"),
        ("Name: Xhaka", "NAME", "Xhaka"),
        ("Mrs. Young agreed", "NAME", "Young"),
        ("Dear Tomasz,", "NAME", "Tomasz"),
        ("Best regards,\nTomasz Kowalczyk", "NAME", "Tomasz Kowalczyk"),
        ("hi, my name is anna weber", "NAME", "anna weber"),
        ("I met Fatima O'Brien there", "NAME", "Fatima O'Brien"),
        ("with her daughter Mei at home", "NAME", "Mei"),
        ("but then Grace said so", "NAME", "Grace"),
        ("Ogechi said that she slept well.", "NAME", "Ogechi"),
        ("We told Ogechi to rest.", "NAME", "Ogechi"),
        ("Seen with J.R. Abiodun today", "NAME", "J.R. Abiodun"),
        ("Abiodun RN gave it", "NAME", "Abiodun"),
        ("ABIODUN, Ogechi was seen", "NAME", "ABIODUN, Ogechi"),
        ("Bed 2: Abiodun, Ogechi - 45 y, stable", "NAME", "Abiodun, Ogechi"),
        ("OGECHI ABIODUN 45F, seen", "NAME", "OGECHI ABIODUN"),
        ("Ogechi, her sister, came", "NAME", "Ogechi"),
        ("Ogechi's mood is low", "NAME", "Ogechi"),
        ("Ogechi is a 34-year-old woman", "NAME", "Ogechi"),
        ("Ogechi will return on", "NAME", "Ogechi"),
        ("Peter, Ogechi and Anna came", "NAME", "Ogechi"),
        ("Ogechi: hi there\nTomek: hello\nOgechi: well", "NAME", "Ogechi"),
        ("Mr. van den Abiodun agreed", "NAME", "van den Abiodun"),
        ("I am sorry.\n\nOgechi", "NAME", "Ogechi"),
        ("NAME   Abiodun Ogechi      SEX F", "NAME", "Abiodun Ogechi"),
        ("it belongs to Ogechi Wise", "NAME", "Ogechi Wise"),
        ("my name is ogechi wise and", "NAME", "ogechi wise"),
        ("Okay, Ogechi. We will call.", "NAME", "Ogechi"),
        ("patient: jürgen müller-lüdenscheidt", "NAME", "jürgen müller-lüdenscheidt"),
        ("nok: ogechi, wife", "NAME", "ogechi"),
        ("seen by dr. abiodun today", "NAME", "abiodun"),
        ("all good\n\nregards\nogechi abiodun", "NAME", "ogechi abiodun"),
        ("this is ogechi from accounts", "NAME", "ogechi"),
        ("Abiodun, Ogechi M. | F | 94", "NAME", "Abiodun, Ogechi M"),
        ("1. Abiodun, Ogechi \u2014 12/03/2020", "NAME", "Abiodun, Ogechi"),
        ("2) Abiodun, O., room 4", "NAME", "Abiodun, O."),
        ("id,name,age\n1,Ogechi,45\n2,Tomek,30", "NAME", "Tomek"),
        ('"Name";"Phone";"E-mail"\n"Abiodun, Ogechi";1;2', "NAME", "Abiodun, Ogechi"),
        ("| Name | Age | Sex |\n|---|---|---|\n| Ogechi | 45 | F |", "NAME", "Ogechi"),
        ("write to ogechi.wise@web.de. On account of Ogechi it", "NAME", "Ogechi"),
        ("write to oabiodun@web.de. On account of Abiodun it", "NAME", "Abiodun"),
        ("write to muelder@web.de. On account of M\u00fclder it", "NAME", "M\u00fclder"),
        ("[10:02] Ogechi: hello", "NAME", "Ogechi"),
        ("Ogechi (10:02): hi\nAgent: yes", "NAME", "Ogechi"),
        ("Let Ogechi know that", "NAME", "Ogechi"),
        ("Was Ogechi hurt?", "NAME", "Ogechi"),
        ("Could Ogechi call back?", "NAME", "Ogechi"),
        ("I'm Ogechi, how can I help", "NAME", "Ogechi"),
        ("We saw Ogechi in clinic", "NAME", "Ogechi"),
        ("a 45yo Ogechi with pain", "NAME", "Ogechi"),
        ("Ogechi (she/her)", "NAME", "Ogechi"),
        ("Ogechi and I went", "NAME", "Ogechi"),
        ("Ogechi from Billing called", "NAME", "Ogechi"),
        ("Ogechi has had fever", "NAME", "Ogechi"),
        ("Present: Anna Weber, Ogechi, Tomek", "NAME", "Tomek"),
        ("Drs. Abiodun and Weber", "NAME", "Abiodun"),
        ("Dr. med. Abiodun", "NAME", "Abiodun"),
        ("Anna Weber (n\u00e9e Abiodun)", "NAME", "Abiodun"),
        ("No worries, Ogechi", "NAME", "Ogechi"),
        ("she is in her early 90s", "AGE", "90s"),
        ("in their nineties", "AGE", "nineties"),
        ("on his 93rd birthday", "AGE", "93rd"),
        ("Her car, XKT 4821, was towed", "VEHICLE", "XKT 4821"),
        ("the van AB51 XYZ pulled out", "VEHICLE", "AB51 XYZ"),
        ("a Volvo (AB-123-CD)", "VEHICLE", "AB-123-CD"),
        ("parked: M-KL 123", "VEHICLE", "M-KL 123"),
        ("drove his truck 7ABC123", "VEHICLE", "7ABC123"),
        ("REC NO 4471123", "RECORD", "4471123"),
        ("Is that the account ending in 22?\nB: No, it's 44711234", "ACCOUNT", "44711234"),
        ("the zip on file is 02139", "ADDRESS", "02139"),
        ("she gave 44711239 as hers", "ID", "44711239"),
        ("his fingerprint template 7781-2231 was stored", "BIOMETRIC", "7781-2231"),
        ("seen Mon 3/4 and again", "DATE", "Mon 3/4"),
        ("on Friday, 3/8 again", "DATE", "Friday, 3/8"),
        ("on 04 Mar. '31 in", "DATE", "04 Mar. '31"),
        ("on March 4, \u201931", "DATE", "March 4, \u201931"),
        ("since March '31", "DATE", "March '31"),
        ("Account number 00123456789", "ACCOUNT", "00123456789"),
        ("reference 0049711123456", "ACCOUNT", "0049711123456"),
        ("tel. 0049711123456", "PHONE", "0049711123456"),
        ("IMEI: 490154203237518", "DEVICE", "490154203237518"),
        ("the phone 49-015420-323751-8 was lost", "DEVICE", "49-015420-323751-8"),
        ("in Springfield, IL 62704-1234", "ADDRESS", "Springfield, IL 62704-1234"),
        ("coordinates 41.40338, 2.17403", "PLACE", "41.40338, 2.17403"),
        ("GPS position is (41.403, -2.174)", "PLACE", "41.403, -2.174"),
        ('{"lat": 41.40338, "lon": -2.17403}', "PLACE", "41.40338"),
        ('{"lat": 41.40338, "lon": -2.17403}', "PLACE", "-2.17403"),
        ("at 41°24'12.2\"N 2°10'26.5\"E it fell", "PLACE", "41°24'12.2\"N 2°10'26.5\"E"),
        ("found at 41.403° N, 2.174° E", "PLACE", "41.403° N, 2.174° E"),
        ("NI number QQ123456C", "SSN", "QQ123456C"),
        ("hers is AB 12 34 56 C.", "SSN", "AB 12 34 56 C"),
        ("Twitter @jane_doe, ", "ID", "jane_doe"),
        ("her Instagram handle is @janedoe", "ID", "janedoe"),
        ("Skype: live:jane.doe", "ID", "jane.doe"),
        ("Telegram: xolanik", "ID", "xolanik"),
        ("ask @jane_doe_92 about it", "ID", "jane_doe_92"),
        ("(MRN 00482913) DOB", "RECORD", "00482913"),
        ("Der Patient Özdemir, Yusuf, geb. 1950", "NAME", "Özdemir, Yusuf"),
    ],
)
def test_an_identity_is_found_whole(text: str, kind: str, identity: str) -> None:
    assert (kind, identity) in found(text)


@pytest.mark.parametrize(
    "text",
    [
        "size 4111 1111 1111 1112 is none",
        "BP 120/80, HR 72, O2 sat 94 %",
        "metoprolol 50 mg, Lisinopril 10 mg, Eliquis 5 mg",
        "May cause dizziness. Miss no dose. Will you come?",
        "torch 2.13.0 and version 10.4.1.2",
        "the tag v2024-01-05 and report_2023-12-31.csv",
        "API_VERSION = 'api-version=2023-01-01'",
        "a 45-year-old man, 93 % of them",
        "visit 3 of 12, call 911, room 204",
        "1,250,000 rows for 4.25 %",
        "Parkinson disease, Hodgkin lymphoma",
        "[NAME_1] called [PHONE_2] on [DATE_12]",
        "ratio 16:9 at 14:30:05",
        "Mark the box. Grace period. Rose water.",
        "Doctor: Oh, I see.\nPatient: I'm fine, hm. Thanks.\nDoctor: Nah.",
        "The European Union and the Supreme Court",
        "Medicare denied the claim and Aetna agreed. Ask Google or call Amazon.",
        "Zoloft and Eliquis were stopped; with Allegra, on Lyrica. Okay, Tylenol.",
        "hepatitis B. Zyrtec was given. U.S. Navy, D.C. court",
        "E. Coli and S. Aureus and H. Pylori grew",
        "Parkinson's, Alzheimer's and Crohn's. Lewy Body dementia. Guillain-Barré. Fisher's exact test",
        "Sjögren's syndrome, Ménétrier's disease, Sprague-Dawley rats, Kaplan-Meier, Mann-Whitney U test",
        "Neurology was consulted. Told Cardiology. Per Oncology.",
        "Troponin: low\nCreatinine: fine\nTroponin: high",
        "South Africa, New Zealand and Hong Kong. She lives in America.",
        "ISO 9001 car parts; USD 4200 for the car, a BMW 2015, a 2019 Ford Transit",
        "He drove home. HIV 2020 guidelines",
        "PMID 12345678 and 12000000 rows",
        "group = 0.22, case 12, sample 500, record 3",
        "he sat 3/4 of the time; the class of '31 and the '90s",
        "in the 90s and in the nineties, in her 80s",
        "name: tunesmith\ndescription: trains\npatient: stable\nauthor: unknown",
        "dr appointment, mr imaging, thanks\nsee below",
        "let Markdown render, could Zoloft cause it, was Python slow",
        "field,value,note\nname,text,a name\nsize,number,a size",
        "Gravida 2, Para 2, Ab 0. Plt 250, Na 140. 1000 IU, Omega 3",
        "To: do, from: there. Present: none. Absent: reflexes",
        "37.25 °C, later 41.40, 2.17; p = 0.4034, 0.2174; relative 1.25, belong 2.75",
        "@property\n@lru_cache(maxsize=2)\n  @my_hook\ndef f(): ...",
        "a GitHub issue, my Facebook page, Discord: none, Telegram: yes. npm install @types/node_core",
        "AB 12 34 rows and model QX123456",
    ],
)
def test_what_is_no_identity_stays(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize("item", [item for item in ITEMS if item.kinds], ids=lambda item: item.letter)
def test_each_item_of_safe_harbor_is_found_as_its_table_says(item) -> None:
    assert item.identity in item.example
    kinds = [kind for kind, text in found(item.example) if item.identity in text]
    assert kinds
    assert set(kinds) <= set(item.kinds)


def test_every_kind_stands_for_an_item_of_safe_harbor() -> None:
    assert {kind for item in ITEMS for kind in item.kinds} == set(KINDS)
    assert "".join(item.letter for item in ITEMS) == "ABCDEFGHIJKLMNOPQR"


@given(st.from_regex(r"[0-9]{1,18}", fullmatch=True))
def test_luhn_is_that_of_the_definition(digits: str) -> None:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (1 + place % 2)
        total += sum(map(int, str(doubled)))
    assert checksums.luhn(digits) is (total % 10 == 0)
    assert checksums.luhn(digits + checksums.luhn_digit(digits))


@given(st.integers(0, 10**18 - 1), st.integers(0, 21), st.integers(1, 9))
def test_one_wrong_digit_of_an_iban_is_noticed(number: int, place: int, more: int) -> None:
    bank = f"{number:018d}"
    right = f"DE{98 - checksums.iban_rest(f'DE00{bank}'):02d}{bank}"
    assert checksums.iban(right)
    if place > 1:
        assert not checksums.iban(right[:place] + str((int(right[place]) + more) % 10) + right[place + 1 :])


@pytest.mark.parametrize(
    ("check", "right", "wrong"),
    [
        (checksums.npi, "1234567893", "1234567890"),
        (checksums.dea, "AB1234563", "AB1234564"),
        (checksums.aba, "021000021", "021000022"),
        (checksums.vin, "1HGCM82633A004352", "1HGCM82633A004353"),
        (checksums.ssn, "219099999", "666099999"),
        (checksums.card, "5555555555554444", "5555555555554445"),
    ],
)
def test_published_numbers_pass_and_their_neighbours_do_not(check, right: str, wrong: str) -> None:
    assert check(right)
    assert not check(wrong)


def test_a_known_name_is_found_in_other_forms_and_not_within_words() -> None:
    text = "Mr. Weber and ANNA, then anna weber's Weberei; A. Weber, Annabel."
    spans = [text[f.start : f.end] for f in Known(["Weber, Anna"]).find(text)]
    assert sorted(spans) == ["ANNA", "Weber", "Weber", "anna weber"]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 8), st.sampled_from(["NAME", "ID"]))))
def test_settled_finds_cover_what_was_found_and_do_not_overlap(spans: list[tuple[int, int, str]]) -> None:
    given_finds = [Found(start, start + length, kind) for start, length, kind in spans]
    kept = settled("x" * 40, given_finds)
    assert all(one.end <= other.start for one, other in pairwise(kept))
    covered = {at for f in kept for at in range(f.start, f.end)}
    assert covered == {at for f in given_finds for at in range(f.start, f.end)}


HOSTILE = {
    "digits": "1234567890" * 1000,
    "groups": "1234 " * 2000,
    "dots": "1.1." * 2500,
    "colons": "a:" * 5000,
    "capitals": "Ab " * 3300,
    "one word": "A" * 10000,
    "mail": "a.b-c" * 2000 + "@",
    "at": "a@" * 5000,
    "slashes": "http://" * 1400,
    "months": "may " * 2500,
    "streets": "1 Aa Aa Aa Aa " * 700,
    "plus": "+1 (" * 2500,
    "brackets": "[A_1" * 2500,
    "address": "address: " + "x " * 5000,
    "lower": "hi " * 3300,
    "zeros": "0" * 10000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_lines_take_linear_time(name: str) -> None:
    """Four times the length takes less than ten times as long: a quadratic pattern would take sixteen times."""

    def took(text: str) -> float:
        times = []
        for _ in range(3):
            start = time.process_time()
            ENGINE.find(text)
            times.append(time.process_time() - start)
        return min(times)

    short, whole = HOSTILE[name][: len(HOSTILE[name]) // 4], HOSTILE[name]
    assert took(whole) < 10 * took(short) + 0.02
    assert took(whole) < 3


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        (r"(a+)+", "repeats without end"),
        (r"\w+-\d{6}", "repeats without end"),
        (r"(\d)\1", "refers back"),
        (r"(\d{1,9}-?){1,9}", "more than 2,000 ways"),
        (r"(a|b|ab){1,30}c", "more than 2,000 ways"),
        (r"a?", "matches the empty text"),
        (r"(a", "is no regular expression: missing )"),
    ],
)
def test_a_customers_pattern_that_may_never_end_is_refused(pattern: str, said: str) -> None:
    from tunesmith import RecipeError

    with pytest.raises(RecipeError, match=r"^patterns\.BADGE: ") as caught:
        compiled({"BADGE": pattern})
    assert said in str(caught.value)


def test_a_customers_pattern_comes_first() -> None:
    own = Patterns(compiled({"BADGE": r"\bB-\d{6}\b", "SHORT": r"[A-Z]{2,4}-\d{1,8}"}))
    text = "badge B-123456 and MRN ABC-4471123"
    assert [(f.kind, text[f.start : f.end]) for f in settled(text, own.find(text))] == [
        ("BADGE", "B-123456"),
        ("SHORT", "ABC-4471123"),
    ]


@given(st.integers(0, 2**32))
def test_any_text_is_looked_through(seed: int) -> None:
    draw = random.Random(seed)
    letters = "ABab 0159-./:@+()[]_,'\u2019\n\tÄßİéж你\U0001d538"
    text = "".join(draw.choice(letters) for _ in range(draw.randrange(120)))
    for one in settled(text, ENGINE.find(text)):
        assert 0 <= one.start < one.end <= len(text)
