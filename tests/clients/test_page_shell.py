"""What stands in the chat page before its scripts have come: seen, typed in and asked from in a real browser."""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import httpx
import pytest
import streamlit
from playwright.sync_api import Browser, Page, Route, expect

from clients.streamlit_chat.settings import PageSettings, SignIn, read_settings
from clients.streamlit_chat.shell import put_shell_into
from clients.streamlit_chat.texts import LANGUAGES, read_texts
from tests.clients.accessibility import assert_no_violations
from tests.clients.api_stub import ACME_KEY, ApiStub
from tests.clients.browser_page import QUESTION, ask, expect_answers, questions, running_page, watched_browser
from tests.clients.shared_stub import api, shared_api
from tests.service import free_port

__all__ = ["api", "shared_api"]

pytestmark = [pytest.mark.browser, pytest.mark.long]
TITLE = "Arsip <b>& Co</b>"
SCRIPTS = re.compile(r"/static/js/index\.[^/]+\.js$")
BOX = "stChatInputTextArea"


@pytest.fixture(scope="module")
def url(shared_api: ApiStub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the running page."""
    with running_page(tmp_path_factory.mktemp("data"), shared_api.url, title=TITLE) as address:
        yield address


@contextmanager
def scripts_held(tab: Page) -> Iterator[None]:
    """As on a slow line: what Streamlit's page begins with comes when the block is left."""
    held: list[Route] = []
    tab.route(SCRIPTS, lambda route: held.append(route))
    yield
    for route in held:
        route.continue_()
    tab.unroute(SCRIPTS)


def expect_shell_gone(tab: Page) -> None:
    """Wait until the page itself is drawn."""
    expect(tab.locator("#pustaka-shell")).to_have_count(0, timeout=15_000)


@pytest.mark.parametrize(
    ("width", "scheme", "locale"), [(1280, "light", "en-GB"), (390, "dark", "id-ID"), (390, "light", "es-ES")]
)
def test_a_question_sent_before_the_scripts_have_come_is_asked_once(
    chromium: Browser, url: str, api: ApiStub, width: int, scheme: Literal["light", "dark"], locale: str
) -> None:
    size = {"width": width, "height": 800}
    texts = read_texts(locale[:2])
    with watched_browser(chromium, ACME_KEY, viewport=size, color_scheme=scheme, locale=locale) as visitor:
        tab = visitor.new_page()
        with scripts_held(tab):
            tab.goto(url, wait_until="commit")
            box = tab.get_by_label(texts["ask"])
            expect(box).to_be_focused()
            expect(tab).to_have_title(TITLE)
            expect(tab.get_by_text(TITLE)).to_be_visible()
            before = box.bounding_box()
            box.press("Enter")  # nothing
            tab.keyboard.type(QUESTION)
            tab.keyboard.press("Enter")
            expect(tab.get_by_text(QUESTION)).to_be_visible()
            expect(tab.get_by_text(texts["shell_sent"])).to_be_visible()
            tab.keyboard.type("And more")
            tab.keyboard.press("Enter")  # stays, until the first has been asked
            assert_no_violations(tab)
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
            assert not api.asked
        expect_answers(tab)
        expect_shell_gone(tab)
        expect(tab.get_by_test_id(BOX)).to_have_value("And more")
        expect(tab.get_by_test_id(BOX)).to_be_focused()
        expect(questions(tab)).to_have_count(1)
        assert [asked[2] for asked in api.asked] == [QUESTION]
        after = tab.get_by_test_id(BOX).bounding_box()
        assert before is not None
        assert after is not None
        assert abs(before["y"] - after["y"]) < 4  # nothing jumps
        tab.reload()
        expect_answers(tab)
        assert [asked[2] for asked in api.asked] == [QUESTION]


def test_what_is_being_typed_when_the_page_comes_goes_on_in_its_box(chromium: Browser, url: str, api: ApiStub) -> None:
    with watched_browser(chromium, ACME_KEY, locale="en-GB") as visitor:
        tab = visitor.new_page()
        with scripts_held(tab):
            tab.goto(url, wait_until="commit")
            expect(tab.get_by_label("Ask a question")).to_be_focused()
            tab.keyboard.type("What a room cost?")
            for _ in range(len("a room cost?")):
                tab.keyboard.press("ArrowLeft")
        expect_shell_gone(tab)
        tab.keyboard.type("does ")
        expect(tab.get_by_test_id(BOX)).to_have_value(QUESTION)
        assert not api.asked
        tab.keyboard.press("Enter")
        expect_answers(tab)
        assert [asked[2] for asked in api.asked] == [QUESTION]


def test_a_question_that_is_too_long_stays_in_the_box_before_and_after_the_page_comes(
    chromium: Browser, url: str, api: ApiStub
) -> None:
    told = "Pertanyaan terlalu panjang: 5980 karakter, maksimal 5000."
    with watched_browser(chromium, ACME_KEY, locale="id-ID") as visitor:
        tab = visitor.new_page()
        with scripts_held(tab):
            tab.goto(url, wait_until="commit")
            box = tab.get_by_label(read_texts("id")["ask"])
            box.fill("x" * 5_980)
            box.press("Enter")
            expect(tab.get_by_text(told)).to_be_visible()
            expect(box).to_have_value("x" * 5_980)
        expect_shell_gone(tab)
        expect(tab.get_by_test_id(BOX)).to_have_value("x" * 5_980)
        expect(tab.get_by_text(told)).to_be_visible()
        assert not api.asked


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_that_does_not_come_says_so_and_offers_a_reload_that_keeps_the_question(
    chromium: Browser, url: str, api: ApiStub, language: str
) -> None:
    texts = read_texts(language)
    with watched_browser(chromium, ACME_KEY, locale=language, viewport={"width": 375, "height": 700}) as visitor:
        tab = visitor.new_page()
        tab.clock.install()
        tab.route_web_socket(re.compile("_stcore/stream"), lambda socket: None)  # taken, and never answered
        tab.goto(url, wait_until="commit")
        box = tab.get_by_label(texts["ask"])
        box.fill(QUESTION)
        box.press("Enter")
        tab.clock.fast_forward(25_000)
        expect(tab.get_by_text(texts["shell_sent"])).to_be_visible()
        expect(tab.get_by_text(texts["shell_late"])).to_have_count(0)
        tab.clock.fast_forward(10_000)
        expect(tab.get_by_role("alert").get_by_text(texts["shell_late"])).to_be_visible()
        assert_no_violations(tab)
        with scripts_held(tab):
            tab.get_by_role("button", name=texts["shell_reload"]).click()
            expect(tab.get_by_text(texts["shell_late"])).to_have_count(0)
            expect(box).to_have_value(QUESTION)
    assert not api.asked


def test_what_goes_wrong_before_the_title_is_shown(chromium: Browser, url: str) -> None:
    with watched_browser(chromium, ACME_KEY) as visitor:
        tab = visitor.new_page()
        tab.route_web_socket(re.compile("_stcore/stream"), lambda socket: None)
        tab.goto(url)
        main = tab.locator(".stMain")
        expect(main).to_have_count(1)
        expect(tab.locator("#pustaka-shell")).to_have_count(1)
        # As Streamlit shows it where it cannot even begin our script.
        main.evaluate("main => { main.append(document.createElement('p')); main.lastChild.textContent = 'It failed.' }")
        main.evaluate("main => { main.lastChild.dataset.testid = 'stException' }")
        expect_shell_gone(tab)
        expect(tab.get_by_text("It failed.")).to_be_visible()


def test_a_page_of_streamlit_that_has_no_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_PAGE_KEY", ACME_KEY)
    with pytest.raises(RuntimeError, match="</body>"):
        put_shell_into('<html lang="en"><div id="root"></div></html>', read_settings(), "en", has_talk=False)


def test_a_reload_of_a_conversation_shows_no_beginning_and_keeps_the_draft(
    chromium: Browser, url: str, api: ApiStub
) -> None:
    with watched_browser(chromium, ACME_KEY, locale="en-GB") as visitor:
        tab = visitor.new_page()
        tab.goto(url)
        ask(tab)
        expect_answers(tab)
        expect_shell_gone(tab)
        tab.get_by_test_id(BOX).fill("And laundry?")
        with scripts_held(tab):
            tab.reload(wait_until="commit")
            expect(tab.locator("#pustaka-shell.talk")).to_be_visible()
            expect(tab.get_by_label("Ask a question")).to_have_value("And laundry?")
        expect_shell_gone(tab)
        expect_answers(tab)
        expect(tab.get_by_test_id(BOX)).to_have_value("And laundry?")
        assert len(api.asked) == 1


def test_a_first_visit_can_be_used_on_a_slow_line_before_most_of_it_has_come(
    chromium: Browser, url: str, api: ApiStub
) -> None:
    with watched_browser(chromium, ACME_KEY, locale="en-GB") as visitor:
        tab = visitor.new_page()
        line = visitor.new_cdp_session(tab)
        line.send("Network.enable")
        slow = {"latency": 150, "downloadThroughput": 200_000, "uploadThroughput": 200_000}
        line.send("Network.emulateNetworkConditions", {"offline": False, **slow})
        done: list[str] = []
        tab.on("requestfinished", lambda request: done.append(request.url))
        tab.goto(url, wait_until="commit")
        expect(tab.get_by_label("Ask a question")).to_be_focused()
        tab.keyboard.type(QUESTION)
        tab.keyboard.press("Enter")
        expect(tab.get_by_text(read_texts("en")["shell_sent"])).to_be_visible()
        assert not any(SCRIPTS.search(address) for address in done)
        expect_answers(tab)
        assert [asked[2] for asked in api.asked] == [QUESTION]


def test_without_scripts_the_page_says_what_it_needs(chromium: Browser, url: str) -> None:
    with watched_browser(chromium, ACME_KEY, locale="es-ES", java_script_enabled=False) as visitor:
        tab = visitor.new_page()
        tab.goto(url)
        expect(tab.get_by_text(read_texts("es")["shell_no_script"])).to_be_visible()
        expect(tab.get_by_label(read_texts("es")["ask"])).to_be_hidden()


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_comes_packed_in_the_browsers_language_with_a_policy_that_allows_its_scripts_alone(
    url: str, language: str
) -> None:
    reply = httpx.get(url, headers={"Accept-Language": f"{language}-XX,{language};q=0.9", "Accept-Encoding": "gzip"})
    assert reply.headers["Content-Encoding"] == "gzip"
    assert reply.headers["Cache-Control"] == "no-store"
    assert {"Accept-Encoding", "Accept-Language"} <= set(re.split(", *", reply.headers["Vary"]))
    assert f'<html lang="{language}">' in reply.text
    assert "<b>& Co" not in reply.text
    assert "unsafe-inline" not in reply.headers["Content-Security-Policy"].partition("script-src")[2].partition(";")[0]
    assert len(reply.content.partition(b'rel="stylesheet"')[2]) < 1000  # what holds up painting comes last


def test_scripts_come_whole_after_visitors_left_while_they_were_sent(url: str) -> None:
    static = Path(streamlit.__file__).parent / "static"
    scripts = sorted(static.rglob("*.js"))[:40]
    address = urlsplit(url)
    for script in scripts:
        with socket.create_connection((address.hostname, address.port)) as visitor:
            asked = f"GET /{script.relative_to(static).as_posix()} HTTP/1.1"
            visitor.sendall(f"{asked}\r\nHost: {address.netloc}\r\nAccept-Encoding: gzip\r\n\r\n".encode())
    with httpx.Client(base_url=url) as browser:
        broken = [
            script.name
            for script in scripts
            if browser.get(f"/{script.relative_to(static).as_posix()}").content != script.read_bytes()
        ]
    assert broken == []


def test_who_has_to_sign_in_first_gets_no_box(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_PAGE_KEY", ACME_KEY)
    settings: PageSettings = read_settings()
    login = SignIn(is_required=True, chat_url="https://a", issuer="https://b", client_id="c", client_secret="d")
    page = '<html lang="en"><body><div id="root"></div></body></html>'
    assert "<textarea" in put_shell_into(page, settings, "en", has_talk=False)
    assert "<textarea" not in put_shell_into(page, replace(settings, sign_in=login), "en", has_talk=False)


def test_the_first_click_after_the_pages_server_was_restarted_is_heard(
    chromium: Browser, api: ApiStub, tmp_path: Path
) -> None:
    at = free_port()
    with watched_browser(chromium, ACME_KEY) as visitor:
        tab = visitor.new_page()
        with running_page(tmp_path, api.url, port=at) as url:
            tab.goto(url)
            ask(tab)
            expect_answers(tab)
        expect(tab.get_by_text(read_texts("en")["lost_page"])).to_be_visible()
        with running_page(tmp_path, api.url, port=at):
            expect(tab.get_by_text(read_texts("en")["lost_page"])).to_have_count(0, timeout=15_000)
            tab.get_by_role("button", name="New chat").click()
            expect(questions(tab)).to_have_count(0)
            tab.goto("about:blank")
