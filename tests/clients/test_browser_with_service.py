"""The chat page in a real browser with the whole service behind it, whose model is ours to slow down."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from config import SAMPLES
from tests.clients.browser_page import ask, marks, questions, running_page
from tests.conftest import FAKE_MODEL
from tests.fakes.model_server import FakeModelServer
from tests.service import Service

pytestmark = pytest.mark.browser
FIRST, SECOND = "How much does a dormitory room cost?", "And with a private bathroom?"


@pytest.fixture(scope="module")
def url(model_server: FakeModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a page that speaks to the service, which knows one document: its vectors take no time."""
    folder = tmp_path_factory.mktemp("page")
    documents = folder / "documents"
    documents.mkdir()
    shutil.copy(SAMPLES / "student-dormitory.md", documents)
    variables = {**FAKE_MODEL, "LLM_BASE_URL": model_server.base_url, "KNOWLEDGE_DIR": str(documents)}
    with (
        Service(folder / "data", RATE_LIMIT_ENABLED="false", **variables) as service,
        running_page(folder, service.url, api_key=service.key) as address,
    ):
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


def test_after_a_stop_the_next_question_is_answered_at_once(tab: Page, url: str, model: FakeModelServer) -> None:
    tab.goto(url)
    model.configure(gap_ms=300)
    ask(tab, FIRST)
    expect(tab.get_by_text("▌")).to_be_visible()
    tab.get_by_test_id("stChatInputStopButton").click()
    expect(tab.get_by_text("Stopped before its end")).to_be_visible()
    model.configure(gap_ms=0)
    ask(tab, SECOND)
    expect(marks(tab).first).to_be_visible()
    expect(questions(tab)).to_have_text([FIRST, SECOND])
    marks(tab).first.click()
    expect(tab.locator("details[open]")).to_contain_text("student-dormitory.md")


def test_a_reload_in_mid_answer_shows_it_when_it_is_whole(tab: Page, url: str, model: FakeModelServer) -> None:
    tab.goto(url)
    model.configure(gap_ms=100)
    ask(tab, FIRST)
    expect(tab.get_by_text("▌")).to_be_visible()
    tab.reload()
    expect(tab.get_by_text("Still writing")).to_be_visible()
    expect(marks(tab).first).to_be_visible(timeout=30_000)
    expect(tab.get_by_role("button", name="Answer again")).to_have_count(0)
    assert model.counters()["stream"] == 1
