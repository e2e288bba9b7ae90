"""Whether a page can be used by everybody, as far as axe-core can tell."""

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.clients.screenshots import wait_until_still

_RULES = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]},
    # Of Streamlit's sidebar, out of sight and empty; browsers let keys scroll any region.
    "rules": {"scrollable-region-focusable": {"enabled": False}},
}


def assert_accessible(tab: Page) -> None:
    """Fail with what axe-core finds wrong by WCAG 2.1, A and AA, once the page has its own styles and is still."""
    expect(tab.locator("#pustaka-shell")).to_have_count(0)
    expect(tab.get_by_test_id("stCaptionContainer").first).to_have_css("opacity", "0.8")
    wait_until_still(tab)
    assert_no_violations(tab)


def assert_no_violations(tab: Page, within: str | None = None) -> None:
    """Fail with what axe-core finds wrong in the page as it is, or in the element that the selector *within* names."""
    found: list[dict[str, Any]] = Axe().run(tab, context=within, options=_RULES).response["violations"]
    assert [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found] == []
