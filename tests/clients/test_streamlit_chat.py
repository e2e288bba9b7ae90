"""The chat page, run as Streamlit runs it, against an API over real HTTP."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Block, Expander, LinkButton

from clients.api_answers import Message
from clients.run_events import Citation
from clients.streamlit_chat.links import link_for_browser
from clients.streamlit_chat.settings import read_settings
from clients.streamlit_chat.written import write_answer
from datasources.charts.choosing import choose_chart
from datasources.charts.spec import make_spec
from datasources.results import Result
from tests.clients.api_stub import (
    ACME_KEY,
    ELSEWHERE,
    FEES,
    GLOBEX_KEY,
    QUOTE,
    ROOM,
    TOPICS,
    ApiStub,
    problem,
    serve_stub,
)

pytestmark = pytest.mark.long

SCRIPT = str(Path(__file__).parents[2] / "clients" / "streamlit_chat" / "script.py")
QUESTION = "What does a room cost?"


@pytest.fixture(autouse=True)
def page_environment(api: ApiStub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page is told of the stub; nothing is left in Streamlit's caches of another test."""
    monkeypatch.setenv("API_URL", api.url)
    monkeypatch.setenv("CHAT_PAGE_KEY", ACME_KEY)
    st.cache_data.clear()
    st.cache_resource.clear()


def open_page(conversation_id: str | None = None) -> AppTest:
    """A new browser tab, after its first run."""
    page = AppTest.from_file(SCRIPT, default_timeout=20)
    if conversation_id is not None:
        page.query_params["c"] = conversation_id
    page.run()
    assert not page.exception
    return page


def ask(page: AppTest, question: str = QUESTION) -> None:
    page.chat_input[0].set_value(question).run()
    assert not page.exception


def address(page: AppTest) -> str:
    """The conversation in the page's address."""
    found = page.query_params["c"]  # a list where the test has set it
    return found if isinstance(found, str) else str(found[0])


def shown(page: AppTest) -> str:
    """Everything on the page that can be read."""
    kinds = (page.title, page.markdown, page.text, page.caption, page.error, page.warning, page.info)
    return "\n".join([str(element.value) for kind in kinds for element in kind] + [box.label for box in page.expander])


def buttons(page: AppTest) -> list[str]:
    return [button.label for button in page.main.button]


def said(page: AppTest) -> list[tuple[str, str]]:
    """Who said what."""
    return [
        (
            message.name,
            str((message.text or message.markdown)[0].value if message.name == "user" else message.markdown[0].value),
        )
        for message in page.chat_message
    ]


def press(page: AppTest, label: str) -> None:
    next(button for button in page.button if button.label == label).click().run()
    assert not page.exception


def links(box: Expander) -> list[str]:
    """Where the links in an opened source lead."""
    return [child.proto.url for child in box.children.values() if isinstance(child, LinkButton)]


def answer_at(place: int) -> str:
    """The stub's answer as the page draws it when it is the message at *place*."""
    first = rf'[\[1\]](#source-{place}-1 "Student dormitory › Rooms and rent")'
    second = rf'[\[2\]](#source-{place}-2 "Tuition, fees \& payment › Deadlines, page 3")'
    quote = QUOTE.replace("$", r"\$").replace(".", r"\.")
    return rf"{quote} {first} Rent is due on the fifth working day of each month\. {second}"


ANSWER = answer_at(1)
ANSWERED = Message("assistant", "It costs $410. [1]", (Citation(1, "Student dormitory", "dormitory.md", QUOTE),))
PART = "A single room costs"


@pytest.mark.smoke
def test_an_answer_comes_with_its_numbered_sources(api: ApiStub) -> None:
    page = open_page()
    ask(page)
    assert said(page) == [("user", QUESTION), ("assistant", ANSWER)]
    first, second = page.expander
    assert first.label == r"**\[1\]** Student dormitory › Rooms and rent"
    assert second.label == r"**\[2\]** Tuition, fees \& payment › Deadlines, page 3"
    assert first.text[0].value == QUOTE
    assert [links(box) for box in page.expander] == [[], ["https://example.org/fees.pdf"]]
    assert api.asked == [(ACME_KEY, address(page), QUESTION)]


def test_marks_are_numbered_in_the_order_in_which_they_appear(api: ApiStub) -> None:
    api.behaviour.answer = "Rent is due on the fifth day. [5] A room costs $410. [2][5] Nothing. [9]"
    api.behaviour.citations = [FEES | {"number": 5, "language": "id"}, ROOM | {"language": "en"}]
    api.behaviour.citations[1]["number"] = 2
    page = open_page()
    ask(page)
    for shown in (page, open_page(address(page))):
        drawn = shown.chat_message[1].markdown[0].value
        assert re.findall(r"\\\[(\d)\\\]\]?", drawn) == ["1", "2", "1", "9"]
        assert re.findall(r"#source-1-(\d)", drawn) == ["5", "2", "5"]
        labels = [box.label for box in shown.chat_message[1].expander]
        assert [label[:9] for label in labels] == [r"**\[1\]**", r"**\[2\]**"]
        assert [label.endswith(":gray-badge[Indonesian]") for label in labels] == [True, False]


@pytest.mark.parametrize(
    ("weak", "heading"),
    [({}, "Sources"), ({"confidence": "low"}, "Closest passages"), ({"answered": False}, "Closest passages")],
)
def test_three_sources_are_shown_the_others_below_and_weak_ones_are_called_the_closest_passages(
    api: ApiStub, weak: dict[str, Any], heading: str
) -> None:
    api.behaviour.answer = "All of it. [1] [2] [3] [4] [5]"
    api.behaviour.citations = [ROOM | {"number": number} for number in range(1, 6)]
    for name, value in weak.items():
        setattr(api.behaviour, name, value)
    page = open_page()
    ask(page)
    for shown in (page, open_page(address(page))):
        boxes = shown.chat_message[1].expander
        assert [box.label[:9] for box in boxes[:3]] == [rf"**\[{number}\]**" for number in (1, 2, 3)]
        more = boxes[3]
        assert more.label == "More passages (2)"
        assert [box.label[:9] for box in more.expander] == [r"**\[4\]**", r"**\[5\]**"]
        assert heading in [caption.value for caption in shown.chat_message[1].caption]
        assert write_answer(replace(ANSWERED, **weak)).splitlines()[2] == f"{heading}:"


@pytest.mark.smoke
def test_a_sentence_without_support_is_marked_with_the_reason_and_stays_so_after_a_reload(api: ApiStub) -> None:
    answer = "A room **costs** $40 [1]. Rent is due on the fifth working day of each month. [2]"
    sentence = {"start": 0, "end": 25, "status": "unsupported", "reason": "the number 40 is not in source [1]"}
    fine = {"start": 26, "end": len(answer), "status": "supported", "reason": "it stands word for word in source [2]"}
    api.behaviour.answer, api.behaviour.support = answer, {"sentences": [sentence, fine]}
    page = open_page()
    ask(page)
    for shown in (page, open_page(address(page))):
        drawn = shown.chat_message[1].markdown[0].value
        assert drawn.startswith(r":orange[A room] **:orange[costs]** :orange[\$40]")
        assert "⚠ Rent is due" in drawn
        note = shown.chat_message[1].expander[0]
        assert note.label == "⚠ The sources do not support one sentence"
        [told] = note.markdown
        assert "A room costs" in told.value
        assert "the number 40 is not in source" in told.value
        assert "Rent is due" not in told.value


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "", None])
def test_only_an_address_that_opens_a_page_becomes_a_link(api: ApiStub, url: str | None) -> None:
    api.behaviour.citations = [ROOM | {"url": url}]
    page = open_page()
    ask(page)
    assert [links(box) for box in page.expander] == [[]]


VIEW = "https://api.example/v1/documents/d1/view?version=2&start=10&end=60&token=x#quote"


@pytest.mark.parametrize(
    ("state", "told", "opens"),
    [
        ("current", None, [VIEW]),
        ("replaced", "has been replaced", [VIEW]),
        ("deleted", "has been deleted", []),
        (None, None, [VIEW]),
    ],
)
def test_a_source_opens_in_the_document_and_says_what_has_become_of_it(
    api: ApiStub, state: str | None, told: str | None, opens: list[str]
) -> None:
    api.behaviour.citations = [ROOM | {"link": VIEW, "document_status": state}]
    page = open_page()
    ask(page)
    [box] = page.expander
    assert (links(box), box.text[0].value) == (opens, QUOTE)
    labels = [child.proto.label for child in box.children.values() if isinstance(child, LinkButton)]
    assert labels == ["Show the quote in the document (new tab)"] * len(opens)
    assert [told for caption in box.caption if told and told in caption.value] == [told] * bool(told)


@pytest.mark.parametrize("link", ["javascript:alert(1)", "/v1/documents/d1/view", "", "data:text/html,x"])
def test_only_a_link_that_opens_a_page_is_shown(api: ApiStub, link: str) -> None:
    api.behaviour.citations = [ROOM | {"link": link}]
    page = open_page()
    ask(page)
    assert [links(box) for box in page.expander] == [[]]


@pytest.mark.parametrize(
    ("link", "page_url", "opened"),
    [
        ("http://127.0.0.1:8000/v1/x?a#quote", "http://localhost:8501/", "http://localhost:8000/v1/x?a#quote"),
        ("http://app:8000/v1/x", "http://192.0.2.7:8501", "http://192.0.2.7:8000/v1/x"),
        ("http://app:8000/v1/x", "http://[2001:db8::7]:8501", "http://[2001:db8::7]:8000/v1/x"),
        ("http://127.0.0.1:8000/v1/x", "https://chat.example/", "https://chat.example/v1/x"),
        ("https://api.example/v1/x", "https://chat.example/", "https://api.example/v1/x"),
        ("http://127.0.0.1:8000/v1/x", None, "http://127.0.0.1:8000/v1/x"),
        ("ftp://127.0.0.1/x", "http://localhost:8501/", None),
    ],
)
def test_a_link_leads_to_where_the_visitors_browser_finds_the_api(
    link: str, page_url: str | None, opened: str | None
) -> None:
    assert link_for_browser(link, page_url) == opened


def test_an_interrupted_answer_goes_on_where_it_was(api: ApiStub) -> None:
    api.behaviour.held = True
    page = open_page()
    with pytest.raises(RuntimeError, match="timed out"):
        page.chat_input[0].set_value(QUESTION).run(timeout=1)
    assert api.left.wait(5)
    page.query_params["c"] = api.asked[0][1]  # where the page has put it; AppTest forgets with the run
    page.chat_input[0].set_value(None)
    api.behaviour.held, api.behaviour.held_until_followed = False, True
    page.run()
    assert said(page) == [("user", QUESTION), ("assistant", ANSWER)]
    assert [question for _, _, question in api.asked] == [QUESTION]
    assert api.followed == [8]


def test_a_question_without_an_answer_is_answered_when_told(api: ApiStub) -> None:
    conversation_id = "web-" + "q" * 22
    api.conversations[ACME_KEY, conversation_id] = [{"role": "user", "content": QUESTION}]
    page = open_page(conversation_id)
    assert said(page) == [("user", QUESTION)]
    press(page, "Answer again")
    assert [role for role, _ in said(page)] == ["user", "assistant"]
    assert [question for _, _, question in api.asked] == [QUESTION]
    assert "Answer again" not in buttons(page)


def test_an_answer_that_is_being_written_elsewhere_is_followed(api: ApiStub) -> None:
    place = ACME_KEY, "web-" + "q" * 22
    api.behaviour.held_until_followed = True
    api.begin(place, QUESTION)
    page = open_page(place[1])
    assert said(page) == [("user", QUESTION), ("assistant", ANSWER)]
    assert "Answer again" not in buttons(page)
    assert (api.asked, api.followed) == ([], [0])


def test_another_tenants_run_is_not_followed(api: ApiStub, monkeypatch: pytest.MonkeyPatch) -> None:
    place = ACME_KEY, "web-" + "q" * 22
    api.behaviour.held = True
    run = api.begin(place, QUESTION)
    monkeypatch.setenv("CHAT_PAGE_KEY", GLOBEX_KEY)
    page = open_page(place[1])
    assert "expired or does not exist" in shown(page)
    assert (api.followed, run.status) == ([], "processing")


def test_a_reload_shows_the_conversation_again() -> None:
    before = open_page()
    ask(before)
    ask(before, "And when is it due?")
    after = open_page(address(before))
    assert said(after) == said(before)
    assert len(after.chat_message) == 4
    assert [box.label for box in after.expander] == [box.label for box in before.expander]


def test_two_tabs_do_not_mix(api: ApiStub) -> None:
    one, other = open_page(), open_page()
    ask(one, "first")
    ask(other, "second")
    ask(one, "third")
    assert address(one) != address(other)
    assert [text for role, text in said(one) if role == "user"] == ["first", "third"]
    assert [text for role, text in said(other) if role == "user"] == ["second"]
    assert {len(messages) for messages in api.conversations.values()} == {4, 2}


def test_a_tab_that_asks_sees_what_another_has_asked_meanwhile(api: ApiStub) -> None:
    one = open_page()
    ask(one, "first")
    other = open_page(address(one))
    ask(one, "second")
    ask(other, "third")
    assert [text for role, text in said(other) if role == "user"] == ["first", "second", "third"]


def test_a_question_waits_for_the_answer_that_another_tab_has_begun(api: ApiStub) -> None:
    page = open_page()
    ask(page, "first")
    api.behaviour.held_until_followed = True
    api.begin((ACME_KEY, address(page)), ELSEWHERE)
    ask(page)
    texts = ["first", ANSWER, ELSEWHERE, answer_at(3), QUESTION, answer_at(5)]
    assert [text for _, text in said(page)] == texts
    assert [question for _, _, question in api.asked] == ["first", QUESTION]


def test_a_busy_conversation_shows_the_answer_in_the_way_and_asks_then(api: ApiStub) -> None:
    page = open_page()
    ask(page, "first")
    api.behaviour.held_until_followed = api.behaviour.is_busy = True
    ask(page)
    assert "An earlier question is still being answered" in shown(page)
    assert "Try again" not in buttons(page)
    press(page, "Show the earlier answer, then ask again")
    texts = ["first", ANSWER, ELSEWHERE, answer_at(3), QUESTION, answer_at(5)]
    assert [text for _, text in said(page)] == texts


def test_another_tenants_page_does_not_open_the_conversation(monkeypatch: pytest.MonkeyPatch) -> None:
    acme = open_page()
    ask(acme)
    monkeypatch.setenv("CHAT_PAGE_KEY", GLOBEX_KEY)
    globex = open_page(address(acme))
    assert not globex.chat_message
    assert "expired or does not exist" in shown(globex)
    assert "Delete" not in buttons(globex)


@pytest.mark.parametrize("guessed", ["visitor-42", "web-1", "../health", ""])
def test_an_id_the_page_did_not_make_is_not_opened(api: ApiStub, guessed: str) -> None:
    api.conversations[ACME_KEY, guessed] = [{"role": "user", "content": "of an integrator"}]
    page = open_page(guessed)
    assert not page.chat_message
    assert "c" not in page.query_params
    ask(page)
    assert address(page) != guessed


def test_a_new_chat_begins_with_nothing_and_the_old_one_stays(api: ApiStub) -> None:
    page = open_page()
    ask(page)
    old = address(page)
    press(page, "New chat")
    assert not page.chat_message
    assert "c" not in page.query_params
    ask(page, "something else")
    assert address(page) != old
    assert len(open_page(old).chat_message) == 2
    page.query_params["c"] = old  # as the browser's back button does
    page.run()
    assert said(page)[0] == ("user", QUESTION)


def test_an_expired_conversation_says_so_and_goes_on() -> None:
    page = open_page("web-" + "x" * 22)
    assert "expired or does not exist" in shown(page)
    ask(page)
    assert len(page.chat_message) == 2
    assert "expired or does not exist" not in shown(page)


def test_without_a_service_the_page_says_so_and_asks_again_when_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_stub() as gone:
        port = int(gone.url.rpartition(":")[2])
    monkeypatch.setenv("API_URL", gone.url)
    page = open_page()
    ask(page)
    assert said(page) == [("user", QUESTION)]
    assert "The service is away" in shown(page)
    with serve_stub(port):
        press(page, "Try again")
        assert said(page) == [("user", QUESTION), ("assistant", ANSWER)]
        assert not page.error


def test_a_question_that_never_arrived_is_not_in_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_URL", "http://127.0.0.1:9")
    page = open_page()
    assert "The service is away" in shown(page)  # before anything is asked
    ask(page)
    assert "c" not in page.query_params


def test_without_a_service_a_reload_offers_to_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    before = open_page()
    ask(before)
    monkeypatch.setenv("API_URL", "http://127.0.0.1:9")
    page = open_page(address(before))
    assert "The service is away" in shown(page)
    assert buttons(page) == ["Delete", "New chat", "Try again"]


@pytest.mark.parametrize("within", [False, True])
def test_a_problem_is_shown_with_its_request_id_and_the_question_kept(
    api: ApiStub, caplog: pytest.LogCaptureFixture, within: bool
) -> None:
    told = problem(502, "The model endpoint did not answer", "Try again [later](http://x) in a *minute*.")
    api.behaviour.stream_problem, api.behaviour.problem = (told, None) if within else (None, told)
    page = open_page()
    ask(page)
    assert said(page) == [("user", QUESTION), *([("assistant", PART)] if within else [])]
    assert page.error[0].value == "**The answer could not be written**\n\nTry again in a moment\\."
    assert told["detail"] in caplog.text  # for the operator
    assert any("req\\-77" in caption.value for caption in page.caption)
    api.behaviour.problem = api.behaviour.stream_problem = None
    press(page, "Try again")
    assert said(page) == [("user", QUESTION), ("assistant", answer_at(2 if within else 1))]
    reloaded = said(open_page(address(page)))
    assert reloaded == [("user", QUESTION), ("assistant", answer_at(2))]  # the API has the question twice


def test_a_question_that_will_never_do_is_not_offered_again(api: ApiStub) -> None:
    api.behaviour.problem = problem(400, "The request is not valid", "message: too long")
    page = open_page()
    ask(page)
    assert "in other words, or shorter" in shown(page)
    assert buttons(page) == ["Delete", "New chat"]
    api.behaviour.problem = None
    ask(page, "Shorter")
    assert said(page) == [("user", QUESTION), ("user", "Shorter"), ("assistant", ANSWER)]
    assert "No answer: The question could not be taken" in shown(page)


def test_an_answer_whose_connections_break_is_whole_in_the_end(api: ApiStub) -> None:
    api.behaviour.cuts = 3
    page = open_page()
    ask(page)
    assert said(page) == [("user", QUESTION), ("assistant", ANSWER)]
    assert len(api.asked) == 1


def test_an_answer_that_begins_anew_is_not_shown_twice(api: ApiStub) -> None:
    api.behaviour.taken_over = True
    page = open_page()
    ask(page)
    assert said(page) == [("user", QUESTION), ("assistant", ANSWER)]
    assert "starts again" not in shown(page)  # once it is whole


def test_quotes_in_place_of_a_language_models_answer_say_so_and_show_nothing_of_it(api: ApiStub) -> None:
    told = "The language model is not available. These are quotes from the sources."
    api.behaviour.fallback_reason = "model-unavailable"
    page = open_page()
    ask(page)
    assert said(page) == [("user", QUESTION), ("assistant", ANSWER)]
    assert told in shown(page)
    api.behaviour.fallback_reason = None
    ask(page, "And the deposit?")
    assert shown(page).count(told) == 1
    again = open_page(address(page))
    assert shown(again).count(told) == 1


def test_a_chart_is_drawn_above_a_table_of_its_figures_also_after_a_reload(api: ApiStub) -> None:
    result = Result(
        "", ("place", "kind", "number of <b>"), (("North", "a", 3), ("North", "b", 1), ("=1+2", "-4", 2)), False
    )
    drawn = make_spec(choose_chart(result, title="How *many*?"), replace(result, truncated=True))
    call = {"call_id": "c1", "name": "draw_chart", "status": "done", "duration_ms": 1}
    api.behaviour.tool_calls = [call, {**call, "chart": {"alt": drawn.alt, "spec": drawn.spec}}]
    page = open_page()
    ask(page)
    for shown_page in (page, open_page(address(page))):
        [chart] = shown_page.get("vega_lite_chart")
        spec = json.loads(chart.proto.spec)
        assert spec["description"].startswith("Bar chart: number of <b> / place, kind. North, a: 3")
        assert "title" not in spec
        assert r"**How \*many\*?**" in shown(shown_page)
        assert r"The first 3 of 3 or more values are shown\." in shown(shown_page)
        assert "Figures" in [box.label for box in shown_page.expander]
        [table] = shown_page.dataframe
        assert table.value.to_dict("records")[2] == {"place": "'=1+2", "kind": "-4", "number of <b>": 2}


def test_figures_stand_in_a_table_and_all_rows_of_the_newest_can_be_saved(api: ApiStub) -> None:
    rows = [["=1+2", 3, None], ["<b>;=1+2", 1, -4]]
    part = {"columns": ["place", "n", "n"], "rows": rows, "row_count": 412}
    whole = part | {"row_count": 2}
    single = {"columns": ["n"], "rows": [[15]], "row_count": 1}
    api.behaviour.support = {"sentences": [], "queries": [single, whole]}
    page = open_page()
    ask(page)
    [table] = page.dataframe
    assert table.value.columns.tolist() == ["place (1)", "n (2)", "n (3)"]
    assert table.value["place (1)"].tolist() == ["'=1+2", "<b>;'=1+2"]
    assert [button.label for button in page.get("download_button")] == ["Markdown", "JSON"]
    api.behaviour.support = {"sentences": [], "queries": [part]}
    for _ in range(2):
        ask(page)
    for shown_page in (page, open_page(address(page))):
        assert len(shown_page.dataframe) == 3
        assert r"The first 2 of 412 rows\." in [caption.value for caption in shown_page.caption]
        assert [button.label for button in shown_page.get("download_button")] == ["Markdown", "JSON", "All rows (CSV)"]


def test_a_source_of_figures_opens_to_its_query_and_offers_no_document(api: ApiStub) -> None:
    sql = "SELECT count(*) AS `n` FROM machines -- *x*"
    data = {"document_id": "tool:query_data", "title": "Plant <b>", "source": "tool:query_data", "heading": None}
    api.behaviour.citations = [ROOM | data | {"quote": "15 machines are due.\n| a | b |\nQuery: x", "query": sql}]
    page = open_page()
    ask(page)
    [box] = page.expander
    assert box.label == r"**\[1\]** Plant \<b\>"
    assert [text.value for text in box.text] == ["15 machines are due."]
    assert [caption.value for caption in box.caption] == ["How this was worked out: the query to the data source"]
    assert [code.value for code in box.code] == [sql]
    assert "query_data" not in shown(page)
    assert not [label for label in buttons(page) if label in ("House rules", "Deadlines", "Laundry")]


def test_the_page_begins_with_questions_about_figures_where_there_are_some(api: ApiStub) -> None:
    asked = "How many *machines* are due?"
    api.behaviour.topics = TOPICS | {"data_questions": [{"question": asked, "data_source": "Plant <b>"}] * 2}
    page = open_page()
    assert r"Figures and charts come from the data source Plant \<b\>." in shown(page)
    labels = [button.label for button in page.button if str(button.key).startswith("topic-")]
    assert (len(labels), labels[2:]) == (4, [r"How many \*machines\* are due?"] * 2)
    next(button for button in page.button if button.key == "topic-3").click().run()
    assert said(page)[0] == ("user", asked)


def test_what_stands_below_the_topics_keeps_its_place_whether_there_are_some_or_none(api: ApiStub) -> None:
    """Else a browser draws it anew when the first document has been read."""
    places = []
    for topics in (TOPICS, {"titles": [], "languages": [], "questions": []}):
        api.behaviour.topics = topics
        st.cache_data.clear()
        places.append(find_place(open_page().main, "Your conversations are listed"))
    assert places[0] == places[1] is not None


def find_place(block: Block, text: str) -> tuple[int, ...] | None:
    """Where the element with this text stands in the page."""
    for number, child in block.children.items():
        below = find_place(child, text) if isinstance(child, Block) else None
        if below is not None:
            return number, *below
        if text in str(getattr(child, "value", "")):
            return (number,)
    return None


def test_a_question_back_has_a_button_for_each_choice_that_asks_it(api: ApiStub) -> None:
    choices = ["Dormitories › Rooms", "Fees <b>*x*</b>"]
    api.behaviour.clarification = {"question": "What is it about?", "choices": choices}
    api.behaviour.citations = []
    page = open_page()
    ask(page)
    assert "What is it about?" in shown(page)
    assert not [button for button in page.button if button.label == "Answer again"]
    api.behaviour.clarification = None
    [button] = [button for button in page.button if button.key == "choice-1-0"]
    button.click().run()
    assert not page.exception
    assert [text for _, text in said(page)][1:3] == ["What is it about?", choices[0]]
    assert said(page)[-1][1].startswith("A single room")
    assert all(button.disabled for button in open_page(address(page)).button if str(button.key).startswith("choice"))


CALL = {
    "call_id": "run-1-1",
    "name": "book_room",
    "arguments": {"room": 7, "day": "*2026*\nroom: 8\u202e", "why": "x" * 900},
}


def test_a_call_is_shown_with_two_buttons_and_made_when_it_is_approved(api: ApiStub) -> None:
    api.behaviour.waiting_call, api.behaviour.lists = CALL, True
    page = open_page()
    ask(page)
    assert "The assistant asks for your approval: **book room**" in shown(page)
    assert page.text[-1].value == f'"room": 7\n"day": "*2026*\\nroom: 8\\u202e"\n"why": "{"x" * 900}"'
    assert {"Approve", "Reject"} <= set(buttons(page))
    reloaded = open_page(address(page))
    assert {"Approve", "Reject"} <= set(buttons(reloaded))
    assert [field.label for field in reloaded.sidebar.text_input] == ["Search conversations"], "the others are in reach"
    press(reloaded, "Approve")
    assert said(reloaded)[-1][1].startswith("A single room")
    assert "Approve" not in buttons(reloaded)
    press(page, "Reject")  # in the other tab, too late: it goes on as it was told first
    assert said(page)[-1][1].startswith("A single room")
    assert api.runs["run-1"].decision == "approve"


def test_a_rejected_call_is_answered_without_it(api: ApiStub) -> None:
    api.behaviour.waiting_call = CALL
    page = open_page()
    ask(page)
    press(page, "Reject")
    assert said(page)[-1] == ("assistant", "It was not done\\.")
    assert api.runs["run-1"].decision == "reject"


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        ({**problem(409, "Conflict", "Off."), "bot_id": "default"}, "**The assistant is switched off**"),
        (problem(409, "Conflict", "The bot no longer uses it."), "This cannot be approved now**\n\nThe bot no longer"),
        (problem(404, "Not found", "The bot was removed."), "The bot was removed"),
    ],
)
def test_a_call_that_may_not_be_approved_says_why_and_can_be_rejected(
    api: ApiStub, refusal: dict[str, Any], told: str
) -> None:
    api.behaviour.waiting_call, api.behaviour.approving_problem = CALL, refusal
    page = open_page()
    ask(page)
    press(page, "Approve")
    assert told in page.error[0].value
    assert "connection is lost" not in shown(page)
    press(page, "Reject")
    assert said(page)[-1] == ("assistant", "It was not done\\.")
    assert not page.error
    assert api.runs["run-1"].decision == "reject"


def test_a_bot_that_is_switched_off_is_not_said_to_be_busy(api: ApiStub) -> None:
    api.behaviour.problem = {**problem(409, "Conflict", "Off."), "bot_id": "default"}
    page = open_page()
    ask(page)
    assert "**The assistant is switched off**" in page.error[0].value
    assert "busy" not in shown(page)


def test_another_question_leaves_a_call_undone(api: ApiStub) -> None:
    api.behaviour.waiting_call = CALL
    page = open_page()
    ask(page)
    api.behaviour.waiting_call = None
    ask(page, "Something else?")
    assert [text for _, text in said(page)][:2] == [QUESTION, "Something else?"]
    assert said(page)[-1][1].startswith("A single room")
    assert api.runs["run-1"].decision == ""


def test_a_call_that_cannot_be_decided_now_says_why_and_stays(api: ApiStub, monkeypatch: pytest.MonkeyPatch) -> None:
    api.behaviour.waiting_call = CALL
    page = open_page()
    ask(page)
    api.behaviour.page, api.behaviour.page_status = "<h1>Bad gateway</h1>", 502
    press(page, "Approve")
    assert page.error or page.warning
    api.behaviour.page = None
    assert api.runs["run-1"].status == "waiting"


def test_a_refusal_while_the_model_is_away_promises_no_quotes(api: ApiStub) -> None:
    api.behaviour.fallback_reason, api.behaviour.citations = "model-timeout", []
    page = open_page()
    ask(page)
    assert "The language model is not available." in shown(page)
    assert "These are quotes" not in shown(page)


def test_an_answer_that_is_lost_is_not_shown_as_one(api: ApiStub) -> None:
    api.behaviour.cuts, api.behaviour.following_problem = 1, problem(404, "Not found", "Run not found or expired.")
    page = open_page()
    ask(page)
    assert said(page) == [("user", QUESTION), ("assistant", PART)]
    assert "Stopped before it was complete" in shown(page)
    press(page, "Answer again")
    assert said(page) == [("user", QUESTION), ("assistant", ANSWER)]  # the service had it after all
    assert len(api.asked) == 1
    assert "Stopped before it was complete" not in shown(page)


def test_an_answer_that_cannot_be_followed_now_is_not_asked_for_again(api: ApiStub) -> None:
    api.behaviour.cuts, api.behaviour.following_problem = 1, problem(500, "Something went wrong", "Not now.")
    page = open_page()
    ask(page)
    assert "Something went wrong on our side" in shown(page)
    assert said(page)[1][1].startswith(PART)
    api.behaviour.following_problem = None
    press(page, "Try again")
    assert said(page) == [("user", QUESTION), ("assistant", ANSWER)]
    assert len(api.asked) == 1


def test_an_answer_cancelled_elsewhere_is_shown_as_stopped(api: ApiStub) -> None:
    place = ACME_KEY, "web-" + "q" * 22
    api.behaviour.held = True
    run = api.begin(place, QUESTION)
    api.behaviour.cancelled_when_followed = True
    page = open_page(place[1])
    assert said(page) == [("user", QUESTION), ("assistant", PART)]
    assert "Stopped before it was complete" in shown(page)
    assert "Answer again" in buttons(page)
    assert run.status == "cancelled"
    reloaded = open_page(place[1])
    assert said(reloaded) == said(page)
    assert "Stopped before it was complete" in shown(reloaded)
    run.status = "failed"
    assert said(open_page(place[1])) == [("user", QUESTION)]  # the failure was told when it came
    run.status = "cancelled"
    del api.runs[run.run_id]  # which the service keeps for a while
    assert said(open_page(place[1])) == [("user", QUESTION)]


@pytest.mark.parametrize(
    ("wait_s", "told"),
    [(1, "1 second"), (50, "50 seconds"), (130, "3 minutes"), (7_000, "2 hours"), (180_000, "3 days")],
)
def test_too_many_questions_are_told_with_the_time_to_wait(api: ApiStub, wait_s: int, told: str) -> None:
    api.behaviour.problem = problem(429, "Too many requests", "This key may make 100 requests an hour.")
    api.behaviour.retry_after_s = wait_s
    page = open_page()
    ask(page)
    assert f"You can ask again in {told}." in shown(page).replace("\\", "")
    assert not page.error
    assert "key" not in page.info[0].value
    api.behaviour.problem = None
    press(page, "Try again")
    assert said(page) == [("user", QUESTION), ("assistant", ANSWER)]


@pytest.mark.parametrize(
    ("status", "told", "after_a_reload"),
    [
        (429, "No answer: Too many questions at the moment", []),  # the service never took them
        (502, "No answer: The answer could not be written", ["second", "third"]),
    ],
)
def test_questions_without_an_answer_stay_with_the_reason_when_the_next_is_asked(
    api: ApiStub, status: int, told: str, after_a_reload: list[str]
) -> None:
    page = open_page()
    ask(page, "first")
    api.behaviour.problem = problem(status, "Refused", "Not now.")
    ask(page, "second")
    assert "No answer" not in shown(page)  # a box says why
    ask(page, "third")
    api.behaviour.problem = None
    ask(page, "fourth")
    for _ in ("at once", "when drawn again"):
        assert said(page)[2:5] == [("user", "second"), ("user", "third"), ("user", "fourth")]
        assert [caption.value for caption in page.caption if "No answer" in caption.value] == [told, told]
        page.run()
    reopened = open_page(address(page))
    assert [text for role, text in said(reopened) if role == "user"] == ["first", *after_a_reload, "fourth"]
    assert [caption.value for caption in reopened.caption if "No answer" in caption.value] == ["No answer"] * len(
        after_a_reload
    )


def test_a_question_that_is_answered_in_the_end_is_shown_once_and_without_a_reason(api: ApiStub) -> None:
    page = open_page()
    for status in (429, 502):
        api.behaviour.problem = problem(status, "Refused", "Not now.")
        ask(page)
        ask(page)
    api.behaviour.problem = None
    press(page, "Try again")
    assert [role for role, _ in said(page)] == ["user", "assistant"]
    assert "No answer" not in shown(page)


def test_a_broken_off_answer_keeps_the_reason_when_the_next_is_asked(api: ApiStub) -> None:
    api.behaviour.stream_problem = problem(502, "Refused", "Not now.")
    page = open_page()
    ask(page, "first")
    api.behaviour.stream_problem = None
    ask(page, "second")
    assert [role for role, _ in said(page)] == ["user", "assistant", "user", "assistant"]
    assert "Stopped before it was complete: The answer could not be written" in shown(page)
    assert "No answer" not in shown(page)


def test_deleting_is_asked_about_and_then_done(api: ApiStub) -> None:
    page = open_page()
    ask(page)
    old = address(page)
    press(page, "Delete")
    assert f"**{QUESTION}**".replace("?", "") in shown(page).replace("?", "")
    press(page, "Keep it")
    assert (ACME_KEY, old) in api.conversations
    press(page, "Delete")
    press(page, "Delete for good")
    assert api.conversations == {}
    assert not page.chat_message
    assert "c" not in page.query_params


def test_deleting_what_has_expired_meanwhile_is_no_error(api: ApiStub) -> None:
    page = open_page()
    ask(page)
    api.conversations.clear()
    press(page, "Delete")
    press(page, "Delete for good")
    assert not page.error
    assert not page.chat_message


def test_deleting_another_tenants_conversation_leaves_it(api: ApiStub, monkeypatch: pytest.MonkeyPatch) -> None:
    page = open_page()
    ask(page)
    place = ACME_KEY, address(page)
    monkeypatch.setenv("CHAT_PAGE_KEY", GLOBEX_KEY)
    press(page, "Delete")
    press(page, "Delete for good")
    assert place in api.conversations


def test_a_conversation_that_cannot_be_deleted_stays(api: ApiStub) -> None:
    page = open_page()
    ask(page)
    press(page, "Delete")
    api.behaviour.deleting_problem = problem(409, "Something else is in the way", "It is being answered.")
    press(page, "Delete for good")
    assert "being answered" in shown(page)
    assert api.conversations


def test_the_page_says_when_no_language_model_is_used(api: ApiStub) -> None:
    assert "without a language model" in shown(open_page())
    api.behaviour.language_model = True
    st.cache_data.clear()
    assert "without a language model" not in shown(open_page())


def test_the_page_says_when_the_conversation_is_in_memory_alone(api: ApiStub) -> None:
    api.behaviour.persistence = "memory"
    page = open_page()
    ask(page)
    assert "stored in memory only" in shown(page)
    assert "stored in memory only" in shown(open_page(address(page)))
    api.behaviour.persistence = "redis"
    ask(page)
    assert "stored in memory only" not in shown(page)


def test_the_title_is_configured_and_the_key_is_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_page().title[0].value == "Pustaka"
    monkeypatch.setenv("CHAT_TITLE", "Perpustakaan *ITB*")
    page = open_page()
    ask(page)
    assert page.title[0].value == r"Perpustakaan \*ITB\*"
    monkeypatch.setenv("CHAT_TITLE", "")
    monkeypatch.setenv("INSTITUTION", "ITB")
    assert open_page().title[0].value == "ITB"
    assert ACME_KEY not in shown(page)
    assert ACME_KEY not in str(page)


def test_the_apis_own_key_is_none_of_the_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHAT_PAGE_KEY")
    monkeypatch.setenv("API_KEY", ACME_KEY)
    with pytest.raises(ValueError, match="CHAT_PAGE_KEY is not set"):
        read_settings()


@pytest.mark.parametrize("logo", ["/nowhere/logo.png", __file__, "ftp://x/logo.png"])
def test_a_wrong_logo_is_complained_of_once_and_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, logo: str
) -> None:
    monkeypatch.setenv("CHAT_LOGO", logo)
    for _ in range(2):
        ask(open_page())
    assert len([line for line in caplog.messages if "CHAT_LOGO" in line]) == 1


@pytest.mark.parametrize(("name", "value"), [("CHAT_PAGE_KEY", ""), ("API_URL", "ftp://x")])
def test_a_wrong_setting_is_named_to_the_operator_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    page = open_page()
    assert "tell the people who run this page" in page.error[0].value
    assert name not in shown(page)
    assert name in caplog.text
    assert not page.chat_input


def test_a_blank_question_is_not_asked(api: ApiStub) -> None:
    page = open_page()
    ask(page, "  \n ")
    assert not page.chat_message
    assert api.asked == []


def give_key(page: AppTest, key: str) -> str:
    """What is said of a key that is typed where documents are added."""
    page.text_input[0].set_value(key)
    press(page, "Continue")
    return page.error[0].value.replace("\\", "") if page.error else ""


def open_key_form() -> AppTest:
    page = AppTest.from_file(SCRIPT, default_timeout=20)
    page.query_params["documents"] = ""
    return page.run()


def test_after_five_wrong_keys_a_visitor_waits_and_other_keys_do_not_count(api: ApiStub) -> None:
    page = open_key_form()
    for number in range(5):
        assert give_key(page, GLOBEX_KEY).startswith("This key is for other documents")
        assert give_key(page, f"wrong-{number}") == "This key is not valid."
    api.document_keys.clear()
    for key in ("wrong-5", ACME_KEY):
        assert give_key(page, key) == "Too many wrong keys. Try again in 15 minutes."
    assert api.document_keys == []
    other = open_key_form()
    assert give_key(other, ACME_KEY) == ""
    assert "Add your own documents" in shown(other)


def test_after_twenty_wrong_keys_of_an_address_all_its_visitors_wait(api: ApiStub) -> None:
    for _ in range(4):
        page = open_key_form()
        for number in range(5):
            assert give_key(page, f"wrong-{number}") == "This key is not valid."
        assert give_key(page, ACME_KEY).startswith("Too many wrong keys")  # not counted once more
    assert give_key(open_key_form(), ACME_KEY).startswith("Too many wrong keys")
    assert api.document_keys.count(ACME_KEY) == 0


def test_who_finds_an_answer_bad_can_say_what_would_have_been_right(api: ApiStub) -> None:
    page = open_page()
    ask(page)
    assert not page.text_area
    [messages] = api.conversations.values()
    messages[-1]["rating"] = "down"
    page = open_page(address(page))
    press(page, "Send remark")
    assert api.rated == []  # nothing was said
    page.text_area(key="expected-run-1").set_value("$410")
    page.text_area(key="comment-run-1").set_value("Laundry is extra.")
    press(page, "Send remark")
    assert api.rated == [("run-1", {"rating": "down", "comment": "Laundry is extra.", "expected": "$410"})]
    assert "Thank you" in shown(page)


def test_a_long_conversation_opens_with_its_last_messages_and_shows_earlier_ones_when_asked(api: ApiStub) -> None:
    page = open_page()
    ask(page)
    [place] = api.conversations
    first, answer = api.conversations[place]
    rest = [
        one
        for n in range(130)
        for one in ({**first, "content": f"Question {n}?"}, {**answer, "content": f"Answer {n}.", "run_id": f"old-{n}"})
    ]
    api.conversations[place] = [first, answer, *rest]
    reopened = open_page(address(page))
    assert len(reopened.chat_message) == 40
    assert said(reopened)[-1][1].startswith("Answer 129")
    assert "Earlier messages of this conversation are left out." in shown(reopened)  # which only paper shows
    press(reopened, "Show earlier messages")
    assert len(reopened.chat_message) == 80
    ask(reopened, "And one more?")
    assert said(reopened)[-2] == ("user", "And one more?")
    assert len(reopened.chat_message) == 82
    for _ in range(5):
        press(reopened, "Show earlier messages")
    assert said(reopened)[0] == ("user", QUESTION)
    assert "Show earlier messages" not in buttons(reopened)
    assert "left out" not in shown(reopened)
