"""A site as a crawler sees it: fetched politely, its robots.txt obeyed, its sitemaps read."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ingestion.crawl.addresses import get_path_and_query, get_site, link, make_root_address
from ingestion.crawl.fetch import Fetcher, FetchFailed, MostBytes, PageTooLarge, Reply, unpack
from ingestion.crawl.frontier import CrawlScope
from ingestion.crawl.robots import MAX_BYTES, Robots, read_robots
from ingestion.crawl.sitemap import MAX_BYTES as SITEMAP_BYTES

REDIRECTS = frozenset({301, 302, 303, 307, 308})
BUSY = frozenset({408, 429, 500, 502, 503, 504})
_MAX_REDIRECTS = 5
LONGEST_PAUSE_S = 60.0
_ASK_AGAIN_S = 0.2
_MAX_HOSTS = 1_000


class Stopped(Exception):
    """The crawl is to end here; whoever goes on with it finds everything as it is."""


@dataclass(slots=True)
class _Host:
    next_at: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Politeness:
    """One request at a time to a host, and a pause after each: shared by all crawls of a process."""

    def __init__(self) -> None:
        self._hosts: dict[str, _Host] = {}
        self._lock = threading.Lock()

    @contextmanager
    def wait_for_host(self, host: str, pause_s: float, stopping: threading.Event) -> Iterator[None]:
        """Wait for *host* to be free and rested; it rests *pause_s* seconds from the end of the block on.

        Raises:
            Stopped: *stopping* was set before it was.
        """
        entry = self._get_host(host)
        while not entry.lock.acquire(timeout=_ASK_AGAIN_S):
            if stopping.is_set():
                raise Stopped
        try:
            if stopping.wait(max(0.0, entry.next_at - time.monotonic())):
                raise Stopped
            yield
        finally:
            entry.next_at = max(entry.next_at, time.monotonic() + pause_s)
            entry.lock.release()

    def rest(self, host: str, seconds: float) -> None:
        """Leave *host* alone for so long: it said that it has too much to do."""
        self._get_host(host).next_at = time.monotonic() + min(seconds, LONGEST_PAUSE_S)

    def _get_host(self, host: str) -> _Host:
        with self._lock:
            if len(self._hosts) >= _MAX_HOSTS:
                rested = [name for name, entry in self._hosts.items() if entry.next_at < time.monotonic()]
                for name in rested:
                    if not self._hosts[name].lock.locked() and name != host:
                        del self._hosts[name]
            return self._hosts.setdefault(host, _Host())


@dataclass(frozen=True, slots=True)
class CrawlPolicy:
    """How a crawl behaves: what it calls itself, and the seconds between two of its requests to a host."""

    agent: str
    delay_s: float = 1.0
    back_off_s: float = 10.0  # at least, from a host that says it has too much to do

    @property
    def product(self) -> str:
        """What robots.txt calls it."""
        return self.agent.partition("/")[0].partition(" ")[0]


@dataclass(slots=True)
class Site:
    """The hosts of one web source; of files at most `file_bytes` are read."""

    scope: CrawlScope
    fetcher: Fetcher
    crawl_policy: CrawlPolicy
    politeness: Politeness
    stopping: threading.Event
    file_bytes: int
    requests: int = 0
    _robots: dict[str, Robots | FetchFailed] = field(default_factory=dict)

    def get(
        self, address: str, max_bytes: MostBytes, *, etag: str | None = None, last_modified: str | None = None
    ) -> Reply:
        """What is at *address*, when it is its turn.

        Raises:
            FetchFailed: there is no reply that can be used.
            Stopped: the crawl is to end.
        """
        robots = self._robots.get(make_root_address(address, "/robots.txt"))
        delay_s = robots.delay_s if isinstance(robots, Robots) else None
        pause_s = max(self.crawl_policy.delay_s, delay_s or 0.0)
        with self.politeness.wait_for_host(get_site(address), pause_s, self.stopping):
            self.requests += 1
            try:
                reply = self.fetcher.get(address, max_bytes, etag=etag, last_modified=last_modified)
            except FetchFailed:
                if self.stopping.is_set():  # it was broken off
                    raise Stopped from None
                raise
        if reply.status in (429, 503):
            self.politeness.rest(
                get_site(address), max(reply.retry_after_s or 0.0, self.crawl_policy.back_off_s, pause_s)
            )
        return reply

    def get_robots(self, address: str) -> Robots:
        """What the host of *address* allows; asked once. Of RFC 9309, 2.3.1: nothing while it cannot say.

        Raises:
            FetchFailed: it cannot say.
        """
        at = make_root_address(address, "/robots.txt")
        if at not in self._robots:
            try:
                self._robots[at] = read_robots(self._fetch_text(at) or b"", self.crawl_policy.product)
            except FetchFailed as exc:
                self._robots[at] = exc
        rules = self._robots[at]
        if isinstance(rules, FetchFailed):
            raise rules
        return rules

    def allows(self, address: str) -> bool:
        """Whether robots.txt lets it be fetched.

        Raises:
            FetchFailed: the host cannot say.
        """
        return self.get_robots(address).allows(get_path_and_query(address))

    def fetch_sitemap(self, address: str) -> bytes | None:
        """The content of a sitemap, unpacked; None if there is none that can be read."""
        try:
            if not self.allows(address):
                return None
            reply = self.get(address, lambda _: SITEMAP_BYTES)
            if reply.status != 200 or reply.body is None:
                return None
            if reply.body.startswith(b"\x1f\x8b"):
                return b"".join(unpack([reply.body], SITEMAP_BYTES))
        except FetchFailed:
            return None
        return reply.body

    def _fetch_text(self, at: str) -> bytes | None:
        """robots.txt, wherever its redirects lead; None if there is none."""
        address = at
        for _ in range(_MAX_REDIRECTS + 1):
            try:
                reply = self.get(address, lambda _: MAX_BYTES)
            except PageTooLarge as exc:
                return exc.begun
            if reply.status in REDIRECTS:
                target = link(reply.location or "", address)
                if target is None:
                    return None
                address = target
                continue
            if reply.status >= 500 or reply.status == 429:
                raise FetchFailed(f"Its robots.txt answers {reply.status}.", temporary=True)
            return reply.body if reply.status == 200 else None
        return None
