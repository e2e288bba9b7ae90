"""Sitemaps: the addresses a site names itself. Protocol: https://www.sitemaps.org/protocol.html"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from html import unescape

from ingestion.crawl.addresses import link, make_likeness_key

MAX_BYTES = 10_000_000  # unpacked; the protocol allows 50
MAX_FILES = 50
# No XML parser: what entities and nesting could do to one is not wanted, and what counts is between two tags.
_LOCATION = re.compile(rb"<loc\b[^>]{0,200}>\s*(?:<!\[CDATA\[)?([^<\]]{1,4000})", re.IGNORECASE)
_INDEX = re.compile(rb"<(?:\w{1,20}:)?sitemapindex\b", re.IGNORECASE)

Fetch = Callable[[str], bytes | None]


@dataclass(frozen=True, slots=True)
class Sitemap:
    """The addresses in a file as they stand there: of pages, or of more sitemaps."""

    addresses: tuple[str, ...]
    is_index: bool


def read_sitemap(data: bytes) -> Sitemap:
    """The addresses in *data*, which is XML or a text with a line for each; none if it is neither."""
    if data.lstrip()[:8].lower().startswith((b"http://", b"https://")):
        lines = data.decode("utf-8", errors="replace").split()
        return Sitemap(tuple(line for line in lines if len(line) <= 4_000), is_index=False)
    sitemap = (unescape(one.decode("utf-8", errors="replace")).strip() for one in _LOCATION.findall(data))
    return Sitemap(tuple(sitemap), is_index=_INDEX.search(data[:4_000]) is not None)


def iter_addresses(
    sitemaps: Iterable[str], fetch: Fetch, *, admits: Callable[[str], bool], limit: int
) -> Iterator[str]:
    """At most *limit* page addresses out of *sitemaps* and those they name, each once, as *admits* allows them.

    *fetch* gives the content of a sitemap, None for one that is not there. Sitemaps that name each other end at
    `MAX_FILES`.
    """
    waiting = list(sitemaps)[:MAX_FILES]
    read: set[str] = set()
    seen: set[str] = set()
    while waiting and len(read) < MAX_FILES:
        at = waiting.pop(0)
        if at in read or not admits(at):
            continue
        read.add(at)
        content = fetch(at)
        if content is None:
            continue
        sitemap = read_sitemap(content)
        for address in filter(None, (link(one, at) for one in sitemap.addresses)):
            if sitemap.is_index:
                waiting += [address] * (len(waiting) < MAX_FILES)
            elif make_likeness_key(address) not in seen and admits(address):
                if len(seen) >= limit:
                    return
                seen.add(make_likeness_key(address))
                yield address
