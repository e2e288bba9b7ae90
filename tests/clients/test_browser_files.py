"""Files that a visitor attaches on the chat page, in a real browser with the whole service behind it."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.clients.accessibility import assert_accessible
from tests.clients.browser_page import ask, marks, running_page, watched_browser
from tests.clients.screenshots import wait_until_still
from tests.conftest import PAGE_KEY
from tests.service import Service, await_knowledge, one_document

pytestmark = [pytest.mark.browser, pytest.mark.long]
QUESTION = "What is the deposit of the Marigold lease?"
LEASE = b"The deposit of the Marigold lease is 412 euros."


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("service")
    variables = {
        "CONVERSATION_FILES": "1",
        "CONVERSATION_SHARING": "quotes",
        "CHAT_PAGE_KEY": PAGE_KEY,
        "RATE_LIMIT_ENABLED": "false",
    }
    with Service(folder / "data", **one_document(folder), **variables) as service:
        await_knowledge(service, "How much does a dormitory room cost?")
        with running_page(folder, service.url, api_key=PAGE_KEY) as address:
            yield address


@pytest.fixture
def tab(chromium: Browser) -> Iterator[Page]:
    with watched_browser(chromium, PAGE_KEY, locale="en-GB") as context:
        yield context.new_page()


def choose(tab: Page, name: str, data: bytes) -> None:
    tab.get_by_label("Attach a file").set_input_files({"name": name, "mimeType": "text/plain", "buffer": data})


def test_a_file_is_attached_asked_about_and_removed(tab: Page, url: str) -> None:
    tab.set_viewport_size({"width": 375, "height": 480})
    tab.goto(url)
    expect(tab.get_by_text("Languages of the documents")).to_be_visible()
    expect(tab.locator("#pustaka-shell")).to_have_count(0)
    wait_until_still(tab)
    tab.locator(".stMain").evaluate("main => main.scrollTop = 0")
    button, box = tab.get_by_text("Attach a file").bounding_box(), tab.get_by_test_id("stChatInput").bounding_box()
    assert button is not None
    assert box is not None
    assert button["y"] + button["height"] <= box["y"]  # in sight without scrolling
    tab.set_viewport_size({"width": 1280, "height": 720})
    choose(tab, "large.txt", b"word " * 1_200_000)
    expect(tab.get_by_text("large.txt is not attached. It is larger than 5 MB")).to_be_visible()
    choose(tab, "program.exe", b"MZ")
    expect(tab.get_by_text("program.exe is not attached. It is empty, damaged")).to_be_visible()
    choose(tab, "lease <b>*x*.txt", LEASE)
    expect(tab.get_by_text("lease <b>*x*.txt")).to_be_visible()
    expect(tab.get_by_text("is not attached")).to_be_hidden()
    expect(tab.get_by_label("Attach a file")).to_be_hidden()  # it is the only one that there may be
    assert_accessible(tab)
    ask(tab, QUESTION)
    expect(marks(tab).first).to_be_visible()
    expect(tab.get_by_label("Chat message from assistant")).to_contain_text("412 euros")
    tab.reload()
    expect(tab.get_by_label("Chat message from assistant")).to_contain_text("412 euros")
    tab.get_by_role("button", name="Share").click()
    expect(tab.get_by_role("dialog")).to_contain_text("Quotes of files attached to this conversation can be read")
    tab.keyboard.press("Escape")
    tab.get_by_role("button", name="Remove").click()
    expect(tab.get_by_label("Attach a file")).to_be_visible()
    tab.emulate_media(media="print")
    expect(tab.locator("label:visible")).to_have_count(0)
    tab.emulate_media(media="screen")
    ask(tab, QUESTION.replace("What", "And what"))
    expect(tab.get_by_label("Chat message from assistant")).to_have_count(2)
    expect(tab.get_by_label("Chat message from assistant").last).not_to_contain_text("412 euros")
