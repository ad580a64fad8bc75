"""What stands before a number and says whose it is: "MRN:", "account no.", "policy number is"."""

import re
from typing import NamedTuple

from tunesmith_plugins.curators.pii.word_list import words

# Labels that name a number by themselves. Of two that end alike the longer counts.
_STRONG = {
    "RECORD": "mrn|medical record|health record|patient record|patient id|patient identifier|patient|pt id|chart|"
    "hospital number|hospital no|hospital|hosp|encounter|accession|specimen|sample|nhs|case file|patientennummer|"
    "fallnummer|admission|record|rec|health record|unit number|unit no|episode|visit|csn|fin|har|emr|ehr|emrn|urn|ur|"
    "hrn|hcn|phn|chi|nhi|file|case|lab|requisition|order id|rx|prescription|referral|pid|dossier|aktenzeichen",
    "PLAN": "member id|member|subscriber id|subscriber|policy|plan id|health plan|beneficiary|hicn|mbi|medicare|"
    "medicaid|claim|insurance id|insurance|insurance policy|group id|policyholder|versicherungsnummer|enrollee|"
    "enrollment|authorization|authorisation|pre-authorization|auth|cover|plan|coverage|krankenversichertennummer",
    "ACCOUNT": "account|acct|a/c|acc|customer id|customer|client id|transaction|transfer|reference|ref|invoice|loan|"
    "contract|user id|swift|bic|sort code|kundennummer|konto|kontonummer|mortgage|wallet|payment|order|booking|bsb|"
    "checking|savings|current account|deposit|brokerage|portfolio|statement|receipt|confirmation|ticket|tracking|trace|"
    "application|credit|debit|remittance|folio|clabe|ifsc|micr|cheque|check|batch|vertragsnummer|rechnungsnummer",
    "CARD": "card|credit card|debit card|visa|mastercard|amex|kreditkarte|cc",
    "ROUTING": "routing|aba|rtn|routing/aba|blz|bankleitzahl",
    "SSN": "ssn|social security|soc sec|social|ss|sin|tin|tax id|taxpayer id|taxpayer|ein|itin|national insurance|ni|"
    "nino|steuer-id|steuernummer|sozialversicherungsnummer|ssi|nif|nie|dni|pesel|bsn|cpf|aadhaar|codice fiscale",
    "LICENCE": "license|licence|driver's license|drivers license|driver license|driving licence|dl|passport|"
    "certificate|cert|npi|dea|registration|permit|state id|national id|reisepass|ausweis|personalausweis|bar|"
    "visa no|green card|photo id|gmc|nmc|gdc|upin|clia|führerschein|id card|identity card",
    "VEHICLE": "vin|plate|license plate|licence plate|number plate|plates|vehicle|chassis|kennzeichen|reg|"
    "vehicle registration|car registration|fahrgestellnummer|immatriculation|matrícula",
    "DEVICE": "serial|s/n|sn|imei|imsi|iccid|udi|device|device id|pacemaker|implant|seriennummer|pump serial|lot|meid",
    "PHONE": "phone|tel|telephone|mobile|cell|fax|pager|handy|telefon|telefax|call|text|reach me at|reached at|"
    "reach us at|reachable at|phone at|call me at|call us at|whatsapp|landline|beeper|dial|mob|ph|contact",
    "ADDRESS": "zip|zip code|zipcode|postal code|postcode|plz|eircode",
    "BIOMETRIC": "fingerprint|fingerprints|fingerprint template|face template|facial template|iris template|iris code|"
    "retinal scan|biometric template|voice print|face print|"
    "retina scan|retina|iris scan|biometric|voiceprint|faceprint|palm print",
    "ID": "employee|employee id|badge|student id|staff id|personnel|identifier|identification|id|matriculation|login|"
    "username|study id|subject id|participant id|participant|incident|report|respondent id|donor|reference number|"
    "locker|member of staff|customer reference|employee number|subject",
}
LABELS = {label: kind for kind, words in _STRONG.items() for label in words.split("|")}
# These stand before numbers that identify nobody ("visit 3", "call 911"): they need a mark or a long number.
_WEAK = frozenset(
    words(
        """
        patient chart encounter specimen member claim insurance customer transaction transfer reference ref card visa cc
        social ss vehicle device lot call text permit registration bar contact participant employee order loan
        contract payment invoice beneficiary certificate policy bsb sn ph dl wallet dial mortgage admission booking
        pacemaker implant acc tin sin swift bic medicare medicaid personnel login license licence subscriber
        hospital hosp sample record rec episode visit fin har chi file case lab requisition rx prescription referral
        pid enrollment authorization authorisation auth cover plan coverage checking savings deposit brokerage
        portfolio statement receipt confirmation ticket tracking trace application credit debit remittance folio micr
        cheque check batch nie reg incident report donor locker subject ur urn gmc nmc ni
        """
    )
)
# What may stand between a label and its number; those of the first line mark that a number of it follows.
_MARKS = frozenset(words("number numbers no no. num nr nr. nummer id code identifier"))
_FILLERS = _MARKS | frozenset(
    words(
        "is was of ending ends in digits last four 4 the on file record with my at under to or his her your new old and"
    )
)
_SIGNS = "#:="
_TAIL = " \t\n.*\"'`,)|-(#:="
_HEAD = "([{\"'*|>"
_BACK = 44
_MOST_FILLERS = 6
# Who speaks, and how an answer may begin.
_ANSWER = re.compile(
    r"\W*(?:[\w ]{1,20}: ?)?(?:yes|yeah|yep|no|nope|sure|ok|okay|right|well|so|um|uh|here|here it is|one moment|"
    r"let me see|i think|it's|it’s|its|it is|that's|that is|this is|i have|my|the|number is|[ ,.!:-])*"
)
# Where the last words of a question name nothing, any label in it does ("Is that the account ending in 4411?").
_ASKED = 70


class Label(NamedTuple):
    """What a number is said to be: the kind, and whether that is sure of a short number too."""

    kind: str
    sure: bool


def label_before(low: str, at: int) -> Label | None:
    """The label of what begins at a place of a text in lower case; None where nothing there says what it is.

    Where the text before it on its line is no more than who speaks, and the line before asked, the question counts.
    """
    line = low.rfind("\n", max(0, at - _BACK), at)
    before = low[max(line + 1, at - _BACK) : at]
    if line > 0 and _ANSWER.fullmatch(before):
        asked = low[max(0, line - _BACK) : line].rstrip()
        if asked.endswith("?") or not before.strip():
            return _label(asked.rstrip("?")) or (_asked(low, line) if asked.endswith("?") else None)
    return _label(before)


def _asked(low: str, line: int) -> Label | None:
    """The last label that a question holds, whose line ends there."""
    question = low[max(0, line - _ASKED) : line]
    question = question[question.rfind("\n") + 1 :].rstrip(" ?")
    words = question.replace(",", " ").split()
    for last in range(len(words), 0, -1):
        for first in range(max(0, last - 3), last):
            kind = LABELS.get(" ".join(words[first:last]))
            if kind is not None:
                return Label(kind, False)
    return None


def _label(before: str) -> Label | None:
    before, marked, is_id = before.replace("_", " "), False, False
    for _ in range(_MOST_FILLERS):
        stripped = before.rstrip(_TAIL)
        gap = before[len(stripped) :]
        # Columns of a form stand apart as if a colon were between them.
        marked = marked or any(sign in _SIGNS for sign in gap) or "  " in gap or "\t" in gap
        last = stripped.rsplit(None, 3)[-3:]
        if not last:
            break
        for first in range(len(last)):
            label = " ".join(last[first:]).lstrip(_HEAD)
            # "the zip on file is": a word that is a filler as well is a label only where a mark follows it.
            idiom = label in _FILLERS and (not marked or last[-2:-1] == ["on"])
            if label in LABELS and label != "id" and not idiom:
                return Label(LABELS[label], marked or label not in _WEAK)
        word = last[-1].lstrip(_HEAD)
        if word not in _FILLERS:
            break
        is_id, marked = is_id or word == "id", marked or word in _MARKS
        before = stripped[: len(stripped) - len(word)]
    return Label("ID", True) if is_id else None
