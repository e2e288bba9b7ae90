"""Word documents: headings, paragraphs, lists, tables, text boxes, charts and diagrams in their order, then notes,
comments, headers and footers.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from lxml import etree

from ingestion.parsers import html, mail
from ingestion.parsers import text as text_file
from ingestion.parsers.archive import Archive, find_title
from ingestion.parsers.docx_forms import read_field, read_symbol
from ingestion.parsers.docx_numbering import Numbering
from ingestion.parsers.docx_styles import Styles, find_heading_level, read_numbering
from ingestion.parsers.figures import FIGURES
from ingestion.parsers.ooxml import (
    find_child,
    find_main_part,
    find_related,
    find_value,
    get_attribute,
    get_local_name,
    iter_children,
    iter_descendants,
    list_relations,
)
from ingestion.parsers.parsed import Limits, ParsedDocument, TextBuilder, join_lines
from utils.errors import UnreadableDocument

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
MAX_NESTED_TABLES = 5
PROPERTIES = "docProps/core.xml"
DELETED = frozenset(["del", "moveFrom"])  # in a paragraph, with changes tracked
CONTAINERS = frozenset(["sdt", "sdtContent", "customXml", "ins"])  # content controls and the like, around blocks
BREAKS = {"br": "\n", "cr": "\n", "tab": "\t", "noBreakHyphen": "-"}
BOX = "txbxContent"
FIGURE_IDS = {"chart": "id", "relIds": "dm"}  # where a figure stands: the attribute that names its part
EMBEDDED: dict[str, Any] = {**dict.fromkeys((".htm", ".html", ".xhtml"), html), ".mht": mail, ".txt": text_file}
_PAGE_NUMBER = re.compile(
    r"\W*+(?:page|seite|página|pág|halaman|hal)?+\W*+\d*+\W*+(?:(?:of|von|de|dari)\W*+\d*+)?+\W*+", re.IGNORECASE
)


def parse(data: bytes, limits: Limits) -> ParsedDocument:
    """The document; its title is that of its properties, or the one at its top."""
    archive = Archive.from_bytes(data, limits, "DOCX")
    archive.check_parts(".xml", ".rels")
    part = find_main_part(archive)
    if not part.startswith("word/"):
        raise UnreadableDocument("It is an archive, but not a Word document: save it as DOCX.")
    body = next(iter_descendants(archive.read_xml(part), "body"), None)
    if body is None:
        raise archive.make_damage_error()
    builder = TextBuilder(limits)
    styles = Styles(next(find_related(archive, part, "styles"), None))
    numbering = Numbering(next(find_related(archive, part, "numbering"), None), styles)
    reader = _Reader(builder, styles, numbering, _find_figures(archive, part), _find_embedded(archive, part))
    reader.read(body)
    reader.read_unplaced_figures()
    builder.leave(1)
    for kind in ("footnotes", "endnotes", "comments"):
        for notes in find_related(archive, part, kind):
            reader.read_notes(notes)
    reader.read_headers_and_footers(root for kind in ("header", "footer") for root in find_related(archive, part, kind))
    title = find_title(archive, PROPERTIES) or reader.title or builder.find_first_heading()
    return builder.build(title=title, media_type=MEDIA_TYPE)


def _find_embedded(archive: Archive, part: str) -> dict[str, ParsedDocument]:
    """Web pages and texts that are shown as a part of the document, by the relation: some programs export so."""
    embedded = {}
    for relation in list_relations(archive, part):
        kind = EMBEDDED.get(PurePosixPath(relation.target).suffix.lower())
        if relation.kind == "aFChunk" and kind and relation.target in archive:
            with suppress(UnreadableDocument):  # a damaged one must not cost the text around it
                embedded[relation.relation_id] = kind.parse(archive.read(relation.target), archive.limits)
    return embedded


def _find_figures(archive: Archive, part: str) -> dict[str, tuple[str, etree._Element]]:
    """The charts and diagrams that *part* names, by the relation: their kind and root."""
    figures = {}
    for relation in list_relations(archive, part):
        if relation.kind in FIGURES and relation.target in archive:
            with suppress(UnreadableDocument):  # as above
                figures[relation.relation_id] = (relation.kind, archive.read_xml(relation.target))
    return figures


@dataclass(slots=True)
class _Reader:
    """Goes through the document once; `title` is the first paragraph of style "Title"."""

    builder: TextBuilder
    styles: Styles
    numbering: Numbering
    figures: dict[str, tuple[str, etree._Element]]
    embedded: dict[str, ParsedDocument]
    title: str | None = None
    _boxes: list[etree._Element] = field(default_factory=list)

    def read(self, container: etree._Element) -> None:
        """What is in *container*, block by block; text boxes come after the paragraph that they belong to."""
        for item in iter_children(container):
            name = get_local_name(item)
            if name == "p":
                self._add_paragraph(item)
            elif name == "tbl":
                self._add_table(item)
            elif name == "altChunk" and (page := self.embedded.pop(get_attribute(item, "id") or "", None)):
                self.builder.include(page, 1)
            elif name in CONTAINERS or name in ("moveTo", "smartTag"):
                self.read(item)
            boxes, self._boxes = self._boxes, []
            for box in boxes:
                self.read(box) if get_local_name(box) == BOX else self._add_figure(box)

    def read_notes(self, root: etree._Element) -> None:
        """Notes below the text; those without a real number are separators."""
        for note in iter_children(root):
            if get_attribute(note, "type") in (None, "normal"):
                self.read(note)

    def read_unplaced_figures(self) -> None:
        """Charts and diagrams to which nothing in the text refers."""
        for kind, root in self.figures.values():
            FIGURES[kind](self.builder, root)

    def read_headers_and_footers(self, roots: Iterable[etree._Element]) -> None:
        """The lines of headers and footers, each once, however many sections have it; without page numbers."""
        paragraphs = (paragraph for root in roots for paragraph in root.iter("{*}p"))
        for line in dict.fromkeys(join_lines("".join(self._iter_pieces(paragraph))) for paragraph in paragraphs):
            if not _PAGE_NUMBER.fullmatch(line):
                self.builder.block(line)

    def _add_figure(self, item: etree._Element) -> None:
        if found := self.figures.pop(get_attribute(item, FIGURE_IDS[get_local_name(item)]) or "", None):
            kind, root = found
            FIGURES[kind](self.builder, root)

    def _add_table(self, table: etree._Element) -> None:
        """A table; one of a single column is read as a frame around its blocks."""
        rows = [list(_iter_children(row, "tc")) for row in _iter_children(table, "tr")]
        if all(len(cells) == 1 for cells in rows):
            for [cell] in rows:
                self.read(cell)
        else:
            self.builder.add_lines(self._iter_rows(table, 0))

    def _add_paragraph(self, paragraph: etree._Element) -> None:
        text = "".join(self._iter_pieces(paragraph)).strip("\n")
        label = self._count(paragraph, text)
        if not text.strip():
            return
        properties = find_child(paragraph, "pPr")
        chain = self.styles.find_chain(find_value(properties, "pStyle"))
        if self.title is None and any(style.name.lower() == "title" for style in chain):
            self.title = text
        if level := find_heading_level(chain, find_value(properties, "outlineLvl")):
            self.builder.add_heading(level, label + text)
        else:
            self.builder.block(label + text.strip() if label else text)

    def _count(self, paragraph: etree._Element, text: str) -> str:
        """The number or bullet that Word shows before the paragraph; one that was deleted has none."""
        properties = find_child(paragraph, "pPr")
        if not text.strip() and find_child(find_child(properties, "rPr"), "del") is not None:
            return ""
        return self.numbering.label(
            read_numbering(properties), self.styles.find_chain(find_value(properties, "pStyle"))
        )

    def _iter_pieces(self, element: etree._Element) -> Iterator[str]:
        for child in iter_children(element):
            name = get_local_name(child)
            if name == "t":
                yield child.text or ""
            elif name in BREAKS:
                yield BREAKS[name]
            elif name == "fldChar":
                yield read_field(child)
            elif name == "sym":
                yield read_symbol(child)
            elif name == BOX or name in FIGURE_IDS:
                self._boxes.append(child)
            elif name not in DELETED:
                yield from self._iter_pieces(child)

    def _iter_rows(self, table: etree._Element, depth: int) -> Iterator[str]:
        """A line a row. A cell that spans columns comes once, one that spans rows in each of them."""
        above: dict[int, str] = {}
        for row in _iter_children(table, "tr"):
            texts, column = [], 0
            for cell in _iter_children(row, "tc"):
                columns, is_continued = _read_span(cell)
                above[column] = above.get(column, "") if is_continued else self._read_cell(cell, depth)
                texts.append(above[column])
                column += columns
            if any(texts):
                yield " | ".join(texts)

    def _read_cell(self, cell: etree._Element, depth: int) -> str:
        parts = []
        for item in _iter_children(cell, "p", "tbl"):
            if get_local_name(item) == "p":
                text = "".join(self._iter_pieces(item))
                label = self._count(item, text)
                parts.append(label + text if text.strip() else "")
            elif depth < MAX_NESTED_TABLES:
                parts.extend(self._iter_rows(item, depth + 1))
        boxes = [box for box in self._boxes if get_local_name(box) == BOX]
        self._boxes = [box for box in self._boxes if get_local_name(box) != BOX]  # figures come after the table
        parts += [self._read_cell(box, depth + 1) for box in boxes] if depth < MAX_NESTED_TABLES else []
        return join_lines(" ".join(parts))


def _iter_children(element: etree._Element, *names: str) -> Iterator[etree._Element]:
    """The children with one of *names*, also those in content controls."""
    for child in iter_children(element):
        if get_local_name(child) in names:
            yield child
        elif get_local_name(child) in CONTAINERS:
            yield from _iter_children(child, *names)


def _read_span(cell: etree._Element) -> tuple[int, bool]:
    """How many columns a cell spans, and whether it continues the one above."""
    properties = find_child(cell, "tcPr")
    columns = find_value(properties, "gridSpan") or "1"
    merged = find_child(properties, "vMerge")
    return int(columns) if columns.isdigit() else 1, merged is not None and get_attribute(merged, "val") != "restart"
