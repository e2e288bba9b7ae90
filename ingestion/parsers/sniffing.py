"""What a file is by its bytes, whatever its name says."""

import io
import zipfile
import zlib
from collections.abc import Sequence
from typing import Literal

Content = Literal[
    "a PDF",
    "a Word document",
    "a presentation",
    "a spreadsheet",
    "an OpenDocument file",
    "an e-book",
    "an Outlook message",
    "a picture",
    "a web page",
    "text",
    "a locked Office document",
    "an old Office document",
    "an archive",
    "a program",
    "an animation",
    "binary data",
]
SNIFFED_BYTES = 4096
LONGEST_MIME_TYPE = 200
ZIP, OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# Office formats are archives, told apart by what their first part says, or by the folders and names of their parts.
MIME_TYPES: tuple[tuple[bytes, Content], ...] = (
    (b"application/epub+zip", "an e-book"),
    (b"application/vnd.oasis.opendocument", "an OpenDocument file"),
)
PARTS: tuple[tuple[str, Content], ...] = (
    ("word/", "a Word document"),
    ("ppt/", "a presentation"),
    ("xl/", "a spreadsheet"),
    ("META-INF/container.xml", "an e-book"),  # of a book whose maker has left out its `mimetype`
)
# A compound file: an encrypted Office document, an Outlook message, or a format of Office before 2007.
COMPOUND: tuple[tuple[str, Content], ...] = (
    ("EncryptedPackage", "a locked Office document"),
    ("__substg1.0_", "an Outlook message"),
)
MARKUP = (b"<!doctype html", b"<html", b"<head", b"<body", b"<?xml")
MAGIC: tuple[tuple[bytes, Content], ...] = (
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"II*\0", "a picture"),
    (b"MM\0*", "a picture"),
    (b"GIF8", "an animation"),
    (b"PK", "an archive"),
    (b"Rar!", "an archive"),
    (b"7z\xbc\xaf", "an archive"),
    (b"\x1f\x8b", "an archive"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
)


def content_of(data: bytes) -> Content:
    """What the bytes look like."""
    head = data[:SNIFFED_BYTES]
    if b"%PDF-" in head[:1024]:
        return "a PDF"
    if head.startswith(ZIP):
        return _zipped(data)
    if head.startswith(OLE):
        known = (content for name, content in COMPOUND if name.encode("utf-16-le") in data)
        return next(known, "an old Office document")
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "a picture"
    for magic, content in MAGIC:
        if head.startswith(magic) and (len(magic) > 2 or _is_binary(head)):
            return content
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(MARKUP):
        return "a web page"
    return "binary data" if _is_binary(head) else "text"


def _zipped(data: bytes) -> Content:
    """What an archive holds; of one that is cut off what its parts are called, so that it is told to be damaged."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [name.replace("\\", "/") for name in archive.namelist()]
            mime_type = _mime_type(archive, names)
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return next((content for mark, content in PARTS if mark.encode() in data), "an archive")
    by_type = (content for mark, content in MIME_TYPES if mime_type.startswith(mark))
    by_parts = (content for mark, content in PARTS if any(name.startswith(mark) for name in names))
    return next(by_type, next(by_parts, "an archive"))


def _mime_type(archive: zipfile.ZipFile, names: Sequence[str]) -> bytes:
    """What the part `mimetype` says, which is the first and not compressed unless somebody has packed the file anew."""
    if "mimetype" not in names:
        return b""
    try:
        with archive.open("mimetype") as part:
            return part.read(LONGEST_MIME_TYPE).lstrip(b"\xef\xbb\xbf \t\r\n")
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError):
        return b""


def _is_binary(head: bytes) -> bool:
    """Whether there are more control characters than a damaged text has. UTF-16 is half NULs, but no other controls."""
    controls = sum(byte < 32 and byte not in b"\t\n\v\f\r\x1b" for byte in head)
    nuls = head.count(0)
    wide = head.startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")) or nuls * 2.5 > len(head)
    return (controls - nuls if wide else controls) > len(head) / 10
