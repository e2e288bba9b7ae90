"""OpenDocument: texts, spreadsheets (a heading a sheet) and presentations (a page a slide)."""

from collections.abc import Iterator

from lxml import etree

from ingestion.parsers.archive import Archive, find_title
from ingestion.parsers.ooxml import get_attribute, get_local_name
from ingestion.parsers.parsed import LOCKED, Limits, ParsedDocument, TextBuilder, join_lines
from ingestion.parsers.tables import Row, SpanningCells, add_sheet
from utils.errors import UnreadableDocument

MANIFEST = "META-INF/manifest.xml"
MAX_REPEATED = 1_000  # columns or rows that say the same; sheets are filled up to their end with empty ones
MAX_LIST_DEPTH = 9
UNSEEN = frozenset(["annotation", "tracked-changes", "ruby-text", "forms", "notes", "title", "desc", "event-listeners"])
BLOCKS = frozenset(["p", "h", "list", "table"])


def parse(data: bytes, limits: Limits) -> ParsedDocument:
    """The document; its title is that of its properties, or its first heading."""
    archive = Archive.from_bytes(data, limits, "OpenDocument file")
    if MANIFEST in archive and any(True for _ in archive.read_xml(MANIFEST).iter("{*}encryption-data")):
        raise UnreadableDocument(LOCKED)
    media_type = archive.read("mimetype").decode("ascii", "replace").strip()[:200]
    content = archive.read_xml("content.xml").find("{*}body")
    if content is None or not len(content):
        raise archive.make_damage_error()
    builder = TextBuilder(limits)
    _Reader(builder, limits).read(content[0])
    return builder.build(title=find_title(archive, "meta.xml") or builder.find_first_heading(), media_type=media_type)


class _Reader:
    def __init__(self, builder: TextBuilder, limits: Limits) -> None:
        self._builder, self._limits = builder, limits

    def read(self, content: etree._Element) -> None:
        kind = get_local_name(content)
        if kind == "spreadsheet":
            for sheet in content.iterchildren("{*}table"):
                add_sheet(self._builder, get_attribute(sheet, "name") or "", _iter_rows(sheet))
        elif kind == "presentation":
            self._add_slides([child for child in content if get_local_name(child) == "page"])
        else:
            self._add_blocks(content)

    def _add_slides(self, slides: list[etree._Element]) -> None:
        if len(slides) > self._limits.pages:
            raise UnreadableDocument(f"It has {len(slides):,} slides, more than {self._limits.pages:,}: split it.")
        for number, slide in enumerate(slides, 1):
            self._builder.begin_page(number)
            self._builder.leave(1)
            for frame in sorted(slide, key=lambda shape: get_attribute(shape, "class") != "title"):
                if get_attribute(frame, "class") == "title":
                    self._builder.add_heading(1, _read_text(frame))
                elif get_local_name(frame) == "notes":
                    self._add_notes(frame)
                else:
                    self._add_blocks(frame)

    def _add_notes(self, notes: etree._Element) -> None:
        for frame in notes:
            if get_attribute(frame, "class") == "notes":
                self._add_blocks(frame)

    def _add_blocks(self, element: etree._Element) -> None:
        """Every block below *element*, in order."""
        for child in element:
            name = get_local_name(child)
            if name == "h":
                self._builder.add_heading(_level(child), _read_text(child))
            elif name == "p":
                self._add_paragraph(child)
            elif name == "list":
                self._builder.add_lines(_iter_items(child, 0))
            elif name == "table":
                self._builder.add_lines(" | ".join(row) for row in _iter_rows(child) if any(row))
            elif name and name not in UNSEEN:
                self._add_blocks(child)

    def _add_paragraph(self, paragraph: etree._Element) -> None:
        """A paragraph; a text box or frame on it stands below it."""
        self._builder.block(_read_text(paragraph))
        for frame in paragraph.iter("{*}frame", "{*}custom-shape"):
            self._add_blocks(frame)


def _level(heading: etree._Element) -> int:
    level = get_attribute(heading, "outline-level") or ""
    return max(1, min(int(level), 9)) if level.isdigit() else 1


def _iter_items(listed: etree._Element, depth: int) -> Iterator[str]:
    """A line a paragraph of the list, nested ones indented."""
    for item in listed:
        fresh = True
        for block in item:
            if get_local_name(block) == "list" and depth < MAX_LIST_DEPTH:
                yield from _iter_items(block, depth + 1)
            elif get_local_name(block) in ("p", "h") and (text := join_lines(_read_text(block))):
                yield f"{'  ' * depth}{'- ' if fresh and get_local_name(item) == 'list-item' else '  '}{text}"
                fresh = False


def _iter_rows(table: etree._Element) -> Iterator[Row]:
    """The table's rows, as the texts of their cells; repeated rows and columns as often as a reader could want."""
    spanning = SpanningCells()
    for row in table.iter("{*}table-row"):
        if _find_table(row) is not table:
            continue
        own = (cell for cell in row if get_local_name(cell) == "table-cell")
        texts = list(spanning.make_row(spread for cell in own for spread in _spread(cell)))
        while texts and not texts[-1]:
            texts.pop()
        yield from [texts] * (_count_repeats(row, "number-rows-repeated") if texts else 1)


def _spread(cell: etree._Element) -> list[tuple[str, int, int]]:
    """A cell as often as it is repeated: its text, and how many columns and rows it spans."""
    spans = (
        _read_cell(cell),
        _count_repeats(cell, "number-columns-spanned"),
        _count_repeats(cell, "number-rows-spanned"),
    )
    return [spans] * _count_repeats(cell, "number-columns-repeated")


def _find_table(row: etree._Element) -> etree._Element | None:
    return next(row.iterancestors("{*}table"), None)


def _count_repeats(element: etree._Element, name: str) -> int:
    value = get_attribute(element, name) or "1"
    return max(1, min(int(value), MAX_REPEATED)) if value.isdigit() else 1


def _read_cell(cell: etree._Element) -> str:
    return join_lines(" ".join(_read_text(block) for block in cell.iter("{*}p", "{*}h")))


def _read_text(element: etree._Element) -> str:
    return "".join(_iter_pieces(element))


def _iter_pieces(element: etree._Element) -> Iterator[str]:
    """The text of a paragraph without what hangs on it: frames, remarks, notes."""
    yield element.text or ""
    for child in element:
        name = get_local_name(child)
        if name == "s":
            yield (
                " " * min(int(get_attribute(child, "c") or "1"), 100)
                if (get_attribute(child, "c") or "1").isdigit()
                else " "
            )
        elif name in ("tab", "line-break"):
            yield "\t" if name == "tab" else "\n"
        elif name == "note":
            yield from _note(child)
        elif (
            name
            and name not in UNSEEN
            and not (name in ("frame", "custom-shape") and get_local_name(element) in BLOCKS)
        ):
            yield from _iter_pieces(child)
        yield child.tail or ""


def _note(note: etree._Element) -> Iterator[str]:
    """A foot- or endnote, in brackets where it hangs."""
    for body in note.iterchildren("{*}note-body"):
        yield f" [{join_lines(' '.join(_read_text(block) for block in body.iter('{*}p')))}]"
