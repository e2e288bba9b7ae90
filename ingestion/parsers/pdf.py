"""PDF, page by page."""

import re
from collections.abc import Iterator

from pypdfium2 import PdfDocument, PdfiumError

from ingestion.parsers.parsed import Limits, ParsedDocument, TextBuilder, clean
from utils.errors import UnreadableDocument

# PDFium marks a hyphen at a line's end, where a word goes on in the next line, with U+FFFE (or U+0002).
BROKEN_WORD = re.compile("[\ufffe\x02]\\s*")
SENTENCE_END = re.compile(r"[.!?:;…。][\"'”’»)\]]*$")
# A line at least this long, next to the page's longest, was broken by the page's margin and not by its author.
FULL_LINE = 0.6


def parse(data: bytes, limits: Limits) -> ParsedDocument:
    """The text of every page. Headings and tables are not told apart from other text."""
    document = _open(data)
    try:
        if len(document) > limits.pages:
            raise UnreadableDocument(f"It has {len(document):,} pages, more than {limits.pages:,}: split it.")
        return _read(document, limits)
    finally:
        document.close()


def _open(data: bytes) -> PdfDocument:
    try:
        return PdfDocument(data)
    except PdfiumError as exc:
        if "password" in str(exc).lower():
            raise UnreadableDocument("It is protected with a password: save a copy without one.") from exc
        raise UnreadableDocument("It is damaged, or not a complete PDF: export or download it again.") from exc


def _read(document: PdfDocument, limits: Limits) -> ParsedDocument:
    builder = TextBuilder(limits)
    for number, text in enumerate(_pages(document), 1):
        builder.page(number)
        for paragraph in _paragraphs(text):
            builder.block(paragraph)
    try:
        return builder.build(title=None, media_type="application/pdf")
    except UnreadableDocument as exc:
        raise UnreadableDocument(
            "There is no text in it: it may be a scan. Run a text recognition (OCR) over it first."
        ) from exc


def _pages(document: PdfDocument) -> Iterator[str]:
    """The text of each page; empty for one that is damaged, so that the others are read all the same."""
    for number in range(len(document)):
        try:
            page = document[number]
            textpage = page.get_textpage()
            yield textpage.get_text_bounded()
            textpage.close()
            page.close()
        except PdfiumError:
            yield ""


def _paragraphs(text: str) -> Iterator[str]:
    """The page's paragraphs, with lines joined that only the page's width had broken."""
    lines = [line.strip() for line in clean(BROKEN_WORD.sub("", text)).split("\n")]
    full = FULL_LINE * _usual_longest(lines)
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


def _usual_longest(lines: list[str]) -> int:
    """The length nine of ten lines do not exceed: a few may run across two columns."""
    lengths = sorted(len(line) for line in lines if line)
    return lengths[len(lengths) * 9 // 10] if lengths else 0
