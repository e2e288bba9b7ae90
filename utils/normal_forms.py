"""Unicode's normal forms, in time linear in the length of a text.

Accents that follow one letter are put in order, which takes the square of their number. No writing has more than a few;
30 is what Unicode itself calls safe: https://www.unicode.org/reports/tr15/#Stream_Safe_Text_Format
"""

import re
import unicodedata
from typing import Literal

Form = Literal["NFC", "NFD", "NFKC", "NFKD"]
MAX_MARKS = 30  # in a row
_FIRST, _LAST = 0x300, 0x1E94A  # combining marks there are


def _is_mark(character: str) -> bool:
    """Whether it is put in order with its neighbours, also where its parts are: U+0F73 is one of those."""
    parts = unicodedata.normalize("NFKD", character) if unicodedata.decomposition(character) else character
    return unicodedata.combining(parts[0]) != 0


_MARKS = "".join(filter(_is_mark, map(chr, range(_FIRST, _LAST + 1))))
_FLOOD = re.compile(f"([{_MARKS}]{{{MAX_MARKS}}})[{_MARKS}]++")


def limit_marks(text: str) -> str:
    """*text* with at most `MAX_MARKS` accents in a row."""
    return text if text.isascii() else _FLOOD.sub(r"\1", text)


def normalize(form: Form, text: str) -> str:
    """*text* in a normal form, with at most `MAX_MARKS` accents in a row."""
    return text if text.isascii() else unicodedata.normalize(form, limit_marks(text))
