"""Where identities stand in a text, and what kinds of them there are."""

import re
from collections.abc import Iterable
from typing import NamedTuple

KINDS = {
    "NAME": "a person's name",
    "ADDRESS": "street, post box, or place with its postal code",
    "PLACE": "a city or another place smaller than a state",
    "DATE": "a date with more than its year",
    "AGE": "an age over 89",
    "PHONE": "a telephone or fax number",
    "EMAIL": "a mail address",
    "SSN": "a social security or tax number",
    "RECORD": "a medical record number",
    "PLAN": "a number of a health plan's member, of a policy or claim",
    "ACCOUNT": "an account, customer or transaction number",
    "IBAN": "an international bank account number",
    "CARD": "a payment card's number",
    "ROUTING": "a bank's routing number",
    "LICENCE": "a number of a licence, certificate, passport or provider (NPI, DEA)",
    "VEHICLE": "a vehicle's identification or plate",
    "DEVICE": "a device's serial number or identifier",
    "URL": "a web address",
    "IP": "an IPv4 or IPv6 address",
    "MAC": "a network card's address",
    "BIOMETRIC": "a biometric identifier's number",
    "ID": "any other number that identifies",
}
# What an earlier run of the curator has put in: never an identity again.
PLACEHOLDER = re.compile(r"\[[A-Z][A-Z0-9_]*_\d+\]")


class Found(NamedTuple):
    """An identity in a text: from `start` to before `end`."""

    start: int
    end: int
    kind: str


def settled(text: str, found: Iterable[Found]) -> list[Found]:
    """The finds in the order of the text, none over another.

    Those that overlap become one, of the kind of the first given: what only one of them covers is an identity all the
    same. Finds in placeholders are left out.

    Args:
        text: The text.
        found: Finds, the most certain kind first.
    """
    ranked = sorted(enumerate(found), key=lambda item: item[1].start)
    taken = [match.span() for match in PLACEHOLDER.finditer(text)] if "[" in text else []
    whole: list[tuple[int, Found]] = []
    for rank, one in ranked:
        if one.end <= one.start or any(start < one.end and one.start < end for start, end in taken):
            continue
        if whole and one.start < whole[-1][1].end:
            last_rank, last = whole[-1]
            kind = last.kind if last_rank <= rank else one.kind
            whole[-1] = min(last_rank, rank), Found(last.start, max(last.end, one.end), kind)
        else:
            whole.append((rank, one))
    return [one for _, one in whole]
