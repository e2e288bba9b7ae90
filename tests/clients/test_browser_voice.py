"""Questions that are spoken on the chat page, and answers that are heard, in a real browser with the whole service."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from tests.clients.accessibility import assert_accessible
from tests.clients.browser_page import ask, marks, questions, running_page, watched_browser
from tests.conftest import PAGE_KEY, installed
from tests.fakes.speech_server import FakeSpeechServer
from tests.service import Service, await_knowledge, one_document
from utils.audio import NO_TRANSCRIPTION

pytestmark = [pytest.mark.browser, pytest.mark.long]
QUESTION = FakeSpeechServer.heard


@pytest.fixture(scope="module")
def speech() -> Iterator[FakeSpeechServer]:
    with FakeSpeechServer() as server:
        yield server


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, speech: FakeSpeechServer) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("service")
    variables = {"CHAT_PAGE_KEY": PAGE_KEY, "RATE_LIMIT_ENABLED": "false"}
    variables |= {"STT_BASE_URL": speech.base_url, "TTS_BASE_URL": speech.base_url}
    with Service(folder / "data", **one_document(folder), **variables) as service:
        await_knowledge(service, QUESTION)
        with running_page(folder, service.url, api_key=PAGE_KEY) as address:
            yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One with a microphone, which hears a tone."""
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--use-fake-device-for-media-stream"]
        opened = playwright.chromium.launch(executable_path=installed("chromium"), args=arguments)
        yield opened
        opened.close()


@pytest.fixture
def context(browser: Browser, speech: FakeSpeechServer) -> Iterator[BrowserContext]:
    speech.reset()
    with watched_browser(browser, PAGE_KEY, locale="en-GB") as opened:
        yield opened


@pytest.fixture
def tab(context: BrowserContext) -> Page:
    return context.new_page()


def microphone(tab: Page) -> Locator:
    return tab.get_by_role("button", name="Speak", exact=True)


def recording(tab: Page) -> Locator:
    return tab.get_by_role("button", name="Recording")


@pytest.mark.parametrize("way", ["held", "tapped", "by keys", "by a program"])
def test_a_spoken_question_is_asked_and_its_answer_heard(
    context: BrowserContext, tab: Page, url: str, speech: FakeSpeechServer, way: str
) -> None:
    context.grant_permissions(["microphone"])
    tab.goto(url)
    expect(microphone(tab)).to_be_visible()
    assert_accessible(tab)
    if way == "held":
        microphone(tab).hover()
        tab.mouse.down()
        expect(recording(tab)).to_be_visible()
        tab.wait_for_function("end => performance.now() > end", arg=tab.evaluate("performance.now() + 500"))  # no tap
        tab.mouse.up()
    elif way == "tapped":
        microphone(tab).click()
        recording(tab).click()
    elif way == "by a program":
        microphone(tab).dispatch_event("click")
        recording(tab).dispatch_event("click")
    else:
        microphone(tab).press("Enter")
        recording(tab).press("Enter")
    expect(questions(tab)).to_contain_text(QUESTION)
    expect(marks(tab)).to_have_count(1)
    [heard] = speech.requests
    assert (heard["path"], heard["filename"]) == ("/v1/audio/transcriptions", "speech.webm")
    assert "language" not in heard  # many who read English speak another language
    expect(tab.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    listen, sound = tab.get_by_role("button", name="Listen"), tab.get_by_test_id("stAudio")
    speech.statuses = [400] * 2
    listen.click()
    expect(tab.get_by_text("The answer cannot be read aloud now.")).to_be_visible()
    speech.statuses, speech.requests = [], []
    listen.click()
    tab.wait_for_function("() => document.querySelector('[data-testid=stAudio]')?.duration > 0.05")
    assert [each["response_format"] for each in speech.requests] == ["mp3", "wav"]  # it is no MP3 file
    assert "[1]" not in speech.requests[-1]["input"]
    assert_accessible(tab)
    listen.click()
    expect(sound).to_be_hidden()


def test_what_is_not_understood_is_said_and_asked_nowhere(
    context: BrowserContext, tab: Page, url: str, speech: FakeSpeechServer
) -> None:
    context.grant_permissions(["microphone"])
    tab.goto(url)
    speech.heard = ""
    microphone(tab).click()
    recording(tab).click()
    expect(tab.get_by_text("Nothing was understood.")).to_be_visible()
    speech.statuses, speech.code = [404], NO_TRANSCRIPTION
    microphone(tab).click()
    recording(tab).click()
    expect(tab.get_by_text("Speech cannot be recognised at the moment")).to_be_visible()
    speech.reset()
    microphone(tab).click()
    recording(tab).press("Escape")
    expect(microphone(tab)).to_be_visible()
    ask(tab, QUESTION)
    expect(marks(tab)).to_have_count(1)
    expect(questions(tab)).to_have_count(1)
    expect(tab.get_by_text("Speech cannot be recognised at the moment")).to_be_hidden()
    assert speech.requests == []


def test_a_microphone_that_is_not_allowed_is_told_of(tab: Page, url: str) -> None:
    tab.goto(url)
    microphone(tab).click()
    expect(tab.get_by_text("The microphone cannot be used.")).to_be_visible()
    expect(microphone(tab)).to_be_visible()
