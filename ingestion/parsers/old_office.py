"""Formats of Office before 2007, and RTF: spreadsheets are read here, of the others what LibreOffice makes of them.

Those that only have such a name, as many "Excel files" that programs export, are read as what they are.
"""

import io
from typing import Any

import olefile

from ingestion.parsers import delimited, docx, html, pptx, text, xls, xlsx
from ingestion.parsers.parsed import LOCKED, Limits, OldFormat, ParsedDocument, Target
from ingestion.parsers.sniffing import OLE, detect_content
from utils.errors import UnreadableDocument

STREAMS: dict[str, Target] = {"worddocument": "docx", "powerpoint document": "pptx"}  # their first one
SHEETS = ("workbook", "book")
PARSERS: dict[str, Any] = {"a Word document": docx, "a presentation": pptx, "a spreadsheet": xlsx, "a web page": html}
FIB_FLAGS, ENCRYPTED = 10, 0x100  # [MS-DOC] 2.5.1: where the flags of a document's first block are, and the one of them


def parse(data: bytes, limits: Limits) -> ParsedDocument:
    """The document, where its format is one that is read without help.

    Raises:
        OldFormat: it has to be converted before.
        UnreadableDocument: it is locked, or no document.
    """
    content = detect_content(data)
    if content == "rich text":
        raise OldFormat("docx")
    if content == "an old Office document":
        target = _find_target(data) if data.startswith(OLE) else None
        if target is None:
            return xls.parse(data, limits)
        raise OldFormat(target)
    if content == "text":
        is_table = b"\t" in data[:4096]
        return delimited.parse(data, limits) if is_table else text.parse(data, limits)
    document: ParsedDocument = PARSERS[content].parse(data, limits)
    return document


def _find_target(data: bytes) -> Target | None:
    """The format to convert a compound file to; None for a spreadsheet."""
    try:
        with olefile.OleFileIO(io.BytesIO(data)) as file:
            names = {name[0].lower(): name[0] for name in file.listdir() if len(name) == 1}
            target = next((name for name in (*STREAMS, *SHEETS) if name in names), None)
            if target is None:
                raise UnreadableDocument("It is an Office file, but no document, spreadsheet or presentation.")
            with file.openstream(names[target]) as stream:
                flags = int.from_bytes(stream.read(FIB_FLAGS + 2)[FIB_FLAGS:], "little")
    except OSError as exc:
        raise UnreadableDocument("It is damaged: open it in the program that made it, and save it again.") from exc
    if "encryptedsummary" in names or (target == "worddocument" and flags & ENCRYPTED):
        raise UnreadableDocument(LOCKED)
    return STREAMS.get(target)
