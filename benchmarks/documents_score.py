"""How much of an expected Markdown a parsed document says: its words, and the cells of its tables."""

import html
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

WORD = re.compile(r"\w+")
NOT_TEXT = re.compile(r"<!--.*?-->|<[^>]{1,200}>|!\[[^\]]*\]\([^)]*\)", re.DOTALL)
LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
ESCAPE = re.compile(r"\\([\\`*_{}\[\]()#+\-.!|<>~$])")
RULE = re.compile(r"\|?[\s:|-]+\|?")


def words_f1(expected: str, found: str) -> float:
    """F1 over the words of a Markdown text and of a plain one, as often as they occur; order does not count."""
    return _f1(WORD.findall(_plain(expected)), WORD.findall(_normal(found)))


def cells_f1(expected: str, found: str) -> float | None:
    """F1 over the filled cells of all tables, in the order in which rows say them or not; None without a table."""
    wanted = _cells(line.strip().strip("|") for line in expected.split("\n") if line.lstrip().startswith("|"))
    if not wanted:
        return None
    return _f1(wanted, _cells(line for line in found.split("\n") if " | " in line))


def _cells(rows: Iterable[str]) -> list[str]:
    cells = (cell for row in rows if not RULE.fullmatch(row) for cell in row.split("|"))
    words = (" ".join(WORD.findall(_plain(cell))) for cell in cells)
    return [text for text in words if text]


def _f1(wanted: list[str], found: list[str]) -> float:
    if not wanted or not found:
        return float(wanted == found)
    common = (Counter(wanted) & Counter(found)).total()
    return 2 * common / (len(wanted) + len(found))


def _plain(markdown: str) -> str:
    """What a reader sees of it."""
    return _normal(ESCAPE.sub(r"\1", html.unescape(LINK.sub(r"\1", NOT_TEXT.sub(" ", markdown)))).replace("_", " "))


def _normal(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().replace("_", " ")
