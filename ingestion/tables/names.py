"""Names of tables and columns: what stands in a file, made safe, short and different from each other."""

import re
import unicodedata
from collections.abc import Iterable

_LONGEST_BYTES = 55  # a query's names have at most 63, and a number may come behind it
_WORDS = """
all alter and any as asc between by case cast check collate column commit create cross current_date current_time
default delete desc distinct drop else end escape except exists filter for foreign from full group having if in
index inner insert intersect into is join key left like limit natural no not null of offset on or order outer over
partition primary references right row rows select set table then to union unique update user using values view when
where with
"""
_RESERVED = frozenset(_WORDS.split())
_ACCENTS = re.compile("[\u0300-\u036f]")  # of Latin, Greek and Cyrillic letters; elsewhere marks are vowels
_OTHER = re.compile(r"[\W_]+")


def make_names(texts: Iterable[str], usual: str) -> list[str]:
    """A name for each text, in small letters and digits; `usual_3` for the third where nothing is left of it."""
    used: set[str] = set()
    return [make_unique(_clean(text, usual) or f"{usual}_{place}", used) for place, text in enumerate(texts, 1)]


def make_unique(name: str, used: set[str]) -> str:
    """*name*, with a number behind it where it is *used*, to which the result is added."""
    unique, number = name, 2
    while unique in used:
        unique, number = f"{name}_{number}", number + 1
    used.add(unique)
    return unique


def _clean(text: str, usual: str) -> str:
    plain = unicodedata.normalize("NFKD", text[:200].casefold().replace("%", " percent "))
    name = _OTHER.sub("_", unicodedata.normalize("NFC", _ACCENTS.sub("", plain))).strip("_")
    name = name.encode()[:_LONGEST_BYTES].decode("utf-8", "ignore").strip("_")
    if name[:1].isdigit() or name.startswith("sqlite"):  # such names SQLite keeps for itself
        name = f"{usual[0]}_{name}"
    return f"{name}_" if name in _RESERVED else name
