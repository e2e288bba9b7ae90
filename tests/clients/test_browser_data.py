"""Answers from a data source in a real browser, wide and narrow, light and dark: seen, reached by keys, and named."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.clients.accessibility import assert_accessible
from tests.clients.browser_page import ask, marks, running_page
from tests.conftest import PAGE_KEY
from tests.service import Service

pytestmark = [pytest.mark.browser, pytest.mark.long]
DUE, BY_STATUS = (
    "How many machines are due for maintenance this month?",
    "How many machines for each status as a bar chart?",
)
_SCREENS = [(1280, 800), (390, 844)]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a page of a service that has just been installed: with its samples."""
    folder = tmp_path_factory.mktemp("service")
    service = Service(folder / "data", RATE_LIMIT_ENABLED="false", CHAT_PAGE_KEY=PAGE_KEY)
    del service.variables["KNOWLEDGE_DIR"]  # else there is no sample database
    with service, running_page(folder, service.url, api_key=PAGE_KEY) as address:
        yield address


@pytest.fixture(params=_SCREENS, ids=lambda screen: str(screen[0]))
def tab(request: pytest.FixtureRequest, chromium: Browser) -> Iterator[Page]:
    """A new visitor's tab on a screen of that width."""
    width, height = request.param
    with chromium.new_context(viewport={"width": width, "height": height}) as context:
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
