"""Rows as the vectors of their two sides, what is asked and what is answered; each distinct text is held once."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tunesmith import Example, parts_of
from tunesmith_plugins.curators.embedding.encode import Encoder, Floats, encoder

Places = NDArray[np.int64]
_BATCH = 1024


@dataclass(frozen=True)
class Rows:
    """Rows as vectors.

    Args:
        vectors: Of each distinct text, of unit length or zeros.
        places: For each row, which of these its prompt and its answer is: `[rows, 2]`.
    """

    vectors: Floats
    places: Places

    def __len__(self) -> int:
        return len(self.places)

    def known(self) -> NDArray[np.bool_]:
        """Whether the model knows something of each row's prompt and answer: `[rows, 2]`."""
        texts: NDArray[np.bool_] = (self.vectors != 0).any(axis=1)
        return texts[self.places]

    def of(self, rows: Places) -> Floats:
        """Vectors of some rows, that of the prompt beside that of the answer, of unit length together.

        The product of two is the mean of the cosines of prompts and of answers, where both rows have both.
        """
        sides = self.vectors[self.places[rows]]
        both: Floats = sides.reshape(len(rows), -1)
        count = sides.any(axis=2).sum(axis=1, keepdims=True)
        both /= np.sqrt(np.maximum(count, 1), dtype=np.float32)
        return both


def embedded(examples: Iterable[Example], folder: Path) -> Rows:
    """The rows of a stream of examples, as the model in a folder sees their prompts and answers.

    Raises:
        RecipeError: The folder holds no model that can be used.
        AbsentPackageError: It is a static model, and the extra `semantic` is not installed.
    """
    texts = (text for parts in map(parts_of, examples) for text in (parts.prompt, parts.answer))
    vectors, places = distinct(texts, encoder(folder))
    return Rows(vectors, places.reshape(-1, 2))


def distinct(texts: Iterable[str], encode: Encoder) -> tuple[Floats, Places]:
    """The vectors of the distinct ones of a stream of texts, and which of these each text has."""
    seen: dict[bytes, int] = {}
    places: list[int] = []
    waiting: list[str] = []
    vectors: list[Floats] = []
    for text in texts:
        key = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if key not in seen:
            seen[key] = len(seen)
            waiting.append(text)
            if len(waiting) == _BATCH:
                vectors.append(_encoded(waiting, encode))
                waiting = []
        places.append(seen[key])
    if waiting:
        vectors.append(_encoded(waiting, encode))
    return _joined(vectors), np.array(places, np.int64)


def _joined(parts: list[Floats]) -> Floats:
    """Vectors one after the other; each part is let go when it is copied, so that they are not held twice."""
    if not parts:
        return np.zeros((0, 1), np.float32)
    joined = np.empty((sum(map(len, parts)), parts[0].shape[1]), np.float32)
    stop = len(joined)
    while parts:
        part = parts.pop()
        joined[stop - len(part) : stop] = part
        stop -= len(part)
    return joined


def _encoded(texts: list[str], encode: Encoder) -> Floats:
    """Vectors of texts; zeros for empty ones, of which a transformer would see the tokens that it adds."""
    # what is no text in UTF-8, tokenizers refuse
    said = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
    found = encode(said)
    found[[not text.strip() for text in texts]] = 0
    return found
