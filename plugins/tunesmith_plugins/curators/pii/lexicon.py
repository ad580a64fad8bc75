"""Words: which are given names, which are common, and what a capital letter is."""

import re
import sys
from functools import cache
from pathlib import Path

from tunesmith_plugins.curators.pii.word_list import words

# For character classes of `re`, which has no class of capitals.
UPPER = "".join(c for c in map(chr, range(0x530)) if c.isupper())

# Given names that are cities, states or months at least as often.
AMBIGUOUS = frozenset(
    words(
        """
        april asia august austin carolina chad charlotte china dakota dallas eden florence georgia houston india israel
        jackson january jordan june kenya lincoln lourdes madison may omega paris savannah sydney victoria virginia
        """
    )
)
# Given names that are words as well: names within a sentence, where they are capitalised for no other reason.
WORDS_TOO = frozenset(
    words(
        """
        amber angel art autumn basil bill brook buck carol charity chase christian cliff crystal daisy dale dawn destiny
        dick drew duke earl earnest faith forest frank gale gay ginger glen grace grant guy harry heath heather honey
        hope iris iva ivy jack jay joy king lance lily love major mark martin max mercy nick olive page pat patience
        pearl penny pierce precious prince prudence randy ray red reed rich rob robin rock rose ruby rusty sage sandy
        skip star stone storm sue sunny sunshine tab tuesday violet will wade wilder worth royal golden chance cash
        case chance earnest fair gene miles son queen princess song star summer sterling trinity true van vance
        """
    )
)
# Surnames that are words as well: names behind a given name, or one that is in no list ("Xolani Wise").
SURNAMES_TOO = frozenset(
    words(
        """
        abbott archer ash ball banks barber barker barn bass battle bean beard beck berry best bird bishop black blank
        bliss block blood bloom blue bold bolt bond bone booker booth bowman boyd branch brand brick bridges bright
        brook brooks brown buck bull burns bush butcher butler cain camp cannon carpenter carter carver case cash
        chance chandler chase christian clay close coal coffey coffin cole coleman collier constable cook cooper corn
        cotton cousins cox craft crane crisp crook cross crow crowder cry curry curtain curtis dale dance darling dash
        day deal dean deer dove drake draper drew driver drum dry duke dyer eagle east easter elder england english
        farmer field fielder fields finch fish fisher flag fletcher flood flowers fly ford forest forester forrest
        foster fowler fox franks freed freeman frost fu fuller gage gamble gates gay gentry gold golden goode gore
        grant graves gray green grey gross grove guard guest guy hair hall hare hart harvest hawk hay hays heart heath
        held henry hide high hill hills ho hogg holder holiday holland hollow holly holmes holt honey hood hook hooker
        hope horn horne hu hunt hunter ivory ivy jewel joiner joy judge kay keen key king kirk kitchen knight knox
        lamb lance land lane large lark law lawman laws lay li light little lock long looper lord lore love low lowe
        lu ma marble mark marks marsh marshall mason masters may mayer mead means mercer merchant merit merry miller
        mills minor mix money monk moody moon moor moore moss needle neighbors new newman ng nice noble north oakes
        oaks olive orange outlaw pace pack page paige palm palmer parks parrish parson parsons patch payne peace
        peacock pearl pepper person pham phipps pickle pierce pike pine piper pitt pitts plant plum pointer poland
        pool poole pope porter post potter potts pound powers pratt presley price pride priest prince prior pruitt
        rains rash ray read reed reeves rice rich ring ringer rivers roach robins rock roller rose ross rowe royal
        rush rust salmon salt sands savage sawyer saylor sells sexton shade sharp sharpe shaw shepherd shields
        shoemaker short sides silver simmons singer singleton skinner slack slaughter slow small smart smith snider
        snow sommers song sparks spear speed spence spencer spring springer squires stall stamp star stark starling
        steel steele steep stein sterling stern steward stock stone storey storm story stout strain strange strong
        style su sugar summer summers sun swan sweat sweet swift swing sy tailor tate taylor teal terry thorn thorne
        thrasher tide tiller timber toll trail travel travis trout truck trump tucker turner underwood usher vale
        valentine van vance vaughn vest vice vo waite wall waller walls ward ware warner warren waters way weaver webb
        weeks welch wells west wheat wheeler white whitehead wick wild wilder will wills winchester wind winter
        winters wise wolf wolfe wood woodard woods woodward word workman worth wright wu xu yates ye young yu
        """
    )
)
# What dialogues are full of, and lists of words are not.
SPOKEN = frozenset(
    words(
        """
        oh ah hm hmm hmmm mm mmm um uh uhm aw ow nah nope yep yup yeah huh wow ouch oops gosh gee lets lemme gimme
        gonna wanna gotta gotcha kinda sorta alright ok okay okey congratulations goodbye bye hurray aha mhm ugh eh er
        erm well ha hah haha dang god lord pardon ma'am madam sir yessir anybody everybody somebody nobody awesome
        fantastic incredible amazing terrific lots guest tbh lol omg asap fyi btw idk thx pls hang sample moreover
        furthermore nevertheless nonetheless meanwhile otherwise hence thus therefore eleven twelve thirteen fourteen
        fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred
        thousand million navy beige maroon turquoise teal magenta cyan crimson khaki burgundy
        """
    )
)
# Endings of words of medicine, of medicines, and of adverbs: of nobody's name, but for those that are given names.
_ENDINGS = re.compile(
    r".{2,}(?:icians?|olog(?:y|ies|ist|ists|ic|ical)|iatr(?:y|ics|ist|ists)|itis|aemia|cythemia|glyc?emia|kalemia|natremia|"
    r"uremia|scop(?:y|ies|ic)|ectom(?:y|ies)|otom(?:y|ies)|ostom(?:y|ies)|graph(?:y|ies|ic)|gram|grams|ations?|itions?|"
    r"ments|pathy|pathies|plasty|plegia|algia|osis|mycin|cillin|statin|prazole|sartan|[ao]lol|oxacin|tidine|triptan|"
    r"tinib|zumab|limumab|ximab|azepam|zolam|dipine|gliptin|gliflozin|glutide|cycline|setron|profen|coxib|parin|azole|"
    r"wards|ically|ously|[^aeiouy]ily|edly|fully|ingly|ably|ibly|[aeiou]lly|stly|tely|rely|ntly|ctly|dly)"
)


def is_word(low: str) -> bool:
    """Whether a word, in lower case, is one of the language or a thing's name, as far as can be told."""
    return low in no_names() or (low not in given_names() and _ENDINGS.fullmatch(low) is not None)


@cache
def given_names() -> frozenset[str]:
    """5,163 given names of the census of 1990 of the United States, in lower case; public domain."""
    return frozenset(map(sys.intern, (Path(__file__).with_name("given_names.txt")).read_text(encoding="utf-8").split()))


@cache
def common_words() -> frozenset[str]:
    """Words that are written in lower case in dialogues, notes, abstracts and letters, in lower case.

    Of MTS-Dialog and Banking77 (CC BY 4.0) and PubMedQA (MIT): single words, none of their texts.
    """
    return frozenset(
        map(sys.intern, (Path(__file__).with_name("common_words.txt")).read_text(encoding="utf-8").split())
    )


@cache
def proper_nouns() -> frozenset[str]:
    """What is capitalised and nobody's name: countries, medicines, makers, eponyms ("Parkinson"), organisms."""
    lines = (Path(__file__).with_name("proper_nouns.txt")).read_text(encoding="utf-8").splitlines()
    return frozenset(sys.intern(word) for line in lines if not line.startswith("#") for word in line.split())


@cache
def no_names() -> frozenset[str]:
    """Words that are a name only where something says so: a title, a label, a given name before them."""
    return common_words() | proper_nouns() | SPOKEN


@cache
def sure_names() -> frozenset[str]:
    """Given names that are nothing else."""
    return given_names() - no_names() - AMBIGUOUS - WORDS_TOO
