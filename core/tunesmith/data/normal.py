"""Text as it is compared: between splits, between rows, with benchmarks."""

import unicodedata


def normal_text(text: str) -> str:
    """The text in Unicode NFKC and lower case (case folded), runs of white space as one space, none at both ends.

    Since 0.9.
    """
    return " ".join(folded_text(text).split())


def folded_text(text: str) -> str:
    """The text in Unicode NFKC and lower case, white space as it was."""
    # of ASCII both give the same, and lower() is many times faster
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()
