"""From a reply to a document: which parser it is for, what the page says of itself, and whether that is news."""

import codecs
import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from domain.documents import DocumentContent
from ingestion.crawl.addresses import format_address, get_site, link
from ingestion.crawl.fetch import MostBytes, Reply
from ingestion.parsers.kinds import PAGE_SUFFIX, is_known
from ingestion.parsers.parsed import ParsedDocument
from ingestion.reader import DocumentReader, compute_content_hash
from utils.errors import UnreadableDocument

PAGE_BYTES = 5_000_000
PAGES = frozenset({"text/html", "application/xhtml+xml"})
_OFFICE = "application/vnd.openxmlformats-officedocument."
_OPEN = "application/vnd.oasis.opendocument."
_SUFFIXES = {
    "application/pdf": ".pdf",
    f"{_OFFICE}wordprocessingml.document": ".docx",
    f"{_OFFICE}presentationml.presentation": ".pptx",
    f"{_OFFICE}spreadsheetml.sheet": ".xlsx",
    f"{_OPEN}text": ".odt",
    f"{_OPEN}presentation": ".odp",
    f"{_OPEN}spreadsheet": ".ods",
    "application/epub+zip": ".epub",
    "application/rtf": ".rtf",
    "text/markdown": ".md",
    "text/csv": ".csv",
    "text/plain": ".txt",
}
_UNTOLD = frozenset({"application/octet-stream", "binary/octet-stream", "application/force-download"})
_AGENT = re.compile(r"[a-z][a-z0-9_-]*")
# Python has them, but no page is written so: punycode takes the square of its length. UTF-8 is read as it is.
_NO_CHARSETS = frozenset({"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7", "utf-8"})
_WITH_VALUE = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})


@dataclass(frozen=True, slots=True)
class FetchedPage:
    """What a reply holds: a document, unless `refused` says why not, and where its page leads to.

    `text_hash` is of what readers see: pages that change with every request, by a token or a clock, stay the same.
    """

    text_hash: str = ""
    content: DocumentContent | None = None
    data: bytes = b""
    refused: str = ""
    is_empty: bool = False
    canonical: str | None = None
    links: tuple[str, ...] = ()


def limit_bytes(address: str, file_bytes: int) -> MostBytes:
    """How much of what is at *address* is read, by its media type: nothing of what is no document."""

    def limit(media_type: str) -> int:
        if media_type in PAGES:
            return PAGE_BYTES
        return file_bytes if _make_file_name(address, media_type, None) else 0

    return limit


def take(reply: Reply, address: str, reader: DocumentReader, product: str) -> FetchedPage:
    """The document in *reply*, which was fetched from *address* by a crawler called *product*.

    Raises:
        UnreadableDocument: it is a file that cannot be read.
        ScannerUnavailable: files are not read at present.
    """
    directives = _parse_directives(reply.robots_tags, product)
    if reply.body is None:
        return FetchedPage(refused=f"Its kind is not read: {reply.media_type[:80]}.")
    if reply.media_type in PAGES:
        return _read_page(reply, address, reader, directives)
    if "noindex" in directives:
        return _refuse()
    name = _make_file_name(address, reply.media_type, reply.file_name) or "file"
    content = reader.read_whole(reply.body, name, format_address(address))
    return FetchedPage(compute_content_hash(reply.body), replace(content, url=address), reply.body)


def _read_page(reply: Reply, address: str, reader: DocumentReader, directives: set[str]) -> FetchedPage:
    data = _convert_to_utf8(reply.body or b"", reply.charset)
    name = _make_page_name(address)
    checked = reader.parse(data, name)
    parsed = checked.document
    facts = parsed.facts
    if facts is None:
        raise AssertionError("Pages are parsed with their facts.")
    directives |= {word.strip() for word in facts.robots.split(",")}
    base = link(facts.base or "", address) or address
    links = () if directives & {"nofollow", "none"} else _select_leading(facts.links, base)
    if directives & {"noindex", "none"}:
        return replace(_refuse(), links=links)
    canonical = link(facts.canonical, base) if facts.canonical else None
    if canonical and get_site(canonical) != get_site(address):
        canonical = None  # the page of somebody else, but it stands here
    fetched = FetchedPage(_hash_text(parsed), data=data, canonical=canonical, links=links)
    if not parsed.sections:
        return replace(fetched, refused="There is no text in it.", is_empty=True)
    try:
        content = reader.make_content(checked, data, name, format_address(address))
    except UnreadableDocument as exc:
        return replace(fetched, refused=exc.detail, is_empty=True)
    declared = {"published": facts.published, "declared_language": facts.language}
    details = {**content.details, **{name: value for name, value in declared.items() if value}}
    file_name = name.removesuffix(PAGE_SUFFIX) + ".html"
    return replace(fetched, content=replace(content, url=address, details=details, file_name=file_name))


def _refuse() -> FetchedPage:
    return FetchedPage(refused="It asks not to be indexed.")


def _select_leading(links: tuple[str, ...], base: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, (link(one, base) for one in links))))


def _hash_text(parsed: ParsedDocument) -> str:
    text = "\n".join((parsed.title or "", (parsed.facts and parsed.facts.published) or "", parsed.text))
    return hashlib.sha256(text.encode()).hexdigest()


def _convert_to_utf8(data: bytes, charset: str | None) -> bytes:
    """*data* in a form that says its encoding itself, where only the reply's header did."""
    try:
        if charset and codecs.lookup(charset).name not in _NO_CHARSETS:
            return data.decode(charset).encode("utf-8-sig")
    except (LookupError, ValueError):
        return data  # the header is wrong: the page itself may know better
    return data


def _parse_directives(tags: tuple[str, ...], product: str) -> set[str]:
    """What `X-Robots-Tag` says to all, and to us: https://developers.google.com/search/docs/crawling-indexing."""
    directives: set[str] = set()
    for tag in tags:
        name, colon, rest = tag.partition(":")
        if colon and _AGENT.fullmatch(name.strip()) and name.strip() not in _WITH_VALUE:
            if name.strip() != product.lower():
                continue
            tag = rest
        directives |= {word.strip() for word in tag.split(",")}
    return directives | ({"noindex", "nofollow"} if "none" in directives else set())


def _make_page_name(address: str) -> str:
    parts = urlsplit(address)
    stem = PurePosixPath(unquote(parts.path)).stem
    return (stem.replace("\0", "")[:100] or parts.netloc.partition(":")[0]) + PAGE_SUFFIX


def _make_file_name(address: str, media_type: str, declared_name: str | None) -> str | None:
    """What a file is called, so that its parser is found; None if there is none."""
    own = PurePosixPath(unquote(urlsplit(address).path)).name[:200]
    suffix = _SUFFIXES.get(media_type, "")
    for name in (declared_name or "", own):
        fits = PurePosixPath(name).suffix.lower() == suffix or media_type in _UNTOLD or media_type == "text/plain"
        if is_known(name) and fits:
            return name
    return (PurePosixPath(own).stem or "file") + suffix if suffix and is_known("x" + suffix) else None
