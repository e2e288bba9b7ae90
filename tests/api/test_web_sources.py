"""`/v1/tenant/web-sources` on a running service, which reads a site of our own."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.fakes.website import Page, Website, html
from tests.service import Service, ask

SOURCES = "/v1/tenant/web-sources"
HOURS = "The observatory on the hill is open to visitors on the last Friday of each month, from seven to ten."
RENT = "Telescopes are lent for a fortnight; the deposit is four hundred and is given back in full."


@pytest.fixture(scope="module")
def site() -> Iterator[Website]:
    with Website() as website:
        website.pages["/"] = html("Observatory", HOURS, links=("/telescopes", "/loop", "/file.pdf"))
        website.pages["/telescopes"] = html("Telescopes", RENT, links=("/",))
        website.pages["/loop"] = Page(status=302, headers={"Location": "http://127.0.0.1:1/"})
        yield website


@pytest.fixture(scope="module")
def crawling(site: Website, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that may read from the site, and from nowhere else that is private."""
    folder = tmp_path_factory.mktemp("crawling")
    (folder / "empty").mkdir()
    (folder / "empty" / "note.txt").write_text("The porter has the keys.\n")
    variables = {
        "KNOWLEDGE_DIR": str(folder / "empty"),
        "CRAWL_NETWORKS": "127.0.0.1",
        "CRAWL_PORTS": f"80,443,{site.port}",
        "CRAWL_DELAY": "0",
        "CRAWL_MAX_PAGES": "500",
        "RATE_LIMIT_ENABLED": "false",
    }
    with Service(folder / "data", **variables) as running:
        yield running


@pytest.fixture
def client(crawling: Service) -> Iterator[httpx.Client]:
    with crawling.client() as opened:
        yield opened


@pytest.fixture(scope="module")
def globex_key(crawling: Service) -> str:
    return crawling.new_key("globex")


@pytest.fixture
def globex(crawling: Service, globex_key: str) -> Iterator[httpx.Client]:
    with crawling.client(globex_key) as opened:
        yield opened


@pytest.fixture
def made(client: httpx.Client, crawling: Service, site: Website) -> Iterator[dict[str, Any]]:
    """A web source of the default tenant that was read once; forgotten after the test."""
    answer = client.post(SOURCES, json={"url": f"{site.url}/#top", "max_pages": 20})
    assert answer.status_code == 201, answer.text
    source = answer.json()
    assert answer.headers["Location"].endswith(f"{SOURCES}/{source['id']}")
    assert source["status_url"] == f"/v1/tasks/{source['job_id']}/status"
    assert client.get(source["status_url"]).json()["id"] == source["job_id"]
    yield _ended(crawling, client, source["id"])
    client.delete(f"{SOURCES}/{source['id']}")


def _ended(crawling: Service, client: httpx.Client, web_source_id: str) -> dict[str, Any]:
    """The web source once its crawl is over."""
    shown: dict[str, Any] = {}

    def is_over() -> bool:
        shown.update(client.get(f"{SOURCES}/{web_source_id}").json())
        return shown["status"] not in ("pending", "processing")

    crawling.wait_for(is_over)
    return shown


def test_a_site_is_read_by_the_service_and_its_pages_are_cited(
    crawling: Service, client: httpx.Client, made: dict[str, Any], site: Website
) -> None:
    assert made["url"] == f"{site.url}/"
    assert (made["status"], made["counts"]) == ("completed", {"added": 2, "skipped": 2})
    assert {one["reason"] for one in made["page_problems"]} == {"It leads to another site.", "It answers 404."}
    crawling.wait_for(lambda: ask(client, "When is the observatory open to visitors?").json()["answered"])
    answer = ask(client, "When is the observatory open to visitors?").json()
    assert answer["citations"][0]["url"] == f"{site.url}/"
    assert answer["citations"][0]["quote"] in HOURS


def test_it_is_read_again_when_asked_and_forgotten_with_its_documents(
    crawling: Service, client: httpx.Client, made: dict[str, Any]
) -> None:
    again = client.post(f"{SOURCES}/{made['id']}/crawl")
    assert again.status_code == 202
    ended = _ended(crawling, client, made["id"])
    assert (ended["counts"], ended["next_at"]) == ({"unchanged": 2, "skipped": 2}, None)
    assert client.delete(f"{SOURCES}/{made['id']}").status_code == 204
    assert client.get(f"{SOURCES}/{made['id']}").status_code == 404
    assert client.get(SOURCES).json()["web_sources"] == []


def test_a_crawl_is_a_task_of_its_tenant_which_the_next_one_replaces(
    crawling: Service, client: httpx.Client, globex: httpx.Client, made: dict[str, Any]
) -> None:
    where = f"/v1/tasks/{made['job_id']}/status"
    task = client.get(where).json()
    same = ("id", "kind", "status", "stage", "progress", "web_source_id", "document_id", "error")
    assert [task[name] for name in same] == [made["job_id"], "crawl", "completed", None, 1.0, made["id"], None, None]
    assert globex.get(where).status_code == 404
    with crawling.client(crawling.new_key("default", ["tasks:read", "documents:read"])) as reader:
        assert reader.get(where).status_code == 404
    again = client.post(f"{SOURCES}/{made['id']}/crawl").json()
    assert client.get(where).status_code == 404
    _ended(crawling, client, made["id"])
    assert client.get(f"/v1/tasks/{again['job_id']}/status").json()["status"] == "completed"


def test_a_schedule_and_limits_can_be_changed(client: httpx.Client, made: dict[str, Any]) -> None:
    at = f"{SOURCES}/{made['id']}"
    changed = client.patch(at, json={"every_s": 86_400, "max_pages": 30}).json()
    assert (changed["every_s"], changed["max_pages"], changed["max_depth"]) == (86_400, 30, 5)
    assert changed["next_at"] > made["finished_at"]
    assert client.patch(at, json={"every_s": None}).json()["next_at"] is None
    assert client.post(f"{at}/cancel").json()["status"] == "completed"


def test_a_tenant_cannot_see_read_change_or_remove_the_web_sources_of_another_one(
    client: httpx.Client, globex: httpx.Client, made: dict[str, Any]
) -> None:
    at = f"{SOURCES}/{made['id']}"
    tries: list[Callable[[], httpx.Response]] = [
        lambda: globex.get(at),
        lambda: globex.patch(at, json={"max_pages": 1}),
        lambda: globex.delete(at),
        lambda: globex.post(f"{at}/crawl"),
        lambda: globex.post(f"{at}/cancel"),
    ]
    assert [one().status_code for one in tries] == [404] * 5
    assert globex.get(SOURCES).json()["web_sources"] == []
    assert [one["id"] for one in client.get(SOURCES).json()["web_sources"]] == [made["id"]]
    assert client.get(at).json() == made


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"url": "ftp://example.org/"}, "url"),
        ({"url": "https://user:secret@example.org/"}, "url"),
        ({"url": "file:///etc/passwd"}, "url"),
        ({"url": "http://169.254.169.254/latest/"}, "url"),
        ({"url": "http://[::1]/"}, "url"),
        ({"url": "http://10.0.0.1/"}, "url"),
        ({"url": "https://example.org:22/"}, "url"),
        ({"url": "https://example.org/" + "x" * 2000}, "url"),
        ({"url": ""}, "url"),
        ({"url": "https://example.org/", "max_pages": 501}, "max_pages"),
        ({"url": "https://example.org/", "max_pages": 0}, "max_pages"),
        ({"url": "https://example.org/", "max_depth": 21}, "max_depth"),
        ({"url": "https://example.org/", "every_s": 60}, "every_s"),
        ({"url": "https://example.org/", "kind": "internet"}, "kind"),
        ({"url": "https://example.org/", "tenant": "acme"}, "tenant"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_field_named(
    client: httpx.Client, body: dict[str, Any], field: str
) -> None:
    refused = client.post(SOURCES, json=body)
    assert refused.status_code == 400
    assert [error["field"] for error in refused.json()["errors"]] == [field]
    assert "secret" not in refused.text


def test_a_port_that_is_not_allowed_is_refused_with_those_that_are(client: httpx.Client, site: Website) -> None:
    said = client.post(SOURCES, json={"url": "https://example.org:22/"}).json()["detail"]
    assert f"only {', '.join(map(str, sorted({80, 443, site.port})))}" in said
    assert "CRAWL_PORTS" in said


def test_one_address_is_one_web_source(client: httpx.Client, made: dict[str, Any], site: Website) -> None:
    assert client.post(SOURCES, json={"url": f"{site.url}/?utm_source=x"}).status_code == 409


def test_a_name_that_leads_inside_is_found_out_when_it_is_read(client: httpx.Client, crawling: Service) -> None:
    made = client.post(SOURCES, json={"url": "http://localhost:80/"})
    assert made.status_code == 201
    ended = _ended(crawling, client, made.json()["id"])
    client.delete(f"{SOURCES}/{ended['id']}")
    assert ended["status"] == "failed"


@pytest.mark.long
def test_a_crawl_goes_on_after_the_service_was_killed(crawling: Service, site: Website) -> None:
    nights = [f"/night/{number}x" for number in range(10)]
    for path in nights:
        site.pages[path] = html(f"Night {path}", f"{HOURS} This was {path}, one of them.")
        site.pages[path].drip_s = 0.0005
    site.pages["/nights"] = html("Nights", RENT + " By night.", links=tuple(nights))
    with crawling.client() as client:
        site.requests.clear()
        made = client.post(SOURCES, json={"url": f"{site.url}/nights"}).json()
        crawling.wait_for(lambda: sum("/night/" in path for path in site.asked()) >= 4)
    crawling.process.kill()
    crawling.process.wait()
    crawling.start()
    with crawling.client() as client:
        ended = _ended(crawling, client, made["id"])
    assert ended["counts"] == {"added": 11}
    assert len(site.asked()) <= 12, "only what was under way is asked for twice"
