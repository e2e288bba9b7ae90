"""Text as it is compared: case, accents and the many shapes of quotes and dashes do not count."""

import re
from functools import lru_cache

from utils.normal_forms import normalize

_ALIKE = str.maketrans(
    dict.fromkeys("‘’‛`´ʼ", "'") | dict.fromkeys("“”„«»", '"') | dict.fromkeys("–—−‐‑", "-") | {"\u00ad": ""}
)
_MARKS_OF_ACCENTS = re.compile("[\u0300-\u036f]+")


def unify_marks(text: str) -> str:
    """*text* with one kind of quote and dash, of the same length unless it has soft hyphens."""
    return text.translate(_ALIKE)


_SHORT = 40  # characters of a text that comes again


def fold(text: str) -> str:
    """*text* without case and accents."""
    if text.isascii():
        return text.casefold()
    return _fold_character(text) if len(text) <= _SHORT else _fold_character.__wrapped__(text)


@lru_cache(8192)
def _fold_character(text: str) -> str:
    return _MARKS_OF_ACCENTS.sub("", normalize("NFKD", unify_marks(text).casefold()))
