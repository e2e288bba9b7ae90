"""What a zipped format is, by the parts of the archive."""

import io
import zipfile
import zlib
from collections.abc import Sequence

from ingestion.parsers.sniffing import Content

LONGEST_MIME_TYPE = 200
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


def detect_archive(data: bytes) -> Content:
    """What an archive holds. One that is cut off counts as what its parts are called: its parser says it is damaged."""
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
