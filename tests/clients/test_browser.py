"""The chat page in a real browser: what a visitor does and sees."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from pypdfium2 import PdfDocument

from clients.streamlit_chat.messages import ICON
from clients.streamlit_chat.texts import LANGUAGE_COOKIE, read_texts
from datasources.charts.choosing import choose_chart
from datasources.charts.grammar import Chart
from datasources.charts.spec import make_spec
from datasources.results import Result
from tests.clients.accessibility import assert_accessible
from tests.clients.api_stub import ACME_KEY, QUOTE, ROOM, ApiStub, problem, serve_stub
from tests.clients.browser_page import (
    QUESTION,
    ask,
    expect_answers,
    marks,
    questions,
    running_page,
    shelf,
    stop,
    watched_browser,
)
from tests.clients.screenshots import wait_until_still
from tests.clients.shared_stub import api, shared_api
from tests.service import free_port

__all__ = ["api", "shared_api"]

pytestmark = [pytest.mark.browser, pytest.mark.long]
PART = "A single room costs"
AWAY = "The service is away"
QUOTES = [f"Quote {number}." for number in range(1, 5)]
_KEEP_SOCKETS = """
window.sockets = []
WebSocket = class extends WebSocket { constructor(...asked) { super(...asked); sockets.push(this) } }
"""


@pytest.fixture(scope="module")
def url(shared_api: ApiStub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the running page."""
    with running_page(tmp_path_factory.mktemp("data"), shared_api.url, logo=str(ICON)) as address:
        yield address


@pytest.fixture
def visitor(chromium: Browser) -> Iterator[BrowserContext]:
    """A new visitor's browser; what it asks of other machines, and what goes wrong in its scripts, fails the test."""
    with watched_browser(chromium, ACME_KEY) as context:
        yield context


@pytest.fixture
def tab(visitor: BrowserContext) -> Page:
    """The visitor's tab."""
    return visitor.new_page()


@pytest.mark.smoke
def test_a_mark_opens_its_source_with_the_mouse_and_with_the_keyboard(tab: Page, url: str, api: ApiStub) -> None:
    tab.goto(url)
    expect(tab.get_by_role("heading", name="Arsip")).to_be_visible()
    about = "The documents are those of Acme <b>University</b>, among them: Student dormitory · Tuition, fees & payment"
    expect(tab.get_by_text(about)).to_be_visible()
    expect(tab.get_by_text("Languages of the documents: Indonesian, English")).to_be_visible()
    expect(tab.get_by_text("Ask what you would like to know.")).to_be_visible()
    expect(tab.get_by_text("every sentence has a number such as [1]. Click it to read the source.")).to_be_visible()
    expect(tab.get_by_text("Your conversations are listed in the sidebar, for you alone.")).to_have_count(1)
    expect(tab.get_by_test_id("stSidebarLogo")).to_be_visible()
    ask(tab)
    for _ in ("at once", "after a reload"):
        expect_answers(tab)
        expect(tab.get_by_text(QUOTE).first).to_be_visible()
        expect(tab.get_by_text("samples/student-dormitory.md")).to_be_hidden()
        marks(tab).click()
        expect(tab.get_by_text("samples/student-dormitory.md")).to_be_visible()
        expect(tab.locator("summary:focus")).to_contain_text("[1] Student dormitory › Rooms and rent")
        marks(tab, 2).focus()
        tab.keyboard.press("Enter")
        expect(tab.locator("summary:focus")).to_contain_text("[2] Tuition, fees & payment › Deadlines, page 3")
        link = tab.get_by_role("link", name="Open the document")
        expect(link).to_have_attribute("href", "https://example.org/fees.pdf")
        marks(tab).click()  # an open one stays open
        expect(tab.get_by_text("samples/student-dormitory.md")).to_be_visible()
        tab.reload()


def test_a_mark_opens_a_source_among_those_that_are_not_shown_at_first(tab: Page, url: str, api: ApiStub) -> None:
    api.behaviour.answer = "All of it. [1] [2] [3] [4]"
    api.behaviour.citations = [ROOM | {"number": number, "source": f"of {number}"} for number in range(1, 5)]
    tab.goto(url)
    ask(tab)
    expect_answers(tab)
    expect(tab.get_by_text("More passages (1)")).to_be_visible()
    expect(tab.get_by_text("[4] Student dormitory")).to_be_hidden()
    marks(tab, 4).click()
    expect(tab.get_by_text("of 4", exact=True)).to_be_in_viewport()
    expect(tab.locator("summary:focus")).to_contain_text("[4] Student dormitory")


def test_a_source_that_is_drawn_anew_just_after_it_was_opened_is_opened_again(
    tab: Page, url: str, api: ApiStub
) -> None:
    tab.goto(url)
    ask(tab)
    expect_answers(tab)
    marks(tab).click()
    # As Streamlit does it where it is slow: another element, closed.
    tab.locator("details[open]").evaluate(
        "each => { const anew = each.cloneNode(true); anew.open = false; each.replaceWith(anew); }"
    )
    expect(tab.locator("details[open]")).to_have_count(1)
    expect(tab.locator("summary:focus")).to_have_count(1)


def test_a_button_is_pressed_in_the_moment_in_which_an_answer_ends(tab: Page, url: str, api: ApiStub) -> None:
    """It is there before the page has been drawn to its end, and works on the answer as it is from then on."""
    api.behaviour.citations = [ROOM | {"document_id": "a document of a moment"}]
    api.behaviour.follow_ups_held, api.behaviour.parent = True, "start"
    tab.goto(url)
    ask(tab)
    tab.get_by_role("button", name="Ask again").click()
    expect(tab.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "running")
    api.behaviour.go_on.set()
    expect_answers(tab, 2)
    assert api.parents == [None, "start"]  # beside the first one
    assert api.followed == []


def test_each_answers_marks_open_its_own_sources_which_stay_open(tab: Page, url: str, api: ApiStub) -> None:
    tab.goto(url)
    ask(tab)
    expect_answers(tab)
    marks(tab).click()
    expect(tab.locator("details[open]")).to_have_count(1)
    ask(tab, "And when is it due?")
    expect_answers(tab, 2)
    expect(tab.locator("details").first).to_have_attribute("open", "")
    marks(tab).last.click()
    expect(tab.locator("details[open]")).to_have_count(2)
    expect(tab.locator("details").nth(2)).to_have_attribute("open", "")


def test_a_chart_is_drawn_within_what_the_page_may_load_and_its_figures_can_be_saved(
    tab: Page, url: str, api: ApiStub
) -> None:
    result = Result("", ("status", "machines"), (("Active", 42), ("Stopped", 6)), False)
    drawn = make_spec(choose_chart(result, title="Machines for each status"), result)
    call = {"call_id": "c1", "name": "draw_chart", "status": "done", "duration_ms": 1}
    api.behaviour.tool_calls = [{**call, "chart": {"alt": drawn.alt, "spec": drawn.spec}}]
    tab.add_init_script("delete window.showSaveFilePicker")  # a window of the system, where there is none
    tab.goto(url)
    ask(tab)
    for _ in ("at once", "after a reload"):
        chart = tab.get_by_label("Bar chart: machines / status. Active: 42; Stopped: 6.")
        expect(chart).to_be_visible()
        expect(chart.locator("canvas, svg").first).to_be_visible()
        tab.get_by_text("Figures", exact=True).click()
        tab.get_by_test_id("stDataFrame").hover()
        with tab.expect_download() as saved:
            # It shows above the table while the mouse is there, and may lie below the box for questions.
            tab.get_by_role("button", name="Download as CSV").dispatch_event("click")
        assert Path(saved.value.path()).read_text("utf-8-sig").split() == ["status,machines", "Active,42", "Stopped,6"]
        tab.reload()


def test_names_of_javascripts_own_leave_the_page_as_it_is(tab: Page, url: str, api: ApiStub) -> None:
    names = ("__proto__", "constructor", "toString", "valueOf", "hasOwnProperty")
    rows = [(place, kind, number + 1) for number, place in enumerate(names) for kind in names]
    result = Result("", ("__proto__", "constructor", "valueOf"), tuple(rows), False)
    chosen = {"x": "__proto__", "y": "valueOf", "colour": "constructor", "title": "__proto__"}
    charts = [Chart(mark=mark, **chosen) for mark in ("area", "bar", "line", "point")]
    charts += [Chart(mark="rect", **chosen | {"y": "constructor", "colour": "valueOf"})]
    charts += [Chart(mark="bar", **chosen, aggregate="sum"), Chart(mark="bar", **chosen | {"colour": None})]
    call = {"call_id": "c1", "name": "draw_chart", "status": "done", "duration_ms": 1}
    drawn = [make_spec(chart, result) for chart in charts]
    api.behaviour.tool_calls = [{**call, "chart": {"alt": each.alt, "spec": each.spec}} for each in drawn]
    tab.goto(url)
    ask(tab)
    pictures = tab.get_by_test_id("stVegaLiteChart").locator("canvas, svg")
    expect(pictures).to_have_count(len(charts))
    expect(tab.get_by_test_id("stAlert")).to_have_count(0)
    tab.get_by_text("Figures", exact=True).first.click()
    expect(tab.get_by_test_id("stDataFrame").first).to_be_visible()
    expect_answers(tab)
    expect(questions(tab)).to_have_text([QUESTION])


def test_an_answer_is_read_while_it_comes_and_stays_when_stopped(tab: Page, url: str, api: ApiStub) -> None:
    api.behaviour.held = True
    tab.goto(url)
    ask(tab)
    expect(tab.get_by_text(f"{PART} ▌")).to_be_visible()
    stop(tab)
    expect(tab.get_by_text("Stopped before it was complete")).to_be_visible()
    expect(tab.get_by_text(PART, exact=True)).to_be_visible()
    assert api.runs["run-1"].cancelled.wait(10)
    api.behaviour.held = False
    ask(tab, "And when is it due?")
    expect_answers(tab)
    expect(tab.get_by_text("Stopped before it was complete")).to_be_visible()
    api.behaviour.held = True
    ask(tab, "Again?")
    expect(tab.get_by_text(f"{PART} ▌")).to_be_visible()
    stop(tab)
    again = tab.get_by_role("button", name="Answer again")
    expect(again).to_be_visible()
    api.behaviour.held = False
    again.click()
    expect_answers(tab, 2)
    expect(questions(tab)).to_have_text([QUESTION, "And when is it due?", "Again?"])
    assert [question for _, _, question in api.asked] == [QUESTION, "And when is it due?", "Again?", "Again?"]


def test_a_reload_and_a_second_tab_go_on_with_the_answer(
    visitor: BrowserContext, tab: Page, url: str, api: ApiStub
) -> None:
    api.behaviour.held = True
    tab.goto(url)
    ask(tab)
    expect(tab.get_by_text(f"{PART} ▌")).to_be_visible()
    tab.reload()
    expect(tab.get_by_text(f"{PART} ▌")).to_be_visible()
    second = visitor.new_page()
    second.goto(tab.url)
    expect(second.get_by_text(f"{PART} ▌")).to_be_visible()
    api.behaviour.go_on.set()
    for each in (tab, second):
        expect_answers(each)
        expect(questions(each)).to_have_text([QUESTION])
        expect(each.get_by_test_id("stChatMessage")).to_have_count(2)
    assert len(api.asked) == 1


def test_a_stop_in_one_tab_ends_the_answer_in_all(visitor: BrowserContext, tab: Page, url: str, api: ApiStub) -> None:
    api.behaviour.held = True
    tab.goto(url)
    ask(tab)
    expect(tab.get_by_text(f"{PART} ▌")).to_be_visible()
    second = visitor.new_page()
    second.goto(tab.url)
    for _ in range(30):  # more than the window holds
        api.runs["run-1"].tell("token", content="\n\nmore")
    expect(second.get_by_text("more").last).to_be_in_viewport()
    second.reload()
    expect(second.get_by_text("more").last).to_be_in_viewport()
    api.runs["run-1"].tell("token", content="\n\nand the end")
    expect(second.get_by_text("and the end ▌")).to_be_in_viewport(ratio=1)
    expect(second.get_by_role("button", name="Stop")).to_be_in_viewport(ratio=1)
    expect(second.get_by_placeholder("Ask a question")).to_be_focused()
    second.keyboard.press("Escape")
    for each in (tab, second):
        expect(each.get_by_text("Stopped before it was complete")).to_be_visible()
        expect(each.get_by_text(PART, exact=True)).to_be_visible()
    assert api.runs["run-1"].status == "cancelled"


def test_an_answer_goes_on_in_a_tab_whose_own_connection_broke(tab: Page, url: str, api: ApiStub) -> None:
    """As on a phone that slept."""
    tab.add_init_script(_KEEP_SOCKETS)
    api.behaviour.held = True
    tab.goto(url)
    ask(tab)
    expect(tab.get_by_text(f"{PART} ▌")).to_be_visible()
    told = tab.get_by_role("status").get_by_text("The connection is lost.")
    tab.context.set_offline(True)  # which closes no socket
    expect(told).to_be_visible()
    tab.context.set_offline(False)
    expect(told).to_be_hidden()
    tab.route("**/_stcore/health", lambda route: route.abort())  # the network beyond the browser's own
    expect(told).to_be_visible()
    tab.unroute("**/_stcore/health")
    expect(told).to_be_hidden()
    tab.evaluate("sockets.at(-1).close()")
    assert api.left.wait(10)
    api.behaviour.go_on.set()
    expect_answers(tab)
    expect(questions(tab)).to_have_text([QUESTION])
    assert api.followed == [8]
    assert len(api.asked) == 1


def test_a_lost_connection_and_an_answer_that_begins_anew_are_told(tab: Page, url: str, api: ApiStub) -> None:
    api.behaviour.held = api.behaviour.taken_over = True
    tab.goto(url)
    ask(tab)
    expect(tab.get_by_text(f"{PART} ▌")).to_be_visible()
    api.behaviour.cuts, api.behaviour.following_problem = 1, problem(503, "Not ready", "It is being restarted.")
    expect(tab.get_by_text("Connecting again")).to_be_visible()
    expect(tab.get_by_text(f"{PART} ▌")).to_be_visible()
    api.behaviour.following_problem = None
    api.behaviour.go_on.set()
    expect(tab.get_by_text("The answer starts again")).to_be_visible()
    expect(tab.get_by_text("Connecting again")).to_have_count(0)
    expect(tab.get_by_text(f"{PART} ▌")).to_be_visible()
    api.behaviour.go_on_anew.set()
    expect_answers(tab)
    expect(tab.get_by_test_id("stChatMessage")).to_have_count(2)
    expect(tab.get_by_text("starts again")).to_have_count(0)


def test_other_things_can_be_done_while_an_answer_comes(tab: Page, url: str, api: ApiStub) -> None:
    tab.goto(url)
    ask(tab, "first")
    expect_answers(tab)
    api.behaviour.held = True
    ask(tab)
    expect(tab.get_by_text(f"{PART} ▌")).to_be_visible()
    tab.get_by_role("button", name="Delete", exact=True).click()
    dialog = tab.get_by_role("dialog")
    expect(dialog).to_contain_text("first")
    expect(tab.get_by_text(f"{PART} …")).to_be_visible()
    dialog.get_by_role("button", name="Keep it").click()
    expect(tab.get_by_text(f"{PART} ▌")).to_be_visible()
    tab.get_by_role("button", name="New chat").click()
    expect(questions(tab)).to_have_count(0)
    api.behaviour.go_on.set()
    shelf(tab).click()
    expect_answers(tab, 2)
    assert len(api.asked) == 2


@pytest.mark.parametrize("is_reloaded", [False, True])
def test_a_question_asked_while_an_answer_comes_waits_in_sight(
    tab: Page, url: str, api: ApiStub, *, is_reloaded: bool
) -> None:
    api.behaviour.held = True
    tab.goto(url)
    ask(tab)
    expect(tab.get_by_text(f"{PART} ▌")).to_be_visible()
    if is_reloaded:
        tab.reload()
        expect(tab.get_by_text(f"{PART} ▌")).to_be_visible()
    ask(tab, "And when is it due?")
    expect(questions(tab)).to_have_text([QUESTION, "And when is it due?"])
    expect(tab.get_by_text(f"{PART} ▌")).to_be_visible()
    ask(tab, "And laundry?")
    expect(tab.get_by_role("status").get_by_text("Your last question is still waiting.")).to_be_visible()
    expect(tab.get_by_placeholder("Ask a question")).to_have_value("And laundry?")
    api.behaviour.go_on.set()
    expect_answers(tab, 2)
    expect(questions(tab)).to_have_text([QUESTION, "And when is it due?"])
    tab.get_by_placeholder("Ask a question").press("Enter")
    expect_answers(tab, 3)
    assert [question for _, _, question in api.asked] == [QUESTION, "And when is it due?", "And laundry?"]


def test_deleting_in_mid_answer_ends_the_answer(tab: Page, url: str, api: ApiStub) -> None:
    api.behaviour.held = True
    tab.goto(url)
    ask(tab)
    expect(tab.get_by_text(f"{PART} ▌")).to_be_visible()
    tab.get_by_role("button", name="Delete", exact=True).click()
    tab.get_by_role("dialog").get_by_role("button", name="Delete for good").click()
    expect(tab.get_by_text("None yet.")).to_be_visible()
    assert api.conversations == {}
    assert api.runs["run-1"].status == "cancelled"


def test_a_reload_after_an_answer_that_was_lost_offers_it_again(tab: Page, url: str, api: ApiStub) -> None:
    api.behaviour.cuts, api.behaviour.following_problem = 1, problem(404, "Not found", "Run not found or expired.")
    tab.goto(url)
    ask(tab)
    expect(tab.get_by_text("Stopped before it was complete")).to_be_visible()
    tab.get_by_role("button", name="Answer again").click()
    expect_answers(tab)
    assert len(api.asked) == 1  # the service had the answer after all


def test_past_conversations_are_listed_opened_and_kept(
    visitor: BrowserContext, tab: Page, url: str, api: ApiStub
) -> None:
    tab.goto(url)
    expect(tab.get_by_text("None yet.")).to_be_visible()
    ask(tab, "first")
    expect_answers(tab)
    first = tab.url
    tab.get_by_role("button", name="New chat").click()
    expect_answers(tab, 0)
    ask(tab, "second")
    expect_answers(tab)
    expect(shelf(tab)).to_have_text(["second", "first"])
    expect(shelf(tab).first).to_have_attribute("aria-current", "page")
    second = visitor.new_page()
    second.goto(url)
    expect(shelf(second)).to_have_text(["second", "first"])
    shelf(second).last.click()
    expect(second).to_have_url(first)
    expect(questions(second)).to_have_text(["first"])
    ask(second, "more of the first")
    expect_answers(second, 2)
    expect(shelf(second)).to_have_text(["first", "second"])
    expect(shelf(tab)).to_have_text(["first", "second"])  # without a click there
    tab.reload()
    expect(shelf(tab)).to_have_text(["first", "second"])
    expect_answers(tab, 1)
    second.go_back()
    expect(second).to_have_url(url + "/")


def test_the_visitor_chooses_the_language_which_stays_after_a_reload(tab: Page, url: str, api: ApiStub) -> None:
    tab.set_viewport_size({"width": 390, "height": 844})
    tab.goto(url)
    ask(tab)
    expect_answers(tab)
    tab.get_by_placeholder("Ask a question").fill("Half a question")
    choice, texts = tab.get_by_role("combobox", name="Language"), read_texts("id")
    expect(choice.get_by_role("option")).to_have_text(["English", "Español", "Bahasa Indonesia"])
    assert [each.get_attribute("lang") for each in choice.get_by_role("option").all()] == ["en", "es", "id"]
    size = choice.bounding_box()
    assert size is not None
    assert min(size["width"], size["height"]) >= 44
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    choice.select_option("id")
    for _ in ("at once", "after a reload"):
        expect(tab.get_by_placeholder(texts["ask"])).to_have_value("Half a question")
        expect(tab.locator("html")).to_have_attribute("lang", "id")
        expect(tab.get_by_role("combobox", name=texts["language"])).to_have_value("id")
        expect(tab.get_by_text(texts["sources"], exact=True)).to_be_visible()
        expect(tab.get_by_role("navigation", name=texts["conversations"], include_hidden=True)).to_have_count(1)
        assert_accessible(tab)
        tab.reload()
    with httpx.Client(headers={"Cookie": "pustaka_language=es", "Accept-Language": "id"}) as http:
        assert f'<label for="pustaka-shell-box">{read_texts("es")["ask"]}</label>' in http.get(url).text
        assert read_texts("id")["ask"] in http.get(url, headers={"Cookie": "pustaka_language=<b>"}).text


@pytest.mark.parametrize(("locale", "language"), [("es-MX", "es"), ("id-ID", "id"), ("fr-FR", "en")])
def test_the_page_speaks_the_browsers_language(
    chromium: Browser, url: str, api: ApiStub, locale: str, language: str
) -> None:
    texts, others = read_texts(language), read_texts("es" if language == "en" else "en")
    with chromium.new_context(locale=locale) as context:
        tab = context.new_page()
        tab.goto(url)
        expect(tab.get_by_text(texts["history_on"])).to_be_visible()
        expect(tab.get_by_text(texts["conversations_none"])).to_be_visible()
        expect(tab.locator("html")).to_have_attribute("lang", language)
        tab.get_by_placeholder(texts["ask"]).fill("1")
        tab.keyboard.press("Enter")
        expect_answers(tab)
        expect(tab.get_by_text(texts["sources"], exact=True)).to_be_visible()
        expect(tab.get_by_role("link", name=texts["skip"], exact=True)).to_have_count(1)
        for name in ("thumbs_up", "thumbs_down", "shell_send"):
            expect(tab.get_by_role("button", name=texts[name], exact=True)).to_have_count(1)
        read = tab.locator("body").inner_text().splitlines()
        assert [text for name, text in others.items() if text != texts[name] and text in read] == []


def test_the_box_is_ready_keeps_a_draft_and_brings_the_last_question_back(tab: Page, url: str, api: ApiStub) -> None:
    tab.goto(url)
    box = tab.get_by_placeholder("Ask a question")
    expect(box).to_be_focused()
    tab.keyboard.type("What does a ro")
    tab.reload()
    expect(box).to_have_value("What does a ro")
    api.behaviour.held = True
    ask(tab)
    expect(tab.get_by_text(f"{PART} ▌")).to_be_visible()
    tab.keyboard.press("Escape")
    expect(tab.get_by_text("Stopped before it was complete")).to_be_visible()
    tab.reload()
    expect(tab.get_by_text("Answer again")).to_be_visible()
    expect(box).to_be_focused()
    expect(box).to_have_value("")
    tab.keyboard.press("ArrowUp")
    expect(box).to_have_value(QUESTION)
    tab.goto(url)
    expect(tab.get_by_text("Try asking")).to_be_visible()
    expect(box).to_have_value("")
    box.fill("of a new one")
    shelf(tab).click()
    expect(box).to_have_value(QUESTION)
    box.fill("of this one")
    tab.get_by_role("button", name="New chat").click()
    for _ in ("at once", "after a reload"):
        expect(box).to_have_value("of a new one")
        tab.reload()
    shelf(tab).click()
    expect(box).to_have_value("of this one")
    api.behaviour.held = False
    ask(tab, "And when?")
    expect_answers(tab)
    for question in ("And when?", QUESTION, QUESTION):  # there is none before
        tab.keyboard.press("ArrowUp")
        expect(box).to_have_value(question)


def test_an_answer_is_copied_asked_for_again_and_its_question_changed(
    visitor: BrowserContext, tab: Page, url: str, api: ApiStub
) -> None:
    visitor.grant_permissions(["clipboard-read", "clipboard-write"])
    tab.goto(url)
    tab.get_by_role("button", name="What does “Student dormitory” say about “House rules”?").click()
    expect_answers(tab)
    expect(tab.get_by_text("More in Student dormitory")).to_be_visible()
    tab.get_by_role("button", name="Copy with sources").click()
    expect(tab.get_by_text("Copied")).to_be_visible()
    copied = tab.evaluate("navigator.clipboard.readText()")
    assert copied.startswith(QUOTE)
    assert copied.endswith("[2] Tuition, fees & payment › Deadlines, page 3 – https://example.org/fees.pdf")
    tab.get_by_role("button", name="Ask again").click()
    expect_answers(tab, 2)
    tab.get_by_role("button", name="Laundry", exact=True).click()
    expect_answers(tab, 3)
    asked = [question for _, _, question in api.asked]
    assert asked[0] == asked[1] == "What does “Student dormitory” say about “House rules”?"
    assert asked[2] == "What does “Student dormitory” say about “Laundry”?"
    edit = tab.get_by_role("button", name="Edit the question")
    expect(edit).to_have_count(3)  # they are drawn after the answers
    box = tab.get_by_placeholder("Ask a question")
    box.evaluate("box => { box.disabled = true }")  # as for moments while the page is being drawn
    edit.last.click()
    box.evaluate("box => { box.disabled = false }")
    expect(box).to_have_value(asked[2])
    expect(box).to_be_focused()


def test_a_conversation_is_exported_whole_in_the_language_of_the_page(tab: Page, url: str, api: ApiStub) -> None:
    tab.context.add_cookies([{"name": LANGUAGE_COOKIE, "value": "es", "url": url}])
    tab.goto(url)
    texts = read_texts("es")
    box = tab.get_by_placeholder(texts["ask"])
    box.fill(QUESTION)
    box.press("Enter")
    expect_answers(tab)
    [place] = api.conversations
    first, answer = api.conversations[place]
    for number in range(30):  # more than a page shows at once
        api.conversations[place] += [{**first, "content": f"Question {number}?"}, {**answer, "run_id": f"old-{number}"}]
    for kind in ("Markdown", "JSON"):
        tab.get_by_role("button", name=texts["export"]).click()
        with tab.expect_download() as saved:
            tab.get_by_role("button", name=kind, exact=True).click()
        text = Path(saved.value.path()).read_text("utf-8")
        assert [text.count(f"Question {number}?") for number in range(30)] == [1] * 30
        assert text.startswith("# Arsip" if kind == "Markdown" else "{")
        assert (f"\n\n{texts['sources']}:\n\n- [1] " in text) == (kind == "Markdown")
        expect(tab.get_by_role("button", name=texts["print"])).to_be_visible()
        tab.keyboard.press("Escape")
    assert len(json.loads(text)["messages"]) == 62
    assert "link" not in json.loads(text)["messages"][1]["citations"][0]
    tab.get_by_role("button", name=texts["new_chat"]).click()
    expect(tab.get_by_text(texts["try_asking"])).to_be_visible()
    tab.get_by_role("navigation", name=texts["conversations"]).get_by_role("link").click()
    expect(questions(tab).last).to_have_text("Question 29?")
    wait_until_still(tab)
    expect(questions(tab).last).to_be_in_viewport()
    expect(tab.get_by_role("button", name=texts["new_chat"])).to_be_in_viewport()


def test_a_conversation_is_printed_with_its_quotes_and_nothing_to_click(tab: Page, url: str, api: ApiStub) -> None:
    api.behaviour.answer = "All of it. [1] [2] [3] [4]"
    api.behaviour.citations = [ROOM | {"number": at, "quote": quote} for at, quote in enumerate(QUOTES, 1)]
    tab.goto(url)
    ask(tab)
    expect_answers(tab)
    tab.get_by_role("button", name="Export").click()
    tab.evaluate("print = () => { window.isPrinting = true }")  # a window of the system, where there is none
    tab.get_by_role("button", name="PDF (print)").click()
    assert tab.evaluate("isPrinting")
    with PdfDocument(tab.pdf()) as printed:
        text = "".join(page.get_textpage().get_text_range() for page in printed)
    assert [word for word in ("Arsip", QUESTION, "All of it.", *QUOTES) if word not in text] == []
    assert [word for word in ("PDF", "Export", "Open the document", "keyboard_arrow") if word in text] == []
    expect(tab.locator("details[open]")).to_have_count(0)
    tab.emulate_media(media="print")
    expect(tab.locator(":is(button, label, textarea):visible")).to_have_count(0)


def test_two_visitors_do_not_see_each_others_conversations(
    chromium: Browser, tab: Page, url: str, api: ApiStub
) -> None:
    tab.goto(url)
    ask(tab, "of mine")
    expect(shelf(tab)).to_have_text(["of mine"])
    other = chromium.new_context()
    try:
        theirs = other.new_page()
        theirs.goto(url)
        expect(theirs.get_by_text("None yet.")).to_be_visible()
        ask(theirs, "of theirs")
        expect(shelf(theirs)).to_have_text(["of theirs"])
        tab.reload()
        expect(shelf(tab)).to_have_text(["of mine"])
    finally:
        other.close()


def test_a_conversation_is_deleted_after_asking(visitor: BrowserContext, tab: Page, url: str, api: ApiStub) -> None:
    tab.goto(url)
    ask(tab, "first")
    expect_answers(tab)
    second = visitor.new_page()
    second.goto(tab.url)
    expect_answers(second)
    delete = tab.get_by_role("button", name="Delete “first”")
    delete.click()
    dialog = tab.get_by_role("dialog")
    expect(dialog).to_contain_text("first is deleted with all its answers and cannot be brought back.")
    dialog.get_by_role("button", name="Keep it").click()
    expect(dialog).to_have_count(0)
    assert api.conversations
    delete.click()
    api.behaviour.deleting_problem = problem(409, "Something else is in the way", "It is being answered.")
    dialog.get_by_role("button", name="Delete for good").click()
    expect(dialog).to_contain_text("An earlier question is still being answered.")
    api.behaviour.deleting_problem = None
    dialog.get_by_role("button", name="Delete for good").click()
    expect(tab.get_by_text("None yet.")).to_be_visible()
    expect(tab).to_have_url(url + "/")
    assert not api.conversations
    expect(second.get_by_text("None yet.")).to_be_visible()
    second.reload()
    expect(second.get_by_text("expired or does not exist")).to_be_visible()
    expect(second.get_by_text("None yet.")).to_be_visible()
    expect(second.get_by_role("button", name="Delete")).to_have_count(0)


def test_an_expired_conversation_leaves_the_list_with_a_word(tab: Page, url: str, api: ApiStub) -> None:
    tab.goto(url)
    ask(tab, "first")
    expect_answers(tab)
    tab.get_by_role("button", name="New chat").click()
    expect_answers(tab, 0)
    api.conversations.clear()
    shelf(tab).click()
    expect(tab.get_by_text("expired or does not exist")).to_be_visible()
    expect(shelf(tab)).to_have_count(0)
    ask(tab, "second")
    expect_answers(tab)
    expect(shelf(tab)).to_have_text(["second"])


def test_the_page_works_where_the_browser_stores_nothing(tab: Page, url: str, api: ApiStub) -> None:
    tab.add_init_script(
        "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('no', 'SecurityError') }})"
    )
    tab.goto(url)
    expect(tab.get_by_text("This browser keeps no list")).to_be_visible()
    ask(tab)
    expect_answers(tab)
    tab.reload()
    expect_answers(tab)


def test_nonsense_in_the_browsers_storage_is_passed_over(tab: Page, url: str, api: ApiStub) -> None:
    kept = json.dumps([{"id": "../x", "title": "x"}, 1, None])
    tab.add_init_script(f"localStorage.setItem('pustaka.conversations/', {json.dumps(kept)})")
    tab.goto(url)
    expect(tab.get_by_text("None yet.")).to_be_visible()


def test_the_list_holds_fifty_and_shows_what_was_asked_as_it_is(tab: Page, url: str, api: ApiStub) -> None:
    entries = [{"id": f"web-{number:022d}", "title": "old", "turns": 1, "used": number} for number in range(50)]
    tab.add_init_script(
        f"localStorage.getItem('pustaka.conversations/') ?? "
        f"localStorage.setItem('pustaka.conversations/', {json.dumps(json.dumps(entries))})"
    )
    tab.goto(url)
    expect(shelf(tab)).to_have_count(50)
    ask(tab, "<img src=x onerror=alert(1)> *bold* " + "long " * 30)
    expect(shelf(tab).first).to_have_text(re.compile(r"^<img src=x onerror=alert\(1\)> \*bold\* long .*…$"))
    expect(shelf(tab)).to_have_count(50)


def test_a_question_waits_for_a_service_that_is_away(visitor: BrowserContext, tmp_path: Path) -> None:
    """At load, when asking, in mid-answer, and at load again."""
    port = free_port()
    tab = visitor.new_page()
    with running_page(tmp_path, f"http://127.0.0.1:{port}") as url:
        tab.goto(url)
        expect(tab.get_by_text(AWAY)).to_be_visible()
        ask(tab)
        expect(tab.get_by_text(QUESTION)).to_be_visible()
        expect(tab.get_by_text(AWAY)).to_be_visible()
        tab.get_by_placeholder("Ask a question").fill("half typed")
        with serve_stub(port) as api:
            expect_answers(tab)
            expect(tab.get_by_text(AWAY)).to_have_count(0)
            expect(tab.get_by_placeholder("Ask a question")).to_have_value("half typed")
            api.behaviour.held = True
            ask(tab, "And when?")
            expect(tab.get_by_text(f"{PART} ▌")).to_be_visible()
            api.behaviour.cuts = 1
            kept = {place: list(said) for place, said in api.conversations.items()}
        expect(tab.get_by_text(AWAY)).to_be_visible(timeout=20_000)  # it has tried for some seconds
        expect(tab.get_by_text(f"{PART} …")).to_be_visible()
        tab.reload()
        expect(tab.get_by_text(AWAY)).to_be_visible()
        with serve_stub(port) as api:
            api.conversations.update(kept)
            tab.get_by_role("button", name="Answer again").click()
            expect_answers(tab, 2)
    assert all(ACME_KEY not in log.read_text() for log in tmp_path.glob("*.log"))


def test_a_small_screen_shows_everything_without_scrolling_sideways(tab: Page, url: str, api: ApiStub) -> None:
    api.behaviour.answer = (
        f"{'x' * 300} [1]\n\n| {' | '.join(['wide'] * 30)} |\n|{'---|' * 30}\n\n```\n{'y' * 300}\n```\n"
    )
    tab.set_viewport_size({"width": 360, "height": 640})
    tab.goto(url)
    expect(tab.get_by_text("Languages of the documents")).to_be_visible()
    expect(tab.locator("#pustaka-shell")).to_have_count(0)
    tab.locator(".stMain").evaluate("main => main.scrollTop = main.scrollHeight")  # as Streamlit does
    expect(tab.get_by_role("heading", name="Arsip")).to_be_in_viewport()
    ask(tab, "w" * 300)
    expect_answers(tab)
    for area in ("html", ".stMain"):
        assert tab.locator(area).evaluate("area => area.scrollWidth <= area.clientWidth")
    small = tab.locator(".stMain :is(button, summary):not([kind=elementToolbar])").evaluate_all(
        "all => all.filter(one => (box => box.height && (box.height < 44 || box.width < 44))"
        "(one.getBoundingClientRect())).map(one => one.outerHTML.slice(0, 300))"
    )
    assert small == []
    marks(tab).click()
    expect(tab.get_by_text("samples/student-dormitory.md")).to_be_in_viewport()
    tab.get_by_role("heading", name="Arsip").scroll_into_view_if_needed()
    ask(tab, "And then?")
    expect(questions(tab).last).to_have_text("And then?")
    expect(questions(tab).first).not_to_be_in_viewport()
    expect_answers(tab, 2)
    tab.set_viewport_size({"width": 640, "height": 400})  # as 1280 x 800 enlarged to twice its size
    api.behaviour.answer = f"The start. [1]{' [2] more' * 100}"
    ask(tab, "And at last?")
    start = tab.get_by_text("The start.")
    expect(tab.get_by_text("More in Student dormitory")).to_have_count(1)
    wait_until_still(tab)
    expect(start).to_be_in_viewport(ratio=1)
    tab.get_by_test_id("stExpandSidebarButton").click()
    shelf(tab).click()  # leads to where the visitor is, and out of the way
    expect(tab.get_by_test_id("stSidebar")).to_have_attribute("data-collapsed", "true")


def test_an_image_in_an_answer_is_not_fetched(tab: Page, url: str, api: ApiStub) -> None:
    """The visitor's fixture sees every request."""
    api.behaviour.answer = "Look: ![x](http://192.0.2.1/?q=secret) [1]"
    tab.goto(url)
    ask(tab)
    expect_answers(tab)
    expect(tab.get_by_text("Look:")).to_be_visible()


def test_the_scripts_come_packed_to_who_takes_them_so(url: str) -> None:
    with httpx.Client(base_url=url) as http:
        addresses = re.findall(r'(?:src|href)="\./(static/[^"]+\.(?:js|css))"', http.get("/").text)
        assert {address.rpartition(".")[2] for address in addresses} == {"js", "css"}
        for address in addresses:
            plain = http.get(address, headers={"Accept-Encoding": "gzip;q=0, identity"})
            packed, again = (http.get(address, headers={"Accept-Encoding": "br, gzip"}) for _ in range(2))
            assert "Content-Encoding" not in plain.headers
            for each in (packed, again):
                assert (each.headers["Content-Encoding"], each.content) == ("gzip", plain.content)
                assert int(each.headers["Content-Length"]) <= int(plain.headers["Content-Length"]) + 32
                assert "Accept-Encoding" in each.headers["Vary"]
                assert "Content-Security-Policy" in each.headers
                assert each.headers["Cache-Control"] == plain.headers["Cache-Control"]
            known = {"Accept-Encoding": "gzip", "If-None-Match": packed.headers["ETag"]}
            assert http.get(address, headers=known).status_code == 304


def test_what_the_service_wrote_down_of_the_page_holds_no_key(url: str, tmp_path: Path) -> None:
    logs = list(tmp_path.parent.glob("data*/streamlit.log"))
    assert logs
    assert all(ACME_KEY not in log.read_text() for log in logs)


def test_an_answer_is_rated_with_the_keyboard_and_what_would_be_right_is_told(
    tab: Page, url: str, api: ApiStub
) -> None:
    tab.goto(url)
    ask(tab)
    up, down = (tab.get_by_role("button", name=f"Thumbs {side}") for side in ("up", "down"))
    down.focus()
    tab.keyboard.press("Enter")
    tab.set_viewport_size({"width": 1280, "height": 400})
    tab.get_by_role("button", name="What is wrong?").click()
    expect(tab.get_by_role("button", name="Send remark")).to_be_in_viewport(ratio=1)
    tab.get_by_role("textbox", name="What would have been right?").fill("$410")
    tab.get_by_role("button", name="Send remark").click()
    expect(tab.get_by_text("Thank you for your rating.")).to_be_visible()
    assert [rating for _, rating in api.rated] == [{"rating": "down"}, {"rating": "down", "expected": "$410"}]
    tab.reload()
    expect(down).to_have_attribute("aria-pressed", "true")
    up.click()
    expect(tab.get_by_role("button", name="What is wrong?")).to_be_hidden()
    up.click()
    assert api.taken_back.wait(20)
    expect(up).to_have_attribute("aria-pressed", "false")
    assert [rating and rating["rating"] for _, rating in api.rated[2:]] == ["up", None]
    tab.reload()
    expect(up).to_have_attribute("aria-pressed", "false")


def test_each_answer_has_its_own_rating_and_one_that_is_not_kept_is_not_shown(
    tab: Page, url: str, api: ApiStub
) -> None:
    tab.goto(url)
    ask(tab)
    expect_answers(tab)
    ask(tab, "And the deposit?")
    expect_answers(tab, 2)
    thumbs = tab.get_by_role("button", name="Thumbs down")
    thumbs.nth(1).click()
    expect(thumbs.nth(1)).to_have_attribute("aria-pressed", "true")
    expect(tab.get_by_role("button", name="What is wrong?")).to_be_visible()
    assert api.rated == [("run-2", {"rating": "down"})]
    tab.get_by_role("button", name="What is wrong?").click()
    tab.get_by_role("textbox", name="What would have been right?").fill("$410")
    tab.get_by_role("button", name="Send remark").click()
    expect(tab.get_by_text("Thank you for your rating.")).to_be_visible()
    tab.get_by_role("button", name="Thumbs up").nth(1).click()
    expect(tab.get_by_text("Thank you for your rating.")).to_be_hidden()
    thumbs.nth(1).click()
    expect(tab.get_by_role("button", name="What is wrong?")).to_be_visible()
    tab.reload()
    expect(thumbs.nth(1)).to_have_attribute("aria-pressed", "true")
    expect(thumbs.nth(0)).to_have_attribute("aria-pressed", "false")
    api.behaviour.rating_problem = problem(503, "It is away", "The database does not answer.")
    for _ in range(2):
        thumbs.nth(0).click()
        expect(tab.get_by_text("Your rating could not be saved. Try again in a moment.")).to_be_visible()
        expect(thumbs.nth(0)).to_have_attribute("aria-pressed", "false")
        expect(tab.get_by_text("Your rating could not be saved.")).to_be_hidden()
    assert [rating["rating"] for _, rating in api.rated if rating] == ["down", "down", "up", "down"]


def test_a_lost_server_of_the_page_is_told_in_plain_words_until_it_is_back(
    chromium: Browser, api: ApiStub, tmp_path: Path
) -> None:
    port = free_port()
    lost = "The connection is lost. The page goes on by itself when it is back."
    with chromium.new_context() as context:
        tab = context.new_page()
        with running_page(tmp_path, api.url, port=port) as url:
            tab.goto(url)
            ask(tab)
            expect_answers(tab)
            expect(tab.get_by_text(lost)).to_have_count(0)
        expect(tab.get_by_role("status").get_by_text(lost)).to_be_visible()
        tab.emulate_media(color_scheme="dark")  # Streamlit draws everything anew
        expect(tab.get_by_text(lost)).to_be_visible()
        expect(tab.get_by_role("dialog")).to_have_count(0)  # Streamlit's names a command
        with running_page(tmp_path, api.url, port=port):
            expect(tab.get_by_text(lost)).to_have_count(0, timeout=60_000)
            ask(tab, "And when is it due?")
            expect_answers(tab, 2)
