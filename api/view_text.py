"""A document's text laid out for readers: headings, paragraphs, lists and tables, with a quote marked in them."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from domain.document_files import Extracted, TextPart

_BETWEEN = re.compile(r"\n[^\S\n]*\n\s*")
_LINE = re.compile(r"[^\n]+")
_ITEM = re.compile(r"(?<!\s)\s*+(?:[-*•]|\d{1,3}[.)])\s")
_RULE = re.compile(r"[\s|:=-]+")  # with a "-" in it: the line below a table's head, as Markdown has it
_DEEPEST = 6


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a text, `start` to `end`."""

    start: int
    end: int

    def __bool__(self) -> bool:
        return self.start < self.end

    def clip(self, other: "Span") -> "Span":
        """What of it is in the other one, maybe nothing."""
        return Span(max(self.start, other.start), min(self.end, other.end))


@dataclass(frozen=True, slots=True)
class Piece:
    """Text of one block, all of it in the quote or none; `is_first` where the quote begins."""

    text: str
    is_marked: bool
    is_first: bool = False


Pieces = list[Piece]


@dataclass(frozen=True, slots=True)
class TextBlock:
    """What stands by itself: "heading", "page", "paragraph", "list" or "table".

    A heading has its `level`, from 2, and so has a page its number; both have one line of one cell, a paragraph has one
    cell in each line, as has a list; a table's rows have several. `has_head`: a table's first row names its columns.
    """

    kind: str
    rows: list[list[Pieces]]
    level: int = 0
    has_head: bool = False


class TextLayout:
    """Lays out the parts of a document that lie in a window of its text, and marks a quote."""

    def __init__(self, extracted: Extracted, quote: Span) -> None:
        self._text, self._parts, self._quote = extracted.text, extracted.parts, quote

    def lay_out_blocks(self, window: Span, *, shows_pages: bool) -> list[TextBlock]:
        """What is in the window, in reading order. Tables whose rows stand apart are one."""
        found = list(self._lay_out_parts(window, shows_pages))
        together: list[TextBlock] = []
        for kind, run in groupby(found, key=lambda block: block.kind):
            blocks = list(run)
            if kind == "table":
                rows = [row for block in blocks for row in block.rows]
                together.append(TextBlock("table", rows, has_head=blocks[0].has_head))
            else:
                together += blocks
        return together

    def _lay_out_parts(self, window: Span, shows_pages: bool) -> Iterator[TextBlock]:
        page, end = None, window.start
        for part in self._parts:
            if part.end <= window.start or part.start >= window.end:
                continue
            if shows_pages and part.page is not None and part.page != page:
                page = part.page
                yield TextBlock("page", [[]], level=page)
            yield from self._lay_out_headings(Span(end, part.body).clip(window), part)
            yield from self._lay_out_body(Span(part.body, part.end).clip(window))
            end = part.end

    def _lay_out_headings(self, span: Span, part: TextPart) -> Iterator[TextBlock]:
        """The part's own heading and those above it that have no text of their own."""
        lines = list(_split_lines(self._text, span))
        for above, line in zip(reversed(range(len(lines))), lines, strict=True):
            if self._classify_line(line) == "table":  # a long table's columns are said as its heading
                yield TextBlock("table", self._lay_out_table([line]).rows, has_head=True)
                continue
            yield TextBlock("heading", [[self._mark_pieces(line)]], level=min(max(1, part.level - above) + 1, _DEEPEST))

    def _lay_out_body(self, span: Span) -> Iterator[TextBlock]:
        start = span.start
        for gap in _BETWEEN.finditer(self._text, span.start, span.end):
            yield from self._lay_out_block(Span(start, gap.start()))
            start = gap.end()
        yield from self._lay_out_block(Span(start, span.end))

    def _lay_out_block(self, span: Span) -> Iterator[TextBlock]:
        """A block's lines; those of tables and lists apart from others."""
        for kind, run in groupby(_split_lines(self._text, span), key=self._classify_line):
            lines = list(run)
            if kind == "table":
                yield self._lay_out_table(lines)
            else:
                yield TextBlock(kind, [[self._mark_pieces(line)] for line in lines])

    def _classify_line(self, line: Span) -> str:
        text = self._text[line.start : line.end]
        if " | " in f" {text} " or (text.startswith("|") and text.endswith("|") and len(text) > 1):
            return "table"
        return "list" if _ITEM.match(text) else "paragraph"

    def _lay_out_table(self, lines: list[Span]) -> TextBlock:
        rules = [self._is_rule(line) for line in lines]
        rows = [
            [self._mark_pieces(cell) for cell in self._split_cells(line)]
            for line, is_rule in zip(lines, rules, strict=True)
            if not is_rule
        ]
        return TextBlock("table", rows, has_head=len(rules) > 1 and rules[1])

    def _is_rule(self, line: Span) -> bool:
        is_of_marks = _RULE.fullmatch(self._text, line.start, line.end) is not None
        return is_of_marks and self._text.find("-", line.start, line.end) >= 0

    def _split_cells(self, line: Span) -> Iterator[Span]:
        """What stands between the bars, without the white space around these."""
        start, end = line.start, line.end
        if self._text.startswith("|", start, end) and self._text.endswith("|", start, end):
            start, end = start + 1, end - 1
        cells = self._text[start:end].split("|")
        for place, cell in enumerate(cells):
            tight = cell.lstrip() if place else cell
            text = tight.rstrip() if place < len(cells) - 1 else tight
            at = start + len(cell) - len(tight)
            yield Span(at, at + len(text))
            start += len(cell) + 1

    def _mark_pieces(self, span: Span) -> Pieces:
        marked = span.clip(self._quote)
        if not marked:
            return [Piece(self._text[span.start : span.end], is_marked=False)]
        parts = ((span.start, marked.start), (marked.start, marked.end), (marked.end, span.end))
        begins = not self._text[self._quote.start : marked.start].strip(" \n\t|")
        pieces = (
            Piece(self._text[start:end], is_marked=place == 1, is_first=place == 1 and begins)
            for place, (start, end) in enumerate(parts)
        )
        return [piece for piece in pieces if piece.text]


def _split_lines(text: str, span: Span) -> Iterable[Span]:
    return (Span(*line.span()) for line in _LINE.finditer(text, span.start, span.end) if line[0].strip())
