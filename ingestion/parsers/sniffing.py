"""The content of a file by its bytes, whatever its name."""

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
    "rich text",
    "an archive",
    "a program",
    "an animation",
    "binary data",
]
SNIFFED_BYTES = 4096
ISO_2022_KOREAN = b"\x1b$)C"  # it shifts between Korean and ASCII with two control characters
ZIP, OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# A compound file: an encrypted Office document, an Outlook message, or a format of Office before 2007.
COMPOUND: tuple[tuple[str, Content], ...] = (
    ("EncryptedPackage", "a locked Office document"),
    ("__substg1.0_", "an Outlook message"),
)
MARKUP = (b"<!doctype html", b"<html", b"<head", b"<body", b"<?xml")
MAGIC: tuple[tuple[bytes, Content], ...] = (
    (b"{\\rtf", "rich text"),
    (b"\x09\x00\x04\x00", "an old Office document"),  # Excel 2, 3 and 4 write no compound file ([MS-XLS] 2.4.21)
    (b"\x09\x02\x06\x00", "an old Office document"),
    (b"\x09\x04\x06\x00", "an old Office document"),
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


def detect_content(data: bytes) -> Content:
    """The kind of content that the bytes look like."""
    head = data[:SNIFFED_BYTES]
    if b"%PDF-" in head[:1024]:
        return "a PDF"
    if head.startswith(ZIP):
        from ingestion.parsers.zipped import detect_archive  # in the sandbox alone

        return detect_archive(data)
    if head.startswith(OLE):
        kinds = (content for name, content in COMPOUND if name.encode("utf-16-le") in data)
        return next(kinds, "an old Office document")
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "a picture"
    for magic, content in MAGIC:
        if head.startswith(magic) and (len(magic) > 2 or _is_binary(head)):
            return content
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(MARKUP):
        return "a web page"
    return "binary data" if _is_binary(head) else "text"


def _is_binary(head: bytes) -> bool:
    """Whether there are more control characters than a damaged text has. UTF-16 is half NULs, but no other controls."""
    shifts = b"\x0e\x0f" if ISO_2022_KOREAN in head else b""
    controls = sum(byte < 32 and byte not in b"\t\n\v\f\r\x1b" + shifts for byte in head)
    nuls = head.count(0)
    wide = head.startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")) or nuls * 2.5 > len(head)
    return (controls - nuls if wide else controls) > len(head) / 10
