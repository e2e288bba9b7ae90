"""Pictures of the chat page for the documents, from a running service with the samples and a model of ours:

    python -m tests.clients.screenshots

Writes docs/screenshots/*.png and docs/strip.png, which the README begins with: a question, its answer, the source that
the answer cites. To be looked at before they are committed.
"""

import io
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.clients.browser_page import ask, marks, questions, running_page
from tests.conftest import PAGE_KEY
from tests.fakes.model_server import FakeModelServer
from tests.service import ROOT, Service

FOLDER = ROOT / "docs" / "screenshots"
STRIP = ROOT / "docs" / "strip.png"
LARGEST_BYTES, LARGEST_STRIP_BYTES = 150_000, 250_000
WIDE, NARROW = {"width": 1100, "height": 760}, {"width": 360, "height": 720}
PANEL = {"width": 480, "height": 720}  # three of them, at twice as many dots, can be read where a README is shown
# Such as are found by their words alone: vectors of the samples take half a minute.
RENT, DEPOSIT, APPLYING = (
    "How much does a dormitory room cost?",
    "Do I have to pay a deposit for my room?",
    "How do I apply for a place in a dormitory?",
)
REPLIES = {  # the first whose text stands in what the model is sent, which has earlier questions in it
    DEPOSIT: "Yes. Before moving in, residents pay a deposit of **IDR 1,000,000** [1]. It is paid back within 30 days "
    "of moving out, less the cost of damage or cleaning [1].",
    APPLYING: "Applications are made in the student portal [1]. Places are given first to students with disabilities, "
    "then to first-year students whose home is on another island, then by date of application [1]. Offers are sent "
    "within ten working days and must be accepted within seven days [1].",
    RENT: "A dormitory room costs **IDR 650,000** a month in a shared double and **IDR 950,000** as a single; with a "
    "private bathroom the rent is **IDR 1,350,000** a month [1]. Rent covers water, internet and 60 kWh of electricity "
    "a month [1].",
}


def main() -> None:
    """Take every picture."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, FakeModelServer() as model:
        model.configure(replies=REPLIES)
        variables = {"LLM_API_KEY": "unused", "LLM_MODEL": "fake", "LLM_BASE_URL": model.base_url}
        with (
            Service(Path(folder) / "data", RATE_LIMIT_ENABLED="false", CHAT_PAGE_KEY=PAGE_KEY, **variables) as service,
            running_page(Path(folder), service.url, api_key=PAGE_KEY, title="UTLS Student Desk") as url,
        ):
            _with_a_browser(url, model, service)


def _with_a_browser(url: str, model: FakeModelServer, service: Service) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        take_strip(browser, url)
        tab = browser.new_page(viewport=WIDE)  # type: ignore[arg-type]  # a dict of two numbers
        tab.goto(url)
        expect_beginning(tab)
        take(tab, FOLDER / "empty.png")
        _talk(tab, model)
        tab.set_viewport_size(NARROW)  # type: ignore[arg-type]
        tab.reload()
        expect(marks(tab)).to_have_count(4)
        tab.get_by_text(DEPOSIT).scroll_into_view_if_needed()
        take(tab, FOLDER / "narrow.png")
        tab.set_viewport_size(WIDE)  # type: ignore[arg-type]
        tab.emulate_media(color_scheme="dark")
        tab.reload()
        expect(marks(tab)).to_have_count(4)
        take(tab, FOLDER / "dark.png")
        tab.emulate_media(color_scheme="light")
        service.stop()
        tab.reload()
        expect(tab.get_by_text("The page goes on by itself")).to_be_visible()
        take(tab, FOLDER / "away.png")
        browser.close()


def _talk(tab: Page, model: FakeModelServer) -> None:
    ask(tab, APPLYING)
    expect(marks(tab)).to_have_count(3)
    tab.get_by_role("button", name="New chat").click()
    expect(marks(tab)).to_have_count(0)
    ask(tab, RENT)
    expect(marks(tab)).to_have_count(2)
    marks(tab).first.click()
    expect(tab.get_by_text("samples/student-dormitory.md")).to_be_in_viewport()
    questions(tab).last.scroll_into_view_if_needed()
    take(tab, FOLDER / "citation.png")
    model.configure(gap_ms=150)
    ask(tab, DEPOSIT)
    expect(tab.get_by_text("is paid back")).to_be_visible(timeout=15_000)
    take(tab, FOLDER / "streaming.png")
    model.configure(gap_ms=0)
    expect(marks(tab)).to_have_count(4, timeout=30_000)


def expect_beginning(tab: Page) -> None:
    """Wait until the page is ready for the first question."""
    expect(tab.get_by_text("Ask what you would like to know.")).to_be_visible()
    expect(tab.get_by_text("Languages of the documents")).to_be_visible()


def take_strip(browser: Browser, url: str) -> None:
    """One picture of three: a question, its answer with the source below it, and the document the source links to."""
    with browser.new_context(viewport=PANEL, device_scale_factor=2) as context:  # type: ignore[arg-type]
        tab = context.new_page()
        tab.goto(url)
        expect_beginning(tab)
        tab.get_by_placeholder("Ask a question").fill(RENT)
        panels = [look_from_the_title(tab)]
        tab.keyboard.press("Enter")
        expect(tab.get_by_text("More in Student Dormitory")).to_be_visible()  # the last of the answer
        marks(tab).first.click()
        document = tab.get_by_role("link", name="Show the quote in the document (new tab)")
        expect(document).to_be_in_viewport()
        panels.append(look_from_the_title(tab))
        tab.goto(document.get_attribute("href") or "")
        expect(tab.locator("#quote")).to_be_in_viewport()
        expect(tab).to_have_title(re.compile("dormitory", re.IGNORECASE))
        panels.append(look(tab))
    save(set_side_by_side(panels), STRIP, LARGEST_STRIP_BYTES)


def look_from_the_title(tab: Page) -> Image.Image:
    """What the tab shows from its title on; by itself the page keeps its end in sight."""
    title = tab.get_by_role("heading", level=1)
    wait_until_still(tab)
    title.evaluate("title => title.scrollIntoView({block: 'center'})")
    expect(title).to_be_in_viewport()
    return look(tab)


def set_side_by_side(panels: Sequence[Image.Image]) -> Image.Image:
    """The pictures from left to right, each in a thin frame, with an arrow to the next."""
    width, height, gap = panels[0].width, panels[0].height, panels[0].width // 10
    strip = Image.new("RGB", (len(panels) * (width + gap) - gap, height), "white")
    pen = ImageDraw.Draw(strip)
    for number, panel in enumerate(panels):
        left = number * (width + gap)
        strip.paste(panel, (left, 0))
        pen.rectangle((left, 0, left + width - 1, height - 1), outline="#b0b4bc", width=2)
        if number:
            middle, tip = height // 2, left - gap // 4
            pen.polygon(
                [(tip - gap // 2, middle - gap // 3), (tip, middle), (tip - gap // 2, middle + gap // 3)], "#555"
            )
    return strip


def take(tab: Page, path: Path) -> None:
    """Write a picture of what the tab shows."""
    save(look(tab), path, LARGEST_BYTES)


def look(tab: Page) -> Image.Image:
    """What the tab shows, once nothing moves."""
    wait_until_still(tab)
    return Image.open(io.BytesIO(tab.screenshot(animations="disabled"))).convert("RGB")


def save(picture: Image.Image, path: Path, largest_bytes: int) -> None:
    """Write it with a palette, which makes it a third as large."""
    picture.quantize(256).save(path, optimize=True)
    size_bytes = path.stat().st_size
    assert size_bytes <= largest_bytes, f"{path.name} has {size_bytes} bytes"
    print(f"{path}  {size_bytes // 1000} kB")


def wait_until_still(tab: Page) -> None:
    """Asked from here: the page's content security policy lets no text be run as a script within it."""
    for _ in range(200):
        if not tab.evaluate("document.getAnimations().some(animation => animation.playState === 'running')"):
            return
        tab.wait_for_timeout(50)
    raise AssertionError("Something on the page still moves.")


if __name__ == "__main__":
    main()
