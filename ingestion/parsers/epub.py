"""E-books: the chapters in reading order, each a web page in an archive (EPUB 2 and 3)."""

import posixpath
from collections.abc import Iterator
from urllib.parse import unquote

from lxml import etree

from ingestion.parsers import html
from ingestion.parsers.archive import Archive, find_title
from ingestion.parsers.parsed import Limits, ParsedDocument, TextBuilder
from utils.errors import UnreadableDocument

MEDIA_TYPE = "application/epub+zip"
CONTAINER = "META-INF/container.xml"
ENCRYPTION = "META-INF/encryption.xml"
PAGES = ("application/xhtml+xml", "text/html")
MAX_CHAPTERS = 5_000


def parse(data: bytes, limits: Limits) -> ParsedDocument:
    """The book; its table of contents is left out, for its headings are there anyway."""
    archive = Archive.from_bytes(data, limits, "EPUB")
    package = _find_package(archive)
    root = archive.read_xml(package)
    locked = _find_encrypted(archive)
    builder = TextBuilder(limits)
    chapters = list(_iter_chapters(root, posixpath.dirname(package)))[:MAX_CHAPTERS]
    if locked & set(chapters):
        raise UnreadableDocument("It is locked for the device or account that bought it (DRM): get a copy without.")
    for chapter in chapters:
        if chapter in archive:
            _add_chapter(builder, archive.read(chapter))
    return builder.build(title=find_title(archive, package) or builder.find_first_heading(), media_type=MEDIA_TYPE)


def _find_package(archive: Archive) -> str:
    """The file that lists what the book is made of."""
    package = archive.read_xml(CONTAINER).find(".//{*}rootfile")
    if package is None or package.get("full-path", "") not in archive:
        raise archive.make_damage_error()
    return str(package.get("full-path"))


def _iter_chapters(root: etree._Element, folder: str) -> Iterator[str]:
    items = {item.get("id"): item for item in root.iterfind("{*}manifest/{*}item")}
    for entry in root.iterfind("{*}spine/{*}itemref"):
        item = items.get(entry.get("idref"))
        if item is not None and item.get("media-type") in PAGES and "nav" not in item.get("properties", "").split():
            yield posixpath.normpath(posixpath.join(folder, unquote(item.get("href", ""))))


def _find_encrypted(archive: Archive) -> set[str]:
    """The parts that are encrypted; fonts often are, in books that anybody may read."""
    if ENCRYPTION not in archive:
        return set()
    return {unquote(encrypted.get("URI", "")) for encrypted in archive.read_xml(ENCRYPTION).iter("{*}CipherReference")}


def _add_chapter(builder: TextBuilder, page: bytes) -> None:
    if page.strip():
        builder.leave(1)
        html.read_into(builder, page)
