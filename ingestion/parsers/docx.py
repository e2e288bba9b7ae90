"""Word documents: paragraphs, headings, lists, tables and text boxes in their order, then notes and charts."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from lxml import etree

from ingestion.parsers.archive import Archive, find_title
from ingestion.parsers.charts import add_charts
from ingestion.parsers.ooxml import attribute, children, descendants, find_related, local, main_part
from ingestion.parsers.parsed import Limits, ParsedDocument, TextBuilder, one_line
from utils.errors import UnreadableDocument

HEADING_STYLE = re.compile(r"heading (\d)", re.IGNORECASE)
MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
MAX_NESTED_TABLES = 5
PROPERTIES = "docProps/core.xml"
UNSEEN = frozenset(["del", "moveFrom"])  # in a paragraph: what was deleted, or moved elsewhere
BREAKS = {"br": "\n", "cr": "\n", "tab": "\t", "noBreakHyphen": "-"}
BOX = "txbxContent"


def parse(data: bytes, limits: Limits) -> ParsedDocument:
    """The document; its title is that of its properties, or the one at its top."""
    archive = Archive.of(data, limits, "DOCX")
    archive.check_parts(".xml", ".rels")
    part = main_part(archive)
    if not part.startswith("word/"):
        raise UnreadableDocument("It is an archive, but not a Word document: save it as DOCX.")
    body = next(descendants(archive.xml(part), "body"), None)
    if body is None:
        raise archive.damaged()
    styles = _styles(next(find_related(archive, part, "styles"), None))
    builder = TextBuilder(limits)
    reader = _Reader(builder, styles)
    reader.read(body)
    for kind in ("footnotes", "endnotes"):
        for notes in find_related(archive, part, kind):
            reader.read_notes(notes)
    add_charts(builder, archive, part)
    title = find_title(archive, PROPERTIES) or reader.title or builder.first_heading()
    return builder.build(title=title, media_type=MEDIA_TYPE)


@dataclass(frozen=True, slots=True)
class _Style:
    name: str
    based_on: str | None
    outline: int | None
    listed: bool


def _styles(root: etree._Element | None) -> dict[str, _Style]:
    found = {}
    for style in descendants(root, "style") if root is not None else ():
        level = next((attribute(item, "val") for item in descendants(style, "outlineLvl")), None)
        found[attribute(style, "styleId") or ""] = _Style(
            name=_value(style, "name") or "",
            based_on=_value(style, "basedOn"),
            outline=int(level) if level is not None and level.isdigit() else None,
            listed=any(True for _ in descendants(style, "numPr")),
        )
    return found


def _child(element: etree._Element | None, name: str) -> etree._Element | None:
    return next((child for child in children(element) if local(child) == name), None) if element is not None else None


def _value(element: etree._Element | None, name: str) -> str | None:
    """The `val` of the child called *name*."""
    child = _child(element, name)
    return attribute(child, "val") if child is not None else None


@dataclass(slots=True)
class _Reader:
    """Goes through the document once; `title` is the first paragraph of style "Title"."""

    builder: TextBuilder
    styles: dict[str, _Style]
    title: str | None = None
    _boxes: list[etree._Element] = field(default_factory=list)

    def read(self, container: etree._Element) -> None:
        """What is in *container*, block by block; text boxes come after the paragraph they hang on."""
        for item in children(container):
            name = local(item)
            if name == "p":
                self._paragraph(item)
            elif name == "tbl":
                self.builder.lines(self._rows(item, 0))
            elif name in ("sdt", "sdtContent", "customXml", "ins", "moveTo", "smartTag"):
                self.read(item)
            boxes, self._boxes = self._boxes, []
            for box in boxes:
                self.read(box)

    def read_notes(self, root: etree._Element) -> None:
        """Notes below the text; those without a real number are separators."""
        for note in children(root):
            if attribute(note, "type") in (None, "normal"):
                self.read(note)

    def _paragraph(self, paragraph: etree._Element) -> None:
        text = "".join(self._pieces(paragraph))
        properties = _child(paragraph, "pPr")
        chain = list(self._chain(_value(properties, "pStyle")))
        level = _level(chain, _value(properties, "outlineLvl"))
        if self.title is None and text.strip() and any(style.name.lower() == "title" for style in chain):
            self.title = text
        if level:
            self.builder.heading(level, text)
        elif text.strip() and _is_listed(chain, properties):
            self.builder.block(f"- {text.strip()}")
        else:
            self.builder.block(text)

    def _chain(self, style_id: str | None) -> Iterator[_Style]:
        """A style and those it is based on."""
        for _ in range(10):
            style = self.styles.get(style_id or "")
            if style is None:
                return
            yield style
            style_id = style.based_on

    def _pieces(self, element: etree._Element) -> Iterator[str]:
        for child in children(element):
            name = local(child)
            if name == "t":
                yield child.text or ""
            elif name in BREAKS:
                yield BREAKS[name]
            elif name == BOX:
                self._boxes.append(child)
            elif name not in UNSEEN:
                yield from self._pieces(child)

    def _rows(self, table: etree._Element, depth: int) -> Iterator[str]:
        """A line a row. Cells that span several columns are said once, those that span several rows in each."""
        above: dict[int, str] = {}
        for row in _inside(table, "tr"):
            texts, column = [], 0
            for cell in _inside(row, "tc"):
                columns, is_continued = _spans(cell)
                above[column] = above.get(column, "") if is_continued else self._cell(cell, depth)
                texts.append(above[column])
                column += columns
            if any(texts):
                yield " | ".join(texts)

    def _cell(self, cell: etree._Element, depth: int) -> str:
        parts = []
        for item in _inside(cell, "p", "tbl"):
            if local(item) == "p":
                parts.append("".join(self._pieces(item)))
            elif depth < MAX_NESTED_TABLES:
                parts.extend(self._rows(item, depth + 1))
        while self._boxes:
            parts += [self._cell(self._boxes.pop(0), depth + 1)] if depth < MAX_NESTED_TABLES else []
        return one_line(" ".join(parts))


def _inside(element: etree._Element, *names: str) -> Iterator[etree._Element]:
    """The children called so, also those in content controls."""
    for child in children(element):
        if local(child) in names:
            yield child
        elif local(child) in ("sdt", "sdtContent", "customXml", "ins"):
            yield from _inside(child, *names)


def _spans(cell: etree._Element) -> tuple[int, bool]:
    """How many columns a cell spans, and whether it goes on with the one above."""
    properties = _child(cell, "tcPr")
    columns = _value(properties, "gridSpan") or "1"
    merged = _child(properties, "vMerge")
    return int(columns) if columns.isdigit() else 1, merged is not None and attribute(merged, "val") != "restart"


def _level(chain: list[_Style], outline: str | None) -> int:
    """The heading's level, 0 for what is none: by its style or one of those it is based on, or its own outline."""
    for style in chain:
        match = HEADING_STYLE.fullmatch(style.name)
        if match:
            return int(match[1])
        if style.outline is not None and style.outline < 9:
            return style.outline + 1
    return int(outline) + 1 if outline is not None and outline.isdigit() and int(outline) < 9 else 0


def _is_listed(chain: list[_Style], properties: etree._Element | None) -> bool:
    for own in children(properties) if properties is not None else ():
        if local(own) == "numPr":
            return _value(own, "numId") != "0"
    return any(style.listed or style.name.startswith("List") for style in chain)
