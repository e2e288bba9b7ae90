"""Lines as they stand on a page to the paragraphs they were before they were broken."""

import re
from collections.abc import Iterator

from ingestion.parsers.parsed import clean

# PDFium marks a hyphen at a line's end, where a word goes on in the next line, with U+FFFE (or U+0002).
BROKEN_WORD = re.compile("[\ufffe\x02]\\s*")
SENTENCE_END = re.compile(r"[.!?:;…。][\"'”’»)\]]*$")
# A line at least this long, next to the page's longest, was broken by the page's margin and not by its author.
FULL_LINE = 0.6


def iter_paragraphs(text: str, longest: int | None = None) -> Iterator[str]:
    """The paragraphs of lines, with those joined that only the page's width had broken.

    *longest* is the usual length of a full line, in characters, where the page holds more than these lines.
    """
    lines = [line.strip() for line in clean(BROKEN_WORD.sub("", text)).split("\n")]
    full = FULL_LINE * (find_usual_longest(lines) if longest is None else longest)
    paragraph = last = ""
    for line in lines:
        if not line or (last and len(last) < full and not line[0].islower() and SENTENCE_END.search(last)):
            yield paragraph
            paragraph = line
        else:
            goes_on = len(last) >= full or line[0].islower()
            paragraph += (" " if goes_on else "\n") + line if last else line
        last = line
    yield paragraph


def find_usual_longest(lines: list[str]) -> int:
    """The length nine of ten lines do not exceed: a few may run across two columns."""
    lengths = sorted(len(line) for line in lines if line)
    return lengths[len(lengths) * 9 // 10] if lengths else 0
