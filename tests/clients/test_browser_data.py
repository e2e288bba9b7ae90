"""Answers from a data source in a real browser, wide and narrow, light and dark: seen, reached by keys, and named."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.clients.accessibility import assert_accessible, assert_no_violations
from tests.clients.browser_page import ask, marks, running_page, watched_browser
from tests.conftest import PAGE_KEY
from tests.service import Service

pytestmark = [pytest.mark.browser, pytest.mark.long]
DUE, BY_STATUS = (
    "How many machines are due for maintenance this month?",
    "How many machines for each status as a bar chart?",
)
_SCREENS = [(1280, 800), (390, 844)]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One that has just been installed: with its samples."""
    service = Service(tmp_path_factory.mktemp("service") / "data", RATE_LIMIT_ENABLED="false", CHAT_PAGE_KEY=PAGE_KEY)
    del service.variables["KNOWLEDGE_DIR"]  # else there is no sample database
    with service:
        yield service


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, service: Service) -> Iterator[str]:
    """The address of its chat page."""
    with running_page(tmp_path_factory.mktemp("page"), service.url, api_key=PAGE_KEY) as address:
        yield address


@pytest.fixture(params=_SCREENS, ids=lambda screen: str(screen[0]))
def tab(request: pytest.FixtureRequest, chromium: Browser) -> Iterator[Page]:
    """A new visitor's tab on a screen of that width."""
    width, height = request.param
    with watched_browser(chromium, PAGE_KEY, viewport={"width": width, "height": height}, locale="en-GB") as context:
        yield context.new_page()


def test_a_figure_a_table_a_chart_and_their_query_are_seen_and_reached_by_keys(tab: Page, url: str) -> None:
    begin(tab, url)
    tab.get_by_role("button", name=DUE).click()
    expect(tab.get_by_text("15 machines are due for maintenance this month.").first).to_be_visible(timeout=15_000)
    chart, table = ask_for_chart(tab), tab.get_by_role("table")
    expect(table).to_contain_text("Active")
    for shown in (table, chart):
        assert_fits(tab, shown)
    marks(tab).last.focus()
    tab.keyboard.press("Enter")
    expect(tab.locator("summary:focus")).to_contain_text("Maintenance")
    expect(tab.get_by_text("How this was worked out").last).to_be_visible()
    query = tab.locator("details[open] code")
    expect(query).to_contain_text("SELECT")
    assert_fits(tab, query)


def test_axe_finds_nothing_wrong_with_an_answer_in_light_and_dark(tab: Page, url: str) -> None:
    begin(tab, url)
    assert_accessible(tab)
    ask_for_chart(tab)
    marks(tab).last.click()
    expect(tab.locator("details[open] code")).to_contain_text("SELECT")
    for scheme in ("light", "dark"):
        tab.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of the two
        expect(tab.locator(".stApp")).to_have_css("color-scheme", scheme)
        assert_accessible(tab)


HOSTILE, CUT = "<img src=x onerror=alert(1)>", "The first 500 of 1,200 values are shown."


def test_the_chat_for_websites_draws_a_chart_with_its_figures_as_a_table(tab: Page, service: Service) -> None:
    with service.client() as owner:
        assert owner.patch("/v1/tenant/bots/default", json={"allowed_origins": [service.url]}).is_success
    tab.goto(f"{service.url}/chat")
    tab.get_by_role("textbox").fill(BY_STATUS)
    tab.get_by_role("textbox").press("Enter")
    chart = tab.get_by_role("img", name="Bar chart: number of equipment / status. Active: 42")
    expect(chart.locator("rect")).to_have_count(3, timeout=15_000)
    figure = tab.get_by_role("figure", name="How many machines for each status?")
    figure.get_by_text("Show the figures").click()
    expect(figure.get_by_role("row")).to_have_text(
        ["statusnumber of equipment", "Active42", "Maintenance12", "Stopped6"]
    )
    expect(tab.get_by_role("button", name="Attach files")).to_be_hidden()  # CONVERSATION_FILES is 0 here
    for scheme in ("light", "dark"):
        tab.emulate_media(color_scheme=scheme)
        assert_no_violations(tab, "pustaka-chat")
    tab.route("**/v1/conversations/*", draw_others)
    tab.set_viewport_size({"width": 320, "height": 640})
    tab.reload()
    figures = tab.get_by_role("figure")
    expect(figures).to_have_count(6)
    expect(figures.nth(0).locator("figcaption")).to_have_text(HOSTILE)
    expect(figures.nth(0).locator("svg text").filter(has_text=HOSTILE)).to_be_visible()
    expect(figures.nth(0).locator("rect")).to_have_count(2)
    expect(figures.nth(1).locator("path.line")).to_be_visible()
    expect(figures.nth(1).locator("figcaption")).to_have_text(f"{HOSTILE}{CUT}")
    expect(figures.nth(2).get_by_role("row")).to_have_text(["whatfigure", "a1.7E308", "b-1.7E308"])
    expect(figures.nth(3)).to_contain_text("There are no figures to show.")
    expect(figures.nth(4)).to_contain_text("There are no figures to show.")
    expect(figures.nth(5).get_by_role("row")).to_have_text(["what", "a", "–"])
    expect(tab.locator("pustaka-chat .plot:not([aria-hidden])")).to_have_count(2)
    assert tab.locator("pustaka-chat .log").evaluate("log => log.scrollWidth <= log.clientWidth")
    assert tab.locator("pustaka-chat img").count() == 0


def draw_others(route: Route) -> None:
    """The conversation, whose last answer has charts such as no service of ours gives."""
    body = route.fetch().json()
    rows: list[list[tuple[str, float | None]]]
    rows = [[(HOSTILE, 1e300), ("__proto__", -1e300), ("none", None)], [(str(at), at % 97) for at in range(1000)]]
    rows += [[("a", 1.7e308), ("b", -1.7e308)], []]
    drawn = [make_chart(mark, each) for mark, each in zip(("bar", "line", "bar", "bar"), rows, strict=True)]
    drawn[1]["spec"]["title"]["subtitle"] = CUT
    unknown = {
        "mark": "arc",
        "data": {"values": [{"x": "a"}, {}]},
        "encoding": {"theta": {"field": "x", "title": "what"}},
    }
    body["messages"][-1]["tool_calls"] = [{"chart": each} for each in [*drawn, {"spec": None}, {"spec": unknown}]]
    route.fulfill(json=body)


def make_chart(mark: str, rows: list[tuple[str, float | None]]) -> dict[str, Any]:
    x, y = {"field": "x", "type": "nominal", "title": "what"}, {"field": "y", "type": "quantitative", "title": "figure"}
    values = [{"x": name, "y": figure} for name, figure in rows]
    spec = {"title": {"text": HOSTILE}, "mark": mark, "data": {"values": values}, "encoding": {"x": x, "y": y}}
    return {"alt": HOSTILE, "spec": spec}


def begin(tab: Page, url: str) -> None:
    """The page, once it offers questions about figures."""
    tab.goto(url)
    expect(tab.get_by_text("Figures and charts come from the data source Maintenance.")).to_be_visible(timeout=30_000)


def ask_for_chart(tab: Page) -> Locator:
    """The chart of an answer with a table."""
    ask(tab, BY_STATUS)
    chart = tab.get_by_label("Bar chart: number of equipment / status. Active:")
    expect(chart.locator("canvas, svg").first).to_be_visible(timeout=15_000)
    expect(tab.get_by_text("Figures", exact=True)).to_be_visible()
    return chart


def assert_fits(tab: Page, shown: Locator) -> None:
    """Fail where it is wider than the screen, or the page scrolls sideways."""
    box, size = shown.bounding_box(), tab.viewport_size
    assert box is not None
    assert size is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= size["width"]
    assert tab.locator(".stMain").evaluate("area => area.scrollWidth <= area.clientWidth")
