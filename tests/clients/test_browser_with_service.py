"""The chat page in a real browser with the whole service behind it, whose model is ours to slow down."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from bootstrap.valkey import find_valkey
from config import SAMPLES
from tests.clients.accessibility import assert_accessible
from tests.clients.browser_page import ask, marks, questions, running_page, stop
from tests.conftest import FAKE_MODEL, PAGE_KEY
from tests.fakes.model_server import FakeModelServer
from tests.servers.redis import RedisServer
from tests.service import Service

pytestmark = [pytest.mark.browser, pytest.mark.long]
FIRST, SECOND = "How much does a dormitory room cost?", "And with a private bathroom?"


@pytest.fixture(scope="module")
def service(model_server: FakeModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service, which knows one document: its vectors take no time. A run is abandoned after a second."""
    folder = tmp_path_factory.mktemp("service")
    documents = folder / "documents"
    documents.mkdir()
    shutil.copy(SAMPLES / "student-dormitory.md", documents)
    variables = {
        **FAKE_MODEL,
        "LLM_BASE_URL": model_server.base_url,
        "KNOWLEDGE_DIR": str(documents),
        "RUN_LEASE": "1",
        "RATE_LIMIT_ENABLED": "false",
        "API_KEY": "a-key-of-the-default-tenant",
        "CHAT_PAGE_KEY": PAGE_KEY,
    }
    with (
        RedisServer(folder / "redis", binary=find_valkey()) as redis,  # which outlives the service
        Service(folder / "data", REDIS_URL=redis.url, **variables) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def url(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a page that speaks to the service."""
    with running_page(tmp_path_factory.mktemp("page"), service.url, api_key=PAGE_KEY) as address:
        yield address


@pytest.fixture
def model(model_server: FakeModelServer) -> Iterator[FakeModelServer]:
    """The model endpoint, with words that come one by one."""
    model_server.reset()
    yield model_server
    model_server.reset()


@pytest.fixture
def tab(chromium: Browser) -> Iterator[Page]:
    """A new visitor's tab."""
    with chromium.new_context() as context:
        yield context.new_page()


def test_a_stop_ends_the_model_call_and_the_next_question_is_answered_at_once(
    tab: Page, url: str, model: FakeModelServer, service: Service
) -> None:
    tab.goto(url)
    model.configure(gap_ms=300, tokens=60)  # 18 s, so that a slow browser does not come too late
    ask(tab, FIRST)
    expect(tab.get_by_text("▌")).to_be_visible()
    stop(tab)
    expect(tab.get_by_text("Stopped before it was complete")).to_be_visible()
    service.wait_for(lambda: model.counters()["abandoned"] == 1, 10)  # nobody pays for the rest
    seen = tab.get_by_label("Chat message from assistant").locator("p").first.inner_text()
    tab.reload()
    expect(tab.get_by_text("Stopped before it was complete")).to_be_visible()
    expect(tab.get_by_label("Chat message from assistant")).to_contain_text(seen)  # a word may have come since
    model.configure(gap_ms=0)
    ask(tab, SECOND)
    expect(marks(tab).first).to_be_visible()
    expect(questions(tab)).to_have_text([FIRST, SECOND])
    expect(tab.get_by_text("Sources", exact=True)).to_be_visible()  # the last of an answer: the page stays as it is
    marks(tab).first.click()
    expect(tab.locator("details[open]")).to_contain_text("student-dormitory.md")


def test_a_second_version_that_was_stopped_stands_beside_the_first_after_a_reload(
    tab: Page, url: str, model: FakeModelServer
) -> None:
    tab.goto(url)
    ask(tab, FIRST)
    expect(marks(tab)).to_have_count(1)
    model.configure(gap_ms=300, tokens=60)
    tab.get_by_role("button", name="Ask again").click()
    expect(tab.get_by_text("▌")).to_be_visible()
    stop(tab)
    expect(tab.get_by_text("Stopped before it was complete")).to_be_visible()
    tab.reload()
    expect(tab.get_by_text("Stopped before it was complete")).to_be_visible()
    expect(tab.get_by_role("group", name="Version 2 of 2")).to_be_visible()
    tab.get_by_role("button", name="Previous version").click()
    expect(tab.get_by_role("group", name="Version 1 of 2")).to_be_visible()
    expect(marks(tab)).to_have_count(1)


def test_what_the_assistant_saw_is_shown_and_a_new_conversation_goes_on_from_there(
    tab: Page, url: str, model: FakeModelServer
) -> None:
    tab.set_viewport_size({"width": 390, "height": 844})
    tab.goto(url)
    ask(tab, FIRST)
    expect(marks(tab).first).to_be_visible()
    tab.get_by_role("button", name="What the assistant saw").click()
    shown = tab.get_by_role("dialog")
    expect(shown.get_by_text("Searched for")).to_be_visible()
    expect(shown.get_by_text("quoted", exact=True)).to_have_count(1)
    expect(shown.get_by_role("link", name="Show the quote in the document (new tab)").first).to_be_visible()
    expect(shown.get_by_text("in all")).to_be_visible()
    expect(shown.get_by_text("Likeness of meaning goes up to 1")).to_be_visible()
    assert shown.evaluate("window => window.scrollWidth <= window.clientWidth")
    assert_accessible(tab)
    before = tab.url
    shown.get_by_role("button", name="Continue from here in a new conversation").click()
    expect(shown).to_be_hidden()
    expect(tab).not_to_have_url(before)
    expect(questions(tab)).to_have_text([FIRST])
    ask(tab, SECOND)
    expect(marks(tab)).to_have_count(2)
    tab.goto(before)
    expect(questions(tab)).to_have_text([FIRST])


def test_a_question_is_edited_as_soon_as_it_is_answered(tab: Page, url: str, model: FakeModelServer) -> None:
    tab.goto(url)
    ask(tab, FIRST)
    expect(marks(tab)).to_have_count(1)
    tab.set_viewport_size({"width": 1280, "height": 300})  # the question is far above the box
    for key in ("Escape", ""):
        tab.get_by_role("button", name="Edit the question").click()
        note = tab.get_by_text("Your edited question becomes a new version")
        expect(note).to_be_in_viewport()
        if key:  # it ends the editing
            tab.keyboard.press(key)
            expect(note).to_have_count(0)
    ask(tab, SECOND)
    expect(tab.get_by_role("group", name="Version 2 of 2")).to_be_visible()
    expect(questions(tab)).to_contain_text([SECOND])
    expect(questions(tab)).to_have_count(1)


@pytest.mark.parametrize("width", [390, 1280])
def test_an_edited_question_and_a_second_answer_stand_beside_the_first(
    tab: Page, url: str, model: FakeModelServer, width: int
) -> None:
    """By the keyboard; each version brings what followed it, which exports and the next question go by."""
    tab.set_viewport_size({"width": width, "height": 844})
    tab.goto(url)
    for count, question in enumerate((FIRST, SECOND), 1):
        ask(tab, question)
        expect(marks(tab)).to_have_count(count)
    changed = "How much does a single room cost?"
    tab.get_by_role("button", name="Edit the question").first.click()
    expect(tab.get_by_text("Your edited question becomes a new version")).to_be_visible()
    box = tab.get_by_placeholder("Ask a question")
    expect(box).to_have_value(FIRST)
    ask(tab, changed)
    versions = tab.get_by_role("group", name="Version 2 of 2")
    expect(versions).to_be_visible()
    expect(questions(tab)).to_contain_text([changed])
    expect(questions(tab)).to_have_count(1)
    again = tab.get_by_role("button", name="Ask again")
    expect(again).to_have_count(1)  # what was drawn before is gone
    again.click()
    expect(tab.get_by_role("group", name="Version 3 of 3")).to_contain_text("3/3")
    back, on = (tab.get_by_role("button", name=f"{which} version") for which in ("Previous", "Next"))
    expect(on).to_have_attribute("aria-disabled", "true")
    for button in (back, on):
        size = button.bounding_box()
        assert size is not None
        assert min(size["width"], size["height"]) >= 44
    assert_accessible(tab)
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    back.focus()
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("group", name="Version 2 of 3")).to_be_visible()
    expect(back).to_be_focused()
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("group", name="Version 1 of 3")).to_be_visible()
    expect(questions(tab)).to_contain_text([FIRST, SECOND])
    assert_accessible(tab)
    ask(tab, changed)  # follows what is shown
    expect(questions(tab)).to_contain_text([FIRST, SECOND, changed])
    expect(marks(tab)).to_have_count(3)
    told = [message["content"] for message in model.requests()[-1]["body"]["messages"] if message["role"] == "user"]
    assert told == [FIRST, SECOND, changed]
    tab.reload()
    expect(questions(tab)).to_contain_text([FIRST, SECOND, changed])
    expect(tab.get_by_role("group", name="Version 1 of 3")).to_be_visible()


def test_a_reload_in_mid_answer_goes_on_with_it(tab: Page, url: str, model: FakeModelServer) -> None:
    tab.goto(url)
    model.configure(gap_ms=150, tokens=60)
    ask(tab, FIRST)
    expect(tab.get_by_text("▌")).to_be_visible()
    tab.reload()
    growing = tab.get_by_text("▌")
    expect(growing).to_be_visible()
    seen = growing.inner_text()
    expect(growing).not_to_have_text(seen)
    expect(marks(tab).first).to_be_visible(timeout=30_000)
    shown = answer(tab)
    tab.reload()
    expect(marks(tab).first).to_be_visible()
    assert answer(tab) == shown
    assert model.counters()["stream"] == 1


def test_a_conversation_is_deleted_in_mid_answer(tab: Page, url: str, model: FakeModelServer, service: Service) -> None:
    tab.goto(url)
    model.configure(gap_ms=300, tokens=60)
    ask(tab, FIRST)
    expect(tab.get_by_text("▌")).to_be_visible()
    tab.get_by_role("button", name="Delete", exact=True).click()
    expect(tab.get_by_text(f"“{FIRST}” is deleted.")).to_be_visible()
    expect(tab.get_by_text("None yet.")).to_be_visible()
    service.wait_for(lambda: model.counters()["abandoned"] == 1, 10)


def test_an_answer_is_whole_in_the_end_though_the_service_was_killed(
    tab: Page, url: str, model: FakeModelServer, service: Service
) -> None:
    tab.goto(url)
    model.configure(gap_ms=100, tokens=60)
    ask(tab, FIRST)
    expect(tab.get_by_text("▌")).to_be_visible()
    service.process.kill()
    service.process.wait(10)
    expect(tab.get_by_text("Connecting again")).to_be_visible()
    service.start()
    expect(tab.get_by_text("The answer starts again")).to_be_visible(timeout=20_000)
    expect(marks(tab).first).to_be_visible(timeout=30_000)
    expect(questions(tab)).to_have_text([FIRST])
    shown = answer(tab)
    tab.reload()
    expect(marks(tab).first).to_be_visible()
    assert answer(tab) == shown
    assert model.counters()["stream"] == 2


def answer(tab: Page) -> str:
    """What the visitor is shown of the only answer."""
    expect(tab.get_by_role("button", name="Thumbs up")).to_be_visible()  # the last of it
    return tab.get_by_label("Chat message from assistant").inner_text()
