"""The chat page for a real browser: served by the child process the service starts, used as a visitor uses it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from bootstrap.streamlit import ChatPage, StreamlitChild
from tests.clients.api_stub import ACME_KEY
from tests.service import free_port

QUESTION = "What does a room cost?"


@contextmanager
def running_page(
    folder: Path, api_url: str, *, api_key: str = ACME_KEY, title: str = "Arsip", **more: Any
) -> Iterator[str]:
    """The address of a page that speaks to *api_url*; *more* is as `ChatPage` has it."""
    here = {"host": "127.0.0.1", "port": free_port(), "api_url": api_url, "api_key": api_key, "title": title}
    page = ChatPage(**(here | more))
    child = StreamlitChild(page, folder)
    child.start()
    child.wait_ready()
    try:
        yield child.url
    finally:
        child.stop()


@contextmanager
def watched_browser(chromium: Browser, secret: str, **options: Any) -> Iterator[BrowserContext]:
    """A new visitor's browser, with *options* of Playwright. At its end fails what its pages have asked of other
    machines or sent of *secret* in an address, what a policy forbade, and what went wrong in a script."""
    context = chromium.new_context(**options)
    asked: list[str] = []
    wrong: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    context.on("weberror", lambda error: wrong.append(str(error.error)))
    context.on("console", lambda said: wrong.append(said.text) if "Content Security Policy" in said.text else None)
    try:
        yield context
    finally:
        context.close()  # else a page of a failed test goes on asking
    elsewhere = [address for address in asked if urlsplit(address).hostname not in ("localhost", "127.0.0.1", None)]
    assert elsewhere == []
    assert wrong == []
    assert not any(secret in address for address in asked)


def ask(tab: Page, question: str = QUESTION) -> None:
    """Type a question and send it."""
    box = tab.get_by_placeholder("Ask a question")
    box.fill(question)
    box.press("Enter")


def stop(tab: Page) -> None:
    """Stop the answer that is being written."""
    tab.get_by_role("button", name="Stop", exact=True).click()


def questions(tab: Page) -> Locator:
    """What the visitor is shown to have said."""
    return tab.get_by_label("Chat message from user")


def marks(tab: Page, number: int = 1) -> Locator:
    """The marks `[number]` of all answers."""
    return tab.get_by_role("link", name=f"[{number}]", exact=True)


def expect_answers(tab: Page, count: int = 1) -> None:
    """Wait until *count* answers are whole; the page may first have to find out that the API is back."""
    expect(marks(tab)).to_have_count(count, timeout=15_000)


def shelf(tab: Page) -> Locator:
    """The links of the list of past conversations, newest first."""
    return tab.get_by_role("navigation", name="Past conversations").get_by_role("link")
