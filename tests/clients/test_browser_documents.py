"""Documents that are added on the first page, in a real browser with the whole service behind it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, FilePayload, Locator, Page, WebSocket, expect

from tests.clients.accessibility import assert_accessible
from tests.clients.browser_page import ask, marks, running_page, watched_browser
from tests.clients.page_socket import opened_page
from tests.clients.screenshots import wait_until_still
from tests.conftest import PAGE_KEY
from tests.service import Service, await_knowledge, one_document

pytestmark = [pytest.mark.browser, pytest.mark.long]
ADD, CHOOSE = "Add your own documents", "Choose files, or drop them here"
SCOPES = ("documents:read", "documents:write")
HIVES = "A hive costs 90 euros and holds forty thousand bees in summer. "
GUIDE = f"# Guide to bees\n\n## Hives\n\n{HIVES * 12}\n\n## Honey\n\n{'Honey is harvested in August. ' * 24}\n"
DEPOSIT = "What is the deposit of the Marigold lease?"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    variables = {"CHAT_PAGE_KEY": PAGE_KEY, "RATE_LIMIT_ENABLED": "false"}
    with Service(folder / "data", **one_document(folder), **variables) as running:
        await_knowledge(running, "How much does a dormitory room cost?")
        yield running


@pytest.fixture(scope="module")
def url(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_page(tmp_path_factory.mktemp("page"), service.url, api_key=PAGE_KEY) as address:
        yield address


@pytest.fixture
def tab(chromium: Browser, service: Service) -> Iterator[Page]:
    """A tab on a telephone, whose visitor has said nothing yet."""
    with watched_browser(chromium, service.key, locale="en-GB", viewport={"width": 390, "height": 844}) as context:
        yield context.new_page()


@contextmanager
def stranger(chromium: Browser, url: str, query: str = "") -> Iterator[Page]:
    """The tab of somebody who comes to the page from another machine."""
    with chromium.new_context(locale="en-GB") as context:
        page = context.new_page()
        page.goto(url.replace("//localhost", "//chat.localhost") + query)
        expect(page.get_by_text("Languages of the documents")).to_be_visible()
        yield page


def give_key(tab: Page, key: str) -> None:
    tab.get_by_label("Key", exact=True).fill(key)
    tab.get_by_role("button", name="Continue").click()


def search(service: Service, query: str) -> str:
    body = {"query": query, "limit": 3}
    return httpx.post(f"{service.url}/v1/search", headers={"X-API-Key": service.key}, json=body).text


def begin(tab: Page, url: str, key: str) -> None:
    """Open the page and give it a key that may write documents."""
    tab.goto(url)
    tab.get_by_role("button", name=ADD).click()
    give_key(tab, key)
    expect(tab.get_by_label(CHOOSE)).to_be_attached()


def choose(tab: Page, **files: bytes) -> None:
    """Choose files; their names with `_` for the dot."""
    named = ((name.replace("_", "."), data) for name, data in files.items())
    sent = [FilePayload(name=name, mimeType="text/plain", buffer=data) for name, data in named]
    tab.get_by_label(CHOOSE).set_input_files(sent)


def box(tab: Page) -> Locator:
    """What stands there of the documents."""
    return tab.locator(".st-key-adding-documents")


def test_whoever_has_a_key_adds_documents_and_asks_about_them(tab: Page, url: str, service: Service) -> None:
    begin(tab, url, service.new_key("default", SCOPES))
    expect(box(tab)).to_contain_text("at most 10 MB a file, 20 files at once")
    expect(box(tab)).to_contain_text("of 20000 documents")
    choose(
        tab,
        guide_md=GUIDE.encode(),
        broken_docx=b"no document",
        program_exe=b"MZ",
        large_txt=b"word " * 2_000_001,
        empty_txt=b"",
    )
    expect(box(tab)).to_contain_text("Not added: Files of this kind are not read.")  # as the API says it
    expect(box(tab)).to_contain_text("Not added: It is larger than 10 MB.")
    expect(box(tab)).to_contain_text("Not added: It is empty.")
    tab.reload()
    expect(box(tab)).to_contain_text("guide.md")
    expect(box(tab)).to_contain_text("Passages read:")
    expect(box(tab).get_by_text("Not added:")).to_have_count(4)
    with service.client() as http:
        kept = http.get("/v1/tenant/documents?status=completed&limit=1").json()["total"]
    expect(box(tab)).to_contain_text(f"Kept so far: {kept} of 20000 documents")  # without the one that is broken
    expect(box(tab)).not_to_contain_text("sample documents")  # there are none
    expect(box(tab).get_by_role("status")).to_contain_text("guide.md: Passages read:")
    assert_accessible(tab)
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for control in (*box(tab).get_by_role("button").all(), box(tab).locator("label")):
        size = control.bounding_box()
        assert size is not None
        assert min(size["width"], size["height"]) >= 44
    tab.emulate_media(color_scheme="dark")
    assert_accessible(tab)
    box(tab).get_by_role("button", name="What should I know about Hives (Guide to bees)?").click()
    expect(marks(tab).first).to_be_visible()
    expect(tab.get_by_label("Chat message from assistant")).to_contain_text("90 euros")
    expect(tab.get_by_text("Sources", exact=True)).to_be_visible()


def test_a_large_file_comes_in_pieces_and_one_is_removed_again(tab: Page, url: str, service: Service) -> None:
    begin(tab, url, service.key)
    lease = "The deposit of the Marigold lease is 412 euros.\n"
    choose(tab, lease_txt=(lease + " \n" * 2_300_000).encode())  # more than fits into a message
    expect(box(tab)).to_contain_text("Passages read:")
    box(tab).get_by_role("button", name="What is “Lease” about?").click()
    expect(tab.get_by_label("Chat message from assistant")).to_contain_text("412 euros")
    expect(tab.get_by_role("button", name="Thumbs up")).to_be_visible()
    tab.get_by_role("button", name="New chat").click()
    box(tab).get_by_role("button", name="Remove").click()
    expect(box(tab).get_by_role("status")).to_have_text("lease.txt is removed.")
    service.wait_for(lambda: "412 euros" not in search(service, DEPOSIT))  # the index follows in a moment
    wait_until_still(tab)
    ask(tab, DEPOSIT)
    expect(tab.get_by_role("button", name="Thumbs up")).to_be_visible()
    expect(tab.get_by_label("Chat message from assistant")).not_to_contain_text("412 euros")


def test_files_go_on_while_a_conversation_is_open_and_are_announced_once(
    tab: Page, url: str, service: Service, tmp_path: Path
) -> None:
    begin(tab, url, service.new_key("default", SCOPES))
    paths = [tmp_path / f"{name}.txt" for name in ("volume1", "volume2", "volume3", "atlas")]
    for path in paths:  # three pieces each
        path.write_text(f"The {path.stem} is on the third shelf.\n" + " \n" * 4_700_000)
    tab.get_by_label(CHOOSE).set_input_files(paths)
    expect(box(tab)).to_contain_text("Sending")
    ask(tab, "How much does a dormitory room cost?")
    expect(tab.get_by_role("button", name="Thumbs up")).to_be_visible()
    with service.client() as http:
        listed = "/v1/tenant/documents?limit=100"
        service.wait_for(
            lambda: (
                {"atlas.txt": "completed"}.items()
                <= {each["source"]: each["status"] for each in http.get(listed).json()["documents"]}.items()
            )
        )
    expect(tab.get_by_text("Documents on their way")).to_have_count(0)
    tab.get_by_role("button", name="New chat").click()
    expect(box(tab).get_by_role("status")).to_contain_text("atlas.txt: Passages read:")
    box(tab).get_by_role("button", name="Remove").first.click()
    expect(box(tab).get_by_role("status")).to_have_text("atlas.txt is removed.")
    ask(tab, "How much does a dormitory room cost?")
    expect(tab.get_by_role("button", name="Thumbs up")).to_be_visible()
    tab.get_by_role("button", name="New chat").click()
    expect(tab.get_by_label(CHOOSE)).to_be_attached()
    expect(box(tab).get_by_role("status")).to_have_text("")


def test_files_that_are_too_many_are_named(tab: Page, url: str, service: Service) -> None:
    begin(tab, url, service.new_key("default", SCOPES))
    choose(tab, **{f"many{number:02}_txt": b"One of many." for number in range(30)}, empty_txt=b"")
    told = "Not taken (10): many20.txt, many21.txt, many22.txt, many23.txt, many24.txt …. At most 20 files"
    expect(box(tab).get_by_role("alert")).to_contain_text(told)


def test_keys_that_may_not_are_refused_and_one_is_forgotten(tab: Page, url: str, service: Service) -> None:
    tab.goto(url)
    tab.get_by_role("button", name=ADD).click()
    assert_accessible(tab)
    scopes = "This key may not add documents"
    refusals = {
        "no key\N{SNOWMAN}": "This key is not valid.",
        "ak_live_made_up": "This key is not valid.",
        PAGE_KEY: scopes,
        service.new_key("default", ["documents:read"]): scopes,
        service.new_key("default", ["documents:write"]): scopes,
        service.new_key("acme", SCOPES): "This key is for other documents",
    }
    for key, refusal in refusals.items():
        give_key(tab, key)
        expect(tab.get_by_text(refusal)).to_be_visible()
    give_key(tab, service.key)
    tab.get_by_role("button", name="Forget the key").click()
    expect(tab.get_by_role("button", name=ADD)).to_be_visible()
    tab.reload()
    expect(tab.get_by_role("button", name=ADD)).to_be_visible()


def test_who_has_no_key_neither_sees_it_nor_can_do_it(chromium: Browser, tab: Page, url: str, service: Service) -> None:
    with stranger(chromium, url) as other:
        expect(other.get_by_text(ADD)).to_have_count(0)
        token = next(one["value"] for one in other.context.cookies() if one["name"] == "pustaka_visitor")
    with stranger(chromium, url, "?documents") as other:
        expect(other.get_by_label("Key", exact=True)).to_be_visible()
    body = {"company": "default", "filename": "a.txt", "content": "QQ=="}
    with service.client(PAGE_KEY, **{"X-Visitor-Id": token}) as http:
        assert http.post("/api/load-document", json=body).status_code == httpx.codes.FORBIDDEN
        assert http.delete("/v1/tenant/documents/any").status_code == httpx.codes.FORBIDDEN

    sent: list[bytes] = []

    def note(frame: bytes | str) -> None:
        sent.append(frame if isinstance(frame, bytes) else frame.encode())

    def watch(socket: WebSocket) -> None:
        socket.on("framesent", note)

    tab.on("websocket", watch)
    begin(tab, url, service.key)
    choose(tab, poison_txt=b"The library is closed for ever.")
    expect(box(tab)).to_contain_text("Passages read:")
    box(tab).get_by_role("button", name="Remove").click()
    expect(box(tab).get_by_role("status")).to_have_text("poison.txt is removed.")
    frames = [frame for frame in sent if b"poison.txt" in frame or b'"piece"' in frame]
    assert frames
    with opened_page(url, {"Cookie": f"pustaka_visitor={token}"}) as socket:
        socket.replay(frames)
    with service.client() as http:
        titles = [each["source"] for each in http.get("/v1/tenant/documents?limit=100").json()["documents"]]
    assert "poison.txt" not in titles


def test_a_key_that_is_revoked_ends_it(tab: Page, url: str, service: Service) -> None:
    key = service.new_key("default", SCOPES)
    begin(tab, url, key)
    assert service.flask("api-key", "revoke", key.rpartition("_")[0]).returncode == 0
    with service.client(key) as http:
        service.wait_for(lambda: http.get("/v1/tenant/usage").status_code == httpx.codes.UNAUTHORIZED)
    choose(tab, late_txt=b"It comes too late.")
    expect(tab.get_by_text("This key is not valid.")).to_be_visible()
    expect(tab.get_by_label(CHOOSE)).to_have_count(0)
