"""The same text in two documents, to be shown once."""

import re
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache

from utils.passages import Hit

_SHINGLE = 4  # words
# Of all shingles of two texts, the part they must share: one word in 40 may differ, and the words around it with it.
_ALIKE = 0.8
_WORD = re.compile(r"\w+")
_DIGITS = re.compile(r"[0-9]+")
_KEPT = 1024  # texts whose words are kept, some 20 kB each: the same ones are found again and again


def distinct(hits: Sequence[Hit]) -> Iterator[Hit]:
    """*hits* in order, without those whose text nearly is that of one before.

    Texts that differ in a figure are no duplicates, however alike: a fee of last year, and the one of this year. What
    is not taken is not compared.
    """
    seen: list[_Print] = []
    for hit in hits:
        this = _print_of(hit.passage.text)
        if not any(this.is_like(other) for other in seen):
            seen.append(this)
            yield hit


class _Print:
    """A text as it is compared: its figures in order, and runs of words where two have the same figures."""

    def __init__(self, text: str) -> None:
        self._text = text
        # Most texts have others, and are told apart by them before they are taken apart into words.
        self.digits = _DIGITS.findall(text)

    def is_like(self, other: "_Print") -> bool:
        """Whether both nearly are one text."""
        if self.digits != other.digits:
            return False
        fewer, more = sorted((len(self.words), len(other.words)))
        if self.figures != other.figures or fewer < _ALIKE * more:
            return False
        shared = len(self.shingles & other.shingles)
        return shared >= _ALIKE * (len(self.shingles) + len(other.shingles) - shared)

    @cached_property
    def words(self) -> list[str]:
        return _WORD.findall(self._text.casefold())

    @cached_property
    def figures(self) -> list[str]:
        return [word for word in self.words if not word.isalpha()]

    @cached_property
    def shingles(self) -> frozenset[int]:
        size = min(_SHINGLE, max(len(self.words), 1))
        return frozenset(map(hash, zip(*(self.words[at:] for at in range(size)), strict=False)))


@lru_cache(_KEPT)
def _print_of(text: str) -> _Print:
    return _Print(text)
