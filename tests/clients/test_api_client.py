"""The API's client: typed events and errors, over real HTTP."""

from collections.abc import Iterable, Iterator
from contextlib import closing

import pytest

from bootstrap.streamlit import ChatPage
from clients.api_client import ApiAddress, ApiClient
from clients.api_errors import ApiAway, ApiRefused
from clients.run_events import (
    Answer,
    Cancelled,
    Citation,
    Event,
    Fallback,
    Reconnecting,
    Resumed,
    Stage,
    Started,
    Token,
)
from tests.clients.api_stub import ACME_KEY, GLOBEX_KEY, QUOTE, ApiStub, problem, serve_stub


@pytest.fixture
def acme(api: ApiStub) -> Iterator[ApiClient]:
    with ApiClient(ApiAddress(url=api.url, key=ACME_KEY), timeout_s=5) as client:
        yield client


@pytest.fixture
def globex(api: ApiStub) -> Iterator[ApiClient]:
    with ApiClient(ApiAddress(url=api.url, key=GLOBEX_KEY), timeout_s=5) as client:
        yield client


def test_an_answer_arrives_as_typed_events_and_ends_with_the_whole(acme: ApiClient) -> None:
    events = list(acme.ask_stream("web-1", "What does a room cost?"))
    assert events[0] == Started("web-1", "req-1", "run-1")
    assert [event.stage for event in events if isinstance(event, Stage)] == ["retrieve", "answer"]
    answer = events[-1]
    assert isinstance(answer, Answer)
    assert "".join(event.content for event in events if isinstance(event, Token)) == answer.answer
    assert [event for event in events if isinstance(event, Citation)] == list(answer.citations)
    assert answer.citations[0].quote == QUOTE
    assert answer.citations[1].page == 3


def test_separators_within_an_answer_do_not_cut_its_events(acme: ApiClient, api: ApiStub) -> None:
    api.behaviour.answer = "one\u2028two\u0085three\nfour\r\nfive"
    answer = list(acme.ask_stream("web-1", "?"))[-1]
    assert isinstance(answer, Answer)
    assert answer.answer == api.behaviour.answer


def test_a_conversation_is_read_again_and_forgotten_by_its_own_tenant_alone(acme: ApiClient, globex: ApiClient) -> None:
    list(acme.ask_stream("web-1", "What does a room cost?"))
    said = acme.conversation("web-1")
    assert (said.messages[0].role, said.messages[0].content) == ("user", "What does a room cost?")
    assert said.messages[1].citations[0].title == "Student dormitory"
    for call in (globex.conversation, globex.delete):
        with pytest.raises(ApiRefused) as refused:
            call("web-1")
        assert refused.value.status == 404
    acme.delete("web-1")
    with pytest.raises(ApiRefused):
        acme.conversation("web-1")


def test_an_id_cannot_leave_its_place_in_the_address(acme: ApiClient) -> None:
    with pytest.raises(ApiRefused) as refused:
        acme.conversation("../../health")
    assert refused.value.status == 404


def test_the_health_says_whether_a_language_model_answers(acme: ApiClient, api: ApiStub) -> None:
    assert not acme.health().language_model
    api.behaviour.language_model = True
    assert acme.health().language_model


@pytest.mark.parametrize(
    ("status", "worth_retrying"), [(400, False), (401, False), (404, False), (409, True), (429, True), (502, True)]
)
def test_a_problem_before_the_answer_is_told_with_its_request_id(
    acme: ApiClient, api: ApiStub, status: int, worth_retrying: bool
) -> None:
    api.behaviour.problem = problem(status, "Not now", "Because.")
    with pytest.raises(ApiRefused) as refused:
        next(acme.ask_stream("web-1", "?"))
    assert (refused.value.status, refused.value.title, refused.value.detail) == (status, "Not now", "Because.")
    assert refused.value.request_id == "req-77"
    assert refused.value.worth_retrying is worth_retrying


def test_a_problem_within_the_answer_is_told_the_same_way(acme: ApiClient, api: ApiStub) -> None:
    api.behaviour.stream_problem = problem(504, "The model endpoint took too long", "Try again.")
    with pytest.raises(ApiRefused) as refused:
        list(acme.ask_stream("web-1", "?"))
    assert (refused.value.status, refused.value.request_id) == (504, "req-77")


def text_of(events: Iterable[Event]) -> str:
    return "".join(event.content for event in events if isinstance(event, Token))


def test_an_answer_whose_connections_break_comes_without_a_gap_or_a_repeat(acme: ApiClient, api: ApiStub) -> None:
    whole = list(acme.ask_stream("web-1", "?"))
    api.behaviour.cuts = 3
    assert [type(event) for event in acme.ask_stream("web-2", "?")] == [type(event) for event in whole]
    assert text_of(acme.follow("run-2")) == api.behaviour.answer
    *again, whole_run = api.followed
    assert (api.behaviour.cuts, whole_run) == (0, 0)
    assert again == sorted(set(again)), "each time from the last event that had come"
    assert again
    assert len(api.asked) == 2


def test_a_run_is_followed_from_any_place(acme: ApiClient) -> None:
    stream = acme.ask_stream("web-1", "?")
    numbered = [(stream.after, event) for event in stream]
    for after in (1, 7, numbered[-2][0]):
        assert list(acme.follow(stream.run_id, after)) == [event for number, event in numbered if number > after]


def test_an_answer_that_another_worker_begins_anew_says_so(acme: ApiClient, api: ApiStub) -> None:
    api.behaviour.taken_over, api.behaviour.cuts = True, 2
    events = list(acme.ask_stream("web-1", "?"))
    anew = events.index(Resumed())
    assert text_of(events[:anew])
    assert text_of(events[anew:]) == api.behaviour.answer


def test_what_came_before_a_fallback_is_told_to_be_void(acme: ApiClient, api: ApiStub) -> None:
    api.behaviour.fallback_reason = "model-unavailable"
    events = list(acme.ask_stream("web-1", "?"))
    at = events.index(Fallback())
    assert text_of(events[:at])
    assert text_of(events[at:]) == api.behaviour.answer
    assert isinstance(events[-1], Answer)
    assert events[-1].fallback_reason == "model-unavailable"


def test_a_cancelled_run_ends_for_all_who_follow_it(acme: ApiClient, globex: ApiClient, api: ApiStub) -> None:
    api.behaviour.held = True
    asked = acme.ask_stream("web-1", "?")
    next(event for event in asked if isinstance(event, Token))
    for call in (lambda: globex.cancel("run-1"), lambda: next(globex.follow("run-1"))):
        with pytest.raises(ApiRefused) as refused:
            call()
        assert refused.value.status == 404
    assert acme.cancel("run-1") == "processing"
    assert list(asked)[-1] == list(acme.follow("run-1"))[-1] == Cancelled()
    assert acme.cancel("run-1") == "cancelled"


def test_a_service_that_restarts_is_waited_for(acme: ApiClient, api: ApiStub) -> None:
    api.behaviour.cuts, api.behaviour.following_problem = 1, problem(503, "Not ready", "It is being restarted.")
    events = []
    for event in acme.ask_stream("web-1", "?"):
        events.append(event)
        if isinstance(event, Reconnecting):
            api.behaviour.following_problem = None
    assert Reconnecting() in events
    assert text_of(events) == api.behaviour.answer


@pytest.mark.parametrize("refused", [True, False])
def test_a_service_that_does_not_come_back_is_given_up_on(api: ApiStub, refused: bool) -> None:
    api.behaviour.cuts = 1
    with ApiClient(ApiAddress(url=api.url, key=ACME_KEY), patience_s=0.5) as client:
        stream = client.ask_stream("web-1", "?")
        next(stream)
        api.behaviour.following_problem = problem(503, "Not ready", "Wait.") if refused else None
        api.behaviour.page, api.behaviour.page_status = None if refused else "<h1>Bad Gateway</h1>", 502
        with pytest.raises(ApiRefused if refused else ApiAway) as failure:
            list(stream)
    assert failure.value.worth_retrying


def test_a_run_that_failed_is_not_followed_again(acme: ApiClient, api: ApiStub) -> None:
    api.behaviour.stream_problem = problem(503, "The model endpoint is away", "Try again.")
    with pytest.raises(ApiRefused):
        list(acme.ask_stream("web-1", "?"))
    assert api.followed == []


def test_a_connection_that_falls_silent_is_made_again(api: ApiStub) -> None:
    api.behaviour.held, api.behaviour.beats = True, False
    with ApiClient(ApiAddress(url=api.url, key=ACME_KEY), stream_timeout_s=0.2) as client:
        for event in client.ask_stream("web-1", "?"):
            if isinstance(event, Reconnecting):
                api.behaviour.go_on.set()
    assert isinstance(event, Answer)
    assert api.followed == [8, 8]


def test_signs_of_life_keep_a_slow_answer_alive(api: ApiStub) -> None:
    api.behaviour.held = True
    with ApiClient(ApiAddress(url=api.url, key=ACME_KEY), stream_timeout_s=0.2) as client:
        for event in client.ask_stream("web-1", "?"):
            if isinstance(event, Token) and event.content.endswith("costs"):
                api.behaviour.go_on.wait(0.5)  # longer than the silence that is borne
                api.behaviour.go_on.set()
    assert isinstance(event, Answer)


def test_leaving_an_answer_ends_the_call_and_not_the_run(acme: ApiClient, api: ApiStub) -> None:
    api.behaviour.held = True
    with closing(acme.ask_stream("web-1", "?")) as events:
        next(event for event in events if isinstance(event, Token))
    assert api.left.wait(5)
    api.behaviour.go_on.set()
    assert isinstance(list(acme.follow("run-1"))[-1], Answer)


def test_a_service_that_is_not_there_is_told_as_away() -> None:
    with serve_stub() as stub:
        url = stub.url
    with ApiClient(ApiAddress(url=url, key=ACME_KEY), timeout_s=1) as client:
        for call in (
            lambda: client.conversation("web-1"),
            lambda: list(client.ask_stream("web-1", "?")),
            client.health,
        ):
            with pytest.raises(ApiAway, match="cannot be reached") as away:
                call()
            assert not away.value.reached  # so the question may be asked again by itself


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_proxys_page_in_place_of_the_service_means_that_it_is_away(
    acme: ApiClient, api: ApiStub, status: int
) -> None:
    api.behaviour.page, api.behaviour.page_status = "<h1>Bad Gateway</h1>", status
    for call in (lambda: acme.conversation("web-1"), lambda: list(acme.ask_stream("web-1", "?")), acme.health):
        with pytest.raises(ApiAway, match="cannot be reached"):
            call()


@pytest.mark.parametrize("wait_s", [None, 40])
def test_a_refusal_says_how_long_to_wait(acme: ApiClient, api: ApiStub, wait_s: int | None) -> None:
    api.behaviour.problem, api.behaviour.retry_after_s = problem(429, "Too many requests", "Wait."), wait_s
    with pytest.raises(ApiRefused) as refused:
        next(acme.ask_stream("web-1", "?"))
    assert refused.value.retry_after_s == wait_s


def test_a_conversation_tells_whether_it_is_being_answered(acme: ApiClient, api: ApiStub) -> None:
    api.behaviour.held = True
    with closing(acme.ask_stream("web-1", "?")) as events:
        next(event for event in events if isinstance(event, Token))
        now = acme.conversation("web-1")
        assert (now.running, now.run_id) == (True, "run-1")
        api.behaviour.go_on.set()
        list(events)
    assert not acme.conversation("web-1").running


def test_something_else_that_answers_is_not_taken_for_the_service(acme: ApiClient, api: ApiStub) -> None:
    api.behaviour.page = "<h1>Welcome to the proxy</h1>"
    for call in (lambda: acme.conversation("web-1"), lambda: list(acme.ask_stream("web-1", "?")), acme.health):
        with pytest.raises(ApiAway, match="did not come from the service"):
            call()


def test_keys_do_not_show_in_what_is_printed() -> None:
    page = ChatPage(host="127.0.0.1", port=1, api_url="http://x", api_key="ak_secret")
    assert "ak_secret" not in repr(ApiAddress(url="http://x", key="ak_secret")) + repr(page)
