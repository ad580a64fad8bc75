"""Clean: what got into a text goes, what the text says stays, and each part is counted where it changed something."""

import sys
import unicodedata
from typing import Any

import ftfy
import pytest
from hypothesis import example as tried
from hypothesis import given
from hypothesis import strategies as st

from tunesmith import Example, Message, RecipeError, Segment
from tunesmith.data.curate import Tally, apply_curator, change_questions, check_curators
from tunesmith_plugins.curators.clean import Clean
from tunesmith_plugins.curators.cleaning import encoding, mail, markup

ALL: dict[str, Any] = {"tags": "both", "signatures": "both", "disclaimers": "both"}
FAMILY, WALES = "\U0001f469\u200d\U0001f52c", "\U0001f3f4\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f"


def talk(prompt: str, answer: str = "yes", **fields: Any) -> Example:
    return Example(messages=(Message("user", prompt), Message("assistant", answer, fields=fields)))


def curate(*examples: Example, **options: Any) -> tuple[list[Example], dict[str, Any]]:
    named = [example.with_(id=str(at)) for at, example in enumerate(examples)]
    check_curators({"clean": Clean(**options)})
    return apply_curator("clean", Clean(**options), named, seed=7)


def cleaned(text: str, **options: Any) -> str:
    """A prompt, cleaned."""
    return curate(talk(text), **options)[0][0].messages[0].content


def reasons(text: str, **options: Any) -> dict[str, int]:
    counted: dict[str, int] = curate(talk(text), **options)[1]["changes"]
    return counted


SIGNS = list("a<>b/=&;#-é`~|{}[]\"' \n\r\t\0\x85\xa0\xad\ufeff\u0301\u0646\u200b\u200c\u200d\u202e\u2028\ufe0f\ud83d")
SIGNS += ["\n\n\n", "\x1b[31m", "\U000e0041", "\U0001f469", "\u0915\u094d", "Ã¤", "Ã", "â€", "â€œ", "12"]
MARKS = ["<br>", "<b>", "</b>", "<li>", "<td>", "</td>", "<p class='x'>", "<code>", "</code>", "<html>", "tag"]
MARKS += [
    "&amp;",
    "lt;",
    "&#38;",
    "```",
    "~~~\n",
    "\n-- \n",
    "\nThanks,\n",
    "This e-mail is confidential",
    "\nSent from my iPad",
]
NASTY = st.lists(st.sampled_from(SIGNS) | st.sampled_from(MARKS), max_size=14).map("".join)


@given(NASTY | st.text(max_size=30), st.booleans(), st.integers(0, 2))
@tried("&amp;amp;lt;br&amp;gt;x", True, 0)
@tried("write\n--\nthe tag", True, 0)
def test_cleaning_what_is_clean_changes_nothing(text: str, everything: bool, blank_lines: int) -> None:
    options: dict[str, Any] = ALL | {"patterns": {"digits": r"\d+"}} if everything else {}
    given = [talk(text), talk("q", text), Example(segments=(Segment(f"{text} ", 0.0), Segment(text)))]
    given.append(Example(chosen=talk(text, text).messages, rejected=talk(text, "no").messages))
    once, _ = curate(*given, blank_lines=blank_lines, **options)
    twice, counts = apply_curator("clean", Clean(blank_lines=blank_lines, **options), once, seed=7)
    assert twice == once
    assert counts["drops"] == counts["changes"] == {}


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="<&"), min_size=1))
def test_plain_text_stays(text: str) -> None:
    given = talk(text, text)
    assert curate(given, **ALL)[0][0].messages == given.messages


@given(st.lists(NASTY, min_size=2, max_size=4), NASTY, NASTY)
def test_pairs_keep_what_they_share(turns: list[str], better: str, worse: str) -> None:
    shared = tuple(Message("user" if at % 2 == 0 else "assistant", text) for at, text in enumerate(turns))
    pair = Example(chosen=(*shared, Message("assistant", better)), rejected=(*shared, Message("assistant", worse)))
    for kept in curate(pair, **ALL)[0]:
        assert kept.chosen[:-1] == kept.rejected[:-1]


MOJIBAKE = [
    "Müller fährt „schön“ nach Köln: 20 °C",
    "L\u2019été à Noël: «CAFÉ» 5 €",
    "¿Qué? ¡Sí, mañana!",
    "Привет, как дела?",
    "日本語のテキスト",
    "it\u2019s “quoted” \u2013 😀",
    "Żółć i źdźbło",
]


@pytest.mark.parametrize("text", MOJIBAKE)
@pytest.mark.parametrize("table", ["latin-1", "sloppy-windows-1252"])
def test_text_that_was_decoded_by_the_wrong_table_is_put_right(text: str, table: str) -> None:
    ftfy.bad_codecs.ok()
    broken = text.encode().decode(table)
    assert cleaned(f"before {text}\nthen {broken}") == f"before {text}\nthen {text}"
    assert reasons(broken)["encoding"] == 1
    off: dict[str, Any] = {"characters": "none", "spaces": "none"}
    assert cleaned(broken, encoding="answers", **off) == broken


@pytest.mark.parametrize(
    "text", [*MOJIBAKE, "«CAFÉ» DÉJÀ VU…", "„Ä“ und Ü…", "Ê\u2013Ã", "ВСЁ её", "Å® TM", "SÃO “JOÃO”"]
)
def test_text_that_was_decoded_by_the_right_table_stays(text: str) -> None:
    assert encoding.repaired(text) == text


LETTERS = st.text(st.sampled_from("aäöüéÉÃÂñ»“”…€ШщёЁпżłΩή日本😀 \xa0"), max_size=12)


@given(LETTERS, st.sampled_from(encoding._TABLES), LETTERS)
def test_lines_that_ftfy_is_not_shown_are_lines_that_it_leaves(text: str, table: str, more: str) -> None:
    line = text.encode().decode(table, "replace") + more
    assert encoding.repaired(line) == ftfy.fix_text(line, encoding._config())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\x00b\x07c\x7fd", "abcd"),
        ("if x:\n\treturn\r\n\tend\rdone\u2028next\x0cpage", "if x:\n\treturn\n\tend\ndone\nnext\npage"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\ufeffco\u200bop\u00ader\u2060ate\ufffe", "cooperate"),
        ("\u202eabc\u202c \u05e9\u200f\u05dc", "abc \u05e9\u05dc"),
        ("a\u200db\u200cc", "abc"),
        ("hid\U000e0068\U000e0069den\U000e0100", "hidden"),
        ("\ud83d\ude00 \ud800!", "😀 \ufffd!"),
    ],
)
def test_what_nobody_sees_goes(text: str, expected: str) -> None:
    assert cleaned(text) == expected
    assert reasons(text).keys() <= {"characters", "encoding"}


@pytest.mark.parametrize(
    "text",
    [
        f"{FAMILY} \u2764\ufe0f\u200d\U0001f525 \U0001f44d\U0001f3fd \U0001f3f3\ufe0f\u200d\U0001f308 {WALES}",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian: I want
        "\u0915\u094d\u200d\u0937 \u0d28\u0d4d\u200d \u0995\u09cd\u200c\u09b7",  # Hindi, Malayalam, Bengali
        "\u845b\U000e0100\u57ce",  # an ideograph's variant
        "café 你好 \u3000indent",
    ],
)
def test_what_spells_stays(text: str) -> None:
    assert cleaned(text) == text


def test_letters_are_composed() -> None:
    assert cleaned("cafe\u0301 \u212b") == "café Å"
    assert reasons("cafe\u0301") == {"unicode": 1}
    assert unicodedata.is_normalized("NFD", cleaned("cafe\u0301", unicode="none"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\n \n  a \t\n\n\n\n\n\nb\n  \n", "  a\n\n\nb"),
        ("10\xa0mg\u2009now", "10 mg now"),
        ("«\xa0Oui\xa0»\xa0?", "«\xa0Oui\xa0»\xa0?"),
        ("def f():\n    x  =  1\n\n\n    return x", "def f():\n    x  =  1\n\n\n    return x"),
        ("see\n```py\na  \n\n\n\n\nb\n```\nend  ", "see\n```py\na  \n\n\n\n\nb\n```\nend"),
        ("~~~\n```\n\n\n\n\nx", "~~~\n```\n\n\n\n\nx"),
    ],
)
def test_white_space_is_tidied_but_never_indentation_or_code(text: str, expected: str) -> None:
    assert cleaned(text) == expected
    assert cleaned(text, spaces="none") == text


def test_blank_lines_are_bounded_as_asked() -> None:
    assert cleaned("a\n\n\n\nb", blank_lines=1) == "a\n\nb"
    assert cleaned("a\n\n\n\nb", blank_lines=0) == "a\nb"
    with pytest.raises(RecipeError, match=r"data\.curators\.clean\.blank_lines is -1; a number of lines is 0 or more"):
        cleaned("a", blank_lines=-1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one<br>two<BR />three", "one\ntwo\nthree"),
        ("<p class='x'>A <b>bold</b> <a href=\"u?a>b\">link</a> &amp; more&nbsp;text</p>", "A bold link & more text"),
        ("<ul><li>x</li><li>y</li></ul>", "- x\n- y"),
        ("10<sup>3</sup> H<sub>2</sub>O &lt; 5 &#8364; &#x20AC;", "10^3 H2O < 5 € €"),
        ("&amp;lt;br&amp;gt;x", "x"),
        ("<i>a <i>b</i> c</i>", "a b c"),
        ("<table><tr><td>a</td><td>b</td></tr></table>", "a b"),
        ("x<!-- hidden\n-->y", "xy"),
    ],
)
def test_stray_tags_and_entities_go(text: str, expected: str) -> None:
    assert cleaned(text, blank_lines=1) == expected
    assert reasons(text)["tags"] == 1


@pytest.mark.parametrize(
    "text",
    [
        "a < b and c > d, x <b and y> z, i<n",
        "vector<int> v; List<b> w; if (a<b && c>d) f<p;",
        "see https://x.example/?a=1&copy=2&lt=3",
        "R&D, AT&T; Q&A &unknown;",
        "use `<br>` and ``a<b>c</b>`` here",
        "look:\n```\n<b>x</b> &amp;\n```",
        "<pre>a &lt; <b>b</b></pre> <code>&amp;</code>",
        '{"shown": "<b>bold</b> &quot;x&quot;"}',
        "<!DOCTYPE html><p>page</p>",
        "<style>p {}</style><p>x</p>",
        "In HTML, <b>x</b> is bold",
        "Which tag is <br>?",
        "<svg><path d='M0'/></svg> <mytag>x</mytag>",
    ],
)
def test_what_only_looks_like_stray_markup_stays(text: str) -> None:
    assert cleaned(text) == text


def test_answers_keep_their_tags_unless_asked() -> None:
    given = talk("a<br>b", "a<br>b")
    assert [m.content for m in curate(given)[0][0].messages] == ["a\nb", "a<br>b"]
    assert [m.content for m in curate(given, tags="answers")[0][0].messages] == ["a<br>b", "a\nb"]
    assert [m.content for m in curate(given, tags="both")[0][0].messages] == ["a\nb", "a\nb"]
    assert curate(given, tags="none")[0][0].messages == given.messages


PAGE = (
    "<html><head><title>t</title></head><body><nav><a href='/'>Home</a> <a href='/x'>Contact</a></nav><article>"
    f"<h1>Gout</h1><p>{'Gout is a painful kind of arthritis. ' * 8}</p></article><footer>Imprint</footer></body></html>"
)


def test_pages_become_their_main_text() -> None:
    pytest.importorskip("trafilatura")
    text = cleaned(PAGE, pages="prompts")
    assert "painful kind of arthritis" in text
    assert not any(word in text for word in ("<", "Home", "Contact", "Imprint"))
    assert reasons(PAGE, pages="prompts")["page"] == 1
    assert cleaned(PAGE) == PAGE
    assert cleaned("no page <br>", pages="prompts", tags="none") == "no page <br>"


def test_pages_without_their_package_are_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trafilatura", None)
    with pytest.raises(
        RecipeError,
        match=r"data\.curators\.clean\.pages needs the package trafilatura: pip install 'tunesmith\[html\]'",
    ):
        cleaned(PAGE, pages="prompts")


@pytest.mark.parametrize(
    "signature",
    [
        "-- \nJane Doe\nAcme",
        "--\nJane",
        "Best regards,\nJane Doe\nHead of Sales\n+1 555 0100",
        "Mit freundlichen Grüßen\n\nJana Muster",
        "Thanks again,\nJ.",
        "Sent from my iPhone.",
        "Von meinem iPhone gesendet",
        "Thanks,\nJane\n\nSent from my iPad",
    ],
)
def test_signatures_go_where_asked(signature: str) -> None:
    text = f"Please look at this.\n\n{signature}"
    assert cleaned(text, signatures="prompts") == "Please look at this."
    assert reasons(text, signatures="prompts")["signature"] == 1
    assert cleaned(text) == text.replace("-- ", "--")


@pytest.mark.parametrize(
    "text",
    [
        "Best regards,\nJane",
        "Thanks,\nbut I think that we should look at all of these figures again.",
        "Thanks,\n" + "one\n" * 11 + "end",
        "a\n-- b\nc",
        "He sent from my house the mail that I wanted to see yesterday",
        "- one\n- two\n---\nrest",
    ],
)
def test_what_is_no_signature_stays(text: str) -> None:
    assert mail.without_signature(text) == text


@pytest.mark.parametrize(
    "paragraph",
    [
        "CONFIDENTIALITY NOTICE: do not read.",
        "This e-mail and any attachments are confidential\nand intended solely for the addressee.",
        "If you are not the intended recipient, delete it.",
        "Please consider the environment before printing this e-mail.",
        "[EXTERNAL] This email originated from outside of the organization.",
        "Diese E-Mail enthält vertrauliche Informationen.",
        "Ce message est confidentiel.",
        "Este correo es confidencial.",
    ],
)
def test_disclaimers_go_where_asked(paragraph: str) -> None:
    text = f"First.\n\n{paragraph}\n\nLast."
    assert cleaned(text, disclaimers="prompts") == "First.\n\nLast."
    assert cleaned(f"{paragraph}\n\nLast.", disclaimers="prompts") == "Last."
    assert cleaned(text) == text
    assert reasons(text, disclaimers="prompts") == {"disclaimer": 1}


def test_a_paragraph_that_only_speaks_of_secrets_stays() -> None:
    text = "Keep your password confidential.\n\nThe message came late. If you have received it, say so."
    assert mail.without_disclaimers(text) == text


def test_patterns_of_ones_own_go_with_their_lines() -> None:
    patterns = {"ticket": r"^Ticket #\d+$", "assistant": r"As an AI language model, "}
    given = talk("Ticket #12\nIt is hot.\nTicket #13", "As an AI language model, I see.")
    (kept,), counts = curate(given, patterns=patterns)
    assert [m.content for m in kept.messages] == ["It is hot.", "I see."]
    assert counts["changes"] == {"pattern assistant": 1, "pattern ticket": 1, "white space": 1}
    (kept,), _ = curate(given, patterns=patterns, patterns_in="answers")
    assert [m.content for m in kept.messages] == ["Ticket #12\nIt is hot.\nTicket #13", "I see."]


def test_a_line_that_is_all_pattern_leaves_no_gap() -> None:
    patterns = {"ticket": r"Ticket #\d+"}
    assert cleaned("a\nTicket #1\nb Ticket #2\nc", patterns=patterns, spaces="none") == "a\nb \nc"


def test_what_one_part_shows_is_seen_by_those_before_it() -> None:
    assert cleaned("co&#8203;operate") == "cooperate"
    assert reasons("co&#8203;operate") == {"characters": 1, "tags": 1}


def test_a_broken_pattern_is_refused_by_its_key() -> None:
    with pytest.raises(
        RecipeError, match=r"data\.curators\.clean\.patterns\.odd is '\(a', which is no regular expression: missing \)"
    ):
        cleaned("a", patterns={"good": "a", "odd": "(a"})


def test_an_example_that_becomes_empty_is_dropped_by_reason() -> None:
    given = [
        talk("\u200b", "x"),
        talk("x", "\ufeff \n"),
        Example(segments=(Segment("Q: ", 0.0), Segment("\u200b"))),
        Example(chosen=talk("q", "a").messages, rejected=talk("q", "\x00").messages),
        talk("q", " ", tool_calls=[{"name": "find"}]),
        Example(messages=(Message("system", " "), *talk("q", "a").messages)),
        talk("q", ""),
    ]
    kept, counts = curate(*given)
    assert [example.id for example in kept] == ["4", "5", "6"]
    assert counts["drops"] == {"empty answer": 3, "empty prompt": 1}


def test_what_is_asked_is_cleaned_as_what_was_learnt_and_never_dropped() -> None:
    given = [talk("a<br>b \u200b", "").with_(id="0"), talk("\u200b", "").with_(id="1")]
    asked = change_questions({"clean": Clean()}, given, seed=7)
    assert [example.messages[0].content for example in asked] == ["a\nb", "\u200b"]


def test_ends_of_segments_join_and_stay() -> None:
    given = Example(segments=(Segment("Q:  \u200b one \n", 0.0), Segment(" two\t\n\nthree ")))
    (kept,), counts = curate(given)
    assert kept.segments == (Segment("Q:   one \n", 0.0), Segment(" two\n\nthree "))
    assert counts["changes"] == {"characters": 1, "white space": 1}


def test_each_part_is_counted_once_an_example_and_what_is_clean_is_the_same_object() -> None:
    given = [talk("a \nb \nc", "d \ne"), talk("clean", "too")]
    named = [example.with_(id=str(at)) for at, example in enumerate(given)]
    kept, counts = apply_curator("clean", Clean(), named, seed=7)
    assert counts["changes"] == {"white space": 1}
    assert kept[1] == named[1]
    assert list(Clean().apply(named, Tally(7)))[1] is named[1]


def test_pages_that_are_code_are_told_from_text() -> None:
    assert markup.is_page("<body class='x'>")
    assert not markup.is_page("somebody <b>x</b>")
