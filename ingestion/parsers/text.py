"""Plain text: paragraphs between empty lines, with the headings and tables that people make of plain characters."""

import re
from collections.abc import Iterator, Sequence

from ingestion.parsers.encoding import decode
from ingestion.parsers.parsed import Limits, ParsedDocument, TextBuilder, clean
from ingestion.parsers.reflow import FULL_LINE, find_usual_longest
from ingestion.parsers.tables import add_table

EMPTY_LINES = re.compile(r"\n[^\S\n]*\n\s*")
_UNDERLINE = re.compile(r"([=\-~*_#])\1{2,}")
_CELLS = re.compile(r"(?<![ \t.])(?:[ \t]++\.{2,}+[ \t]++|[ \t]*+\.{3,}+[ \t]*+| {3,}+|[ ]*+\t[ \t]*+)")
_BULLET = re.compile(r"(?:[-*•‣–+>]|\d{1,3}[.)]|[a-z][.)])\s")
_LONGEST_HEADING = 100  # characters
_MIN_ROWS = 3  # with as many cells: fewer may be chance
_WRAPPED_AT = range(50, 121)  # characters that editors and mail programs break lines at


def parse(data: bytes, limits: Limits) -> ParsedDocument:
    """The text, in whatever encoding it is.

    A heading is a line with a line of `===` or `---` below it, or one all in capitals that stands alone; rows are lines
    of as many cells, with dots or wide gaps between them. Lines that were broken to fit a page become paragraphs again.
    """
    builder = TextBuilder(limits)
    text = clean(decode(data))
    longest = find_usual_longest(text.split("\n"))
    for paragraph in EMPTY_LINES.split(text):
        lines = [line.rstrip() for line in paragraph.split("\n") if line.strip()]
        for heading, part in _split_at_headings(lines):
            if heading:
                builder.add_heading(1 if builder.length == 0 else 2, heading)
            _add(builder, part, longest)
    return builder.build(title=builder.find_first_heading(), media_type="text/plain")


def _split_at_headings(lines: Sequence[str]) -> Iterator[tuple[str, Sequence[str]]]:
    """Each heading, "" for none, with the lines below it; lines that only draw a rule are left out."""
    heading, part = "", list[str]()
    for line, below in zip(lines, [*lines[1:], ""], strict=False):
        if _UNDERLINE.fullmatch(line.strip()):
            continue
        is_underlined = bool(_UNDERLINE.fullmatch(below.strip())) and not _BULLET.match(line)
        if len(line) <= _LONGEST_HEADING and (is_underlined or (len(lines) == 1 and _is_in_capitals(line))):
            if heading or part:
                yield heading, part
            heading, part = line, []
        else:
            part.append(line)
    yield heading, part


def _is_in_capitals(line: str) -> bool:
    return line.isupper() and not _BULLET.match(line) and line.strip()[-1] not in ".!?;,"


def _add(builder: TextBuilder, lines: Sequence[str], longest: int) -> None:
    """*lines* as paragraphs and tables."""
    at = 0
    while at < len(lines):
        rows = _find_rows(lines, at)
        if len(rows) >= _MIN_ROWS:
            add_table(builder, rows)
            at += len(rows)
            continue
        end = at + 1
        while end < len(lines) and len(_find_rows(lines[end : end + _MIN_ROWS])) < _MIN_ROWS:
            end += 1
        builder.block(_join_wrapped(lines[at:end], longest))
        at = end


def _find_rows(lines: Sequence[str], index: int = 0) -> list[list[str]]:
    """The rows of a table that *lines* begin with from *index* on, in cells; none where they begin with none."""
    rows = list[list[str]]()
    for place in range(index, len(lines)):  # no copy: a file may have a table every few lines
        line = lines[place]
        cells = _CELLS.split(line.strip())
        if len(cells) < 2 or _BULLET.match(line) or (rows and len(cells) != len(rows[0])):
            break
        rows.append(cells)
    return rows


def _join_wrapped(lines: Sequence[str], longest: int) -> str:
    """*lines*, those joined that were only broken at the width of the page: the one before is full."""
    joined, last = "", ""
    for line in lines:
        is_wrapped = longest in _WRAPPED_AT and len(last) >= FULL_LINE * longest and not _BULLET.match(line.lstrip())
        joined += (f" {line.lstrip()}" if is_wrapped else f"\n{line}") if last else line
        last = line
    return joined
