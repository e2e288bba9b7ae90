"""Crawls of a site of our own, over real HTTP and with real parsers, into a real database."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network
from itertools import pairwise
from pathlib import Path

import pytest
from pypdfium2 import PdfDocument

from auth.credentials import make_key_principal
from auth.principal import Principal
from auth.scopes import Scope
from bootstrap.crawl_scheduler import CrawlScheduler
from domain.crawls import cancel_crawl, find_crawls, request_crawl
from domain.db import Database
from domain.document_files import DocumentFiles
from domain.documents import get_chunks, list_documents
from domain.keys import create_key, revoke_key
from domain.models import Document, Job, JobStage, JobStatus, WebSource, now
from domain.permissions import PermissionCheck
from domain.quotas import UNLIMITED
from domain.scoping import scoped_update
from domain.web_sources import (
    CrawlPlan,
    create_web_source,
    get_web_source,
    list_web_sources,
    remove_web_source,
)
from ingestion.crawl.crawl import CrawlRules
from ingestion.crawl.crawler import Crawler
from ingestion.crawl.site import CrawlPolicy, Politeness, Stopped
from ingestion.malware import MalwareCheck
from ingestion.parsers.sandbox import ParserProcess
from providers.files.folder import FolderFileStore
from providers.scanner.clamd import Clamd
from tests.domain.records import ACME, GLOBEX
from tests.fakes.clamd import FakeClamd
from tests.fakes.website import Page, Website, html
from tests.reading import SANDBOX, files_for_one_run, parsing, policy_with
from utils.errors import Conflict, NotFound
from utils.reach import Reach

pytestmark = pytest.mark.long

LEAVE = "Everyone who works here has twelve days of leave in a year, which are asked for in writing."
LIBRARY = "The library opens at eight in the morning and closes at nine in the evening on weekdays."
RENT = "A room in the dormitory costs five hundred a month, water and electricity are included."

ON_SQLITE = pytest.mark.parametrize("migrated_uri", ["sqlite"], indirect=True)


@pytest.fixture
def site() -> Iterator[Website]:
    with Website() as website:
        website.validators = True
        website.pages["/"] = html("Handbook", LEAVE, links=("/library", "/rooms/"))
        website.pages["/library"] = html("Library", LIBRARY, links=("/", "/library#hours", "/gone"))
        website.pages["/rooms/"] = html(
            "Rooms", RENT, links=("../library?utm_source=menu", "http://elsewhere.example/")
        )
        yield website


class Web:
    """What crawls the site, for one tenant."""

    def __init__(self, database: Database, site: Website, parser: ParserProcess, ctx: Principal = ACME) -> None:
        self.database, self.site, self.parser, self.ctx = database, site, parser, ctx
        self.document_files = files_for_one_run(database)
        reach = Reach((ip_network("127.0.0.0/8"),), frozenset({site.port}))
        self.rules = CrawlRules(
            CrawlPolicy("Pustaka/1.0", delay_s=0.0, back_off_s=0.0),
            reach,
            policy_with(SANDBOX),
            UNLIMITED,
            PermissionCheck(has_configured_key=True),
        )

    def add(self, path: str = "/", **plan: object) -> str:
        with self.database.open_write_session() as session:
            source = create_web_source(session, self.ctx, self.site.url + path, CrawlPlan(**plan))  # type: ignore[arg-type]
            return source.web_source_id

    def crawler(self, worker: str, politeness: Politeness | None = None) -> Crawler:
        shared = politeness or Politeness()
        return Crawler(
            self.database, self.rules, self.parser, worker=worker, politeness=shared, document_files=self.document_files
        )

    def crawl(self, web_source_id: str, worker: str = "test") -> WebSource:
        with self.database.open_write_session() as session:
            request_crawl(session, self.ctx, web_source_id)
        crawler = self.crawler(worker)
        found = crawler.crawl(crawler.claim(self.ctx, web_source_id))
        assert found is not None
        return found

    def job(self, source: WebSource) -> Job:
        """Of its newest crawl."""
        with self.database.open_read_session() as session:
            return find_crawls(session, self.ctx, [source])[source.web_source_id]

    def documents(self, ctx: Principal | None = None) -> dict[str, Document]:
        with self.database.open_read_session() as session:
            return {str(one.url).removeprefix(self.site.url): one for one in list_documents(session, ctx or self.ctx)}

    def text(self, path: str) -> str:
        with self.database.open_read_session() as session:
            chunks = get_chunks(session, self.ctx, self.documents()[path].document_id)
            return "\n".join(chunk.text for chunk in chunks)


@pytest.fixture(scope="module")
def parser() -> Iterator[ParserProcess]:
    with parsing() as process:
        yield process


@pytest.fixture
def web(database: Database, site: Website, parser: ParserProcess) -> Web:
    return Web(database, site, parser)


@pytest.mark.smoke
def test_a_site_becomes_documents_with_their_addresses_titles_and_main_text(web: Web, site: Website) -> None:
    site.pages["/library"].body = site.pages["/library"].body.replace(
        b"</head>", b'<meta property="article:published_time" content="2026-03-04T10:00:00Z"></head>'
    )
    source = web.crawl(web.add())
    assert (web.job(source).status, web.job(source).progress) == (JobStatus.COMPLETED, 1.0)
    assert source.counts == {"added": 3, "skipped": 1}
    assert source.problems == [{"url": f"{site.url}/gone", "became": "skipped", "reason": "It answers 404."}]
    documents = web.documents()
    assert {path: one.title for path, one in documents.items()} == {
        "/": "Handbook",
        "/library": "Library",
        "/rooms/": "Rooms",
    }
    library = documents["/library"]
    assert library.origin == f"web:{site.url}/library"
    assert library.source == f"127.0.0.1:{site.port}/library"
    assert library.details["published"] == "2026-03-04"
    assert library.language == "en"
    assert web.text("/library") == LIBRARY
    assert web.documents(GLOBEX) == {}


@ON_SQLITE
@pytest.mark.parametrize(
    ("limits", "documents", "reason"),
    [
        ({"documents": 2}, 2, "may keep 2 documents, and keeps 2."),
        ({"pages_per_day": 1}, 1, "may have 1 pages read a day, and has had 1 today."),
    ],
)
def test_a_crawl_ends_where_a_quota_of_the_tenant_does_and_says_so(
    web: Web, limits: dict[str, int], documents: int, reason: str, tmp_path: Path
) -> None:
    files = FolderFileStore(tmp_path / "files")
    web.document_files = DocumentFiles(web.database, files)
    web.rules = replace(web.rules, quotas=replace(UNLIMITED, **limits))
    source_id = web.add()
    source = web.crawl(source_id)
    assert (web.job(source).status, len(web.documents())) == (JobStatus.FAILED, documents)
    assert reason in (web.job(source).error or "")
    assert len(list(files.list_hashes(ACME))) == 2 * documents  # nothing of the page that was one too many
    web.rules = replace(web.rules, quotas=UNLIMITED)
    web.crawl(source_id)
    assert len(web.documents()) == 3


@ON_SQLITE
def test_a_crawl_ends_while_the_malware_scanner_is_away_and_says_so(web: Web, tmp_path: Path) -> None:
    source_id, clamd = web.add(), FakeClamd(tmp_path / "clamd.ctl")
    web.crawl(source_id)
    web.rules = replace(web.rules, policy=replace(web.rules.policy, malware=MalwareCheck(Clamd(clamd.address))))
    web.site.pages["/library"] = html("Library", LIBRARY.replace("nine", "ten"))
    source = web.crawl(source_id)
    assert (web.job(source).status, source.problems) == (JobStatus.FAILED, [])
    assert "CLAMD_ADDRESS" in (web.job(source).error or "")
    assert [one.error for one in web.documents().values()] == [None] * 3
    with clamd:
        assert web.job(web.crawl(source_id)).status == JobStatus.COMPLETED
    assert "closes at ten" in web.text("/library")


@ON_SQLITE
def test_a_second_crawl_of_an_unchanged_site_sends_nothing_and_changes_nothing(web: Web, site: Website) -> None:
    source_id = web.add()
    web.crawl(source_id)
    before = {path: one.version for path, one in web.documents().items()}
    site.requests.clear()
    assert web.crawl(source_id).counts == {"unchanged": 3, "skipped": 1}
    assert sorted(one.status for one in site.requests if "." not in one.path) == [304, 304, 304, 404]
    assert {path: one.version for path, one in web.documents().items()} == before


@ON_SQLITE
def test_a_page_whose_text_is_the_same_is_unchanged_whatever_else_the_server_sends(web: Web, site: Website) -> None:
    site.validators = False
    source_id = web.add()
    web.crawl(source_id)
    site.pages["/library"].body = site.pages["/library"].body.replace(
        b"</head>", b"<meta name=token content=42></head>"
    )
    assert web.crawl(source_id).counts["unchanged"] == 3
    assert {one.version for one in web.documents().values()} == {1}


def test_a_changed_page_is_replaced_and_keeps_its_id(web: Web, site: Website) -> None:
    source_id = web.add()
    web.crawl(source_id)
    before = web.documents()["/library"].document_id
    site.pages["/library"] = html("Library", LIBRARY.replace("nine", "ten"))
    assert web.crawl(source_id).counts == {"unchanged": 2, "changed": 1, "skipped": 1}
    assert "closes at ten" in web.text("/library")
    assert web.documents()["/library"].document_id == before


@ON_SQLITE
def test_a_page_that_is_gone_is_kept_once_and_removed_when_it_is_gone_again(web: Web, site: Website) -> None:
    source_id = web.add()
    web.crawl(source_id)
    del site.pages["/rooms/"]
    first = web.crawl(source_id)
    assert first.counts["failed"] == 1
    assert "/rooms/" in web.documents()
    assert web.crawl(source_id).counts["gone"] == 1
    assert sorted(web.documents()) == ["/", "/library"]


@ON_SQLITE
def test_a_page_that_says_it_is_gone_for_good_is_removed_at_once(web: Web, site: Website) -> None:
    source_id = web.add()
    web.crawl(source_id)
    site.pages["/rooms/"] = Page(status=410)
    assert web.crawl(source_id).counts["gone"] == 1
    assert "/rooms/" not in web.documents()


@ON_SQLITE
@pytest.mark.parametrize("status", [500, 503, 429, 403, 302])
def test_a_page_that_fails_for_now_is_kept(web: Web, site: Website, status: int) -> None:
    source_id = web.add()
    web.crawl(source_id)
    site.pages["/rooms/"] = Page(status=status, headers={"Location": "/login", "Retry-After": "0"})
    assert "/rooms/" in web.documents()
    source = web.crawl(source_id)
    assert source.counts["unchanged"] == 2
    assert "/rooms/" in web.documents()


@ON_SQLITE
@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "²"},
        {"Content-Disposition": "filename*1inline;filename*;1"},
        {"Content-Type": "text/html; charset=idna"},
        {"Content-Type": "text/html; charset=punycode"},
        {"Location": "http://[²"},
    ],
)
@pytest.mark.parametrize("status", [200, 302])
def test_no_header_of_a_page_ends_the_crawl_of_the_others(
    web: Web, site: Website, headers: dict[str, str], status: int
) -> None:
    page = html("Rooms", RENT)
    others = {name: value for name, value in headers.items() if name != "Content-Type"}
    site.pages["/rooms/"] = Page(page.body, headers.get("Content-Type", page.media_type), status, others)
    source = web.crawl(web.add())
    assert (web.job(source).status, web.job(source).error) == (JobStatus.COMPLETED, None)
    assert {"/", "/library"} <= set(web.documents())


@ON_SQLITE
def test_a_page_that_moved_is_found_at_its_new_address_and_not_at_the_old_one(web: Web, site: Website) -> None:
    source_id = web.add()
    web.crawl(source_id)
    site.pages["/housing"] = site.pages["/rooms/"]
    site.pages["/rooms/"] = Page(status=301, headers={"Location": "/housing"})
    source = web.crawl(source_id)
    assert (source.counts["added"], source.counts["gone"]) == (1, 1)
    assert sorted(web.documents()) == ["/", "/housing", "/library"]


@ON_SQLITE
def test_redirects_in_a_circle_and_links_in_a_circle_come_to_an_end(web: Web, site: Website) -> None:
    site.pages["/gone"] = Page(status=302, headers={"Location": "/there"})
    site.pages["/there"] = Page(status=302, headers={"Location": "/gone"})
    for number in range(8):
        site.pages[f"/hop{number}"] = Page(status=301, headers={"Location": f"/hop{number + 1}"})
    site.pages["/rooms/"] = html("Rooms", RENT, links=("/hop0", "/", "/rooms/", "/library"))
    source = web.crawl(web.add())
    assert source.counts["added"] == 3
    assert site.asked().count("/gone") == 1
    assert "/hop6" not in site.asked()


@ON_SQLITE
def test_a_page_that_names_another_address_is_kept_there_and_not_twice(web: Web, site: Website) -> None:
    link = '<link rel="canonical" href="/library">'
    site.pages["/library?print=1"] = html("Library", LIBRARY, head=link)
    site.pages["/"] = html("Handbook", LEAVE, links=("/library?print=1",))
    web.crawl(web.add())
    assert sorted(web.documents()) == ["/", "/library"]


@ON_SQLITE
def test_pages_that_name_each_other_are_not_lost(web: Web, site: Website) -> None:
    site.pages["/library"] = html("Library", LIBRARY, head='<link rel="canonical" href="/rooms/">')
    site.pages["/rooms/"] = html("Rooms", RENT, head='<link rel="canonical" href="/library">')
    web.crawl(web.add())
    assert sorted(web.documents()) == ["/", "/rooms/"]


@ON_SQLITE
def test_a_page_that_asks_not_to_be_indexed_is_not_and_its_links_are_followed(web: Web, site: Website) -> None:
    source_id = web.add()
    web.crawl(source_id)
    site.pages["/rooms/"] = html("Rooms", RENT, links=("/more",), head='<meta name="robots" content="noindex">')
    site.pages["/more"] = html("More", "Bicycles are kept in the shed behind the house, which has a lock.")
    site.pages["/library"].headers["X-Robots-Tag"] = "otherbot: noindex"
    site.pages["/hidden"] = html("Hidden", "What is said here is for those alone who have its address.")
    site.pages["/hidden"].headers["X-Robots-Tag"] = "noindex, nofollow"
    site.pages["/"] = html("Handbook", LEAVE, links=("/library", "/rooms/", "/hidden"))
    web.crawl(source_id)
    assert sorted(web.documents()) == ["/", "/library", "/more"]


@ON_SQLITE
def test_robots_txt_is_heeded_and_its_sitemap_read(web: Web, site: Website) -> None:
    rules = f"User-agent: *\nDisallow: /rooms\nSitemap: {site.url}/map.xml\n"
    site.pages["/robots.txt"] = Page(rules.encode(), "text/plain")
    entry = f"<url><loc>{site.url}/unlinked</loc></url><url><loc>http://elsewhere.example/</loc></url>"
    site.pages["/map.xml"] = Page(f"<urlset>{entry}</urlset>".encode(), "application/xml")
    site.pages["/unlinked"] = html("Unlinked", "Keys that were found are at the porter's, until five o'clock.")
    web.crawl(web.add())
    assert sorted(web.documents()) == ["/", "/library", "/unlinked"]
    assert "/rooms/" not in site.asked()


@ON_SQLITE
def test_nothing_is_fetched_while_robots_txt_cannot_be_had_and_all_is_kept(web: Web, site: Website) -> None:
    source_id = web.add(every_s=3600)
    web.crawl(source_id)
    site.pages["/robots.txt"] = Page(status=503)
    site.requests.clear()
    source = web.crawl(source_id)
    assert web.job(source).status == JobStatus.FAILED
    assert web.job(source).error == "Its robots.txt could not be asked. Its robots.txt answers 503."
    assert source.next_at is not None
    assert site.asked() == []
    assert len(web.documents()) == 3


@ON_SQLITE
def test_depth_and_number_of_pages_are_limited_and_what_is_beyond_is_removed(web: Web, site: Website) -> None:
    for number in range(6):
        site.pages[f"/step{number}"] = html(f"Step {number}", f"{LEAVE} {number}", links=(f"/step{number + 1}",))
    deep = web.add("/step0", max_depth=2)
    web.crawl(deep)
    assert sorted(web.documents()) == ["/step0", "/step1", "/step2"]
    with web.database.open_write_session() as session:
        get_web_source(session, ACME, deep).max_pages = 2
    assert web.crawl(deep).counts == {"unchanged": 2, "gone": 1}
    assert sorted(web.documents()) == ["/step0", "/step1"]


@ON_SQLITE
def test_files_that_are_linked_go_through_their_own_parsers(web: Web, site: Website, tmp_path: Path) -> None:
    pdf = Path(__file__).parents[2] / "samples" / "pengaduan-dan-banding.pdf"
    site.pages["/files/appeal.pdf"] = Page(pdf.read_bytes(), "application/pdf")
    site.pages["/broken.pdf"] = Page(b"no PDF at all", "application/pdf")
    site.pages["/photo.php"] = Page(b"\x89PNG" * 100, "image/png")
    site.pages["/"] = html("Handbook", LEAVE, links=("/files/appeal.pdf", "/broken.pdf", "/photo.php", "/logo.png"))
    source = web.crawl(web.add())
    assert source.counts == {"added": 2, "failed": 1, "skipped": 1}
    appeal = web.documents()["/files/appeal.pdf"]
    assert (appeal.media_type, appeal.details["pages"]) == ("application/pdf", len(PdfDocument(pdf)))
    assert {one["reason"] for one in source.problems} == {
        "It is not a PDF: its content looks like text. Give it its right name.",
        "Its kind is not read: image/png.",
    }
    assert "/logo.png" not in site.asked()


@ON_SQLITE
def test_a_single_page_leads_nowhere_else(web: Web, site: Website) -> None:
    web.crawl(web.add("/library", kind="page"))
    assert list(web.documents()) == ["/library"]
    assert site.asked() == ["/library"]


def test_a_crawl_that_was_broken_off_goes_on_where_it_was(web: Web, site: Website) -> None:
    for number in range(20):
        site.pages[f"/item{number}"] = html(f"Item {number}", f"{RENT} This is item {number} of all of them.")
    site.pages["/"] = html("Handbook", LEAVE, links=tuple(f"/item{number}" for number in range(20)))
    source_id = web.add()
    crawler = web.crawler("first")
    stopper = threading.Thread(target=_stop_after, args=(site, crawler, 8))
    stopper.start()
    with pytest.raises(Stopped):
        crawler.crawl(crawler.claim(ACME, source_id))
    stopper.join()
    done = len(web.documents())
    assert 0 < done < 21
    before = len(site.asked())
    with web.database.open_read_session() as session:
        left = web.job(get_web_source(session, ACME, source_id))
    assert (left.status, left.stage, left.worker) == (JobStatus.PENDING, JobStage.CRAWLING, None)
    assert 0 < left.progress < 1
    second = web.crawler("second")
    source = second.crawl(second.claim(ACME, source_id))
    assert source is not None
    assert source.counts == {"added": 21}
    assert len(web.documents()) == 21
    assert len(site.asked()) - before <= 21 - done + 1


def _stop_after(site: Website, crawler: Crawler, requests: int) -> None:
    while len(site.asked()) < requests:
        threading.Event().wait(0.005)  # between two looks
    crawler.stop()


@ON_SQLITE
@pytest.mark.parametrize("removed", [False, True], ids=["cancelled", "removed"])
def test_a_crawl_ends_when_it_is_cancelled_or_its_source_removed(
    web: Web, site: Website, removed: bool, tmp_path: Path
) -> None:
    files = FolderFileStore(tmp_path / "files")
    web.document_files = DocumentFiles(web.database, files)
    for number in range(30):
        site.pages[f"/item{number}"] = html(f"Item {number}", f"{RENT} This is item {number} of all of them.")
    site.pages["/"] = html("Handbook", LEAVE, links=tuple(f"/item{number}" for number in range(30)))
    source_id = web.add()
    crawler = web.crawler("test")
    claim = crawler.claim(ACME, source_id)
    crawling = threading.Thread(target=crawler.crawl, args=(claim,))
    crawling.start()
    while len(site.asked()) < 5:
        threading.Event().wait(0.005)  # between two looks
    with web.database.open_write_session() as session:
        (remove_web_source if removed else cancel_crawl)(session, ACME, source_id)
    crawling.join()
    assert len(list(files.list_hashes(ACME))) <= 2 * len(web.documents())  # nothing of the page that was being read
    assert len(site.asked()) < 31
    with web.database.open_read_session() as session:
        left = [web.job(one).status for one in list_web_sources(session, ACME).rows]
        assert left == ([] if removed else [JobStatus.CANCELLED])
    assert bool(web.documents()) is not removed


@ON_SQLITE
def test_nobody_crawls_what_somebody_else_does(web: Web) -> None:
    source_id = web.add()
    web.crawler("first").claim(ACME, source_id)
    with pytest.raises(Conflict):
        web.crawler("second").claim(ACME, source_id)
    with pytest.raises(NotFound):
        Web(web.database, web.site, web.parser, GLOBEX).crawler("first").claim(GLOBEX, source_id)


@ON_SQLITE
@pytest.mark.parametrize("is_revoked", [True, False])
def test_a_crawl_is_not_begun_once_the_key_that_asked_for_it_was_revoked(
    web: Web, site: Website, is_revoked: bool
) -> None:
    with web.database.open_write_session() as session:
        key, _ = create_key(session, "acme", "asks", scopes=["web-sources:write"])
        other, _ = create_key(session, "acme", "other", scopes=["web-sources:write"])
        revoke_key(session, ACME, (key if is_revoked else other).key_id)
        ctx = make_key_principal("acme", key.key_id, {Scope.WEB_SOURCES_WRITE})
        source_id = create_web_source(session, ctx, f"{site.url}/", CrawlPlan()).web_source_id
    crawler = web.crawler("test")
    source = crawler.crawl(crawler.claim(ACME, source_id))
    assert source is not None
    assert web.job(source).status == (JobStatus.FAILED if is_revoked else JobStatus.COMPLETED)
    assert ("was revoked" in (web.job(source).error or "")) is is_revoked
    assert bool(site.requests) is not is_revoked


@ON_SQLITE
def test_the_service_goes_on_by_itself_with_a_crawl_whose_command_was_killed(web: Web) -> None:
    claim = web.crawler("command:killed").claim(ACME, web.add("/library", kind="page"))
    with web.database.open_write_session() as session:
        session.execute(scoped_update(ACME, Job).values(lease_until=now() - timedelta(seconds=1)))

    async def crawl_until_it_is_over(rules: CrawlRules) -> None:
        running = asyncio.create_task(CrawlScheduler(web.database, web.document_files, rules, at_once=1).run())
        async with asyncio.timeout(60):
            while web.job(claim.source).status != JobStatus.COMPLETED:
                await asyncio.sleep(0.05)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    asyncio.run(crawl_until_it_is_over(web.rules))
    assert list(web.documents()) == ["/library"]


@ON_SQLITE
def test_a_robots_txt_that_leads_inside_is_not_followed_there(web: Web, site: Website) -> None:
    web.rules = replace(web.rules, reach=Reach((ip_network("127.0.0.1"),), frozenset({site.port})))
    with Website("127.0.0.99", site.port) as secret:
        site.pages["/robots.txt"] = Page(status=302, headers={"Location": f"{secret.url}/admin"})
        source = web.crawl(web.add())
        assert secret.requests == []
    assert web.job(source).error == "It leads to an address that is not on the public internet."


def test_removing_a_source_removes_its_documents_but_those_of_another_one(
    database: Database, site: Website, parser: ParserProcess
) -> None:
    acme, globex = Web(database, site, parser), Web(database, site, parser, GLOBEX)
    whole, theirs = acme.add(), globex.add()
    acme.crawl(whole)
    globex.crawl(theirs)
    acme.crawl(acme.add("/library", kind="page"))
    with database.open_write_session() as session:
        assert remove_web_source(session, ACME, whole) == 2
    assert list(acme.documents()) == ["/library"]
    assert len(globex.documents()) == 3


@ON_SQLITE
def test_a_site_is_asked_one_thing_at_a_time_and_with_a_pause(
    database: Database, site: Website, parser: ParserProcess
) -> None:
    with parsing() as another:
        webs = [Web(database, site, parser), Web(database, site, another, GLOBEX)]
        _crawl_together(webs)
    assert site.max_at_once == 1
    times = sorted(request.at for request in site.requests)
    assert all(later - earlier >= 0.09 for earlier, later in pairwise(times))
    assert all(request.headers["User-Agent"] == "Pustaka/1.0" for request in site.requests)


def _crawl_together(webs: list[Web]) -> None:
    shared = Politeness()
    threads = []
    for web in webs:
        web.rules = replace(web.rules, crawl_policy=CrawlPolicy("Pustaka/1.0", delay_s=0.1))
        crawler = web.crawler("test", shared)
        threads.append(threading.Thread(target=crawler.crawl, args=(crawler.claim(web.ctx, web.add()),)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
