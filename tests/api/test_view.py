"""Documents opened where they were cited: over HTTP, by key and by link, with two tenants, and in a browser."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import Browser

from api.links import LinkSigner
from tests.service import ROOT, Service, ask

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PDF = ROOT / "samples" / "pengaduan-dan-banding.pdf"
FERRY = """# Ferry timetable

## Fares & rules

| Class | Fare |
|---|---|
| Deck | 12 crowns |
| Cabin | 45 crowns |

The night ferry to Halmstad leaves at 21:40 from pier 7. Bicycles travel free of charge on the night ferry.

1. Come early.
2. Show <b>your</b> ticket.
"""
HOSTILE = {
    "evil.html": "<html><head><title>Basilisk</title></head><body><p>The basilisk sleeps in the attic.</p>"
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    "<p>&lt;script&gt;document.title='owned'&lt;/script&gt; &lt;img src=x onerror=alert(1)&gt;</p></body></html>",
    "evil.md": "# Griffin <script>document.title='owned'</script>\n\nThe griffin nests on the roof. "
    '`<svg onload="document.title=\'owned\'">` [click](javascript:alert(1)) <iframe src="//evil.example"></iframe>\n\n'
    "```\n</style><script>document.title='owned'</script>\n```\n",
    "evil.txt": "<svg xmlns='http://www.w3.org/2000/svg' onload=\"document.title='owned'\"><script>1</script></svg>\n\n"
    "The kraken naps below the pier. {{ 7 * 7 }} {% include 'x' %}\n",
}


@dataclass(frozen=True)
class Library:
    """A service with the documents of `folder` in the default tenant, and a tenant "acme" with documents of its own."""

    service: Service
    folder: Path
    acme_key: str

    def load(self, *options: str, tenant: str = "default", folder: Path | None = None) -> None:
        done = self.service.flask("load", str(folder or self.folder), "--tenant", tenant, *options)
        assert done.returncode == 0, done.stderr

    def cited(self, question: str, key: str | None = None, conversation_id: str = "test") -> dict[str, Any]:
        """The citation of an answer; waits until its document is found."""
        found: list[dict[str, Any]] = []
        with self.service.client(key) as client:
            self.service.wait_for(
                lambda: found.extend(ask(client, question, conversation_id).json()["citations"]) or found
            )
        return found[0]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    base = tmp_path_factory.mktemp("view")
    folder, theirs = base / "ours", base / "theirs"
    for made in (folder, theirs):
        made.mkdir()
    (folder / "ferry.md").write_text(FERRY)
    (theirs / "secret.md").write_text("# Vault\n\nThe vault code of the treasury is changed on Mondays.\n")
    shutil.copy(PDF, folder / "banding.pdf")
    for name, text in HOSTILE.items():
        (folder / name).write_text(text)
    with Service(base / "data", RATE_LIMIT_ENABLED="false", KNOWLEDGE_DIR=str(folder)) as service:
        found = Library(service, folder, service.new_key("acme"))
        found.load(tenant="acme", folder=theirs)
        yield found


def opened(link: str, **headers: str) -> httpx.Response:
    """What a browser without a key gets."""
    return httpx.get(link, headers={**HTML, **headers}, trust_env=False)


def marked(page: str) -> str:
    return " ".join(unescape(text) for text in re.findall(r"<mark[^>]*>(.*?)</mark>", page, re.DOTALL))


def essence(text: str) -> str:
    """What has to be there whatever the layout: tables lose their bars."""
    return re.sub(r"[\s|]", "", text)


def signer(library: Library, ttl_s: int = 60) -> LinkSigner:
    return LinkSigner(bytes.fromhex((library.service.data_dir / "link.key").read_text()), ttl_s)


def test_a_link_opens_the_document_at_the_quote_without_a_key(library: Library) -> None:
    citation = library.cited("When does the night ferry to Halmstad leave?")
    page = opened(citation["link"])
    assert (page.status_code, citation["version"], citation["document_status"]) == (200, 1, "current")
    assert essence(marked(page.text)) == essence(citation["quote"]) != ""
    assert page.text.count('id="quote"') == 1
    assert "<title>Ferry timetable</title>" in page.text
    assert '<html lang="en">' in page.text
    assert re.search(r"<td>(<mark[^>]*>)?12 crowns", page.text)
    assert "Show your ticket." in page.text
    assert urlsplit(citation["link"]).fragment == "quote"


def test_every_reading_of_an_answer_has_its_links(library: Library) -> None:
    question, names = "Do bicycles travel free on the night ferry?", {"X-Conversation-Id": "links"}
    library.cited("When does the night ferry leave?")
    with library.service.client() as client:
        events = client.post("/v1/chat", json={"message": question}, headers={**names, "Accept": "text/event-stream"})
        run = client.get(f"/v1/runs/{events.headers['x-run-id']}").json()["result"]
        again = client.get("/v1/conversations/links").json()["messages"][-1]
    links = [citation["link"] for told in (run, again) for citation in told["citations"]]
    assert len(set(links)) == 1
    assert events.text.count(links[0]) == 2  # of the event "citation" and of the whole answer
    assert opened(links[0]).status_code == 200


def test_no_route_opens_what_belongs_to_another_tenant(library: Library) -> None:
    ours = library.cited("When does the night ferry to Halmstad leave?")
    theirs = library.cited("When is the vault code of the treasury changed?", library.acme_key)
    pdf = library.cited("Di mana kantor Ombudsman Mahasiswa?")
    with library.service.client() as client, library.service.client(library.acme_key) as other_client:
        for mine, citation, others in ((client, ours, other_client), (other_client, theirs, client)):
            for route in ("view", "original"):
                path = f"/v1/documents/{citation['document_id']}/{route}"
                assert mine.get(path).status_code == 200
                assert others.get(path).status_code == 404
        picture = f"/v1/documents/{pdf['document_id']}/pages/1.png"
        assert (client.get(picture).status_code, other_client.get(picture).status_code) == (200, 404)
    assert opened(theirs["link"]).status_code == 200


@pytest.mark.parametrize("route", ["view", "original", "pages/1.png"])
def test_a_link_opens_one_version_of_one_document_for_its_time(library: Library, route: str) -> None:
    ours, theirs = library.cited("Di mana kantor Ombudsman Mahasiswa?"), library.cited("vault code", library.acme_key)
    token = parse_qs(urlsplit(ours["link"]).query)["token"][0]
    late = signer(library, ttl_s=-7200).sign("default", ours["document_id"], 1)
    base, other = f"{library.service.url}/v1/documents/{ours['document_id']}/{route}", theirs["document_id"]
    assert opened(f"{base}?version=1&token={token}").status_code == 200
    refused = [
        f"{base}?version=2&token={token}",
        f"{base}?token={token}",
        f"{base.replace(ours['document_id'], other)}?version=1&token={token}",
        f"{base.replace(ours['document_id'], other)}?version=1&token={token.replace('default', 'acme')}",
        f"{base}?version=1&token={token[:-1]}",
        f"{base}?version=1&token=0{token}",
        f"{base}?version=1&token=",
        f"{base}?version=1&token={'f' * 100}.default.x",
        f"{base}?version=1&token={late}",
    ]
    for address in refused:
        answer = httpx.get(address, trust_env=False)
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:pustaka:problem:link-refused"), address
    assert "has expired" in answer.json()["detail"]
    assert httpx.get(base, trust_env=False).status_code == 401


def test_an_expired_link_says_on_a_page_how_to_get_another_one(library: Library) -> None:
    document_id = library.cited("When does the night ferry leave?")["document_id"]
    token = signer(library, ttl_s=-7200).sign("default", document_id, 1)
    page = opened(f"{library.service.url}/v1/documents/{document_id}/view?version=1&token={token}")
    assert (page.status_code, page.headers["content-type"]) == (403, "text/html; charset=utf-8")
    assert "Open the conversation again" in page.text


def test_what_cannot_be_asked_for_is_refused(library: Library) -> None:
    document_id = library.cited("When does the night ferry leave?")["document_id"]
    with library.service.client() as client:
        for query in ("version=0", "version=x", "start=-1", "end=99999999999", "page=0", "at=-3"):
            assert client.get(f"/v1/documents/{document_id}/view?{query}").status_code == 400, query
        for path in (
            f"{document_id}/pages/1.png",
            "nowhere/view",
            "../../etc/passwd/view",
            f"{document_id}/view?version=9",
        ):
            assert client.get(f"/v1/documents/{path}").status_code == 404, path
        assert client.get(f"/v1/documents/{document_id}/view?start=5&end=2").status_code == 200
        assert client.get(f"/v1/documents/{document_id}/view?start=999999&end=9999999").status_code == 200


def test_a_page_of_a_pdf_is_shown_with_the_quote_where_it_stands(library: Library) -> None:
    citation = library.cited("Di mana kantor Ombudsman Mahasiswa?")
    page = opened(citation["link"])
    assert page.text.count("<rect") >= 1
    assert page.text.count('id="quote"') == 1
    assert "page 1 of 2" in page.text
    assert 'rel="next"' in page.text
    assert essence(marked(page.text)) == essence(citation["quote"])
    address = unescape(re.search(r'<img src="([^"]+)"', page.text)[1])  # type: ignore[index]
    picture = opened(citation["link"].split("view?")[0] + address)
    assert (picture.headers["content-type"], picture.content[:4]) == ("image/png", b"\x89PNG")
    second = unescape(re.search(r'rel="next" href="([^"]+)"', page.text)[1])  # type: ignore[index]
    assert "page 2 of 2" in opened(citation["link"].split("view?")[0] + second).text
    assert opened(citation["link"].split("view?")[0] + address.replace("pages/1", "pages/3")).status_code == 404


def test_the_original_is_for_keeping_and_never_shown(library: Library) -> None:
    citation = library.cited("Where does the basilisk sleep?")
    original = opened(re.sub(r"&(start|end)=\d+", "", citation["link"].replace("/view?", "/original?")))
    assert original.content == (library.folder / "evil.html").read_bytes()
    assert original.headers["content-disposition"] == "attachment; filename=evil.html"
    assert original.headers["content-type"] == "application/octet-stream"
    assert original.headers["x-content-type-options"] == "nosniff"
    assert original.headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.browser
@pytest.mark.parametrize(
    ("question", "quote"),
    [
        ("Where does the basilisk sleep?", "The basilisk sleeps in the attic."),
        ("Where does the griffin nest?", "The griffin nests on the roof."),
        ("Where does the kraken nap?", "The kraken naps below the pier."),
    ],
)
def test_a_hostile_document_runs_nothing_in_the_page(
    library: Library, chromium: Browser, question: str, quote: str
) -> None:
    citation = library.cited(question)
    tab, asked, told = chromium.new_page(), [], []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("dialog", lambda dialog: told.append(dialog.message))
    tab.goto(citation["link"])
    tab.wait_for_load_state("networkidle")
    assert quote in tab.locator("mark").first.inner_text()
    assert tab.title() != "owned"
    assert tab.locator("script, iframe, main svg, main img, a[href^='javascript']").count() == 0
    assert ({url for url in asked if not url.startswith("data:")}, told) == ({citation["link"].split("#")[0]}, [])
    policy = opened(citation["link"]).headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "script-src" not in policy
    tab.close()


@pytest.mark.browser
@pytest.mark.parametrize("question", ["When does the night ferry leave?", "Di mana kantor Ombudsman Mahasiswa?"])
@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1100, "dark")])
@pytest.mark.long
def test_the_quote_is_in_sight_without_script_and_the_page_is_no_wider_than_its_window(
    library: Library, chromium: Browser, question: str, width: int, scheme: Any
) -> None:
    link = library.cited(question)["link"]
    with chromium.new_context(
        java_script_enabled=False, viewport={"width": width, "height": 600}, color_scheme=scheme
    ) as context:
        tab, wrong = context.new_page(), []
        tab.on("console", lambda message: wrong.append(message.text))
        tab.goto(link)
        box = tab.locator("#quote").bounding_box()
        assert box is not None
        assert 0 <= box["y"] < 600
        whole = tab.locator("html").bounding_box()
        assert whole is not None
        assert whole["width"] <= width
        assert wrong == []


@pytest.mark.long
def test_a_citation_says_what_has_become_of_its_document(library: Library) -> None:
    path, question = library.folder / "tram.md", "How often does the harbour tram run?"
    path.write_text("# Tram\n\nThe harbour tram runs every 12 minutes.\n")
    library.load()
    first = library.cited(question, conversation_id="tram")
    path.write_text("# Tram\n\nThe harbour tram runs every 9 minutes, on Sundays every 20 minutes.\n")
    library.load()

    def state() -> str:
        with library.service.client() as client:
            [citation] = client.get("/v1/conversations/tram").json()["messages"][-1]["citations"]
        assert (citation["quote"], citation["version"]) == (first["quote"], 1)
        return str(citation["document_status"])

    library.service.wait_for(lambda: state() == "replaced")
    page = opened(first["link"])
    assert "every 12 minutes" in marked(page.text)
    assert "A newer\none exists." in page.text  # but the link was made for this one
    with library.service.client() as client:
        by_key = client.get(f"/v1/documents/{first['document_id']}/view", params={"version": 1}).text
    newer = unescape(re.search(r'href="([^"]+)">read version 2', by_key)[1])  # type: ignore[index]
    assert "every 9 minutes" in opened(first["link"].split("view?")[0] + newer).text
    path.unlink()
    library.load("--prune")
    library.service.wait_for(lambda: state() == "deleted")
    gone = opened(first["link"])
    assert (gone.status_code, "has been deleted" in gone.text) == (410, True)
    assert httpx.get(first["link"], trust_env=False).json()["status"] == 410
    for key in (None, library.acme_key):
        with library.service.client(key) as client:
            assert client.get(f"/v1/documents/{first['document_id']}/view").status_code == 404
    told = library.service.flask("state", "export", "tram", "--latest")
    [checkpoint] = json.loads(told.stdout)["checkpoints"]
    [cited] = [
        one for said in checkpoint["values"]["messages"] for one in said["additional_kwargs"].get("citations", ())
    ]
    assert (cited["quote"], cited["version"], cited["document_status"]) == (first["quote"], 1, "deleted")
