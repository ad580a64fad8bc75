"""What mails carry beside their message: signatures and disclaimers."""

import re

_LONGEST = 10
_WIDEST = 60
_WORDS = 8
_CLOSING = re.compile(
    r"(?:(?:with )?(?:(?:best|kind|kindest|warm|warmest) )?(?:regards|wishes)|all the best|best"
    r"|cheers|sincerely(?: yours)?"
    r"|yours (?:sincerely|faithfully|truly)|respectfully|thanks(?: again| and regards)?|thank you|many thanks"
    r"|mit (?:freundlichen|besten|herzlichen) gr[üu](?:ß|ss)en|(?:viele|beste|liebe|herzliche) gr[üu](?:ß|ss)e"
    r"|cordialement|bien [àa] vous|salutations|saludos(?: cordiales)?|atentamente|un saludo|cordiali saluti"
    r"|distinti saluti|met vriendelijke groet(?:en)?|com os melhores cumprimentos|atenciosamente)[,.!]?",
    re.IGNORECASE,
)
_DEVICE = re.compile(
    r"(?:sent|envoyé|enviado|inviato|verzonden|gesendet|von meinem|get outlook|skickat)\b.{0,40}"
    r"\b(?:iphone|ipad|android|outlook|samsung|galaxy|blackberry|mobile|smartphone|handy|mail|ios)\b.{0,20}",
    re.IGNORECASE,
)
_MAIL = r"(?:e-?mail|message|communication|transmission|fax)"
_DISCLAIMER = re.compile(
    rf"\A\W*(?:confidentiality (?:notice|note|statement)|confidential(?:ity)? disclaimer|(?:e-?mail )?disclaimer"
    r"|legal notice)\s*:"
    rf"|\b(?:this|the information (?:contained )?in this) {_MAIL}\b.{{0,200}}?"
    r"\b(?:confidential|privileged|intended (?:only|solely|exclusively|for))\b"
    r"|\bif you (?:are not the (?:intended|named) (?:recipient|addressee)|have received this .{0,40}in error)\b"
    r"|\A\W*(?:please )?(?:consider|think of) the environment before printing\b"
    rf"|\A\W*(?:caution|warning|external)\W+this {_MAIL} (?:originated|was sent|comes) from outside\b"
    r"|\bdiese (?:e-?mail|nachricht)\b.{0,200}?\b(?:vertraulich\w*|ausschließlich)\b"
    r"|\bce (?:message|courriel|mail)\b.{0,200}?\bconfidentiel\w*"
    r"|\best[ea] (?:mensaje|correo|e-?mail)\b.{0,200}?\bconfidencial\w*",
    re.IGNORECASE | re.DOTALL,
)


def without_signature(text: str) -> str:
    """The text up to its signature: the line `--`, or a closing formula with a few short lines, or `Sent from my ...`.

    A text that is all signature stays.
    """
    lines = text.split("\n")
    filled = [at for at, line in enumerate(lines) if line.strip()]
    for number in range(max(1, len(filled) - _LONGEST), len(filled)):
        if _begins(lines[filled[number]], [lines[at].strip() for at in filled[number + 1 :]]):
            return "\n".join(lines[: filled[number - 1] + 1])
    return text


def without_disclaimers(text: str) -> str:
    """The text without paragraphs that say whom a mail is for, or what must not be done with it."""
    paragraphs = re.split(r"(\n[ \t]*\n\s*)", text)
    if not any(_DISCLAIMER.search(paragraph) for paragraph in paragraphs[::2]):
        return text
    kept: list[str] = []
    for at in range(0, len(paragraphs), 2):
        if not _DISCLAIMER.search(paragraphs[at]):
            gap = paragraphs[at - 1] if kept else ""
            kept += [gap, paragraphs[at]]
    return "".join(kept)


def _begins(line: str, below: list[str]) -> bool:
    """Whether a line and all that is below it are a signature."""
    if not below:
        return _DEVICE.fullmatch(line.strip().rstrip(".")) is not None
    if line in ("--", "-- "):
        return True
    return _CLOSING.fullmatch(line.strip()) is not None and all(
        len(said) <= _WIDEST and len(said.split()) <= _WORDS for said in below
    )
