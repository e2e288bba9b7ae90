"""What is still to be fetched of a site, and what is better left alone: other sites, traps, what is no document."""

import heapq
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import parse_qsl, urlsplit

from domain.models import WebPage
from ingestion.crawl.addresses import get_site, make_likeness_key

MAX_OF_A_PATTERN = 100  # addresses that differ in numbers alone: `/calendar/2026/11`, `/calendar/2026/12` …
MAX_OF_A_QUERY = 50  # addresses that differ in parameters alone
MAX_PARAMETERS = 4
DEEPEST_PATH = 12
MAX_REPEATS = 3  # of a part of the path: `/a/b/a/b/a/b` is a link that is relative to itself
MAX_HOPS = 5
MAX_TRIES = 2
_NUMBERS = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{16,}|\d+", re.IGNORECASE)
_NO_DOCUMENTS = frozenset(
    [
        *("png", "jpg", "jpeg", "gif", "webp", "avif", "svg", "ico", "bmp", "tif", "tiff", "heic"),
        *("mp3", "mp4", "m4a", "m4v", "avi", "mov", "mkv", "webm", "wav", "ogg", "ogv", "flac", "wmv"),
        *("css", "js", "mjs", "map", "json", "xml", "rss", "atom", "ics", "vcf", "woff", "woff2", "ttf", "eot", "otf"),
        *("zip", "gz", "tgz", "bz2", "xz", "7z", "rar", "tar", "exe", "msi", "dmg", "pkg", "deb", "rpm", "apk", "iso"),
    ]
)


@dataclass(frozen=True, slots=True)
class CrawlScope:
    """What of the web belongs to a source: the page at `start`, or the site it is on, so many links and pages far."""

    start: str
    whole_site: bool
    max_depth: int
    max_pages: int

    @property
    def max_addresses(self) -> int:
        """How many are kept in mind; more than pages, since not every address is one."""
        return 5 * self.max_pages + 200 if self.whole_site else 10

    @property
    def max_requests(self) -> int:
        """How many pages are asked for, whatever they turn out to be."""
        return 3 * self.max_pages + 50 if self.whole_site else 10

    def holds(self, address: str) -> bool:
        """Whether *address* is on the same site, by its host and port."""
        return get_site(address) == get_site(self.start)


class Frontier:
    """The addresses of one crawl, each once, those known from before first, then by depth.

    It takes no notes of its own: every address is a `WebPage`, and from those that were written down it is made again.
    """

    def __init__(self, scope: CrawlScope, crawl: int, pages: Iterable[WebPage] = ()) -> None:
        self._scope, self._crawl = scope, crawl
        self._pages: dict[str, WebPage] = {}
        self._alike: set[str] = set()
        self._patterns: Counter[str] = Counter()
        self._heap: list[tuple[bool, int, int, str]] = []
        self._last = 0
        self.trapped = 0  # addresses that were left alone because there are too many like them
        for page in pages:
            self._put(page)

    def add(self, address: str, *, depth: int, listed: bool = False) -> WebPage | None:
        """Take in an address that a page or a sitemap names, as *listed* says; None if it is known or not wanted."""
        scope = self._scope
        if not scope.whole_site and address != scope.start:
            return None
        if depth > scope.max_depth or not scope.holds(address) or make_likeness_key(address) in self._alike:
            return None
        if len(self._pages) >= scope.max_addresses or not _may_be_document(address):
            return None
        if not listed and self._is_trap(address):
            self.trapped += 1
            return None
        return self._put(self._make_page(address, depth, listed=listed))

    def follow(self, page: WebPage, address: str) -> WebPage | None:
        """Take in the address that *page* says it is now at; None if that is known or not wanted."""
        present = self._pages.get(address)
        if present is not None or page.hops >= MAX_HOPS or not self._scope.holds(address):
            return None
        if len(self._pages) >= self._scope.max_addresses + MAX_HOPS:
            return None
        return self._put(self._make_page(address, page.depth, hops=page.hops + 1, listed=page.listed))

    def requeue(self, page: WebPage) -> bool:
        """Put *page* at the end of those of its depth for one more try; whether it has any left."""
        page.waiting = page.tries < MAX_TRIES
        if page.waiting:
            heapq.heappush(self._heap, (True, self._scope.max_depth + 1, page.position, page.url))
        return page.waiting

    def next(self) -> WebPage | None:
        """The address to fetch next; None when there is none."""
        while self._heap:
            page = self._pages[heapq.heappop(self._heap)[-1]]
            if page.waiting:
                return page
        return None

    def find(self, address: str) -> WebPage | None:
        """What is known of an address."""
        return self._pages.get(address)

    def list_unfetched(self) -> Iterator[WebPage]:
        """The pages that were not fetched."""
        return (page for page in self._pages.values() if page.waiting)

    @property
    def address_count(self) -> int:
        """How many addresses it has met so far."""
        return len(self._pages)

    @property
    def waiting(self) -> int:
        """How many are still to be fetched."""
        return sum(1 for _ in self.list_unfetched())

    def _make_page(self, address: str, depth: int, *, hops: int = 0, listed: bool = False) -> WebPage:
        return WebPage(
            url=address,
            crawl=self._crawl,
            position=self._last + 1,
            depth=depth,
            hops=hops,
            tries=0,
            waiting=True,
            listed=listed,
            taken=False,
            alias=False,
            missed=0,
            text_hash="",
        )

    def _put(self, page: WebPage) -> WebPage:
        self._pages[page.url] = page
        self._last = max(self._last, page.position)
        self._alike.add(make_likeness_key(page.url))
        if not page.listed:
            self._patterns.update(_list_patterns(page.url))
        if page.waiting and page.depth <= self._scope.max_depth:
            heapq.heappush(self._heap, (not page.taken, page.depth, page.position, page.url))
        return page

    def _is_trap(self, address: str) -> bool:
        parts = urlsplit(address)
        names = [part for part in parts.path.split("/") if part]
        repeats = max(Counter(names).values(), default=0)
        if len(names) > DEEPEST_PATH or repeats > MAX_REPEATS or len(parse_qsl(parts.query)) > MAX_PARAMETERS:
            return True
        limits = {"n": MAX_OF_A_PATTERN, "q": MAX_OF_A_QUERY}
        return any(self._patterns[pattern] >= limits[pattern[0]] for pattern in _list_patterns(address))


def _list_patterns(address: str) -> list[str]:
    """What an address has in common with its like: its path without the numbers, and its path if it has a query."""
    parts = urlsplit(address)
    shape = _NUMBERS.sub("#", parts.path)
    patterns = ["n" + shape] if shape != parts.path else []
    return [*patterns, "q" + shape] if parts.query else patterns


def _may_be_document(address: str) -> bool:
    return PurePosixPath(urlsplit(address).path).suffix[1:].lower() not in _NO_DOCUMENTS
