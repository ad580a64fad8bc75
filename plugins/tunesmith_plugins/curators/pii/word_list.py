"""Lists of words, written as text."""


def words(text: str) -> tuple[str, ...]:
    """The words of a text, in order."""
    return tuple(text.split())


def phrases(text: str) -> tuple[str, ...]:
    """The phrases of a text that commas part, in order."""
    return tuple(" ".join(part.split()) for part in text.split(","))
