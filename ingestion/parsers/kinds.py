"""Which parser a file is for: its name says what it should be, its bytes whether it is."""

from collections.abc import Callable
from pathlib import PurePath

from ingestion.parsers import docx, html, markdown, pdf, text
from ingestion.parsers.parsed import Limits, ParsedDocument
from utils.errors import UnreadableDocument

Parser = Callable[[bytes, Limits], ParsedDocument]
KINDS: dict[str, Parser] = {
    ".md": markdown.parse,
    ".markdown": markdown.parse,
    ".txt": text.parse,
    ".text": text.parse,
    ".html": html.parse,
    ".htm": html.parse,
    ".xhtml": html.parse,
    ".pdf": pdf.parse,
    ".docx": docx.parse,
}
SNIFFED_BYTES = 4096
# The old Office formats begin so, and so does a DOCX that is encrypted.
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
MARKUP = (b"<!doctype html", b"<html", b"<head", b"<body", b"<?xml")
BINARY = {
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"GIF8": "an image",
    b"PK\x03\x04": "an archive or Office document",
    b"Rar!": "an archive",
    b"7z\xbc\xaf": "an archive",
    b"\x1f\x8b": "an archive",
    b"\x7fELF": "a program",
    b"MZ": "a program",
    OLE: "an old Office document",
}


def is_known(name: str) -> bool:
    """Whether there is a parser for files of this name."""
    return PurePath(name).suffix.lower() in KINDS


def parse(data: bytes, name: str, limits: Limits) -> ParsedDocument:
    """The document in *data*, which was found under *name*.

    Raises:
        UnreadableDocument: in plain words, with what to do about it.
    """
    suffix = PurePath(name).suffix.lower()
    if not data:
        raise UnreadableDocument("It is empty.")
    if len(data) > limits.size_bytes:
        raise UnreadableDocument(f"It is larger than {limits.size_bytes / 1e6:g} MB: split it.")
    if suffix not in KINDS:
        raise UnreadableDocument(f"Files of this kind are not read; those that are: {', '.join(KINDS)}.")
    _check_content(data, suffix)
    return KINDS[suffix](data, limits)


def _check_content(data: bytes, suffix: str) -> None:
    found = _looks_like(data)
    if suffix == ".docx" and data.startswith(OLE):
        raise UnreadableDocument(
            "It is protected with a password, or in the format of Word before 2007: save a copy as DOCX without one."
        )
    if suffix in (".pdf", ".docx"):
        wanted = suffix[1:].upper()
        if found != wanted:
            raise UnreadableDocument(f"It is not a {wanted}: its content looks like {found}. Give it its right name.")
    elif found not in ("text", "a web page"):
        raise UnreadableDocument(f"It is not text: its content looks like {found}. Give it its right name.")


def _looks_like(data: bytes) -> str:
    """What the bytes are: PDF, DOCX, "a web page", "text" or words for something else."""
    head = data[:SNIFFED_BYTES]
    if b"%PDF-" in head[:1024]:
        return "PDF"
    if head.startswith(b"PK\x03\x04") and b"word/" in data:
        return "DOCX"
    for magic, meaning in BINARY.items():
        if head.startswith(magic):
            return meaning
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(MARKUP):
        return "a web page"
    return "binary data" if _is_binary(head) else "text"


def _is_binary(head: bytes) -> bool:
    """Whether there are more control characters than a damaged text has. UTF-16 is half NULs, but no other controls."""
    controls = sum(byte < 32 and byte not in b"\t\n\v\f\r\x1b" for byte in head)
    nuls = head.count(0)
    wide = head.startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")) or nuls * 2.5 > len(head)
    return (controls - nuls if wide else controls) > len(head) / 10
