"""Pictures of every state of an answer from a data source, from a running service with the sample database:

    python -m tests.clients.data_screenshots FOLDER

Each state in light and dark on a wide screen, and in light on a phone. To be looked at: nothing else tells whether a
table is cut or a label hidden.
"""

import argparse
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.clients.browser_page import ask, marks, running_page
from tests.clients.screenshots import take
from tests.conftest import PAGE_KEY
from tests.service import Service, await_vectors

DUE, BY_STATUS = "How many machines are due for maintenance this month?", "How many machines for each status?"
CHART = "How many machines for each location as a bar chart?"
LONG = "Which machines have more than 100 operating hours?"
WIDE = (
    "type and status and location and operating hours and last maintenance and next maintenance of machines in Harbour"
)
WIDTHS = {"light": (1280, 800), "dark": (1280, 800), "phone": (390, 844)}
_LOADED = re.compile("Figures and charts come from")
_PATIENCE_MS = 60_000


def show_beginning(tab: Page) -> None:
    """The page before anything was asked."""


def show_figure(tab: Page) -> None:
    """One figure in a sentence."""
    ask(tab, DUE)
    expect(marks(tab).first).to_be_visible(timeout=_PATIENCE_MS)


def show_table(tab: Page) -> None:
    """A short table below a sentence."""
    ask(tab, BY_STATUS)
    expect(tab.get_by_role("table")).to_be_visible(timeout=_PATIENCE_MS)


def show_chart(tab: Page) -> None:
    """A chart beside the table of its figures."""
    ask(tab, CHART)
    expect(tab.locator("[data-testid=stVegaLiteChart] :is(canvas, svg)").first).to_be_visible(timeout=_PATIENCE_MS)
    tab.get_by_text("Figures", exact=True).scroll_into_view_if_needed()


def open_figures(tab: Page) -> None:
    """The figures of the chart."""
    show_chart(tab)
    tab.get_by_text("Figures", exact=True).click()
    expect(tab.get_by_test_id("stDataFrame")).to_be_visible()


def open_query(tab: Page) -> None:
    """How a figure was worked out."""
    show_figure(tab)
    marks(tab).first.click()
    expect(tab.get_by_text("How this was worked out")).to_be_visible()


def show_refusal(tab: Page) -> None:
    """A question that neither the data nor the documents answer."""
    ask(tab, "How many dragons are due for maintenance this month?")
    expect(tab.get_by_text("not in the documents").first).to_be_visible(timeout=_PATIENCE_MS)


def show_long_table(tab: Page) -> None:
    """A table of as many rows as an answer shows."""
    ask(tab, LONG)
    expect(tab.get_by_role("table")).to_be_visible(timeout=_PATIENCE_MS)


def show_wide_table(tab: Page) -> None:
    """A table of more columns than there is room for."""
    ask(tab, WIDE)
    expect(tab.get_by_role("table")).to_be_visible(timeout=_PATIENCE_MS)


def show_source_away(tab: Page) -> None:
    """A question to a data source that cannot be opened."""
    ask(tab, DUE)
    expect(tab.get_by_role("button", name="Thumbs up")).to_be_visible(timeout=_PATIENCE_MS)


STATES: dict[str, Callable[[Page], None]] = {
    "beginning": show_beginning,
    "figure": show_figure,
    "table": show_table,
    "chart": show_chart,
    "figures-open": open_figures,
    "query-open": open_query,
    "refusal": show_refusal,
    "long-table": show_long_table,
    "wide-table": show_wide_table,
}


def main() -> None:
    """Take every picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the pictures go")
    parser.add_argument("--only", nargs="+", choices=[*STATES, "source-away"], help="states; left out: all")
    wanted = parser.parse_args()
    wanted.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        service = Service(folder / "data", RATE_LIMIT_ENABLED="false", CHAT_PAGE_KEY=PAGE_KEY)
        del service.variables["KNOWLEDGE_DIR"]  # then the sample database is made
        with service, running_page(folder, service.url, api_key=PAGE_KEY, title="UTLS Student Desk") as url:
            await_vectors(service, 600)
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            for state, show in STATES.items():
                if not wanted.only or state in wanted.only:
                    take_all(browser, url, wanted.folder, state, show)
            shutil.rmtree(service.data_dir / "data-sources")
            if not wanted.only or "source-away" in wanted.only:
                take_all(browser, url, wanted.folder, "source-away", show_source_away)
            browser.close()


def take_all(browser: Browser, url: str, folder: Path, state: str, show: Callable[[Page], None]) -> None:
    """The pictures of one state."""
    for mode, (width, height) in WIDTHS.items():
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if mode == "dark" else "light"
        )
        tab = context.new_page()
        tab.goto(url)
        expect(tab.get_by_text(_LOADED)).to_be_visible(timeout=_PATIENCE_MS)
        show(tab)
        if state != "beginning":
            expect(tab.get_by_role("button", name="Thumbs up")).to_be_visible(timeout=_PATIENCE_MS)  # the last of it
        take(tab, folder / f"{state}-{mode}.png")
        context.close()


if __name__ == "__main__":
    main()
