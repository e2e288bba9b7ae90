"""The box of the chat page for questions, in a real browser: what it takes, says and keeps."""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.clients.api_stub import ACME_KEY, ApiStub
from tests.clients.browser_page import ask, expect_answers, running_page, watched_browser
from tests.clients.shared_stub import api, shared_api

__all__ = ["api", "shared_api"]

pytestmark = [pytest.mark.browser, pytest.mark.long]
BOX = "stChatInputTextArea"


@pytest.fixture(scope="module")
def url(shared_api: ApiStub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the running page."""
    with running_page(tmp_path_factory.mktemp("data"), shared_api.url) as address:
        yield address


@pytest.fixture
def visitor(chromium: Browser) -> Iterator[BrowserContext]:
    """A new visitor's browser."""
    with watched_browser(chromium, ACME_KEY, locale="en-GB") as context:
        yield context


# Between the words of a message and the right edge of its bubble, in pixels.
GAP_AT_RIGHT = """text => {
  const words = document.createRange();
  words.selectNodeContents(text);
  const bubble = text.closest("[data-testid=stChatMessageContent]");
  return bubble.getBoundingClientRect().right - words.getBoundingClientRect().right;
}"""


@pytest.fixture
def tab(visitor: BrowserContext) -> Page:
    """The visitor's tab."""
    return visitor.new_page()


def test_a_question_in_arabic_begins_at_the_right(tab: Page, url: str, api: ApiStub) -> None:
    tab.goto(url)
    expect(tab.locator("#pustaka-shell")).to_have_count(0)
    box = tab.get_by_test_id(BOX)
    for text, side in (("كم تكلفة الغرفة؟", "rtl"), ("What does it cost?", "ltr")):
        box.fill(text)
        expect(tab.locator(f"[data-testid={BOX}]:dir({side})")).to_have_count(1)
    ask(tab, "كم تكلفة الغرفة؟")
    expect_answers(tab)
    asked = tab.get_by_test_id("stText").first
    expect(asked).to_have_css("unicode-bidi", "plaintext")
    assert asked.evaluate(GAP_AT_RIGHT) < 24
    assert 'dir="auto"' in httpx.get(url).text  # before the page comes, too


def kept(tab: Page) -> str:
    """Everything that the browser has stored of the page."""
    return str(tab.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])"))


def wait_until_forgotten(tab: Page, text: str) -> None:
    """A box is empty in a new conversation, too, before what was typed in others is forgotten."""
    for _ in range(200):
        if text not in kept(tab):
            return
        tab.wait_for_timeout(50)
    raise AssertionError(f"{text!r} is still kept.")


def test_what_was_typed_is_forgotten_with_its_conversation(visitor: BrowserContext, url: str, api: ApiStub) -> None:
    tab, second = visitor.new_page(), visitor.new_page()
    tab.goto(url)
    ask(tab)
    expect_answers(tab)
    second.goto(tab.url)
    expect_answers(second)
    for each in (tab, second):
        each.get_by_test_id(BOX).fill("half typed")
        assert "half typed" in kept(each)
    tab.get_by_role("button", name="Delete", exact=True).click()
    tab.get_by_role("dialog").get_by_role("button", name="Delete for good").click()
    expect(tab.get_by_text("Try asking")).to_be_visible()
    second.reload()
    expect(second.get_by_text("expired or does not exist")).to_be_visible()
    for each in (tab, second):
        expect(each.locator("#pustaka-shell")).to_have_count(0)
        expect(each.get_by_test_id(BOX)).to_have_value("")
        wait_until_forgotten(each, "half typed")


def test_what_was_typed_is_forgotten_when_all_is_cleared(visitor: BrowserContext, url: str, api: ApiStub) -> None:
    api.behaviour.lists = True
    tab, second = visitor.new_page(), visitor.new_page()
    for each in (tab, second):
        each.goto(url)
        ask(each)
        expect_answers(each)
        each.get_by_test_id(BOX).fill("half typed")
        assert "half typed" in kept(each)
    tab.get_by_role("button", name="Clear all").click()
    tab.get_by_role("dialog").get_by_role("button", name="Delete for good").click()
    expect(tab.get_by_role("dialog")).to_have_count(0)
    for each in (tab, second):
        expect(each.get_by_test_id(BOX)).to_have_value("")
        wait_until_forgotten(each, "half typed")


def wait_until_above(notice: Locator, box: Locator) -> None:
    """As soon as the box has grown with its text."""
    for _ in range(100):
        upper, lower = notice.bounding_box(), box.bounding_box()
        if upper and lower and upper["y"] + upper["height"] <= lower["y"]:
            return
        notice.page.wait_for_timeout(50)
    raise AssertionError("The notice lies over the box.")


def test_a_pasted_text_that_is_too_long_stays_and_is_not_sent_before_it_is_shorter(
    visitor: BrowserContext, tab: Page, url: str, api: ApiStub
) -> None:
    visitor.grant_permissions(["clipboard-read", "clipboard-write"])
    tab.goto(url)
    box = tab.get_by_test_id(BOX)
    expect(box).to_be_focused()
    text = "\N{PERSONAL COMPUTER}" * 10 + "word " * 1_194  # 5,980 signs, of which JavaScript counts some twice
    tab.evaluate("text => navigator.clipboard.writeText(text)", text)
    tab.keyboard.press("Control+V")
    told = tab.get_by_text("The question is too long: 5979 characters, at most 5000.")
    expect(told).to_be_in_viewport()
    wait_until_above(told, tab.get_by_test_id("stChatInput"))
    expect(box).to_have_value(text)
    tab.keyboard.press("Enter")
    tab.get_by_role("button", name="Send", exact=True).click()
    expect(box).to_have_value(text)
    tab.reload()
    expect(box).to_have_value(text)
    expect(told).to_be_visible()
    assert not api.asked
    box.fill("word " * 1_000)
    expect(told).to_be_hidden()
    box.press("Enter")
    expect_answers(tab)
    assert [len(asked[2]) for asked in api.asked] == [4_999]
