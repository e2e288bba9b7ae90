"""What is still to be fetched: each address once, in a good order, and no trap for ever."""

from collections.abc import Callable

from domain.models import WebPage
from ingestion.crawl.frontier import CrawlScope, Frontier

SITE = CrawlScope("http://a.example/", whole_site=True, max_depth=500, max_pages=2_000)


def walked(frontier: Frontier, links: Callable[[str], list[str]]) -> list[str]:
    """The addresses in the order they are given out, when each leads to *links* of it."""
    frontier.add(SITE.start, depth=0)
    given: list[str] = []
    while (page := frontier.next()) is not None:
        page.waiting = False
        given.append(page.url.removeprefix("http://a.example"))
        for link in links(given[-1]):
            frontier.add(f"http://a.example{link}", depth=page.depth + 1)
    return given


def test_near_addresses_come_before_far_ones_and_each_comes_once() -> None:
    tree = {"/": ["/b", "/a", "/"], "/b": ["/b/c", "/a/"], "/a": ["/b", "/a/d", "/?"]}
    assert walked(Frontier(SITE, 1), lambda at: tree.get(at, [])) == ["/", "/b", "/a", "/b/c", "/a/d"]


def test_an_endless_calendar_ends() -> None:
    def calendar(at: str) -> list[str]:
        if at == "/":
            return ["/calendar/2000/1", "/rules"]
        if not at.startswith("/calendar/"):
            return []
        year, month = map(int, at.split("/")[2:])
        return [f"/calendar/{year + month // 12}/{month % 12 + 1}"]

    frontier = Frontier(SITE, 1)
    given = walked(frontier, calendar)
    assert "/rules" in given
    assert len(given) == 102
    assert frontier.trapped == 1


def test_parameters_that_multiply_end() -> None:
    def shop(at: str) -> list[str]:
        number = len(at)
        return [f"/shop?sort={number}&page={n}" for n in range(40)] + [f"/shop?a=1&b=2&c=3&d=4&e={number}"]

    frontier = Frontier(SITE, 1)
    assert len(walked(frontier, shop)) == 51
    assert frontier.trapped > 0


def test_a_link_that_is_relative_to_itself_ends() -> None:
    given = walked(Frontier(SITE, 1), lambda at: [f"{at.rstrip('/')}/a/b"])
    assert max(at.count("/a") for at in given) == 3


def test_what_a_sitemap_lists_is_no_trap() -> None:
    frontier = Frontier(SITE, 1)
    added = [frontier.add(f"http://a.example/news/{n}", depth=1, listed=True) for n in range(500)]
    assert all(added)
    assert frontier.add("http://a.example/news/501", depth=1) is not None


def test_other_sites_and_what_is_no_document_are_left_alone() -> None:
    frontier = Frontier(SITE, 1)
    for address in (
        *("http://b.example/", "http://docs.a.example/", "http://a.example:8080/", "http://a.example/logo.PNG"),
        *("http://a.example/style.css", "http://a.example/film.mp4", "http://a.example/all.zip"),
    ):
        assert frontier.add(address, depth=1) is None
    for address in ("https://www.a.example/x", "http://a.example/rules.pdf", "http://a.example/v1.2/notes"):
        assert frontier.add(address, depth=1) is not None


def test_addresses_are_kept_in_mind_up_to_a_limit() -> None:
    small = Frontier(CrawlScope("http://a.example/", whole_site=True, max_depth=5, max_pages=10), 1)
    added = [small.add(f"http://a.example/page-{chr(97 + n % 26)}{chr(97 + n // 26)}", depth=1) for n in range(400)]
    assert sum(page is not None for page in added) == 250


def test_known_pages_come_first_and_a_frontier_is_made_again_from_its_rows() -> None:
    first = Frontier(SITE, 1)
    kept = [page for at in ("/x", "/y", "/z") if (page := first.add(f"http://a.example{at}", depth=1))]
    kept[0].waiting = False
    kept[2].taken = True
    again = Frontier(SITE, 1, [_copy(page) for page in kept])
    assert [again.next(), again.next(), again.next()] == [again.find(kept[2].url), again.find(kept[1].url), None]
    assert again.add("http://a.example/x/", depth=2) is None


def _copy(page: WebPage) -> WebPage:
    """The row as another process reads it."""
    return WebPage(**{column.name: getattr(page, column.name) for column in WebPage.__table__.columns})
