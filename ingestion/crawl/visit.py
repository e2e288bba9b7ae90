"""One address fetched: what became of it, by what the server says and by what was known of it before."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from domain.documents import DocumentContent
from domain.models import Document, WebPage
from ingestion.crawl.addresses import link, make_likeness_key
from ingestion.crawl.fetch import FetchFailed, Reply
from ingestion.crawl.frontier import Frontier
from ingestion.crawl.page_storage import FetchedPage, limit_bytes, take
from ingestion.crawl.site import BUSY, REDIRECTS, Site
from ingestion.reader import DocumentReader
from utils.errors import UnreadableDocument

MISSED_BEFORE_GONE = 2
MAX_FAILURES_IN_A_ROW = 10
PERMANENT = frozenset({301, 308})
GONE = 410

DocumentLookup = Callable[[WebPage], Document | None]


@dataclass(frozen=True, slots=True)
class VisitOutcome:
    """What became of an address: one of the words that are counted, and what is to be written about it.

    "later" is not counted: there is a try left.
    """

    became: str
    reason: str = ""
    content: DocumentContent | None = None
    data: bytes = field(default=b"", repr=False)
    unreadable: str = ""
    remove: bool = False
    new: Sequence[WebPage] = field(default_factory=tuple)


class SiteAway(Exception):
    """The site as a whole cannot be read; the text says why."""


class PageVisitor:
    """Fetches the addresses of one crawl.

    *lookup* gives a page's document if it need not be read again when the page did not change. *texts* says which page
    of this crawl said what: addresses by the hash of their text.
    """

    def __init__(
        self, site: Site, frontier: Frontier, reader: DocumentReader, lookup: DocumentLookup, texts: dict[str, str]
    ) -> None:
        self._site, self._frontier, self._reader, self._lookup, self._texts = site, frontier, reader, lookup, texts
        self._in_a_row = 0

    def visit(self, page: WebPage) -> VisitOutcome:
        """Fetch *page*, and tell what became of it; its row is brought up to date, what it leads to is in the frontier.

        Raises:
            SiteAway: it is one failure too many.
            Stopped: the crawl is to end.
        """
        page.tries += 1
        try:
            if not self._site.allows(page.url):
                return self._note_missing(page, "robots.txt does not allow it.")
            document = self._lookup(page)
            conditions = {"etag": page.etag, "last_modified": page.last_modified} if document else {}
            reply = self._site.get(page.url, limit_bytes(page.url, self._site.file_bytes), **conditions)
        except FetchFailed as exc:
            return self._handle_failure(page, exc.reason, temporary=exc.temporary)
        return self._handle_answer(page, reply, document)

    def _handle_answer(self, page: WebPage, reply: Reply, document: Document | None) -> VisitOutcome:
        if reply.status in BUSY or reply.status >= 500:
            return self._handle_failure(page, f"It answers {reply.status}.", temporary=True)
        self._in_a_row = 0
        if reply.status == 304 and document:
            page.missed = 0
            self._texts[page.text_hash] = page.url
            return VisitOutcome("unchanged")
        if reply.status == 200:
            return self._store(page, reply, document)
        if reply.status in REDIRECTS:
            return self._handle_redirect(page, reply)
        if reply.status == GONE:
            page.missed = MISSED_BEFORE_GONE
        return self._note_missing(page, f"It answers {reply.status}.")

    def _store(self, page: WebPage, reply: Reply, document: Document | None) -> VisitOutcome:
        try:
            result = take(reply, page.url, self._reader, self._site.crawl_policy.product)
        except UnreadableDocument as exc:
            page.taken, page.missed, page.text_hash = True, 0, ""
            return VisitOutcome("failed", exc.detail, unreadable=exc.detail)
        links = [self._frontier.add(address, depth=page.depth + 1) for address in result.links]
        new = [one for one in links if one is not None]
        elsewhere = self._find_other_address(page, result)
        if elsewhere is not None:
            page.alias = True
            ahead = self._frontier.follow(page, elsewhere)
            new += [ahead] if ahead else []
            return _drop(page, f"It names {elsewhere} as its address.", new)
        if result.content is None:
            return (
                VisitOutcome("skipped", result.refused, new=new)
                if result.is_empty
                else _drop(page, result.refused, new)
            )
        twin = self._texts.get(result.text_hash)
        if twin not in (None, page.url):
            return _drop(page, f"It says the same as {twin}.")
        self._texts[result.text_hash] = page.url
        same = document is not None and page.text_hash == result.text_hash
        became = "unchanged" if same else "changed" if page.taken else "added"
        page.taken, page.missed, page.text_hash = True, 0, result.text_hash
        page.etag, page.last_modified = reply.etag, reply.last_modified
        if same:
            return VisitOutcome(became, new=new)
        return VisitOutcome(
            became, content=_set_address(result.content, page, result.canonical), data=result.data, new=new
        )

    def _find_other_address(self, page: WebPage, fetched: FetchedPage) -> str | None:
        """The address the page names as its own, unless that one named another, or names this one."""
        address = fetched.canonical
        if address is None or make_likeness_key(address) == make_likeness_key(page.url):
            return None
        other = self._frontier.find(address)
        return None if other is not None and (other.alias or other.missed) else address

    def _handle_redirect(self, page: WebPage, reply: Reply) -> VisitOutcome:
        address = link(reply.location or "", page.url)
        if address is None or not self._site.scope.holds(address):
            return self._note_missing(page, "It leads to another site.")
        if address == page.url:
            return self._note_missing(page, "It leads to itself.")
        target = self._frontier.find(address)
        ahead = self._frontier.follow(page, address)
        if ahead is None and target is None:
            return self._note_missing(page, "It redirects too many times.")
        new = [ahead] if ahead else []
        if reply.status in PERMANENT:
            return _drop(page, f"It is now at {address}.", new)
        if page.taken:
            missing = self._note_missing(page, f"It leads to {address} for now.")
            return VisitOutcome(missing.became, missing.reason, remove=missing.remove, new=new)
        return VisitOutcome("skipped", f"It leads to {address}.", new=new)

    def _note_missing(self, page: WebPage, reason: str) -> VisitOutcome:
        """Not there, or not for us. One that was is kept until it is missed again, in another crawl."""
        page.missed += 1
        if not page.taken:
            return VisitOutcome("skipped", reason)
        if page.missed < MISSED_BEFORE_GONE:
            return VisitOutcome("failed", f"{reason} It is kept until the next crawl.")
        return VisitOutcome("gone", reason, remove=True)

    def _handle_failure(self, page: WebPage, reason: str, *, temporary: bool) -> VisitOutcome:
        self._in_a_row += temporary
        if self._in_a_row >= MAX_FAILURES_IN_A_ROW:
            raise SiteAway(f"{self._in_a_row} pages in a row failed. {reason}")
        if temporary and self._frontier.requeue(page):
            return VisitOutcome("later")
        return VisitOutcome("failed", reason)


def _set_address(content: DocumentContent, page: WebPage, named: str | None) -> DocumentContent:
    """*content* with the address it is cited by: the one it *named*, if that is another way to write the page's."""
    is_same = named is not None and make_likeness_key(named) == make_likeness_key(page.url)
    return replace(content, url=named if is_same else page.url)


def _drop(page: WebPage, reason: str, new: Sequence[WebPage] = ()) -> VisitOutcome:
    """No document, and not any more if there was one."""
    return VisitOutcome("gone" if page.taken else "skipped", reason, remove=page.taken, new=new)
