"""Word documents: paragraphs, headings, lists and tables in their order."""

import io
import re
import zipfile
from collections.abc import Iterator

import docx
from docx.document import Document as WordDocument
from docx.opc.exceptions import OpcError
from docx.table import Table, _Cell
from docx.text.paragraph import Paragraph
from lxml import etree

from ingestion.parsers.parsed import Limits, ParsedDocument, TextBuilder, one_line
from utils.errors import UnreadableDocument

HEADING_STYLE = re.compile(r"heading (\d)", re.IGNORECASE)
MAX_MEDIA_BYTES = 300_000_000
MAX_NESTED_TABLES = 5


def parse(data: bytes, limits: Limits) -> ParsedDocument:
    """The document; its title is that of its properties, or the one at its top."""
    _check_size(data, limits)
    document = _open(data)
    builder = TextBuilder(limits)
    for item in document.iter_inner_content():
        if isinstance(item, Paragraph):
            _paragraph(builder, item)
        else:
            builder.lines(_rows(item, 0))
    title = (document.core_properties.title or "").strip() or _title(document) or builder.first_heading()
    return builder.build(
        title=title, media_type="application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    )


def _check_size(data: bytes, limits: Limits) -> None:
    """Refuse an archive that unpacks to more than is read, by its own list: unpacking then stops at those sizes."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as exc:
        raise UnreadableDocument("It is damaged, or not a complete DOCX: save or download it again.") from exc
    xml = sum(part.file_size for part in parts if part.filename.lower().endswith((".xml", ".rels")))
    if xml > limits.unpacked_bytes or sum(part.file_size for part in parts) > MAX_MEDIA_BYTES:
        raise UnreadableDocument(
            f"Unpacked it is larger than the {limits.unpacked_bytes / 1e6:g} MB of text that are read: split it."
        )
    if not any(part.filename.startswith("word/document") for part in parts):
        raise UnreadableDocument("It is an archive, but not a Word document: save it as DOCX.")


def _open(data: bytes) -> WordDocument:
    try:
        return docx.Document(io.BytesIO(data))
    except (OpcError, zipfile.BadZipFile, etree.LxmlError, KeyError, ValueError, OSError, RuntimeError) as exc:
        raise UnreadableDocument(
            "It is damaged, or a variant of DOCX that is not read: open it in Word or LibreOffice and save it again."
        ) from exc


def _paragraph(builder: TextBuilder, paragraph: Paragraph) -> None:
    text, level = paragraph.text, _level(paragraph)
    if level:
        builder.heading(level, text)
    elif text.strip() and _is_listed(paragraph):
        builder.block(f"- {text.strip()}")
    else:
        builder.block(text)


def _level(paragraph: Paragraph) -> int:
    """The heading's level, 0 for what is none; by the style or one of those it is based on."""
    style = paragraph.style
    for _ in range(10):
        if style is None:
            return 0
        match = HEADING_STYLE.fullmatch(style.name or "")
        if match:
            return int(match[1])
        style = style.base_style
    return 0


def _is_listed(paragraph: Paragraph) -> bool:
    style = paragraph.style
    return bool(style is not None and (style.name or "").startswith("List")) or bool(
        paragraph._p.pPr is not None and paragraph._p.pPr.numPr is not None
    )


def _title(document: WordDocument) -> str | None:
    """The paragraph of style "Title", if there is one near the top."""
    for paragraph in document.paragraphs[:20]:
        if paragraph.style is not None and paragraph.style.name == "Title" and paragraph.text.strip():
            return paragraph.text
    return None


def _rows(table: Table, depth: int) -> Iterator[str]:
    """A line a row. Cells that span several are said once."""
    for row in table.rows:
        texts: list[str] = []
        former: object = None
        for cell in row.cells:
            if cell._tc is not former:
                texts.append(_cell_text(cell, depth))
            former = cell._tc
        if any(texts):
            yield " | ".join(texts)


def _cell_text(cell: _Cell, depth: int) -> str:
    parts = []
    for item in cell.iter_inner_content():
        if isinstance(item, Paragraph):
            parts.append(item.text)
        elif depth < MAX_NESTED_TABLES:
            parts.extend(_rows(item, depth + 1))
    return one_line(" ".join(parts))
