"""The format of a zipped file, by the parts of the archive."""

import io
import zipfile
import zlib
from collections.abc import Sequence

from ingestion.parsers.sniffing import Content

LONGEST_MIME_TYPE = 200
# Office formats are archives with different first parts, or folders and names of parts.
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


def detect_archive(data: bytes) -> Content:
    """The content of an archive; of one that is cut off, by its names of parts: its parser reports the damage."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [name.replace("\\", "/") for name in archive.namelist()]
            mime_type = _read_mime_type(archive, names)
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return next((content for mark, content in PARTS if mark.encode() in data), "an archive")
    by_type = (content for mark, content in MIME_TYPES if mime_type.startswith(mark))
    by_parts = (content for mark, content in PARTS if any(name.startswith(mark) for name in names))
    return next(by_type, next(by_parts, "an archive"))


def _read_mime_type(archive: zipfile.ZipFile, names: Sequence[str]) -> bytes:
    """The text of the part `mimetype`; it should be the first, uncompressed, but in a re-zipped file it is not."""
    if "mimetype" not in names:
        return b""
    try:
        with archive.open("mimetype") as part:
            return part.read(LONGEST_MIME_TYPE).lstrip(b"\xef\xbb\xbf \t\r\n")
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError):
        return b""
