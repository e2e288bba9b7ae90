"""Nothing that a document, a model or a visitor writes makes the reader's browser ask for anything.

The page's Content-Security-Policy is switched off here: the texts alone must be harmless.
"""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.clients.api_stub import ACME_KEY, ROOM, ApiStub, problem, serve_stub
from tests.clients.browser_page import ask, running_page, shelf
from tests.security.canary import Canary, listening_canary, texts
from utils.slices import cut_into_slices

pytestmark = [pytest.mark.browser, pytest.mark.long]
CONVERSATION = "web-" + "c" * 22
# Parts of Streamlit's page that it loads only to draw what an answer must not be able to say, and leaving the page.
DRAWING = re.compile(r"mermaid|katex|remark-emoji|rehype-raw|/auth/", re.I)
# What an answer may be made of, as the browser has it.
TEXT = "div span p h1 h2 h3 h4 h5 h6 ul ol li blockquote pre code table thead tbody tr th td hr br em strong del a"
SIGNS = "button svg path g line polyline rect circle"  # Streamlit's own, to copy code and to link headings


@pytest.fixture(scope="module")
def api() -> Iterator[ApiStub]:
    with serve_stub() as stub:
        yield stub


@pytest.fixture(scope="module")
def url(api: ApiStub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_page(tmp_path_factory.mktemp("data"), api.url) as address:
        yield address


@pytest.fixture
def canary() -> Iterator[Canary]:
    with listening_canary() as running:
        yield running


@pytest.fixture
def asked(tab: Page) -> list[str]:
    """The address of every request of the tab, whatever became of it."""
    seen: list[str] = []
    tab.on("request", lambda request: seen.append(request.url))
    return seen


@pytest.fixture
def tab(chromium: Browser) -> Iterator[Page]:
    with chromium.new_context(bypass_csp=True) as context:
        yield context.new_page()


def wait_until_drawn(tab: Page, last: str) -> None:
    """Until *last* is on the page, and nothing is being loaded any more."""
    expect(tab.get_by_text(last).last).to_be_visible()
    expect(tab.get_by_test_id("stSkeleton")).to_have_count(0)
    tab.wait_for_load_state("networkidle")


def assert_nothing_was_asked_elsewhere(asked: list[str], url: str, canary: Canary) -> None:
    assert canary.heard == []
    assert [address for address in asked if not address.startswith((url, "data:", "blob:"))] == []


def assert_only_text_is_drawn(answers: Locator, count: int) -> None:
    assert answers.count() == count
    drawn = answers.locator(".stMarkdown *").evaluate_all("all => all.map(each => each.tagName.toLowerCase())")
    assert set(drawn) - {*TEXT.split(), *SIGNS.split()} == set()
    icons = answers.locator('.stMarkdown [role="img"], .stMarkdown [class*="stMarkdownColored"], .stMarkdown .katex')
    assert icons.count() == 0
    links = answers.locator(".stMarkdown a").evaluate_all("all => all.map(one => one.getAttribute('href'))")
    assert [link for link in links if not re.match(r"https?://|mailto:|#", link)] == []
    assert any(link.startswith("#source-") for link in links)  # ours


def test_the_canary_hears_what_a_page_asks_of_it(tab: Page, url: str, canary: Canary, asked: list[str]) -> None:
    tab.goto(url)
    tab.evaluate("url => new Promise(done => Object.assign(new Image(), {src: url, onerror: done}))", canary.url)
    assert canary.heard == ["/"]
    assert f"{canary.url}/" in asked


def test_no_answer_causes_a_request_or_draws_anything_but_text(
    tab: Page, url: str, api: ApiStub, canary: Canary, asked: list[str]
) -> None:
    hostile = [f"{text}\n\nend of {name}" for name, text in texts(canary).items()]
    for few in cut_into_slices(hostile, 20):  # the page draws the last twenty turns of a conversation
        said = api.conversations[ACME_KEY, CONVERSATION] = []
        for text in few:
            said.append({"role": "user", "content": text})
            said.append({"role": "assistant", "content": text, "citations": [ROOM]})
        said[-1]["content"] += "\n\nthe last answer [1]"
        tab.goto(f"{url}/?c={CONVERSATION}")
        wait_until_drawn(tab, "the last answer")
        assert_nothing_was_asked_elsewhere(asked, url, canary)
        assert [address for address in asked if DRAWING.search(address)] == []
        assert_only_text_is_drawn(tab.get_by_label("Chat message from assistant"), len(few))


def test_no_other_text_of_an_answer_causes_a_request(
    tab: Page, url: str, api: ApiStub, canary: Canary, asked: list[str]
) -> None:
    """Titles, headings, quotes, reasons, names of files, errors, and what stands in the list of conversations."""
    everything = "\n\n".join(texts(canary).values())
    telling = {name: everything for name in ("title", "source", "quote", "heading")}
    api.behaviour.citations = [ROOM | telling]
    sentence = {"start": 0, "end": 10, "status": "unsupported", "reason": everything}
    api.behaviour.answer, api.behaviour.support = f"{everything} [1]", {"sentences": [sentence]}
    api.behaviour.persistence = "memory"
    tab.goto(url)
    ask(tab, everything[:4000])
    wait_until_drawn(tab, "stored in memory only")
    tab.locator("summary").first.click()
    api.behaviour.rating_problem = problem(400, everything, everything)
    tab.get_by_role("button", name="Thumbs down").click()
    expect(tab.get_by_text("Your rating could not be saved")).to_be_visible()
    api.behaviour.problem = {**problem(400, everything, everything), "request_id": everything}
    ask(tab, everything[:4000])
    expect(tab.get_by_role("alert").first).to_be_visible()
    shelf(tab).first.hover()
    tab.get_by_role("button", name="Delete", exact=True).click()
    expect(tab.get_by_role("dialog")).to_be_visible()
    wait_until_drawn(tab, "Delete for good")
    assert_nothing_was_asked_elsewhere(asked, url, canary)


def test_an_answer_causes_no_request_while_it_comes(
    tab: Page, url: str, api: ApiStub, canary: Canary, asked: list[str]
) -> None:
    """Its first words alone, which may end in the midst of anything."""
    api.reset()
    tab.goto(url)
    for name, text in texts(canary).items():
        if name not in ("fence", "image", "html-image", "colours"):
            continue
        api.behaviour.held, api.behaviour.answer = True, f"{text} [1]"
        api.behaviour.go_on.clear()
        ask(tab, name)
        expect(tab.get_by_text("▌").last).to_be_visible()
        wait_until_drawn(tab, "▌")
        api.behaviour.go_on.set()
        expect(tab.get_by_text("▌")).to_have_count(0)
    assert_nothing_was_asked_elsewhere(asked, url, canary)
