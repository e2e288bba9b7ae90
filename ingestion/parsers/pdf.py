"""PDF, page by page: text with headings and tables, and scanned pages once their text was recognised."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from itertools import groupby, pairwise
from statistics import median

from pypdfium2 import PdfDocument, PdfiumError, raw

from ingestion.parsers.parsed import LOCKED, LONGEST_SIDE, Limits, ParsedDocument, TextBuilder, join_lines
from ingestion.parsers.pdf_headings import Levels, find_headings
from ingestion.parsers.pdf_page import Line, Page, read_page
from ingestion.parsers.reflow import find_usual_longest, iter_paragraphs
from utils.errors import UnreadableDocument
from utils.ports import Picture

MEDIA_TYPE = "application/pdf"
SCALE = 200 / 72  # 200 dots an inch
WIDER = 0.4  # of a line's height: so much more room there is between paragraphs than between lines
XFA = (raw.FORMTYPE_XFA_FULL, raw.FORMTYPE_XFA_FOREGROUND)
ONLY_XFA = (
    "It is a form in Adobe's XFA format, which only Adobe's programs show: print it to a PDF there, and send that."
)
WRAPPER = b"/MicrosoftIRMServices"  # the document is inside, encrypted for those whom a server lets read it
RIGHTS = "It is protected by rights management: save a copy without protection, or print it to a PDF."
PLACEHOLDER = re.compile("if this message is not eventually replaced|adobe\\.com/go/reader_download", re.IGNORECASE)
Block = tuple[int, str]  # a heading's level, or 0 for a paragraph; and the text


def parse(data: bytes, limits: Limits, recognised: Mapping[int, str]) -> ParsedDocument:
    """The text of every page; on scanned ones what was *recognised* there, or nothing: they are unread."""
    with closing(_open(data)) as document:
        document.init_forms()
        if len(document) > limits.pages:
            raise UnreadableDocument(f"It has {len(document):,} pages, more than {limits.pages:,}: split it.")
        pages = [_read(document, number) for number in range(len(document))]
        _distrust(pages)
        if any(page.is_ruled for page in pages):
            from ingestion.parsers.pdf_tables import add_tables  # its imports take half a second

            add_tables(data, document, pages)
        levels = find_headings(document, pages)
        title = _find_title(document, pages)
        is_xfa = document.get_formtype() in XFA
    if is_xfa and _is_placeholder(pages):
        raise UnreadableDocument(ONLY_XFA)
    return _build(pages, levels, limits, recognised, title)


def iter_pictures(data: bytes, limits: Limits, pages: Sequence[int]) -> Iterator[Picture]:
    """The given pages as pictures, one after the other."""
    with closing(_open(data)) as document:
        for number in pages:
            with closing(document[number - 1]) as page:
                scale = min(SCALE, LONGEST_SIDE / max(page.get_width(), page.get_height(), 1))
                yield page.render(scale=scale, rev_byteorder=True, prefer_bgrx=False).to_numpy()[:, :, :3]


def _open(data: bytes) -> PdfDocument:
    if WRAPPER in data:
        raise UnreadableDocument(RIGHTS)
    try:
        return PdfDocument(data)
    except PdfiumError as exc:
        if "password" in str(exc).lower():
            raise UnreadableDocument(LOCKED) from exc
        raise UnreadableDocument("It is damaged, or not a complete PDF: export or download it again.") from exc


def _read(document: PdfDocument, number: int) -> Page:
    """A page; an empty one for one that is damaged, so that the others are read all the same."""
    try:
        with closing(document[number]) as page:
            read = read_page(page)
            if page.formenv:
                from ingestion.parsers.pdf_forms import read_fields  # few PDFs have any

                read.fields = read_fields(page)
            return read
    except PdfiumError:
        return Page()


def _is_placeholder(pages: Sequence[Page]) -> bool:
    """Whether there is nothing but the page that tells people to get Adobe's program."""
    text = "\n".join(line.text for page in pages for line in page.lines)
    return len(pages) == 1 and not pages[0].fields and bool(PLACEHOLDER.search(text))


def _distrust(pages: Sequence[Page]) -> None:
    """Where most pages with text are garbled, take all as garbled: they share fonts, and words in them are chance."""
    written = [page for page in pages if page.lines or page.is_garbled]
    if 2 * sum(page.is_garbled and not page.lines for page in written) > len(written):
        for page in written:
            page.lines, page.is_garbled = [], True


def _find_title(document: PdfDocument, pages: Sequence[Page]) -> str | None:
    """The title in its properties, if it stands on the first page, too: programs fill in all sorts of names."""
    title = join_lines(document.get_metadata_value("Title") or "")
    first = join_lines(" ".join(line.text for line in pages[0].lines)) if pages else ""
    return title if len(title) > 3 and title.casefold() in first.casefold() else None


def _build(
    pages: Sequence[Page], levels: Levels, limits: Limits, recognised: Mapping[int, str], title: str | None
) -> ParsedDocument:
    builder = TextBuilder(limits)
    for number, page in enumerate(pages, 1):
        builder.begin_page(number)
        blocks: Iterator[Block]
        if number in recognised:
            blocks = ((0, paragraph) for paragraph in iter_paragraphs(recognised[number]))
        else:
            blocks = _iter_blocks(page, {place: level for (at, place), level in levels.items() if at == number - 1})
        if page.is_garbled and not recognised.get(number):  # there is text on it, even if none was recognised
            builder.mark_garbled(number)
        elif page.is_picture and number not in recognised:
            builder.unread(number)
        for level, text in blocks:
            if level:
                builder.add_heading(level, text)
            else:
                builder.block(text)
        builder.add_lines(page.fields)
    return builder.build(title=title, media_type=MEDIA_TYPE)


def _iter_blocks(page: Page, levels: Mapping[int, int]) -> Iterator[Block]:
    """Headings, tables and the paragraphs between them."""
    tables = dict(enumerate(page.tables))
    longest, usual_gap = find_usual_longest([line.text for line in page.lines]), _find_usual_gap(page.lines)

    def table_of(place: int) -> int | None:
        box = page.lines[place].box
        return next((number for number, (area, _) in enumerate(page.tables) if area.holds(box)), None)

    def kind(place: int) -> tuple[int | None, int]:
        table = table_of(place) if page.tables else None
        return table, 0 if table is not None else levels.get(place, 0)

    for (table, level), places in groupby(range(len(page.lines)), key=kind):
        lines = [page.lines[place] for place in places]
        if table is not None:
            _, rows = tables.pop(table, (None, []))
            yield 0, "\n".join(rows)
        elif level:
            yield level, " ".join(line.text for line in lines)
        else:
            yield from ((0, paragraph) for paragraph in iter_paragraphs(_join_lines(lines, usual_gap), longest))


def _join_lines(lines: Sequence[Line], usual: float) -> str:
    """The lines, with an empty one where there is clearly more room between two than is *usual*."""
    texts = [line.text for line in lines[:1]]
    for former, line in pairwise(lines):
        texts += [""] * (_measure_gap(former, line) > usual + WIDER * (line.box.top - line.box.bottom)) + [line.text]
    return "\n".join(texts)


def _find_usual_gap(lines: Sequence[Line]) -> float:
    gaps = [_measure_gap(former, line) for former, line in pairwise(lines) if former.box.bottom > line.box.bottom]
    return median(gaps) if gaps else 0.0


def _measure_gap(former: Line, line: Line) -> float:
    """Points between a line and that below it; negative where they overlap."""
    return former.box.bottom - line.box.top
