"""On computers that several people use: what a browser keeps of a visitor's conversations, and what it forgets."""

import json
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from clients.visitors import make_token
from tests.clients.api_stub import ACME_KEY, GLOBEX_KEY, ApiStub, problem
from tests.clients.browser_page import ask, expect_answers, questions, running_page, shelf, stop
from tests.clients.shared_stub import api, shared_api

__all__ = ["api", "shared_api"]

pytestmark = [pytest.mark.browser, pytest.mark.long]
QUESTION = "What does a room cost?"
KEPT = "pustaka.conversations/"


@pytest.fixture(scope="module")
def session_url(shared_api: ApiStub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_page(
        tmp_path_factory.mktemp("session"), shared_api.url, options={"LOCAL_HISTORY": "session"}
    ) as address:
        yield address


@pytest.fixture(scope="module")
def off_url(shared_api: ApiStub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_page(tmp_path_factory.mktemp("off"), shared_api.url, options={"LOCAL_HISTORY": "off"}) as address:
        yield address


@pytest.fixture
def browser(chromium: Browser) -> Iterator[BrowserContext]:
    """A browser in which an earlier visit, when it was allowed, has left a list."""
    with chromium.new_context() as context:
        entry = {"id": f"web-{'e' * 22}", "title": "of an earlier visitor", "turns": 1, "used": 1}
        context.add_init_script(
            f"sessionStorage.seen ??= (localStorage.setItem('{KEPT}', {json.dumps(json.dumps([entry]))}), 'yes')"
        )
        yield context


def kept(tab: Page) -> str:
    """Everything that the browser has stored, and where it has been."""
    stored = tab.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])")
    cookies = tab.context.cookies()
    return f"{stored} {[cookie for cookie in cookies if cookie['expires'] != -1]}"  # others end with the browser


def visitors(api: ApiStub) -> list[str]:
    """Who has asked, in order, each once."""
    return list(dict.fromkeys((token or "").split(".")[1] for token, _ in api.visitors))


def test_with_history_off_a_browser_keeps_nothing(browser: BrowserContext, off_url: str, api: ApiStub) -> None:
    tab = browser.new_page()
    tab.goto(off_url)
    expect(tab.get_by_text("keeps nothing of your conversations")).to_have_text(
        "This browser keeps nothing of your conversations: a reload begins a new one."
    )
    expect(tab.get_by_text("Starts again, so that the next person sees nothing.", exact=True)).to_be_visible()
    ask(tab)
    expect_answers(tab)
    ask(tab, "And when is it due?")
    expect_answers(tab, 2)
    expect(questions(tab)).to_have_count(2)
    expect(shelf(tab)).to_have_count(0)
    [(_, conversation_id)] = api.conversations
    for secret in (conversation_id, QUESTION, "earlier visitor", "pustaka_visitor"):
        assert secret not in kept(tab)
    assert tab.url == f"{off_url}/"
    tab.reload()
    expect(tab.get_by_text("Ask what you would like to know.")).to_be_visible()
    expect(questions(tab)).to_have_count(0)
    tab.goto(f"{off_url}/?c={conversation_id}")
    expect(tab).to_have_url(f"{off_url}/")
    expect(questions(tab)).to_have_count(0)


def test_with_history_off_stop_new_chat_and_delete_work(browser: BrowserContext, off_url: str, api: ApiStub) -> None:
    tab = browser.new_page()
    tab.goto(off_url)
    api.behaviour.held = True
    ask(tab)
    expect(tab.get_by_text("▌")).to_be_visible()
    stop(tab)
    expect(tab.get_by_text("Stopped before it was complete")).to_be_visible()
    api.behaviour.held = False
    tab.get_by_role("button", name="Answer again").click()
    expect_answers(tab)
    tab.get_by_role("button", name="New chat").click()
    expect(questions(tab)).to_have_count(0)
    ask(tab)
    expect_answers(tab)
    tab.get_by_role("button", name="Delete", exact=True).click()
    tab.get_by_role("dialog").get_by_role("button", name="Delete for good").click()
    expect(questions(tab)).to_have_count(0)
    assert len(api.conversations) == 1


def test_with_history_for_a_session_the_list_ends_with_the_tab(
    browser: BrowserContext, session_url: str, api: ApiStub
) -> None:
    tab = browser.new_page()
    tab.goto(session_url)
    expect(tab.get_by_text("None yet.", exact=True)).to_be_visible()
    expect(tab.get_by_text("Your conversations are listed in the sidebar until you close this tab.")).to_be_visible()
    expect(tab.get_by_text("Deletes the list and starts again, so that the next person sees nothing.")).to_be_visible()
    ask(tab)
    expect(shelf(tab)).to_have_text([QUESTION])
    tab.reload()
    expect_answers(tab)
    expect(shelf(tab)).to_have_text([QUESTION])
    assert tab.evaluate("localStorage.getItem('pustaka.conversations/')") is None
    tab.close()
    other = browser.new_page()
    other.goto(session_url)
    expect(other.get_by_text("None yet.")).to_be_visible()


@pytest.mark.parametrize("mode", ["off", "session"])
def test_all_conversations_of_a_visit_are_cleared_in_all_tabs(
    browser: BrowserContext, off_url: str, session_url: str, api: ApiStub, mode: str
) -> None:
    url, theirs = off_url if mode == "off" else session_url, (GLOBEX_KEY, f"web-{'a' * 22}")
    api.conversations[theirs] = [{"role": "user", "content": "of another tenant"}]
    tab, second = browser.new_page(), browser.new_page()
    tab.goto(url)
    ask(tab)
    expect_answers(tab)
    expect(tab.get_by_role("button", name="Clear all")).to_have_count(0)  # this service lists no conversations
    api.behaviour.lists = True
    for each in (tab, second):
        each.goto(url)
        expect(each.get_by_role("button", name="Clear all")).to_be_visible()  # of those that are not in sight
        ask(each)
        expect_answers(each)
    tab.get_by_role("button", name="New chat").click()
    expect(questions(tab)).to_have_count(0)
    tab.get_by_role("button", name="Clear all").click()
    tab.get_by_role("dialog").get_by_role("button", name="Delete for good").click()
    expect(tab.get_by_role("dialog")).to_have_count(0)
    expect(tab.get_by_role("button", name="Clear all")).to_have_count(0)
    assert list(api.conversations) == [theirs]
    for each in (tab, second):
        expect(shelf(each)).to_have_count(0)
    assert QUESTION not in kept(tab)


@pytest.mark.parametrize("mode", ["off", "session"])
def test_ending_a_visit_clears_all_tabs_and_makes_a_new_visitor(
    browser: BrowserContext, off_url: str, session_url: str, api: ApiStub, mode: str
) -> None:
    url = off_url if mode == "off" else session_url
    tab, second = browser.new_page(), browser.new_page()
    for each in (tab, second):
        each.goto(url)
        ask(each)
        expect_answers(each)
    assert len(visitors(api)) == 1
    api.behaviour.stream_problem = problem(500, "Something went wrong", "Not now.")
    ask(tab, "And when is it due?")
    expect(tab.get_by_text("Something went wrong on our side")).to_be_visible()
    api.behaviour.stream_problem = None
    tab.get_by_role("button", name="End this visit").click()
    for each in (tab, second):
        expect(each.get_by_text("Ask what you would like to know.")).to_be_visible()
        expect(questions(each)).to_have_count(0)
        expect(shelf(each)).to_have_count(0)
        assert QUESTION not in kept(each)
    tab.go_back()
    expect(questions(tab)).to_have_count(0)
    second.goto(url)
    ask(second, "of the next person")
    expect_answers(second)
    assert len(visitors(api)) == 2


def test_a_kept_cookie_of_another_time_is_taken_away(off_url: str) -> None:
    sent = {"Cookie": f"pustaka_visitor={make_token(ACME_KEY)}"}
    given, taken = httpx.get(off_url, headers=sent).headers.get_list("set-cookie")
    assert given.startswith("pustaka_visitor_session=v1.")
    assert "Max-Age" not in given
    assert taken == "pustaka_visitor=; Path=/; Max-Age=0"


def test_no_page_of_another_site_can_end_a_visit(off_url: str) -> None:
    """A form cannot send the header, and a script that does has to ask first, which is not answered."""
    assert httpx.post(f"{off_url}/visitor/new", data={"a": "b"}).status_code == 404
    assert httpx.options(f"{off_url}/visitor/new", headers={"Origin": "https://evil.example"}).status_code == 404
    asked = httpx.post(f"{off_url}/visitor/new", headers={"X-Requested-With": "pustaka"})
    assert asked.status_code == 204
    assert asked.headers["set-cookie"].startswith("pustaka_visitor_session=v1.")
