"""The chat on a website of an institution, in a real browser, with the whole service behind it."""

import json
import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, FilePayload, Locator, Page, Route, ViewportSize, expect

from api.widget import FOLDER
from bootstrap.valkey import find_valkey
from config import SAMPLES
from tests.clients.accessibility import assert_no_violations
from tests.clients.browser_page import watched_browser
from tests.clients.website import Website, serve_website
from tests.conftest import FAKE_MODEL
from tests.fakes.model_server import FakeModelServer
from tests.servers.redis import RedisServer
from tests.service import Service

pytestmark = [pytest.mark.browser, pytest.mark.long]
LEASE, HELD = "The deposit of the Marigold lease is 412 euros.", "What is the deposit of the Marigold lease?"
QUESTION, MORE = "How much does a dormitory room cost?", "Do I have to pay a deposit for my room?"
BOTH = "Which rules hold for rooms and for guests?"
REPLIES = {
    HELD: "It is **412 euros** [1].",
    BOTH: "# Rules\n\n- Guests may stay for **two** nights [2, 1].\n- Rooms cost IDR 650,000 [1].",
    MORE: "Yes, residents pay a deposit of **IDR 1,000,000** [1].",
    QUESTION: "A dormitory room costs IDR 650,000 a month in a shared double and IDR 950,000 as a single [1].",
}
MEMBERS = ("body", "createElement", "createElementNS", "createTreeWalker", "readyState", "addEventListener")
NAMED = [*(f'<img name="{name}">' for name in MEMBERS), '<a id="ProductionChatBot"></a>']  # found as document.body, say
ABSENT = "Who won the chess championship of Iceland in 1987?"
WIDE, NARROW = ViewportSize(width=1280, height=800), ViewportSize(width=390, height=780)
PUBLIC_ID = "default/helper"
TEXTS: dict[str, dict[str, str]] = json.loads((FOLDER / "texts.json").read_text("utf-8"))
EN = TEXTS["en"]


@pytest.fixture(scope="module")
def site() -> Iterator[Website]:
    with serve_website() as running:
        yield running


@pytest.fixture(scope="module")
def service(
    model_server: FakeModelServer, tmp_path_factory: pytest.TempPathFactory, site: Website
) -> Iterator[Service]:
    """A service whose bot is open to visitors of the website, and of its own page."""
    folder = tmp_path_factory.mktemp("service")
    documents = folder / "documents"
    documents.mkdir()
    shutil.copy(SAMPLES / "student-dormitory.md", documents)
    variables = {**FAKE_MODEL, "LLM_BASE_URL": model_server.base_url, "KNOWLEDGE_DIR": str(documents), "RUN_LEASE": "1"}
    variables |= {"CONVERSATION_FILES": "2", "CONVERSATION_FILE_SIZE": "1000000"}
    with (
        RedisServer(folder / "redis", binary=find_valkey()) as redis,  # which outlives the service
        Service(folder / "data", REDIS_URL=redis.url, INSTITUTION="Acme College", **variables) as running,
    ):
        bot = {"id": "helper", "name": "Helper", "allowed_origins": [site.url, running.url]}
        with running.client() as owner:
            assert owner.post("/v1/tenant/bots", json=bot).status_code == 201
            assert owner.post("/v1/tenant/bots", json={"id": "closed", "name": "Closed"}).status_code == 201
        site.api = running.url
        yield running


@pytest.fixture
def model(model_server: FakeModelServer, service: Service, site: Website) -> Iterator[FakeModelServer]:
    """The model endpoint; and the website as it is if a test says nothing else."""
    model_server.reset()
    model_server.configure(replies=REPLIES)
    site.attributes, site.comment = f'data-bot="{PUBLIC_ID}"', ""
    yield model_server
    model_server.reset()


@pytest.fixture
def visitor(chromium: Browser, model: FakeModelServer, request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    """A new visitor's browser. What its pages ask of other hosts, what a policy forbids, and what goes wrong in a
    script of a page, fails the test."""
    options: dict[str, Any] = {"viewport": WIDE, "locale": "en-GB", **getattr(request, "param", {})}
    with watched_browser(chromium, "pv1.", **options) as context:
        yield context


@pytest.fixture
def tab(visitor: BrowserContext) -> Page:
    return visitor.new_page()


def bubble(tab: Page) -> Locator:
    return tab.locator("pustaka-chat button.bubble")


def box(tab: Page) -> Locator:
    return tab.locator("pustaka-chat textarea")


def answers(tab: Page) -> Locator:
    return tab.locator("pustaka-chat article.answer")


def marks(tab: Page) -> Locator:
    return tab.locator("pustaka-chat .mark")


def note(tab: Page) -> Locator:
    return answers(tab).last.locator(".note")


def ask(tab: Page, question: str = QUESTION) -> None:
    """Open the chat if it is closed, and ask."""
    if not box(tab).is_visible():
        bubble(tab).click()
    box(tab).fill(question)
    box(tab).press("Enter")


def expect_whole(tab: Page, count: int = 1) -> None:
    """Wait until *count* answers have come and none is under way."""
    expect(answers(tab).locator("details").first).to_be_visible()
    expect(answers(tab)).to_have_count(count)
    expect(tab.locator("pustaka-chat").get_by_role("button", name=EN["send"], exact=True)).to_be_visible()


@pytest.mark.parametrize(
    "visitor",
    [
        pytest.param({"viewport": WIDE, "color_scheme": "light"}, marks=pytest.mark.smoke),
        {"viewport": WIDE, "color_scheme": "dark"},
        {"viewport": NARROW, "color_scheme": "light", "has_touch": True},
        {"viewport": NARROW, "color_scheme": "dark", "has_touch": True},
    ],
    indirect=True,
    ids=["wide, light", "wide, dark", "narrow, light", "narrow, dark"],
)
def test_a_question_gets_an_answer_whose_mark_opens_its_source_and_that_the_document(
    visitor: BrowserContext, tab: Page, site: Website
) -> None:
    tab.goto(site.url)
    bubble(tab).click()
    chat = tab.get_by_role("dialog", name="Acme College")
    expect(chat.get_by_text(EN["machine"])).to_be_visible()
    expect(chat.get_by_text("Your conversation is stored for 1 day after its last use.")).to_be_visible()
    expect(chat.get_by_text(EN["try_asking"])).to_be_visible()
    expect(box(tab)).to_be_focused()
    assert_fits_fingers(tab)
    box(tab).fill(QUESTION)
    chat.get_by_role("button", name=EN["send"], exact=True).click()
    expect_whole(tab)
    expect(answers(tab)).to_contain_text("A dormitory room costs IDR 650,000 a month")
    expect(marks(tab)).to_have_text(["1"])
    marks(tab).click()
    source = answers(tab).locator("details[open]")
    expect(source).to_contain_text("Student Dormitory › Rooms and rent")
    expect(source.locator("blockquote")).to_be_visible()
    assert_fits_fingers(tab)
    with visitor.expect_page() as opened:
        source.get_by_role("link", name=EN["open_document"]).click()
    expect(opened.value.locator("mark").first).to_be_visible()
    assert opened.value.evaluate("window.opener") is None
    assert tab.evaluate("document.documentElement.scrollWidth") <= tab.evaluate("innerWidth")


def assert_fits_fingers(tab: Page) -> None:
    """What is pressed is 44 pixels wide and high, but for marks in a text; letters that are typed are 16 high."""
    for each in tab.locator("pustaka-chat").locator("button:visible:not(.mark), summary:visible, a.link:visible").all():
        size = each.bounding_box()
        assert size
        assert min(size["width"], size["height"]) >= 43.9, each.inner_text()
    for each in marks(tab).all():
        touched = each.evaluate("e => { const s = getComputedStyle(e, '::after'); return [s.width, s.height] }")
        assert min(float(length.removesuffix("px")) for length in touched) >= 43, touched
    assert box(tab).evaluate("e => parseFloat(getComputedStyle(e).fontSize)") >= 16


def test_all_can_be_done_with_the_keyboard_and_the_focus_comes_back(tab: Page, site: Website) -> None:
    tab.goto(site.url)
    tab.get_by_role("link", name="Another page").focus()
    tab.keyboard.press("Tab")
    expect(bubble(tab)).to_be_focused()
    expect(bubble(tab)).to_have_attribute("aria-expanded", "false")
    tab.keyboard.press("Enter")
    expect(box(tab)).to_be_focused()
    tab.keyboard.type(QUESTION)
    tab.keyboard.press("Shift+Enter")
    tab.keyboard.press("Enter")
    expect_whole(tab)
    for _ in range(9):  # past the button for files, other questions, the thumbs and the source
        tab.keyboard.press("Shift+Tab")
        if marks(tab).evaluate("e => e.getRootNode().activeElement === e"):
            break
    expect(marks(tab)).to_be_focused()
    tab.keyboard.press("Enter")
    expect(answers(tab).locator("summary")).to_be_focused()
    tab.keyboard.press("Tab")
    expect(answers(tab).locator("a.link")).to_be_focused()
    tab.keyboard.press("Escape")
    expect(tab.get_by_role("dialog")).to_have_count(0)
    expect(bubble(tab)).to_be_focused()


def test_a_screen_reader_is_told_what_is_done_and_the_whole_answer_once(tab: Page, site: Website) -> None:
    tab.goto(site.url)
    ask(tab)
    expect_whole(tab)
    said = tab.locator("pustaka-chat [role=log][aria-live=polite] p")
    expect(said).to_have_text([EN["working"], re.compile(f"^{EN['answer_done']} A dormitory room costs .* single")])
    expect(marks(tab)).to_have_attribute("aria-label", "Source 1: Student Dormitory")


def test_a_service_that_goes_away_in_mid_answer_and_comes_back_is_told_and_made_good(
    tab: Page, site: Website, service: Service, model: FakeModelServer
) -> None:
    model.configure(gap_ms=150, tokens=60)
    tab.goto(site.url)
    ask(tab)
    expect(answers(tab)).to_contain_text("A dormitory room")
    service.process.kill()
    service.process.wait(10)
    expect(tab.get_by_text(EN["lost"])).to_be_visible()
    model.configure(gap_ms=0)
    service.start()
    expect_whole(tab)
    expect(tab.get_by_text(EN["lost"])).to_have_count(0)
    expect(marks(tab)).to_have_text(["1"])
    expect(tab.locator("pustaka-chat article.question")).to_have_count(1)


def test_a_question_asked_while_the_service_is_away_is_answered_when_it_is_back(
    tab: Page, site: Website, service: Service
) -> None:
    tab.goto(site.url)
    bubble(tab).click()
    expect(tab.get_by_role("dialog", name="Acme College")).to_be_visible()
    service.stop()
    ask(tab)
    expect(tab.get_by_text(EN["lost"])).to_be_visible()
    service.start()
    expect_whole(tab)
    expect(marks(tab)).to_have_text(["1"])


def test_an_answer_is_stopped_and_what_has_come_of_it_stays(
    tab: Page, site: Website, service: Service, model: FakeModelServer
) -> None:
    model.configure(gap_ms=300, tokens=60)
    tab.goto(site.url)
    ask(tab)
    expect(answers(tab)).to_contain_text("A dormitory")
    tab.get_by_role("button", name=EN["stop"]).click()
    expect(note(tab)).to_have_text(EN["stopped"])
    expect(answers(tab)).to_contain_text("A dormitory")
    service.wait_for(lambda: model.counters()["abandoned"] == 1, 10)
    seen = answers(tab).locator(".text").inner_text()
    tab.reload()
    expect(note(tab)).to_have_text(EN["stopped"])
    expect(answers(tab).locator(".text")).to_contain_text(seen)  # a word may have come since
    model.configure(gap_ms=0)
    ask(tab, MORE)
    expect_whole(tab, 2)


def test_small_talk_and_what_the_documents_do_not_say_have_no_sources_and_stay_in_sight(
    tab: Page, site: Website
) -> None:
    tab.goto(site.url)
    ask(tab, "Hello!")
    expect(answers(tab).locator(".text p").first).to_be_visible()
    expect(answers(tab).locator("details")).to_have_count(0)
    ask(tab)
    expect_whole(tab, 2)
    ask(tab, ABSENT)
    expect(answers(tab)).to_have_count(3)
    expect(tab.get_by_role("button", name=EN["send"], exact=True)).to_be_visible()
    expect(answers(tab).last.locator(".text p").last).to_be_in_viewport(ratio=1)
    expect(answers(tab).last.locator("details")).to_have_count(0)


def test_marks_are_numbered_in_the_order_in_which_they_stand_also_two_in_one(tab: Page, site: Website) -> None:
    tab.goto(site.url)
    ask(tab, BOTH)
    expect_whole(tab)
    expect(marks(tab)).to_have_text(["1", "2", "2"])
    expect(answers(tab).locator("li")).to_have_count(2)
    expect(answers(tab).locator("summary .number")).to_have_text(["1", "2"])


def test_a_reload_and_another_page_of_the_site_go_on_where_it_was(
    tab: Page, site: Website, model: FakeModelServer
) -> None:
    tab.goto(site.url)
    ask(tab)
    expect_whole(tab)
    model.configure(gap_ms=400, tokens=40)
    ask(tab, MORE)
    expect(answers(tab).last).to_contain_text("Yes, residents")
    tab.get_by_role("link", name="Another page").click()
    expect(tab).to_have_url(f"{site.url}/other")
    expect(answers(tab)).to_have_count(2)
    expect(tab.get_by_role("button", name=EN["stop"])).to_be_visible()
    model.configure(gap_ms=0)
    expect_whole(tab, 2)
    expect(marks(tab)).to_have_count(2)
    tab.get_by_role("button", name=EN["new_chat"]).click()
    expect(answers(tab)).to_have_count(0)
    tab.reload()
    expect(tab.get_by_text(EN["machine"])).to_be_visible()
    expect(answers(tab)).to_have_count(0)


def test_an_answer_is_rated_which_stays_after_a_reload_and_is_taken_back(
    tab: Page, site: Website, service: Service
) -> None:
    tab.goto(site.url)
    ask(tab)
    up, down = (tab.get_by_role("button", name=EN[name], exact=True) for name in ("up", "down"))
    for is_rated in (True, False):
        with tab.expect_response(re.compile("/rating$")) as told:
            up.click()
        expect(up).to_have_attribute("aria-pressed", str(is_rated).lower())
        assert told.value.ok
        with service.client() as owner:
            assert owner.get("/v1/tenant/ratings").json()["total"] == is_rated
        tab.reload()
        expect(up).to_have_attribute("aria-pressed", str(is_rated).lower())
    tab.route("**/rating", lambda route: route.abort())
    down.click()
    expect(tab.get_by_text(EN["rating_failed"])).to_be_visible()
    expect(down).to_have_attribute("aria-pressed", "false")


def test_questions_about_the_same_document_follow_the_newest_answer(tab: Page, site: Website) -> None:
    tab.goto(site.url)
    ask(tab)
    expect(tab.get_by_role("heading", name="More in Student Dormitory")).to_be_visible()
    [first, *_] = choices = answers(tab).last.locator(".choice").all_inner_texts()
    tab.reload()
    expect(answers(tab).last.get_by_role("button", name=first, exact=True)).to_be_visible()
    answers(tab).last.get_by_role("button", name=first, exact=True).click()
    expect(tab.locator("pustaka-chat article.question").last).to_contain_text(
        re.compile(re.escape(first), re.IGNORECASE)
    )
    expect_whole(tab, 2)
    assert 1 <= len(choices) <= 3
    expect(answers(tab).first.get_by_role("heading", name="More in")).to_have_count(0)


def test_earlier_messages_are_shown_when_asked_for(tab: Page, site: Website) -> None:
    tab.goto(site.url)
    for count, question in enumerate((QUESTION, MORE, BOTH), 1):
        ask(tab, question)
        expect_whole(tab, count)
    at_once = re.compile(r"/v1/conversations/[^/]+$")
    tab.route(
        at_once,
        lambda route: route.continue_(url=f"{route.request.url}{'&' * ('?' in route.request.url) or '?'}limit=2"),
    )
    tab.reload()
    asked, earlier = tab.locator("pustaka-chat article.question p"), tab.get_by_role("button", name=EN["show_earlier"])
    expect(asked).to_have_text([BOTH])
    earlier.click()
    expect(asked).to_have_text([MORE, BOTH])
    earlier.click()
    expect(asked).to_have_text([QUESTION, MORE, BOTH])
    expect(earlier).to_have_count(0)
    expect(answers(tab)).to_have_count(3)


def test_files_are_chosen_dropped_pasted_removed_and_asked_about(tab: Page, site: Website) -> None:
    tab.goto(site.url)
    bubble(tab).click()
    files, held = tab.locator("pustaka-chat .files li"), list[Route]()
    with tab.expect_file_chooser() as chooser:
        tab.get_by_role("button", name="Attach files, at most 2, 1 MB each").click()
    chooser.value.set_files([make_file("lease <b>x.txt", LEASE), make_file("program.exe", "MZ")])
    expect(files).to_have_text(["lease <b>x.txt", "program.exeNot attached. Files of this kind are not read."])
    hand_over(tab, "paste", "pasted.txt", "Guests are welcome.")
    expect(files).to_have_text(["lease <b>x.txt", "pasted.txt"])
    expect(files.get_by_role("progressbar")).to_have_count(0)  # what is said of it comes before what is said next
    hand_over(tab, "drop", "third.txt", "One too many.")
    expect(files.last).to_have_text("third.txtNot attached. A conversation has at most 2 files.")
    with tab.expect_file_chooser() as chooser:
        tab.get_by_role("button", name="Attach files, at most 2, 1 MB each").click()
    many = [make_file(f"{number}.txt", "One of many.") for number in range(30)]
    chooser.value.set_files([*many, make_file("large.txt", "word " * 200_001)])
    refused = [
        "large.txt: Not attached. It is larger than 1 MB.",
        "0.txt, 1.txt, 2.txt + 27: Not attached. A conversation has at most 2 files.",
    ]
    expect(files).to_have_text(["lease <b>x.txt", "pasted.txt", *(each.replace(": ", "") for each in refused)])
    expect(tab.locator("pustaka-chat").get_by_text(" ".join(refused))).to_have_attribute("role", "status")
    assert_fits_fingers(tab)
    assert_no_violations(tab, "pustaka-chat")
    tab.get_by_role("button", name="Remove pasted.txt").click()
    expect(files).to_have_count(3)
    hand_over(tab, "drop", "large.txt", "word " * 200_001)
    expect(files.last).to_have_text("large.txtNot attached. It is larger than 1 MB.")
    tab.route("**/files", lambda route: held.append(route))
    hand_over(tab, "drop", "slow.txt", "It waits.")
    expect(files.last.get_by_role("progressbar", name="Sending slow.txt")).to_be_visible()
    ask(tab, HELD)
    expect(tab.get_by_text(EN["files_wait"])).to_be_visible()
    expect(box(tab)).to_have_value(HELD)
    held[0].abort()
    expect(files.last).to_contain_text(EN["file_not_sent"])
    expect(tab.get_by_text(EN["files_wait"])).to_have_count(0)
    tab.unroute("**/files")
    files.last.get_by_role("button", name=EN["try_again"]).click()
    expect(files).to_have_text(["lease <b>x.txt", "slow.txt"])
    expect(files.get_by_role("progressbar")).to_have_count(0)
    box(tab).press("Enter")
    expect_whole(tab)
    marks(tab).click()
    expect(answers(tab).locator("details[open] blockquote")).to_have_text(LEASE)
    tab.reload()
    expect(files).to_have_text(["lease <b>x.txt", "slow.txt"])
    tab.get_by_role("button", name=EN["new_chat"]).click()
    expect(files).to_have_count(0)


def make_file(name: str, text: str) -> FilePayload:
    return {"name": name, "mimeType": "text/plain", "buffer": text.encode()}


def hand_over(tab: Page, event: str, name: str, text: str) -> None:
    """Drop or paste a file into the question's box."""
    box(tab).evaluate(
        """(box, [event, name, text]) => {
            const data = new DataTransfer(), options = { bubbles: true, composed: true, cancelable: true };
            data.items.add(new File([text], name));
            const given = event === "drop" ? { dataTransfer: data } : { clipboardData: data };
            const Kind = event === "drop" ? DragEvent : ClipboardEvent;
            box.dispatchEvent(new Kind(event, { ...options, ...given }));
        }""",
        [event, name, text],
    )


def test_a_question_asked_at_once_belongs_to_the_same_visitor_as_the_next(tab: Page, site: Website) -> None:
    asked_for: list[Route] = []
    tab.route("**/v1/visitors", lambda route: asked_for.append(route))
    tab.goto(site.url)
    with tab.expect_request("**/v1/visitors"):
        ask(tab)
    expect(answers(tab)).to_have_count(1)
    for route in asked_for:
        route.continue_()
    expect_whole(tab)
    assert len(asked_for) == 1


def test_an_answer_that_has_just_come_is_shown_once(tab: Page, site: Website) -> None:
    def still_running(route: Route) -> None:
        body = route.fetch().json()
        route.fulfill(json={**body, "running": True, "run_id": body["messages"][-1]["run_id"]})

    tab.goto(site.url)
    ask(tab)
    expect_whole(tab)
    tab.route("**/v1/conversations/*", still_running)
    tab.reload()
    expect_whole(tab)
    expect(tab.get_by_text(EN["try_asking"])).to_be_visible()
    expect(answers(tab)).to_have_count(1)


def test_a_conversation_that_cannot_be_read_for_a_moment_is_not_forgotten(tab: Page, site: Website) -> None:
    tab.goto(site.url)
    ask(tab)
    expect_whole(tab)
    tab.route("**/v1/topics*", lambda route: None)  # which never come: they hold up nothing
    tab.route("**/v1/conversations/*", lambda route: route.abort(), times=1)
    tab.reload()
    expect(tab.get_by_text(EN["away"])).to_be_visible()
    tab.reload()
    expect_whole(tab)
    tab.unroute_all(behavior="ignoreErrors")


@pytest.mark.parametrize(
    ("visitor", "attributes", "language"),
    [
        ({"locale": "es-MX"}, "", "es"),
        ({"locale": "id-ID"}, "", "id"),
        ({"locale": "fr-FR"}, "", "en"),
        ({"locale": "es-MX"}, 'data-language="id"', "id"),
    ],
    indirect=["visitor"],
)
def test_it_speaks_the_browsers_language_or_the_one_that_the_page_names(
    tab: Page, site: Website, attributes: str, language: str
) -> None:
    site.attributes += f" {attributes}"
    tab.goto(site.url)
    tab.get_by_role("button", name=TEXTS[language]["open_chat"]).click()
    expect(tab.get_by_text(TEXTS[language]["machine"])).to_be_visible()
    kept = TEXTS[language]["kept"].replace("{time}", TEXTS[language]["day"])
    expect(tab.get_by_text(kept)).to_be_visible()
    expect(tab.locator("pustaka-chat [lang]").first).to_have_attribute("lang", language)


def test_it_has_the_pages_theme_colour_and_side_and_not_its_style(tab: Page, site: Website) -> None:
    site.attributes += ' data-theme="dark" data-color="#ffcc00" data-position="left" data-title="Ask Acme"'
    tab.goto(site.url)
    ask(tab, "متى تبدأ الدراسة؟")
    look = "(e, name) => getComputedStyle(e)[name]"
    expect(tab.get_by_role("dialog", name="Ask Acme")).to_be_visible()
    assert tab.get_by_role("dialog").evaluate(look, "backgroundColor") == "rgb(22, 25, 29)"
    assert bubble(tab).evaluate(look, "backgroundColor") == "rgb(255, 204, 0)"
    assert bubble(tab).evaluate(look, "color") == "rgb(0, 0, 0)"
    place = bubble(tab).bounding_box()
    assert place
    assert place["x"] < 100
    question = tab.locator("pustaka-chat article.question p")
    expect(question).to_be_visible()
    assert question.evaluate(look, "direction") == "rtl"
    assert question.evaluate(look, "letterSpacing") == "normal"


def test_a_bot_that_is_not_open_to_the_site_leaves_its_page_as_it_is_and_tells_its_owner_why(
    tab: Page, site: Website, service: Service
) -> None:
    site.attributes = 'data-bot="default/closed"'
    tab.goto(site.url)
    with tab.expect_console_message(lambda said: "allowed_origins" in said.text) as said:
        bubble(tab).click()
    assert f"exactly {site.url}," in said.value.text
    logged = [json.loads(line) for line in service.logged().splitlines() if "origin was refused" in line]
    assert {(line["origin"], line["bot"]) for line in logged} == {(site.url, "default/closed")}
    closed = EN["closed"].replace("{origin}", site.url)
    expect(tab.get_by_text(closed)).to_be_visible()
    ask(tab)
    expect(note(tab)).to_have_text(closed)  # and is not tried again
    expect(tab.get_by_role("button", name=EN["try_again"])).to_be_visible()
    expect(tab.get_by_text(EN["lost"])).to_have_count(0)
    expect(tab.get_by_role("heading", name="Acme College")).to_be_visible()
    tab.get_by_role("link", name="Another page").click()
    expect(tab).to_have_url(f"{site.url}/other")


@pytest.mark.parametrize(
    "comment",
    ['<img name="currentScript" src="{url}" data-bot="x/y">', '<form name="currentScript">', "".join(NAMED)],
    ids=["script", "form", "members"],
)
def test_html_of_strangers_on_the_page_does_not_lead_it_elsewhere_or_hide_it(
    tab: Page, site: Website, comment: str
) -> None:
    site.comment = comment.format(url=site.url)
    tab.goto(site.url)
    ask(tab)
    expect_whole(tab)


def test_a_text_with_thousands_of_quotation_signs_is_shown_and_the_next_question_answered(
    tab: Page, site: Website, model: FakeModelServer
) -> None:
    model.configure(replies={**REPLIES, QUESTION: ">" * 8_000 + " IDR 650,000 [1]."})
    tab.goto(site.url)
    ask(tab)
    expect_whole(tab)
    expect(answers(tab).first).to_contain_text("IDR 650,000")
    ask(tab, MORE)
    expect_whole(tab, 2)


def test_the_page_of_its_own_is_the_same_chat(tab: Page, service: Service) -> None:
    tab.goto(f"{service.url}/chat?bot={PUBLIC_ID}")
    expect(box(tab)).to_be_focused()
    expect(bubble(tab)).to_have_count(0)
    ask(tab)
    expect_whole(tab)
    marks(tab).click()
    expect(answers(tab).locator("details[open] blockquote")).to_be_visible()
    tab.reload()
    expect(marks(tab)).to_have_text(["1"])


def test_the_page_of_a_bot_that_is_not_open_to_it_says_how_it_is_opened(tab: Page, service: Service) -> None:
    tab.goto(f"{service.url}/chat")
    expect(tab.get_by_text(EN["closed"].replace("{origin}", service.url))).to_be_visible()
    expect(tab.get_by_text(f"flask bot set default --origin {service.url}")).to_be_visible()
    command = ("bot", "set", "default", "--origin", service.url)
    assert service.flask(*command).returncode == 0
    tab.reload()
    expect(tab.get_by_text(EN["machine"])).to_be_visible()
    assert service.flask("bot", "remove", "default").returncode == 0


def test_the_class_of_the_guide_asks_with_a_key_and_as_a_visitor(tab: Page, site: Website, service: Service) -> None:
    tab.goto(site.url)
    ask_twice = """async ([bot, key, first, second]) => {
        const chat = new ProductionChatBot(bot, key);
        const before = [chat.botId, chat.sessionId, chat.baseUrl];
        const one = await chat.sendMessage(first), two = await chat.sendMessage(second);
        return [...before, one.session_id === two.session_id && two.session_id === chat.sessionId, two.answer];
    }"""
    for bot, key in (("helper", service.key), (PUBLIC_ID, None)):
        told = tab.evaluate(ask_twice, [bot, key, QUESTION, MORE])
        assert told[:4] == [bot, None, service.url, True]
        assert "1,000,000" in told[4]
