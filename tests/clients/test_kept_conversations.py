"""The visitor's conversations that the service keeps, in a real browser: found, renamed, deleted and brought back."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.clients.api_stub import ApiStub
from tests.clients.browser_page import ask, expect_answers, questions, running_page, shelf
from tests.clients.shared_stub import api, shared_api

__all__ = ["api", "shared_api"]

pytestmark = [pytest.mark.browser, pytest.mark.long]
HOSTILE = "<b onclick=alert(1)>\u202e [x](y) *z*"


@pytest.fixture(scope="module")
def url(shared_api: ApiStub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_page(tmp_path_factory.mktemp("kept"), shared_api.url) as address:
        yield address


@pytest.fixture
def tab(chromium: Browser, api: ApiStub, url: str) -> Iterator[Page]:
    """A tab with two conversations, which the service lists."""
    api.behaviour.lists = True
    with chromium.new_context() as context:
        page = context.new_page()
        page.goto(url)
        ask(page, "What does a room cost?")
        expect_answers(page)
        page.get_by_role("button", name="New chat").click()
        expect_answers(page, 0)
        ask(page, "When is the library open?")
        expect_answers(page)
        expect(shelf(page)).to_have_text(["When is the library open?", "What does a room cost?"])
        yield page


def test_a_conversation_is_found_by_words(tab: Page) -> None:
    search = tab.get_by_label("Search conversations")
    expect(search).to_have_attribute("placeholder", "Words, then Enter")
    search.fill("OPEN library")
    search.press("Enter")
    expect(shelf(tab)).to_have_text(["When is the library open?"])
    search.fill("zebra")
    search.press("Enter")
    expect(tab.get_by_text("No conversation has these words.")).to_be_visible()
    search.fill("")
    search.press("Enter")
    expect(shelf(tab)).to_have_count(2)


@pytest.mark.parametrize(("title", "way"), [("My room", "Enter"), (HOSTILE, "Save")])
def test_a_conversation_is_renamed(tab: Page, title: str, way: str) -> None:
    tab.get_by_role("button", name="Rename “What does a room cost?”").click()
    dialog = tab.get_by_role("dialog")
    expect(dialog.get_by_label("Title")).to_be_focused()
    expect(tab.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    tab.keyboard.press("Control+A")
    tab.keyboard.insert_text(title)
    if way == "Enter":
        tab.keyboard.press("Enter")
    else:
        dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)
    expect(shelf(tab)).to_have_text(["When is the library open?", title])
    shelf(tab).last.click()
    expect(questions(tab)).to_have_text(["What does a room cost?"])
    tab.get_by_role("button", name="Export").click()
    with tab.expect_download() as saved:
        tab.get_by_role("button", name="Markdown", exact=True).click()
    assert Path(saved.value.path()).read_text("utf-8").startswith(f"# {title.replace('<', chr(92) + '<')}")
    tab.reload()
    expect(shelf(tab)).to_have_text(["When is the library open?", title])
    tab.get_by_role("button", name=f"Rename “{title}”").click()
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)


def test_none_is_no_title(tab: Page) -> None:
    tab.get_by_role("button", name="Rename “What does a room cost?”").click()
    field = tab.get_by_role("dialog").get_by_label("Title")
    expect(field).to_be_focused()
    expect(tab.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    field.fill("")
    field.press("Enter")
    expect(field).to_be_focused()
    tab.reload()
    expect(shelf(tab)).to_have_text(["When is the library open?", "What does a room cost?"])


def test_a_deleted_conversation_is_brought_back(tab: Page, api: ApiStub) -> None:
    tab.get_by_role("button", name="Delete “When is the library open?”").click()
    expect(tab.get_by_text("“When is the library open?” is deleted.")).to_be_visible()
    expect(shelf(tab)).to_have_text(["What does a room cost?"])
    expect(questions(tab)).to_have_count(0)  # it was the one that was shown
    assert len(api.conversations) == 1
    tab.get_by_role("button", name="Undo").click()
    expect(shelf(tab)).to_have_count(2)
    expect(tab.get_by_role("button", name="Undo")).to_have_count(0)
    tab.get_by_role("link", name="When is the library open?").click()
    expect_answers(tab)


def test_what_cannot_be_brought_back_any_more_is_said(tab: Page, api: ApiStub) -> None:
    tab.get_by_role("button", name="Delete “What does a room cost?”").click()
    expect(tab.get_by_role("button", name="Undo")).to_be_visible()
    api.deleted.clear()
    tab.get_by_role("button", name="Undo").click()
    expect(tab.get_by_text("“What does a room cost?” cannot be brought back any more.")).to_be_visible()
    expect(questions(tab)).to_have_text(["When is the library open?"])  # that one stays


def test_a_reload_in_mid_answer_shows_the_list_as_before(tab: Page, api: ApiStub) -> None:
    [place] = [place for place, said in api.conversations.items() if said[0]["content"].startswith("When")]
    api.titles[place] = "Opening hours"
    api.behaviour.held = True
    ask(tab, "And on Sundays?")
    expect(tab.get_by_text("▌")).to_be_visible()
    tab.reload()
    expect(tab.get_by_text("▌")).to_be_visible()
    expect(shelf(tab)).to_have_text(["Opening hours", "What does a room cost?"])
    expect(tab.get_by_label("Search conversations")).to_be_visible()
    expect(tab.get_by_role("button", name="Rename “Opening hours”")).to_be_visible()
    expect(tab.get_by_role("button", name="Clear all")).to_be_visible()
    api.behaviour.go_on.set()
    expect_answers(tab, 2)


def test_the_number_of_a_copy_is_in_sight_where_its_title_is_cut(tab: Page, api: ApiStub) -> None:
    for place in api.conversations:
        api.titles[place] = "What does a room in the student dormitory cost? (2)"
    tab.reload()
    expect(shelf(tab).first).to_have_text("What does a room in the student dormitory cost? (2)")
    link, number = shelf(tab).first.bounding_box(), shelf(tab).first.get_by_text("(2)", exact=True).bounding_box()
    assert link is not None
    assert number is not None
    assert link["height"] > 60  # two lines
    assert link["x"] + link["width"] >= number["x"] + number["width"] > number["x"] > link["x"]


@pytest.mark.parametrize("width", [1280, 375])
def test_what_the_head_deletes_is_brought_back_there(tab: Page, api: ApiStub, width: int) -> None:
    tab.set_viewport_size({"width": width, "height": 800})  # on the small screen the list is out of sight
    tab.get_by_role("button", name="Delete", exact=True).click()
    expect(tab.get_by_text("“When is the library open?” is deleted.")).to_be_in_viewport()
    expect(questions(tab)).to_have_count(0)
    assert len(api.conversations) == len(api.deleted) == 1
    tab.get_by_role("button", name="Undo").click()
    expect(questions(tab)).to_have_text(["When is the library open?"])
    expect(tab.get_by_role("button", name="Undo")).to_have_count(0)
    expect(shelf(tab)).to_have_count(2)
    assert not api.deleted


def test_all_conversations_are_deleted_where_that_is_meant(tab: Page, api: ApiStub) -> None:
    other = ("ak_globex", "web-" + "a" * 22)
    api.conversations[other] = [{"role": "user", "content": "Theirs"}]
    tab.get_by_role("button", name="Clear all").click()
    tab.get_by_role("dialog").get_by_role("button", name="Keep them").click()
    expect(shelf(tab)).to_have_count(2)
    tab.get_by_role("button", name="Clear all").click()
    tab.get_by_role("dialog").get_by_role("button", name="Delete for good").click()
    expect(shelf(tab)).to_have_count(0)
    expect(questions(tab)).to_have_count(0)
    expect(tab.get_by_text("The service keeps a conversation for 10 days after its last use.")).to_be_visible()
    assert list(api.conversations) == [other]
    tab.reload()
    expect(tab.get_by_text("None yet.")).to_be_visible()


def test_a_conversation_is_shared_by_a_link_that_is_revoked(tab: Page, api: ApiStub) -> None:
    tab.get_by_role("button", name="Share").click()
    dialog = tab.get_by_role("dialog")
    expect(dialog.get_by_text("with the quotes of its answers, and open the documents")).to_be_visible()
    dialog.get_by_role("button", name="Create a link").click()
    expect(dialog.get_by_text("/v1/shared?token=t1")).to_be_visible()
    expect(dialog.get_by_role("button", name="Copy the link")).to_be_visible()
    expect(dialog.get_by_text("Link of 2026-11-21, until 2026-12-21")).to_be_visible()
    [listed] = api.shares.values()
    dialog.get_by_role("button", name="Revoke").click()
    expect(dialog.get_by_role("button", name="Revoke")).to_have_count(0)
    expect(dialog.get_by_text("token=t1")).to_have_count(0)
    assert listed == []
    tab.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
